"""BackupStorages: what is seen around one, and its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.adapters.kube import CLAIMS
from dbcustody.plan.observed import SeenClaim
from dbcustody.plan.storage import SeenStorage, plan

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.api.storage import BackupStorage, BackupStorageStatus
    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.observe import Observer
    from dbcustody.handlers.world import Key, World
    from dbcustody.plan.actions import Plan


async def plan_storage(hands: Hands, observer: Observer, key: Key, storage: BackupStorage) -> Plan[BackupStorageStatus]:
    """Return the plan for *storage* from what is seen now."""
    jobs = [job for job in hands.world.jobs_of(key) if job.belongs_to(storage.metadata.uid)]
    seen = SeenStorage(
        image=hands.settings.image,
        jobs=await observer.look_at(jobs),
        claim=await _claim(hands, key, storage),
        newest_backup_time=_newest_backup_time(hands.world, key),
        databases=hands.world.databases.find("namespace", key.namespace) if storage.spec.import_backups else (),
        backup_names=_backup_names(hands.world, key) if storage.spec.import_backups else frozenset(),
    )
    return plan(storage, seen, hands.now())


def _newest_backup_time(world: World, key: Key) -> datetime | None:
    backups = world.backups.among("storage", key.namespace, key.name)
    return max((backup.status.finish_time for backup in backups if backup.status.finish_time is not None), default=None)


def _backup_names(world: World, key: Key) -> frozenset[str]:
    return frozenset(backup.metadata.name for backup in world.backups if backup.metadata.namespace == key.namespace)


async def _claim(hands: Hands, key: Key, storage: BackupStorage) -> SeenClaim | None:
    if storage.spec.volume is None:
        return None
    body = await hands.kube.get(CLAIMS, key.namespace, storage.spec.volume.claim_name)
    return None if body is None else SeenClaim(access_modes=tuple((body.get("spec") or {}).get("accessModes") or ()))
