"""What is to be done for a Backup that is being deleted: its running Job ends first, and its data goes only if that was asked for.

The finalizer is ours and stands only on Backups with `deletionPolicy: Delete`. It never holds up a namespace that is being deleted:
no Job can be made there any more, so the data stays and an Event says so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dbcustody.api.backup import Attempt, DeletionPolicy
from dbcustody.api.condition import ConditionType, is_true, merge, no, yes
from dbcustody.api.meta import Kind, ObjectRef, reference_to
from dbcustody.contract import Verb
from dbcustody.naming import FINALIZER, child_name
from dbcustody.plan.actions import Plan, SetFinalizers, StartJob, Tell
from dbcustody.plan.backup import MOST_ATTEMPTS
from dbcustody.plan.backup_case import Case
from dbcustody.plan.job_lifecycle import Stand, backoff_seconds, deletion_of, judge
from dbcustody.plan.manifest import job_manifest
from dbcustody.plan.request import Missing, removal_work
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.api.backup import Backup, BackupStatus
    from dbcustody.contract import JobResult
    from dbcustody.plan.actions import Action
    from dbcustody.plan.backup_case import SeenBackup
    from dbcustody.plan.observed import SeenJob

LOOK_AGAIN_SECONDS: Final = 2.0


def finalizers_for(backup: Backup) -> tuple[Action, ...]:
    """Return the action that gives *backup* our finalizer or takes it away, if it is not as it should be."""
    has, others = FINALIZER in backup.metadata.finalizers, _others(backup)
    wanted = backup.spec.deletion_policy is DeletionPolicy.DELETE
    if backup.metadata.is_being_deleted or has == wanted:
        return ()
    return (SetFinalizers((*others, FINALIZER) if wanted else others),)


def plan_removal(backup: Backup, seen: SeenBackup, now: datetime) -> Plan[BackupStatus]:
    """Return the next step for *backup*, whose deletion was asked for."""
    case = Case(backup, seen, now)
    plans = (rule(case) for rule in _RULES)
    return next(one for one in plans if one is not None)


def _namespace_goes_too(case: Case) -> Plan[BackupStatus] | None:
    """Speak in a namespace that is being deleted: its Jobs go by themselves, and nothing new can be made."""
    if not case.seen.is_namespace_going:
        return None
    return _released(
        case, _left("the namespace is being deleted, and no Job can be made in it") if _has_data(case) else ()
    )


def _job_still_works(case: Case) -> Plan[BackupStatus] | None:
    """Speak while a Job of the Backup is under way: what it writes now could not be found any more afterwards."""
    working = [job for job in case.seen.jobs if not job.is_finished and job.verb is not Verb.PRUNE]
    if not working:
        return None
    actions = tuple(deletion_of(job) for job in working if not job.metadata.is_being_deleted)
    return Plan(status=case.status, actions=actions, look_again_seconds=LOOK_AGAIN_SECONDS)


def _data_stays(case: Case) -> Plan[BackupStatus] | None:
    """Speak when nothing in the storage is to be deleted: that is the default."""
    if FINALIZER not in case.backup.metadata.finalizers:
        return Plan(status=case.status)
    is_wanted = case.backup.spec.deletion_policy is DeletionPolicy.DELETE
    return None if is_wanted and _has_data(case) else _released(case)


def _is_held(case: Case) -> Plan[BackupStatus] | None:
    """Speak while a legal hold keeps the data."""
    hold = case.backup.spec.legal_hold
    if hold is None:
        return None
    return _waiting(case, Reason.HELD, f"`spec.legalHold` keeps the data: {hold.reason}")


def _is_read(case: Case) -> Plan[BackupStatus] | None:
    """Speak while a restore reads the data."""
    readers = case.seen.readers
    return _waiting(case, Reason.HELD, f"RestoreRequest {readers[0]!r} is reading the data") if readers else None


def _cannot_be_reached(case: Case) -> Plan[BackupStatus] | None:
    """Speak when database or storage are gone: whoever deleted them first wants the data to stay, or deletes it by hand.

    A storage that is elsewhere by now would say that nothing is there, and the data would stay without a word.
    """
    found = case.parties
    if isinstance(found, Missing):
        return _released(case, _left(found.message))
    elsewhere = case.elsewhere(found)
    return None if elsewhere is None else _released(case, _left(elsewhere))


def _is_removed(case: Case) -> Plan[BackupStatus] | None:
    """Speak when the removal's Job has ended."""
    job = _removing_job(case)
    if job is None or (verdict := judge(job, case.now)).stand not in {Stand.ANSWERED, Stand.LOST}:
        return None
    if verdict.result is not None and verdict.result.exit_code is ExitCode.DONE:
        return _released(case, _left_by(verdict.result))
    failures = sum(1 for one in case.status.attempts if one.verb == Verb.PRUNE)
    pause = backoff_seconds(failures) - (case.now - (job.finish_time or case.now)).total_seconds()
    if pause > 0:
        return _waiting(case, Reason.DELETION_FAILED, f"{verdict.reason.value}: {verdict.message}", again=pause)
    return _remove(case, (case.attempt.ordinal if case.attempt is not None else 0) + 1)


def _is_being_removed(case: Case) -> Plan[BackupStatus] | None:
    """Speak while the removal's Job is under way, or held up."""
    job = _removing_job(case)
    if job is None:
        return None
    verdict = judge(job, case.now)
    return _waiting(case, verdict.reason, verdict.message or "the data is being deleted", again=LOOK_AGAIN_SECONDS)


def _begins(case: Case) -> Plan[BackupStatus]:
    """Start the removal; one that was written down and has no Job is created again."""
    attempt = case.attempt
    if attempt is not None and attempt.verb == Verb.PRUNE:
        return _remove(case, attempt.ordinal)
    return _remove(case, (attempt.ordinal if attempt is not None else 0) + 1)


def _remove(case: Case, ordinal: int) -> Plan[BackupStatus]:
    found, metadata = case.parties, case.backup.metadata
    assert not isinstance(found, Missing)  # noqa: S101 - a rule before this one spoke
    name = child_name(metadata.name, metadata.uid, Verb.PRUNE.value, str(ordinal))
    attempt = Attempt(ordinal=ordinal, job_name=name, verb=Verb.PRUNE.value)
    attempts = tuple(one for one in case.status.attempts if one.ordinal != ordinal)[1 - MOST_ATTEMPTS :]
    manifest = job_manifest(
        removal_work(case.backup, found, image=case.seen.image),
        name=name,
        owner=reference_to(Kind.BACKUP, metadata) | {"blockOwnerDeletion": False},
    )
    status = replace(case.status, attempts=(*attempts, attempt), job_ref=ObjectRef(name=name))
    return Plan(status=status, actions=(StartJob(manifest),), look_again_seconds=LOOK_AGAIN_SECONDS)


def _removing_job(case: Case) -> SeenJob | None:
    job = case.job
    return job if job is not None and job.verb is Verb.PRUNE else None


def _has_data(case: Case) -> bool:
    """Return whether something may lie in the storage: a finished Backup without an artefact has nothing there, nor has a deleted one."""
    is_over = is_true(case.status.conditions, ConditionType.FINISHED)
    loss = case.status.loss
    if loss is not None and loss.reason is Reason.DATA_DELETED:
        return False
    return case.status.artefact is not None or (bool(case.status.attempts) and not is_over)


def _released(case: Case, told: tuple[Action, ...] = ()) -> Plan[BackupStatus]:
    if FINALIZER not in case.backup.metadata.finalizers:
        return Plan(status=case.status)
    return Plan(status=case.status, actions=(*told, SetFinalizers(_others(case.backup))))


def _left(why: str) -> tuple[Action, ...]:
    return (Tell(Reason.DATA_LEFT_IN_STORAGE, f"the data stays in the storage: {why}"),)


def _left_by(result: JobResult) -> tuple[Action, ...]:
    """Return what is to be told of a removal that is done but for what an object lock keeps."""
    held = result.prune is not None and bool(result.prune.held)
    return _left("an object lock holds it; a later prune takes it when the lock has ended") if held else ()


def _others(backup: Backup) -> tuple[str, ...]:
    return tuple(one for one in backup.metadata.finalizers if one != FINALIZER)


def _waiting(case: Case, reason: Reason, message: str, *, again: float | None = None) -> Plan[BackupStatus]:
    said = (no(ConditionType.READY, reason, message), yes(ConditionType.RECONCILING, reason, message))
    generation = case.backup.metadata.generation
    conditions = merge(case.status.conditions, said, generation=generation, now=case.now)
    return Plan(status=replace(case.status, conditions=conditions), look_again_seconds=again)


_RULES: Final = (
    _namespace_goes_too,
    _job_still_works,
    _data_stays,
    _is_held,
    _is_read,
    _cannot_be_reached,
    _is_removed,
    _is_being_removed,
    _begins,
)
