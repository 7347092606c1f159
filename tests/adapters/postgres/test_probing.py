"""What the catalogue shows of statements that were broken off, and how it is cleared away, on the oldest and the newest server."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from dbcustody.adapters.postgres import PostgresTarget, connect
from dbcustody.adapters.postgres.probing import clear, find, find_remnants
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
    assert find(session, made) is Finding.DONE
    session.execute('drop index "By Age"')
    assert find(session, gone) is Finding.DONE


def test_a_name_that_something_else_has_is_no_index_that_was_broken_off(session: Session) -> None:
    """An index of another table, or of a partitioned one, which is invalid until each partition has its own: it stays."""
    session.execute(
        "create table others (age int); create index by_age on others (age); create index by_at on only parts (at)"
    )
    session.execute("update pg_index set indisvalid = false where indexrelid = 'by_age'::regclass")
    traces = [
        trace(f"create index concurrently if not exists {words}")
        for words in ("by_age on people (age)", "by_at on parts (at)")
    ]
    found = [find(session, one) for one in traces]
    for one in traces:
        clear(session, one)

    assert (found, [find_remnants(session, one) for one in traces]) == ([Finding.ABSENT] * 2, [(), ()])
    names = session.execute("select count(*) from pg_class where relname in ('by_age', 'by_at')").fetchone()
    assert names == (2,)
    assert find(session, trace("create index concurrently by_age on others (age)")) is Finding.BROKEN


SCOPES = {
    "index concurrently by_age": {"by_age_ccnew"},
    "(concurrently) index public.by_age": {"by_age_ccnew"},
    "table concurrently people": {"by_age_ccnew", "pg_toast_ccold1"},
    "table concurrently parts": {"part_at_idx_ccnew"},
    "index concurrently parts_at_idx": {"part_at_idx_ccnew"},
    'schema concurrently "Other"': {"by_age_ccnew2"},
    "database concurrently shop": {"by_age_ccnew", "pg_toast_ccold1", "part_at_idx_ccnew", "by_age_ccnew2"},
    "database": set[str](),
    "table concurrently nowhere": set[str](),
}


def test_what_is_left_of_a_reindexing_is_of_what_was_reindexed(session: Session) -> None:
    """Of the table, its TOAST table and its partitions; what lies elsewhere is somebody else's, and what is valid is nobody's remnant."""
    session.execute("""
        alter table people add column words text;
        create index by_age on people (age); create index by_age_ccnew on people (age); create index by_ccnew on people (age);
        create index on parts (at); create index part_at_idx_ccnew on part (at);
        create schema "Other"; create table "Other".people (age int); create index by_age_ccnew2 on "Other".people (age);
        create index by_words on "Other".people (age)
    """)
    session.execute("""
        set allow_system_table_mods = on;
        update pg_class set relname = 'pg_toast_ccold1' from pg_index i
            where i.indexrelid = pg_class.oid and i.indrelid = (select reltoastrelid from pg_class where oid = 'people'::regclass);
        update pg_index set indisvalid = false
            where indexrelid::regclass::text ~ '(by_age_ccnew|by_age_ccnew2|part_at_idx_ccnew|pg_toast_ccold1|by_words)$';
        reset allow_system_table_mods
    """)

    found = {words: {one.name for one in find_remnants(session, trace(f"reindex {words}"))} for words in SCOPES}
    assert found == SCOPES


def test_what_stood_before_stays(session: Session) -> None:
    """Named by its OID; what came since goes."""
    session.execute(
        "create index by_age on people (age); create index a_ccnew on people (age); create index b_ccnew on people (age)"
    )
    session.execute(
        "update pg_index set indisvalid = false where indexrelid in ('a_ccnew'::regclass, 'b_ccnew'::regclass)"
    )
    wanted = trace("reindex table concurrently people")
    first, second = find_remnants(session, wanted)
    clear(session, wanted, but={second.index})

    assert ([str(first), str(second)], find_remnants(session, wanted)) == (
        ['"public"."a_ccnew"', '"public"."b_ccnew"'],
        (second,),
    )


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
    assert find(session, trace("reindex index concurrently by_age")) is Finding.BROKEN
    clear(session, trace("reindex index concurrently by_age"))

    assert (left, server.execute(twin, database="shop")) == ([(1,)], [(0,)])
    assert find(session, trace("vacuum people")) is Finding.ABSENT
    clear(session, trace("call nightly()"))
