"""What a DatabaseMigration says: only what the ledger of the database told, and what keeps it from telling more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dbcustody.api.condition import ConditionStatus, ConditionType, find, merge, no, unknown, yes
from dbcustody.api.migration import LikenessClass, Way
from dbcustody.plan.actions import Plan
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.api.condition import Condition
    from dbcustody.api.migration import DatabaseMigrationStatus, StatedDrift, StatedMigrationPlan
    from dbcustody.api.migration_error import StatedError
    from dbcustody.facts import MigrationFacts
    from dbcustody.plan.actions import Action
    from dbcustody.plan.migration_case import Found, MigrationCase

    Step = Plan[DatabaseMigrationStatus]

MOST_MIGRATIONS: Final = 100
"""How many of a plan, and of its findings, status has room for; the hash is of all of them."""
MOST_FINDINGS: Final = 50
MOST_OBSTACLES: Final = 20
MESSAGE_LENGTH: Final = 1024
NAME_LENGTH: Final = 253
_DIGEST_SHOWN: Final = 16


def with_facts(status: DatabaseMigrationStatus, facts: MigrationFacts) -> DatabaseMigrationStatus:
    """Return *status* with what the ledger said."""
    return replace(
        status,
        current_revision=facts.current,
        applied=facts.applied,
        pending=facts.pending,
        plan=_bounded(facts.plan),
        history=facts.history,
        last_error=_with_its_word(facts.last_error, status.last_error),
        drift=facts.drift,
        unsettled=facts.unsettled,
    )


def _with_its_word(found: StatedError | None, before: StatedError | None) -> StatedError | None:
    """Return *found*; where it is of the ledger alone, and of the failure that *before* tells, what the run itself told of that stays."""
    if found is None:
        return None
    if found.message is None and before is not None:
        is_same = (found.revision, found.sqlstate, found.time) == (before.revision, before.sqlstate, before.time)
        return before if is_same else found
    return replace(
        found,
        file=_short_name(found.file),
        schema=_short_name(found.schema),
        table=_short_name(found.table),
        column=_short_name(found.column),
        constraint=_short_name(found.constraint),
        message=(found.message or "")[:MESSAGE_LENGTH] or None,
    )


def _short_name(name: str | None) -> str | None:
    """Return *name* as far as status has room for it: files may lie deep, and servers be built for longer names."""
    return None if name is None else name[:NAME_LENGTH]


def _bounded(plan: StatedMigrationPlan) -> StatedMigrationPlan:
    obstacles = plan.obstacles[:MOST_OBSTACLES]
    short = tuple(replace(one, message=one.message[:MESSAGE_LENGTH]) for one in obstacles)
    found = tuple(replace(one, message=one.message[:MESSAGE_LENGTH]) for one in plan.findings[:MOST_FINDINGS])
    return replace(plan, migrations=plan.migrations[:MOST_MIGRATIONS], findings=found, obstacles=short)


def planned(facts: MigrationFacts, *, accepted: str | None = None) -> tuple[Condition, ...]:
    """Return what is said when the database was held against the source."""
    told = f"plan {facts.plan.hash}: {facts.pending} pending, {facts.applied} applied"
    said = (yes(ConditionType.PLANNED, Reason.PLANNED, told), _linted(facts.plan))
    return said if facts.drift is None else (*said, _undrifted(facts.drift, accepted))


def _undrifted(drift: StatedDrift, accepted: str | None) -> Condition:
    """Return whether the schema is what it was left as, or *accepted* as it is."""
    if drift.likeness is LikenessClass.UNKNOWN:
        return unknown(ConditionType.DRIFT_FREE, Reason.DRIFT_UNKNOWN, drift.message)
    if drift.likeness is LikenessClass.SAME:
        return yes(ConditionType.DRIFT_FREE, Reason.DRIFT_FREE, f"fingerprint {drift.fingerprint}")
    if drift.fingerprint == accepted:
        return yes(ConditionType.DRIFT_FREE, Reason.DRIFT_FREE, f"fingerprint {accepted} is named as meant")
    return no(ConditionType.DRIFT_FREE, Reason.DRIFTED, f"{drift.message}; fingerprint {drift.fingerprint}")


def _linted(plan: StatedMigrationPlan) -> Condition:
    """Return whether anything in *plan* is too risky, and what."""
    if not plan.refused:
        return yes(
            ConditionType.LINT_PASSED, Reason.LINT_PASSED, f"findings: {len(plan.findings)}, none of them refused"
        )
    refused = (one.message for one in plan.obstacles if one.reason == Reason.LINT_FAILED.value)
    return no(ConditionType.LINT_PASSED, Reason.LINT_FAILED, "; ".join((f"refused: {plan.refused}", *refused)))


def resolved(digest: str) -> Condition:
    """Return what is said when every file of the source is there."""
    return yes(
        ConditionType.SOURCE_RESOLVED, Reason.SOURCE_RESOLVED, f"the digest of all files is {digest[:_DIGEST_SHOWN]}"
    )


def looked_into(case: MigrationCase, found: Found) -> tuple[Condition, ...]:
    """Return what is said of the source that was *found*: of an image nothing new until a look has ended."""
    if found.source_digest is not None:
        return (resolved(found.source_digest),)
    is_known = case.is_planned(found)
    message = "the image is looked into"
    return () if is_known else (unknown(ConditionType.SOURCE_RESOLVED, Reason.PENDING, message),)


def missing_conditions(reason: Reason, message: str) -> tuple[Condition, ...]:
    """Return what is said while something is missing that the resource refers to; it goes on by itself when that comes."""
    said = (no(ConditionType.READY, reason, message), yes(ConditionType.RECONCILING, reason, message))
    is_source = reason is Reason.SOURCE_NOT_FOUND
    return (*said, no(ConditionType.SOURCE_RESOLVED, reason, message)) if is_source else said


def all_in(status: DatabaseMigrationStatus) -> tuple[Condition, ...]:
    """Return what is said when nothing is pending."""
    assert status.plan is not None  # noqa: S101 - nothing is pending in a plan
    last = f"; the last is {status.current_revision}" if status.current_revision else ""
    reason, told = Reason.APPLIED, f"migrations in: {status.applied}{last}"
    if status.plan.ahead:
        reason, told = Reason.DATABASE_AHEAD, f"{told}, which is more than this source has; nothing is undone for that"
    return (yes(ConditionType.READY, reason, told), yes(ConditionType.APPLIED, reason, told))


def only_planned(status: DatabaseMigrationStatus) -> tuple[Condition, ...]:
    """Return what is said of a plan that is told and never carried out."""
    told = f"{what_runs(status)}; `mode: Plan` carries nothing out"
    return (yes(ConditionType.READY, Reason.PLANNED, told), no(ConditionType.APPLIED, Reason.PLANNED, told))


def what_runs(status: DatabaseMigrationStatus) -> str:
    """Return in words what the plan in *status* does."""
    plan = status.plan
    assert plan is not None  # noqa: S101 - it is asked only of what was planned
    declared = f"declared: {', '.join(plan.resolutions)}; " if plan.resolutions else ""
    if plan.way is Way.BACK:
        return f"{declared}migrations to be undone: {len(plan.migrations)}"
    return f"{declared}migrations to be carried out: {status.pending}"


def stuck(reason: Reason, message: str) -> tuple[Condition, ...]:
    """Return what is said when only a person helps."""
    return (
        no(ConditionType.READY, reason, message),
        yes(ConditionType.STALLED, reason, message),
        no(ConditionType.APPLIED, reason, message),
    )


def held_up(reason: Reason, message: str) -> tuple[Condition, ...]:
    """Return what is said when it is tried again by itself."""
    return (
        no(ConditionType.READY, reason, message),
        yes(ConditionType.RECONCILING, reason, message),
        no(ConditionType.APPLIED, reason, message),
    )


def under_way(reason: Reason, message: str) -> tuple[Condition, ...]:
    """Return what is said while migrations are pending and nothing is wrong."""
    return (
        unknown(ConditionType.READY, reason, message),
        yes(ConditionType.RECONCILING, reason, message),
        no(ConditionType.APPLIED, reason, message),
    )


def nobody_asked(case: MigrationCase) -> tuple[Condition, ...]:
    """Return what is said of an approval that was awaited or refused, and is not asked for any more; nothing where none is open."""
    before = find(case.status.conditions, ConditionType.APPROVED)
    if before is None or before.is_true:
        return ()
    return (yes(ConditionType.APPROVED, Reason.APPROVAL_NOT_REQUIRED, "nobody is asked"),)


def asks_nobody(case: MigrationCase) -> tuple[Condition, ...]:
    """Return what is said of a no while nothing is looked at: it stands, and is no failure; nothing where nobody said no."""
    message = "nobody is asked while `spec.suspend` is true; the plan was refused"
    return tuple(replace(one, reason=Reason.SUSPENDED, message=message) for one in no_longer_refused(case))


def no_longer_refused(case: MigrationCase) -> tuple[Condition, ...]:
    """Return what is said of a no once the plan that it was for does not hold any more; nothing where nobody said no."""
    before = find(case.status.conditions, ConditionType.APPROVED)
    if before is None or before.status is not ConditionStatus.FALSE:
        return ()
    return (unknown(ConditionType.APPROVED, Reason.PLAN_CHANGED, "it was for a plan that does not hold any more"),)


def say(
    case: MigrationCase,
    status: DatabaseMigrationStatus,
    said: tuple[Condition, ...],
    *,
    actions: tuple[Action, ...] = (),
    again: float | None = None,
) -> Step:
    """Return the plan that says *said* of *status*, about the generation that stands in it."""
    conditions = merge(case.status.conditions, said, generation=status.observed_generation, now=case.now)
    return Plan(status=replace(status, conditions=conditions), actions=actions, look_again_seconds=again)
