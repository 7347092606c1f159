"""One step of a RestoreRequest, however it was come to: the next attempt written down, the server asked, or the verdict said.

An end is said only once the workloads that were stopped around a swap are back, or cannot be brought back by us.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from dbcustody.api.backup import Attempt
from dbcustody.api.condition import ConditionType, merge, no, unknown, yes
from dbcustody.api.restore import RestoreProgress, RestoreStage
from dbcustody.contract import Verb
from dbcustody.naming import child_name
from dbcustody.plan.actions import Count, Plan
from dbcustody.plan.progress import WAITING_FOR_LENGTH, with_repeats
from dbcustody.plan.request import Missing
from dbcustody.plan.restore_approval import never_answered
from dbcustody.plan.restore_case import Refusal, RestoreCase, target_of
from dbcustody.plan.restore_outcome import (
    closed,
    failure_conditions,
    success_conditions,
    with_facts,
    workload_conditions,
)
from dbcustody.plan.workload import resumed, resuming
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.api.condition import Condition
    from dbcustody.api.restore import RestoreRequestStatus
    from dbcustody.contract import JobResult
    from dbcustody.plan.actions import Action

    Found = Plan[RestoreRequestStatus]

MOST_ATTEMPTS: Final = 10
RESUMING_PATIENCE: Final = timedelta(minutes=10)
"""How long workloads are tried to be scaled back before the verdict is said without them."""
_FOR_A_POD: Final = "the Job's pod"


def begin(case: RestoreCase, verb: Verb, status: RestoreRequestStatus, more: tuple[Condition, ...] = ()) -> Found:
    """Write down the next attempt, which does *verb*; its Job is created when that is in status."""
    origin, target = case.origin, target_of(case)
    for found in (origin, target):
        if isinstance(found, Refusal):
            return fail(case, found.reason, found.message)
        if isinstance(found, Missing):
            return held_up(case, found.reason, found.message)
    status = replace(with_attempt(case, verb, status), target=_target_text(case))
    return going_on(case, status, Reason.PENDING, "the Job is being created", again=0.0, more=more)


def with_attempt(case: RestoreCase, verb: Verb, status: RestoreRequestStatus) -> RestoreRequestStatus:
    """Return *status* with one more attempt, which does *verb*."""
    before = status.attempts
    ordinal = before[-1].ordinal + 1 if before else 1
    metadata = case.request.metadata
    name = child_name(metadata.name, metadata.uid, verb.value, str(ordinal))
    attempts = (*_with_room(before), Attempt(ordinal=ordinal, job_name=name, verb=verb.value))
    return replace(status, attempts=attempts, job_ref=None, progress=waiting(_FOR_A_POD, case.now))


def _with_room(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """Return *attempts* such that one more fits: of many the oldest question to the server gives way, for it says nothing any more."""
    if len(attempts) < MOST_ATTEMPTS:
        return attempts
    settling = (index for index, one in enumerate(attempts) if one.verb == Verb.SETTLE_RESTORE)
    gone = next(settling, 0)
    return attempts[:gone] + attempts[gone + 1 :]


def _target_text(case: RestoreCase) -> str:
    target = case.request.spec.target
    return f"{target.database_ref.name}/{target.database}" if target.database else target.database_ref.name


def recorded(case: RestoreCase, status: RestoreRequestStatus, reason: Reason) -> RestoreRequestStatus:
    """Return *status* with the mark that what the last attempt found stands in it: its Job and its pod may go."""
    last = replace(case.status.attempts[-1], reason=reason.value)
    return replace(status, attempts=(*case.status.attempts[:-1], last), job_ref=None)


def settle(case: RestoreCase, reason: Reason | None, message: str, result: JobResult | None) -> Found:
    """Return the plan that asks the server; *reason* is why the run ended, None: it stands in its attempt already."""
    status = with_repeats(case.status, result)
    if reason is not None:
        last = replace(status.attempts[-1], reason=reason.value)
        status = replace(status, attempts=(*status.attempts[:-1], last))
    status = replace(with_attempt(case, Verb.SETTLE_RESTORE, status), progress=waiting("the server's answer", case.now))
    so_far = unknown(ConditionType.RESTORED, Reason.SETTLING, message)
    told = () if result is None else (Count(result),)
    return going_on(case, status, Reason.SETTLING, message, again=0.0, more=(so_far,), actions=told)


def succeed(case: RestoreCase, result: JobResult) -> Found:
    """Return the plan for a request that came to what it wanted, as *result* says."""
    if (first := _bring_back(case)) is not None:
        return first
    facts = result.restore
    assert facts is not None  # noqa: S101 - it says that the database was handed over
    reason = Reason.ADOPTED if result.reason is Reason.ADOPTED else Reason.SUCCEEDED
    status = with_facts(with_repeats(_with_workloads(case), result), facts)
    status = closed(status, reason, is_good=True, ended=_ended(case), now=case.now)
    said = (
        *success_conditions(facts, reason, result.message, spec=case.request.spec),
        *workload_conditions(status.workloads),
    )
    return Plan(status=said_of(case, status, said), actions=(Count(result),), look_again_seconds=0.0)


def fail(case: RestoreCase, reason: Reason, message: str, result: JobResult | None = None) -> Found:
    """Return the plan for a request that came to nothing."""
    if (first := _bring_back(case)) is not None:
        return first
    status = with_facts(with_repeats(_with_workloads(case), result), result.restore if result is not None else None)
    status = closed(status, reason, is_good=False, ended=_ended(case), now=case.now)
    said = (
        *failure_conditions(reason, message, is_replace=case.is_replace),
        *never_answered(case, reason),
        *workload_conditions(status.workloads),
    )
    told = () if result is None else (Count(result),)
    return Plan(status=said_of(case, status, said), actions=told, look_again_seconds=0.0)


def _with_workloads(case: RestoreCase) -> RestoreRequestStatus:
    return replace(case.status, workloads=resumed(case.status.workloads, case.seen.workloads))


def _bring_back(case: RestoreCase) -> Found | None:
    """Return the plan that scales workloads back before anything else is said; None when all are, or it was tried for long enough."""
    status = _with_workloads(case)
    wanted = resuming(status.workloads)
    if not wanted or case.now - _ended(case) > RESUMING_PATIENCE:
        return None
    progress = RestoreProgress(
        stage=RestoreStage.RESUMING_WORKLOADS, summary="Resuming workloads", updated_time=case.now
    )
    status = replace(status, progress=progress)
    message = "the workloads are being scaled back"
    return going_on(case, status, Reason.RUNNING, message, actions=wanted, again=1.0)


def _ended(case: RestoreCase) -> datetime:
    return (case.job.finish_time if case.job is not None else None) or case.now


def going_on(
    case: RestoreCase,
    status: RestoreRequestStatus,
    reason: Reason,
    message: str,
    *,
    actions: tuple[Action, ...] = (),
    again: float | None = None,
    more: tuple[Condition, ...] = (),
) -> Found:
    """Return the plan that says what goes on."""
    said = (unknown(ConditionType.READY, reason, message), *_not_over(reason, message), *more)
    return Plan(status=said_of(case, status, said), actions=actions, look_again_seconds=again)


def held_up(
    case: RestoreCase,
    reason: Reason,
    message: str,
    *,
    status: RestoreRequestStatus | None = None,
    again: float | None = None,
    more: tuple[Condition, ...] = (),
) -> Found:
    """Return the plan that says what keeps the request from going on; it goes on by itself when that is gone."""
    said = (no(ConditionType.READY, reason, message), *_not_over(reason, message), *more)
    return Plan(status=said_of(case, status or case.status, said), look_again_seconds=again)


def _not_over(reason: Reason, message: str) -> tuple[Condition, ...]:
    return (
        unknown(ConditionType.SUCCEEDED, reason, message),
        yes(ConditionType.RECONCILING, reason, message),
        no(ConditionType.FINISHED, reason, message),
    )


def said_of(case: RestoreCase, status: RestoreRequestStatus, said: tuple[Condition, ...]) -> RestoreRequestStatus:
    """Return *status* with what is *said* now."""
    generation = case.request.metadata.generation
    conditions = merge(case.status.conditions, said, generation=generation, now=case.now)
    return replace(status, conditions=conditions, observed_generation=generation)


def waiting(message: str, now: datetime) -> RestoreProgress:
    """Return the progress of a request that waits for what *message* names."""
    return RestoreProgress(
        stage=RestoreStage.WAITING, summary="Waiting", waiting_for=message[:WAITING_FOR_LENGTH], updated_time=now
    )
