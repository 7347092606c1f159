"""Where a DatabaseMigration stops between the plan that is told and the Job that carries it out: obstacles, a failure, a second person."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbcustody.api.condition import ConditionType, no
from dbcustody.api.migration import MigrationRun
from dbcustody.contract import Verb
from dbcustody.guidance import GUIDANCE
from dbcustody.naming import child_name
from dbcustody.plan.actions import StartJob
from dbcustody.plan.approval import SeenRequest, question_of
from dbcustody.plan.freeze import window_at
from dbcustody.plan.gate import judge_gate
from dbcustody.plan.job_lifecycle import backoff_seconds
from dbcustody.plan.migration_outcome import all_in, held_up, nobody_asked, say, stuck, under_way
from dbcustody.plan.migration_work import run_job
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from dbcustody.api.condition import Condition
    from dbcustody.api.migration import DatabaseMigration, DatabaseMigrationStatus, StatedMigrationPlan
    from dbcustody.plan.actions import Plan
    from dbcustody.plan.freeze import Frozen
    from dbcustody.plan.migration_case import Found, MigrationCase

_FOR_A_PERSON = frozenset({ExitCode.REFUSED, ExitCode.BUG})
_OPEN = frozenset({Reason.PLAN_CHANGED, Reason.JOB_DELETED, Reason.LINT_FAILED})
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
    if not status.pending:
        return say(case, status, (*said, *all_in(status), *nobody_asked(case)))
    if (held := _failed_before(case, status)) is not None:
        conditions, again = held
        return say(case, status, (*said, *conditions), again=again)
    return _ask(case, found, status, said)


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
    """Return whether *run* was of this very spec and source, and nobody asked for a new try since."""
    return (run.source_digest, run.generation, run.check_now) == (status.source_digest, case.generation, case.check_now)


def _ask(
    case: MigrationCase, found: Found, status: DatabaseMigrationStatus, said: tuple[Condition, ...]
) -> Plan[DatabaseMigrationStatus]:
    """Begin to carry out the plan, or wait for the second person that it needs, or stop at that person's no."""
    request = seen_request(replace(case.migration, status=status), is_stamped=case.seen.is_stamped)
    gate = judge_gate(request.question, case.seen.approvals)
    if gate.is_open and (frozen := _frozen(case)) is not None:
        more = (*gate.conditions, *held_up(Reason.FREEZE_WINDOW, frozen.message))
        return say(case, status, (*said, *more), again=frozen.again_seconds)
    if gate.is_open:
        return _begin(case, found, status, (*said, *(gate.conditions or nobody_asked(case))))
    if gate.is_shut:
        more = (no(ConditionType.APPROVED, gate.reason, gate.message), *stuck(gate.reason, gate.message))
        return say(case, status, (*said, *more))
    speak = under_way if gate.reason is Reason.APPROVAL_PENDING else held_up
    return say(case, status, (*said, *gate.conditions, *speak(gate.reason, gate.message)))


def _frozen(case: MigrationCase) -> Frozen | None:
    metadata = case.migration.metadata
    return window_at(metadata, case.seen.freeze_windows, case.now, what=("migration", "DatabaseMigration"))


def _begin(
    case: MigrationCase, found: Found, status: DatabaseMigrationStatus, said: tuple[Condition, ...]
) -> Plan[DatabaseMigrationStatus]:
    """Write down the next run; its Job is made when that is in status."""
    run = _next_run(case, status)
    status = replace(status, run=run)
    begun = replace(case, migration=replace(case.migration, status=status))
    more = under_way(Reason.RUNNING, f"migrations being carried out: {status.pending}")
    return say(case, status, (*said, *more), actions=(StartJob(run_job(begun, found)),))


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
        failures=before.failures if before is not None and is_same else 0,
    )
