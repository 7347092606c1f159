"""Who is in the way is known to a role that may not see what others do: it sees their locks, as everybody does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from dbcustody.adapters.postgres import PostgresTarget, connect
from dbcustody.adapters.postgres.obstruction import find_blockers, find_builders, find_older, wait_for
from ground.postgres import PostgresServer
from ground.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.adapters.postgres.session import Session

pytestmark = pytest.mark.postgres
PEOPLE = "'public.people'::regclass"


@pytest.fixture(scope="module", params=[14, 18])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server with a table and a role that may do no more than log in."""
    with PostgresServer(request.param) as started:
        started.execute("create database shop", "create role clerk login password 'pw'")
        started.execute("create table public.people (age int)", "grant all on public.people to clerk", database="shop")
        yield started


@pytest.fixture
def clerk(server: PostgresServer) -> Iterator[Session]:
    """Return a session of that role."""
    target = PostgresTarget(
        host=server.host, port=str(server.port), database="shop", user="clerk", password="pw", sslmode="disable"
    )
    with connect(target) as opened:
        assert opened.execute(
            "select count(xact_start) from pg_stat_activity where usename = 'postgres'"
        ).fetchone() == (0,)
        yield opened


def older(session: Session, *, seconds: float = 0.3) -> list[str]:
    """Return who has been at work for so long."""
    return [one.application for one in find_older(session, seconds=seconds, stop=threading.Event())]


def test_an_old_snapshot_is_found_without_its_time(server: PostgresServer, clerk: Session) -> None:
    """It is there before and after; without a transaction, or with a new one each time, nobody is in the way."""
    with server.connect("shop", application_name="export") as old:
        assert older(clerk) == []
        old.execute("begin isolation level repeatable read")
        old.execute("select 1")
        assert older(clerk) == ["export"]
        (found,) = find_older(clerk, seconds=0, stop=threading.Event())
        assert (found.age_seconds, "its transaction age unknown" in str(found)) == (None, True)

        assert not wait_for(clerk, found, seconds=0, stop=threading.Event())
        old.execute("commit")
        old.execute("begin")
        assert wait_for(clerk, found, seconds=0, stop=threading.Event())
        old.execute("commit")


def test_transactions_that_follow_each_other_are_none_that_is_old(server: PostgresServer, clerk: Session) -> None:
    """Somebody is at work at each look, and nobody for long."""
    over = threading.Event()

    def work() -> None:
        with server.connect("shop", application_name="busy") as busy:
            while not over.is_set():
                busy.execute("select pg_sleep(0.05)")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        names = "select 1 from pg_stat_activity where application_name = 'busy'"
        assert wait_until(lambda: bool(server.execute(names)), 60)
        assert [older(clerk) for _ in range(3)] == [[]] * 3
    finally:
        over.set()
        thread.join()


def test_who_is_told_to_stop_does_not_look_twice(server: PostgresServer, clerk: Session) -> None:
    """What may be old counts as such: nothing begins behind it."""
    stop = threading.Event()
    stop.set()
    with server.connect("shop", application_name="export") as old:
        old.execute("begin; select 1")
        assert [one.application for one in find_older(clerk, seconds=3600, stop=stop)] == ["export"]
        old.execute("commit")


def test_who_holds_the_table_is_waited_for_by_name(server: PostgresServer, clerk: Session) -> None:
    """As long as that transaction holds it, and not the next one of the same session."""
    with server.connect("shop", application_name="reporting") as holder:
        holder.execute("begin; lock table public.people")
        waiting = threading.Thread(target=refused, args=(clerk, "select * from public.people"))
        waiting.start()
        with connect_as(server, "clerk") as beside:
            pid = clerk.info.backend_pid
            assert wait_until(lambda: bool(find_blockers(beside, pid)), 60)
            (found,) = find_blockers(beside, pid)
            clerk.cancel_safe()
            waiting.join()
            assert (found.application, found.age_seconds) == ("reporting", None)
            assert not wait_for(beside, found, seconds=0, stop=threading.Event())
            holder.execute("commit")
            holder.execute("begin; lock table public.people")
            assert wait_for(beside, found, seconds=0, stop=threading.Event())
            holder.execute("commit")


def test_who_builds_an_index_is_seen(server: PostgresServer, clerk: Session) -> None:
    """Whoever holds the table's lock for it does; who reads and writes does not."""
    (table,) = server.execute(f"select {PEOPLE}::oid::bigint", database="shop")[0]
    with server.connect("shop", application_name="builder") as builder:
        builder.execute("begin; insert into public.people values (1)")
        found = [find_builders(clerk, [table])]
        builder.execute("lock table public.people in share update exclusive mode")
        found += [find_builders(clerk, [table]), find_builders(clerk, [])]
        builder.execute("rollback")

    assert [[one.application for one in some] for some in found] == [[], ["builder"], []]
    clerk.execute("begin; lock table public.people in share update exclusive mode")
    assert find_builders(clerk, [table]) == ()
    clerk.execute("rollback")


def refused(session: Session, words: str) -> None:
    """Run *words*, which somebody cancels."""
    with pytest.raises(psycopg.errors.QueryCanceled):
        session.execute(words.encode())


def connect_as(server: PostgresServer, user: str) -> Session:
    """Return another session of *user*."""
    return connect(
        PostgresTarget(
            host=server.host, port=str(server.port), database="shop", user=user, password="pw", sslmode="disable"
        )
    )
