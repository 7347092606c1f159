"""Who waits behind our sessions, on every major: the one who waits for us, not the one who waits for him."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from dbcustody.adapters.postgres import PostgresTarget, connect
from dbcustody.adapters.postgres.crowd import copied_bytes, find_waiter
from ground.postgres import VERSIONS, PostgresServer
from ground.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.adapters.postgres.session import Session

pytestmark = pytest.mark.postgres

OURS = "dbcustody backup test"
WAITERS = "select count(*) from pg_locks where not granted"


@pytest.fixture(scope="module", params=VERSIONS)
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server of each major with a role that is no superuser, and acts as another one."""
    with PostgresServer(request.param) as server:
        server.execute("create role keeper login password 'pw' in role pg_read_all_data", "create database shop")
        server.execute(
            "create table a as select generate_series(1, 20000) as n; create table b (n int)", database="shop"
        )
        yield server


def open_session(server: PostgresServer) -> Session:
    """Return a session of ours."""
    return connect(
        PostgresTarget(
            host=server.host, port=str(server.port), database="shop", user="keeper", password="pw", sslmode="disable", application=OURS
        )
    )  # fmt: skip


@pytest.fixture
def observer(server: PostgresServer) -> Iterator[Session]:
    """Return the session that looks on."""
    with open_session(server) as session:
        yield session


@contextmanager
def waiting(server: PostgresServer, *statements: str) -> Iterator[None]:
    """Run each statement in a thread of its own until it waits for a lock; when the block ends, they are cancelled."""
    pids: list[int] = []

    def work(statement: str) -> None:
        with server.connect("shop") as session:
            pids.append(session.info.backend_pid)
            try:
                session.execute(statement.encode())
            except psycopg.errors.QueryCanceled:
                return

    threads = [threading.Thread(target=work, args=(statement,)) for statement in statements]
    try:
        for count, thread in enumerate(threads, start=1):
            thread.start()
            assert wait_until(lambda count=count: server.execute(WAITERS) == [(count,)], 20)
        yield
    finally:
        for pid in pids:
            server.execute(f"select pg_cancel_backend({pid})")
        for thread in threads:
            thread.join()


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        pytest.param("alter table a add column m int", "AccessExclusiveLock on public.a", id="alter-table"),
        pytest.param("create index concurrently on a (n)", "ShareLock on virtualxid", id="create-index-concurrently"),
    ],
)
def test_first_who_waits_is_found(server: PostgresServer, observer: Session, statement: str, what: str) -> None:
    """A statement that waits behind a transaction of ours is found, with what it wants and since when."""
    assert find_waiter(observer, [OURS]) is None
    with open_session(server) as coordinator:
        coordinator.execute("begin isolation level repeatable read; lock table public.a in access share mode; select 1")
        with waiting(server, statement):
            found = find_waiter(observer, [OURS])
            assert found is not None
            assert what in str(found)
            assert 0 <= found.seconds < 20
            assert find_waiter(observer, ["somebody else"]) is None


def test_who_waits_for_him_who_waits_for_us(server: PostgresServer, observer: Session) -> None:
    """A reader who queues behind the ALTER TABLE is not named; its cause is."""
    with open_session(server) as coordinator:
        coordinator.execute("begin; lock table public.a in access share mode")
        with waiting(server, "alter table a add column m int", "select count(*) from a"):
            found = find_waiter(observer, [OURS])
            assert found is not None
            assert found.mode == "AccessExclusiveLock"


def test_we_ourselves_are_no_crowd(server: PostgresServer, observer: Session) -> None:
    """A session of ours that waits for another one of ours is not somebody to give way to, nor is who waits for a stranger."""
    with server.connect("shop") as stranger:
        stranger.execute("begin; lock table b in access exclusive mode")
        with waiting(server, "select count(*) from b"):
            assert find_waiter(observer, [OURS]) is None


def test_role_that_acts_as_another(server: PostgresServer) -> None:
    """Where the role is set to another one when it connects, our own sessions are still known as ours."""
    server.execute(
        "create role alias in role pg_read_all_data, pg_monitor",
        "grant alias to keeper",
        "alter role keeper set role = alias",
    )
    try:
        with open_session(server) as observer, open_session(server) as coordinator:
            assert observer.execute("select current_user, session_user").fetchone() == ("alias", "keeper")
            coordinator.execute("begin; lock table public.a in access share mode")
            with waiting(server, "alter table a add column m int"):
                assert find_waiter(observer, [OURS]) is not None
    finally:
        server.execute("alter role keeper reset role", "drop role alias")


def test_progress_of_a_copy(server: PostgresServer, observer: Session) -> None:
    """While a session of ours copies a table, the table and the bytes that have passed are told; those of others are not."""
    with open_session(server) as session:
        ((oid,),) = server.execute("select 'a'::regclass::oid::int", database="shop")
        with session.cursor().copy("copy public.a to stdout") as copy:
            copy.read()
            found = copied_bytes(observer, [OURS])
            assert set(found) <= {oid}
            assert copied_bytes(observer, ["somebody else"]) == {}
            for _ in copy:
                pass
        assert copied_bytes(observer, [OURS]) == {}
