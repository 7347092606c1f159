"""The Jobs that let one database take another's place, take that back, find out what became of it, and drop what was put away.

Connections are refused in a statement of its own, everything else happens in one transaction: whatever is killed in between, the server
holds either the untouched database, at worst shut, or the complete new one. What is shut is opened again by whoever looks next.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres import MIGRATION_LOCKS, DatabaseLock, PostgresTarget, connect
from dbcustody.adapters.postgres.cancellation import cancelled_by
from dbcustody.adapters.postgres.inspection import read_server
from dbcustody.adapters.postgres.landing import drop_database
from dbcustody.adapters.postgres.lock import hold_swap
from dbcustody.adapters.postgres.session import Session
from dbcustody.adapters.postgres.swapping import (
    Exchange,
    Place,
    allow_connections,
    empty,
    exchange,
    find_place,
    held,
    read_occupants,
    shut,
)
from dbcustody.api.restore import OldDatabase, RestoreProgress, RestoreStage
from dbcustody.contract import Verb
from dbcustody.errors import DbcustodyError, RefusedError
from dbcustody.facts import RestoreFacts
from dbcustody.jobs.chosen import refuse_erased, terms_of
from dbcustody.jobs.newdatabase import find_begun
from dbcustody.jobs.replacement import Marked, find_live, find_marked, old_database, read_facts, replace_terms
from dbcustody.jobs.tools import check_stop, database_of
from dbcustody.jobs.verdict import fail, give
from dbcustody.plan.imprint import before_kept, kept, put_back, swapped_in
from dbcustody.plan.replacement import confirmation, kept_name, refusal_of
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.adapters.postgres.lock import Holder
    from dbcustody.contract import JobRequest, JobResult
    from dbcustody.jobs.tools import Tools

EMPTYING_SECONDS: Final = 10.0
"""How long sessions have to end once they were told to; the server waits for them another 5 s in the transaction."""
LOCK_SECONDS: Final = 3600.0
"""How long a dump or a migration of the database is waited for."""
SETTLING_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapOrder:
    """What is to take which place, and who hears of it."""

    server: PostgresTarget
    """The maintenance database, as the role that restores."""
    live: PostgresTarget
    custody_id: str
    """Of the live database: whoever dumps or migrates it looks for our lock under that."""
    mark: str
    keep_old_seconds: int
    database_name: str = ""
    """Of the Database, as it is confirmed."""
    confirm: str = ""
    """What was confirmed; nothing is swapped without it."""
    undoes: str | None = None
    source: str = ""
    """The backup's identity; empty when a swap is taken back."""
    replay: Callable[[Session], None] = lambda _: None
    """Called in a database that is put back before anybody may enter it; what it raises leaves everything as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swapped:
    """What came of a swap."""

    place: Place
    """The database that took the place."""
    old: OldDatabase | None


def run(request: JobRequest, tools: Tools) -> JobResult:
    """Return what came of the verb of *request*: swap, or drop-replaced.

    swap: Swapped, or Adopted when it was done before. Raises SessionsHeld, SwapFailed, DatabaseBusy, NothingToUndo, and the errors of
    the connection: then the live database is what it was, and open, as far as the server could be told.
    """
    return (_drop if request.verb is Verb.DROP_REPLACED else _swap)(request, tools)


def _swap(request: JobRequest, tools: Tools) -> JobResult:
    refuse_erased(request, tools)
    order = swap_order(request, tools)
    done = swap(order, tools)
    message = (
        f"{done.place.name} is what was restored"
        if order.undoes is None
        else f"{done.place.name} is what it was before"
    )
    facts = RestoreFacts(is_handed_over=True, old_database=done.old, oid=done.place.oid)
    return give(request.verb, Reason.SWAPPED, message, restore=facts)


def swap_order(request: JobRequest, tools: Tools) -> SwapOrder:
    """Return what *request* asks for."""
    terms, live = replace_terms(request), tools.target(request.verb)
    asked = request.restore
    assert asked is not None  # noqa: S101 - its part was just read
    return SwapOrder(
        server=live.at(database_of(request).connection.maintenance_database),
        live=live,
        database_name=request.database_name or "",
        confirm=terms.confirm,
        custody_id=terms.custody_id,
        mark=asked.mark,
        keep_old_seconds=terms.keep_old_seconds,
        undoes=terms.undoes,
        source=asked.backup_id or "",
    )


def swap(order: SwapOrder, tools: Tools) -> Swapped:
    """Return what took the place of the live database; see `run` for what is raised."""
    with connect(order.server) as session:
        found = find_marked(session, order.mark)
        if found.swapped is not None:
            return _done(found)
        with _alone(session, order, tools):
            try:
                _swap_alone(session, order, tools)
            except BaseException:
                _undo(order)
                raise
        return _done(find_marked(session, order.mark))


def _done(found: Marked) -> Swapped:
    place = found.swapped
    assert place is not None  # noqa: S101 - whoever calls has seen it
    return Swapped(place=place, old=old_database(found))


@contextmanager
def _alone(session: Session, order: SwapOrder, tools: Tools) -> Iterator[None]:
    """Hold the custody's lock in the maintenance database while the block runs; dumps and migrations end first."""

    def waiting(holder: Holder | None) -> None:
        who = str(holder) if holder is not None else "the database lock"
        _tell(tools, "Waiting", waiting_for=who[:200])

    maintenance = order.server.database
    with (
        connect(order.live) as inside,
        DatabaseLock(inside, custody_id=order.custody_id, maintenance_database=maintenance) as lock,
    ):
        lock.acquire(MIGRATION_LOCKS, wait_seconds=LOCK_SECONDS, stop=tools.stop, waiting=waiting)
        hold_swap(session, order.custody_id)
    yield


def _swap_alone(session: Session, order: SwapOrder, tools: Tools) -> None:
    found, live = find_marked(session, order.mark), find_live(session, order.live)
    _require_confirmed(session, order, live)
    incoming = _prepare(session, order, found, live)
    facts = read_facts(session, live.name)
    now = tools.now()
    until = now + timedelta(seconds=order.keep_old_seconds)
    wanted = Exchange(
        outgoing=live,
        incoming=incoming,
        kept_name=kept_name(live.name, order.mark),
        facts=facts,
        comment=_comment(order, live, incoming),
        kept_comment=kept(now, until, order.mark, live.comment),
    )
    _require_endable(session, live)
    check_stop(tools)
    _tell(tools, "Swapping")
    allow_connections(session, live, allowed=False)
    empty(session, live, patience_seconds=EMPTYING_SECONDS, stop=tools.stop)
    empty(session, incoming, patience_seconds=EMPTYING_SECONDS, stop=tools.stop)
    check_stop(tools)
    _exchange(session, wanted, tools)


def _exchange(session: Session, wanted: Exchange, tools: Tools) -> None:
    """Let the two change places; a statement that waits for a lock is broken off when told to stop, for nobody is served meanwhile."""
    try:
        with cancelled_by(tools.stop, session):
            exchange(session, wanted)
    except DbcustodyError:
        check_stop(tools)
        raise


def _require_confirmed(session: Session, order: SwapOrder, live: Place) -> None:
    """Raise RefusedError (NotConfirmed) when the live database is another than when the plan was made, on this server or another."""
    wanted = confirmation(order.database_name, read_server(session).system_identifier, live.oid)
    if wanted is None or order.confirm != wanted:
        message = refusal_of(order.confirm, wanted or f"{live.name} on a server that the role may not know")
        raise RefusedError(f"swap of {live.name}: {message}", reason=Reason.NOT_CONFIRMED)


def _require_endable(session: Session, live: Place) -> None:
    """Raise RefusedError (SessionsHeld) before anybody is refused when somebody could not be sent away."""
    stay = tuple(one for one in read_occupants(session, live.oid) if not one.may_be_ended)
    if stay:
        raise held(live, stay)


def _comment(order: SwapOrder, live: Place, incoming: Place) -> str:
    if order.undoes is not None:
        return put_back(before_kept(incoming.comment), order.mark, order.undoes)
    return swapped_in(live.comment, order.source, order.mark)


def _prepare(session: Session, order: SwapOrder, found: Marked, live: Place) -> Place:
    """Return the database that takes the place of *live*; raises RefusedError when it is not there, or meant for another's place."""
    if order.undoes is not None:
        return _prepare_kept(session, order, live)
    if found.waiting is None or found.replaces_oid is None:
        raise RefusedError(f"swap of {live.name}: what was restored for it is not there", reason=Reason.SWAP_FAILED)
    if found.replaces_oid != live.oid:
        raise RefusedError(
            f"swap of {live.name}: it is another database than when its backup was restored; file a new request",
            reason=Reason.SWAP_FAILED,
        )
    return found.waiting


def _prepare_kept(session: Session, order: SwapOrder, live: Place) -> Place:
    """Let the role that restores, and nobody else, into the database that was put away, and replay there what has to be."""
    undone = find_marked(session, order.undoes or "")
    place = undone.kept
    if place is None or undone.swapped is None or undone.swapped.oid != live.oid:
        raise RefusedError(
            f"undo of {live.name}: what was put away is not there, or another database runs in its place now; restore a backup",
            reason=Reason.NOTHING_TO_UNDO,
        )
    shut(session, place, read_facts(session, place.name), order.live.user)
    with connect(order.live.at(place.name)) as inside:
        order.replay(inside)
    return replace(place, is_open=True)


def _undo(order: SwapOrder) -> None:
    """Open the live database again unless the swap was done after all; in a session of its own, for the other may be what failed."""
    with connect(order.server) as session:
        settle(session, order)


def settle(session: Session, order: SwapOrder) -> Marked:
    """Return what the server remembers once the live database is open again, if it was shut for a swap that did not come about."""
    found = find_marked(session, order.mark)
    if found.swapped is not None:
        return found
    live = find_place(session, name=order.live.database)
    if live is not None and not live.is_open:
        allow_connections(session, live, allowed=True)
    if order.undoes is not None:
        kept_place = find_marked(session, order.undoes).kept
        if kept_place is not None and kept_place.is_open:
            allow_connections(session, kept_place, allowed=False)
    return found


def settle_replace(request: JobRequest, tools: Tools) -> JobResult:
    """Return whether the swap was done; the live database is open then, and what is half-done is dropped.

    Waits for a swap that is still under way somewhere. Swapped: exit code 0 with the facts. JobLost, with exit code 0: it was not done.
    """
    order = swap_order(request, tools)
    with connect(order.server) as session:
        hold_swap(session, order.custody_id, wait_seconds=SETTLING_SECONDS, stop=tools.stop)
        found = settle(session, order)
        if found.swapped is not None:
            facts = RestoreFacts(is_handed_over=True, old_database=old_database(found), oid=found.swapped.oid)
            return give(request.verb, Reason.SWAPPED, f"{found.swapped.name} was swapped in", restore=facts)
        left, begun = "nothing was made", find_begun(session, terms_of(request).database, order.mark)
        waiting = found.waiting.oid if found.waiting is not None else begun
        if waiting is not None:
            drop_database(session, waiting)
            left = "what was restored is dropped"
    lost = fail(
        request.verb,
        Reason.JOB_LOST,
        f"{order.live.database}: is what it was, and open; {left}",
        restore=RestoreFacts(),
    )
    return replace(lost, exit_code=ExitCode.DONE)


def _drop(request: JobRequest, tools: Tools) -> JobResult:
    """Drop what was put away for the request, if it is still there."""
    order = swap_order(request, tools)
    with connect(order.server) as session:
        found = find_marked(session, order.mark)
        if found.kept is not None:
            drop_database(session, found.kept.oid)
    facts = RestoreFacts(is_handed_over=True)
    return give(request.verb, Reason.SWAPPED, "the old database is dropped", restore=facts)


def _tell(tools: Tools, summary: str, *, waiting_for: str | None = None) -> None:
    tools.report(
        RestoreProgress(stage=RestoreStage.SWAPPING, summary=summary, waiting_for=waiting_for, updated_time=tools.now())
    )
