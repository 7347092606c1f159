"""The fingerprint of a schema of 2000 tables: what each migration, and each look at the drift, costs beyond its own work.

Each table has ten columns, a key, a foreign key, a check, two indexes and a trigger of its own; there are 200 views.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.bookkeeping import upgrade
from dbcustody.adapters.postgres.catalogue import read_catalogue
from dbcustody.adapters.postgres.fingerprint import add_print
from dbcustody.adapters.postgres.session import connect
from dbcustody.adapters.postgres.target import PostgresTarget
from dbcustody.jobs.likeness import drift_of
from dbcustody.migration.catalogue import to_text
from dbcustody.migration.drift import Moment, take
from ground.postgres import PostgresServer
from measure.database import MAJOR
from measure.figure import Figure
from measure.turns import all_of, take_turns, two_cores

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.session import Session

TABLES: Final = 2000
MOST_SECONDS: Final = 2.0
"""So that twenty migrations of a large schema wait less than a minute for it."""
_FILL: Final = """
do $$
begin
    for number in {first}..{last} loop
        execute format('create table public.%1$I (id bigint generated always as identity primary key, parent bigint references public.base,
            name varchar(80) not null, kind text default ''a'' check (kind in (''a'', ''b'')), amount numeric(12,2), twice numeric
            generated always as (amount * 2) stored, at timestamptz not null default now(), tags text[], note jsonb, gone boolean)',
            'table_' || number);
        execute format('create index on public.%1$I (name); create index on public.%1$I (lower(name)) where not gone', 'table_' || number);
        execute format('create trigger touched before update on public.%1$I for each row execute function public.touch()',
                       'table_' || number);
        if number % 10 = 0 then
            execute format('create view public.%I as select t.id, b.id as base from public.%I t join public.base b on b.id = t.parent',
                           'view_' || number, 'table_' || number);
        end if;
    end loop;
end $$
"""
_BATCH: Final = 500


def measure(*, rounds: int) -> list[Figure]:
    """Return the seconds that reading, comparing and writing down take."""
    with two_cores(), PostgresServer(MAJOR, settings={"max_locks_per_transaction": "1000"}) as server:
        _fill(server)
        target = PostgresTarget(
            host=server.host,
            port=str(server.port),
            database="shop",
            user="postgres",
            password=server.password,
            sslmode="disable",
        )
        with connect(target) as session:
            upgrade(session)
            _turn(session)
            taken = take_turns((lambda: _turn(session),), rounds=rounds)
            text = to_text(read_catalogue(session))
    return [
        Figure("tables", "tables", (float(TABLES),)),
        Figure("text of the catalogue", "MiB", (len(text) / 2**20,)),
        Figure("reading the catalogue", "s", all_of(taken, "read")),
        Figure("its fingerprint", "s", all_of(taken, "hash")),
        Figure("writing it down", "s", all_of(taken, "write")),
        Figure("finding the drift, all in all", "s", all_of(taken, "drift"), MOST_SECONDS, "most"),
    ]


def _turn(session: Session) -> dict[str, float]:
    """Return what one look costs, and one that finds that a column was added."""
    begun = time.monotonic()
    catalogue = read_catalogue(session)
    read = time.monotonic()
    taken = take(catalogue, exclude=(), server_major=MAJOR)
    hashed = time.monotonic()
    with session.transaction():
        add_print(session, taken, moment=Moment.FOUND, actor="measure")
    written = time.monotonic()
    session.execute(f"alter table public.table_1 add column added_{time.monotonic_ns()} int")
    again = time.monotonic()
    drift = drift_of(session, ())
    ended = time.monotonic()
    if len(drift.changes) != 1:
        raise RuntimeError(f"one change was made, and {len(drift.changes)} were found")
    return {"read": read - begun, "hash": hashed - read, "write": written - hashed, "drift": ended - again}


def _fill(server: PostgresServer) -> None:
    server.execute("create database shop")
    server.execute(
        "create table public.base (id bigint primary key)",
        "create function public.touch() returns trigger language plpgsql as 'begin return new; end'",
        database="shop",
    )
    for first in range(1, TABLES + 1, _BATCH):
        server.execute(_FILL.format(first=first, last=first + _BATCH - 1), database="shop")
    server.execute("vacuum analyze", database="shop")
