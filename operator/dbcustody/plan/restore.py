"""What is to be done for a RestoreRequest, and what is to be said of it: judged only from what was seen.

First a Job plans, and the plan is told in status; then another one carries out that very plan. A run that left no result is asked for at
the server before anything is said of it. A chain of rules; the first that speaks decides, and what is finished is never judged again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dbcustody.api.backup import Attempt
from dbcustody.api.condition import ConditionType, is_true, merge, no, unknown, yes
from dbcustody.api.meta import Kind, ObjectRef, reference_to
from dbcustody.api.restore import RestoreProgress, RestoreStage
from dbcustody.contract import Verb
from dbcustody.naming import child_name
from dbcustody.plan.actions import Count, LetJobGo, Plan, StartJob
from dbcustody.plan.freeze import frozen
from dbcustody.plan.job_lifecycle import POD_PATIENCE, Stand, backoff_seconds, deletion_of, judge
from dbcustody.plan.manifest import job_manifest
from dbcustody.plan.progress import WAITING_FOR_LENGTH, interval_seconds, with_repeats
from dbcustody.plan.request import Missing
from dbcustody.plan.restore_case import Origin, Refusal, RestoreCase, SeenRestore, target_of
from dbcustody.plan.restore_outcome import (
    closed,
    failure_conditions,
    planned_conditions,
    restored,
    success_conditions,
    with_facts,
)
from dbcustody.plan.restore_work import restore_work, settle_restore_work
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.api.condition import Condition
    from dbcustody.api.restore import RestoreRequest, RestoreRequestStatus
    from dbcustody.contract import JobResult
    from dbcustody.plan.actions import Action
    from dbcustody.plan.manifest import Work

    Found = Plan[RestoreRequestStatus]

GONE_AFTER_SUCCESS_SECONDS: Final = 3600
GONE_AFTER_FAILURE_SECONDS: Final = 86_400
MOST_ATTEMPTS: Final = 10
_FOR_A_POD: Final = "the Job's pod"


def plan(request: RestoreRequest, seen: SeenRestore, now: datetime) -> Plan[RestoreRequestStatus]:
    """Return the next step for *request* at *now*."""
    case = RestoreCase(request, seen, now)
    plans = (rule(case) for rule in _RULES)
    return next(one for one in plans if one is not None)


def _is_finished(case: RestoreCase) -> Found | None:
    """Speak for what is over: its Jobs are tidied up, and it is never judged again."""
    conditions = case.status.conditions
    if not is_true(conditions, ConditionType.FINISHED):
        return None
    is_good = is_true(conditions, ConditionType.SUCCEEDED)
    seconds = GONE_AFTER_SUCCESS_SECONDS if is_good else GONE_AFTER_FAILURE_SECONDS
    jobs = case.seen.jobs
    tidy = [LetJobGo(job.name, seconds) for job in jobs if job.is_finished and not job.has_ttl]
    strays = [deletion_of(job) for job in jobs if not job.is_finished and not job.metadata.is_being_deleted]
    # said of this generation too: a late `cancel` does not touch the verdict, and whoever waits asks by generation
    return Plan(status=_said(case, case.status, conditions), actions=(*tidy, *strays))


def _is_going(case: RestoreCase) -> Found | None:
    """Speak for a request that is being deleted: its Job goes with it, and takes away what it made; nothing new is begun."""
    return Plan(status=case.status) if case.request.metadata.is_being_deleted else None


def _is_cancelled(case: RestoreCase) -> Found | None:
    """Speak for a request that is to be given up: what runs is ended first, then the server is asked what it left."""
    if not case.request.spec.cancel or case.verb is Verb.SETTLE_RESTORE:
        return None
    job, message = case.job, "it was cancelled"
    if job is not None and not job.is_finished:
        gone = job.metadata.is_being_deleted
        actions: tuple[Action, ...] = () if gone else (deletion_of(job),)
        return _going_on(case, case.status, Reason.CANCELLED, "the Job is being ended", actions=actions)
    if case.verb is not Verb.RESTORE:
        return _fail(case, Reason.CANCELLED, message)
    result = judge(job, case.now).result if job is not None else None
    if result is not None and restored(result):
        return None
    return _settle(case, Reason.CANCELLED, message, result)


def _is_first_seen(case: RestoreCase) -> Found | None:
    if case.attempt is not None:
        return None
    return _begin(case, Verb.PLAN_RESTORE, replace(case.status, start_time=case.status.start_time or case.now))


def _begin(case: RestoreCase, verb: Verb, status: RestoreRequestStatus, more: tuple[Condition, ...] = ()) -> Found:
    """Write down the next attempt, which does *verb*; its Job is created when that is in status."""
    origin, target = case.origin, target_of(case)
    for found in (origin, target):
        if isinstance(found, Refusal):
            return _fail(case, found.reason, found.message)
        if isinstance(found, Missing):
            return _held_up(case, found.reason, found.message)
    status = replace(_with_attempt(case, verb, status), target=_target_text(case))
    return _going_on(case, status, Reason.PENDING, "the Job is being created", again=0.0, more=more)


def _with_attempt(case: RestoreCase, verb: Verb, status: RestoreRequestStatus) -> RestoreRequestStatus:
    before = status.attempts
    ordinal = before[-1].ordinal + 1 if before else 1
    metadata = case.request.metadata
    name = child_name(metadata.name, metadata.uid, verb.value, str(ordinal))
    attempts = (*_with_room(before), Attempt(ordinal=ordinal, job_name=name, verb=verb.value))
    return replace(status, attempts=attempts, job_ref=None, progress=_waiting(_FOR_A_POD, case.now))


def _with_room(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """Return *attempts* such that one more fits: of many the oldest question to the server gives way, for it says nothing any more."""
    if len(attempts) < MOST_ATTEMPTS:
        return attempts
    settling = (index for index, one in enumerate(attempts) if one.verb == Verb.SETTLE_RESTORE)
    gone = next(settling, 0)
    return attempts[:gone] + attempts[gone + 1 :]


def _target_text(case: RestoreCase) -> str:
    target = case.request.spec.target
    return f"{target.database_ref.name}/{target.database}"


def _is_frozen(case: RestoreCase) -> Found | None:
    """Speak when the Job that comes next must not begin now."""
    hold = frozen(case)
    return None if hold is None else _held_up(case, Reason.FREEZE_WINDOW, hold.message, again=hold.again_seconds)


def _is_written_down_only(case: RestoreCase) -> Found | None:
    """Speak when the last attempt has no Job: it was not created yet, or somebody deleted it."""
    attempt, verb = case.attempt, case.verb
    if attempt is None or verb is None or case.job is not None:
        return None
    if case.status.job_ref is not None and case.status.job_ref.name == attempt.job_name:
        return _lost(case, Reason.JOB_DELETED, f"Job {attempt.job_name} was deleted")
    if verb is Verb.RESTORE and case.seen.prunes:
        return _held_up(case, Reason.PENDING, f"Job {case.seen.prunes[0]} of retention must end first", again=5.0)
    work = _work(case, verb)
    if isinstance(work, Missing):
        return _held_up(case, work.reason, work.message)
    if isinstance(work, Refusal):
        return _fail(case, work.reason, work.message)
    owner = reference_to(Kind.RESTORE_REQUEST, case.request.metadata)
    manifest = job_manifest(work, name=attempt.job_name, owner=owner)
    return Plan(status=case.status, actions=(StartJob(manifest),))


def _work(case: RestoreCase, verb: Verb) -> Work | Missing | Refusal:
    target = target_of(case)
    if isinstance(target, Missing):
        return target
    if verb is Verb.SETTLE_RESTORE:
        return settle_restore_work(case.request, target, image=case.seen.image)
    origin = case.origin
    if not isinstance(origin, Origin):
        return origin
    return restore_work(verb, case.request, target, origin, image=case.seen.image)


def _job_goes_on(case: RestoreCase) -> Found | None:
    """Speak while the last attempt's Job is under way, or held up."""
    job = case.job
    if job is None or (verdict := judge(job, case.now)).stand in {Stand.ANSWERED, Stand.LOST}:
        return None
    status = replace(case.status, job_ref=ObjectRef(name=job.name))
    if verdict.stand is Stand.BLOCKED:
        held = _waiting(verdict.message, case.now)
        before = case.status.progress
        is_known = before is not None and before.waiting_for == held.waiting_for
        status = status if is_known else replace(status, progress=held)
        return _held_up(case, verdict.reason, verdict.message, status=status)
    if verdict.stand is Stand.STARTING:
        return _going_on(case, status, Reason.PENDING, "the pod is being started", again=POD_PATIENCE.total_seconds())
    again = interval_seconds(job.start_time, case.now, runs=case.seen.runs)
    reason = Reason.SETTLING if case.verb is Verb.SETTLE_RESTORE else Reason.RUNNING
    status = replace(status, progress=case.seen.progress or status.progress)
    return _going_on(case, status, reason, verdict.message, again=again)


def _has_answered(case: RestoreCase) -> Found | None:
    """Speak when the last attempt's Job left a result."""
    result = judge(case.job, case.now).result if case.job is not None else None
    if result is None:
        return None
    if restored(result):
        return _succeed(case, result)
    rules = {Verb.PLAN_RESTORE: _planned, Verb.RESTORE: _not_restored, Verb.SETTLE_RESTORE: _settled}
    return rules[Verb(case.attempt.verb if case.attempt is not None else result.verb)](case, result)


def _planned(case: RestoreCase, result: JobResult) -> Found:
    facts = result.restore
    if result.exit_code is not ExitCode.DONE:
        return _fail(case, result.reason, result.message, result)
    if facts is None or facts.plan is None or facts.backup is None:
        return _fail(case, Reason.JOB_LOST, "the plan was made, and was lost on its way", result)
    status = with_facts(with_repeats(case.status, result), facts)
    planned = _begin(case, Verb.RESTORE, status, planned_conditions())
    has_moved_on = planned.status is not None and planned.status.attempts != case.status.attempts
    return replace(planned, actions=(*planned.actions, Count(result))) if has_moved_on else planned


def _not_restored(case: RestoreCase, result: JobResult) -> Found:
    """Speak for a restore that ended otherwise; one that gave up in an orderly way took away what it had made."""
    if result.reason is Reason.PLAN_CHANGED and len(case.status.attempts) < MOST_ATTEMPTS:
        return _begin(case, Verb.PLAN_RESTORE, with_repeats(case.status, result))
    if result.exit_code is ExitCode.REFUSED and result.reason is not Reason.TIMED_OUT:
        return _fail(case, result.reason, result.message, result)
    reason = Reason.JOB_LOST if result.exit_code is ExitCode.DONE else result.reason
    return _settle(case, reason, result.message, result)


def _settled(case: RestoreCase, result: JobResult) -> Found | None:
    if result.exit_code is not ExitCode.DONE or result.restore is None:
        return None
    ended = next((one for one in reversed(case.status.attempts) if one.verb == Verb.RESTORE and one.reason), None)
    reason = Reason(ended.reason) if ended is not None and ended.reason is not None else Reason.JOB_LOST
    return _fail(case, reason, f"{_why(case)}; {result.message}", result)


def _why(case: RestoreCase) -> str:
    """Return what was said of the run when the server began to be asked."""
    before = next((one for one in case.status.conditions if one.type is ConditionType.RESTORED), None)
    return before.message if before is not None and before.message else "the run left no result"


def _is_lost(case: RestoreCase) -> Found:
    """Speak when nothing else does: the last Job is over, and its answer, if there is one, decides nothing."""
    job = case.job
    assert job is not None  # noqa: S101 - the rules before this one spoke for every request without a Job
    verdict = judge(job, case.now)
    if case.verb is not Verb.SETTLE_RESTORE:
        return _lost(case, verdict.reason, verdict.message)
    ended = job.finish_time or case.now
    failures = sum(1 for one in case.status.attempts if one.verb == Verb.SETTLE_RESTORE)
    pause = backoff_seconds(failures) - (case.now - ended).total_seconds()
    if pause > 0:
        return _held_up(case, Reason.SETTLING, f"{verdict.reason.value}: {verdict.message}", again=pause)
    return _settle(case, None, _why(case), verdict.result)


def _lost(case: RestoreCase, reason: Reason, message: str) -> Found:
    """Return the plan for an attempt of which nothing more will be heard: a plan touches nothing, anything else has to be asked for."""
    if case.verb is Verb.PLAN_RESTORE:
        return _fail(case, reason, message)
    return _settle(case, reason if case.verb is Verb.RESTORE else None, message, None)


def _settle(case: RestoreCase, reason: Reason | None, message: str, result: JobResult | None) -> Found:
    """Return the plan that asks the server; *reason* is why the run ended, None: it stands in its attempt already."""
    status = with_repeats(case.status, result)
    if reason is not None:
        last = replace(status.attempts[-1], reason=reason.value)
        status = replace(status, attempts=(*status.attempts[:-1], last))
    status = replace(
        _with_attempt(case, Verb.SETTLE_RESTORE, status), progress=_waiting("the server's answer", case.now)
    )
    so_far = unknown(ConditionType.RESTORED, Reason.SETTLING, message)
    told = () if result is None else (Count(result),)
    return _going_on(case, status, Reason.SETTLING, message, again=0.0, more=(so_far,), actions=told)


def _succeed(case: RestoreCase, result: JobResult) -> Found:
    facts = result.restore
    assert facts is not None  # noqa: S101 - it says that the database was handed over
    reason = Reason.ADOPTED if result.reason is Reason.ADOPTED else Reason.SUCCEEDED
    status = with_facts(with_repeats(case.status, result), facts)
    status = closed(status, reason, is_good=True, ended=_ended(case), now=case.now)
    said = success_conditions(facts, reason, result.message)
    return Plan(status=_said(case, status, said), actions=(Count(result),), look_again_seconds=0.0)


def _fail(case: RestoreCase, reason: Reason, message: str, result: JobResult | None = None) -> Found:
    status = with_facts(with_repeats(case.status, result), result.restore if result is not None else None)
    status = closed(status, reason, is_good=False, ended=_ended(case), now=case.now)
    said = failure_conditions(reason, message)
    told = () if result is None else (Count(result),)
    return Plan(status=_said(case, status, said), actions=told, look_again_seconds=0.0)


def _ended(case: RestoreCase) -> datetime:
    return (case.job.finish_time if case.job is not None else None) or case.now


def _going_on(
    case: RestoreCase,
    status: RestoreRequestStatus,
    reason: Reason,
    message: str,
    *,
    actions: tuple[Action, ...] = (),
    again: float | None = None,
    more: tuple[Condition, ...] = (),
) -> Found:
    said = (unknown(ConditionType.READY, reason, message), *_not_over(reason, message), *more)
    return Plan(status=_said(case, status, said), actions=actions, look_again_seconds=again)


def _held_up(
    case: RestoreCase,
    reason: Reason,
    message: str,
    *,
    status: RestoreRequestStatus | None = None,
    again: float | None = None,
) -> Found:
    """Return the plan that says what keeps the request from going on; it goes on by itself when that is gone."""
    said = (no(ConditionType.READY, reason, message), *_not_over(reason, message))
    return Plan(status=_said(case, status or case.status, said), look_again_seconds=again)


def _not_over(reason: Reason, message: str) -> tuple[Condition, ...]:
    return (
        unknown(ConditionType.SUCCEEDED, reason, message),
        yes(ConditionType.RECONCILING, reason, message),
        no(ConditionType.FINISHED, reason, message),
    )


def _said(case: RestoreCase, status: RestoreRequestStatus, said: tuple[Condition, ...]) -> RestoreRequestStatus:
    generation = case.request.metadata.generation
    conditions = merge(case.status.conditions, said, generation=generation, now=case.now)
    return replace(status, conditions=conditions, observed_generation=generation)


def _waiting(message: str, now: datetime) -> RestoreProgress:
    return RestoreProgress(
        stage=RestoreStage.WAITING, summary="Waiting", waiting_for=message[:WAITING_FOR_LENGTH], updated_time=now
    )


_RULES: Final = (
    _is_going,
    _is_finished,
    _is_cancelled,
    _is_first_seen,
    _is_frozen,
    _is_written_down_only,
    _job_goes_on,
    _has_answered,
    _is_lost,
)
