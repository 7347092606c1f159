"""What a RestoreRequest in mode Replace does besides: a safety backup, workloads stopped, the swap, and the old database dropped in time.

Between two Jobs what the last one found stands in status, and its attempt bears a reason: from there the next step follows, whoever looks.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from dbcustody.api.backup import BackupScope
from dbcustody.api.condition import ConditionType, find, is_true, unknown, yes
from dbcustody.api.meta import Kind, ObjectRef, reference_to
from dbcustody.api.restore import RestoreProgress, RestoreStage
from dbcustody.contract import Verb
from dbcustody.naming import API_VERSION, FINALIZER, LABEL_REQUEST, child_name, label_value, named
from dbcustody.plan.actions import Count, CreateBackup, LetJobGo, Plan, SetFinalizers, StartJob, Tell
from dbcustody.plan.freeze import window_on
from dbcustody.plan.job_lifecycle import Stand, backoff_seconds, judge
from dbcustody.plan.manifest import job_manifest
from dbcustody.plan.request import Missing
from dbcustody.plan.restore_case import target_of
from dbcustody.plan.restore_step import begin, fail, going_on, held_up, recorded, with_attempt
from dbcustody.plan.restore_work import server_work
from dbcustody.plan.workload import are_gone, find_hindrance, remember, resuming, stopping
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.api.backup import Backup
    from dbcustody.api.condition import Condition
    from dbcustody.api.restore import OldDatabase, RestoreRequestStatus
    from dbcustody.plan.restore_case import RestoreCase

    Found = Plan[RestoreRequestStatus]

STOPPING_PATIENCE: Final = timedelta(minutes=2)
"""How long pods have to end by themselves; then their sessions are ended, and no new ones are let in."""
LOOK_SECONDS: Final = 2.0
_NAMED: Final = 3
"""How many policies a message names."""


def carry_out(case: RestoreCase, status: RestoreRequestStatus, more: tuple[Condition, ...]) -> Found:
    """Return the plan for what was planned and is told in *status*: restore it, or whatever comes before where another's place is taken."""
    if not case.is_replace:
        return begin(case, Verb.RESTORE, status, more)
    status = recorded(case, status, Reason.TARGET_SAFE)
    return going_on(case, status, Reason.PENDING, "the plan is told", more=more, again=0.0)


def go_on(case: RestoreCase) -> Found | None:
    """Speak between two Jobs of a Replace."""
    attempt = case.attempt
    if not case.is_replace or attempt is None:
        return None
    step = _BETWEEN.get((attempt.verb, attempt.reason))
    return step(case) if step is not None else None


def _after_plan(case: RestoreCase) -> Found:
    return _before_anything(case) or _safety_backup(case) or _restore_or_swap(case)


def _before_anything(case: RestoreCase) -> Found | None:
    """Speak while something would stop the swap in the end: it is found out before hours of work."""
    if case.seen.rivals:
        message = f"RestoreRequest {case.seen.rivals[0]} takes the same database's place first"
        return held_up(case, Reason.PENDING, message, again=5.0)
    target = target_of(case)
    if isinstance(target, Missing):
        return held_up(case, target.reason, target.message)
    hindrance = find_hindrance(target.spec.workloads, case.seen.workloads) if not case.status.workloads else None
    return held_up(case, hindrance.reason, hindrance.message, again=15.0) if hindrance is not None else None


def _safety_backup(case: RestoreCase) -> Found | None:
    """Speak until what is there now is backed up and verified."""
    if not case.request.spec.safety_backup or is_true(case.status.conditions, ConditionType.SAFETY_BACKUP_TAKEN):
        return None
    wanted, backup = case.status.safety_backup, case.seen.safety_backup
    if backup is None and case.seen.safety_policy is None:
        return held_up(case, Reason.POLICY_NOT_FOUND, _without_policy(case))
    if wanted is None:
        return _name_safety_backup(case)
    if backup is None:
        status = replace(case.status, progress=_progress(case, RestoreStage.SAFETY_BACKUP, f"Backup {wanted.name}"))
        made = CreateBackup(_safety_manifest(case, wanted.name))
        return going_on(case, status, Reason.RUNNING, f"Backup {wanted.name} is taken first", actions=(made,))
    if is_true(backup.status.conditions, ConditionType.FINISHED):
        return _safety_verdict(case, backup)
    status = replace(case.status, progress=_progress(case, RestoreStage.SAFETY_BACKUP, f"Backup {wanted.name}"))
    said = unknown(ConditionType.SAFETY_BACKUP_TAKEN, Reason.RUNNING, f"Backup {wanted.name} is under way")
    return going_on(
        case, status, Reason.RUNNING, f"Backup {wanted.name} is taken first", more=(said,), again=LOOK_SECONDS
    )


def _safety_verdict(case: RestoreCase, backup: Backup) -> Found:
    """Speak for a safety backup that is over; what a policy that was changed meanwhile left out, the swap would lose."""
    name, conditions = backup.metadata.name, backup.status.conditions
    if not is_true(conditions, ConditionType.SUCCEEDED):
        found = find(conditions, ConditionType.SUCCEEDED)
        why = f"{found.reason.value}: {found.message}" if found is not None else "it failed"
        return fail(case, Reason.SAFETY_BACKUP_FAILED, f"Backup {name}: {why}")
    if backup.status.loss is not None:
        return fail(case, Reason.SAFETY_BACKUP_FAILED, f"Backup {name}: {backup.status.loss.message}")
    if backup.status.scope is not BackupScope.WHOLE:
        return fail(case, Reason.SAFETY_BACKUP_FAILED, f"Backup {name}: is not known to be of the whole database")
    said = yes(ConditionType.SAFETY_BACKUP_TAKEN, Reason.SAFETY_BACKUP_TAKEN, f"Backup {name} succeeded")
    return going_on(case, case.status, Reason.PENDING, "the safety backup is taken", more=(said,), again=0.0)


def _name_safety_backup(case: RestoreCase) -> Found:
    metadata = case.request.metadata
    wanted = ObjectRef(name=child_name(metadata.name, metadata.uid, "safety"))
    return going_on(
        case, replace(case.status, safety_backup=wanted), Reason.PENDING, "the safety backup is being made", again=0.0
    )


def _without_policy(case: RestoreCase) -> str:
    """Return why there is no policy for the safety backup, and what helps."""
    whose, partial = f"Database {case.request.spec.target.database_ref.name!r}", case.seen.partial_policies
    if not partial:
        return (
            f"no BackupPolicy of {whose} can take the safety backup; make one, or decline it with `safetyBackup: false`"
        )
    return (
        f"no BackupPolicy of {whose} takes all of it, which the safety backup must: {named(partial, _NAMED)} leave something out; "
        "make one without `tables`, or decline it with `safetyBackup: false`"
    )


def _safety_manifest(case: RestoreCase, name: str) -> dict[str, object]:
    """Return the Backup; it belongs to nobody, for it must outlive the request."""
    metadata = {
        "name": name,
        "namespace": case.request.metadata.namespace,
        "labels": {LABEL_REQUEST: label_value(case.request.metadata.name)},
    }
    spec = {"policyRef": {"name": case.seen.safety_policy}}
    return {"apiVersion": API_VERSION, "kind": Kind.BACKUP.value, "metadata": metadata, "spec": spec}


def _restore_or_swap(case: RestoreCase) -> Found:
    return begin(case, Verb.RESTORE, case.status) if case.request.spec.undo_of is None else _swap(case)


def _swap(case: RestoreCase) -> Found:
    """Stop the workloads, wait until they are gone or were waited for long enough, and begin the swap.

    In a freeze window nothing is stopped; what is stopped already goes on.
    """
    target, status = target_of(case), case.status
    if not status.workloads and (hold := window_on(case)) is not None:
        return held_up(case, Reason.FREEZE_WINDOW, hold.message, again=hold.again_seconds)
    if isinstance(target, Missing):
        return held_up(case, target.reason, target.message)
    if target.spec.workloads and not status.workloads:
        if (hindrance := find_hindrance(target.spec.workloads, case.seen.workloads)) is not None:
            return held_up(case, hindrance.reason, hindrance.message, again=15.0)
        progress = _progress(case, RestoreStage.STOPPING_WORKLOADS, "Stopping workloads")
        status = replace(status, workloads=remember(target.spec.workloads, case.seen.workloads), progress=progress)
        return going_on(case, status, Reason.RUNNING, "the workloads are being stopped", again=0.0)
    if not are_gone(status.workloads, case.seen.workloads) and not _was_waited_for(case):
        wanted = stopping(status.workloads, case.seen.workloads)
        message = "the workloads are being stopped"
        return going_on(case, status, Reason.RUNNING, message, actions=wanted, again=LOOK_SECONDS)
    return begin(case, Verb.SWAP, status)


def _was_waited_for(case: RestoreCase) -> bool:
    begun = case.status.progress.updated_time if case.status.progress is not None else None
    return begun is None or case.now - begun > STOPPING_PATIENCE


def _progress(case: RestoreCase, stage: RestoreStage, summary: str) -> RestoreProgress:
    """Return the progress for *stage*, since when it goes on."""
    before = case.status.progress
    if before is not None and before.stage is stage:
        return before
    return RestoreProgress(stage=stage, summary=summary, updated_time=case.now)


def keep_or_drop(case: RestoreCase) -> Found | None:
    """Speak for a finished Replace until the old database is dropped; None: nothing is kept."""
    old = case.status.old_database
    if old is None or old.dropped_time is not None or case.request.metadata.is_being_deleted:
        return None
    left = (old.drop_after - case.now).total_seconds()
    if left > 0:
        return Plan(status=case.status, look_again_seconds=left)
    return _drop(case, old)


def _drop(case: RestoreCase, old: OldDatabase) -> Found:
    attempt, job = case.attempt, case.job
    if attempt is None or case.verb is not Verb.DROP_REPLACED:
        return Plan(status=_with_dropping(case), look_again_seconds=0.0)
    if job is None:
        return _start_dropping(case, attempt.job_name)
    verdict = judge(job, case.now)
    if verdict.stand not in {Stand.ANSWERED, Stand.LOST}:
        return Plan(status=case.status)
    result = verdict.result
    if result is not None and result.exit_code is ExitCode.DONE:
        status = replace(case.status, old_database=replace(old, dropped_time=case.now))
        return Plan(status=status, actions=(Count(result), LetJobGo(job.name, 0)))
    failures = sum(1 for one in case.status.attempts if one.verb == Verb.DROP_REPLACED)
    pause = backoff_seconds(failures) - (case.now - (job.finish_time or case.now)).total_seconds()
    if pause > 0:
        return Plan(status=case.status, look_again_seconds=pause)
    told = Tell(Reason.TARGET_IN_USE, f"{old.name} could not be dropped: {verdict.message}")
    return Plan(status=_with_dropping(case), actions=(told,), look_again_seconds=0.0)


def _with_dropping(case: RestoreCase) -> RestoreRequestStatus:
    """Return the status with one more attempt that drops; the progress of what is over stays what it was."""
    return replace(with_attempt(case, Verb.DROP_REPLACED, case.status), progress=case.status.progress)


def _start_dropping(case: RestoreCase, name: str) -> Found:
    target = target_of(case)
    if isinstance(target, Missing):
        return Plan(status=case.status, look_again_seconds=60.0)
    work = server_work(Verb.DROP_REPLACED, case.request, target, image=case.seen.image, undone=case.seen.undone)
    manifest = job_manifest(work, name=name, owner=reference_to(Kind.RESTORE_REQUEST, case.request.metadata))
    return Plan(status=case.status, actions=(StartJob(manifest),))


def with_finalizer(case: RestoreCase, plan: Found) -> Found:
    """Return *plan* with our finalizer on a Replace that is under way: its workloads must come back whatever happens to it."""
    metadata = case.request.metadata
    if metadata.is_being_deleted or not case.is_replace:
        return plan
    is_over = plan.status is not None and is_true(plan.status.conditions, ConditionType.FINISHED)
    if is_over == (FINALIZER not in metadata.finalizers):
        return plan
    others = tuple(one for one in metadata.finalizers if one != FINALIZER)
    return replace(plan, actions=(SetFinalizers(others if is_over else (*others, FINALIZER)), *plan.actions))


def let_go(case: RestoreCase) -> Found:
    """Return the plan for a request that is over and is being deleted."""
    others = tuple(one for one in case.request.metadata.finalizers if one != FINALIZER)
    return Plan(status=case.status, actions=(SetFinalizers(others),))


def left_alone(case: RestoreCase) -> Found:
    """Return the plan for a request whose namespace goes too: no Job can be made there any more, and what runs puts itself right.

    It is let go first: whatever else is refused in such a namespace must not hold it up.
    """
    message = "the namespace is being deleted; a database that was restored, or kept, may be left on the server"
    told = Tell(Reason.DATA_LEFT_IN_STORAGE, message)
    back = resuming(case.status.workloads)
    return Plan(status=case.status, actions=(*let_go(case).actions, told, *back))


_BETWEEN: Final[dict[tuple[str, str | None], Callable[[RestoreCase], Found]]] = {
    (Verb.PLAN_RESTORE.value, Reason.TARGET_SAFE.value): _after_plan,
    (Verb.RESTORE.value, Reason.RESTORED.value): _swap,
}
"""Which step follows an attempt whose finding stands in status."""
