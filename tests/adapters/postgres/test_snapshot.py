"""Locks first, the snapshot after them: what happens to tables while they are being locked is neither lost nor half seen."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from dbcustody.adapters.postgres import PostgresTarget, connect
from dbcustody.adapters.postgres.cancellation import cancelled_by
from dbcustody.adapters.postgres.snapshot import (
    ATTEMPTS,
    TableGoneError,
    count_rows,
    list_tables,
    lock_tables,
    measure_tables,
    read_lsn,
    take_snapshot,
)
from dbcustody.errors import DbcustodyError, UnavailableError
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.adapters.postgres.snapshot import DumpTable, Snapshot

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module", params=[14, 17, 18])
def running(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server of a major."""
    with PostgresServer(request.param) as server:
        yield server


@pytest.fixture
def server(running: PostgresServer) -> Iterator[PostgresServer]:
    """Return the server with a database `shop` of two tables."""
    running.execute("create database shop")
    running.execute(
        "create table a (n int)", "create table b (n int)",
        "insert into a select generate_series(1, 1000)", "insert into b select generate_series(1, 10)", database="shop",
    )  # fmt: skip
    yield running
    running.execute("drop database shop with (force)")


@pytest.fixture
def session(server: PostgresServer) -> Iterator[Session]:
    """Return a session of ours."""
    with connect(target_of(server)) as session:
        yield session


def target_of(server: PostgresServer) -> PostgresTarget:
    """Return the target of the database `shop`."""
    return PostgresTarget(
        host=server.host, port=str(server.port), database="shop", user="postgres", password=server.password,
        sslmode="disable", application="dbcustody test",
    )  # fmt: skip


def everything(tables: Sequence[DumpTable]) -> Sequence[DumpTable]:
    """Choose all tables."""
    return tables


def nothing() -> None:
    """Do nothing before the snapshot."""


def take(session: Session, *, wait_seconds: int = 20, **changes: Any) -> Snapshot:
    """Take a snapshot of everything."""
    return take_snapshot(
        session, **({"lock_wait_seconds": wait_seconds, "choose": everything, "before": nothing} | changes)
    )


@contextmanager
def behind(server: PostgresServer, session: Session, *statements: str, **wish: Any) -> Iterator[Any]:
    """Run *statements* in an open transaction, take a snapshot behind it, and commit once that waits; the block gets the snapshot."""
    with server.connect("shop") as other, ThreadPoolExecutor(1) as pool:
        other.execute("begin")
        for statement in statements:
            other.execute(statement.encode())
        future = pool.submit(take, session, **wish)
        assert wait_until(lambda: waits(server), 10)
        other.execute("commit")
        yield future.result(20)


def waits(server: PostgresServer) -> bool:
    """Return whether our session waits for a lock."""
    query = "select 1 from pg_stat_activity where application_name = 'dbcustody test' and wait_event_type = 'Lock'"
    return bool(server.execute(query))


def names(snapshot: Snapshot) -> list[str]:
    """Return the names of a snapshot's tables."""
    return [table.name for table in snapshot.tables]


def rows_of(server: PostgresServer, snapshot: Snapshot) -> dict[str, int]:
    """Return the rows of each table as another session sees them in the snapshot."""
    with connect(target_of(server)) as other:
        other.execute("begin isolation level repeatable read, read only")
        other.execute(sql.SQL("set transaction snapshot {}").format(snapshot.name))
        rows = count_rows(other, snapshot.tables)
        return {table.name: rows[table.oid] for table in snapshot.tables}


@pytest.mark.parametrize(
    "rewriting",
    [
        pytest.param(("truncate a", "insert into a values (1), (2), (3)"), id="truncate"),
        pytest.param(("alter table a alter n type bigint", "delete from a where n > 3"), id="rewriting-alter"),
    ],
)
def test_rewritten_table_is_not_found_empty(
    server: PostgresServer, session: Session, rewriting: tuple[str, ...]
) -> None:
    """TRUNCATE and a rewriting ALTER that end while we wait for the lock: all rows that are there now are in the snapshot.

    With the snapshot before the locks the table would seem empty, or as it was before (https://www.postgresql.org/docs/current/mvcc-caveats.html).
    """
    with behind(server, session, *rewriting) as snapshot:
        assert rows_of(server, snapshot) == {"a": 3, "b": 10}


def test_snapshot_before_the_locks_would_lose_rows(server: PostgresServer, session: Session) -> None:
    """The server really behaves so: what the order of locks and snapshot protects from does happen without it."""
    session.execute("begin isolation level repeatable read, read only")
    session.execute("select pg_export_snapshot()")
    server.execute("truncate a; insert into a values (1), (2), (3)", database="shop")
    assert session.execute("select count(*) from public.a").fetchone() == (0,)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param("drop table b", ["a"], id="dropped"),
        pytest.param("alter table b rename to c", ["a", "c"], id="renamed"),
        pytest.param("create schema s; alter table b set schema s", ["a", "b"], id="moved"),
        pytest.param("drop table b; create table b (m int)", ["a", "b"], id="made-anew"),
        pytest.param("drop table b; create view b as select 1 as one", ["a"], id="a-view-now"),
        pytest.param("drop table b; create sequence b", ["a"], id="a-sequence-now"),
        pytest.param(
            "drop table b; create materialized view b as select 1 as one", ["a"], id="a-materialised-view-now"
        ),
        pytest.param("create table c (n int)", ["a", "b", "c"], id="created"),
    ],
)
def test_tables_that_change_between_listing_and_lock(
    server: PostgresServer, session: Session, change: str, found: list[str]
) -> None:
    """What comes, goes or takes another name before it is locked makes the locking begin anew; in the end all that is there is locked."""
    with behind(server, session, "lock table a in access exclusive mode", change) as snapshot:
        assert names(snapshot) == found
        locked = server.execute(
            "select relation::regclass::text from pg_locks l join pg_stat_activity a using (pid)"
            " where application_name = 'dbcustody test' and mode = 'AccessShareLock' and relation >= 16384 order by 1", database="shop",
        )  # fmt: skip
        assert {name.rpartition(".")[2] for (name,) in locked} >= set(found)
        assert set(rows_of(server, snapshot)) == set(found)


def test_tables_that_never_stop_coming(server: PostgresServer, session: Session) -> None:
    """When there is a new table after each try, it is said so, and nothing stays locked."""
    made = 0

    def make_one_more() -> None:
        nonlocal made
        made += 1
        server.execute(f"create table new_{made} (n int)", database="shop")

    with pytest.raises(UnavailableError) as caught:
        take(session, before=make_one_more)
    assert (caught.value.reason, made) == (Reason.SCHEMA_CHANGED, ATTEMPTS)
    assert session.info.transaction_status.name == "IDLE"


def test_lock_that_is_not_had_in_time(server: PostgresServer, session: Session) -> None:
    """A table that somebody else keeps to himself ends the waiting after the time allowed, with that reason, and with nothing locked."""
    with server.connect("shop") as other:
        other.execute("begin; lock table a in access exclusive mode")
        with pytest.raises(UnavailableError) as caught:
            take(session, wait_seconds=1)
    assert caught.value.reason is Reason.LOCK_NOT_OBTAINED
    assert session.execute("select 1").fetchone() == (1,)
    assert session.info.transaction_status.name == "IDLE"


def test_table_that_is_not_wanted_is_not_waited_for(server: PostgresServer, session: Session) -> None:
    """A table that is left out may be locked by whom it pleases: not even its size is asked for."""
    with server.connect("shop") as other:
        other.execute("begin; lock table a in access exclusive mode")
        snapshot = take(session, wait_seconds=1, choose=lambda found: [one for one in found if one.name == "b"])
    assert names(snapshot) == ["b"]


def test_cancellation_ends_the_waiting(server: PostgresServer, session: Session) -> None:
    """An order to stop that comes while a lock is awaited is obeyed at once, not after the lock's time."""
    stop = threading.Event()

    def work() -> Snapshot:
        with cancelled_by(stop, session):
            return take(session, wait_seconds=600)

    with server.connect("shop") as other, ThreadPoolExecutor(1) as pool:
        other.execute("begin; lock table a in access exclusive mode")
        future = pool.submit(work)
        assert wait_until(lambda: waits(server), 10)
        stop.set()
        with pytest.raises(DbcustodyError):
            future.result(10)


def test_every_statement_of_a_cancelled_block_ends(session: Session) -> None:
    """One cancellation is not enough: whatever the block begins after it is cancelled as well."""
    stop = threading.Event()
    stop.set()
    with cancelled_by(stop, session):
        for _ in range(3):
            with pytest.raises(psycopg.errors.QueryCanceled):
                session.execute("select pg_sleep(30)")
    session.execute("select pg_sleep(0.5)")


def test_what_is_listed(server: PostgresServer, session: Session) -> None:
    """Tables and partitioned tables are listed; views, foreign tables, temporary tables and extensions' own are not."""
    server.execute(
        "create table p (n int) partition by range (n); create table p1 partition of p for values from (0) to (9)",
        "create view v as select 1 as one; create materialized view m as select 1 as one",
        "create foreign data wrapper w; create server s foreign data wrapper w; create foreign table f (n int) server s",
        "create unlogged table u (n int)",
        "create table x (n int); alter extension plpgsql add table x",
        "create table c (n int); alter extension plpgsql add table c; insert into c values (1), (2), (3)",
        "update pg_extension set extconfig = array['c'::regclass::oid], extcondition = array['WHERE n > 1']",
        database="shop",
    )  # fmt: skip
    with server.connect("shop") as other:
        other.execute("create temporary table t (n int)")
        snapshot = take(session)
    assert [(table.name, table.has_rows, table.of_extension) for table in snapshot.tables] == [
        ("a", True, False), ("b", True, False), ("c", True, True), ("p", False, False), ("p1", True, False), ("u", True, False),
    ]  # fmt: skip
    assert {table.name: table.condition for table in snapshot.tables if table.condition} == {"c": "WHERE n > 1"}
    assert rows_of(server, snapshot)["c"] == 2


def test_size_is_that_of_rows_with_what_lies_beside_them(server: PostgresServer, session: Session) -> None:
    """A table's own pages and those of its long values count, no index does; what has no files has no size."""
    server.execute(
        "create table long (t text); alter table long alter t set storage external; insert into long select repeat('x', 100000)",
        "create table indexed (n int); insert into indexed select generate_series(1, 1000); create index on indexed (n)",
        "create table p (n int) partition by range (n)",
        database="shop",
    )
    tables = take(session).tables
    sizes = measure_tables(session, tables)

    assert {table.name: sizes[table.oid] for table in tables if table.name in {"indexed", "p"}} == {
        "indexed": 5 * 8192,
        "p": 0,
    }
    assert [100_000 < sizes[table.oid] < 200_000 for table in tables if table.name == "long"] == [True]


def test_counts_are_those_of_the_snapshot(server: PostgresServer, session: Session) -> None:
    """What is inserted or deleted after the snapshot is not counted; a parent's rows are counted without those that inherit."""
    server.execute("create table child () inherits (a); insert into child values (1), (2)", database="shop")
    snapshot = take(session)
    server.execute("insert into a values (1); delete from b", database="shop")
    assert rows_of(server, snapshot) == {"a": 1000, "b": 10, "child": 2}
    assert session.execute("select count(*) from public.b").fetchone() == (10,)


def test_table_that_is_gone_when_it_is_to_be_locked(server: PostgresServer, session: Session) -> None:
    """Locking says that a table is gone by an error of its own, and ends the transaction."""
    tables = list_tables(session)
    server.execute("drop table b", database="shop")
    session.execute("begin")
    with pytest.raises(TableGoneError):
        lock_tables(session, tables, wait_seconds=1)
    assert session.info.transaction_status.name == "IDLE"


def test_more_tables_than_one_statement_locks(server: PostgresServer, session: Session) -> None:
    """Hundreds of tables are locked batch by batch, every one of them."""
    with server.connect("shop") as other:
        for number in range(450):
            other.execute(f"create table t{number} ()".encode())
    snapshot = take(session)
    assert len(snapshot.tables) == 452
    held = server.execute(
        "select count(*) from pg_locks l join pg_stat_activity a using (pid)"
        " where application_name = 'dbcustody test' and mode = 'AccessShareLock' and relation >= 16384", database="shop",
    )  # fmt: skip
    assert held == [(452,)]


def test_lost_connection_has_its_reason(server: PostgresServer, session: Session) -> None:
    """A session that the server ended is told as a lost connection, whichever statement finds out."""
    server.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dbcustody test'")
    with pytest.raises(UnavailableError) as caught:
        take(session)
    assert caught.value.reason is Reason.CONNECTION_LOST


def test_log_position_advances(server: PostgresServer, session: Session) -> None:
    """The position in the server's log is told, and grows when something is written."""
    before = read_lsn(session)
    server.execute("insert into a values (1)", database="shop")
    after = read_lsn(session)
    assert session.execute("select %s::pg_lsn > %s::pg_lsn", (after, before)).fetchone() == (True,)
