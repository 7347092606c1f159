"""What is to be done for a BackupPolicy, and what is to be said of it: judged only from what was seen.

Four things that do not wait for each other: the CronJob, the immediate backup, the recovery point, and retention.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.backup import Origin
from dbcustody.api.condition import ConditionStatus, ConditionType, find, merge, no, unknown, yes
from dbcustody.api.database import Database, LastBackup
from dbcustody.api.meta import Kind, reference_to
from dbcustody.api.policy import Level
from dbcustody.api.storage import BackupStorage
from dbcustody.codec import format_time
from dbcustody.errors import InvalidSpecError
from dbcustody.naming import (
    API_VERSION,
    LABEL_DATABASE,
    LABEL_MANAGED_BY,
    LABEL_POLICY,
    LABEL_STORAGE,
    child_name,
    label_value,
)
from dbcustody.plan.actions import Action, ApplyCronJob, CreateBackup, DeleteCronJob, Plan, Tell
from dbcustody.plan.examination import tidy
from dbcustody.plan.job_lifecycle import POD_PATIENCE
from dbcustody.plan.manifest import LEAST_STARTING_DEADLINE_SECONDS, MANAGER, Timetable, cron_job_manifest
from dbcustody.plan.observed import ANNOTATION_MANIFEST, SeenCronJob, SeenJob
from dbcustody.plan.pruning import SeenPruning, plan_pruning
from dbcustody.plan.recovery_point import Promise, Run, judge_recovery_point, judge_slots, newest_begun, newest_good
from dbcustody.plan.request import Missing, Parties, PartyNames, parties_of, scheduled_work
from dbcustody.plan.restore_test import judge_restore_tests, newest_tested
from dbcustody.plan.schedule import next_time
from dbcustody.plan.summary import failed_conditions
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.api.condition import Condition
    from dbcustody.api.policy import BackupPolicy, BackupPolicyStatus

MOST_MISSED: Final = 10
LOOK_AGAIN_SECONDS: Final = 60.0
IMMEDIATE: Final = "immediate"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPolicy:
    """What was seen around a BackupPolicy."""

    image: str
    database: Database | None = None
    storage: BackupStorage | None = None
    cron_job: SeenCronJob | None = None
    cron_refusal: str | None = None
    """What the API server says against the CronJob that is wanted; None: nothing, or it was not asked."""
    jobs: tuple[SeenJob, ...] = ()
    """Those that the policy owns; the CronJob's Jobs are recorded as Backups."""
    runs: tuple[Run, ...] = ()
    slots_taken: frozenset[datetime] = frozenset()
    live_attempts: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    """Backups that restores read, or that the way back from one leads over."""


@dataclass(frozen=True, slots=True)
class _Schedule:
    """What is to be said and done about the CronJob; *trouble* is what keeps it from being as the spec wants it."""

    actions: tuple[Action, ...] = ()
    trouble: tuple[Reason, str] | None = None
    next_time: datetime | None = None


def plan(policy: BackupPolicy, seen: SeenPolicy, now: datetime) -> Plan[BackupPolicyStatus]:
    """Return the next step for *policy* at *now*."""
    if policy.metadata.is_being_deleted:
        return Plan(status=policy.status)
    found = parties_for(policy, seen.database, seen.storage)
    if isinstance(found, Missing):
        return _without_parties(policy, seen, found, now)
    schedule = _plan_schedule(policy, found, seen, now)
    pruned = plan_pruning(policy, found, _pruning(seen), now)
    seen = _believed(seen, pruned.status)
    status = _with_runs(replace(pruned.status, next_schedule_time=schedule.next_time), seen)
    said = [*_schedule_conditions(policy, found, schedule), *pruned.said, *_restore_tests(policy, seen, status)]
    said.append(_recovery_point(policy, seen, now))
    actions: list[Action] = [*schedule.actions, *tidy(seen.jobs, policy.status.job_ref), *pruned.actions]
    if schedule.trouble is None:
        status, told = _plan_slots(policy, seen, status, now)
        actions += [*told, *_immediate(policy, seen)]
    else:
        status = _from_now_on(policy, status, now)
    return Plan(
        status=_said(policy, status, tuple(said), now), actions=tuple(actions), look_again_seconds=_look_again(seen)
    )


def _look_again(seen: SeenPolicy) -> float:
    """Return when to look again: soon while a Job has not got going, because only its Events know why."""
    is_waiting = any(not job.is_finished and not job.ready for job in seen.jobs)
    return POD_PATIENCE.total_seconds() if is_waiting else LOOK_AGAIN_SECONDS


def parties_for(policy: BackupPolicy, database: Database | None, storage: BackupStorage | None) -> Parties | Missing:
    """Return who takes part in *policy*, or who is missing."""
    names = PartyNames(database=policy.spec.database_ref.name, storage=policy.spec.storage_ref.name, policy=None)
    return parties_of(database=database, storage=storage, policy=policy, names=names)


def wanted_cron_job(policy: BackupPolicy, parties: Parties, *, image: str) -> dict[str, Any]:
    """Return the CronJob that *policy* wants; it bears the policy's name, so that people find it."""
    spec = policy.spec
    timetable = Timetable(
        schedule=spec.schedule,
        time_zone=spec.time_zone,
        starting_deadline_seconds=spec.starting_deadline_seconds,
        suspend=spec.suspend,
    )
    work = scheduled_work(policy, parties, image=image)
    owner = reference_to(Kind.BACKUP_POLICY, policy.metadata)
    return cron_job_manifest(work, timetable, name=policy.metadata.name, owner=owner)


def is_applied(cron_job: SeenCronJob | None, manifest: dict[str, Any]) -> bool:
    """Return whether *cron_job* is what *manifest* wants, also after somebody suspended or resumed it by hand."""
    if cron_job is None or cron_job.is_suspended != manifest["spec"]["suspend"]:
        return False
    wanted: str = manifest["metadata"]["annotations"][ANNOTATION_MANIFEST]
    return cron_job.manifest_hash == wanted


def _is_strange(policy: BackupPolicy, cron_job: SeenCronJob | None) -> bool:
    """Return whether a CronJob of the wanted name belongs to somebody else."""
    return cron_job is not None and all(one.uid != policy.metadata.uid for one in cron_job.metadata.owner_references)


def _without_parties(
    policy: BackupPolicy, seen: SeenPolicy, missing: Missing, now: datetime
) -> Plan[BackupPolicyStatus]:
    """Say that nothing can run: the CronJob goes, and comes back with them; a run under way is finished.

    What the schedule promises is still judged, so that a policy without a database does not look as if it were backed up.
    """
    seen = _believed(seen, policy.status)
    status = _from_now_on(policy, replace(_with_runs(policy.status, seen), next_schedule_time=None), now)
    said = (
        no(ConditionType.READY, missing.reason, missing.message),
        yes(ConditionType.RECONCILING, missing.reason, missing.message),
        unknown(ConditionType.SCHEDULE_ACCEPTED, missing.reason, missing.message),
        _recovery_point(policy, seen, now),
        *_restore_tests(policy, seen, status),
    )
    actions = (*_remove_cron_job(policy, seen), *tidy(seen.jobs, policy.status.job_ref))
    return Plan(status=_said(policy, status, said, now), actions=actions, look_again_seconds=_look_again(seen))


def _plan_schedule(policy: BackupPolicy, parties: Parties, seen: SeenPolicy, now: datetime) -> _Schedule:
    try:
        due = next_time(policy.spec.schedule, policy.spec.time_zone, now)
    except InvalidSpecError as error:
        return _Schedule(_remove_cron_job(policy, seen), (Reason.SCHEDULE_INVALID, error.message))
    if _is_strange(policy, seen.cron_job):
        text = f"CronJob {policy.metadata.name!r}: exists and belongs to somebody else"
        return _Schedule(trouble=(Reason.NAME_TAKEN, text))
    if seen.cron_refusal is not None:
        # One that is there stays as it was: the refusal may be a quota's or a webhook's, and backups go on meanwhile.
        return _Schedule(trouble=(Reason.SCHEDULE_INVALID, seen.cron_refusal))
    if due is None:
        text = f"spec.schedule: no date fits {policy.spec.schedule!r}"
        return _Schedule(_remove_cron_job(policy, seen), (Reason.SCHEDULE_NEVER_FIRES, text))
    manifest = wanted_cron_job(policy, parties, image=seen.image)
    actions = () if is_applied(seen.cron_job, manifest) else (ApplyCronJob(manifest),)
    return _Schedule(actions, next_time=None if policy.spec.suspend else due)


def _remove_cron_job(policy: BackupPolicy, seen: SeenPolicy) -> tuple[Action, ...]:
    cron_job = seen.cron_job
    if cron_job is None or _is_strange(policy, cron_job) or cron_job.metadata.is_being_deleted:
        return ()
    return (DeleteCronJob(cron_job.metadata.name, cron_job.metadata.uid),)


def _schedule_conditions(policy: BackupPolicy, parties: Parties, schedule: _Schedule) -> tuple[Condition, ...]:
    if schedule.trouble is not None:
        reason, message = schedule.trouble
        return (no(ConditionType.SCHEDULE_ACCEPTED, reason, message), *failed_conditions(reason, message))
    accepted = yes(ConditionType.SCHEDULE_ACCEPTED, Reason.SCHEDULE_ACCEPTED)
    return (accepted, *_summary(policy, parties.storage))


def _summary(policy: BackupPolicy, storage: BackupStorage) -> tuple[Condition, ...]:
    """Return Ready: the schedule is accepted, so the storage decides. Proof is the recovery point's matter, not Ready's."""
    ready = find(storage.status.conditions, ConditionType.READY)
    if ready is None or ready.status is ConditionStatus.UNKNOWN:
        text = f"BackupStorage {storage.metadata.name!r} has not been probed yet"
        return (
            unknown(ConditionType.READY, Reason.PENDING, text),
            yes(ConditionType.RECONCILING, Reason.PENDING, text),
        )
    if not ready.is_true:
        text = f"BackupStorage {storage.metadata.name!r} is not ready ({ready.reason}): {ready.message}"
        return (
            no(ConditionType.READY, Reason.STORAGE_NOT_READY, text),
            yes(ConditionType.RECONCILING, Reason.STORAGE_NOT_READY, text),
        )
    if policy.spec.suspend:
        return (yes(ConditionType.READY, Reason.SUSPENDED, "no runs are started while `spec.suspend` is true"),)
    return (yes(ConditionType.READY, Reason.READY),)


def _restore_tests(policy: BackupPolicy, seen: SeenPolicy, status: BackupPolicyStatus) -> tuple[Condition, ...]:
    """Return the condition RestoreVerified; none where level Restore was never asked for."""
    level = policy.spec.verification.level
    if level is not Level.RESTORE and find(policy.status.conditions, ConditionType.RESTORE_VERIFIED) is None:
        return ()
    return (judge_restore_tests(level, seen.runs, status.last_restore_test),)


def _recovery_point(policy: BackupPolicy, seen: SeenPolicy, now: datetime) -> Condition:
    """Return the condition RecoveryPointCurrent; a schedule that is none promises nothing."""
    try:
        return judge_recovery_point(_promise(policy), seen.runs, now)
    except InvalidSpecError as error:
        return unknown(ConditionType.RECOVERY_POINT_CURRENT, error.reason, error.message)


def _from_now_on(policy: BackupPolicy, status: BackupPolicyStatus, now: datetime) -> BackupPolicyStatus:
    """Return *status* with nothing to be judged from before a new spec, whose schedule may be another."""
    is_new = policy.status.observed_generation != policy.metadata.generation
    return replace(status, last_slot_time=now) if is_new else status


def _plan_slots(
    policy: BackupPolicy, seen: SeenPolicy, status: BackupPolicyStatus, now: datetime
) -> tuple[BackupPolicyStatus, tuple[Action, ...]]:
    """Return the status with the slots that were given up, and what tells them; a new spec makes a new beginning."""
    is_new = policy.status.observed_generation != policy.metadata.generation
    since = now if is_new or status.last_slot_time is None else status.last_slot_time
    slots = judge_slots(_promise(policy), seen.runs, seen.slots_taken, since=since, now=now)
    told = tuple(
        Tell(Reason.MISSED, f"no run began for the slot of {format_time(slot.time)} ({slot.reason})")
        for slot in slots.missed[-MOST_MISSED:]
    )
    missed = (*status.missed, *slots.missed)[-MOST_MISSED:]
    moved = (
        slots.judged_until if slots.missed or is_new or _is_far(status, slots.judged_until) else status.last_slot_time
    )
    return replace(status, missed=missed, last_slot_time=moved), told


def _is_far(status: BackupPolicyStatus, judged: datetime) -> bool:
    """Return whether what was judged is worth a write: slots that were kept are noted once an hour at most."""
    return status.last_slot_time is None or judged - status.last_slot_time >= timedelta(hours=1)


def _promise(policy: BackupPolicy) -> Promise:
    spec = policy.spec
    created = policy.metadata.creation_timestamp
    assert created is not None  # noqa: S101 - Kubernetes stamps every object
    return Promise(
        next_time=lambda after: next_time(spec.schedule, spec.time_zone, after),
        created_time=created,
        deadline=timedelta(seconds=max(spec.starting_deadline_seconds, LEAST_STARTING_DEADLINE_SECONDS)),
        timeout=timedelta(seconds=spec.timeout_seconds),
        suspend=spec.suspend,
    )


def _believed(seen: SeenPolicy, status: BackupPolicyStatus) -> SeenPolicy:
    """Return *seen* with the backups that *status* misses as no good ones, whatever they were when they were taken."""
    gone = dict.fromkeys(status.vanished, Reason.DATA_VANISHED) | dict.fromkeys(status.deleted, Reason.DATA_DELETED)
    runs = (replace(run, is_good=False, reason=gone[run.name].value) if run.name in gone else run for run in seen.runs)
    return replace(seen, runs=tuple(runs)) if gone else seen


def _with_runs(status: BackupPolicyStatus, seen: SeenPolicy) -> BackupPolicyStatus:
    """Return *status* with the newest good and the newest run; what retention has removed meanwhile is not forgotten."""
    good, begun = newest_good(seen.runs), newest_begun(seen.runs)
    attempt, success, tested = status.last_attempt, status.last_success, status.last_restore_test
    if success is not None and success.name in {*status.vanished, *status.deleted}:
        success = None
    if tested is not None and tested.name in status.vanished:
        tested = None
    if good is not None and good.data_time is not None:
        success = LastBackup(name=good.name, time=good.data_time)
    if begun is not None and begun.begun_time is not None:
        attempt = LastBackup(name=begun.name, time=begun.begun_time)
    tested = newest_tested(seen.runs, tested)
    return replace(status, last_success=success, last_attempt=attempt, last_restore_test=tested)


def _immediate(policy: BackupPolicy, seen: SeenPolicy) -> tuple[Action, ...]:
    """Return what creates the one backup that a new policy starts with: only while it has never had any."""
    if not policy.spec.immediate or policy.spec.suspend or seen.runs or policy.status.last_attempt is not None:
        return ()
    database = seen.database
    assert database is not None  # noqa: S101 - the parties were found
    return (CreateBackup(immediate_manifest(policy, custody_id=database.custody_id)),)


def immediate_manifest(policy: BackupPolicy, *, custody_id: str) -> dict[str, Any]:
    """Return the immediate Backup; its name comes from the custody and the policy, so that a new cluster adopts the old one."""
    spec, metadata = policy.spec, policy.metadata
    return {
        "apiVersion": API_VERSION,
        "kind": Kind.BACKUP.value,
        "metadata": {
            "name": child_name(metadata.name, custody_id, IMMEDIATE),
            "namespace": metadata.namespace,
            "labels": {
                LABEL_MANAGED_BY: MANAGER,
                LABEL_DATABASE: label_value(spec.database_ref.name),
                LABEL_STORAGE: label_value(spec.storage_ref.name),
                LABEL_POLICY: label_value(metadata.name),
            },
        },
        "spec": {
            "origin": Origin.MANUAL.value,
            "policyRef": {"name": metadata.name},
            "databaseRef": {"name": spec.database_ref.name},
        },
    }


def _pruning(seen: SeenPolicy) -> SeenPruning:
    return SeenPruning(
        image=seen.image,
        jobs=seen.jobs,
        runs=seen.runs,
        live_attempts=seen.live_attempts,
        spared=seen.spared,
    )


def _said(
    policy: BackupPolicy, status: BackupPolicyStatus, said: tuple[Condition, ...], now: datetime
) -> BackupPolicyStatus:
    generation = policy.metadata.generation
    conditions = merge(policy.status.conditions, said, generation=generation, now=now)
    return replace(status, conditions=conditions, observed_generation=generation)
