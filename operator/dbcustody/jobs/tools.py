"""What a Job works with: the same for a pod, where it is built from mounted files, and for the command line, where it comes from settings.

A verb's module takes a request and these tools and gives back a result; where Secrets lie, how progress is shown and what the time is
are decided here and nowhere in the work itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from dbcustody.adapters.keyring import Keyring
from dbcustody.adapters.objectstore import ObjectStore
from dbcustody.adapters.postgres import PostgresTarget
from dbcustody.api.connection import recognise
from dbcustody.api.database import TlsMode
from dbcustody.contract import AnyProgress, Verb
from dbcustody.errors import InterruptedRunError, InvalidSpecError
from dbcustody.migration.layout import LaidFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dbcustody.adapters.objectstore import ObjectEntry
    from dbcustody.api.connection import Recognised
    from dbcustody.api.database import Connection, DatabaseSpec
    from dbcustody.contract import JobRequest

_LOOK_EVERY: Final = 1000
"""Rows of a listing; stores answer with as many at once."""
_AT_ONCE: Final = 8
"""Small objects worked on at once: an answer takes milliseconds in which nothing else happens, and the client has 16 connections."""
Item = TypeVar("Item")
Found = TypeVar("Found")
_SSLMODES = {
    TlsMode.DISABLE: "disable",
    TlsMode.REQUIRE: "require",
    TlsMode.VERIFY_CA: "verify-ca",
    TlsMode.VERIFY_FULL: "verify-full",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the work may touch; each callable reads its files anew, so that a rotated Secret is seen."""

    now: Callable[[], datetime]
    """The time, aware, in UTC."""
    report: Callable[[AnyProgress], None]
    """Tells how far the work is; may be called from any thread and as often as one likes."""
    stop: threading.Event
    """Set when the process is told to end or its time is over; long work checks it and raises InterruptedRunError."""
    attempt: str
    """Names the attempt in the storage: the pod's UID, or a random UUID."""
    job_name: str
    target: Callable[[Verb], PostgresTarget]
    """Where the database is for a verb; raises with SecretNotFound, SecretKeyMissing or ConventionUnknown."""
    store: Callable[[], ObjectStore]
    """Opens the storage; raises the same kinds of error, and the store's own."""
    keyring: Callable[[], Keyring | None]
    """The keys of the storage; None means: a storage without encryption."""
    clients: tuple[Path, ...]
    """Folders that may hold pg_dump and pg_restore of some major version."""
    test_server: Callable[[], PostgresTarget | None] = lambda: None
    """Where throw-away databases may be made; None: nowhere."""
    sources: Callable[[], tuple[LaidFile, ...]] = lambda: ()
    """The files of migrations, as they were given; raises UnavailableError (SourceNotFound) for a ConfigMap that is not there."""


def check_stop(tools: Tools) -> None:
    """Raise InterruptedRunError when the work is to end."""
    if tools.stop.is_set():
        raise InterruptedRunError("the run was told to stop")


def entries_below(store: ObjectStore, prefix: str, tools: Tools) -> Iterator[ObjectEntry]:
    """Yield what *store* lists below *prefix*; raises InterruptedRunError when the work is to end, looking once per page."""
    for number, entry in enumerate(store.entries(prefix)):
        if number % _LOOK_EVERY == 0:
            check_stop(tools)
        yield entry


def side_by_side(do: Callable[[Item], Found], items: Iterable[Item], tools: Tools) -> list[Found]:
    """Return what *do* finds of each of *items*, a few at a time, in their order.

    Raises the first error of *do*, and InterruptedRunError when the work is to end; what was not begun then is not begun any more.
    """

    def look_and_do(item: Item) -> Found:
        check_stop(tools)
        return do(item)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="small") as pool:
        try:
            return list(pool.map(look_and_do, items))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def database_of(request: JobRequest) -> DatabaseSpec:
    """Return the Database that *request* is about; raises InvalidSpecError when it names none."""
    if request.database is None:
        raise InvalidSpecError(f"request {request.verb.value}: database: is missing; must be given")
    return request.database


def custody_id_of(request: JobRequest) -> str:
    """Return the identity in the storage that *request* is about; raises InvalidSpecError when it names none."""
    if request.custody_id is None:
        raise InvalidSpecError(f"request {request.verb.value}: custodyId: is missing; must be given")
    return request.custody_id


def application_name(verb: str, custody_id: str | None) -> str:
    """Return how our sessions call themselves at the server: readable in pg_stat_activity, at most 63 bytes."""
    return f"dbcustody {verb} {custody_id or ''}".strip()[:63]


def find_target(
    files: Mapping[str, str], connection: Connection, *, application: str, ca_file: Path | None = None
) -> PostgresTarget:
    """Return where the database is, from the content of a Secret and what the spec says beside it.

    *ca_file* is the mounted CA, None when the spec names none. Raises the errors of `recognise`.
    """
    return make_target(recognise(files, connection), application=application, ca_file=ca_file)


def make_target(found: Recognised, *, application: str, ca_file: Path | None = None) -> PostgresTarget:
    """Return the target for what was recognised; a mounted CA wins over one that a URL names."""
    return PostgresTarget(
        host=found.host,
        port=found.port,
        database=found.database,
        user=found.user,
        password=found.password.reveal() if found.password else None,
        sslmode=_SSLMODES[found.tls_mode],
        ca_file=str(ca_file) if ca_file else found.ca_file,
        target_session_attributes=found.target_session_attributes,
        application=application,
        convention=found.convention.value,
        hints=found.hints,
    )
