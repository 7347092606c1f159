"""Where a DatabaseMigration stops between the plan that is told and the Job that carries it out.

In this order: obstacles, the last failure, another environment, a second person, a freeze window, and, as it ages, a backup.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbcustody.api.condition import ConditionType, find, no, unknown, yes
from dbcustody.api.migration import MigrationMode, MigrationRun
from dbcustody.contract import Verb
from dbcustody.guidance import GUIDANCE
from dbcustody.naming import child_name
from dbcustody.plan.actions import StartJob
from dbcustody.plan.approval import SeenRequest, question_of
from dbcustody.plan.freeze import window_at
from dbcustody.plan.gate import judge_gate
from dbcustody.plan.job_lifecycle import backoff_seconds
from dbcustody.plan.migration_backup import protect
from dbcustody.plan.migration_outcome import (
    all_in,
    held_up,
    nobody_asked,
    only_planned,
    say,
    stuck,
    under_way,
    what_runs,
)
from dbcustody.plan.migration_work import run_job
from dbcustody.plan.promotion import why_not_promoted
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from dbcustody.api.condition import Condition
    from dbcustody.api.migration import DatabaseMigration, DatabaseMigrationStatus, StatedMigrationPlan
    from dbcustody.plan.actions import Plan
    from dbcustody.plan.freeze import Frozen
    from dbcustody.plan.migration_case import Found, MigrationCase

_FOR_A_PERSON = frozenset({ExitCode.REFUSED, ExitCode.BUG})
_PROMOTION_SECONDS = 60.0
_OPEN = frozenset({Reason.PLAN_CHANGED, Reason.JOB_DELETED, Reason.LINT_FAILED, Reason.DRIFTED})
"""Refusals after which the plan as it is now is carried out all the same: the run did not fail of what it ran."""


def seen_request(migration: DatabaseMigration, *, is_stamped: bool) -> SeenRequest:
    """Return *migration* as Approvals, and whoever counts them, look at it."""
    stated = migration.status.plan
    question = question_of(
        migration.metadata,
        is_required=migration.spec.approval.required,
        is_stamped=is_stamped,
        plan_hash=stated.hash if stated is not None else None,
    )
    return SeenRequest(question=question, conditions=migration.status.conditions, is_lasting=True)


def decide(
    case: MigrationCase, found: Found, status: DatabaseMigrationStatus, said: tuple[Condition, ...]
) -> Plan[DatabaseMigrationStatus]:
    """Return what follows from the plan that stands in *status*; *said* is what is said of the plan itself."""
    stated = status.plan
    assert stated is not None  # noqa: S101 - it is asked only of what was planned
    if stated.obstacles:
        first = stated.obstacles[0]
        return say(case, status, (*said, *stuck(Reason(first.reason), _all_of(stated))))
    if not (stated.migrations or stated.resolutions):
        return say(case, status, (*said, *all_in(status), *nobody_asked(case)))
    if case.migration.spec.mode is MigrationMode.PLAN:
        return say(case, status, (*said, *only_planned(status), *nobody_asked(case)))
    if (held := _failed_before(case, status)) is not None:
        conditions, again = held
        return say(case, status, (*said, *conditions), again=again)
    return _promote(case, found, status, said)


def _all_of(stated: StatedMigrationPlan) -> str:
    return "; ".join(one.message for one in stated.obstacles)


def _failed_before(
    case: MigrationCase, status: DatabaseMigrationStatus
) -> tuple[tuple[Condition, ...], float | None] | None:
    """Return what is said while the last failure stands in the way, and when to look again; None: it does not.

    What a person has to cure is not tried again before spec, source, or the annotation that asks for it is another.
    """
    run = status.run
    if run is None or run.reason is None or not run.failures or not _is_same(case, status, run):
        return None
    reason, message = Reason(run.reason), run.message or ""
    if GUIDANCE[reason].exit_code in _FOR_A_PERSON and reason not in _OPEN:
        return stuck(reason, message), None
    pause = backoff_seconds(run.failures) - (case.now - (run.finish_time or case.now)).total_seconds()
    return None if pause <= 0 else (held_up(reason, f"{message}; it is tried again"), pause)


def _is_same(case: MigrationCase, status: DatabaseMigrationStatus, run: MigrationRun) -> bool:
    """Return whether *run* was of this very spec and source, and nobody asked for a new try since.

    A run that found other files in its image than the look before it is of the same source, whatever the next look finds: nodes may have
    different images under one name, and nobody is to go on between them without a pause.
    """
    has_flipped = case.migration.spec.source.image is not None and run.reason == Reason.PLAN_CHANGED
    is_same = has_flipped or run.source_digest == status.source_digest
    return is_same and (run.generation, run.check_now) == (case.generation, case.check_now)


def _promote(
    case: MigrationCase, found: Found, status: DatabaseMigrationStatus, said: tuple[Condition, ...]
) -> Plan[DatabaseMigrationStatus]:
    """Go on where the same source is in elsewhere, if it has to be; else wait for that."""
    gate = case.migration.spec.gates.promotion
    if gate is None:
        before = find(status.conditions, ConditionType.PROMOTION_PROVEN)
        is_void = before is not None and not before.is_true
        void = (yes(ConditionType.PROMOTION_PROVEN, Reason.NOT_REQUESTED, "nothing has to be in elsewhere"),)
        return _ask(case, found, status, (*said, *void) if is_void else said)
    name = gate.migration_ref.name
    here = replace(case.migration, status=status)
    if (why_not := why_not_promoted(case.seen.promotion, name, here)) is not None:
        waits = unknown(ConditionType.PROMOTION_PROVEN, Reason.PROMOTION_PENDING, why_not)
        more = (waits, *under_way(Reason.PROMOTION_PENDING, why_not))
        return say(case, status, (*said, *more), again=_PROMOTION_SECONDS)
    proven = yes(ConditionType.PROMOTION_PROVEN, Reason.PROMOTION_PROVEN, f"DatabaseMigration {name!r} has it")
    return _ask(case, found, status, (*said, proven))


def _ask(
    case: MigrationCase, found: Found, status: DatabaseMigrationStatus, said: tuple[Condition, ...]
) -> Plan[DatabaseMigrationStatus]:
    """Begin to carry out the plan, or wait for the second person that it needs, or stop at that person's no."""
    if (message := _other_than_pinned(case, status)) is not None:
        waits = unknown(ConditionType.APPROVED, Reason.APPROVAL_PENDING, message)
        return say(case, status, (*said, waits, *under_way(Reason.APPROVAL_PENDING, message)))
    request = seen_request(replace(case.migration, status=status), is_stamped=case.seen.is_stamped)
    gate = judge_gate(request.question, case.seen.approvals)
    if gate.is_open and (frozen := _frozen(case)) is not None:
        more = (*gate.conditions, *held_up(Reason.FREEZE_WINDOW, frozen.message))
        return say(case, status, (*said, *more), again=frozen.again_seconds)
    if gate.is_open:
        return _protect(case, found, status, (*said, *(gate.conditions or _pinned(case))))
    if gate.is_shut:
        more = (no(ConditionType.APPROVED, gate.reason, gate.message), *stuck(gate.reason, gate.message))
        return say(case, status, (*said, *more))
    speak = under_way if gate.reason is Reason.APPROVAL_PENDING else held_up
    return say(case, status, (*said, *gate.conditions, *speak(gate.reason, gate.message)))


def _other_than_pinned(case: MigrationCase, status: DatabaseMigrationStatus) -> str | None:
    """Return what is said while the spec names another plan than the one in *status*; None: it names that one, or none."""
    wanted, found = case.migration.spec.approval.plan_hash, status.plan.hash if status.plan is not None else None
    return None if wanted in {None, found} else f"the plan is {found}, and `spec.approval.planHash` names {wanted}"


def _pinned(case: MigrationCase) -> tuple[Condition, ...]:
    """Return what is said of a plan for which no Approval is needed."""
    wanted = case.migration.spec.approval.plan_hash
    return (
        nobody_asked(case)
        if wanted is None
        else (yes(ConditionType.APPROVED, Reason.APPROVED, f"`spec.approval.planHash` names {wanted}"),)
    )


def _protect(
    case: MigrationCase, found: Found, status: DatabaseMigrationStatus, said: tuple[Condition, ...]
) -> Plan[DatabaseMigrationStatus]:
    """Begin once a backup is there that is fresh enough, where one has to be."""
    protection = protect(case, status)
    said = (*said, *protection.said)
    if protection.is_open:
        return _begin(case, found, protection.status, said)
    return say(case, protection.status, said, actions=protection.actions, again=protection.again)


def _frozen(case: MigrationCase) -> Frozen | None:
    metadata = case.migration.metadata
    return window_at(metadata, case.seen.freeze_windows, case.now, what=("migration", "DatabaseMigration"))


def _begin(
    case: MigrationCase, found: Found, status: DatabaseMigrationStatus, said: tuple[Condition, ...]
) -> Plan[DatabaseMigrationStatus]:
    """Write down the next run; its Job is made when that is in status."""
    run = replace(_next_run(case, status), approval=_agreed(said), backup=_backed_up(status))
    status = replace(status, run=run)
    begun = replace(case, migration=replace(case.migration, status=status))
    more = under_way(Reason.RUNNING, what_runs(status))
    return say(case, status, (*said, *more), actions=(StartJob(run_job(begun, found)),))


def _agreed(said: tuple[Condition, ...]) -> str | None:
    """Return who agreed, in the words of the condition; None: nobody was asked."""
    word = find(said, ConditionType.APPROVED)
    return word.message if word is not None and word.is_true and word.reason == Reason.APPROVED else None


def _backed_up(status: DatabaseMigrationStatus) -> str | None:
    before = status.backup
    if before is None:
        return None
    return before.name if before.lsn is None else f"{before.name} at {before.lsn}"


def _next_run(case: MigrationCase, status: DatabaseMigrationStatus) -> MigrationRun:
    before, metadata = status.run, case.migration.metadata
    ordinal = before.ordinal + 1 if before is not None else 1
    is_same = before is not None and _is_same(case, status, before)
    return MigrationRun(
        ordinal=ordinal,
        job_name=child_name(metadata.name, metadata.uid, Verb.MIGRATE.value, str(ordinal)),
        plan_hash=status.plan.hash if status.plan is not None else "",
        source_digest=status.source_digest or "",
        generation=case.generation,
        check_now=case.check_now,
        start_time=case.now,
        failures=before.failures if before is not None and is_same else 0,
    )
