"""Backups: what is seen around one, and its plan; also around one that is not there though its Job is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbcustody.api.backup import Progress
from dbcustody.api.meta import Kind
from dbcustody.handlers.replace import is_namespace_going
from dbcustody.handlers.restore import readers_at
from dbcustody.handlers.world import Key, Place
from dbcustody.plan.adoption import is_of_schedule, plan_absent
from dbcustody.plan.backup import plan
from dbcustody.plan.backup_case import SeenBackup
from dbcustody.plan.removal import finalizers_for, plan_removal
from dbcustody.plan.request import names_for

if TYPE_CHECKING:
    from dbcustody.api.backup import Backup, BackupStatus
    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.observe import Observer
    from dbcustody.plan.actions import Plan
    from dbcustody.plan.observed import SeenJob


async def plan_backup(hands: Hands, observer: Observer, key: Key, backup: Backup) -> Plan[BackupStatus]:
    """Return the plan for *backup* from what is seen now."""
    seen = await _see(hands, observer, key, backup)
    if backup.metadata.is_being_deleted:
        going = await is_namespace_going(hands, key.namespace)
        reader = readers_at(hands.world, key.namespace, backup.status.storage or "").get(key.name)
        seen = replace(seen, is_namespace_going=going, readers=(reader,) if reader is not None else ())
        return plan_removal(backup, seen, hands.now())
    found = plan(backup, seen, hands.now())
    return replace(found, actions=(*finalizers_for(backup), *found.actions))


def plan_missing_backup(hands: Hands, key: Key) -> Plan[None]:
    """Return the plan for a Backup that is not there: perhaps a Job of a CronJob bears its name."""
    job = hands.world.jobs.get(Place(key.namespace, key.name))
    return plan_absent(() if job is None else (job,))


async def _see(hands: Hands, observer: Observer, key: Key, backup: Backup) -> SeenBackup:
    world = hands.world
    policy_ref = backup.spec.policy_ref
    policy = world.policies.get(Place(key.namespace, policy_ref.name)) if policy_ref is not None else None
    names = names_for(backup, policy)
    jobs = await observer.look_at(_jobs_of(hands, key, backup))
    progress = await observer.progress_of(next((job for job in jobs if not job.is_finished and job.ready), None))
    return SeenBackup(
        image=hands.settings.image,
        database=world.databases.get(Place(key.namespace, names.database)) if names.database else None,
        storage=world.storages.get(Place(key.namespace, names.storage)) if names.storage else None,
        policy=policy,
        jobs=jobs,
        progress=progress if isinstance(progress, Progress) else None,
        runs=world.unfinished,
    )


def _jobs_of(hands: Hands, key: Key, backup: Backup) -> list[SeenJob]:
    """Return the Jobs that *backup* owns, and the CronJob's Job that bears its name."""
    owned = [job for job in hands.world.jobs_of(key) if job.belongs_to(backup.metadata.uid)]
    named = hands.world.jobs.get(Place(key.namespace, key.name))
    if named is not None and is_of_schedule(named) and named.backup_uid in {None, backup.metadata.uid}:
        owned.append(named)
    return owned


def backup_key(job: SeenJob) -> Key:
    """Return the Backup that the CronJob's *job* is or will be recorded as."""
    return Key(Kind.BACKUP, job.metadata.namespace, job.name)
