"""The bench of a person, a cron line or a CI step: the same tools and requests as a Job's, made from the variables of the environment.

What the operator would decide from resources is decided here once: under which identity the database's backups lie, how they are called,
and where PostgreSQL's clients are looked for.
"""

from __future__ import annotations

import os
import re
import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.objectstore import S3Store, VolumeStore
from dbcustody.adapters.postgres import find_clients
from dbcustody.api.database import DatabaseSpec
from dbcustody.api.migration import MigrationProgress
from dbcustody.api.policy import CaptureOptions, Level, Verification
from dbcustody.api.storage import S3, AccessMode, BackupStorageSpec, Encryption, Volume
from dbcustody.cli.ending import complain
from dbcustody.cli.environment import CONNECTION, Standalone
from dbcustody.cli.identity import default_custody_id
from dbcustody.contract import AnyProgress, DataProgress, JobRequest, Verb
from dbcustody.errors import InvalidSpecError, RefusedError, UnavailableError
from dbcustody.jobs.mounts import DEBIAN_CLIENTS
from dbcustody.jobs.repeats import Witness, describe
from dbcustody.jobs.tools import Tools, application_name, make_target
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dbcustody.adapters.objectstore import ObjectStore
    from dbcustody.adapters.postgres import PostgresTarget
    from dbcustody.api.connection import Recognised

OWNER: Final = "standalone"
"""In place of a namespace: the custody's birth certificate says that no cluster made it."""
_POOL_PARAMETERS: Final = frozenset(
    {"connection_limit", "pool_timeout", "connect_timeout", "socket_timeout", "pgbouncer"}
)
"""Of a Prisma URL (https://www.prisma.io/docs/orm/overview/databases/postgresql#arguments)."""
_LONGEST_NAME_FRONT: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a stand-alone command works with."""

    settings: Standalone
    custody_id: str
    tools: Tools
    started: datetime
    """When the command began."""

    def request(self, verb: Verb, *, name: str = "", read_only: bool = False) -> JobRequest:
        """Return the request that the operator would write for the same work; *read_only* promises that nothing is written."""
        return JobRequest(
            verb=verb,
            namespace=OWNER,
            name=name,
            owner_uid="",
            custody_id=self.custody_id,
            database_name=self.custody_id,
            database=DatabaseSpec(connection=CONNECTION, custody_id=self.custody_id),
            storage_name="storage",
            storage=_storage_spec(self.settings, read_only=read_only),
            options=_options(self.settings),
            time_zone=self.settings.time_zone,
        )


@contextmanager
def set_up(
    settings: Standalone,
    environ: Mapping[str, str],
    *,
    report: Callable[[DataProgress], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> Iterator[Bench]:
    """Lend the bench for *settings*, with nothing opened yet.

    Afterwards, however the work ended, what had to be asked of the storage again is told on standard error.
    """
    witness = Witness()
    try:
        yield _bench(settings, environ, report=witness.reporting(_shown(report)), stop=stop, witness=witness)
    finally:
        repeats = witness.repeats
        if repeats is not None and repeats.count:
            complain(describe(repeats), kind="note")


def _shown(report: Callable[[DataProgress], None]) -> Callable[[AnyProgress], None]:
    """Return *report* for whoever may tell anything; what migrates says what it does by itself."""
    return lambda progress: None if isinstance(progress, MigrationProgress) else report(progress)


def _bench(
    settings: Standalone,
    environ: Mapping[str, str],
    *,
    report: Callable[[AnyProgress], None],
    stop: threading.Event | None,
    witness: Witness,
) -> Bench:
    custody_id = settings.custody_id or default_custody_id(known_database(settings.database))
    attempt, started = str(uuid.uuid4()), datetime.now(UTC)
    tools = Tools(
        now=lambda: datetime.now(UTC),
        report=report,
        stop=stop or threading.Event(),
        attempt=attempt,
        job_name=backup_name(settings.database, custody_id, attempt=attempt, now=started),
        target=lambda verb: _target(settings, verb, custody_id),
        store=lambda: _open_store(settings),
        keyring=lambda: settings.keyring,
        clients=client_folders(settings, environ),
        test_server=lambda: _test_server(settings, custody_id),
    )
    return Bench(settings=settings, custody_id=custody_id, tools=witness.watching(tools), started=started)


def backup_name(database: Recognised | None, custody_id: str, *, attempt: str, now: datetime) -> str:
    """Return the name of a backup that nobody named: `<database>-<time in UTC>-<four digits>`, different for each run."""
    front = re.sub(r"[^a-z0-9]+", "-", (database.database if database else custody_id).lower())[:_LONGEST_NAME_FRONT]
    return f"{front.strip('-') or 'database'}-{now.astimezone(UTC):%Y%m%dt%H%M%Sz}-{attempt[:4]}"


def client_folders(settings: Standalone, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where PostgreSQL's clients are looked for: in DBCUSTODY_CLIENTS alone, or where Debian puts them and on the PATH."""
    if settings.client_directories:
        return tuple(Path(folder) for folder in settings.client_directories)
    on_path = (Path(folder) for folder in environ.get("PATH", os.defpath).split(":") if folder)
    return (*sorted(DEBIAN_CLIENTS.glob("*/bin")), *(folder for folder in on_path if (folder / "pg_dump").is_file()))


def require_clients(tools: Tools) -> int:
    """Return the newest major of PostgreSQL's clients at hand; raises RefusedError (VersionUnsupported) when there is none."""
    clients = find_clients(tools.clients)
    if not clients:
        looked = ", ".join(str(folder) for folder in tools.clients) or f"{DEBIAN_CLIENTS}/*/bin, PATH"
        raise RefusedError(
            f"pg_dump: none found in {looked}; install PostgreSQL's client programs, or name their folder in DBCUSTODY_CLIENTS",
            reason=Reason.VERSION_UNSUPPORTED,
        )
    return clients[-1].major


def notices(database: Recognised | None) -> tuple[str, ...]:
    """Return what was noticed in the connection's variables, for people: what was changed for safety, and what is ignored."""
    if database is None:
        return ()
    pool = [name for name in database.ignored if name in _POOL_PARAMETERS]
    unknown = [name for name in database.ignored if name not in _POOL_PARAMETERS]
    said = list(database.hints)
    if database.schema:
        said.append(f"schema={database.schema} is where Prisma works; a backup takes every schema")
    if pool:
        said.append(f"{', '.join(pool)}: for Prisma's pool; a backup opens connections of its own")
    if unknown:
        said.append(f"nothing is done about {', '.join(unknown)}")
    return tuple(f"DATABASE_URL: {text}" for text in said)


def known_database(database: Recognised | None) -> Recognised:
    """Return *database*; raises InvalidSpecError when none was named."""
    if database is None:
        raise InvalidSpecError("DATABASE_URL: is missing; must be given, or DBCUSTODY_CUSTODY_ID")
    return database


def _target(settings: Standalone, verb: Verb, custody_id: str) -> PostgresTarget:
    return make_target(known_database(settings.database), application=application_name(verb, custody_id))


def require_test_server(settings: Standalone) -> None:
    """Raise InvalidSpecError when nobody said where a restore test may make its database."""
    if settings.test_server is None:
        raise InvalidSpecError(
            "RESTORE_TEST_URL: is missing; level Restore needs a server where a superuser may make databases and drop them, "
            "such as postgresql://postgres@test.example.com:5432/postgres; not the one that is backed up, because everything is read there"
        )


def _test_server(settings: Standalone, custody_id: str) -> PostgresTarget | None:
    if settings.test_server is None:
        return None
    return make_target(settings.test_server, application=application_name("restore test", custody_id))


def _open_store(settings: Standalone) -> ObjectStore:
    if settings.bucket is not None:
        return S3Store(settings.bucket)
    folder = Path(settings.directory or "")
    if not folder.is_dir():
        raise UnavailableError(
            f"BACKUP_DIR: {folder} is no folder that this user can see; make it, or mount what belongs there",
            reason=Reason.STORAGE_UNREACHABLE,
        )
    return VolumeStore(folder)


def _storage_spec(settings: Standalone, *, read_only: bool) -> BackupStorageSpec:
    keyring = settings.keyring
    spec = BackupStorageSpec(
        encryption=None
        if keyring is None
        else Encryption(keyring_secret_ref=CONNECTION.secret_ref, active_key_id=keyring.active_key_id),
        acknowledge_unencrypted=keyring is None,
        access_mode=AccessMode.READ_ONLY if read_only else AccessMode.READ_WRITE,
    )
    if settings.bucket is not None:
        return replace(spec, s3=S3(bucket=settings.bucket.bucket, prefix=settings.bucket.prefix))
    return replace(spec, volume=Volume(claim_name=OWNER))


def verification_at(level: Level, settings: Standalone) -> Verification:
    """Return how backups are proven at *level*."""
    return Verification(level=level, locale_fallback=settings.locale_fallback)


def _options(settings: Standalone) -> CaptureOptions:
    return CaptureOptions(
        starting_deadline_seconds=settings.wait_seconds,
        compression=settings.compression,
        verification=verification_at(settings.level, settings),
        parallelism=settings.parallelism,
        row_counts=settings.row_counts,
    )
