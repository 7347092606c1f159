"""What was broken off is cleared away, never under the hands of somebody who builds it: to the catalogue both look the same."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.failure import translated
from dbcustody.adapters.postgres.lookout import Lookout
from dbcustody.adapters.postgres.migrating import forget, limit
from dbcustody.adapters.postgres.obstruction import find_builders, find_older
from dbcustody.adapters.postgres.probing import CutShortError, clear, find_remnants, tables_of
from dbcustody.errors import InterruptedRunError, UnavailableError
from dbcustody.jobs.desk import wait_until_none
from dbcustody.migration.patience import Limits
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from dbcustody.adapters.postgres.obstruction import Blocker
    from dbcustody.adapters.postgres.probing import Remnant
    from dbcustody.jobs.desk import Desk
    from dbcustody.migration.trace import Trace

OLD_SECONDS: Final = 1.0
"""A transaction that is older than this is waited for before a statement begins that would wait for it half done."""
_GRACE_SECONDS: Final = 5
"""How long one who was told to stop clears away what his own statement left: it takes a moment where nobody is in the way."""


def require_going_on(desk: Desk, what: str) -> None:
    """Raise InterruptedRunError when it is to stop before *what* begins."""
    if desk.stop.is_set():
        raise InterruptedRunError(f"{what}: was told to stop before it began")


def wait_for_older(desk: Desk, what: str, *, needed: Collection[int] = (), tables: Collection[int] = ()) -> None:
    """Wait until no old transaction is left that *what* would wait for half done, as all that touched *tables* (OIDs).

    Of its tables, *needed*, it waits for prepared transactions, too.
    Raises as `wait_until_none`.
    """

    def look() -> tuple[Blocker, ...]:
        return find_older(desk.beside, seconds=OLD_SECONDS, stop=desk.stop, needed=list(needed), tables=list(tables))

    wait_until_none(desk, what, look)


def wait_for_builders(desk: Desk, what: str, trace: Trace, *, but: Collection[int] = ()) -> None:
    """Wait until nobody builds what a statement with *trace* would leave; raises as `wait_until_none`."""
    wait_until_none(
        desk,
        what,
        lambda: find_builders(
            desk.session, [one.table for one in find_remnants(desk.session, trace) if one.index not in but]
        ),
    )


def clear_away(desk: Desk, what: str, trace: Trace, *, but: Collection[int] = ()) -> None:
    """Clear away what a statement with *trace* left, except the indexes *but* (OIDs), once nobody builds it or is in the way.

    Raises as `wait_until_none`, and so, too, when it takes longer than a statement may, or is cut short because it is to stop; what is left
    stays for the next run.
    """
    doing = f"{what}: clearing away what was broken off"
    wait_for_older(desk, doing, tables=tables_of(desk.session, trace, but=but))
    wait_for_builders(desk, doing, trace, but=but)
    is_stopping = desk.stop.is_set()
    seconds = _GRACE_SECONDS if is_stopping else desk.limits.statement_timeout_seconds
    with Lookout(desk.session, desk.beside, desk.stop) as lookout, lookout.on_duty() as watch:
        try:
            with _limited(desk, seconds), nullcontext() if is_stopping else lookout.cutting():
                clear(desk.session, trace, but=but)
        except CutShortError as error:
            raise _told_as(desk, doing, error, watch.seen) from error


@contextmanager
def _limited(desk: Desk, seconds: int) -> Iterator[None]:
    """Let no statement of the block take longer than *seconds*; 0: as long as it likes."""
    try:
        with translated("limit how long it may take", otherwise=Reason.MIGRATION_FAILED):
            limit(desk.session, Limits(lock_timeout_milliseconds=0, statement_timeout_seconds=seconds), local=False)
        yield
    finally:
        forget(desk.session)


def _told_as(desk: Desk, doing: str, error: CutShortError, seen: tuple[Blocker, ...]) -> UnavailableError:
    """Return what it means that clearing away was cut short by *error* while those *seen* were in the way."""
    if desk.stop.is_set():
        return InterruptedRunError(f"{doing}: was told to stop; what is left stays for the next run to clear away")
    who = str(seen[0]) if seen else "somebody who just let go"
    message = f"{doing}: {error.message}; in the way: {who}; end that, or run the migration later, which clears it away"
    return UnavailableError(message, reason=Reason.LOCK_NOT_OBTAINED)


def told(remnants: Iterable[Remnant]) -> str:
    """Return for people which invalid indexes stand, and what helps."""
    names = ", ".join(str(one) for one in remnants)
    return f"invalid indexes stand since before it began, and stay: {names}; DROP INDEX takes them away"
