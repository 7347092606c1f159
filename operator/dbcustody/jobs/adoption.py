"""The history of another tool is taken over into our ledger: verified first, as a whole or not at all, and nothing of it runs.

The other tool's table is only ever read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.bookkeeping import read_version, require_known
from dbcustody.adapters.postgres.failure import translated
from dbcustody.adapters.postgres.foreign_history import find_predecessors
from dbcustody.adapters.postgres.ledger import Direction, Ending, add_attempt, add_outcome, read_attempts
from dbcustody.errors import RefusedError
from dbcustody.jobs.aftermath import settle
from dbcustody.jobs.migration import MigrationOrder, at_work, intent_of
from dbcustody.migration.adoption import Adoption, Entry, Proof, weigh
from dbcustody.migration.history import Kind
from dbcustody.migration.layout import Layout
from dbcustody.migration.ledger import State
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.session import Session
    from dbcustody.migration.predecessor import Predecessor


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptionOrder:
    """What is to be taken over: *migration* says where to and how, its scripts are those of *layout*."""

    migration: MigrationOrder
    layout: Layout
    table: str | None = None
    """Where the other tool keeps its history, as `schema.table`; None: where it does by itself."""


def survey(order: AdoptionOrder) -> Adoption:
    """Return what could be taken over, and everything that stands in the way; nothing is written, and nobody waits for it.

    Raises RefusedError (SourceInvalid where there is no such history, or more than one; PrivilegesMissing; LedgerUnknown).
    """
    with connect(order.migration.target) as session:
        version = read_version(session)
        require_known(version)
        return _weigh(order, session, has_ledger=version is not None)


def adopt(order: AdoptionOrder) -> Adoption:
    """Take over what our ledger does not have yet, in one transaction, under the lock of migrations; return what was found.

    Raises as `survey` does, RefusedError (HistoryBroken, NeedsResolution) with every contradiction, and as `jobs.migration.migrate` does.
    """
    require_consistent(survey(order))
    with at_work(order.migration) as desk:
        settle(desk)
        adoption = _weigh(order, desk.session, has_ledger=True)
        require_consistent(adoption)
        with (
            translated("write down what was taken over", otherwise=Reason.MIGRATION_FAILED),
            desk.session.transaction(),
        ):
            for entry in adoption.new:
                attempt = add_attempt(desk.session, intent_of(order.migration, entry.script, Direction.MARK))
                add_outcome(desk.session, attempt, _ending(order.migration, adoption.predecessor, entry))
    return adoption


def require_consistent(adoption: Adoption) -> None:
    """Raise RefusedError with everything that contradicts: NeedsResolution where a migration failed there, else HistoryBroken."""
    if not adoption.differences:
        return
    has_failed = any(one.kind is Kind.PARTIAL for one in adoption.differences)
    raise RefusedError(
        "; ".join(f"{one.kind.value}: {one}" for one in adoption.differences) + "; nothing was taken over",
        reason=Reason.NEEDS_RESOLUTION if has_failed else Reason.HISTORY_BROKEN,
    )


def _weigh(order: AdoptionOrder, session: Session, *, has_ledger: bool) -> Adoption:
    predecessor = _only(order, find_predecessors(session, order.table))
    attempts = read_attempts(session) if has_ledger else ()
    return weigh(order.layout, predecessor, attempts, allows_out_of_order=order.migration.allows_out_of_order)


def _only(order: AdoptionOrder, found: tuple[Predecessor, ...]) -> Predecessor:
    """Return the history of the tool whose folder it is; raises RefusedError unless there is one, and it may be read."""
    tool = order.layout.tool
    its = [one for one in found if one.tool is tool]
    if not its:
        where = f"in {order.table}" if order.table else "in this database"
        others = f", only that of {', '.join(map(str, found))}" if found else ""
        message = f"no history of {tool.label} {where}{others}; name its table with --history-table SCHEMA.TABLE, or the right database"
        raise RefusedError(message, reason=Reason.SOURCE_INVALID)
    if len(its) > 1:
        tables = ", ".join(one.table for one in its)
        raise RefusedError(
            f"several histories of {tool.label}: {tables}; say which belongs to the folder, with --history-table",
            reason=Reason.SOURCE_INVALID,
        )
    if its[0].rows is None:
        raise RefusedError(
            f"{its[0]}: may not be read; GRANT SELECT ON {its[0].table} to the role, and USAGE on its schema",
            reason=Reason.PRIVILEGES_MISSING,
        )
    return its[0]


def _ending(order: MigrationOrder, predecessor: Predecessor, entry: Entry) -> Ending:
    kept = f", checksum {entry.checksum}" if entry.checksum else ""
    said = "before its baseline" if entry.proof is Proof.COVERED else entry.proof.value
    return Ending(
        state=State.IMPORTED,
        reason=f"history of {predecessor}{kept}: {said}",
        actor=order.actor,
        ended=entry.finished,
    )
