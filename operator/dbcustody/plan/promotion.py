"""A source is carried out here only once it is in elsewhere: the same files, byte for byte, and as far as they are to be in here.

Where the other one has a `targetRevision`, the same files are not the same migrations: what it left out, or undid, never ran there. That a
way back ran there is shown by its history alone: one that stands where this one is to go may never have had in what is undone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.api.condition import ConditionType, is_true
from dbcustody.api.migration import Way
from dbcustody.migration.aim import BASE
from dbcustody.migration.ledger import Standing, State, standing_by
from dbcustody.naming import named

if TYPE_CHECKING:
    from dbcustody.api.migration import DatabaseMigration, DatabaseMigrationStatus, StatedMigrationPlan

_SHOWN = 16
_NAMES_SHOWN = 5
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
    if unproven := _not_undone(status, here.status.plan):
        return f"DatabaseMigration {name!r}: its history does not say that {named(unproven, _NAMES_SHOWN)} was undone there"
    stands = f"stands at {status.current_revision or BASE} by its `targetRevision`"
    return f"DatabaseMigration {name!r}: {stands}, and what is planned here did not run there"


def _went_as_far(other: DatabaseMigration, here: DatabaseMigration) -> bool:
    """Return whether *other*, which is where its spec wants it by the same files, has done what is planned *here*."""
    plan = here.status.plan
    if plan is None or not plan.migrations:
        return True
    if plan.way is Way.BACK:
        return not _not_undone(other.status, plan)
    if other.spec.target_revision is None:
        return True
    is_all_told = len(plan.migrations) == here.status.pending
    stands = _standings(other.status)
    has_done = is_all_told and all(stands.get(one.name) is Standing.IN for one in plan.migrations)
    return has_done or _is_at_the_end(other, here, last=plan.migrations[-1].name if is_all_told else None)


def _not_undone(there: DatabaseMigrationStatus, plan: StatedMigrationPlan | None) -> list[str]:
    """Return what *plan* undoes and the last attempts *there* do not say is undone; nothing where it undoes nothing."""
    if plan is None or plan.way is not Way.BACK:
        return []
    stands = _standings(there)
    return [one.name for one in plan.migrations if stands.get(one.name) is not Standing.OUT]


def _standings(there: DatabaseMigrationStatus) -> dict[str, Standing]:
    """Return where each migration stands *there* by the last attempts, as far back as they go."""
    return {one.name: found for one in there.history if (found := _STANDINGS.get(one.state)) is not None}


def _is_at_the_end(other: DatabaseMigration, here: DatabaseMigration, *, last: str | None) -> bool:
    """Return whether *other* stands where *here* is to go forth to, with nothing left out before; *last* None: its end is not told."""
    there, status = other.status, here.status
    ends = {here.spec.target_revision, last} - {None}
    is_same = not ends.isdisjoint({other.spec.target_revision, there.current_revision})
    return is_same and (there.applied or 0) >= (status.applied or 0) + (status.pending or 0)
