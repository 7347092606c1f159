"""What is to be done for a Backup, and what is to be said of it: judged only from what was seen.

A chain of rules; the first that speaks decides. An attempt is written down before its Job is created, so that a new operator finds it;
a Backup that is finished is never judged again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.backup import Attempt, Backup, Origin, Stage
from dbcustody.api.condition import ConditionType, find, is_true, merge, no, unknown, yes
from dbcustody.api.meta import Kind, ObjectRef, reference_to
from dbcustody.contract import Verb
from dbcustody.naming import child_name
from dbcustody.plan.actions import Count, DeleteBackup, LetJobGo, MarkJob, Plan, StartJob
from dbcustody.plan.backup_case import FOR_A_POD, UNTESTED, Case, SeenBackup
from dbcustody.plan.backup_outcome import closed, decides, outcome_conditions, succeeded, with_facts
from dbcustody.plan.hold import is_settled, plan_hold
from dbcustody.plan.job_lifecycle import POD_PATIENCE, Stand, Verdict, backoff_seconds, deletion_of, judge
from dbcustody.plan.manifest import job_manifest
from dbcustody.plan.progress import interval_seconds, waiting, with_repeats
from dbcustody.plan.request import Missing, backup_work, names_for, settle_work
from dbcustody.plan.retained import with_data, with_retention
from dbcustody.plan.throwaway import trouble_with_server
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.api.backup import BackupStatus
    from dbcustody.api.condition import Condition
    from dbcustody.contract import JobResult
    from dbcustody.plan.actions import Action
    from dbcustody.plan.observed import SeenJob
    from dbcustody.plan.request import Parties

GONE_AFTER_SUCCESS_SECONDS: Final = 3600
GONE_AFTER_FAILURE_SECONDS: Final = 86_400
MOST_ATTEMPTS: Final = 10
_BEFORE_THE_DUMP: Final = frozenset({Stage.WAITING, Stage.CONNECTING, Stage.LOCKING})


def plan(backup: Backup, seen: SeenBackup, now: datetime) -> Plan[BackupStatus]:
    """Return the next step for *backup* at *now*; one that is being deleted is for `plan.removal`."""
    case = Case(backup, seen, now)
    plans = (rule(case) for rule in _RULES)
    found = next(one for one in plans if one is not None)
    return replace(found, actions=(*found.actions, *_marks(case)))


def _is_finished(case: Case) -> Plan[BackupStatus] | None:
    """Speak for what is over: it is tidied up and never judged again."""
    if not is_true(case.status.conditions, ConditionType.FINISHED):
        return None
    succeeded_ = is_true(case.status.conditions, ConditionType.SUCCEEDED)
    seconds = GONE_AFTER_SUCCESS_SECONDS if succeeded_ else GONE_AFTER_FAILURE_SECONDS
    runs = [job for job in case.seen.jobs if job.verb is not Verb.HOLD]
    tidy: list[Action] = [LetJobGo(job.name, seconds) for job in runs if job.is_finished and not job.has_ttl]
    tidy += [deletion_of(job) for job in runs if _is_stray(job)]
    left = _seconds_to_live(case)
    if left is not None and left <= 0:
        tidy.append(DeleteBackup(case.backup.metadata.name, case.backup.metadata.uid))
        return Plan(status=with_retention(case, case.status), actions=tuple(tidy))
    held, generation = plan_hold(case), case.backup.metadata.generation
    status, said = with_data(case, held.status)
    said = (*_verdict_of(case), *held.said, *said)
    conditions = merge(case.status.conditions, said, generation=generation, now=case.now)
    status = replace(status, conditions=conditions, observed_generation=generation)
    again = left if left is not None else held.look_again_seconds
    return Plan(status=status, actions=(*tidy, *held.actions), look_again_seconds=again)


def _verdict_of(case: Case) -> tuple[Condition, ...]:
    """Return the verdict, to be said of this generation too: what may be edited later does not touch it, and `kubectl wait` asks."""
    return tuple(one for one in case.status.conditions if one.type is not ConditionType.HELD)


def _is_stray(job: SeenJob) -> bool:
    return not job.is_finished and not job.metadata.is_being_deleted


def _seconds_to_live(case: Case) -> float | None:
    """Return how long the object may stay; None: for ever, and so while a legal hold stands in it, or is not released yet."""
    if case.backup.spec.legal_hold is not None or not is_settled(case.backup):
        return None
    ttl, finish = case.backup.spec.ttl_seconds_after_finished, case.status.finish_time
    if ttl is None or finish is None:
        return None
    return max(0.0, ttl - (case.now - finish).total_seconds())


def _is_imported(case: Case) -> Plan[BackupStatus] | None:
    """Speak for a Backup that was found in a storage: it is asked what it holds, and nothing is run."""
    if case.attempt is not None or case.backup.spec.origin is not Origin.IMPORTED:
        return None
    attempt = Attempt(ordinal=1, job_name=_job_name(case, Verb.SETTLE, 1), verb=Verb.SETTLE.value)
    status = replace(case.status, attempts=(attempt,), progress=waiting("the storage's answer", case.now))
    return _going_on(case, status, Reason.SETTLING, "the storage is asked what it holds", again=0.0)


def _is_first_seen(case: Case) -> Plan[BackupStatus] | None:
    """Speak for a Backup without an attempt: its Job is written down, its own or the CronJob's."""
    if case.attempt is not None:
        return None
    if not case.has_own_job:
        attempt = Attempt(ordinal=1, job_name=case.backup.metadata.name)
        status = replace(_with_job(case, case.seen.jobs), attempts=(attempt,))
        return _going_on(case, status, Reason.PENDING, f"Job {attempt.job_name} is its run", again=0.0)
    found = case.parties
    if isinstance(found, Missing):
        return _held_up(case, found.reason, found.message)
    name = _job_name(case, Verb.BACKUP, 1)
    status = replace(
        case.status,
        attempts=(Attempt(ordinal=1, job_name=name),),
        start_time=case.now,
        progress=waiting(FOR_A_POD, case.now),
    )
    manifest = _backup_job(case, found, name)
    return _going_on(case, status, Reason.PENDING, "the Job is being created", actions=(StartJob(manifest),))


def _with_job(case: Case, jobs: tuple[SeenJob, ...]) -> BackupStatus:
    """Return the status with what the CronJob's Job says of when it was due and when it began."""
    job = next((one for one in jobs if one.name == case.backup.metadata.name), None)
    if job is None:
        return replace(case.status, job_ref=ObjectRef(name=case.backup.metadata.name))
    return replace(
        case.status,
        job_ref=ObjectRef(name=job.name),
        scheduled_time=job.scheduled_time,
        start_time=job.start_time or job.created_time,
        progress=waiting(FOR_A_POD, case.now),
    )


def _is_written_down_only(case: Case) -> Plan[BackupStatus] | None:
    """Speak when the last attempt has no Job: it was not created before the operator stopped, or somebody deleted it."""
    attempt = case.attempt
    if attempt is None or case.job is not None:
        return None
    was_seen = case.status.job_ref is not None and case.status.job_ref.name == attempt.job_name
    is_ours = attempt.verb != Verb.BACKUP or case.has_own_job or case.is_untested  # else a CronJob's: not ours to make
    if was_seen or not is_ours:
        lost = Verdict(stand=Stand.LOST, reason=Reason.JOB_DELETED, message=f"Job {attempt.job_name} was deleted")
        return _settle(case, lost)
    found = case.parties
    if isinstance(found, Missing):
        return _held_up(case, found.reason, found.message)
    if attempt.verb == Verb.BACKUP:
        return Plan(status=case.status, actions=(StartJob(_backup_job(case, found, attempt.job_name)),))
    work = settle_work(case.backup, found, image=case.seen.image)
    manifest = job_manifest(work, name=attempt.job_name, owner=reference_to(Kind.BACKUP, case.backup.metadata))
    return Plan(status=case.status, actions=(StartJob(manifest),))


def _goes_on_untested(case: Case) -> Plan[BackupStatus] | None:
    """Speak when a run does not begin because of its throw-away server: the backup is taken without, and the test is left out.

    Nothing of the run has happened yet. A test proves backups, and must not be what prevents one.
    """
    job, attempt = case.job, case.attempt
    trouble = trouble_with_server(job, case.now) if job is not None else None
    if attempt is None or attempt.verb != Verb.BACKUP or job is None or trouble is None:
        return None
    if isinstance(found := case.parties, Missing):
        return None
    name = _job_name(case, Verb.BACKUP, attempt.ordinal + 1)
    told = _with_last_reason(case.status.attempts, Reason.TEST_SERVER_UNAVAILABLE)
    attempts = _bounded((*told, Attempt(ordinal=attempt.ordinal + 1, job_name=name)))
    status = replace(case.status, attempts=attempts, job_ref=None, progress=waiting(FOR_A_POD, case.now))
    said = _going_on(case, status, Reason.TEST_SERVER_UNAVAILABLE, f"{UNTESTED}{trouble}")
    assert said.status is not None  # noqa: S101 - it says what goes on
    written = replace(case, backup=replace(case.backup, status=said.status))
    return replace(said, actions=(deletion_of(job), StartJob(_backup_job(written, found, name))))


def _backup_job(case: Case, parties: Parties, name: str) -> dict[str, Any]:
    """Return the Job *name* that takes the Backup, without a throw-away server when that of an earlier attempt did not start.

    It follows from the status alone, so that an operator that comes after the status was written makes the same one.
    """
    work = backup_work(case.backup, parties, image=case.seen.image, untestable=case.why_untested)
    return job_manifest(work, name=name, owner=reference_to(Kind.BACKUP, case.backup.metadata))


def _job_goes_on(case: Case) -> Plan[BackupStatus] | None:
    """Speak while the last attempt's Job is under way, or held up."""
    job = case.job
    if job is None or (verdict := judge(job, case.now)).stand in {Stand.ANSWERED, Stand.LOST}:
        return None
    status = replace(case.status, job_ref=ObjectRef(name=job.name))
    if verdict.stand is Stand.BLOCKED:
        held = replace(status, progress=waiting(verdict.message[:200], case.now))
        return _held_up(case, verdict.reason, verdict.message, status=_keep_time(held, case.status))
    if verdict.stand is Stand.STARTING:
        reason = Reason.SETTLING if case.is_settling else Reason.PENDING
        return _going_on(case, status, reason, "the pod is being started", again=POD_PATIENCE.total_seconds())
    again = interval_seconds(job.start_time, case.now, runs=case.seen.runs)
    if case.is_settling:
        return _going_on(case, status, Reason.SETTLING, verdict.message, again=again)
    status = replace(status, progress=case.seen.progress or status.progress)
    begun = () if case.seen.progress is None or case.seen.progress.stage in _BEFORE_THE_DUMP else (_HAS_BEGUN,)
    return _going_on(case, status, Reason.RUNNING, verdict.message, again=again, more=begun)


def _keep_time(status: BackupStatus, before: BackupStatus) -> BackupStatus:
    """Return *status* without a new time on a progress that says nothing new."""
    old, new = before.progress, status.progress
    if old is None or new is None or old.waiting_for != new.waiting_for:
        return status
    return replace(status, progress=old)


def _has_answered(case: Case) -> Plan[BackupStatus] | None:
    """Speak when the last attempt's Job left a result that decides the Backup."""
    job = case.job
    result = judge(job, case.now).result if job is not None else None
    if result is None:
        return None
    if case.is_settling:
        return _settled(case, result)
    if not decides(result, may_be_committed=case.may_be_committed):
        return None
    return _conclude(case, result, reason=_reason_of(result), message=result.message)


def _reason_of(result: JobResult) -> Reason:
    """Return why a Backup ends as it does, from a result that decides."""
    is_proven = result.exit_code is not ExitCode.DONE or succeeded(result)
    if not is_proven:
        return Reason.VERIFICATION_FAILED
    if not succeeded(result):
        return result.reason
    return Reason.ADOPTED if result.backup is not None and result.backup.adopted else Reason.SUCCEEDED


def _settled(case: Case, result: JobResult) -> Plan[BackupStatus] | None:
    """Speak when the storage was asked and answered: what was committed counts, or what is wrong with it, else the reason of the loss."""
    if result.backup is None or result.exit_code is ExitCode.UNAVAILABLE:
        return None
    if result.backup.artefact is not None or result.exit_code is not ExitCode.DONE:
        return _conclude(case, result, reason=_reason_of(result), message=result.message)
    lost = next((one for one in case.status.attempts if one.verb == Verb.BACKUP and one.reason), None)
    reason = Reason(lost.reason) if lost is not None and lost.reason is not None else Reason.JOB_LOST
    why = _why_settling(case) or "the run left no result"
    return _conclude(case, result, reason=reason, message=f"{why}; nothing was committed to the storage")


def _why_settling(case: Case) -> str | None:
    """Return what was said of the run when the storage began to be asked; None when that is not known any more."""
    before = find(case.status.conditions, ConditionType.SUCCEEDED)
    return before.message if before is not None and before.reason is Reason.SETTLING and case.is_settling else None


def _is_lost(case: Case) -> Plan[BackupStatus]:
    """Speak when nothing else does: the last Job is over without an answer that decides, so the storage is asked."""
    job = case.job
    assert job is not None  # noqa: S101 - the rules before this one spoke for every Backup without a Job
    verdict = _as_loss(judge(job, case.now))
    ended = job.finish_time or case.now
    failures = sum(1 for one in case.status.attempts if one.verb == Verb.SETTLE)
    pause = backoff_seconds(failures) - (case.now - ended).total_seconds() if failures else 0.0
    if pause > 0:
        return _held_up(case, Reason.SETTLING, f"{verdict.reason.value}: {verdict.message}", again=pause)
    return _settle(case, verdict)


def _as_loss(verdict: Verdict) -> Verdict:
    """Return *verdict* of a run that is over and decides nothing; one that claims to be done and proves nothing is as good as lost."""
    if verdict.result is None or verdict.result.exit_code is not ExitCode.DONE:
        return verdict
    return replace(verdict, reason=Reason.JOB_LOST, message="the run says that it is done, and its facts were lost")


def _settle(case: Case, lost: Verdict) -> Plan[BackupStatus]:
    """Return the plan that starts a Job which looks into the storage; *lost* is what is known of the attempt without a result."""
    before = _with_last_reason(case.status.attempts, lost.reason)
    found = case.parties
    if isinstance(found, Missing):
        status = replace(case.status, attempts=before)
        return _held_up(case, found.reason, f"{lost.message}; {found.message}", status=status)
    ordinal = before[-1].ordinal + 1
    name = _job_name(case, Verb.SETTLE, ordinal)
    attempts = _bounded((*before, Attempt(ordinal=ordinal, job_name=name, verb=Verb.SETTLE.value)))
    told = with_repeats(case.status, lost.result)
    status = replace(told, attempts=attempts, job_ref=None, progress=waiting("the storage's answer", case.now))
    work = settle_work(case.backup, found, image=case.seen.image)
    manifest = job_manifest(work, name=name, owner=reference_to(Kind.BACKUP, case.backup.metadata))
    return _going_on(case, status, Reason.SETTLING, lost.message, actions=(StartJob(manifest),))


def _bounded(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """Return the first and the last ones of *attempts*, as many as the CRD allows."""
    return attempts if len(attempts) <= MOST_ATTEMPTS else (attempts[0], *attempts[1 - MOST_ATTEMPTS :])


def _with_last_reason(attempts: tuple[Attempt, ...], reason: Reason) -> tuple[Attempt, ...]:
    return (*attempts[:-1], replace(attempts[-1], reason=reason.value))


def _conclude(case: Case, result: JobResult, *, reason: Reason, message: str) -> Plan[BackupStatus]:
    is_good, facts = succeeded(result), result.backup
    said = outcome_conditions(facts, is_good=is_good, reason=reason, message=message)
    ended = (case.job.finish_time if case.job is not None else None) or case.now
    known = with_repeats(with_facts(case.status, facts), result)
    status = closed(known, is_good=is_good, reason=reason, ended=ended, now=case.now)
    status = replace(status, attempts=_with_last_reason(status.attempts, result.reason))
    return Plan(status=_said(case, status, said), actions=(Count(result),), look_again_seconds=0.0)


def _going_on(
    case: Case,
    status: BackupStatus,
    reason: Reason,
    message: str,
    *,
    actions: tuple[Action, ...] = (),
    again: float | None = None,
    more: tuple[Condition, ...] = (),
) -> Plan[BackupStatus]:
    said = (unknown(ConditionType.READY, reason, message), *_not_over(case, reason, message), *more)
    return Plan(status=_said(case, status, said), actions=actions, look_again_seconds=again)


def _held_up(
    case: Case, reason: Reason, message: str, *, status: BackupStatus | None = None, again: float | None = None
) -> Plan[BackupStatus]:
    """Return the plan that says what keeps the Backup from going on; it goes on by itself when that is gone."""
    said = (no(ConditionType.READY, reason, message), *_not_over(case, reason, message))
    return Plan(status=_said(case, status or case.status, said), look_again_seconds=again)


def _not_over(case: Case, reason: Reason, message: str) -> tuple[Condition, ...]:
    """Return what is said of a Backup that goes on; while the storage is asked, Succeeded keeps telling why that had to be."""
    why = _why_settling(case)
    succeeded_ = (reason, message) if why is None else (Reason.SETTLING, why)
    return (
        unknown(ConditionType.SUCCEEDED, *succeeded_),
        yes(ConditionType.RECONCILING, reason, message),
        no(ConditionType.FINISHED, reason, message),
    )


def _said(case: Case, status: BackupStatus, said: tuple[Condition, ...]) -> BackupStatus:
    generation = case.backup.metadata.generation
    conditions = merge(case.status.conditions, said, generation=generation, now=case.now)
    names = names_for(case.backup, case.seen.policy)
    return replace(
        status,
        conditions=conditions,
        observed_generation=generation,
        database=names.database or status.database,
        storage=names.storage if status.attempts else None,
    )


def _job_name(case: Case, verb: Verb, ordinal: int) -> str:
    metadata = case.backup.metadata
    return child_name(metadata.name, metadata.uid, verb.value, str(ordinal))


def _marks(case: Case) -> tuple[Action, ...]:
    """Return what tells the Job of a CronJob which Backup was made of it: without the mark, its Backup would be made again."""
    metadata = case.backup.metadata
    return tuple(
        MarkJob(job.name, metadata.name, metadata.uid)
        for job in case.seen.jobs
        if job.name == metadata.name and not case.has_own_job and job.backup_uid != metadata.uid
    )


_HAS_BEGUN: Final = unknown(ConditionType.CAPTURED, Reason.RUNNING, "the dump has begun")
"""Stays in status whatever becomes of the pods: from then on, only the storage knows whether something was committed."""
_RULES: Final = (
    _is_finished,
    _is_imported,
    _is_first_seen,
    _is_written_down_only,
    _goes_on_untested,
    _job_goes_on,
    _has_answered,
    _is_lost,
)
