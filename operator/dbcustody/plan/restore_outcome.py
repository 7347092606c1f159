"""What a RestoreRequest says once it is over, and on the way: success is what was compared, never that a Job ended well."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dbcustody.api.condition import ConditionType, no, unknown, yes
from dbcustody.api.restore import Mode, RestoreProgress, RestoreStage
from dbcustody.guidance import GUIDANCE
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.api.condition import Condition
    from dbcustody.api.restore import (
        RestoreChecks,
        RestoreRequestSpec,
        RestoreRequestStatus,
        StatedPlan,
        StoppedWorkload,
    )
    from dbcustody.contract import JobResult
    from dbcustody.facts import RestoreFacts

MOST_STATED: Final = 100
"""How many obstacles, remarks, roles and settings status has room for."""
STATED_LENGTH: Final = 1024
NAME_LENGTH: Final = 256
MOST_NAMES: Final = 20
STEPS: Final = (
    ConditionType.SOURCE_VERIFIED,
    ConditionType.TARGET_SAFE,
    ConditionType.RESTORED,
    ConditionType.ERASURES_REPLAYED,
    ConditionType.CHECKS_PASSED,
)
REPLACING: Final = (ConditionType.SAFETY_BACKUP_TAKEN, ConditionType.QUIESCED, ConditionType.SWAPPED)


def restored(result: JobResult) -> bool:
    """Return whether *result* says that the database stands there, checked and handed over."""
    facts = result.restore
    return result.exit_code is ExitCode.DONE and facts is not None and facts.is_handed_over


def planned_conditions(*, is_undo: bool = False) -> tuple[Condition, ...]:
    """Return what is known when the plan is told and nothing stands in its way."""
    safe = yes(ConditionType.TARGET_SAFE, Reason.TARGET_SAFE, "nothing stands in the way, and nothing is written over")
    if is_undo:
        return (safe,)
    return (
        unknown(
            ConditionType.SOURCE_VERIFIED,
            Reason.RUNNING,
            "its manifest can be believed; every byte is checked as it is read",
        ),
        safe,
    )


def ready_conditions(facts: RestoreFacts, message: str) -> tuple[Condition, ...]:
    """Return what is known of a database that is complete and compared, and waits, shut, to take another's place."""
    return (
        yes(ConditionType.SOURCE_VERIFIED, Reason.SOURCE_VERIFIED, "every byte that was read is what was written"),
        yes(ConditionType.RESTORED, Reason.RESTORED, message),
        yes(
            ConditionType.ERASURES_REPLAYED,
            Reason.ERASURES_REPLAYED,
            "nobody was erased between the backup and the restore",
        ),
        yes(ConditionType.CHECKS_PASSED, Reason.CHECKS_PASSED, _compared(facts.checks)),
    )


def workload_conditions(workloads: tuple[StoppedWorkload, ...]) -> tuple[Condition, ...]:
    """Return whether the workloads that were stopped are back, which only a person can cure if not; nothing when none was."""
    left = ", ".join(f"{one.kind.value} {one.name} ({one.replicas})" for one in workloads if not one.resumed)
    if left:
        message = f"not scaled back: {left}"
        return (
            no(ConditionType.WORKLOADS_RESUMED, Reason.WORKLOADS_STOPPED, message),
            no(ConditionType.READY, Reason.WORKLOADS_STOPPED, message),
            yes(ConditionType.STALLED, Reason.WORKLOADS_STOPPED, message),
        )
    if workloads:
        return (yes(ConditionType.WORKLOADS_RESUMED, Reason.WORKLOADS_RESUMED, "each has its replicas again"),)
    return ()


def success_conditions(
    facts: RestoreFacts, reason: Reason, message: str, *, spec: RestoreRequestSpec
) -> tuple[Condition, ...]:
    """Return every condition of a restore that came to what *spec* wants; *facts* without checks are of one that another run compared."""
    good = (
        yes(ConditionType.READY, reason, message),
        yes(ConditionType.SUCCEEDED, reason, message),
        yes(ConditionType.FINISHED, reason, message),
    )
    if spec.mode is Mode.REPLACE:
        return (
            *good,
            yes(
                ConditionType.QUIESCED, Reason.QUIESCED, "connections were refused, and sessions ended, before the swap"
            ),
            yes(ConditionType.SWAPPED, Reason.SWAPPED, message),
        )
    return (
        *good,
        yes(ConditionType.SOURCE_VERIFIED, Reason.SOURCE_VERIFIED, "every byte that was read is what was written"),
        yes(ConditionType.TARGET_SAFE, Reason.TARGET_SAFE, "the database was made for this, and is open now"),
        yes(ConditionType.RESTORED, reason if reason is Reason.ADOPTED else Reason.RESTORED, message),
        yes(
            ConditionType.ERASURES_REPLAYED,
            Reason.ERASURES_REPLAYED,
            "the erasure ledger had no entry at the hand-over that the backup does not know",
        ),
        yes(ConditionType.CHECKS_PASSED, Reason.CHECKS_PASSED, _compared(facts.checks)),
    )


def _compared(checks: RestoreChecks | None) -> str:
    if checks is None:
        return "the run that handed it over had compared it"
    rows = "rows not compared, because the backup did not count them" if checks.rows is None else f"{checks.rows} rows"
    constraints = "" if checks.constraints is None else f", {checks.constraints} constraints"
    equal = f"equal to the backup: {checks.tables} tables, {rows}, {checks.sequences} sequences{constraints}"
    asked = (f"{checks.assertions} questions answered as expected",) if checks.assertions else ()
    more = (f"{len(checks.remarks) - 1} more in status.checks.remarks",) if checks.remarks[1:] else ()
    return "; ".join((equal, *asked, *checks.remarks[:1], *more))


def failure_conditions(reason: Reason, message: str, *, is_replace: bool = False) -> tuple[Condition, ...]:
    """Return every condition of a restore that is over and gave nothing: the step that failed, and that nothing is restored."""
    steps = (*STEPS, *REPLACING, ConditionType.APPROVED)
    step = next((one for one in steps if one == GUIDANCE[reason].condition), ConditionType.RESTORED)
    failed = (no(step, reason, message),)
    nothing = (
        (no(ConditionType.RESTORED, reason, "nothing was restored"),) if step is not ConditionType.RESTORED else ()
    )
    untouched = (
        (no(ConditionType.SWAPPED, reason, "the database is what it was, and open"),)
        if is_replace and step is not ConditionType.SWAPPED
        else ()
    )
    return (
        no(ConditionType.READY, reason, message),
        no(ConditionType.SUCCEEDED, reason, message),
        yes(ConditionType.FINISHED, reason, message),
        yes(ConditionType.STALLED, reason, message),
        *failed,
        *nothing,
        *untouched,
    )


def with_facts(status: RestoreRequestStatus, facts: RestoreFacts | None) -> RestoreRequestStatus:
    """Return *status* with what *facts* add, within the bounds of the CRD."""
    if facts is None:
        return status
    return replace(
        status,
        source=facts.backup.name if facts.backup is not None else status.source,
        backup=facts.backup or status.backup,
        plan=_bounded(facts.plan) if facts.plan is not None else status.plan,
        checks=_bounded_checks(facts.checks) if facts.checks is not None else status.checks,
        old_database=facts.old_database or status.old_database,
        oid=facts.oid or status.oid,
        unknown_settings=_cut(facts.unknown_settings, NAME_LENGTH) or status.unknown_settings,
    )


def _bounded_checks(checks: RestoreChecks) -> RestoreChecks:
    return replace(checks, remarks=_cut(checks.remarks, STATED_LENGTH))


def _bounded(plan: StatedPlan) -> StatedPlan:
    return replace(
        plan,
        obstacles=tuple(replace(one, message=one.message[:STATED_LENGTH]) for one in plan.obstacles[:MOST_STATED]),
        roles_to_create=_cut(plan.roles_to_create, NAME_LENGTH),
        remarks=_cut(plan.remarks, STATED_LENGTH),
        side_effects=tuple(
            replace(one, names=tuple(name[:NAME_LENGTH] for name in one.names[:MOST_NAMES]))
            for one in plan.side_effects
        ),
        skipped_objects=_cut(plan.skipped_objects, NAME_LENGTH),
    )


def _cut(texts: tuple[str, ...], length: int) -> tuple[str, ...]:
    return tuple(text[:length] for text in texts[:MOST_STATED])


def closed(
    status: RestoreRequestStatus, reason: Reason, *, is_good: bool, ended: datetime, now: datetime
) -> RestoreRequestStatus:
    """Return *status* with the times of a restore that is over, *ended* with its last Job, and what the progress column shows now."""
    last = status.progress or RestoreProgress(stage=RestoreStage.WAITING, summary="")
    last = replace(last, waiting_for=None, bytes_per_second=None, repeated_requests=None, updated_time=now)
    done = replace(last, stage=RestoreStage.DONE, summary="Done", percent=100)
    start = status.start_time
    return replace(
        status,
        finish_time=ended,
        duration_seconds=max(0, int((ended - start).total_seconds())) if start is not None else None,
        progress=done if is_good else replace(last, summary=reason.value),
        job_ref=None,
    )
