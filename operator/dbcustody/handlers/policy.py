"""BackupPolicies: what is seen around one, and its plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dbcustody.adapters.kube import CRON_JOBS
from dbcustody.api.backup import HoldState
from dbcustody.api.condition import ConditionType, find
from dbcustody.errors import RefusedError
from dbcustody.handlers.restore import spared_at
from dbcustody.handlers.world import Place, is_finished, is_good
from dbcustody.naming import LABEL_MANAGED_BY, label_value
from dbcustody.plan.actions import ApplyCronJob, StartJob
from dbcustody.plan.adoption import is_of_schedule
from dbcustody.plan.manifest import MANAGER
from dbcustody.plan.observed import SeenCronJob
from dbcustody.plan.policy import SeenPolicy, plan
from dbcustody.plan.recovery_point import Run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from dbcustody.api.backup import Backup
    from dbcustody.api.policy import BackupPolicy, BackupPolicyStatus
    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.observe import Observer
    from dbcustody.handlers.world import Key
    from dbcustody.plan.actions import Plan


async def plan_policy(hands: Hands, observer: Observer, key: Key, policy: BackupPolicy) -> Plan[BackupPolicyStatus]:
    """Return the plan for *policy* from what is seen now."""
    seen = await _see(hands, observer, key, policy)
    planned = plan(policy, seen, hands.now())
    asked = await _ask_for_more(hands, observer, policy, planned)
    return planned if asked is None else plan(policy, replace(seen, **asked), hands.now())


async def _see(hands: Hands, observer: Observer, key: Key, policy: BackupPolicy) -> SeenPolicy:
    world = hands.world
    cron_job = await _cron_job(hands, key)
    scheduled = [job for job in world.jobs.find("policy", key.namespace, key.name) if is_of_schedule(job)]
    owned = [job for job in world.jobs_of(key) if job.belongs_to(policy.metadata.uid)]
    return SeenPolicy(
        image=hands.settings.image,
        database=world.databases.get(Place(key.namespace, policy.spec.database_ref.name)),
        storage=world.storages.get(Place(key.namespace, policy.spec.storage_ref.name)),
        cron_job=cron_job,
        jobs=await observer.look_at(owned),
        runs=tuple(run_of(backup) for backup in world.backups.find("policy", key.namespace, key.name)),
        slots_taken=frozenset(_slots(cron_job, [job.scheduled_time for job in scheduled])),
    )


async def _ask_for_more(
    hands: Hands, observer: Observer, policy: BackupPolicy, planned: Plan[BackupPolicyStatus]
) -> dict[str, Any] | None:
    """Return what has to be seen besides, because of what is *planned*; None: nothing. Most looks plan nothing, and need not ask."""
    asked: dict[str, Any] = {}
    for action in planned.actions:
        if isinstance(action, ApplyCronJob):
            asked["cron_refusal"] = await _refusal(hands, policy, action)
        elif isinstance(action, StartJob):
            asked["live_attempts"] = tuple(sorted(_live_attempts(hands, observer, policy)))
            storage = policy.spec.storage_ref.name
            asked["spared"] = spared_at(hands.world, policy.metadata.namespace, storage)
    return asked or None


def run_of(backup: Backup) -> Run:
    """Return what the recovery point has to know of *backup*."""
    status, artefact = backup.status, backup.status.artefact
    verdict = status.loss or find(status.conditions, ConditionType.SUCCEEDED)
    return Run(
        name=backup.metadata.name,
        uid=backup.metadata.uid,
        is_finished=is_finished(backup),
        is_good=is_good(backup),
        is_held=backup.spec.legal_hold is not None,
        is_hold_placed=status.hold is not None and status.hold.state is HoldState.PLACED,
        is_ours=backup.metadata.labels.get(LABEL_MANAGED_BY) == MANAGER,
        loss=status.loss.reason if status.loss is not None else None,
        reason=verdict.reason.value if verdict is not None else "",
        begun_time=status.start_time or backup.metadata.creation_timestamp,
        scheduled_time=status.scheduled_time,
        data_time=status.snapshot_time or status.finish_time,
        ended_time=status.finish_time,
        location=artefact.location if artefact is not None else "",
        manifest_sha256=artefact.manifest_sha256 if artefact is not None else "",
        restore_test=find(status.conditions, ConditionType.RESTORE_TESTED),
        restore_seconds=status.restore_seconds,
    )


async def _cron_job(hands: Hands, key: Key) -> SeenCronJob | None:
    """Return the CronJob of the policy's name, whoever made it: one without our labels is not watched, and must not be taken over."""
    known = hands.world.cron_jobs.get(Place(key.namespace, key.name))
    if known is not None:
        return known
    body = await hands.kube.get(CRON_JOBS, key.namespace, key.name)
    return None if body is None else SeenCronJob.from_body(body)


async def _refusal(hands: Hands, policy: BackupPolicy, wanted: ApplyCronJob) -> str | None:
    """Return what the API server says against the CronJob that is *wanted*, by a dry run; it knows best which texts are schedules."""
    try:
        await hands.kube.apply(CRON_JOBS, policy.metadata.namespace, wanted.manifest, dry_run=True)
    except RefusedError as error:
        return error.message
    return None


def _slots(cron_job: SeenCronJob | None, scheduled: list[datetime | None]) -> Iterator[datetime]:
    yield from (time for time in scheduled if time is not None)
    if cron_job is not None and cron_job.last_schedule_time is not None:
        yield cron_job.last_schedule_time


def _live_attempts(hands: Hands, observer: Observer, policy: BackupPolicy) -> Iterator[str]:
    """Yield the pods that may still write for the policy's database: a sweep of the storage leaves their objects alone."""
    database = label_value(policy.spec.database_ref.name)
    for job in hands.world.jobs.among("at work", policy.metadata.namespace, database):
        yield from observer.pod_uids(job)
