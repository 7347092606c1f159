"""A source is carried out here only once it is in elsewhere: the same files, byte for byte, and as far as they are to be in here.

Where the other one has a `targetRevision`, the same files are not the same migrations: what it left out, or undid, never ran there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.api.condition import ConditionType, is_true
from dbcustody.api.migration import Way
from dbcustody.migration.aim import BASE
from dbcustody.migration.ledger import Standing, State, standing_by

if TYPE_CHECKING:
    from dbcustody.api.migration import DatabaseMigration, DatabaseMigrationStatus, StatedMigrationPlan

_SHOWN = 16
_STANDINGS = {one.value: standing_by(one) for one in State}


def why_not_promoted(other: DatabaseMigration | None, name: str, here: DatabaseMigration) -> str | None:
    """Return why what is planned *here* is not known to have run by the DatabaseMigration *name*, seen as *other*; None: it has.

    Only what was found for its spec as it stands counts: what is planned there at the moment proves nothing.
    """
    if other is None:
        return f"DatabaseMigration {name!r}: is not there"
    status, digest = other.status, here.status.source_digest or ""
    if status.source_digest != digest:
        has = f"has the source {status.source_digest[:_SHOWN]}" if status.source_digest else "has no source yet"
        return f"DatabaseMigration {name!r}: {has}, and {digest[:_SHOWN]} is to be in there first"
    is_current = status.observed_generation == other.metadata.generation and not other.metadata.is_being_deleted
    is_in = is_true(status.conditions, ConditionType.APPLIED) and is_true(status.conditions, ConditionType.READY)
    if not (is_current and is_in and status.pending == 0):
        return f"DatabaseMigration {name!r}: the source {digest[:_SHOWN]} is not in there yet"
    if _went_as_far(other, here):
        return None
    stands = f"stands at {status.current_revision or BASE} by its `targetRevision`"
    return f"DatabaseMigration {name!r}: {stands}, and what is planned here did not run there"


def _went_as_far(other: DatabaseMigration, here: DatabaseMigration) -> bool:
    """Return whether *other*, which is where its spec wants it by the same files, has done what is planned *here*."""
    plan = here.status.plan
    if plan is None or not plan.migrations:
        return True
    if plan.way is Way.FORTH and other.spec.target_revision is None:
        return True
    return _has_done(other.status, plan, here.status) or _is_at_the_end(other, here)


def _has_done(there: DatabaseMigrationStatus, plan: StatedMigrationPlan, here: DatabaseMigrationStatus) -> bool:
    """Return whether the last attempts *there* say of each migration of *plan* that it stands as it will *here*."""
    wanted = Standing.IN if plan.way is Way.FORTH else Standing.OUT
    stands = {one.name: found for one in there.history if (found := _STANDINGS.get(one.state)) is not None}
    is_all_told = plan.way is Way.BACK or len(plan.migrations) == here.pending
    return is_all_told and all(stands.get(one.name) is wanted for one in plan.migrations)


def _is_at_the_end(other: DatabaseMigration, here: DatabaseMigration) -> bool:
    """Return whether *other* stands where the plan *here* ends, with nothing left out before."""
    there, status, plan = other.status, here.status, here.status.plan
    ends = {here.spec.target_revision}
    if plan is not None and plan.way is Way.FORTH and len(plan.migrations) == status.pending:
        ends.add(plan.migrations[-1].name)
    is_same = not (ends - {None}).isdisjoint({other.spec.target_revision, there.current_revision})
    is_back = plan is not None and plan.way is Way.BACK
    return is_same and (is_back or (there.applied or 0) >= (status.applied or 0) + (status.pending or 0))
