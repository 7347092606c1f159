"""Seeds are carried out under the lock of migrations, each in one transaction with the row of the ledger that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.cancellation import cancelled_by
from dbcustody.adapters.postgres.migrating import StatementFailedError, run_together
from dbcustody.adapters.postgres.seedbook import read_seeds, seed_row
from dbcustody.errors import InterruptedRunError, RefusedError, UnavailableError
from dbcustody.jobs.migration import at_work
from dbcustody.migration.patience import Limits
from dbcustody.migration.seed import choose
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.jobs.desk import Desk
    from dbcustody.jobs.migration import MigrationOrder
    from dbcustody.migration.body import Body

_LIMITS: Final = Limits(lock_timeout_milliseconds=10_000)
"""Nobody else works in such a database, so that one longer wait does instead of many short ones."""
_CANCELLED: Final = "57014"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """Which seeds ran now, and which had run before."""

    ran: tuple[str, ...]
    before: tuple[str, ...]


def sow(order: MigrationOrder, seeds: Sequence[Body], *, again: bool) -> Seeded:
    """Run what of *seeds* has not run yet in the database of *order*; *again*: also what has changed since it ran.

    Raises RefusedError (HistoryBroken) before anything runs when one has changed and *again* was not said, (MigrationFailed) with file and
    line when the server refuses one: then nothing of that one is in; else as `jobs.migration.migrate` does.
    """
    with at_work(order) as desk:
        choice = choose(seeds, read_seeds(desk.session), again=again)
        if choice.changed:
            names = ", ".join(seed.file for seed in choice.changed)
            message = f"{names}: changed since it ran here; nothing was run. Say --again to run it as it is now, or reset the database"
            raise RefusedError(message, reason=Reason.HISTORY_BROKEN)
        for seed in choice.to_run:
            if order.stop.is_set():
                raise InterruptedRunError(f"{seed.file}: was told to stop before it began")
            desk.say(f"{seed.file}: runs")
            _run(order, desk, seed)
    return Seeded(ran=tuple(seed.file for seed in choice.to_run), before=tuple(seed.file for seed in choice.done))


def _run(order: MigrationOrder, desk: Desk, seed: Body) -> None:
    """Run *seed* and write it down, together or not at all."""
    row = seed_row(order.run, (seed.file, seed.checksum, seed.text), (order.tool, order.actor))
    try:
        with cancelled_by(order.stop, desk.session):
            run_together(desk.session, [one.text for one in seed.statements], limits=_LIMITS, last=row)
    except StatementFailedError as error:
        raise _told(order, seed, error) from error


def _told(order: MigrationOrder, seed: Body, error: StatementFailedError) -> Exception:
    refusal = error.refusal
    if order.stop.is_set() and refusal.sqlstate == _CANCELLED:
        return InterruptedRunError(f"{seed.file}: was told to stop; nothing of it is in")
    where = seed.file
    if refusal.ordinal:
        statement = seed.statements[refusal.ordinal - 1]
        where += f": line {statement.place.line + statement.text[: refusal.position or 0].count(chr(10))}"
    message = f"{where}: {error.message}; nothing of it is in"
    if refusal.is_lock:
        return UnavailableError(message, reason=Reason.LOCK_NOT_OBTAINED)
    return RefusedError(message, reason=Reason.MIGRATION_FAILED)
