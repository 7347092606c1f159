"""How long a Job of migrations waited for somebody's lock, and how often in vain, on a real server."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.migration import FailOn, MigrationLint, MigrationPolicy
from dbcustody.contract import Verb
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.deployer import Deployer, deploying

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.contract import JobResult

pytestmark = pytest.mark.postgres
BEGIN, NEXT = "20261101_120000_begin", "20261102_120000_next"
ADD = {f"{NEXT}.sql": "alter table people add column age int;\n"}
INDEX = {f"{NEXT}.sql": "create index concurrently by_email on people (email);\n"}
TRIED = f"select 1 from dbcustody.attempt where name = '{NEXT}'"  # noqa: S608 - ours
"""Written down right before its first statement is sent."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def deployer(server: PostgresServer, tmp_path: Path) -> Iterator[Deployer]:
    """Return who runs the Jobs of a resource whose first migration is in."""
    text = "create table people (id int primary key, email text);\n"
    with deploying(server, tmp_path, sources={"first": {f"{BEGIN}.sql": text}}) as found:
        assert found.migrates().reason is Reason.APPLIED
        yield found


def patience(milliseconds: int, attempts: int) -> MigrationPolicy:
    """Return a policy of so many tries for a lock, each so long."""
    lint = MigrationLint(fail_on=FailOn.NEVER)
    return MigrationPolicy(lint=lint, lock_timeout_milliseconds=milliseconds, lock_attempts=attempts)


@contextmanager
def reader(server: PostgresServer, *, seconds: float = 0.0) -> Iterator[None]:
    """Have somebody read the table in a transaction that goes on; with *seconds* it ends so long after the migration was tried."""
    with server.connect("shop", application_name="report") as session:
        session.execute("begin")
        session.execute("select count(*) from people")

        def leave() -> None:
            assert wait_until(lambda: bool(server.execute(TRIED, database="shop")), 120)
            time.sleep(seconds)
            session.execute("commit")

        thread = threading.Thread(target=leave, daemon=True)
        if seconds:
            thread.start()
        yield
        if seconds:
            thread.join(60)


def waited(result: JobResult) -> tuple[float, int]:
    """Return how long the run of *result* waited, and how often it gave up."""
    facts = result.migration
    assert facts is not None
    assert facts.lock_wait_seconds is not None
    assert facts.lock_aborts is not None
    return facts.lock_wait_seconds, facts.lock_aborts


def test_a_run_that_gave_way_tells_for_how_long(server: PostgresServer, deployer: Deployer) -> None:
    """The tries themselves and the pauses between them, and no more than the run took; then it is in."""
    deployer.sources["second"] = ADD
    begun = time.monotonic()
    with reader(server, seconds=1.5):
        done = deployer.migrates(policy=patience(200, 30))
    took = time.monotonic() - begun
    seconds, aborts = waited(done)
    assert done.reason is Reason.APPLIED
    assert 1.0 < seconds < took
    assert aborts >= 1


def test_a_lock_that_was_had_at_the_first_try_was_waited_for_too(server: PostgresServer, deployer: Deployer) -> None:
    """Nothing was given up."""
    deployer.sources["second"] = ADD
    with reader(server, seconds=1.0):
        done = deployer.migrates(policy=patience(60_000, 30))
    seconds, aborts = waited(done)
    assert (done.reason, aborts) == (Reason.APPLIED, 0)
    assert 0.5 < seconds < 60


def test_a_run_that_gives_up_tells_it_as_well(server: PostgresServer, deployer: Deployer) -> None:
    """Tries that it did not send, because he was still there, are none that a statement gave up."""
    deployer.sources["second"] = ADD
    with reader(server):
        failed = deployer.migrates(policy=patience(200, 2))
    seconds, aborts = waited(failed)
    assert (failed.reason, aborts) == (Reason.LOCK_NOT_OBTAINED, 1)
    assert seconds > 0.5


def test_an_old_transaction_that_an_index_waits_for_counts(server: PostgresServer, deployer: Deployer) -> None:
    """Before it is begun, for it is not begun while that one is there."""
    deployer.sources["second"] = INDEX
    with server.connect("shop", application_name="export") as old:
        old.execute("begin isolation level repeatable read")
        old.execute("select 1")
        time.sleep(1.1)
        threading.Timer(3.0, old.execute, args=("commit",)).start()
        done = deployer.migrates(policy=patience(200, 30))
    seconds, aborts = waited(done)
    assert (done.reason, aborts) == (Reason.APPLIED, 0)
    assert seconds > 0.2


def test_nobody_in_the_way_is_no_wait(deployer: Deployer) -> None:
    """A look has carried nothing out, and says nothing of it."""
    deployer.sources["second"] = ADD
    looked = deployer.does(Verb.PLAN_MIGRATION).migration
    assert looked is not None
    assert (looked.lock_wait_seconds, looked.lock_aborts) == (None, None)
    assert waited(deployer.migrates()) == (0.0, 0)
