"""What the stand-alone command line reads from the environment, checked whole before anything is touched.

Every problem is reported at once, in the words of the variables. No secret shows itself in a repr; nothing here opens a connection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar
from zoneinfo import ZoneInfo

from dbcustody.adapters.keyring import Keyring, make_keyring
from dbcustody.adapters.objectstore import S3Settings
from dbcustody.api.connection import Recognised, recognise
from dbcustody.api.database import Connection, Environment
from dbcustody.api.meta import ObjectRef
from dbcustody.api.policy import Algorithm, Compression, Level, LocaleFallback, Retention, RowCounts
from dbcustody.cli.bounds import LARGEST_PARALLELISM
from dbcustody.errors import DbcustodyError, InvalidSpecError
from dbcustody.repository.layout import check_custody_id, check_key_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEY_ID: Final = "env"
"""The key id of BACKUP_ENCRYPTION_KEY unless BACKUP_ENCRYPTION_KEY_ID says otherwise."""
CONNECTION: Final = Connection(secret_ref=ObjectRef(name="environment"))
"""The connection as a Database would have it: everything comes from the variables."""
LONGEST_WAIT_SECONDS: Final = 7 * 86_400

Choice = TypeVar("Choice", bound=StrEnum)

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_DATABASE_VARIABLES: Final = (
    "DATABASE_URL",
    "PGHOST",
    "PGPORT",
    "PGUSER",
    "PGPASSWORD",
    "PGDATABASE",
    "PGSSLMODE",
    "PGSSLROOTCERT",
    "PGTARGETSESSIONATTRS",
)
_OTHER_REMEDY: Final = re.compile(r" or set `spec\.[^`]*`|; name them in `spec\.[^`]*`")
"""What helps with a Database resource, and is no help here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standalone:
    """Everything that the stand-alone commands are told; exactly one of *directory* and *bucket* is given."""

    database: Recognised | None
    """None: not said, and the command does not need it because the custody id is."""
    custody_id: str | None
    directory: str | None
    bucket: S3Settings | None
    keyring: Keyring | None
    """None: encryption was declined in words."""
    compression: Compression
    parallelism: int
    """How many streams of rows; more than one pays on a server with idle cores."""
    level: Level
    test_server: Recognised | None
    """Where throw-away databases may be made for restore tests; None: nowhere."""
    locale_fallback: LocaleFallback
    row_counts: RowCounts
    retention: Retention
    time_zone: str
    wait_seconds: int
    """How long another backup or a migration of the same database is waited for."""
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

    def check(self, name: str, judge: Callable[[str], object], text: str) -> bool:
        """Return whether *judge* takes *text*, and remember its complaint."""
        try:
            judge(text)
        except InvalidSpecError as error:
            self.problems.append(f"{name}: {error.message.partition(': ')[2]}")
            return False
        return True

    def choice(self, name: str, kind: type[Choice], default: Choice) -> Choice:
        """Return the member of *kind* that the variable names, whatever its case."""
        text = self.text(name)
        if text is None:
            return default
        by_word = {member.value.lower(): member for member in kind}
        if text.lower() not in by_word:
            self.problems.append(f"{name}: must be one of {', '.join(member.value for member in kind)}")
        return by_word.get(text.lower(), default)


def read_standalone(variables: Mapping[str, str], *, needs_database: bool = True) -> Standalone:
    """Return the settings that *variables* (the process's environment) hold.

    A command that only looks into the storage needs no database as long as the custody id is given. Raises InvalidSpecError with every
    problem in one message, a line each.
    """
    reader = _Reader(variables)
    directory, has_bucket = reader.text("BACKUP_DIR"), reader.text("BACKUP_S3_BUCKET") is not None
    if (directory is None) is not has_bucket:
        reader.problems.append("BACKUP_DIR, BACKUP_S3_BUCKET: exactly one must be set")
    custody_id = reader.text("DBCUSTODY_CUSTODY_ID")
    if custody_id is not None:
        reader.check("DBCUSTODY_CUSTODY_ID", check_custody_id, custody_id)
    settings = Standalone(
        database=_read_database(reader, is_needed=needs_database or custody_id is None),
        custody_id=custody_id,
        directory=directory,
        bucket=_read_bucket(reader),
        keyring=_read_keyring(reader),
        compression=_read_compression(reader),
        parallelism=reader.number("BACKUP_PARALLELISM", default=1, least=1, most=LARGEST_PARALLELISM),
        level=reader.choice("BACKUP_VERIFICATION", Level, Level.READ),
        test_server=_read_server(reader, "RESTORE_TEST_URL"),
        locale_fallback=reader.choice("RESTORE_TEST_LOCALE_FALLBACK", LocaleFallback, LocaleFallback.FAIL),
        row_counts=reader.choice("BACKUP_ROW_COUNTS", RowCounts, RowCounts.EXACT),
        retention=_read_retention(reader),
        time_zone=_read_time_zone(reader),
        wait_seconds=reader.number("BACKUP_WAIT_SECONDS", default=3600, least=0, most=LONGEST_WAIT_SECONDS),
        client_directories=tuple(filter(None, (reader.text("DBCUSTODY_CLIENTS") or "").split(":"))),
    )
    if reader.problems:
        raise InvalidSpecError("\n".join(reader.problems))
    return settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrating:
    """What the commands that migrate are told: no storage is needed for them."""

    database: Recognised
    custody_id: str | None


def read_migrating(variables: Mapping[str, str]) -> Migrating:
    """Return the settings of the commands that migrate; raises InvalidSpecError with every problem in one message, a line each."""
    reader = _Reader(variables)
    custody_id = reader.text("DBCUSTODY_CUSTODY_ID")
    if custody_id is not None:
        reader.check("DBCUSTODY_CUSTODY_ID", check_custody_id, custody_id)
    database = _read_database(reader, is_needed=True)
    if reader.problems or database is None:
        raise InvalidSpecError("\n".join(reader.problems))
    return Migrating(database=database, custody_id=custody_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Laptop:
    """What the commands of a developer are told beside the database."""

    environment: Environment | None
    """How much is at stake; None: nobody says."""
    dev_database: Recognised | None
    """A server where throw-away databases may be made; None: one is started."""
    seed_command: str | None
    """What a shell is to run to fill the database; None: nothing."""
    programs: tuple[str, ...]
    """Folders that may hold `initdb` and `postgres` of some major version, looked into before all others."""


def read_laptop(variables: Mapping[str, str]) -> Laptop:
    """Return the settings of a developer's commands; raises InvalidSpecError with every problem in one message, a line each."""
    reader = _Reader(variables)
    environment = None
    if reader.text("DBCUSTODY_ENVIRONMENT") is not None:
        environment = reader.choice("DBCUSTODY_ENVIRONMENT", Environment, Environment.PRODUCTION)
    laptop = Laptop(
        environment=environment,
        dev_database=_read_server(reader, "DBCUSTODY_DEV_DATABASE_URL"),
        seed_command=reader.text("DBCUSTODY_SEED_COMMAND"),
        programs=tuple(filter(None, (reader.text("DBCUSTODY_SERVERS") or "").split(":"))),
    )
    if reader.problems:
        raise InvalidSpecError("\n".join(reader.problems))
    return laptop


def _read_bucket(reader: _Reader) -> S3Settings | None:
    bucket = reader.text("BACKUP_S3_BUCKET")
    if bucket is None:
        return None
    access_key_id, secret_access_key, session_token = _read_credentials(reader)
    try:
        return S3Settings(
            bucket=bucket,
            prefix=(reader.text("BACKUP_S3_PREFIX") or "").strip("/"),
            region=reader.text("BACKUP_S3_REGION") or reader.text("AWS_REGION") or reader.text("AWS_DEFAULT_REGION"),
            endpoint=reader.text("BACKUP_S3_ENDPOINT"),
            ca_file=reader.text("BACKUP_S3_CA_FILE") or reader.text("AWS_CA_BUNDLE"),
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            session_token=session_token,
        )
    except InvalidSpecError as error:
        reader.problems.append(f"BACKUP_S3_*: {error.message}")
        return None


def _read_credentials(reader: _Reader) -> tuple[str | None, str | None, str | None]:
    """Return access key id, secret and session token: our own, else AWS's; never one half of each. None means: the ambient ones."""
    own = any(reader.text(f"BACKUP_S3_{half}") for half in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    prefix = "BACKUP_S3" if own else "AWS"
    return (
        reader.text(f"{prefix}_ACCESS_KEY_ID"),
        reader.text(f"{prefix}_SECRET_ACCESS_KEY"),
        reader.text(f"{prefix}_SESSION_TOKEN"),
    )


def _read_database(reader: _Reader, *, is_needed: bool) -> Recognised | None:
    found = {name: text for name in _DATABASE_VARIABLES if (text := reader.text(name)) is not None}
    if "DATABASE_URL" in found:
        found = {"DATABASE_URL": found["DATABASE_URL"]}
    elif "PGDATABASE" not in found:
        if is_needed:
            reader.problems.append(
                "DATABASE_URL: is missing; must be a URL such as postgresql://app@db.example.com:5432/shop, the password behind the user"
            )
        return None
    try:
        return _recognise("DATABASE_URL" if "DATABASE_URL" in found else "PG*", found)
    except InvalidSpecError as error:
        reader.problems.append(error.message)
        return None


def _read_server(reader: _Reader, name: str) -> Recognised | None:
    url = reader.text(name)
    if url is None:
        return None
    try:
        return recognise_url(name, url)
    except InvalidSpecError as error:
        reader.problems.append(error.message)
        return None


def recognise_url(name: str, url: str) -> Recognised:
    """Return where *url* leads, as DATABASE_URL would; raises InvalidSpecError that calls it *name*."""
    return _recognise(name, {"DATABASE_URL": url})


def _recognise(name: str, found: Mapping[str, str]) -> Recognised:
    try:
        return recognise(found, CONNECTION)
    except DbcustodyError as error:
        said = error.message.removeprefix(f"Secret {CONNECTION.secret_ref.name!r}: ")
        raise InvalidSpecError(f"{name}: {_OTHER_REMEDY.sub('', said)}") from error


def _read_keyring(reader: _Reader) -> Keyring | None:
    key = reader.text("BACKUP_ENCRYPTION_KEY")
    if not reader.flag("BACKUP_ENCRYPTION_ENABLED", default=True):
        return None
    if key is None:
        reader.problems.append(
            "BACKUP_ENCRYPTION_KEY: is missing; must be 32 random bytes in base64 (`head -c 32 /dev/urandom | base64`); "
            "to write backups that anybody can read, set BACKUP_ENCRYPTION_ENABLED=false"
        )
        return None
    key_id = reader.text("BACKUP_ENCRYPTION_KEY_ID") or KEY_ID
    if not reader.check("BACKUP_ENCRYPTION_KEY_ID", check_key_id, key_id):
        return None
    try:
        return make_keyring({key_id: key.encode()}, key_id)
    except DbcustodyError as error:
        reader.problems.append(f"BACKUP_ENCRYPTION_KEY: {error.message.removeprefix(f'key {key_id!r}: ')}")
        return None


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


def _read_time_zone(reader: _Reader) -> str:
    name = reader.text("BACKUP_TIME_ZONE") or "Etc/UTC"
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        reader.problems.append("BACKUP_TIME_ZONE: must be a name such as Europe/Copenhagen")
    return name
