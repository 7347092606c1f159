"""What is counted, in the words of the metrics."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from dbcustody.api.backup import Backup, Origin
from dbcustody.api.meta import Kind
from dbcustody.api.migration import DatabaseMigration
from dbcustody.contract import Verb
from dbcustody.handlers.lock_waits import LockWaits
from dbcustody.handlers.world import Key, Place, World, keys_of
from dbcustody.metrics import OBJECT, counter
from dbcustody.naming import LABEL_POLICY
from dbcustody.plan.backup_outcome import succeeded
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from dbcustody.contract import JobResult
    from dbcustody.metrics import Metrics

FAMILIES = {
    Kind.BACKUP_POLICY: ("dbcustody_backup", "Backups"),
    Kind.DATABASE: ("dbcustody_database_backup", "Backups"),
    Kind.DATABASE_MIGRATION: ("dbcustody_migration", "Runs of migrations"),
}


class Bookkeeper:
    """Counts for the metrics what handlers report."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.world = World()
        self._runs: Counter[Key] = Counter()
        self._failures: Counter[tuple[Key, str]] = Counter()
        self._lock_waits = LockWaits()

    def count_reconcile(self, key: Key, seconds: float, error: str | None) -> None:
        """Count one look at the resource *key*."""
        self._metrics.count_reconcile(key.kind.value, seconds, error)

    def count_left_data(self) -> None:
        """Count a Backup that was deleted without its data."""
        self._metrics.left_data.inc()

    def count_result(self, key: Key, result: JobResult) -> None:
        """Count the end of a Job that worked for the resource *key*; a run of a Backup counts for its policy and for its database."""
        self._metrics.count_job(result)
        backup = self.world.get(key)
        if isinstance(backup, DatabaseMigration) and result.verb is Verb.MIGRATE:
            self._count_run(key, result, is_good=result.reason is Reason.APPLIED)
            if result.migration is not None:
                self._lock_waits.count(key, result.migration)
        if not isinstance(backup, Backup) or result.verb not in {Verb.BACKUP, Verb.SETTLE}:
            return
        if backup.spec.origin is Origin.IMPORTED:
            return  # it ran in another life
        for account in self._accounts(backup):
            self._count_run(account, result, is_good=succeeded(result))

    def _count_run(self, account: Key, result: JobResult, *, is_good: bool) -> None:
        self._runs[account] += 1
        if not is_good:
            self._failures[account, result.reason.value] += 1

    def sample(self) -> Iterator[Metric]:
        """Yield the counters of runs of every policy and database; those without a run stand at 0, so that the first is seen."""
        for kind, (family, what) in FAMILIES.items():
            keys = list(keys_of(kind, self.world.shelf(kind)))
            failed: Counter[Key] = Counter()
            for (key, _), count in self._failures.items():
                failed[key] += count
            ended = [(_place(key), self._runs[key]) for key in keys]
            yield counter(f"{family}_runs", f"{what} that ended.", OBJECT, ended)
            rows = [(_place(key), failed[key]) for key in keys]
            yield counter(f"{family}_failed_runs", f"{what} that failed.", OBJECT, rows)
            known = set(keys)
            reasons = [((*_place(key), why), count) for (key, why), count in self._failures.items() if key in known]
            yield counter(f"{family}_failures", f"{what} that failed, by reason.", (*OBJECT, "reason"), reasons)
        kind = Kind.DATABASE_MIGRATION
        yield from self._lock_waits.sample(list(keys_of(kind, self.world.shelf(kind))))

    def _accounts(self, backup: Backup) -> Iterator[Key]:
        namespace, database = backup.metadata.namespace, self.world.database_of(backup)
        named = backup.spec.policy_ref
        policy = named.name if named is not None else backup.metadata.labels.get(LABEL_POLICY)
        if policy:
            yield Key(Kind.BACKUP_POLICY, namespace, policy)
        if database:
            yield Key(Kind.DATABASE, namespace, database)


def _place(key: Key) -> Place:
    return Place(key.namespace, key.name)
