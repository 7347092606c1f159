"""A database that Alembic has migrated is taken over: what its table says is in is written into the ledger, and nothing of it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.alembic_version import read_heads
from dbcustody.adapters.postgres.bookkeeping import read_version, require_known
from dbcustody.adapters.postgres.failure import translated
from dbcustody.adapters.postgres.ledger import Direction, Ending, add_attempt, add_outcome, read_attempts
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.jobs.aftermath import settle
from dbcustody.jobs.migration import at_work, compared, intent_of
from dbcustody.migration.alembic_history import Adoption, adoption
from dbcustody.migration.ledger import State
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.session import Session
    from dbcustody.jobs.migration import MigrationOrder
    from dbcustody.migration.history import History

_REASON: Final = "Alembic's table of versions says that it is in"


def look_at_alembic(order: MigrationOrder) -> Adoption:
    """Return what `adopt_alembic` would write down, and what stands in its way; nothing is written.

    Raises InvalidSpecError where there is no table of Alembic's, or nothing in it.
    """
    with connect(order.target) as session:
        version = read_version(session)
        require_known(version)
        return _found(order, session, has_ledger=version is not None)


def adopt_alembic(order: MigrationOrder) -> History:
    """Write down as imported what Alembic's table says is in and the ledger does not know, all of it or nothing; nothing runs.

    Raises as `look_at_alembic` and `jobs.migration.migrate` do, and RefusedError (HistoryBroken) with everything that is in its way.
    """
    with at_work(order) as desk:
        settle(desk)
        found = _found(order, desk.session, has_ledger=True)
        if found.faults:
            raise RefusedError("; ".join(map(str, found.faults)), reason=Reason.HISTORY_BROKEN)
        with translated("write down what was adopted", otherwise=Reason.MIGRATION_FAILED), desk.session.transaction():
            for script in found.scripts:
                attempt = add_attempt(desk.session, intent_of(order, script, Direction.MARK))
                add_outcome(desk.session, attempt, Ending(state=State.IMPORTED, reason=_REASON, actor=order.actor))
        return compared(order, desk)


def _found(order: MigrationOrder, session: Session, *, has_ledger: bool) -> Adoption:
    heads = read_heads(session, order.version_table)
    if not heads:
        what = "is not there" if heads is None else "is empty"
        raise InvalidSpecError(
            f"--version-table: {order.version_table} {what}; name the table in which Alembic keeps its versions"
        )
    return adoption(heads, order.scripts, read_attempts(session) if has_ledger else ())
