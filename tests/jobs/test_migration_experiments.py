"""What PostgreSQL and its tools do to migrations, found out by experiments, and what ours makes of it: each danger is shown to be real."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest

from dbcustody.adapters.postgres import MIGRATION_LOCKS, DatabaseLock, connect
from dbcustody.adapters.postgres.migrating import open_runner, run_together
from dbcustody.adapters.squawk import ask_squawk, find_squawk
from dbcustody.jobs.migration import look
from dbcustody.migration.body import read_body
from dbcustody.migration.ledger import State
from dbcustody.migration.lint import judge
from dbcustody.migration.outlook import look_ahead
from dbcustody.migration.patience import Limits
from dbcustody.migration.script import SourceFile, read_scripts
from dbcustody.migration.squawk import read_report
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.migrator import CUSTODY, Migrator, states

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
BEGIN, NEXT = "20261101_120000_begin", "20261102_120000_next"
INDEX = "create index concurrently people_by_age on people (age)"
VALID = "select indisvalid from pg_index where indexrelid = to_regclass('public.people_by_age')"
QUEUED = "select count(*) from pg_locks where not granted and relation = 'public.people'::regclass"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def migrator(server: PostgresServer) -> Iterator[Migrator]:
    """Return who has migrated a database once."""
    server.execute("create database shop")
    one = Migrator.of(
        server, {f"{BEGIN}.sql": "create table people (id int, age int); insert into people values (1, 1);"}
    )
    one.migrate()
    yield one
    server.execute("drop database shop with (force)")


def test_x10_an_index_in_a_batch(server: PostgresServer, migrator: Migrator) -> None:
    """Several statements in one message are one transaction, in which it cannot be built; such a file is refused before it runs."""
    with server.connect("shop") as session, pytest.raises(psycopg.errors.ActiveSqlTransaction):
        session.execute(f"select 1; {INDEX}".encode())
    faults = read_body(f"{NEXT}.sql", f"select 1; {INDEX};".encode(), is_down=False).faults

    assert [fault.what for fault in faults] == [
        "CREATE INDEX CONCURRENTLY runs outside of a transaction, and must stand alone"
    ]
    migrator.files[f"{NEXT}.sql"] = f"{INDEX};"
    migrator.migrate()
    assert server.execute(VALID, database="shop") == [(True,)]


def test_x11_what_a_killed_runner_waited_for_is_never_done(
    server: PostgresServer, migrator: Migrator, tmp_path: Path
) -> None:
    """Its backend goes although the lock is not free, and lets go of the lock of migrations."""
    migrator.files[f"{NEXT}.sql"] = (
        "-- dbcustody: budget 10 min\nselect pg_sleep(600); alter table people add column late int;"
    )
    backends = "select count(*) from pg_stat_activity where application_name like 'dbcustody migrate%'"
    asleep = f"{backends} and query like '%pg_sleep%'"
    with migrator.start(tmp_path / "files", run=uuid4()) as process:
        assert wait_until(lambda: server.execute(asleep) == [(1,)], 60)
        process.kill()
        process.communicate()
    assert wait_until(lambda: server.execute(backends) == [(0,)], 60)

    migrator.files[f"{NEXT}.sql"] = "select 1;"
    assert migrator.migrate().pending == ()
    assert states(migrator)[1:] == [(NEXT, State.FAILED), (NEXT, State.APPLIED)]
    assert server.execute("select count(*) from pg_attribute where attname = 'late'", database="shop") == [(0,)]


def test_x12_a_reader_behind_a_queued_alter(server: PostgresServer, migrator: Migrator) -> None:
    """Whoever only reads waits behind an ALTER that waits; behind ours for one short try, however long the first reader goes on."""
    migrator.files[f"{NEXT}.sql"] = "alter table people add column born date;"
    with server.connect("shop", application_name="report") as reader, server.connect("shop") as impatient:
        reader.execute("begin; select * from people")
        impatient.execute("begin; set local lock_timeout = '60s'")
        plain = threading.Thread(
            target=server.execute, args=("alter table people add column plain int",), kwargs={"database": "shop"}
        )
        plain.start()
        assert wait_until(lambda: server.execute(QUEUED, database="shop") == [(1,)], 60)
        behind = threading.Thread(target=impatient.execute, args=("select * from people",))
        behind.start()
        assert wait_until(lambda: server.execute(QUEUED, database="shop") == [(2,)], 60)
        reader.execute("commit")
        behind.join()
        impatient.execute("commit")
        plain.join()
        server.execute("alter table people drop column plain", database="shop")

        reader.execute("begin; select * from people")
        ours = threading.Thread(target=migrator.migrate)
        ours.start()
        assert wait_until(lambda: any("gives way to report" in one for one in migrator.said), 60)
        impatient.execute("select * from people")
        assert server.execute(QUEUED, database="shop") == [(0,)]
        reader.execute("commit")
        ours.join()

    assert look(migrator.order()).pending == ()


def test_x13_an_index_that_is_there_and_invalid(server: PostgresServer, migrator: Migrator) -> None:
    """IF NOT EXISTS succeeds while it stays invalid; ours clears away what its own broken run left, and builds it."""
    with server.connect("shop") as writer, server.connect("shop") as builder:
        writer.execute("begin; insert into people values (2, 2)")
        builder.execute("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            builder.execute(INDEX.encode())
        builder.execute("set lock_timeout = 0")
        writer.execute("commit")
        assert server.execute(VALID, database="shop") == [(False,)]
        with pytest.raises(psycopg.errors.DuplicateTable):
            builder.execute(INDEX.encode())
        builder.execute(INDEX.replace("concurrently", "concurrently if not exists").encode())
        assert server.execute(VALID, database="shop") == [(False,)]
        builder.execute("drop index people_by_age")

    migrator.files[f"{NEXT}.sql"] = INDEX.replace("concurrently", "concurrently if not exists") + ";"
    broken_off(server, migrator)
    assert server.execute(VALID, database="shop") == [(False,)]
    assert migrator.migrate().pending == ()
    assert (server.execute(VALID, database="shop"), states(migrator)[1:]) == (
        [(True,)], [(NEXT, State.FAILED), (NEXT, State.APPLIED)],
    )  # fmt: skip


def broken_off(server: PostgresServer, migrator: Migrator) -> None:
    """Leave an invalid index, and an attempt at it of which nothing says what became of it, as a killed runner does."""
    text = migrator.files[f"{NEXT}.sql"]
    server.execute(
        "insert into dbcustody.attempt (run, revision, name, direction, sha256, body, tool, actor) "  # noqa: S608 - our own
        f"values (gen_random_uuid(), '20261102_120000', '{NEXT}', 'Up', repeat('a', 64), '{text}', 'test', 'somebody')",
        "insert into dbcustody.step (attempt, ordinal, sha256, nature, found_before) "
        "select max(id), 1, repeat('a', 64), 'NonTransactional', 'Absent' from dbcustody.attempt",
        INDEX.replace("concurrently", ""),
        "update pg_index set indisvalid = false where indexrelid = 'people_by_age'::regclass",
        database="shop",
    )


def attempt(session: psycopg.Connection, words: str, deadlocks: list[str]) -> None:
    """Run *words*; that they end in a deadlock, which may hit either of two, is noted in *deadlocks*."""
    try:
        session.execute(words.encode())
    except psycopg.errors.DeadlockDetected:
        deadlocks.append(words)


def test_x14_two_who_wait_for_each_other(server: PostgresServer, migrator: Migrator) -> None:
    """Who waits for an advisory lock has a snapshot, for which the index waits: a deadlock. Ours asks again and again."""
    with server.connect("shop") as holder, server.connect("shop") as waiter:
        holder.execute("select pg_advisory_lock(5)")
        deadlocks: list[str] = []
        waiting = threading.Thread(target=attempt, args=(waiter, "select pg_advisory_lock(5)", deadlocks))
        waiting.start()
        blocked = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        assert wait_until(lambda: server.execute(blocked) == [(1,)], 60)
        attempt(holder, INDEX, deadlocks)
        holder.execute("select pg_advisory_unlock(5)")
        waiting.join()
    assert len(deadlocks) == 1
    server.execute("drop index if exists people_by_age", database="shop")

    migrator.files[f"{NEXT}.sql"] = f"{INDEX};"
    second = Migrator.of(server, migrator.files)
    with (
        connect(migrator.target) as session,
        DatabaseLock(session, custody_id=CUSTODY, maintenance_database="postgres") as lock,
    ):
        lock.acquire(MIGRATION_LOCKS, wait_seconds=0, stop=threading.Event())
        thread = threading.Thread(target=second.migrate)
        thread.start()
        assert wait_until(lambda: any("waits for the database lock" in one for one in second.said), 60)
        session.execute(INDEX.replace("on people", "on public.people").encode())
        session.execute("drop index public.people_by_age")
        lock.release()
        thread.join()
    assert server.execute(VALID, database="shop") == [(True,)]


def test_x15_two_databases_at_once(server: PostgresServer, migrator: Migrator, tmp_path: Path) -> None:
    """A process each: what is meant for one never comes into the other, nor does its history."""
    server.execute("drop database if exists other with (force)", "create database other")
    target = type(migrator.target)(
        host=server.host, port=str(server.port), database="other", user="postgres", password=server.password, sslmode="disable"
    )  # fmt: skip
    second = Migrator(target=target)
    for number in range(20):
        migrator.files[f"20261103_1200{number:02d}_mine.sql"] = f"create table mine_{number} (); select pg_sleep(0.01);"
        second.files[f"20261103_1200{number:02d}_theirs.sql"] = (
            f"create table theirs_{number} (); select pg_sleep(0.01);"
        )
    with migrator.start(tmp_path / "a", run=uuid4()) as one, second.start(tmp_path / "b", run=uuid4()) as other:
        assert [(process.communicate()[0], process.returncode) for process in (one, other)] == [(None, 0)] * 2

    query = "select count(*) filter (where relname like 'mine_%'), count(*) filter (where relname like 'theirs_%') from pg_class"
    assert [server.execute(query, database=name) for name in ("shop", "other")] == [[(20, 0)], [(0, 20)]]
    assert [len(look(who.order()).applied) for who in (migrator, second)] == [21, 20]
    server.execute("drop database other with (force)")


def test_x16_a_transaction_is_tried_again_as_a_whole(server: PostgresServer, migrator: Migrator) -> None:
    """A lock that is not to be had poisons it: what came before is done once more; settings of one that fails are not those of the next."""
    migrator.files[f"{NEXT}.sql"] = (
        "insert into people values (7, 7); set local work_mem = '1MB'; alter table people add column born date;"
    )
    with server.connect("shop", application_name="report") as reader:
        reader.execute("begin; lock table people in row share mode")
        thread = threading.Thread(
            target=migrator.migrate, kwargs={"limits": Limits(lock_timeout_milliseconds=200, lock_attempts=30)}
        )
        thread.start()
        assert wait_until(lambda: any("gives way" in one for one in migrator.said), 60)
        assert server.execute("select count(*) from people where id = 7", database="shop") == [(0,)]
        reader.execute("commit")
        thread.join()

    assert server.execute("select count(*) from people where id = 7", database="shop") == [(1,)]
    assert states(migrator)[1:] == [(NEXT, State.APPLIED)]


def test_x17_the_locks_that_are_foretold_are_taken(server: PostgresServer, migrator: Migrator) -> None:
    """As pg_locks shows them to somebody else before the commit."""
    text = "alter table people add constraint aged check (age > 0) not valid"
    scripts = read_scripts([SourceFile(name=f"{NEXT}.sql", content=text.encode())]).scripts
    (lock,) = look_ahead(scripts[0].up.statements).locks
    seen: list[str] = []
    modes = "select distinct mode from pg_locks where relation = 'public.people'::regclass and pid = {}"

    with open_runner(migrator.target, uuid4()) as runner:
        query = modes.format(runner.info.backend_pid)
        run_together(
            runner,
            [text],
            limits=Limits(),
            last=None,
            looks=lambda _: seen.extend(row[0] for row in server.execute(query, database="shop")),
        )

    assert (str(lock.relation), "AccessExclusiveLock" in seen) == ("people", True)


MISSED = {
    "update people set age = 1": "update-all",
    "delete from people": "delete-all",
    "truncate people": "truncate",
    "lock table people in access exclusive mode": "lock-table",
    "cluster people using people_by_age": "cluster",
    "refresh materialized view totals": "refresh-view",
    "create trigger t after insert on people execute function f()": "create-trigger",
    "grant select on people to public": "grant-public",
    "create extension pgcrypto": "create-extension",
}


@pytest.mark.parametrize("text", MISSED)
def test_x18_what_squawk_does_not_find(text: str) -> None:
    """We do; should it learn to, this says so."""
    scripts = read_scripts([SourceFile(name=f"{NEXT}.sql", content=f"{text};\n".encode())]).scripts
    ours = {finding.rule for judged in judge(scripts, {}) for finding in judged.findings}
    report = ask_squawk(f"{text};\n", program=find_squawk(), major=17, in_transaction=True)

    assert (MISSED[text] in ours, [one.rule for one in read_report(report.text, scripts[0].up)]) == (True, [])
