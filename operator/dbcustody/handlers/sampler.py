"""The resources as metrics, read from what is known at the moment of a scrape; no request is made for it."""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import TYPE_CHECKING

from dbcustody.api.condition import ConditionType, is_true
from dbcustody.api.meta import Kind
from dbcustody.handlers.migration_metrics import migration_metrics
from dbcustody.handlers.policy_metrics import policy_metrics
from dbcustody.metrics import OBJECT, gauge, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from dbcustody.adapters.lease import Lease
    from dbcustody.handlers.health import Health
    from dbcustody.handlers.queue import Queue
    from dbcustody.handlers.world import Key, Resource, World


def sample(world: World, queue: Queue[Key]) -> Iterator[Metric]:
    """Yield every metric that tells how the resources are."""
    yield gauge("workqueue_depth", "Resources that wait to be looked at.", ("name",), [(("reconcile",), len(queue))])
    yield gauge("dbcustody_reconcile_in_progress", "Resources being looked at.", (), [((), queue.in_progress)])
    yield from _resources(world)
    yield from policy_metrics(world)
    yield from migration_metrics(world)
    yield from _databases(world)
    yield _storages(world)


def process_metrics(lease: Lease, health: Health) -> Iterator[Metric]:
    """Yield how this replica is, leading or not."""
    age = lease.age_seconds
    ages = [((), age)] if age is not None else []
    text = "How long ago the leadership was last confirmed; absent while another replica leads."
    yield gauge("dbcustody_lease_age_seconds", text, (), ages)
    yield gauge("dbcustody_lease_transitions", "How often the leadership changed hands.", (), [((), lease.transitions)])
    yield gauge("dbcustody_loop_lag_seconds", "How late the event loop is.", (), [((), health.loop_lag_seconds)])


def _resources(world: World) -> Iterator[Metric]:
    counts: Counter[tuple[str, str]] = Counter()
    ready: list[tuple[tuple[str, ...], float]] = []
    conditions: list[tuple[tuple[str, ...], float]] = []
    for kind in Kind:
        for item in world.shelf(kind):
            counts[kind.value, _phase(item)] += 1
            if kind in {Kind.BACKUP, Kind.APPROVAL}:  # too many, and too short-lived, for series of their own
                continue
            labels = (kind.value, item.metadata.namespace, item.metadata.name)
            ready.append((labels, float(is_true(item.status.conditions, ConditionType.READY))))
            conditions += [
                ((*labels, one.type.value, one.status.value, one.reason.value), 1.0) for one in item.status.conditions
            ]
    yield gauge("dbcustody_resources", "How many there are.", ("kind", "phase"), counts.items())
    yield gauge("dbcustody_resource_ready", "1 when Ready is true.", ("kind", *OBJECT), ready)
    names = ("kind", *OBJECT, "condition", "status", "reason")
    text = "1 for the status that each condition has, and why."
    yield gauge("dbcustody_resource_condition", text, names, conditions)


def _phase(item: Resource) -> str:
    """Return one word for how *item* is: for graphs, never for decisions."""
    conditions = item.status.conditions
    if is_true(conditions, ConditionType.READY):
        return "Ready"
    for kind in (ConditionType.STALLED, ConditionType.RECONCILING):
        if is_true(conditions, kind):
            return kind.value
    return "Unknown"


def _databases(world: World) -> Iterator[Metric]:
    sizes, times = [], []
    for database in world.databases:
        place = (database.metadata.namespace, database.metadata.name)
        server, last = database.status.server, database.status.last_backup
        if server is not None and server.size_bytes is not None:
            sizes.append((place, float(server.size_bytes)))
        times.append((place, seconds(last.time if last is not None else None)))
    yield gauge("dbcustody_database_size_bytes", "How big the database was when it was inspected.", OBJECT, sizes)
    text = "When the data of the database's newest good backup was read; 0 until there is one."
    yield gauge("dbcustody_database_last_backup_timestamp_seconds", text, OBJECT, times)


def _storages(world: World) -> Metric:
    """Return how the newest backup fared at each storage: one that answers ever more badly is seen before it makes backups fail."""
    repeats = []
    for storage in world.storages:
        place = (storage.metadata.namespace, storage.metadata.name)
        told = [
            (inf if status.finish_time is None else seconds(status.finish_time), float(status.repeated_requests))
            for status in (backup.status for backup in world.backups.among("storage", *place))
            if status.repeated_requests is not None
        ]
        repeats += [(place, max(told)[1])] if told else []
    text = "How many requests the Jobs of the storage's newest backup had to send again; absent until one told."
    return gauge("dbcustody_storage_last_backup_repeated_requests", text, OBJECT, repeats)
