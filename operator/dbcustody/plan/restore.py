"""What is to be done for a RestoreRequest, and what is to be said of it: judged only from what was seen.

First a Job plans, and the plan is told in status; then another one carries out that very plan. A run that left no result is asked for at
the server before anything is said of it. A chain of rules; the first that speaks decides, and what is finished is never judged again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dbcustody.api.condition import ConditionType, is_true
from dbcustody.api.meta import Kind, ObjectRef, reference_to
from dbcustody.contract import Verb
from dbcustody.naming import FINALIZER
from dbcustody.plan.actions import Count, LetJobGo, Plan, StartJob
from dbcustody.plan.freeze import frozen
from dbcustody.plan.job_lifecycle import POD_PATIENCE, Stand, backoff_seconds, deletion_of, judge
from dbcustody.plan.manifest import job_manifest
from dbcustody.plan.progress import interval_seconds, with_repeats
from dbcustody.plan.replace import carry_out, go_on, keep_or_drop, left_alone, let_go, with_finalizer
from dbcustody.plan.request import Missing
from dbcustody.plan.restore_approval import AWAITED, asked, gate, is_asked, planned_anew, told
from dbcustody.plan.restore_case import Origin, Refusal, RestoreCase, SeenRestore, target_of
from dbcustody.plan.restore_outcome import planned_conditions, ready_conditions, restored, with_facts
from dbcustody.plan.restore_step import (
    MOST_ATTEMPTS,
    begin,
    fail,
    going_on,
    held_up,
    recorded,
    said_of,
    settle,
    succeed,
    waiting,
)
from dbcustody.plan.restore_work import restore_work, server_work
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.api.restore import RestoreRequest, RestoreRequestStatus
    from dbcustody.contract import JobResult
    from dbcustody.plan.actions import Action
    from dbcustody.plan.manifest import Work

    Found = Plan[RestoreRequestStatus]

GONE_AFTER_SUCCESS_SECONDS: Final = 3600
GONE_AFTER_FAILURE_SECONDS: Final = 86_400
_WORKING: Final = frozenset({Verb.RESTORE, Verb.SWAP})
_SERVER_ALONE: Final = frozenset({Verb.SETTLE_RESTORE, Verb.DROP_REPLACED})


def plan(request: RestoreRequest, seen: SeenRestore, now: datetime) -> Plan[RestoreRequestStatus]:
    """Return the next step for *request* at *now*."""
    case = RestoreCase(request, seen, now)
    plans = (rule(case) for rule in _RULES)
    return with_finalizer(case, next(one for one in plans if one is not None))


def _is_finished(case: RestoreCase) -> Found | None:
    """Speak for what is over: its Jobs are tidied up, and it is never judged again."""
    conditions = case.status.conditions
    if not is_true(conditions, ConditionType.FINISHED):
        return None
    is_good = is_true(conditions, ConditionType.SUCCEEDED)
    seconds = GONE_AFTER_SUCCESS_SECONDS if is_good else GONE_AFTER_FAILURE_SECONDS
    jobs = case.seen.jobs
    tidy = [LetJobGo(job.name, seconds) for job in jobs if job.is_finished and not job.has_ttl]
    dropping = case.attempt.job_name if case.attempt is not None and case.verb is Verb.DROP_REPLACED else None
    strays = [
        deletion_of(job)
        for job in jobs
        if not job.is_finished and not job.metadata.is_being_deleted and job.name != dropping
    ]
    # said of this generation too: a late `cancel` does not touch the verdict, and whoever waits asks by generation
    status = said_of(case, case.status, conditions)
    if (more := keep_or_drop(replace(case, request=replace(case.request, status=status)))) is not None:
        return replace(more, actions=(*strays, *more.actions))
    return Plan(status=status, actions=(*tidy, *strays))


def _is_going(case: RestoreCase) -> Found | None:
    """Speak for a request that is being deleted: its Job goes with it, and takes away what it made; nothing new is begun.

    One that our finalizer holds is brought to an end first, as if it was cancelled, unless its namespace goes with it.
    """
    if not case.request.metadata.is_being_deleted:
        return None
    if FINALIZER not in case.request.metadata.finalizers:
        return Plan(status=case.status)
    if case.seen.is_namespace_going:
        return left_alone(case)
    return let_go(case) if is_true(case.status.conditions, ConditionType.FINISHED) else None


def _is_cancelled(case: RestoreCase) -> Found | None:
    """Speak for a request that is to be given up: what runs is ended first, then the server is asked what it left."""
    if not case.is_given_up or case.verb is Verb.SETTLE_RESTORE:
        return None
    job, message = case.job, "it was cancelled" if case.request.spec.cancel else "it is being deleted"
    if job is not None and not job.is_finished:
        gone = job.metadata.is_being_deleted
        actions: tuple[Action, ...] = () if gone else (deletion_of(job),)
        return going_on(case, case.status, Reason.CANCELLED, "the Job is being ended", actions=actions)
    if case.verb in {None, Verb.PLAN_RESTORE}:
        return fail(case, Reason.CANCELLED, message)
    result = judge(job, case.now).result if job is not None else None
    if result is not None and restored(result):
        return None
    return settle(case, Reason.CANCELLED, message, result)


def _waits_for_a_person(case: RestoreCase) -> Found | None:
    """Speak while the told plan waits for a second person; the Job that planned is not needed for that any more."""
    return _once_approved(case, case.status) if is_asked(case) else None


def _is_first_seen(case: RestoreCase) -> Found | None:
    if case.attempt is not None:
        return None
    return begin(case, Verb.PLAN_RESTORE, replace(case.status, start_time=case.status.start_time or case.now))


def _is_frozen(case: RestoreCase) -> Found | None:
    """Speak when the Job that comes next must not begin now."""
    hold = frozen(case)
    return None if hold is None else held_up(case, Reason.FREEZE_WINDOW, hold.message, again=hold.again_seconds)


def _is_written_down_only(case: RestoreCase) -> Found | None:
    """Speak when the last attempt has no Job: it was not created yet, or somebody deleted it."""
    attempt, verb = case.attempt, case.verb
    if attempt is None or verb is None or case.job is not None:
        return None
    if case.status.job_ref is not None and case.status.job_ref.name == attempt.job_name:
        return _lost(case, Reason.JOB_DELETED, f"Job {attempt.job_name} was deleted")
    if verb is Verb.RESTORE and case.seen.prunes:
        return held_up(case, Reason.PENDING, f"Job {case.seen.prunes[0]} of retention must end first", again=5.0)
    work = _work(case, verb)
    if isinstance(work, Missing):
        return held_up(case, work.reason, work.message)
    if isinstance(work, Refusal):
        return fail(case, work.reason, work.message)
    owner = reference_to(Kind.RESTORE_REQUEST, case.request.metadata)
    manifest = job_manifest(work, name=attempt.job_name, owner=owner)
    return Plan(status=case.status, actions=(StartJob(manifest),))


def _work(case: RestoreCase, verb: Verb) -> Work | Missing | Refusal:
    target = target_of(case)
    if isinstance(target, Missing):
        return target
    if verb in _SERVER_ALONE:
        return server_work(verb, case.request, target, image=case.seen.image, undone=case.seen.undone)
    origin = case.origin
    if not isinstance(origin, Origin):
        return origin
    return restore_work(verb, case.request, target, origin, image=case.seen.image, undone=case.seen.undone)


def _job_goes_on(case: RestoreCase) -> Found | None:
    """Speak while the last attempt's Job is under way, or held up."""
    job = case.job
    if job is None or (verdict := judge(job, case.now)).stand in {Stand.ANSWERED, Stand.LOST}:
        return None
    status = replace(case.status, job_ref=ObjectRef(name=job.name))
    if verdict.stand is Stand.BLOCKED:
        held = waiting(verdict.message, case.now)
        before = case.status.progress
        is_known = before is not None and before.waiting_for == held.waiting_for
        status = status if is_known else replace(status, progress=held)
        return held_up(case, verdict.reason, verdict.message, status=status)
    if verdict.stand is Stand.STARTING:
        return going_on(case, status, Reason.PENDING, "the pod is being started", again=POD_PATIENCE.total_seconds())
    again = interval_seconds(job.start_time, case.now, runs=case.seen.runs)
    reason = Reason.SETTLING if case.verb is Verb.SETTLE_RESTORE else Reason.RUNNING
    status = replace(status, progress=case.seen.progress or status.progress)
    return going_on(case, status, reason, verdict.message, again=again)


def _has_answered(case: RestoreCase) -> Found | None:
    """Speak when the last attempt's Job left a result."""
    result = judge(case.job, case.now).result if case.job is not None else None
    if result is None:
        return None
    if restored(result):
        return succeed(case, result)
    if result.restore is not None and result.restore.is_ready:
        return _is_ready(case, result)
    rules = {Verb.PLAN_RESTORE: _planned, Verb.SETTLE_RESTORE: _settled, Verb.SWAP: _not_swapped}
    return rules.get(case.verb or result.verb, _not_restored)(case, result)


def _planned(case: RestoreCase, result: JobResult) -> Found:
    facts = result.restore
    if result.exit_code is not ExitCode.DONE:
        return fail(case, result.reason, case.about_source(result.reason, result.message), result)
    if facts is None or facts.plan is None or (facts.backup is None and case.request.spec.undo_of is None):
        return fail(case, Reason.JOB_LOST, "the plan was made, and was lost on its way", result)
    status = with_facts(with_repeats(case.status, result), facts)
    planned = _once_approved(case, status)
    has_moved_on = planned.status is not None and planned.status.attempts != case.status.attempts
    return replace(planned, actions=(*planned.actions, Count(result))) if has_moved_on else planned


def _once_approved(case: RestoreCase, status: RestoreRequestStatus) -> Found:
    """Begin to carry out the plan that stands in *status*, or wait for the second person that it needs, or end with that person's no."""
    found = gate(case, status)
    more = (*planned_conditions(is_undo=case.request.spec.undo_of is not None), *found.conditions)
    if found.is_open:
        return carry_out(told(case, found), status, more)
    if not is_asked(case):
        status = replace(asked(status), progress=waiting(AWAITED, case.now))
    if found.is_shut:
        return fail(replace(case, request=replace(case.request, status=status)), found.reason, found.message)
    if found.reason is Reason.APPROVAL_PENDING:
        return going_on(case, status, found.reason, found.message, more=more)
    return held_up(case, found.reason, found.message, status=status, more=more)


def _is_ready(case: RestoreCase, result: JobResult) -> Found:
    """Speak for a database that is complete and compared, and waits, shut, to take another's place."""
    assert result.restore is not None  # noqa: S101 - it says that it is ready
    status = recorded(case, with_facts(with_repeats(case.status, result), result.restore), Reason.RESTORED)
    said = ready_conditions(result.restore, result.message)
    return going_on(case, status, Reason.RUNNING, result.message, more=said, actions=(Count(result),), again=0.0)


def _not_swapped(case: RestoreCase, result: JobResult) -> Found:
    """Speak for a swap that did not come about: what was restored for it has to be dropped, and it is made sure that all is open."""
    reason = Reason.JOB_LOST if result.exit_code is ExitCode.DONE else result.reason
    return settle(case, reason, result.message, result)


def _not_restored(case: RestoreCase, result: JobResult) -> Found:
    """Speak for a restore that ended otherwise; one that gave up in an orderly way took away what it had made."""
    if result.reason is Reason.PLAN_CHANGED and len(case.status.attempts) < MOST_ATTEMPTS:
        return begin(case, Verb.PLAN_RESTORE, with_repeats(case.status, result), planned_anew(case))
    if result.exit_code is ExitCode.REFUSED and result.reason is not Reason.TIMED_OUT:
        return fail(case, result.reason, case.about_source(result.reason, result.message), result)
    reason = Reason.JOB_LOST if result.exit_code is ExitCode.DONE else result.reason
    return settle(case, reason, result.message, result)


def _settled(case: RestoreCase, result: JobResult) -> Found | None:
    if result.exit_code is not ExitCode.DONE or result.restore is None:
        return None
    ended = next((one for one in reversed(case.status.attempts) if one.verb in _WORKING and one.reason), None)
    reason = Reason(ended.reason) if ended is not None and ended.reason is not None else Reason.JOB_LOST
    return fail(case, reason, f"{_why(case)}; {result.message}", result)


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
        return held_up(case, Reason.SETTLING, f"{verdict.reason.value}: {verdict.message}", again=pause)
    return settle(case, None, _why(case), verdict.result)


def _why(case: RestoreCase) -> str:
    """Return what was said of the run when the server began to be asked."""
    before = next((one for one in case.status.conditions if one.type is ConditionType.RESTORED), None)
    return before.message if before is not None and before.message else "the run left no result"


def _lost(case: RestoreCase, reason: Reason, message: str) -> Found:
    """Return the plan for an attempt of which nothing more will be heard: a plan touches nothing, anything else has to be asked for."""
    if case.verb is Verb.PLAN_RESTORE:
        return fail(case, reason, message)
    return settle(case, reason if case.verb in _WORKING else None, message, None)


_RULES: Final = (
    _is_going,
    _is_finished,
    _is_cancelled,
    _waits_for_a_person,
    _is_first_seen,
    go_on,
    _is_frozen,
    _is_written_down_only,
    _job_goes_on,
    _has_answered,
    _is_lost,
)
