"""The session that holds the locks of a dump, and the snapshot with them, and what it does meanwhile: it measures tables, and counts rows.

Another session for that would have to lock every table once more, and an ALTER TABLE that waits for this one would then stand in its way.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres import translated
from dbcustody.adapters.postgres.cancellation import cancelled_by
from dbcustody.adapters.postgres.snapshot import count_rows, measure_tables
from dbcustody.plan.stream import Portion
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.adapters.postgres.snapshot import DumpTable

BATCH: Final = 2000
"""Tables measured at once; takes about 0.1 s."""


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

    def count(self, ended: threading.Event) -> dict[int, int]:
        """Return by OID the rows of every table that has some; cancelled when *ended* is set."""
        with self._turn, cancelled_by(ended, self._session):
            self.measure()
            self._session.execute("set local max_parallel_workers_per_gather = 0")
            return count_rows(self._session, self._tables)

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

    def _measure_more(self) -> bool:
        """Measure the next batch; return whether there was one."""
        batch = self._tables[len(self._portions) : len(self._portions) + BATCH]
        if batch:
            sizes = measure_tables(self._session, batch)
            self._portions += tuple(Portion(table.oid, sizes.get(table.oid, 0)) for table in batch)
        return bool(batch)
