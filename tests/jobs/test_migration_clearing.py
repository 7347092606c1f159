"""What was broken off is cleared away with patience and within limits: who is in the way is named, and it can be stopped."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.migration import OnDrift
from dbcustody.errors import DbcustodyError, InterruptedRunError
from dbcustody.jobs import aftermath, alone, remnants
from dbcustody.migration.ledger import State
from dbcustody.migration.patience import Limits
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.migrator import Migrator, states

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres
BEGIN, NEXT = "20261101_120000_begin", "20261102_120000_next"
INDEX = "create index concurrently by_age on people (age)"
UNIQUE = INDEX.replace("create", "create unique")
DETACH = "alter table parts detach partition part concurrently"
STANDS = "select indisvalid from pg_index where indexrelid = to_regclass('public.by_age')"
RUNNING = "select 1 from pg_stat_activity where application_name like 'dbcustody migrate%' and query ilike '{}%'"
BROKEN = "update pg_index set indisvalid = false where indexrelid = 'public.by_age'::regclass"
FEW = Limits(lock_timeout_milliseconds=200, lock_attempts=2, statement_timeout_seconds=60)
A_WHILE = 1.2
"""Seconds after which a transaction is one that is waited for."""
LONG_SECONDS = 60


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server that lets transactions be prepared."""
    with PostgresServer(17, settings={"max_prepared_transactions": "2"}) as started:
        yield started


@pytest.fixture
def migrator(server: PostgresServer) -> Iterator[Migrator]:
    """Return who has a migration to carry out in a database with tables; an age is there twice."""
    server.execute("create database shop")
    words = (
        "create table people (id int, age int); insert into people values (1, 1), (2, 1);"
        "create table parts (at int) partition by range (at); create table part partition of parts for values from (0) to (9);"
    )
    one = Migrator.of(server, {f"{BEGIN}.sql": words})
    one.migrate()
    yield one
    for (gid,) in server.execute("select gid from pg_prepared_xacts", database="shop"):
        server.execute(f"rollback prepared '{gid}'", database="shop")
    server.execute("drop database shop with (force)")


@pytest.fixture
def by_age(server: PostgresServer, migrator: Migrator) -> Migrator:
    """Return who is to build an index of which an invalid one stands, as its building was broken off; the ledger knows it so."""
    migrator.files[f"{NEXT}.sql"] = f"{INDEX};"
    left_by_dead(server)
    return migrator


def left_by_dead(server: PostgresServer) -> None:
    """Leave what a run leaves that died while it built the index."""
    server.execute(
        "create index by_age on people (age)",
        BROKEN,
        "insert into dbcustody.attempt (run, revision, name, direction, sha256, body, tool, actor) "  # noqa: S608 - our own
        f"values (gen_random_uuid(), '20261102_120000', '{NEXT}', 'Up', repeat('a', 64), '{INDEX};', 'test', 'somebody')",
        "insert into dbcustody.step (attempt, ordinal, sha256, nature, found_before) "
        "select max(id), 1, repeat('a', 64), 'NonTransactional', 'Absent' from dbcustody.attempt",
        database="shop",
    )


def settled(server: PostgresServer) -> None:
    """Let the ledger say of the dead run that nothing came of it; what it left stays."""
    words = "insert into dbcustody.outcome (attempt, state, done, actor) select max(id), 'Failed', 0, 'somebody' from dbcustody.attempt"
    server.execute(words, database="shop")


def unsettled(server: PostgresServer) -> int:
    """Return of how many attempts nothing says what became of them."""
    words = "select count(*) from dbcustody.attempt a where not exists (select from dbcustody.outcome o where o.attempt = a.id)"
    ((count,),) = server.execute(words, database="shop")
    return int(count)


@contextmanager
def kept(server: PostgresServer, words: str, *, seconds: float = A_WHILE) -> Iterator[None]:
    """Let a session called writer run *words* in a transaction that has been idle for *seconds* when the block begins."""
    with server.connect("shop", application_name="writer") as session:
        session.execute(f"begin; {words}".encode())
        time.sleep(seconds)
        yield
        session.execute("rollback")


class Running:
    """A migration in a thread of its own beside what somebody did by hand, and why it failed."""

    def __init__(self, migrator: Migrator, limits: Limits) -> None:
        self.error: DbcustodyError | None = None
        self._migrator, self._limits = migrator, limits
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._migrator.migrate(limits=self._limits, drift=OnDrift.IGNORE)
        except DbcustodyError as error:
            self.error = error

    def ended(self) -> DbcustodyError:
        """Return why it ended, which it has to within a time, by an error."""
        self._thread.join(LONG_SECONDS)
        assert not self._thread.is_alive()
        assert self.error is not None
        return self.error


@pytest.mark.parametrize("is_settled", [True, False])
def test_an_idle_writer_is_named_before_the_index_goes(
    server: PostgresServer, by_age: Migrator, *, is_settled: bool
) -> None:
    """It is waited for as often as for a lock; the index stays as it is, and goes as soon as nobody is in the way."""
    if is_settled:
        settled(server)
    before = unsettled(server)
    with kept(server, "insert into people values (3, 3)"):
        error = Running(by_age, FEW).ended()

    assert (error.reason, "writer (pid" in error.message) == (Reason.LOCK_NOT_OBTAINED, True), error.message
    assert any("waits for writer (pid" in one for one in by_age.said)
    assert (unsettled(server), server.execute(STANDS, database="shop")) == (before, [(False,)])
    finishes(server, by_age)


@pytest.mark.parametrize("is_settled", [True, False])
def test_who_is_told_to_stop_while_it_clears_away_stops(
    server: PostgresServer, by_age: Migrator, monkeypatch: pytest.MonkeyPatch, *, is_settled: bool
) -> None:
    """The server lets go of it, nothing is built, and the next run goes on; the writer came too late to be seen before."""
    if is_settled:
        settled(server)
    monkeypatch.setattr(remnants, "OLD_SECONDS", 3600.0)
    dropping = RUNNING.format("drop index concurrently")
    with kept(server, "insert into people values (3, 3)", seconds=0):
        running = Running(by_age, FEW)
        assert wait_until(lambda: bool(server.execute(dropping)), 60)
        by_age.stop.set()
        error = running.ended()
        assert server.execute(dropping) == []

    assert (type(error), "told to stop" in error.message) == (InterruptedRunError, True), error.message
    assert server.execute(STANDS, database="shop") == [(False,)]
    by_age.stop.clear()
    finishes(server, by_age)


@pytest.mark.parametrize("is_settled", [True, False])
def test_clearing_away_takes_no_longer_than_a_statement_may(
    server: PostgresServer, by_age: Migrator, monkeypatch: pytest.MonkeyPatch, *, is_settled: bool
) -> None:
    """Who was in the way is named then, too."""
    if is_settled:
        settled(server)
    monkeypatch.setattr(remnants, "OLD_SECONDS", 3600.0)
    with kept(server, "insert into people values (3, 3)", seconds=0):
        error = Running(by_age, Limits(statement_timeout_seconds=1)).ended()

    assert (error.reason, "in the way: writer (pid" in error.message) == (Reason.LOCK_NOT_OBTAINED, True), error.message
    finishes(server, by_age)


def finishes(server: PostgresServer, migrator: Migrator) -> None:
    """Look whether a run that nobody is in the way of builds the index."""
    assert migrator.migrate(drift=OnDrift.IGNORE).pending == ()
    assert server.execute(STANDS, database="shop") == [(True,)]


def test_a_prepared_transaction_is_named_before_an_index_is_begun(server: PostgresServer, migrator: Migrator) -> None:
    """No process has it, and CREATE INDEX CONCURRENTLY would wait for it half done."""
    migrator.files[f"{NEXT}.sql"] = f"{INDEX};"
    with server.connect("shop") as session:
        session.execute("begin; insert into people values (3, 3); prepare transaction 'transfer'")
    time.sleep(A_WHILE)
    error = Running(migrator, FEW).ended()

    assert (error.reason, "prepared transaction transfer" in error.message) == (Reason.LOCK_NOT_OBTAINED, True)
    assert server.execute(STANDS, database="shop") == []
    server.execute("rollback prepared 'transfer'", database="shop")
    finishes(server, migrator)


def test_a_prepared_transaction_of_another_table_is_in_nobody_s_way(server: PostgresServer, migrator: Migrator) -> None:
    """It has no snapshot; an index of this table is built beside it."""
    server.execute("create table other (id int)", database="shop")
    migrator.files[f"{NEXT}.sql"] = f"{INDEX};"
    with server.connect("shop") as session:
        session.execute("begin; insert into other values (3); prepare transaction 'transfer'")
    time.sleep(A_WHILE)
    migrator.migrate(drift="Ignore", limits=Limits(lock_attempts=1))
    server.execute("rollback prepared 'transfer'", database="shop")

    assert migrator.said[-1].endswith("runs")


def test_why_the_statement_failed_is_told_although_its_remnant_stays(
    server: PostgresServer, migrator: Migrator
) -> None:
    """A reader keeps nobody from building an index, but from dropping it; the next run clears it away and builds it."""
    migrator.files[f"{NEXT}.sql"] = f"{UNIQUE};"
    with kept(server, "select * from people"):
        error = Running(migrator, FEW).ended()

    assert (error.reason, "writer (pid" in error.message) == (Reason.LOCK_NOT_OBTAINED, True), error.message
    assert "SQLSTATE 23505" in error.message
    assert server.execute(
        "select state, sqlstate from dbcustody.outcome where sqlstate is not null", database="shop"
    ) == [("Failed", "23505")]
    server.execute("delete from people where id = 2", database="shop")
    finishes(server, migrator)


def test_a_detachment_that_could_not_be_finished_is_finished_by_the_next_run(
    server: PostgresServer, migrator: Migrator
) -> None:
    """Nothing is said of it until then, so that what is in is not refused as done once more."""
    migrator.files[f"{NEXT}.sql"] = f"{DETACH};"
    with kept(server, "select * from parts"):
        running = Running(migrator, FEW)
        pending = "select count(*) from pg_inherits where inhdetachpending"
        assert wait_until(lambda: server.execute(pending, database="shop") == [(1,)], 60)
        runner = RUNNING.format("alter table parts detach")
        server.execute(runner.replace("select 1", "select pg_cancel_backend(pid)"), database="shop")
        error = running.ended()

    assert (error.reason, "writer (pid" in error.message) == (Reason.LOCK_NOT_OBTAINED, True), error.message
    assert ("SQLSTATE 57014" in error.message, unsettled(server)) == (True, 1)
    migrator.migrate()
    assert states(migrator)[1:] == [(NEXT, State.APPLIED)]
    assert server.execute("select count(*) from pg_inherits", database="shop") == [(0,)]


def test_who_is_told_to_stop_within_its_statement_has_a_moment_to_clear_up(
    server: PostgresServer, migrator: Migrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no more than that; what is left then is cleared away by the next run."""
    migrator.files[f"{NEXT}.sql"] = f"{INDEX};"
    monkeypatch.setattr(remnants, "OLD_SECONDS", 3600.0)
    monkeypatch.setattr(remnants, "_GRACE_SECONDS", 1)
    monkeypatch.setattr(alone, "wait_for_older", lambda *_, **__: None)
    with kept(server, "insert into people values (3, 3)", seconds=0):
        running = Running(migrator, FEW)
        assert wait_until(lambda: server.execute(STANDS, database="shop") == [(False,)], 60)
        migrator.stop.set()
        error = running.ended()

    assert (type(error), "stays for the next run" in error.message) == (InterruptedRunError, True), error.message
    assert ("SQLSTATE 57014" in error.message, states(migrator)[1:]) == (True, [(NEXT, State.FAILED)])
    migrator.stop.clear()
    finishes(server, migrator)


def test_who_was_told_to_stop_begins_no_index(
    server: PostgresServer, migrator: Migrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However free the way is by then."""
    migrator.files[f"{NEXT}.sql"] = f"{INDEX};"
    monkeypatch.setattr(alone, "wait_for_older", lambda *_, **__: migrator.stop.set())
    error = Running(migrator, FEW).ended()

    assert (type(error), states(migrator)[1:]) == (InterruptedRunError, [(NEXT, State.FAILED)])
    assert server.execute(STANDS, database="shop") == []


@pytest.mark.parametrize("is_settled", [True, False])
def test_who_was_told_to_stop_clears_nothing_away(
    server: PostgresServer, by_age: Migrator, monkeypatch: pytest.MonkeyPatch, *, is_settled: bool
) -> None:
    """It is told so once it has found out what is left."""
    if is_settled:
        settled(server)

    def found(*_: object, **__: object) -> None:
        by_age.stop.set()

    monkeypatch.setattr(alone, "wait_for_builders", found)
    monkeypatch.setattr(aftermath, "wait_for_builders", found)
    error = Running(by_age, FEW).ended()

    assert (type(error), server.execute(STANDS, database="shop")) == (InterruptedRunError, [(False,)])
