"""The capture of a database: one snapshot, one stream or several cut by table, counts, and what no dump holds.

Everything lies in the storage when this is done, and nothing of it counts yet: the manifest is somebody else's to write.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dbcustody.adapters.postgres.cancellation import cancelled_by
from dbcustody.adapters.postgres.pattern import choose_tables
from dbcustody.adapters.postgres.snapshot import read_lsn, take_snapshot
from dbcustody.adapters.postgres.surroundings import (
    count_large_objects,
    describe_elsewhere,
    read_database,
    read_extensions,
    read_roles,
    read_sequences,
)
from dbcustody.api.backup import Progress, Stage
from dbcustody.api.policy import CaptureOptions, RowCounts
from dbcustody.codec import decode
from dbcustody.errors import UnavailableError
from dbcustody.jobs.artefact import Shelf, store_whole
from dbcustody.jobs.compression import compression_argument
from dbcustody.jobs.lockholder import LockHolder
from dbcustody.jobs.stream import Streams, Tally
from dbcustody.jobs.streamplan import plan_streams, plan_whole
from dbcustody.jobs.tools import check_stop
from dbcustody.jobs.vigil import Vigil
from dbcustody.repository.catalogue import (
    PASSWORDS,
    Catalogue,
    DatabaseFacts,
    ExtensionFacts,
    RoleFacts,
    SequenceFacts,
    TableFacts,
    write_catalogue,
)
from dbcustody.repository.layout import CATALOGUE_OBJECT
from dbcustody.repository.manifest import Scope, ServerFacts, StoredObject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.adapters.postgres.snapshot import DumpTable, Snapshot
    from dbcustody.jobs.sitting import Sitting
    from dbcustody.jobs.streamplan import StreamPlans
    from dbcustody.jobs.tools import Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """What lies in the storage after a capture."""

    objects: tuple[StoredObject, ...]
    catalogue: Catalogue
    server: ServerFacts
    scope: Scope
    compression: str
    snapshot_time: datetime
    begun_time: datetime
    """When the streams began; what was before it is start-up."""

    @property
    def row_count(self) -> int | None:
        """The rows of all tables; None when they were not counted."""
        return self.catalogue.row_count


class Capture:
    """One capture; `run` once."""

    def __init__(self, sitting: Sitting, options: CaptureOptions, shelf: Shelf, tools: Tools) -> None:
        self._sitting, self._options, self._shelf, self._tools = sitting, options, shelf, tools
        self._tally = Tally()
        self._snapshot_time = tools.now()
        self._ended, self._streamed = threading.Event(), threading.Event()

    def run(self) -> Captured:
        """Return what was captured; raises what prevented it, and then leaves only what the sweep takes away."""
        self._tools.report(Progress(stage=Stage.LOCKING, summary="Locking", updated_time=self._tools.now()))
        snapshot = self._take_snapshot()
        begun_time = self._tools.now()
        objects, counts = self._dump(snapshot)
        catalogue = self._read_catalogue(snapshot.tables, counts)
        lsn_after = read_lsn(self._sitting.observer)
        self._sitting.coordinator.execute("rollback")
        objects += store_whole(self._shelf, CATALOGUE_OBJECT, write_catalogue(catalogue), stored=self._tally.add)
        return Captured(
            objects=objects,
            catalogue=catalogue,
            server=self._server(snapshot.lsn, lsn_after),
            scope=Scope.FULL if self._options.is_whole else Scope.PARTIAL,
            compression=compression_argument(self._options.compression, self._sitting.client).manifest,
            snapshot_time=self._snapshot_time,
            begun_time=begun_time,
        )

    def _take_snapshot(self) -> Snapshot:
        tables = self._options.tables

        def choose(found: Sequence[DumpTable]) -> Sequence[DumpTable]:
            return choose_tables(found, include=tables.include, exclude=tables.exclude)

        def before() -> None:
            self._snapshot_time = self._tools.now()

        coordinator, wait_seconds = self._sitting.coordinator, self._options.lock_wait_seconds
        try:
            with cancelled_by(self._tools.stop, coordinator):
                return take_snapshot(coordinator, lock_wait_seconds=wait_seconds, choose=choose, before=before)
        except UnavailableError:
            check_stop(self._tools)
            raise

    def _dump(self, snapshot: Snapshot) -> tuple[tuple[StoredObject, ...], dict[int, int]]:
        """Run all streams and the counting side by side; return the objects and the rows by table."""
        holder = LockHolder(self._sitting.coordinator, snapshot.tables)
        plans = self._plan(snapshot, holder)
        streams = Streams(self._sitting.client, self._sitting.target, self._shelf, self._tally)
        vigil = Vigil(
            self._sitting,
            self._tools,
            self._tally,
            holder=holder,
            streams=plans.portions,
            patience_seconds=self._options.cancel_when_blocking_seconds,
        )
        with ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(len(plans.streams) + 2, thread_name_prefix="stream"))
            stack.callback(streams.end)
            stack.callback(self._ended.set)
            stack.callback(self._streamed.set)
            running: list[Future[Any]] = [pool.submit(streams.run, one) for one in plans.streams]
            pool.submit(self._await_streams, running)
            counting = pool.submit(self._count, holder)
            vigil.watch([*running, counting])
        return tuple(item for future in running for item in future.result()), counting.result()

    def _plan(self, snapshot: Snapshot, holder: LockHolder) -> StreamPlans:
        if self._options.parallelism == 1:
            return plan_whole(self._sitting, self._options, snapshot)
        return plan_streams(self._sitting, self._options, snapshot, holder.measure())

    def _count(self, holder: LockHolder) -> dict[int, int]:
        return {} if self._options.row_counts is RowCounts.NONE else holder.count(self._ended, self._streamed)

    def _await_streams(self, running: Sequence[Future[Any]]) -> None:
        """Let the counting hurry when nothing else is left to do."""
        wait(running)
        self._streamed.set()

    def _read_catalogue(self, tables: Sequence[DumpTable], counts: dict[int, int]) -> Catalogue:
        """Return the catalogue: facts from the snapshot, sequences as they stand now that the last stream has ended."""
        session = self._sitting.coordinator
        roles = read_roles(session)
        captured_objects, not_captured = self._large_objects(session)
        if roles:
            not_captured += (PASSWORDS.format(len(roles)),)
        return Catalogue(
            database=decode(DatabaseFacts, read_database(session)),
            roles=tuple(decode(RoleFacts, role) for role in roles),
            tables=tuple(
                TableFacts(schema=table.schema, name=table.name, rows=counts.get(table.oid))
                for table in tables
                if table.has_rows
            ),
            sequences=tuple(decode(SequenceFacts, one) for one in read_sequences(self._sitting.observer)),
            extensions=tuple(decode(ExtensionFacts, one) for one in read_extensions(session)),
            large_objects=captured_objects,
            not_captured=(*not_captured, *describe_elsewhere(session)),
        )

    def _large_objects(self, session: Session) -> tuple[int, tuple[str, ...]]:
        """Return how many large objects are in the dump, and in words those that are not."""
        count, unreadable = count_large_objects(session), self._sitting.missing.large_objects.total
        if self._options.tables.include:
            return 0, ((f"{count} large objects, because only some tables were asked for",) if count else ())
        if unreadable:
            return 0, (f"{count} large objects, because {unreadable} of them cannot be read by this role",)
        return count, ()

    def _server(self, lsn_before: str | None, lsn_after: str | None) -> ServerFacts:
        server = self._sitting.server
        return ServerFacts(
            version=server.version,
            major_version=server.major_version,
            system_identifier=server.system_identifier,
            timeline=server.timeline,
            lsn_before=lsn_before,
            lsn_after=lsn_after,
            in_recovery=server.in_recovery,
        )
