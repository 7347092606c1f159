"""Two runs of one owner never go on at once: what is left of the one whose process is known to be over is ended by the next."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from dbcustody.errors import UnavailableError
from dbcustody.migration.ledger import State
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.migrator import SLOW, Migrator, states

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.postgres


def test_one_that_stands_still_is_ended_by_the_next_run_of_its_owner(tmp_path: Path) -> None:
    """A process that was stopped answers the server for ever, and keeps the lock: who knows that its Job is over does not wait for it."""
    with PostgresServer(17) as server:
        server.execute("create database shop")
        server.execute(SLOW, database="shop")
        end_one_that_stands_still(server, tmp_path)


def end_one_that_stands_still(server: PostgresServer, tmp_path: Path) -> None:
    """Stop a runner in the middle, and migrate for somebody else, and for its owner."""
    migrator = Migrator.of(server, {"20261101_120000_begin.sql": "create table people as select 1 as id, 1 as age;"})
    migrator.migrate()
    migrator.files["20261103_120000_long.sql"] = "update people set age = slow(age) + 1;"
    runners = "select query from pg_stat_activity where application_name like 'dbcustody migrate% 5f0c1a2b'"
    with server.connect("shop") as holder:
        holder.execute("select pg_advisory_lock(8)")
        with migrator.start(tmp_path / "files", run=uuid4(), owner="5f0c1a2b") as process:
            assert wait_until(lambda: "update" in str(server.execute(runners, database="shop")), 60)
            process.send_signal(signal.SIGSTOP)
            holder.execute("select pg_advisory_unlock(8)")
            try:
                with pytest.raises(UnavailableError) as busy:
                    migrator.migrate(owner="00000000", lock_wait_seconds=1)
                history = migrator.migrate(owner="5f0c1a2b", lock_wait_seconds=1)
            finally:
                process.send_signal(signal.SIGCONT)
                process.communicate()

    assert (busy.value.reason, process.returncode != 0) == (Reason.DATABASE_BUSY, True)
    assert (history.pending, history.differences, len(history.applied)) == ((), (), 2)
    assert server.execute("select min(age), max(age - id) from public.people", database="shop") == [(2, 1)]
    assert [state for _, state in states(migrator)] == [State.APPLIED, State.FAILED, State.APPLIED]
    assert "ended what an earlier run had left at work: sessions: 1" in migrator.said
