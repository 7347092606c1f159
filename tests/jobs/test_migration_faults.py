"""What files, data, roles and other sessions do to a migration, on a real server: nothing is half done, and what helps is said."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from dbcustody.errors import DbcustodyError, UnavailableError
from dbcustody.jobs.migration import look
from dbcustody.migration.history import Kind
from dbcustody.migration.ledger import State
from dbcustody.migration.patience import Limits
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.migrator import Migrator, states

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.migration.history import History

pytestmark = pytest.mark.postgres
BEGIN, NEXT = "20261101_120000_begin", "20261102_120000_next"
PEOPLE = "create table people (id int primary key, email text);\ninsert into people values (1, 'a'), (2, 'a');\n"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def migrator(server: PostgresServer) -> Iterator[Migrator]:
    """Return who has migrated a database once."""
    server.execute("create database shop")
    one = Migrator.of(server, {f"{BEGIN}.sql": PEOPLE})
    one.migrate()
    yield one
    server.execute("drop database shop with (force)")


def refused(migrator: Migrator, **changes: object) -> DbcustodyError:
    """Return why it does not migrate."""
    with pytest.raises(DbcustodyError) as error:
        migrator.migrate(**changes)
    return error.value


def test_a_syntax_error_in_the_third_of_five(server: PostgresServer, migrator: Migrator) -> None:
    """Neither the first two nor the last two are in; the line is told."""
    texts = ("create table a ()", "create table b ()", "creat table c ()", "create table d ()", "create table e ()")
    migrator.files[f"{NEXT}.sql"] = ";\n".join(texts)
    error = refused(migrator)

    assert (error.reason, f"{NEXT}.sql: line 3: " in error.message, "42601" in error.message) == (
        Reason.MIGRATION_FAILED,
        True,
        True,
    )
    assert states(migrator)[1:] == [(NEXT, State.FAILED)]
    assert server.execute("select count(*) from pg_tables where schemaname = 'public'", database="shop") == [(1,)]


def test_a_constraint_that_the_data_violates(server: PostgresServer, migrator: Migrator) -> None:
    """It is told without the value that is there twice; with other data the same file goes through."""
    migrator.files[f"{NEXT}.sql"] = "alter table people add constraint one_email unique (email);\n"
    error = refused(migrator)

    assert (error.reason, "23505" in error.message, "(a)" in error.message) == (Reason.MIGRATION_FAILED, True, False)
    server.execute("update people set email = id::text", database="shop")
    assert migrator.migrate().applied == (BEGIN, NEXT)


def test_an_empty_set_of_files(migrator: Migrator) -> None:
    """It undoes nothing: what is in the database is missed, by name."""
    migrator.files.clear()
    error = refused(migrator)

    assert (error.reason, f"Missing: {BEGIN}: " in error.message) == (Reason.HISTORY_BROKEN, True)
    assert states(migrator) == [(BEGIN, State.APPLIED)]


def test_a_revision_that_only_the_database_knows(migrator: Migrator) -> None:
    """An older source came back: it is ahead, which is no fault, and nothing is run or undone."""
    migrator.files[f"{NEXT}.sql"] = "create table later ();\n"
    migrator.migrate()
    del migrator.files[f"{NEXT}.sql"]
    history = migrator.migrate()

    assert (history.is_ahead, history.applied, len(states(migrator))) == (True, (BEGIN, NEXT), 2)
    assert [one.kind for one in history.differences] == [Kind.UNKNOWN]


def test_a_role_without_the_privilege(server: PostgresServer, migrator: Migrator) -> None:
    """What it may not do is told by the server's word; what it may not write down, before anything runs."""
    server.execute("drop role if exists clerk", "create role clerk login password 'pw'")
    stranger = Migrator.of(server, migrator.files)
    stranger.target = type(stranger.target)(
        host=server.host, port=str(server.port), database="shop", user="clerk", password="pw", sslmode="disable",
    )  # fmt: skip
    before = refused(stranger)
    server.execute(
        "grant usage on schema dbcustody to clerk",
        "grant select, insert on all tables in schema dbcustody to clerk",
        database="shop",
    )
    stranger.files[f"{NEXT}.sql"] = "alter table people add column age int;\n"
    within = refused(stranger)
    server.execute("drop owned by clerk", "drop role clerk", database="shop")

    assert before.reason is Reason.PRIVILEGES_MISSING
    assert (within.reason, "42501" in within.message) == (Reason.MIGRATION_FAILED, True)
    assert states(migrator)[1:] == [(NEXT, State.FAILED)]


def test_a_statement_timeout_of_the_role_cuts_nothing(server: PostgresServer, migrator: Migrator) -> None:
    """The runner has its own, and none unless it is told; one that it is told counts."""
    server.execute("alter role postgres set statement_timeout to '100ms'")
    migrator.files[f"{NEXT}.sql"] = "select pg_sleep(0.5);\n"
    try:
        limits = Limits(statement_timeout_seconds=1)
        migrator.migrate(limits=limits)
        migrator.files["20261103_120000_long.sql"] = "select pg_sleep(60);\n"
        error = refused(migrator, limits=limits)
    finally:
        server.execute("set statement_timeout to 0", "alter role postgres reset statement_timeout")

    assert (error.reason, "57014" in error.message) == (Reason.MIGRATION_FAILED, True)
    assert states(migrator)[1:] == [(NEXT, State.APPLIED), ("20261103_120000_long", State.FAILED)]


@pytest.mark.parametrize("knows", ["everything", "little"])
@pytest.mark.usefixtures("migrator")
def test_an_idle_transaction_in_the_way(server: PostgresServer, knows: str) -> None:
    """It is waited for, and nothing queues meanwhile, also by a role that may not see since when others are at work."""
    server.execute("drop role if exists clerk", "create role clerk login password 'pw'")
    server.execute(
        "alter database shop owner to clerk",
        "alter table people owner to clerk",
        "drop schema dbcustody cascade",
        database="shop",
    )
    worker = Migrator.of(server, {f"{NEXT}.sql": "alter table people add column age int;\n"})
    if knows == "little":
        worker.target = type(worker.target)(
            host=server.host, port=str(server.port), database="shop", user="clerk", password="pw", sslmode="disable",
        )  # fmt: skip
    with server.connect("shop", application_name="forgotten") as idle:
        idle.execute("begin")
        idle.execute("select * from people")
        thread = threading.Thread(
            target=worker.migrate, kwargs={"limits": Limits(lock_timeout_milliseconds=300, lock_attempts=30)}
        )
        thread.start()
        assert wait_until(lambda: sum("gives way to forgotten" in one for one in worker.said) >= 2, 60)
        queued = "select count(*) from pg_locks where not granted and relation = 'people'::regclass"
        assert server.execute(queued, database="shop") == [(0,)]
        idle.execute("commit")
        thread.join()

    assert look(worker.order()).applied == (NEXT,)
    server.execute("reassign owned by clerk to postgres", "drop owned by clerk", database="shop")


def test_a_role_whose_transactions_are_repeatable_reads(server: PostgresServer, migrator: Migrator) -> None:
    """Somebody changed a row that it had begun to look at: the whole of it is done once more, on the rows as they are then."""
    server.execute("alter role postgres set default_transaction_isolation to 'repeatable read'")
    migrator.files[f"{NEXT}.sql"] = (
        "select count(*) from people;\n"
        "do $$ begin while exists (select from pg_locks where locktype = 'advisory' and objid = 9) loop "
        "perform pg_sleep(0.02); end loop; end $$;"
        "\nupdate people set email = email || '!';"
    )
    history: list[History] = []
    runner = threading.Thread(target=lambda: history.append(migrator.migrate()))
    waits = "select 1 from pg_stat_activity where query like 'do %objid = 9%'"
    try:
        with server.connect("shop") as other:
            other.execute("select pg_advisory_lock(9)")
            runner.start()
            assert wait_until(lambda: server.execute(waits) != [], 60)
            other.execute("update people set email = 'b' where id = 1")
            other.execute("select pg_advisory_unlock(9)")
            runner.join()
    finally:
        server.execute("alter role postgres reset default_transaction_isolation")

    assert server.execute("select email from people order by id", database="shop") == [("b!",), ("a!",)]
    assert [one.pending for one in history] == [()]
    assert migrator.said[-1:] == [f"{NEXT}.sql: gives way to somebody who just let go, try 1 of 5"]


def test_reindexing_a_partitioned_table_says_how(migrator: Migrator) -> None:
    """The text does not tell that it is partitioned; what the server refuses is told with what helps, which then helps."""
    parts = "create table parts (a int) partition by list (a); create table part partition of parts for values in (1);"
    migrator.files[f"{NEXT}.sql"] = f"{parts} create index on parts (a);"
    migrator.files["20261103_120000_again.sql"] = "reindex table parts;\n"
    error = refused(migrator)
    migrator.files["20261103_120000_again.sql"] = "-- dbcustody: transaction off\nreindex table parts;\n"

    assert (error.reason, "25001" in error.message, "`-- dbcustody: transaction off`" in error.message) == (
        Reason.MIGRATION_FAILED,
        True,
        True,
    )
    assert migrator.migrate().pending == ()


def test_a_clock_that_was_set_back_changes_no_order(server: PostgresServer, migrator: Migrator) -> None:
    """What came first came first, whatever the times say."""
    migrator.files[f"{NEXT}.sql"] = "create table later ();\n"
    migrator.migrate()
    server.execute(
        "alter table dbcustody.outcome disable trigger all",
        "update dbcustody.outcome set ended_at = '1970-01-01' where attempt = (select max(id) from dbcustody.attempt)",
        database="shop",
    )
    history = look(migrator.order())

    assert (history.applied, history.pending, history.differences) == ((BEGIN, NEXT), (), ())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_autovacuum_that_does_not_give_way(server: PostgresServer, migrator: Migrator) -> None:
    """One to prevent wraparound is named as what it is; it comes of a table whose rows are as old as it lets them become."""
    options = "autovacuum_freeze_max_age = 100000, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1"
    server.execute(
        f"alter table people set ({options})",
        "insert into people select n, 'x' from generate_series(3, 200000) n",
        database="shop",
    )
    # elsewhere: in this database it would be a change by hand, which stops every migration
    server.execute(
        "create procedure grow_old() language plpgsql as "
        "$$ begin for n in 1..110000 loop perform txid_current(); commit; end loop; end $$",
        "call grow_old()",
        "drop procedure grow_old()",
    )
    server.execute("alter system set autovacuum_naptime = '1s'", "select pg_reload_conf()")
    vacuums = (
        "select pid from pg_stat_activity where query ilike 'autovacuum: vacuum%public.people%(to prevent wraparound)'"
    )
    assert wait_until(lambda: bool(server.execute(vacuums)), 120)
    migrator.files[f"{NEXT}.sql"] = "alter table people add column age int;\n"
    error = refused(migrator, limits=Limits(lock_timeout_milliseconds=1500, lock_attempts=1))
    still = server.execute(vacuums)
    server.execute("alter system reset autovacuum_naptime", "select pg_reload_conf()")
    server.execute("alter table people reset (autovacuum_vacuum_cost_delay)", database="shop")

    assert isinstance(error, UnavailableError)
    assert ("in the way: autovacuum to prevent wraparound (pid" in error.message, len(still)) == (True, 1)
