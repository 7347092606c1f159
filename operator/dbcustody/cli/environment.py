"""What the stand-alone command line reads from the environment, checked whole before anything is touched.

Every problem is reported at once. Secrets stay in values whose repr is `***`; nothing here opens a connection or a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from dbcustody.api.policy import Algorithm, Compression, Level, Retention, RowCounts
from dbcustody.errors import InvalidSpecError

KEY_ID: Final = "env"
"""The key id of BACKUP_ENCRYPTION_KEY."""

Choice = TypeVar("Choice", bound=StrEnum)

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketSettings:
    """An S3 bucket as the classic variables describe it; credentials None means: the ambient ones."""

    bucket: str
    prefix: str = ""
    region: str | None = None
    endpoint: str | None = None
    ca_file: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standalone:
    """Everything that the stand-alone commands are told; exactly one of *directory* and *bucket* is given."""

    database_files: Mapping[str, str] = field(repr=False)
    """The connection as a Secret would hold it: DATABASE_URL or libpq's variables."""
    custody_id: str | None
    directory: str | None
    bucket: BucketSettings | None
    encryption_key: str | None = field(repr=False)
    compression: Compression
    level: Level
    row_counts: RowCounts
    retention: Retention
    time_zone: str
    client_directories: tuple[str, ...]


class _Reader:
    """Reads one variable after another and remembers every complaint."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.problems: list[str] = []

    def text(self, name: str) -> str | None:
        return self.variables.get(name, "").strip() or None

    def flag(self, name: str, *, default: bool) -> bool:
        text = self.text(name)
        if text is None:
            return default
        if text.lower() not in _TRUE | _FALSE:
            self.problems.append(f"{name}: must be true or false")
        return text.lower() in _TRUE

    def number(self, name: str, *, default: int, least: int, most: int) -> int:
        text = self.text(name)
        if text is None:
            return default
        if not re.fullmatch(r"\d{1,9}", text) or not least <= int(text) <= most:
            self.problems.append(f"{name}: must be a whole number from {least} to {most}")
            return default
        return int(text)

    def choice(self, name: str, kind: type[Choice], default: Choice) -> Choice:
        """Return the member of *kind* that the variable names, whatever its case."""
        text = self.text(name)
        if text is None:
            return default
        by_word = {member.value.lower(): member for member in kind}
        if text.lower() not in by_word:
            self.problems.append(f"{name}: must be one of {', '.join(member.value for member in kind)}")
        return by_word.get(text.lower(), default)


def read_standalone(variables: Mapping[str, str]) -> Standalone:
    """Return the settings that *variables* (the process's environment) hold.

    Raises InvalidSpecError with every problem in one message, a line each.
    """
    reader = _Reader(variables)
    directory, bucket = reader.text("BACKUP_DIR"), _read_bucket(reader)
    if (directory is None) == (bucket is None):
        reader.problems.append("BACKUP_DIR, BACKUP_S3_BUCKET: exactly one must be set")
    settings = Standalone(
        database_files=_read_database(reader),
        custody_id=reader.text("DBCUSTODY_CUSTODY_ID"),
        directory=directory,
        bucket=bucket,
        encryption_key=_read_key(reader),
        compression=_read_compression(reader),
        level=reader.choice("BACKUP_VERIFICATION", Level, Level.READ),
        row_counts=reader.choice("BACKUP_ROW_COUNTS", RowCounts, RowCounts.EXACT),
        retention=_read_retention(reader),
        time_zone=reader.text("BACKUP_TIME_ZONE") or "Etc/UTC",
        client_directories=tuple(filter(None, (reader.text("DBCUSTODY_CLIENTS") or "").split(":"))),
    )
    if reader.problems:
        raise InvalidSpecError("\n".join(reader.problems))
    return settings


def _read_bucket(reader: _Reader) -> BucketSettings | None:
    bucket = reader.text("BACKUP_S3_BUCKET")
    if bucket is None:
        return None
    return BucketSettings(
        bucket=bucket,
        prefix=(reader.text("BACKUP_S3_PREFIX") or "").strip("/"),
        region=reader.text("BACKUP_S3_REGION") or reader.text("AWS_REGION") or reader.text("AWS_DEFAULT_REGION"),
        endpoint=reader.text("BACKUP_S3_ENDPOINT"),
        ca_file=reader.text("BACKUP_S3_CA_FILE") or reader.text("AWS_CA_BUNDLE"),
        access_key_id=reader.text("BACKUP_S3_ACCESS_KEY_ID") or reader.text("AWS_ACCESS_KEY_ID"),
        secret_access_key=reader.text("BACKUP_S3_SECRET_ACCESS_KEY") or reader.text("AWS_SECRET_ACCESS_KEY"),
        session_token=reader.text("AWS_SESSION_TOKEN"),
    )


def _read_database(reader: _Reader) -> dict[str, str]:
    names = ("DATABASE_URL", "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSSLMODE")
    found = {name: text for name in names if (text := reader.text(name)) is not None}
    if "DATABASE_URL" in found:
        return {"DATABASE_URL": found["DATABASE_URL"]}
    if "PGDATABASE" not in found:
        reader.problems.append("DATABASE_URL: is missing; must be postgresql://user:password@host:port/database")
    return found


def _read_key(reader: _Reader) -> str | None:
    key = reader.text("BACKUP_ENCRYPTION_KEY")
    if not reader.flag("BACKUP_ENCRYPTION_ENABLED", default=True):
        return None
    if key is None:
        reader.problems.append(
            "BACKUP_ENCRYPTION_KEY: is missing; must be 32 random bytes in base64 (`head -c 32 /dev/urandom | base64`); "
            "to write backups that anybody can read, set BACKUP_ENCRYPTION_ENABLED=false"
        )
    return key


def _read_compression(reader: _Reader) -> Compression:
    algorithm = reader.choice("BACKUP_COMPRESSION", Algorithm, Algorithm.ZSTD)
    return Compression(
        algorithm=algorithm, level=reader.number("BACKUP_COMPRESSION_LEVEL", default=1, least=1, most=22)
    )


def _read_retention(reader: _Reader) -> Retention:
    days = reader.number("BACKUP_RETENTION_DAYS", default=7, least=0, most=36_500)
    return Retention(
        keep_last=reader.number("BACKUP_KEEP_LAST", default=1, least=1, most=10_000),
        keep_daily=reader.number("BACKUP_KEEP_DAILY", default=0, least=0, most=10_000),
        keep_weekly=reader.number("BACKUP_KEEP_WEEKLY", default=0, least=0, most=10_000),
        keep_monthly=reader.number("BACKUP_KEEP_MONTHLY", default=0, least=0, most=10_000),
        keep_within_days=days,
    )
