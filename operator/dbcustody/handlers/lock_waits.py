"""How long runs of migrations waited for locks, and how often in vain: what tells whether they find their way between the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from dbcustody.metrics import OBJECT, Spread, counter, histogram

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.core import Metric

    from dbcustody.facts import MigrationFacts
    from dbcustody.handlers.world import Key

BUCKETS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""In seconds: from a try that nobody else notices to a wait that somebody has to look into."""
_WAIT: Final = "How long one run waited for locks on tables, giving way to others included."
_ABORTS: Final = "How often a statement of a migration gave a lock up after its short timeout, to be tried again."


class LockWaits:
    """What the runs of each DatabaseMigration told of it."""

    def __init__(self) -> None:
        self._waits: defaultdict[Key, Spread] = defaultdict(lambda: Spread(BUCKETS))
        self._aborts: Counter[Key] = Counter()

    def count(self, key: Key, facts: MigrationFacts) -> None:
        """Count one run of *key* that is over; one that does not tell, as an older Job does not, has not waited for nothing."""
        if facts.lock_wait_seconds is not None:
            self._waits[key].observe(max(facts.lock_wait_seconds, 0.0))
        self._aborts[key] += max(facts.lock_aborts or 0, 0)

    def sample(self, keys: Sequence[Key]) -> Iterator[Metric]:
        """Yield both for *keys*; those without a run stand at 0, so that the first is seen."""
        places = [(key, (key.namespace, key.name)) for key in keys]
        waits = [(place, self._waits.get(key, Spread(BUCKETS))) for key, place in places]
        yield histogram("dbcustody_migration_lock_wait_seconds", _WAIT, OBJECT, waits)
        aborts = [(place, self._aborts[key]) for key, place in places]
        yield counter("dbcustody_migration_lock_aborts", _ABORTS, OBJECT, aborts)
