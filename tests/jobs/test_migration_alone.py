"""Statements that run outside of a transaction, and what stands in the catalogue before them, on a real server."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.migration import OnDrift
from dbcustody.errors import DbcustodyError
from dbcustody.jobs.migration import look
from dbcustody.migration.drift import Likeness
from dbcustody.migration.ledger import State
from dbcustody.migration.patience import Limits
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.migrator import Migrator, drift, states

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres
BEGIN, NEXT = "20261101_120000_begin", "20261102_120000_next"
INDEX = "create index concurrently by_age on people (age)"
IF_NOT = INDEX.replace("concurrently", "concurrently if not exists")
STANDS = "select indisvalid from pg_index where indexrelid = to_regclass('public.by_age')"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def migrator(server: PostgresServer) -> Iterator[Migrator]:
    """Return who has a migration to carry out in a database with a table."""
    server.execute("create database shop")
    one = Migrator.of(
        server, {f"{BEGIN}.sql": "create table people (id int, age int); insert into people values (1, 1);"}
    )
    one.migrate()
    yield one
    server.execute("drop database shop with (force)")


def carried_out(migrator: Migrator, words: str, **changes: object) -> list[State]:
    """Carry out a migration of *words* beside what somebody did by hand; returns what the ledger says of it, try by try."""
    migrator.files[f"{NEXT}.sql"] = f"{words};"
    migrator.migrate(drift=OnDrift.IGNORE, **changes)
    return [state for name, state in states(migrator) if name == NEXT]


def refused(migrator: Migrator, words: str, **changes: object) -> DbcustodyError:
    """Return why a migration of *words* is not carried out."""
    with pytest.raises(DbcustodyError) as error:
        carried_out(migrator, words, **changes)
    return error.value


def by_hand(server: PostgresServer, *words: str) -> None:
    """Run *words* in the database."""
    server.execute(*words, database="shop")


def broken(name: str) -> str:
    """Return what makes an index look as one whose building was broken off."""
    return f"update pg_index set indisvalid = false where indexrelid = 'public.{name}'::regclass"  # noqa: S608 - our own


@pytest.mark.parametrize("words", [INDEX, IF_NOT])
def test_an_invalid_index_of_that_name_is_built_anew(server: PostgresServer, migrator: Migrator, words: str) -> None:
    """It is no index that is there, whoever left it."""
    by_hand(server, "create index by_age on people (id)", broken("by_age"))

    assert (carried_out(migrator, words), drift(migrator).likeness) == ([State.APPLIED], Likeness.SAME)
    assert server.execute(STANDS, database="shop") == [(True,)]
    assert any("is cleared away and built anew" in one for one in migrator.said)
    assert server.execute("select pg_get_indexdef('by_age'::regclass) like '%(age)'", database="shop") == [(True,)]


@pytest.mark.parametrize("words", [INDEX, IF_NOT])
def test_an_index_that_somebody_is_building_is_waited_for(
    server: PostgresServer, migrator: Migrator, words: str
) -> None:
    """It is never dropped under his hands; he who stays at it is named."""
    with server.connect("shop") as writer, server.connect("shop", application_name="builder") as builder:
        writer.execute("begin; insert into people values (2, 2)")
        thread = threading.Thread(target=builder.execute, args=(INDEX.encode(),))
        thread.start()
        assert wait_until(lambda: server.execute(STANDS, database="shop") == [(False,)], 60)
        error = refused(migrator, words, limits=Limits(lock_attempts=1))
        still = server.execute(STANDS, database="shop")
        writer.execute("commit")
        thread.join()

    assert (error.reason, "builder (pid" in error.message, still) == (Reason.LOCK_NOT_OBTAINED, True, [(False,)])
    assert server.execute(STANDS, database="shop") == [(True,)]
    if words == IF_NOT:
        assert carried_out(migrator, words) == [State.FAILED, State.APPLIED]
    else:
        assert "42P07" in refused(migrator, words).message
        assert server.execute(STANDS, database="shop") == [(True,)]


def test_what_the_server_took_for_there_is_not_applied(server: PostgresServer, migrator: Migrator) -> None:
    """IF NOT EXISTS takes an index of another table, which stays."""
    by_hand(server, "create table others (age int)", "create index by_age on others (age)")
    error = refused(migrator, IF_NOT)

    assert (error.reason, "line 1: the index by_age was not built" in error.message) == (Reason.MIGRATION_FAILED, True)
    assert states(migrator)[1:] == [(NEXT, State.FAILED)]
    assert server.execute(STANDS, database="shop") == [(True,)]


ALIKE = {
    "create index by_age on people using btree (age)": IF_NOT,
    "create unique index by_age on people (lower(age::text)) include (id) where age > 1": (
        "create unique index concurrently if not exists by_age on public.people (lower(people.age::text)) include (id) where (age > 1)"
    ),
}
OTHER = ["(id)", "(age desc)", "(age) where age > 1", "using hash (age)"]


@pytest.mark.parametrize("there", ALIKE)
def test_an_index_that_is_there_as_it_is_wanted(server: PostgresServer, migrator: Migrator, there: str) -> None:
    """However it is written."""
    by_hand(server, there)

    assert carried_out(migrator, ALIKE[there]) == [State.APPLIED]
    assert not any("made sure" in one for one in migrator.said)
    assert server.execute("select count(*) from pg_class where relname = 'by_age'", database="shop") == [(1,)]


@pytest.mark.parametrize("there", OTHER)
def test_another_index_of_that_name(server: PostgresServer, migrator: Migrator, there: str) -> None:
    """It is told, and nothing runs: IF NOT EXISTS is no proof."""
    by_hand(server, f"create index by_age on people {there}")
    error = refused(migrator, IF_NOT)

    assert (error.reason, "an index by_age is there, and not as it is wanted" in error.message) == (
        Reason.MIGRATION_FAILED,
        True,
    )
    assert states(migrator)[1:] == [(NEXT, State.FAILED)]
    by_hand(server, "drop index by_age")
    assert carried_out(migrator, IF_NOT) == [State.FAILED, State.APPLIED]


def test_what_cannot_be_compared_is_told(server: PostgresServer, migrator: Migrator) -> None:
    """Then it goes on, as the file says."""
    by_hand(server, "create index by_age on people (age)")

    words = IF_NOT.replace("(age)", "((public.people.age + 0))")
    assert carried_out(migrator, words) == [State.APPLIED]
    assert any("could not be made sure of" in one for one in migrator.said)


def test_twins_that_stood_before_stay(server: PostgresServer, migrator: Migrator) -> None:
    """They are named; what is of another REINDEX is nobody's to drop."""
    by_hand(
        server,
        "create index by_age on people (age)",
        "create index by_age_ccnew on people (age)",
        broken("by_age_ccnew"),
    )

    assert carried_out(migrator, "reindex index concurrently by_age") == [State.APPLIED]
    assert any('"public"."by_age_ccnew"; DROP INDEX takes' in one for one in migrator.said)
    assert server.execute("select count(*) from pg_class where relname = 'by_age_ccnew'", database="shop") == [(1,)]


@pytest.mark.parametrize(("before", "left"), [("Absent", 0), ("Broken", 1)])
def test_twins_of_a_run_that_died_go_unless_some_stood_before(
    server: PostgresServer, migrator: Migrator, before: str, left: int
) -> None:
    """Nobody can tell them apart then; that they stay is told, and the ledger does not say otherwise."""
    text = "reindex index concurrently by_age;"
    by_hand(
        server,
        "create index by_age on people (age)",
        "create index by_age_ccnew on people (age)",
        broken("by_age_ccnew"),
        "insert into dbcustody.attempt (run, revision, name, direction, sha256, body, tool, actor) "  # noqa: S608 - our own
        f"values (gen_random_uuid(), '20261102_120000', '{NEXT}', 'Up', repeat('a', 64), '{text}', 'test', 'somebody')",
        "insert into dbcustody.step (attempt, ordinal, sha256, nature, found_before) "  # noqa: S608 - our own
        f"select max(id), 1, repeat('a', 64), 'NonTransactional', '{before}' from dbcustody.attempt",
    )

    assert carried_out(migrator, text.rstrip(";")) == [State.FAILED, State.APPLIED]
    assert server.execute("select count(*) from pg_class where relname = 'by_age_ccnew'", database="shop") == [(left,)]
    reasons = server.execute("select reason from dbcustody.outcome where state = 'Failed'", database="shop")
    assert [("is cleared away" in one, "by_age_ccnew" in one) for (one,) in reasons] == [(left == 0, left == 1)]


def test_a_detachment_that_was_cut_short_is_finished_and_in(server: PostgresServer, migrator: Migrator) -> None:
    """The ledger says so: done once more, the server would refuse it."""
    parts = "create table parts (at int) partition by range (at)"
    by_hand(server, parts, "create table part partition of parts for values from (0) to (9)")
    pending = "select count(*) from pg_inherits where inhdetachpending"
    words = "alter table parts detach partition part concurrently"
    with server.connect("shop") as reader:
        reader.execute("begin; select * from parts")
        thread = threading.Thread(
            target=carried_out, args=(migrator, words), kwargs={"limits": Limits(lock_attempts=30)}
        )
        thread.start()
        assert wait_until(lambda: server.execute(pending, database="shop") == [(1,)], 60)
        runner = "select pg_cancel_backend(pid) from pg_stat_activity where query ilike 'alter table parts detach%' and state = 'active'"
        by_hand(server, runner)
        reader.execute("commit")
        thread.join()

    assert states(migrator)[1:] == [(NEXT, State.APPLIED)]
    assert server.execute("select count(*) from pg_inherits", database="shop") == [(0,)]


REFUSED = {
    "drop tablespace nowhere": ("42704", State.FAILED),
    "create tablespace here location 'not/absolute'": ("42P17", State.FAILED),
    "create subscription s connection 'host=nowhere dbname=x' publication": ("42601", State.FAILED),
    "select nowhere(age) from people": ("42883", State.FAILED),
    "select 1 / (age - 1) from people": ("22012", State.FAILED),
    "do language plpgsql no": ("42601", State.FAILED),
    "do $$ begin raise 'no'; end $$": ("P0001", State.PARTIAL),
    "do $$ begin slect 1; end $$": ("42601", State.PARTIAL),
}


@pytest.mark.parametrize("words", REFUSED)
@pytest.mark.usefixtures("server")
def test_what_is_refused_is_in_in_part_only_where_it_may_have_committed(migrator: Migrator, words: str) -> None:
    """Of anything else the error takes back all that it did, and after the file was corrected it goes through."""
    sqlstate, state = REFUSED[words]
    error = refused(migrator, f"-- dbcustody: transaction off\n{words}")

    assert (f"SQLSTATE {sqlstate}" in error.message, states(migrator)[1:]) == (True, [(NEXT, state)]), error.message
    if state is State.FAILED:
        assert carried_out(migrator, "create table later ()") == [State.FAILED, State.APPLIED]


@pytest.mark.usefixtures("migrator")
def test_a_role_that_sees_no_times_waits_for_an_old_snapshot_too(server: PostgresServer) -> None:
    """The index is not begun behind it, to be waited with half done."""
    server.execute("drop role if exists clerk", "create role clerk login password 'pw'")
    by_hand(
        server,
        "alter database shop owner to clerk",
        "alter table people owner to clerk",
        "drop schema dbcustody cascade",
    )
    worker = Migrator.of(server, {f"{NEXT}.sql": f"{INDEX};"})
    worker.target = type(worker.target)(
        host=server.host, port=str(server.port), database="shop", user="clerk", password="pw", sslmode="disable"
    )
    with server.connect("shop", application_name="export") as old:
        old.execute("begin isolation level repeatable read; select 1")
        with pytest.raises(DbcustodyError) as error:
            worker.migrate(limits=Limits(lock_attempts=1))
        begun = server.execute(STANDS, database="shop")
        old.execute("commit")

    assert (error.value.reason, "export (pid" in error.value.message, begun) == (Reason.LOCK_NOT_OBTAINED, True, [])
    assert "pg_read_all_stats" in error.value.message
    assert (worker.migrate().pending, look(worker.order()).applied) == ((), (NEXT,))
    by_hand(server, "reassign owned by clerk to postgres", "drop owned by clerk")
