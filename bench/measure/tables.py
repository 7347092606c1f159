"""A database of 20 000 small tables, where not the rows cost but the names: the default of one stream against `pg_dump -Fc`.

Both connect, list and lock every table, read the catalogue and flush nothing; ours goes, closed and counted, into a bucket, from the
beginning of the work to the commit, and its start-up is not left out, for to lock 20 000 tables is part of it. Each table has a key and
ten rows.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ground.postgres import PostgresServer
from measure.contender import dump_to_file
from measure.database import MAJOR
from measure.figure import Figure
from measure.parts import storage_beside
from measure.turns import all_of, ratio_of, take_turns, two_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from measure.parts import Parts

TABLES: Final = 20_000
LEAST: Final = 0.80
_SETTINGS: Final = {
    "max_locks_per_transaction": "2000",
    "max_wal_size": "8GB",
    "shared_buffers": "512MB",
    "synchronous_commit": "off",
    "autovacuum": "off",
}
"""Locks: a dump holds one for each table in every session that it has. Autovacuum would come to one contender and not to the other."""
_FILL: Final = """
do $$
begin
    for number in {first}..{last} loop
        execute format('create table public.%I (id int primary key, name text not null, at timestamptz)', 'small_' || number);
        execute format('insert into public.%I select n, md5(n::text), now() from generate_series(1, 10) n', 'small_' || number);
    end loop;
end $$
"""
_BATCH: Final = 1000


def measure(*, rounds: int) -> list[Figure]:
    """Return the ratios of throughput without and with row counts."""
    with two_cores(), _small_tables() as postgres, storage_beside(postgres) as parts:
        dump_to_file(parts)
        steps = (
            lambda: _ours(parts, "plain", "None"),
            lambda: {"bare": dump_to_file(parts)},
            lambda: _ours(parts, "counted", "Exact"),
        )
        taken = take_turns(steps, rounds=rounds)
    plain, counted = ratio_of(taken, "bare", "plain"), ratio_of(taken, "bare", "counted")
    return [
        Figure("tables", "tables", (float(TABLES),)),
        Figure("bare pg_dump -Fc zstd:1 to a file", "s", all_of(taken, "bare")),
        Figure("backup without row counts", "s", all_of(taken, "plain")),
        Figure("backup with row counts", "s", all_of(taken, "counted")),
        Figure("start-up", "s", all_of(taken, "counted_start_up")),
        Figure("throughput without row counts against bare pg_dump", "ratio", plain, LEAST, "least"),
        Figure("throughput with row counts against bare pg_dump", "ratio", counted, LEAST, "least"),
    ]


def _ours(parts: Parts, name: str, row_counts: str) -> dict[str, float]:
    told = parts.back_up(row_counts=row_counts, level="Checksum")
    return {name: told["backup_seconds"], f"{name}_start_up": told["start_up_seconds"]}


@contextmanager
def _small_tables() -> Iterator[PostgresServer]:
    with PostgresServer(MAJOR, settings=_SETTINGS) as server:
        server.execute("create database shop")
        for first in range(1, TABLES + 1, _BATCH):
            server.execute(_FILL.format(first=first, last=first + _BATCH - 1), database="shop")
        server.execute("vacuum analyze", "checkpoint", database="shop")
        yield server
