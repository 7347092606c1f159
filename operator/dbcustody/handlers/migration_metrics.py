"""How each DatabaseMigration is, as metrics: what alerts on migrations that failed or do not end are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.api.condition import ConditionStatus, ConditionType, find, is_true
from dbcustody.api.migration import LikenessClass
from dbcustody.metrics import OBJECT, gauge, seconds
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from dbcustody.api.migration import DatabaseMigration
    from dbcustody.handlers.world import World

_TEXTS: Final = {
    "applied": "How many migrations are in, by the ledger of the database.",
    "pending": "How many migrations of the source are not in.",
    "failed": "1 while only a person can help: files or database are not as they must be, or a run was refused.",
    "drift_detected": "1 while the schema is not what the last migration left; absent while nobody knows.",
    "refused_findings": "How many risks stop what is pending.",
    "running_since_timestamp_seconds": "Since when a run is under way; 0 while none is.",
    "last_success_timestamp_seconds": "When the newest migration came in; 0 until one did.",
    "last_duration_seconds": "How long the last run took; absent until one ended.",
    "approval_wait_since_timestamp_seconds": "Since when a plan waits for a second person; 0 while none does.",
}
_REVISION: Final = "1 for the migration that came in last."


def migration_metrics(world: World) -> Iterator[Metric]:
    """Yield the metrics of all DatabaseMigrations in *world*."""
    rows: dict[str, list[tuple[tuple[str, ...], float]]] = {name: [] for name in _TEXTS}
    revisions: list[tuple[tuple[str, ...], float]] = []
    for migration in world.migrations:
        place = (migration.metadata.namespace, migration.metadata.name)
        for name, value in _values(migration):
            rows[name].append((place, value))
        if migration.status.current_revision is not None:
            revisions.append(((*place, migration.status.current_revision), 1.0))
    for name, text in _TEXTS.items():
        yield gauge(f"dbcustody_migration_{name}", text, OBJECT, rows[name])
    yield gauge("dbcustody_migration_info", _REVISION, (*OBJECT, "revision"), revisions)


def _values(migration: DatabaseMigration) -> Iterator[tuple[str, float]]:
    """Yield what the status says; what was never looked at has no numbers."""
    status = migration.status
    if status.applied is not None and status.pending is not None:
        yield "applied", float(status.applied)
        yield "pending", float(status.pending)
    yield "failed", float(_is_failed(migration))
    if status.drift is not None and status.drift.likeness is not LikenessClass.UNKNOWN:
        yield "drift_detected", float(status.drift.likeness is LikenessClass.DRIFTED)
    yield "refused_findings", float(status.plan.refused if status.plan is not None else 0)
    applied = [one.finish_time for one in status.history if one.state == "Applied" and one.finish_time is not None]
    yield "last_success_timestamp_seconds", seconds(max(applied, default=None))
    yield "approval_wait_since_timestamp_seconds", _waiting_since(migration)
    yield from _run_values(migration)


def _run_values(migration: DatabaseMigration) -> Iterator[tuple[str, float]]:
    run = migration.status.run
    is_under_way = run is not None and run.reason is None
    yield "running_since_timestamp_seconds", seconds(run.start_time) if run is not None and is_under_way else 0.0
    if run is not None and run.start_time is not None and run.finish_time is not None:
        yield "last_duration_seconds", (run.finish_time - run.start_time).total_seconds()


def _is_failed(migration: DatabaseMigration) -> bool:
    """Return whether a person has to help; one that was told to rest, or whose plan somebody refused, has not failed."""
    stalled = find(migration.status.conditions, ConditionType.STALLED)
    meant = {Reason.SUSPENDED, Reason.DENIED}
    return (
        is_true(migration.status.conditions, ConditionType.STALLED)
        and stalled is not None
        and stalled.reason not in meant
    )


def _waiting_since(migration: DatabaseMigration) -> float:
    said = find(migration.status.conditions, ConditionType.APPROVED)
    waits = said is not None and said.status is ConditionStatus.UNKNOWN and said.reason is Reason.APPROVAL_PENDING
    return seconds(said.last_transition_time) if said is not None and waits else 0.0
