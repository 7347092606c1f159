"""A database of developers begins anew: dropped and made again as it was, or emptied where its role may not make one.

Its owner, rights, settings and locale stay in either way, and so do the extensions that no migration creates: only a superuser may have
been able to make them. What cannot be made again is found out before anything is dropped, and whoever is killed on the way has lost nothing
else than contents.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbcustody.adapters.postgres import MIGRATION_LOCKS, DatabaseLock, connect
from dbcustody.adapters.postgres.bookkeeping import read_version
from dbcustody.adapters.postgres.demolition import (
    Contents,
    Installed,
    clear,
    create,
    disconnect,
    read_contents,
    read_inhabitants,
)
from dbcustody.adapters.postgres.seedbook import find_operator
from dbcustody.adapters.postgres.surroundings import read_database
from dbcustody.codec import decode
from dbcustody.errors import RefusedError
from dbcustody.jobs.remaking import make_beside, take_left, take_place
from dbcustody.migration.extension import made_extensions
from dbcustody.reason import Reason
from dbcustody.repository.catalogue import DatabaseFacts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.jobs.migration import MigrationOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a reset would take away, and how."""

    contents: Contents
    kept: tuple[Installed, ...]
    """The extensions that no migration creates: they are there afterwards, too."""
    is_whole: bool
    """Whether the database is dropped and made again; otherwise what its role owns in it is."""
    operator: str | None
    """The resource in a cluster that has migrated this database; None: none ever did."""


def survey(order: MigrationOrder) -> Survey | None:
    """Return what a reset of the database of *order* would take away; None when there is no such database. Writes nothing."""
    try:
        session = connect(order.target)
    except RefusedError as error:
        if error.reason is Reason.DATABASE_MISSING:
            return None
        raise
    with session:
        contents = read_contents(session)
        operator = find_operator(session) if read_version(session) is not None else None
    made = made_extensions(order.scripts)
    kept = tuple(one for one in contents.extensions if one.name not in made)
    is_whole = (
        contents.is_droppable
        and order.target.database != order.maintenance_database
        and all(one.is_makeable for one in kept)
    )
    return Survey(contents=contents, kept=kept, is_whole=is_whole, operator=operator)


def make_database(order: MigrationOrder) -> None:
    """Make the database of *order*, which is not there; raises RefusedError (PrivilegesMissing) when the role may not.

    A reset that was killed when the old one was dropped already left one that is as that was: it takes the name.
    """
    with connect(order.target.at(order.maintenance_database)) as session:
        if not take_left(session, order.target.database):
            create(session, order.target.database)


def renew(order: MigrationOrder, found: Survey, *, disconnects: bool) -> None:
    """Take away what is in the database of *order*, which *found* describes; afterwards it is empty, and has no ledger.

    A backup, a migration or a swap of the same database is waited for. Raises RefusedError (SessionsHeld) naming who is in it, unless
    *disconnects*, UnavailableError (DatabaseBusy), InterruptedRunError: then nothing was dropped.
    """
    with connect(order.target) as session, _alone(order, session, disconnects=disconnects):
        if not found.is_whole:
            clear(session, [one.name for one in found.contents.extensions if one not in found.kept])
            return
        facts = decode(DatabaseFacts, read_database(session))
        make_beside(order, facts, found.kept)
    take_place(order, facts.name, by_force=disconnects)


@contextmanager
def _alone(order: MigrationOrder, session: Session, *, disconnects: bool) -> Iterator[None]:
    """Hold the lock of migrations in *session* while the block runs, with nobody else in the database when it begins."""
    lock = DatabaseLock(session, custody_id=order.custody_id, maintenance_database=order.maintenance_database)
    with lock:
        lock.acquire(
            MIGRATION_LOCKS,
            wait_seconds=order.lock_wait_seconds,
            stop=order.stop,
            waiting=lambda holder: order.say(f"waits for the database lock, which {holder or 'somebody'} holds"),
        )
        _require_alone(session, disconnects=disconnects)
        yield


def _require_alone(session: Session, *, disconnects: bool) -> None:
    """End the other sessions, or raise RefusedError (SessionsHeld) with their names."""
    others = read_inhabitants(session)
    if others and not disconnects:
        message = f"in use by {', '.join(map(str, others))}; nothing was dropped. End them, or say --disconnect"
        raise RefusedError(message, reason=Reason.SESSIONS_HELD)
    disconnect(session, others)
