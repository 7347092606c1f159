"""What swaps left on a server, found by what the databases say of themselves: what is kept, what was broken off, and what was left shut.

A person without a cluster has no operator that asks what became of a swap whose process was killed; this is that question. Everything is
done under the lock of a swap, so that nothing is put right that is still under way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.landing import drop_database
from dbcustody.adapters.postgres.lock import hold_swap, refuse_other_swaps
from dbcustody.adapters.postgres.swapping import Place, read_occupants, read_places
from dbcustody.errors import RefusedError, UnavailableError
from dbcustody.jobs.replacement import find_live, find_marked
from dbcustody.jobs.swap import SETTLING_SECONDS, SwapOrder, settle
from dbcustody.jobs.tools import database_of
from dbcustody.plan.imprint import Imprint, Stage, read_imprints
from dbcustody.plan.invocation import kept_times
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.contract import JobRequest
    from dbcustody.jobs.tools import Tools

_LEFT: Final = frozenset({Stage.UNDER_WAY, Stage.READY, Stage.KEPT})
"""Nobody works with a database that is at one of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A database that a restore made or put away, and that nobody works with."""

    place: Place
    imprint: Imprint

    @property
    def name(self) -> str:
        """What it is called."""
        return self.place.name

    @property
    def is_kept(self) -> bool:
        """Whether another one took its place; otherwise it was to take another's."""
        return self.imprint.stage is Stage.KEPT

    @property
    def kept_since(self) -> datetime | None:
        """A time at which its place was certainly not taken yet; None: it is not kept."""
        times = kept_times(self.imprint)
        return None if times is None else times[0]

    @property
    def kept_until(self) -> datetime | None:
        """When it may be dropped; None: it is not kept."""
        times = kept_times(self.imprint)
        return None if times is None else times[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What was found, and put right."""

    live: str
    is_open: bool
    """Whether the live database lets others in now."""
    opened_for: str | None = None
    """The mark of the swap that had left it shut; None: it was open, or nothing says that a swap shut it."""
    shut_again: tuple[str, ...] = ()
    """Old databases that an undo had left open."""
    left: tuple[Left, ...] = ()


def recover(request: JobRequest, tools: Tools) -> Recovery:
    """Return what was found, once the live database is open again, if a swap had shut it, and old ones shut, if an undo had opened them.

    Raises UnavailableError (DatabaseBusy) when a swap is under way on the server, and the errors of the connection.
    """
    live = tools.target(request.verb)
    server = live.at(database_of(request).connection.maintenance_database)
    with connect(server) as session:
        _exclude_swaps(session, request, tools)
        place, open_before = find_live(session, live), _open_kept(session)
        broken = _broken_off(session, place)
        for imprint in broken:
            mark, undoes = ("", imprint.mark) if imprint.stage is Stage.KEPT else (imprint.mark, None)
            settle(session, SwapOrder(
                server=server, live=live, custody_id=request.custody_id or "", mark=mark, keep_old_seconds=0, undoes=undoes
            ))  # fmt: skip
        now_open = find_live(session, live).is_open
        return Recovery(
            live=place.name,
            is_open=now_open,
            opened_for=broken[0].mark if now_open and not place.is_open else None,
            shut_again=tuple(sorted(open_before - _open_kept(session))),
            left=tuple(read_left(session)),
        )


def find_kept(request: JobRequest, tools: Tools, name: str | None) -> Left:
    """Return the old database *name*, or (None) the one whose place the live database took last.

    Raises RefusedError (NothingToUndo) when there is none.
    """
    live = tools.target(request.verb)
    with connect(live.at(database_of(request).connection.maintenance_database)) as session:
        place = find_live(session, live)
        kept = {one.name: one for one in read_left(session) if one.is_kept}
    if name is not None:
        if name not in kept:
            raise RefusedError(f"{name}: {_none_of(kept)}", reason=Reason.NOTHING_TO_UNDO)
        return kept[name]
    by_mark = {one.imprint.mark: one for one in kept.values()}
    swaps = [one.mark for one in reversed(read_imprints(place.comment)) if one.mark in by_mark]
    if not swaps:
        raise RefusedError(f"{place.name}: {_none_of(kept)}", reason=Reason.NOTHING_TO_UNDO)
    return by_mark[swaps[0]]


def drop_left(request: JobRequest, tools: Tools, name: str) -> Left:
    """Drop the database *name* that a restore made or put away, and return what it was.

    Raises RefusedError when it is no such database, UnavailableError (DatabaseBusy) when somebody is in it or a swap is under way.
    """
    with connect(tools.target(request.verb).at(database_of(request).connection.maintenance_database)) as session:
        _exclude_swaps(session, request, tools)
        found = next((one for one in read_left(session) if one.name == name), None)
        if found is None:
            raise RefusedError(
                f"{name}: is no database that a restore of ours put away or left unfinished; it is not dropped",
                reason=Reason.NOTHING_TO_UNDO,
            )
        if occupants := read_occupants(session, found.place.oid):
            raise UnavailableError(f"{name}: {occupants[0]} is in it; it is not dropped", reason=Reason.DATABASE_BUSY)
        drop_database(session, found.place.oid)
    return found


def read_left(session: Session) -> Iterator[Left]:
    """Yield every database of the server that a restore made or put away, and that nobody works with."""
    for place in read_places(session):
        for imprint in read_imprints(place.comment):
            if imprint.stage in _LEFT:
                yield Left(place=place, imprint=imprint)


def _exclude_swaps(session: Session, request: JobRequest, tools: Tools) -> None:
    hold_swap(session, request.custody_id or "", wait_seconds=SETTLING_SECONDS, stop=tools.stop)
    refuse_other_swaps(session)


def _broken_off(session: Session, live: Place) -> list[Imprint]:
    """Return by what is seen that a swap, or the undo of one, of the database *live* did not come to its end."""
    return [one.imprint for one in read_left(session) if _is_of(session, one, live)]


def _is_of(session: Session, left: Left, live: Place) -> bool:
    if left.is_kept:
        swapped = find_marked(session, left.imprint.mark).swapped
        return left.place.is_open and swapped is not None and swapped.oid == live.oid
    return left.imprint.replaces_oid == live.oid


def _open_kept(session: Session) -> set[str]:
    return {one.name for one in read_left(session) if one.is_kept and one.place.is_open}


def _none_of(kept: dict[str, Left]) -> str:
    there = ", ".join(sorted(kept)) or "none"
    return f"no old database is kept for that, or not any more; kept are: {there}"
