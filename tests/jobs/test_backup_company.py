"""A dump in company: of a standby that has to follow its primary, beside prepared transactions, and while others keep writing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

import pytest

from dbcustody.guidance import GUIDANCE
from dbcustody.reason import ExitCode, Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from ground.standby import Standby
from tests.fakes.custodian import Custodian, in_volume
from tests.fakes.gate import Gate
from tests.fakes.homecoming import restore_by_guide

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

pytestmark = pytest.mark.postgres

ACCOUNTS, HOLDINGS = 1000, 100
"""Of each account at first: whoever moves holdings leaves their sum as it was, at every moment that somebody can see."""


@pytest.fixture(scope="module")
def running() -> Iterator[PostgresServer]:
    """Return a server that takes prepared transactions and can be followed."""
    with PostgresServer(17, settings={"max_prepared_transactions": "5"}) as server:
        yield server


@pytest.fixture
def server(running: PostgresServer) -> Iterator[PostgresServer]:
    """Return the server with a bank in it."""
    running.execute("create database shop")
    running.execute(
        "create table account (id int primary key, holdings int not null)",
        "create table other (id int primary key, holdings int not null)",
        "insert into account select n, 100 from generate_series(1, 1000) n",
        "insert into other select n, 100 from generate_series(1, 1000) n",
        database="shop",
    )
    yield running
    running.execute("drop database shop with (force)")


@pytest.mark.parametrize("parallelism", [1, 2])
@pytest.mark.parametrize(
    "statements",
    [
        pytest.param(("delete from account where id > 10", "vacuum account"), id="rows-that-we-still-see"),
        pytest.param(("alter table other add more int",), id="a-table-that-we-have-locked"),
        pytest.param(("vacuum full account",), id="a-table-that-is-written-anew"),
    ],
)
def test_standby_that_has_to_go_on(
    server: PostgresServer, tmp_path: Path, statements: tuple[str, ...], parallelism: int
) -> None:
    """What the primary did must be replayed, and the standby ends who stands in the way: that is told, and may be tried again."""
    with Gate(server):
        pass
    with Standby(server, max_standby_streaming_delay="0", hot_standby_feedback="off") as standby:
        custodian = Custodian(server=standby, open_store=in_volume(tmp_path))
        with Gate(standby) as gate, custodian.running(parallelism=parallelism) as run:
            gate.wait_reached()
            for statement in statements:
                server.execute(statement, database="shop")
            reason, message = run.outcome(60)

        assert reason is Reason.RECOVERY_CONFLICT, message
        assert GUIDANCE[reason].exit_code is ExitCode.UNAVAILABLE
        assert custodian.stock().backups == ()
        assert wait_until(lambda: not custodian.backends(), 20), custodian.backends()
        standby.follow()
        reason, message = custodian.outcome()
        assert reason is Reason.SUCCEEDED, message


def test_prepared_transaction_that_holds_a_table(server: PostgresServer, tmp_path: Path) -> None:
    """Nobody is connected any more who could be asked to let go: the run ends in time, and tells that locks were not had."""
    custodian = Custodian(server=server, open_store=in_volume(tmp_path))
    with server.connect("shop") as client:
        client.execute("begin")
        client.execute("lock table other in access exclusive mode")
        client.execute("prepare transaction 'forgotten'")
    try:
        reason, message = custodian.outcome(lock_wait_seconds=1)
    finally:
        server.execute("rollback prepared 'forgotten'", database="shop")

    assert reason is Reason.LOCK_NOT_OBTAINED, message
    assert "but public.other is held by the prepared transaction 'forgotten'; commit it or roll it back" in message
    assert custodian.outcome()[0] is Reason.SUCCEEDED


def test_prepared_transaction_is_not_in_the_backup(server: PostgresServer, tmp_path: Path) -> None:
    """What was prepared and not committed is nobody's yet: it is not dumped, and does not hold the dump up."""
    custodian = Custodian(server=server, open_store=in_volume(tmp_path))
    with server.connect("shop") as client:
        client.execute("begin")
        client.execute("insert into account values (0, 1)")
        client.execute("prepare transaction 'waiting'")
    result = custodian.take()
    server.execute("commit prepared 'waiting'", database="shop")

    assert result.reason is Reason.SUCCEEDED, result.message
    assert result.backup is not None
    assert result.backup.tables is not None
    assert result.backup.tables.rows == 2 * ACCOUNTS


class Traffic:
    """Clients that move holdings between accounts and tables while the block runs, one that reads for long, and one that vacuums."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._over = threading.Event()
        self.moved = 0

    def __enter__(self) -> Self:
        works = [self._move, self._move, self._read, self._vacuum]
        self._threads = [threading.Thread(target=work) for work in works]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _move(self) -> None:
        """One more here, one less there, in one transaction, as often as it goes."""
        with self._server.connect("shop") as client:
            while not self._over.is_set():
                giver, taker = 1 + self.moved % ACCOUNTS, 1 + (self.moved * 7) % ACCOUNTS
                with client.transaction():
                    client.execute("update account set holdings = holdings - 1 where id = %s", (giver,))
                    client.execute("update other set holdings = holdings + 1 where id = %s", (taker,))
                self.moved += 1

    def _read(self) -> None:
        with self._server.connect("shop") as client, client.transaction():
            client.execute("set transaction isolation level repeatable read")
            while not self._over.wait(0.05):
                client.execute("select sum(holdings) from account")

    def _vacuum(self) -> None:
        with self._server.connect("shop") as client:
            while not self._over.wait(0.2):
                client.execute("vacuum account, other")


@pytest.mark.parametrize("parallelism", [1, 3])
def test_one_moment_is_dumped_whatever_goes_on(server: PostgresServer, tmp_path: Path, parallelism: int) -> None:
    """Every stream sees the same moment: what was moved from one table to the other while they were dumped is in exactly one of them."""
    storage = tmp_path / "backups"
    storage.mkdir()
    server.execute(
        "create table bulk as select n, md5(n::text) || md5((-n)::text) as text from generate_series(1, 600000) n",
        database="shop",
    )
    custodian = Custodian(server=server, open_store=in_volume(storage), keys=None)
    with Traffic(server) as traffic:
        assert wait_until(lambda: traffic.moved > 100, 30)
        before = traffic.moved
        reason, message = custodian.outcome(parallelism=parallelism)
        during = traffic.moved - before
    assert reason is Reason.SUCCEEDED, message
    assert during > 100
    (manifest,) = storage.glob("*/backups/*/manifest.json")
    restore_by_guide(manifest.parent, server, "home", folder=tmp_path / "home", key=None)
    found = server.execute(
        "select (select sum(holdings) from account), (select sum(holdings) from other)", database="home"
    )
    server.execute("drop database home with (force)")

    assert sum(found[0]) == 2 * ACCOUNTS * HOLDINGS
    assert found[0][1] > ACCOUNTS * HOLDINGS
