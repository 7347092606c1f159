"""What is counted, in the words of the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.contract import Verb
from dbcustody.handlers.world import World
from dbcustody.naming import LABEL_DATABASE
from dbcustody.plan.backup_outcome import succeeded

if TYPE_CHECKING:
    from dbcustody.contract import JobResult
    from dbcustody.handlers.world import Key
    from dbcustody.metrics import Metrics


class Bookkeeper:
    """Counts for the metrics what handlers report."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.world = World()

    def count_reconcile(self, key: Key, seconds: float, error: str | None) -> None:
        """Count one look at the resource *key*."""
        self._metrics.count_reconcile(key.kind.value, seconds, error)

    def count_left_data(self) -> None:
        """Count a Backup that was deleted without its data."""
        self._metrics.left_data.inc()

    def count_result(self, key: Key, result: JobResult) -> None:
        """Count the end of a Job that worked for the resource *key*."""
        self._metrics.count_job(result)
        backup = self.world.get(key)
        if backup is None or result.verb not in {Verb.BACKUP, Verb.SETTLE}:
            return
        database = backup.metadata.labels.get(LABEL_DATABASE, "")
        self._metrics.count_backup(
            key.namespace, database, failed_because=None if succeeded(result) else result.reason.value
        )
