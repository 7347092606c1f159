"""The sitting of a dump with its server: sessions, client, rights and the lock under which only one dump at a time works on a database."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dbcustody.adapters.postgres import (
    BACKUP_LOCKS,
    Client,
    DatabaseLock,
    PostgresTarget,
    choose_client,
    connect,
    find_clients,
    session_options,
    translated,
)
from dbcustody.adapters.postgres.inspection import MissingRights, ServerFacts, read_missing_rights, read_server
from dbcustody.adapters.postgres.session import Session
from dbcustody.api.backup import Progress, Stage
from dbcustody.contract import Verb
from dbcustody.errors import RefusedError, UnavailableError
from dbcustody.jobs.inspection import describe_missing
from dbcustody.jobs.tools import custody_id_of, database_of
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.adapters.postgres import Holder
    from dbcustody.api.policy import CaptureOptions
    from dbcustody.contract import JobRequest
    from dbcustody.jobs.tools import Tools

_APPLICATION_LENGTH = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """Everything that a dump needs of the server; *coordinator* holds the locks, *observer* looks on."""

    target: PostgresTarget
    client: Client
    server: ServerFacts
    missing: MissingRights
    coordinator: Session
    observer: Session


@contextmanager
def sit_down(request: JobRequest, options: CaptureOptions, tools: Tools) -> Iterator[Sitting]:
    """Connect, make sure that the dump can succeed, and hold the database's backup lock while the block runs.

    Raises the reasons of the Secret and the connection; VersionUnsupported, PrivilegesMissing (with the statement that helps); Skipped
    when the lock is not had within the options' starting deadline, InterruptedRunError when told to stop before that.
    """
    target = _named(tools.target(Verb.BACKUP), request, tools)
    tools.report(Progress(stage=Stage.CONNECTING, summary="Connecting", waiting_for=None, updated_time=tools.now()))
    what = f"dump {target.endpoint}"
    with (
        translated(what, otherwise=Reason.CONNECTION_LOST),
        connect(target) as coordinator,
        connect(target, direct=False) as observer,
    ):
        observer.execute(f"set lock_timeout = '{options.lock_wait_seconds}s'")
        server = read_server(coordinator)
        client = choose_client(find_clients(tools.clients), server.major_version, server=target.endpoint)
        missing = read_missing_rights(coordinator)
        if missing.refuses_dump and not (options.tables.include or options.tables.exclude):
            raise RefusedError(
                f"{describe_missing(missing)}: {'; '.join(missing.statements()[:3])}", reason=Reason.PRIVILEGES_MISSING
            )
        with _locked(coordinator, request, options, tools):
            yield Sitting(
                target=replace(target, options=session_options(coordinator)),
                client=client,
                server=server,
                missing=missing,
                coordinator=coordinator,
                observer=observer,
            )


@contextmanager
def _locked(coordinator: Session, request: JobRequest, options: CaptureOptions, tools: Tools) -> Iterator[None]:
    maintenance = database_of(request).connection.maintenance_database
    custody_id = custody_id_of(request)
    with DatabaseLock(coordinator, custody_id=custody_id, maintenance_database=maintenance) as lock:

        def waiting(holder: Holder | None) -> None:
            who = str(holder) if holder is not None else "the database lock"
            tools.report(
                Progress(stage=Stage.WAITING, summary="Waiting", waiting_for=who[:200], updated_time=tools.now())
            )

        try:
            lock.acquire(BACKUP_LOCKS, wait_seconds=options.starting_deadline_seconds, stop=tools.stop, waiting=waiting)
        except UnavailableError as error:
            if error.reason is not Reason.DATABASE_BUSY:
                raise
            raise RefusedError(error.message, reason=Reason.SKIPPED) from error
        yield


def _named(target: PostgresTarget, request: JobRequest, tools: Tools) -> PostgresTarget:
    """Return *target* with a name for its sessions that tells this attempt from any other."""
    mark = f" {tools.attempt[:8]}"
    front = f"dbcustody backup {custody_id_of(request)}"[: _APPLICATION_LENGTH - len(mark)]
    return replace(target, application=front + mark)
