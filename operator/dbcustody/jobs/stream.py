"""One stream of a dump: pg_dump's archive from its pipe into the storage, as a whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dbcustody.adapters.postgres.dump import Dump
from dbcustody.errors import InterruptedRunError
from dbcustody.jobs.artefact import Artefact, Shelf

if TYPE_CHECKING:
    from dbcustody.adapters.postgres import Client, PostgresTarget
    from dbcustody.repository.manifest import StoredObject


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """What one pg_dump is asked for, and how its archive is called."""

    name_of: Callable[[int], str]
    arguments: tuple[str, ...]
    tables: tuple[str, ...] = ()
    """Lines of pg_dump's filter."""


@dataclass(slots=True)
class Tally:
    """What has passed through all streams together, on its way into the storage or out of it."""

    passed_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, count: int) -> None:
        """Count *count* more bytes; from any thread."""
        with self._lock:
            self.passed_bytes += count


class Streams:
    """Runs streams, each in the thread that calls `run`; `end` makes all of them fail soon, from any thread."""

    def __init__(self, client: Client, target: PostgresTarget, shelf: Shelf, tally: Tally) -> None:
        self._client, self._target, self._shelf, self._tally = client, target, shelf, tally
        self._running: set[Dump] = set()
        self._lock = threading.Lock()
        self._is_ended = False

    def run(self, plan: StreamPlan) -> tuple[StoredObject, ...]:
        """Return the objects of one finished stream; raises pg_dump's complaint, the storage's, or InterruptedRunError after `end`."""
        with self._begin(plan) as dump:
            artefact = Artefact(self._shelf, plan.name_of, stored=self._tally.add)
            try:
                for piece in dump.pieces():
                    artefact.write(piece)
                self._check()
                dump.check()
                return artefact.finish()
            except BaseException:
                artefact.abort()
                raise
            finally:
                with self._lock:
                    self._running.discard(dump)

    def end(self) -> None:
        """End every pg_dump; nothing of an unfinished stream is committed after that."""
        with self._lock:
            self._is_ended = True
            running = list(self._running)
        for dump in running:
            dump.end()
        for dump in running:
            dump.see_ended()

    def _begin(self, plan: StreamPlan) -> Dump:
        with self._lock:
            self._check()
            dump = Dump(self._client, self._target, plan.arguments, tables=plan.tables)
            self._running.add(dump)
            return dump

    def _check(self) -> None:
        if self._is_ended:
            raise InterruptedRunError("the dump was ended; nothing was committed")
