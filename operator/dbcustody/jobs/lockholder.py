"""The session that holds the locks of a dump, and the snapshot with them, and what it does meanwhile: it measures tables, and counts rows.

Another session for that would have to lock every table once more, and an ALTER TABLE that waits for this one would then stand in its way.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres import translated
from dbcustody.adapters.postgres.cancellation import cancelled_by
from dbcustody.adapters.postgres.snapshot import count_rows, measure_tables
from dbcustody.plan.stream import Portion
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.adapters.postgres.snapshot import DumpTable

BATCH: Final = 2000
"""Tables measured at once; takes about 0.1 s."""
_COUNTED_BYTES: Final = 64 * 1024 * 1024
_SHORT_SECONDS: Final = 0.2
"""Work after which there is no rest: thousands of small tables are counted in one go."""
_RESTS: Final = 2
"""How long a rest is, in times of the work before it: a third of a core is what counting takes of the server."""


class LockHolder:
    """Counts in one thread, while another looks after the dump: whoever comes second does without the session."""

    def __init__(self, session: Session, tables: Sequence[DumpTable]) -> None:
        """Prepare; *session* is in the transaction that locked *tables*."""
        self._session, self._tables = session, [table for table in tables if table.has_rows]
        self._portions: tuple[Portion, ...] = ()
        self._turn = threading.Lock()

    def measure(self) -> dict[int, int]:
        """Return by OID the size in bytes of every table that has rows."""
        while self._measure_more():
            pass
        return {portion.key: portion.size_bytes for portion in self._portions}

    def count(self, ended: threading.Event, hurry: threading.Event) -> dict[int, int]:
        """Return by OID the rows of every table that has some; cancelled when *ended* is set, without a rest once *hurry* is set.

        Counting is the one thing that a dump asks of the server beyond pg_dump. Whoever uses the database meanwhile notices it less when it
        rests after each piece of work, and the dump takes longer anyway.
        """
        found: dict[int, int] = {}
        with self._turn, cancelled_by(ended, self._session):
            self.measure()
            self._session.execute("set local max_parallel_workers_per_gather = 0")
            for batch in self._batches():
                begun = time.monotonic()
                found |= count_rows(self._session, batch)
                seconds = time.monotonic() - begun
                if seconds > _SHORT_SECONDS:
                    hurry.wait(_RESTS * seconds)
        return found

    def check(self) -> None:
        """Raise UnavailableError (ConnectionLost) when the locks are lost with their session; one that counts will say so itself."""
        if self._turn.acquire(blocking=False):
            try:
                with translated("look whether the locks still stand", otherwise=Reason.CONNECTION_LOST):
                    self._session.execute("select")
            finally:
                self._turn.release()

    def portions(self) -> tuple[Portion, ...]:
        """Return all tables in the order in which one pg_dump takes them; empty as long as one is not measured.

        A look measures a batch of them: with 20 000 tables it takes a second or two, and nothing needs it before rows pass.
        """
        if self._turn.acquire(blocking=False):
            try:
                self._measure_more()
            finally:
                self._turn.release()
        return self._portions if len(self._portions) == len(self._tables) else ()

    def _batches(self) -> Iterator[list[DumpTable]]:
        """Yield the tables in pieces of work; small ones are not worth a rest of their own."""
        batch: list[DumpTable] = []
        size_bytes = 0
        for table, portion in zip(self._tables, self._portions, strict=True):
            if batch and (len(batch) == BATCH or size_bytes + portion.size_bytes > _COUNTED_BYTES):
                yield batch
                batch, size_bytes = [], 0
            batch.append(table)
            size_bytes += portion.size_bytes
        yield batch

    def _measure_more(self) -> bool:
        """Measure the next batch; return whether there was one."""
        batch = self._tables[len(self._portions) : len(self._portions) + BATCH]
        if batch:
            sizes = measure_tables(self._session, batch)
            self._portions += tuple(Portion(table.oid, sizes.get(table.oid, 0)) for table in batch)
        return bool(batch)
