"""A dump among others: it waits its turn, waits for locks no longer than allowed, and gives way to those who wait behind it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

import psycopg
import pytest

from dbcustody.api.backup import Stage
from dbcustody.api.policy import Tables
from dbcustody.jobs.custody import open_storage
from dbcustody.jobs.reading import read_catalogue_of
from dbcustody.jobs.stock import open_data_key
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.custodian import Custodian, in_volume
from tests.fakes.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.repository.catalogue import Catalogue

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def running() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as server:
        yield server


@pytest.fixture
def server(running: PostgresServer) -> Iterator[PostgresServer]:
    """Return the server with a small shop in it."""
    running.execute("create database shop")
    running.execute(
        "create table a (n int); create table b (id serial primary key, n int); create table z (n int); create sequence lone",
        "insert into a select generate_series(1, 1000); insert into b (n) select generate_series(1, 10)",
        database="shop",
    )
    yield running
    running.execute("drop database shop with (force)")


@pytest.fixture
def custodian(server: PostgresServer, tmp_path: Path) -> Custodian:
    """Return who backs the shop up into a folder."""
    return Custodian(server=server, open_store=in_volume(tmp_path))


def assert_nothing_is_left(custodian: Custodian) -> None:
    """Nothing was committed, and no session of ours stays at the server."""
    assert custodian.stock().backups == ()
    assert wait_until(lambda: not custodian.backends(), 10), custodian.backends()


def is_waiting(server: PostgresServer, statement: str) -> bool:
    """Return whether *statement* waits for a lock."""
    with server.connect() as session:
        query = "select 1 from pg_stat_activity where query = %s and wait_event_type = 'Lock'"
        return session.execute(query, (statement,)).fetchone() is not None


def test_lock_that_is_not_had(custodian: Custodian, server: PostgresServer) -> None:
    """A table that somebody keeps to himself ends the run after `lockWaitSeconds`, with that reason and not with what came of it."""
    with server.connect("shop") as other:
        other.execute("begin; lock table a in access exclusive mode")
        reason, message = custodian.outcome(lock_wait_seconds=1)
        pid = other.info.backend_pid
    assert reason is Reason.LOCK_NOT_OBTAINED, message
    assert f"but public.a is held by pid {pid} (without a name)" in message
    assert_nothing_is_left(custodian)


def test_table_that_is_kept_and_left_out(custodian: Custodian, server: PostgresServer) -> None:
    """A table that is excluded is not waited for."""
    with server.connect("shop") as other:
        other.execute("begin; lock table a in access exclusive mode")
        reason, message = custodian.outcome(lock_wait_seconds=1, tables=Tables(exclude=("a",)))
    assert reason is Reason.SUCCEEDED, message


def test_sequence_that_is_kept(custodian: Custodian, server: PostgresServer) -> None:
    """A sequence that is being altered and never committed ends the run in time as well."""
    with server.connect("shop") as other:
        other.execute("begin; alter sequence lone increment 5")
        reason, message = custodian.outcome(lock_wait_seconds=1)
    assert reason is Reason.LOCK_NOT_OBTAINED, message
    assert_nothing_is_left(custodian)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("alter table a add column m int", id="alter-table"),
        pytest.param("drop table a", id="drop-table"),
        pytest.param("truncate a", id="truncate"),
        pytest.param("create index concurrently on a (n)", id="create-index-concurrently"),
    ],
)
def test_way_is_given_to_those_who_wait(custodian: Custodian, server: PostgresServer, statement: str) -> None:
    """Who has waited behind the dump longer than allowed gets through: the dump ends, its sessions are gone, the statement succeeds."""
    with Gate(server) as gate, custodian.running(cancel_when_blocking_seconds=2) as run:
        gate.wait_reached()
        with Statement(server, statement) as waiting:
            reason, message = run.outcome(40)
            assert reason is Reason.BLOCKING_OTHERS, message
            assert "more than `cancelWhenBlockingSeconds` allows" in message
            assert waiting.succeeds_within(20)
        assert_nothing_is_left(custodian)


def test_nobody_is_given_way_to_when_that_is_not_wanted(custodian: Custodian, server: PostgresServer) -> None:
    """With `cancelWhenBlockingSeconds` 0 the dump goes on while an ALTER TABLE waits behind it, its row counts included."""
    with Gate(server) as gate, custodian.running(cancel_when_blocking_seconds=0, lock_wait_seconds=3) as run:
        gate.wait_reached()
        with Statement(server, "alter table z add column m int") as waiting:
            assert wait_until(lambda: is_waiting(server, "alter table z add column m int"), 10)
            gate.open()
            reason, message = run.outcome(60)
            assert reason is Reason.SUCCEEDED, message
            assert waiting.succeeds_within(20)


def test_turn_is_waited_for(custodian: Custodian, server: PostgresServer, tmp_path: Path) -> None:
    """While another dump of the database runs, this one waits, names it, and goes on when it has ended; both are good."""
    other = Custodian(server=server, open_store=in_volume(tmp_path))
    with Gate(server) as gate, other.running("first") as first:
        gate.wait_reached()
        with custodian.running("second") as second:
            assert wait_until(lambda: any(one.stage is Stage.WAITING for one in custodian.told), 20)
            (waiting, *_) = [one for one in custodian.told if one.stage is Stage.WAITING]
            assert (waiting.waiting_for or "").startswith("dbcustody backup web.shop ")
            gate.open()
            assert [first.outcome()[0], second.outcome()[0]] == [Reason.SUCCEEDED] * 2
    assert [one.is_good for one in custodian.stock().live] == [True, True]


def test_turn_that_does_not_come(custodian: Custodian, server: PostgresServer, tmp_path: Path) -> None:
    """Who waited for his turn longer than `startingDeadlineSeconds` is skipped, is told the holder, and wrote nothing but his name."""
    other = Custodian(server=server, open_store=in_volume(tmp_path))
    with Gate(server) as gate, other.running("first") as first:
        gate.wait_reached()
        reason, message = custodian.outcome("second", starting_deadline_seconds=2)
        assert (reason, "dbcustody backup web.shop" in message) == (Reason.SKIPPED, True), message
        gate.open()
        assert first.outcome()[0] is Reason.SUCCEEDED
    (good,) = custodian.stock().live
    assert good.manifest.name == "first"


def test_sequence_that_goes_on(custodian: Custodian, server: PostgresServer) -> None:
    """Rows that are inserted during the dump are not in it, and a sequence that is advanced meanwhile is not behind its rows."""
    with Gate(server) as gate, custodian.running(parallelism=2) as run:
        gate.wait_reached()
        server.execute("insert into b (n) select generate_series(1, 500)", "select nextval('lone')", database="shop")
        gate.open()
        assert run.outcome()[0] is Reason.SUCCEEDED, run.outcome()
    catalogue = catalogue_of(custodian)
    assert {table.name: table.rows for table in catalogue.tables} == {"a": 1000, "b": 10, "gated": 1, "z": 0}
    assert {one.name: one.last_value for one in catalogue.sequences} == {"b_id_seq": 510, "lone": 1}


def test_tables_that_come_during_the_dump(custodian: Custodian, server: PostgresServer) -> None:
    """A table that is made after the snapshot is not in the backup, and does not disturb it."""
    with Gate(server) as gate, custodian.running(parallelism=3) as run:
        gate.wait_reached()
        server.execute("create table late (n int)", "insert into late values (1)", database="shop")
        gate.open()
        assert run.outcome()[0] is Reason.SUCCEEDED, run.outcome()
    assert {table.name for table in catalogue_of(custodian).tables} == {"a", "b", "gated", "z"}


def catalogue_of(custodian: Custodian) -> Catalogue:
    """Return the catalogue of the one backup."""
    (good,) = custodian.stock().live
    storage = open_storage(custodian.tools(), custodian.request())
    key = open_data_key(storage, good.manifest.place, good.key_ids)
    return read_catalogue_of(storage, good.manifest, key)


class Statement:
    """A statement that somebody else runs while the block does."""

    def __init__(self, server: PostgresServer, statement: str) -> None:
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, args=(server, statement))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _work(self, server: PostgresServer, statement: str) -> None:
        try:
            server.execute(statement, database="shop")
        except psycopg.Error as error:
            self._error = error

    def succeeds_within(self, seconds: float) -> bool:
        """Wait for the statement; returns whether it ended well and in time."""
        self._thread.join(seconds)
        return not self._thread.is_alive() and self._error is None
