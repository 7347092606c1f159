"""Whoever has been on a table for long goes first: a migration does not queue behind him, and everybody else behind it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.obstruction import find_occupants
from dbcustody.errors import UnavailableError
from dbcustody.jobs.tally import Tally
from dbcustody.migration.ledger import State
from dbcustody.migration.lock import Lock, Mode
from dbcustody.migration.patience import Limits
from dbcustody.migration.relation import Relation
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.migrator import Migrator, states

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres
BEGIN, NEXT = "20261101_120000_begin", "20261102_120000_next"
MODES = {mode: mode.name.replace("_", " ").lower() for mode in Mode}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server on which autovacuum looks each second, and stays long where it is told to."""
    with PostgresServer(17, settings={"autovacuum_naptime": "1s", "max_prepared_transactions": "2"}) as started:
        yield started


@pytest.fixture
def migrator(server: PostgresServer) -> Iterator[Migrator]:
    """Return who has migrated a database once."""
    server.execute("create database shop")
    one = Migrator.of(server, {f"{BEGIN}.sql": "create table people (id int primary key);"})
    one.migrate()
    yield one
    server.execute("drop database shop with (force)")


def vacuumed(server: PostgresServer) -> None:
    """Have an autovacuum that takes long on the table."""
    options = "autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_threshold = 0"
    server.execute(
        f"alter table people set ({options})",
        "insert into people select n from generate_series(1, 200000) n",
        "delete from people where id % 2 = 0",
        database="shop",
    )
    vacuums = "select pid from pg_stat_activity where query ilike 'autovacuum: vacuum%public.people%'"
    assert wait_until(lambda: bool(server.execute(vacuums)), 120)


def test_nothing_queues_behind_who_was_there_before(server: PostgresServer, migrator: Migrator) -> None:
    """Not once: the report goes on, others read meanwhile, and then it gets through at its first try."""
    migrator.files[f"{NEXT}.sql"] = "alter table people add column age int;\n"
    tally = Tally()
    with server.connect("shop", application_name="report") as report:
        report.execute("begin")
        report.execute("select from people")
        report.execute("select pg_sleep(1.1)")
        runner = threading.Thread(target=migrator.migrate, kwargs={"tally": tally})
        runner.start()
        assert wait_until(lambda: any("gives way to report" in one for one in migrator.said), 60)
        queued = "select count(*) from pg_locks where not granted"
        assert [server.execute(queued, database="shop") for _ in range(20)] == [[(0,)]] * 20
        report.execute("commit")
        runner.join()

    assert (tally.lock_aborts, tally.lock_wait_seconds > 0) == (0, True)
    assert states(migrator) == [(BEGIN, State.APPLIED), (NEXT, State.APPLIED)]


def test_who_stays_is_named_and_nothing_was_tried(server: PostgresServer, migrator: Migrator) -> None:
    """The ledger says that it failed, and why."""
    migrator.files[f"{NEXT}.sql"] = "create index people_id on people (id);\n"
    tally = Tally()
    with server.connect("shop", application_name="writer") as writer:
        writer.execute("begin")
        writer.execute("insert into people values (1)")
        writer.execute("select pg_sleep(1.1)")
        with pytest.raises(UnavailableError, match=r"writer .* is still at work") as error:
            migrator.migrate(limits=Limits(lock_attempts=1), tally=tally)

    assert (error.value.reason, tally.lock_aborts) == (Reason.LOCK_NOT_OBTAINED, 0)
    assert states(migrator) == [(BEGIN, State.APPLIED), (NEXT, State.FAILED)]


def test_a_busy_table_starves_nobody(server: PostgresServer, migrator: Migrator) -> None:
    """Who was there when it looked is let pass, and not who comes after him for ever; it may wait for a lock longer than they stay."""
    over = threading.Event()

    def work(number: int) -> None:
        with server.connect("shop", application_name=f"worker {number}") as session:
            over.wait(number * 0.3)
            while not over.is_set():
                session.execute("begin")
                session.execute("select from people")
                session.execute("select pg_sleep(1.5)")
                session.execute("commit")

    workers = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for one in workers:
        one.start()
    there = "select count(*) from pg_stat_activity where application_name like 'worker%' and xact_start < now() - interval '1.2 s'"
    assert wait_until(lambda: server.execute(there)[0][0] > 0, 60)
    migrator.files[f"{NEXT}.sql"] = "alter table people add column age int;\n"
    migrator.migrate(limits=Limits(lock_timeout_milliseconds=4000, lock_attempts=2))
    over.set()
    for one in workers:
        one.join()

    assert [state for _, state in states(migrator)] == [State.APPLIED] * 2


def test_who_reads_a_partition_is_in_the_way_of_its_parent(server: PostgresServer, migrator: Migrator) -> None:
    """An ALTER of the parent locks all of them."""
    parts = "create table log (day int) partition by range (day);\ncreate table log_1 partition of log for values from (1) to (2);\n"
    migrator.files[f"{NEXT}.sql"] = parts
    migrator.migrate()
    migrator.files["20261103_120000_more.sql"] = "alter table log add column more int;\n"
    with server.connect("shop", application_name="report") as report:
        report.execute("begin")
        report.execute("select from log_1")
        report.execute("select pg_sleep(1.1)")
        with pytest.raises(UnavailableError, match=r"report .* is still at work"):
            migrator.migrate(limits=Limits(lock_attempts=1))


def test_a_table_that_the_role_may_not_look_up_is_tried(server: PostgresServer, migrator: Migrator) -> None:
    """A role that becomes the owner within: what stands in its way is found by the try."""
    server.execute("create role keeper", "create role clerk login password 'pw' noinherit in role keeper")
    server.execute(
        "grant create on database shop to clerk",
        "drop schema dbcustody cascade",
        "create schema own authorization keeper",
        "set role keeper; create table own.box (id int)",
        database="shop",
    )
    migrator.target = replace(migrator.target, user="clerk", password="pw")
    migrator.files = {f"{NEXT}.sql": "do $$ begin set local role keeper; end $$;\nalter table own.box add age int;\n"}
    migrator.migrate()
    assert states(migrator) == [(NEXT, State.APPLIED)]
    server.execute("drop owned by clerk, keeper cascade", database="shop")
    server.execute("drop role clerk, keeper")


def test_an_autovacuum_of_a_server_that_is_patient_is_waited_for(server: PostgresServer, migrator: Migrator) -> None:
    """Where `deadlock_timeout` is long, nobody is kept waiting as long for it."""
    server.execute("alter database shop set deadlock_timeout = '20s'")
    vacuumed(server)
    migrator.files[f"{NEXT}.sql"] = "alter table people add column age int;\n"
    with pytest.raises(UnavailableError, match="in the way: autovacuum worker"):
        migrator.migrate(limits=Limits(lock_timeout_milliseconds=100, lock_attempts=2), drift="Ignore")


def test_what_keeps_nobody_waiting_waits_for_nobody(server: PostgresServer, migrator: Migrator) -> None:
    """A reader is in no writer's way."""
    migrator.files[f"{NEXT}.sql"] = "insert into people values (1);\ncreate table other (id int references people);\n"
    with server.connect("shop") as reader:
        reader.execute("begin")
        reader.execute("select from people")
        reader.execute("select pg_sleep(1.1)")
        migrator.migrate(limits=Limits(lock_attempts=1))

    assert [one for one in migrator.said if "gives way" in one] == []


@pytest.mark.parametrize("age_seconds", [0, 1.1])
def test_a_prepared_transaction_is_named_as_what_it_is(
    server: PostgresServer, migrator: Migrator, age_seconds: float
) -> None:
    """No process has it, and nobody ends it but by its name; whether it is found before the first try or by it."""
    migrator.files[f"{NEXT}.sql"] = "alter table people add column age int;\n"
    with server.connect("shop") as other:
        other.execute("begin")
        other.execute("insert into people values (1)")
        other.execute("prepare transaction 'bank 7'")
        other.execute("select pg_sleep(%s)", (age_seconds,))
        runner = threading.Thread(target=migrator.migrate, kwargs={"limits": Limits(lock_attempts=50)})
        runner.start()
        assert wait_until(
            lambda: any("gives way to prepared transaction bank 7 (its" in one for one in migrator.said), 60
        )
        queued = "select count(*) from pg_locks where not granted"
        assert [server.execute(queued, database="shop") for _ in range(20)] == [[(0,)]] * 20
        other.execute("commit prepared 'bank 7'")
        runner.join()

    assert states(migrator)[-1] == (NEXT, State.APPLIED)


def test_an_autovacuum_gives_way_to_who_waits_long_enough(server: PostgresServer, migrator: Migrator) -> None:
    """The server ends it after `deadlock_timeout`, which is longer than the wait for a lock: one longer try, instead of hours."""
    vacuumed(server)
    migrator.files[f"{NEXT}.sql"] = "alter table people add column age int;\n"
    tally = Tally()
    migrator.migrate(limits=Limits(lock_attempts=5), tally=tally, drift="Ignore")

    assert [one for one in migrator.said if "until autovacuum worker" in one] != []
    assert (tally.lock_aborts, states(migrator)[-1]) == (1, (NEXT, State.APPLIED))


@pytest.mark.parametrize("wanted", Mode)
def test_who_is_in_the_way_of_a_lock_is_what_the_server_says(
    server: PostgresServer, migrator: Migrator, wanted: Mode
) -> None:
    """Of each lock that somebody has the server refuses the other at once, or it is no obstacle to us either."""
    found, expected = set(), set()
    lock = Lock(Relation("", "people"), wanted)
    with connect(migrator.target) as beside, server.connect("shop") as holder, server.connect("shop") as other:
        other.execute("set lock_timeout = 1")
        beside.execute("reset search_path")
        for mode, words in MODES.items():
            holder.execute("begin")
            holder.execute(f"lock table people in {words} mode".encode())
            seen = find_occupants(beside, [lock], beside=beside, seconds=0, stop=threading.Event())
            found |= {mode} if [one.pid for one in seen] == [holder.info.backend_pid] else set()
            try:
                with other.transaction():
                    other.execute(f"lock table people in {MODES[wanted]} mode nowait".encode())
            except psycopg.errors.LockNotAvailable:
                expected.add(mode)
            holder.execute("rollback")

    assert found == expected == set(wanted.conflicting)
