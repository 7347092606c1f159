"""The resources as metrics, read from what is known at the moment of a scrape; no request is made for it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from dbcustody.api.condition import ConditionType, find, is_true
from dbcustody.api.meta import Kind
from dbcustody.handlers.database import last_good
from dbcustody.handlers.world import is_finished, is_good
from dbcustody.metrics import OBJECT, gauge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from prometheus_client.core import Metric

    from dbcustody.api.backup import Backup
    from dbcustody.api.policy import BackupPolicy
    from dbcustody.handlers.queue import Queue
    from dbcustody.handlers.world import Key, Resource, World


def sample(world: World, queue: Queue[Key]) -> Iterator[Metric]:
    """Yield every metric that tells how the resources are."""
    yield gauge("workqueue_depth", "Resources that wait to be looked at.", ("name",), [(("reconcile",), len(queue))])
    yield gauge("dbcustody_reconcile_in_progress", "Resources being looked at.", (), [((), queue.in_progress)])
    yield from _resources(world)
    yield from _policies(world)
    yield from _databases(world)


def _resources(world: World) -> Iterator[Metric]:
    counts: Counter[tuple[str, str]] = Counter()
    ready: list[tuple[tuple[str, ...], float]] = []
    conditions: list[tuple[tuple[str, ...], float]] = []
    for kind in Kind:
        for item in world.shelf(kind):
            counts[kind.value, _phase(item)] += 1
            if kind is Kind.BACKUP:  # too many, and too short-lived, for series of their own
                continue
            labels = (kind.value, item.metadata.namespace, item.metadata.name)
            ready.append((labels, float(is_true(item.status.conditions, ConditionType.READY))))
            conditions += [((*labels, one.type.value, one.status.value), 1.0) for one in item.status.conditions]
    yield gauge("dbcustody_resources", "How many there are.", ("kind", "phase"), counts.items())
    yield gauge("dbcustody_resource_ready", "1 when Ready is true.", ("kind", *OBJECT), ready)
    names = ("kind", *OBJECT, "condition", "status")
    yield gauge("dbcustody_resource_condition", "1 for the status that each condition has.", names, conditions)


def _phase(item: Resource) -> str:
    """Return one word for how *item* is: for graphs, never for decisions."""
    conditions = item.status.conditions
    if is_true(conditions, ConditionType.READY):
        return "Ready"
    for kind in (ConditionType.STALLED, ConditionType.RECONCILING):
        if is_true(conditions, kind):
            return kind.value
    return "Unknown"


def _policies(world: World) -> Iterator[Metric]:
    rows: dict[str, list[tuple[tuple[str, ...], float]]] = {name: [] for name in _POLICY_TEXTS}
    for policy in world.policies:
        place = (policy.metadata.namespace, policy.metadata.name)
        backups = world.backups.find("policy", *place)
        for name, value in _policy_values(policy, backups):
            rows[name].append((place, value))
    for name, text in _POLICY_TEXTS.items():
        yield gauge(f"dbcustody_backup_{name}", text, OBJECT, rows[name])


_POLICY_TEXTS = {
    "last_success_timestamp_seconds": "When the data of the newest good backup was read; 0 until there is one.",
    "last_attempt_timestamp_seconds": "When the newest run began; 0 until there was one.",
    "created_timestamp_seconds": "When the policy was created.",
    "next_run_timestamp_seconds": "When the schedule starts the next run; 0 while there is none.",
    "last_duration_seconds": "How long the newest good backup took.",
    "last_size_bytes": "How much the newest good backup occupies.",
    "last_verified_timestamp_seconds": "When the newest backup whose every archive was read was finished; 0 until there is one.",
    "retained_count": "How many backups lie in the storage.",
    "retained_bytes": "How much they occupy.",
    "oldest_timestamp_seconds": "When the data of the oldest of them was read.",
    "in_progress": "How many runs are under way.",
    "missed": "How many of the slots last recorded were missed.",
    "recovery_point_current": "1 while the recovery point is as the schedule promises.",
}


def _policy_values(policy: BackupPolicy, backups: tuple[Backup, ...]) -> Iterator[tuple[str, float]]:
    status, good = policy.status, last_good(backups)
    newest = next((one for one in backups if good is not None and one.metadata.name == good.name), None)
    starts = [one.status.start_time for one in backups if one.status.start_time is not None]
    verified = [
        one.status.finish_time
        for one in backups
        if is_good(one) and is_true(one.status.conditions, ConditionType.VERIFIED) and one.status.finish_time
    ]
    current = find(status.conditions, ConditionType.RECOVERY_POINT_CURRENT)
    yield "last_success_timestamp_seconds", _seconds(good.time if good is not None else None)
    yield "last_attempt_timestamp_seconds", _seconds(max(starts, default=None))
    yield "created_timestamp_seconds", _seconds(policy.metadata.creation_timestamp)
    yield "next_run_timestamp_seconds", _seconds(status.next_schedule_time)
    yield "last_verified_timestamp_seconds", _seconds(max(verified, default=None))
    yield "in_progress", float(sum(1 for one in backups if not is_finished(one)))
    yield "missed", float(len(status.missed))
    yield "recovery_point_current", float(current is not None and current.is_true)
    if newest is not None:
        yield "last_duration_seconds", float(newest.status.duration_seconds or 0)
        yield "last_size_bytes", float(newest.status.artefact.stored_bytes if newest.status.artefact else 0)
    if status.retained is not None:
        yield "retained_count", float(status.retained.count)
        yield "retained_bytes", float(status.retained.bytes)
        yield "oldest_timestamp_seconds", _seconds(status.retained.oldest_time)


def _databases(world: World) -> Iterator[Metric]:
    sizes, times = [], []
    for database in world.databases:
        place = (database.metadata.namespace, database.metadata.name)
        server, last = database.status.server, database.status.last_backup
        if server is not None and server.size_bytes is not None:
            sizes.append((place, float(server.size_bytes)))
        times.append((place, _seconds(last.time if last is not None else None)))
    yield gauge("dbcustody_database_size_bytes", "How big the database was when it was inspected.", OBJECT, sizes)
    text = "When the data of the database's newest good backup was read; 0 until there is one."
    yield gauge("dbcustody_database_last_backup_timestamp_seconds", text, OBJECT, times)


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment is not None else 0.0
