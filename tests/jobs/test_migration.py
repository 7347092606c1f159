"""Migrations on a real server: what is in is written down, what is written down is in, and nobody waits long behind one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from dbcustody.adapters.postgres import BACKUP_LOCKS, DatabaseLock, connect
from dbcustody.errors import DbcustodyError, InterruptedRunError, RefusedError, UnavailableError
from dbcustody.jobs.migration import look
from dbcustody.migration.ledger import State
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.migrator import CUSTODY, Migrator, states

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres
BEGIN, AGE, INDEX = "20261101_120000_begin", "20261102_120000_age", "20261103_120000_by_age"
FILES = {
    f"{BEGIN}.sql": "create table people (id int primary key, email text);\ninsert into people values (1, 'a'), (2, 'b');\n",
    f"{AGE}.sql": "alter table people add column age int;\n",
    f"{INDEX}.sql": "create index concurrently people_by_age on people (age);\n",
}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def migrator(server: PostgresServer) -> Iterator[Migrator]:
    """Return who migrates a new database."""
    server.execute("create database shop")
    yield Migrator.of(server, FILES)
    server.execute("drop database shop with (force)")


def refused(migrator: Migrator, **changes: object) -> DbcustodyError:
    """Return why it does not migrate."""
    with pytest.raises(DbcustodyError) as error:
        migrator.migrate(**changes)
    return error.value


def test_what_is_pending_is_carried_out_once(server: PostgresServer, migrator: Migrator) -> None:
    """In its order; asked again there is nothing to do, and looking changes nothing."""
    before = look(migrator.order())
    after = migrator.migrate()
    again = migrator.migrate()

    assert ([one.name for one in before.pending], before.applied) == ([BEGIN, AGE, INDEX], ())
    assert (after.applied, after.pending) == ((BEGIN, AGE, INDEX), ())
    assert again == after == look(migrator.order())
    assert states(migrator) == [(name, State.APPLIED) for name in (BEGIN, AGE, INDEX)]
    assert server.execute("select count(*) from public.people", database="shop") == [(2,)]


def test_looking_makes_no_ledger(server: PostgresServer, migrator: Migrator) -> None:
    """A database that was never migrated is left as it is."""
    look(migrator.order())
    assert server.execute("select to_regnamespace('dbcustody')::text", database="shop") == [(None,)]


def test_a_failure_is_told_by_file_and_line(server: PostgresServer, migrator: Migrator) -> None:
    """Nothing of the file is in, what came before it stays, and corrected it goes on."""
    migrator.files[f"{AGE}.sql"] = (
        "alter table people add column age int;\n\n"
        "select 1;\ninsert into people\n  values (1, 'secret@example.org', 3);\nselect 2;\nselect 3;\n"
    )
    error = refused(migrator)

    assert (error.reason, f"{AGE}.sql: line 4: " in error.message, "secret" in error.message) == (
        Reason.MIGRATION_FAILED,
        True,
        False,
    )
    assert states(migrator) == [(BEGIN, State.APPLIED), (AGE, State.FAILED)]
    assert server.execute("select count(*) from pg_attribute where attname = 'age'", database="shop") == [(0,)]
    migrator.files[f"{AGE}.sql"] = FILES[f"{AGE}.sql"]
    assert migrator.migrate().pending == ()


def test_every_difference_is_listed_and_nothing_runs(migrator: Migrator) -> None:
    """Edited, gone and late, all at once."""
    migrator.migrate()
    migrator.files[f"{BEGIN}.sql"] += "select 1;\n"
    migrator.files[f"{AGE}.sql".replace("1102", "1030")] = "select 2;\n"
    del migrator.files[f"{AGE}.sql"]

    error = refused(migrator)

    assert error.reason is Reason.HISTORY_BROKEN
    assert [word for word in ("Edited: ", "Missing: ", "OutOfOrder: ") if word not in error.message] == []
    assert len(states(migrator)) == len(FILES)


def test_it_gives_way_to_who_was_there_before(server: PostgresServer, migrator: Migrator) -> None:
    """It waits until the reader is gone and not in his way; everybody else comes through meanwhile."""
    later = migrator.files.pop(f"{AGE}.sql"), migrator.files.pop(f"{INDEX}.sql")
    migrator.migrate()
    migrator.files |= {f"{AGE}.sql": later[0], f"{INDEX}.sql": later[1]}
    with server.connect("shop", application_name="report") as reader:
        reader.execute("begin")
        reader.execute("select * from people")
        done = threading.Thread(target=migrator.migrate)
        done.start()
        assert wait_until(lambda: any("gives way to report" in one for one in migrator.said), 60)
        assert server.execute("select count(*) from people", database="shop") == [(2,)]
        reader.execute("commit")
        done.join()

    assert look(migrator.order()).pending == ()


def test_who_stays_in_the_way_is_named(server: PostgresServer, migrator: Migrator) -> None:
    """After all tries, with nothing done."""
    del migrator.files[f"{INDEX}.sql"]
    age = migrator.files.pop(f"{AGE}.sql")
    migrator.migrate()
    migrator.files[f"{AGE}.sql"] = age
    with server.connect("shop", application_name="report") as reader:
        reader.execute("begin")
        reader.execute("select * from people")
        limits = migrator.order().limits
        error = refused(migrator, limits=type(limits)(lock_timeout_milliseconds=1000, lock_attempts=2))

    assert isinstance(error, UnavailableError)
    assert (error.reason, "after 2 tries; in the way: report (pid" in error.message) == (Reason.LOCK_NOT_OBTAINED, True)
    assert states(migrator)[-1] == (AGE, State.FAILED)


def test_a_dump_is_waited_for(migrator: Migrator) -> None:
    """Its lock is seen, its holder named, and nothing done meanwhile."""
    with (
        connect(migrator.target) as dumping,
        DatabaseLock(dumping, custody_id=CUSTODY, maintenance_database="postgres") as lock,
    ):
        lock.acquire(BACKUP_LOCKS, wait_seconds=0, stop=threading.Event())
        error = refused(migrator, lock_wait_seconds=0)
        assert (error.reason, look(migrator.order()).applied) == (Reason.DATABASE_BUSY, ())
    assert migrator.migrate().pending == ()


def test_two_at_once_do_it_once(migrator: Migrator) -> None:
    """Whoever comes second finds it done."""
    threads = [threading.Thread(target=migrator.migrate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert states(migrator) == [(name, State.APPLIED) for name in (BEGIN, AGE, INDEX)]


def test_told_to_stop_it_stops(server: PostgresServer, migrator: Migrator) -> None:
    """In the middle of a statement that takes long; nothing of its file is in."""
    migrator.files[f"{AGE}.sql"] = "alter table people add column age int;\nselect pg_sleep(600);\n"
    failures: list[DbcustodyError] = []
    thread = threading.Thread(target=lambda: failures.append(refused(migrator)))
    thread.start()
    asleep = "select 1 from pg_stat_activity where query like 'select pg_sleep%' and application_name like 'dbcustody migrate%'"
    assert wait_until(lambda: bool(server.execute(asleep)), 60)
    migrator.stop.set()
    thread.join()

    assert isinstance(failures[0], InterruptedRunError)
    assert states(migrator)[-1] == (AGE, State.FAILED)


def test_an_old_transaction_is_waited_for_before_an_index_is_begun(server: PostgresServer, migrator: Migrator) -> None:
    """It would wait for it half done; who stays is named, and nothing was begun."""
    limits = type(migrator.order().limits)(lock_attempts=1)
    index = "select to_regclass('public.people_by_age')::text"
    with server.connect("shop", application_name="export") as old:
        old.execute("begin isolation level repeatable read")
        old.execute("select 1")
        assert wait_until(
            lambda: old.execute("select clock_timestamp() - now() > interval '2 seconds'").fetchone() == (True,), 60
        )
        error = refused(migrator, limits=limits)
        assert (error.reason, "export (pid" in error.message) == (Reason.LOCK_NOT_OBTAINED, True)
        assert (states(migrator)[-1], server.execute(index, database="shop")) == ((INDEX, State.FAILED), [(None,)])

    assert migrator.migrate().pending == ()


def test_an_index_that_cannot_be_built_leaves_nothing(server: PostgresServer, migrator: Migrator) -> None:
    """The invalid one is cleared away, so that the next try is not told that it exists."""
    migrator.files[f"{AGE}.sql"] = "insert into people values (3, 'b');\n"
    migrator.files[f"{INDEX}.sql"] = "create unique index concurrently people_by_email on people (email);\n"
    error = refused(migrator)

    assert (error.reason, "23505" in error.message) == (Reason.MIGRATION_FAILED, True)
    assert server.execute("select to_regclass('public.people_by_email')::text", database="shop") == [(None,)]
    server.execute("delete from people where id = 3", database="shop")
    assert migrator.migrate().pending == ()
    assert server.execute(
        "select indisvalid from pg_index where indexrelid = 'people_by_email'::regclass", database="shop"
    ) == [(True,)]


def test_of_a_ledger_of_the_future_nothing_is_read(migrator: Migrator) -> None:
    """Neither by looking nor by migrating."""
    migrator.migrate()
    with connect(migrator.target) as session:
        session.execute("update dbcustody.ledger_version set version_num = '9999'")
    for act in (lambda: look(migrator.order()), lambda: migrator.migrate(run=uuid4())):
        with pytest.raises(RefusedError) as error:
            act()
        assert error.value.reason is Reason.LEDGER_UNKNOWN
