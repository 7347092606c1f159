"""Databases: what is seen around one, and its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.api.database import LastBackup
from dbcustody.handlers.world import is_good
from dbcustody.plan.database import SeenDatabase, plan
from dbcustody.plan.standing import changed_time, marks_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dbcustody.api.backup import Backup
    from dbcustody.api.database import Database, DatabaseStatus
    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.observe import Observer
    from dbcustody.handlers.world import Key
    from dbcustody.plan.actions import Plan


async def plan_database(hands: Hands, observer: Observer, key: Key, database: Database) -> Plan[DatabaseStatus]:
    """Return the plan for *database* from what is seen now."""
    jobs = [job for job in hands.world.jobs_of(key) if job.belongs_to(database.metadata.uid)]
    restores = hands.world.restores.find("database", key.namespace, key.name)
    backups = hands.world.backups_of(key.namespace, key.name)
    seen = SeenDatabase(
        image=hands.settings.image,
        changed_time=changed_time(restores),
        marks=marks_of(restores),
        jobs=await observer.look_at(jobs),
        last_backup=last_good(backups),
        lost_backups=frozenset(one.metadata.name for one in backups if one.status.loss is not None),
    )
    return plan(database, seen, hands.now())


def last_good(backups: Iterable[Backup]) -> LastBackup | None:
    """Return the newest of *backups* that succeeded and are still there, by the time of its data; None when there is none."""
    good = [
        (backup.status.snapshot_time or backup.status.finish_time, backup.metadata.name)
        for backup in backups
        if is_good(backup)
    ]
    dated = [(time, name) for time, name in good if time is not None]
    if not dated:
        return None
    time, name = max(dated)
    return LastBackup(name=name, time=time)
