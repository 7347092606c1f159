"""What the catalogue shows of statements that were broken off, and how it is cleared away, on the oldest and the newest server."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from dbcustody.adapters.postgres import PostgresTarget, connect
from dbcustody.adapters.postgres.probing import clear, find
from dbcustody.migration.statement import cut
from dbcustody.migration.trace import Finding, Trace, trace_of
from ground.postgres import PostgresServer
from ground.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.adapters.postgres.session import Session

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module", params=[14, 18])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(request.param) as started:
        yield started


@pytest.fixture
def session(server: PostgresServer) -> Iterator[Session]:
    """Return a session in a database with a table, rows that are there twice, and partitions."""
    server.execute("create database shop")
    server.execute(
        "create table public.people (age int)",
        "insert into public.people values (1), (1)",
        "create table public.parts (at int) partition by range (at)",
        "create table public.part partition of public.parts for values from (0) to (9)",
        database="shop",
    )
    target = PostgresTarget(
        host=server.host,
        port=str(server.port),
        database="shop",
        user="postgres",
        password=server.password,
        sslmode="disable",
    )
    with connect(target) as opened:
        opened.execute("reset search_path")
        yield opened
    server.execute("drop database shop with (force)")


def trace(words: str) -> Trace:
    """Return what *words* leave."""
    return trace_of(cut(words).statements[0].terms)


def test_an_index_that_could_not_be_built(session: Session) -> None:
    """Absent, broken, cleared away, done, and gone again."""
    words = 'create unique index concurrently "By Age" on people (age)'
    made, gone = trace(words), trace('drop index concurrently "By Age"')
    found = [find(session, made)]
    with pytest.raises(psycopg.errors.UniqueViolation):
        session.execute(words.encode())
    found.append(find(session, made))
    assert find(session, gone) is Finding.BROKEN
    clear(session, gone)
    assert find(session, gone) is Finding.BROKEN
    clear(session, made)
    found.append(find(session, made))
    session.execute("delete from people where ctid = '(0,2)'")
    session.execute(words.encode())
    found.append(find(session, made))

    assert found == [Finding.ABSENT, Finding.BROKEN, Finding.ABSENT, Finding.DONE]
    assert find(session, gone) is Finding.ABSENT
    clear(session, made)
    assert find(session, gone) is Finding.DONE


def test_a_detachment_that_was_broken_off(server: PostgresServer, session: Session) -> None:
    """It is neither in nor out, until it is finished."""
    words = "alter table parts detach partition part concurrently"
    wanted = trace(words)
    before = find(session, wanted)
    with server.connect("shop") as reader, server.connect("shop") as doing:
        reader.execute("begin isolation level repeatable read")
        reader.execute("select * from parts")
        failures: list[Exception] = []

        def detach() -> None:
            try:
                doing.execute(words.encode())
            except psycopg.errors.QueryCanceled as error:
                failures.append(error)

        thread = threading.Thread(target=detach)
        thread.start()
        assert wait_until(lambda: find(session, wanted) is Finding.BROKEN, 60)
        doing.cancel_safe()
        thread.join()
        reader.execute("rollback")
    broken = find(session, wanted)
    clear(session, wanted)

    assert (before, len(failures), broken, find(session, wanted)) == (Finding.ABSENT, 1, Finding.BROKEN, Finding.DONE)


def test_what_is_left_of_a_reindexing_goes(server: PostgresServer, session: Session) -> None:
    """The invalid twin of an index, of which PostgreSQL says that it may be dropped."""
    session.execute("create index by_age on people (age)")
    twin = "select count(*) from pg_index where indrelid = 'public.people'::regclass and not indisvalid"
    with server.connect("shop") as writer, server.connect("shop") as doing:
        writer.execute("begin")
        writer.execute("insert into people values (2)")

        def reindex() -> None:
            with pytest.raises(psycopg.errors.QueryCanceled):
                doing.execute("reindex index concurrently by_age")

        thread = threading.Thread(target=reindex)
        thread.start()
        assert wait_until(lambda: server.execute(twin, database="shop") == [(1,)], 60)
        doing.cancel_safe()
        thread.join()
        writer.execute("rollback")
    left = server.execute(twin, database="shop")
    clear(session, trace("reindex index concurrently by_age"))

    assert (left, server.execute(twin, database="shop")) == ([(1,)], [(0,)])
    assert find(session, trace("vacuum people")) is Finding.ABSENT
    clear(session, trace("call nightly()"))
