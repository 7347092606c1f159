"""Which pg_dump dumps what: everything, or the schema, the tables dealt over streams, and the rest.

With one stream nothing is dealt: one archive holds all, and pg_dump need not find thousands of tables by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.pattern import as_dump_pattern
from dbcustody.jobs.artefact import only
from dbcustody.jobs.compression import compression_argument
from dbcustody.jobs.stream import StreamPlan
from dbcustody.plan.stream import Portion, deal
from dbcustody.repository.layout import SCHEMA_OBJECT, data_object, whole_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbcustody.adapters.postgres.snapshot import DumpTable, Snapshot
    from dbcustody.api.policy import CaptureOptions
    from dbcustody.jobs.sitting import Sitting

_LARGE_OBJECTS_SINCE: Final = 16
_SCHEMA: Final = ("--section=pre-data", "--section=post-data")
_DATA: Final = "--section=data"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlans:
    """All streams of a dump; *portions* are the tables dealt to each, in the order in which pg_dump takes them: none when it is not cut."""

    streams: tuple[StreamPlan, ...]
    portions: tuple[tuple[Portion, ...], ...] = ()


def plan_whole(sitting: Sitting, options: CaptureOptions, snapshot: Snapshot) -> StreamPlans:
    """Return the one stream that dumps everything of *snapshot*."""
    arguments, named = _shared_arguments(sitting, options, snapshot), _named(options, snapshot)
    return StreamPlans(streams=(StreamPlan(name_of=whole_object, arguments=arguments, tables=named),))


def plan_streams(
    sitting: Sitting, options: CaptureOptions, snapshot: Snapshot, sizes: Mapping[int, int]
) -> StreamPlans:
    """Return the streams of a dump of *snapshot* whose tables are dealt by *sizes*, which are bytes by OID."""
    shared, named = _shared_arguments(sitting, options, snapshot), _named(options, snapshot)
    filled = {table.oid: table for table in snapshot.tables if table.has_rows}
    cut = deal([Portion(oid, sizes.get(oid, 0)) for oid in filled], options.parallelism)
    schema = StreamPlan(name_of=only(SCHEMA_OBJECT), arguments=(*_SCHEMA, *shared), tables=named)
    dealt = [
        StreamPlan(
            name_of=partial(data_object, number),
            arguments=(_DATA, *shared),
            tables=tuple(f"include table {filled[portion.key].pattern}" for portion in stream),
        )
        for number, stream in enumerate(cut, start=1)
    ]
    rest = StreamPlan(
        name_of=partial(data_object, 0),
        arguments=(_DATA, *shared),
        tables=_rest(named, filled, cut),
    )
    return StreamPlans(streams=(schema, *dealt, rest), portions=cut)


def _shared_arguments(sitting: Sitting, options: CaptureOptions, snapshot: Snapshot) -> tuple[str, ...]:
    compress = compression_argument(options.compression, sitting.client).argument
    wait = f"--lock-wait-timeout={options.lock_wait_seconds}s"
    standby = ("--no-unlogged-table-data",) if sitting.server.in_recovery else ()
    return (compress, wait, f"--snapshot={snapshot.name}", *standby, *_without_large_objects(sitting, options))


def _named(options: CaptureOptions, snapshot: Snapshot) -> tuple[str, ...]:
    """Return the filter of a partial backup: exactly the tables that were locked, or those that are left out; empty for everything."""
    if options.tables.include:
        return tuple(f"include table {table.pattern}" for table in snapshot.tables)
    return tuple(f"exclude table {as_dump_pattern(pattern)}" for pattern in options.tables.exclude)


def _rest(
    named: tuple[str, ...], filled: dict[int, DumpTable], cut: tuple[tuple[Portion, ...], ...]
) -> tuple[str, ...]:
    dealt = (portion.key for stream in cut for portion in stream)
    return (*named, *(f"exclude table_data {filled[key].pattern}" for key in dealt))


def _without_large_objects(sitting: Sitting, options: CaptureOptions) -> tuple[str, ...]:
    """Return the argument that leaves large objects out: pg_dump takes all of them or fails at the first that it may not read."""
    if not sitting.missing.large_objects.total or options.tables.include:
        return ()
    return ("--no-large-objects",) if sitting.client.major >= _LARGE_OBJECTS_SINCE else ("--no-blobs",)
