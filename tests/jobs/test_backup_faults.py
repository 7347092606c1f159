"""What goes wrong between a dump and its server: each has its reason, nothing is committed or left behind, the next run is good."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.policy import Retention, RowCounts
from dbcustody.contract import Verb
from dbcustody.jobs import backup, prune
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from ground.proxy import Proxy
from ground.root import client_folder
from tests.adapters.postgres.test_session import CANARY, pooler, prepare
from tests.fakes.custodian import Custodian, in_volume
from tests.fakes.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres

OLD_CLIENTS = sorted(
    folder for folder in Path("/usr/lib/postgresql").glob("1[0-5]/bin") if (folder / "pg_dump").exists()
)


LONG = (
    "select count(*) from pg_stat_activity where query ilike 'copy%hold()%' and clock_timestamp() - query_start > '3 s'"
)


@pytest.fixture(scope="module")
def running() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as server:
        yield server


@pytest.fixture
def server(running: PostgresServer) -> Iterator[PostgresServer]:
    """Return the server with a small shop in it."""
    fill(running)
    yield running
    running.execute("drop database shop with (force)")


def fill(server: PostgresServer) -> None:
    """Make the shop."""
    server.execute("create database shop")
    server.execute(
        "create table a (n int primary key, v text)",
        "alter table a alter v set storage external",
        "insert into a select n, repeat(md5(n::text), 200) from generate_series(1, 1000) n",
        database="shop",
    )


@pytest.fixture
def custodian(server: PostgresServer, tmp_path: Path) -> Custodian:
    """Return who backs the shop up into a folder."""
    return Custodian(server=server, open_store=in_volume(tmp_path))


@contextmanager
def left_nothing() -> Iterator[None]:
    """Check that the block leaves no child process, no thread and no open file of ours."""
    before = (dumps(), threading.active_count(), open_files())
    yield
    assert wait_until(lambda: (dumps(), threading.active_count()) == before[:2], 20), threading.enumerate()
    assert open_files() == before[2]


def open_files() -> list[str]:
    """Return what our descriptors lead to, but pipes and sockets by kind only."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            target = str(path.readlink())
        except FileNotFoundError:
            continue
        found.append(target.partition(":[")[0])
    return sorted(found)


def dumps() -> list[int]:
    """Return the processes that are children of ours and run pg_dump."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"pg_dump" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def dump_at(port: int) -> int:
    """Return the pg_dump of ours that speaks from *port*; another one may be over before a signal reaches it, and would say nothing."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    sockets = {f"socket:[{row[9]}]" for row in rows if int(row[1].rpartition(":")[2], 16) == port}
    (found,) = [one for one in dumps() if not sockets.isdisjoint(descriptors(one))]
    return found


def descriptors(process: int) -> set[str]:
    """Return what the descriptors of *process* lead to; of one that is over, nothing."""
    found = set()
    with suppress(FileNotFoundError):
        for path in Path(f"/proc/{process}/fd").iterdir():
            found.add(str(path.readlink()))
    return found


def assert_next_is_good(custodian: Custodian, name: str = "nightly") -> None:
    """Nothing counts yet, nothing of ours stays at the server, and the same name succeeds now."""
    assert custodian.stock().backups == ()
    assert wait_until(lambda: not custodian.backends(), 20), custodian.backends()
    reason, message = custodian.outcome(name)
    assert reason is Reason.SUCCEEDED, message
    assert [one.is_good for one in custodian.stock().live] == [True]


@pytest.mark.parametrize("parallelism", [1, 3])
def test_pg_dump_that_is_killed(custodian: Custodian, server: PostgresServer, parallelism: int) -> None:
    """One pg_dump of several that is killed from outside ends all of them, and is told as an interruption."""
    with left_nothing():
        with Gate(server) as gate, custodian.running(parallelism=parallelism) as run:
            gate.wait_reached()
            os.kill(dump_at(gate.ports[0]), signal.SIGKILL)
            reason, message = run.outcome(30)
        assert reason is Reason.INTERRUPTED, message
        assert "SIGKILL" in message
        assert_next_is_good(custodian)


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "not-counted"])
def test_backend_that_is_ended(custodian: Custodian, server: PostgresServer, *, counted: bool) -> None:
    """A backend that the server ends in the middle of a COPY is a lost connection: it is tried again."""
    with left_nothing():
        with (
            Gate(server) as gate,
            custodian.running(parallelism=2, row_counts=RowCounts.EXACT if counted else RowCounts.NONE) as run,
        ):
            gate.wait_reached()
            server.execute("select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'copy%hold()%'")
            reason, message = run.outcome(30)
        assert reason is Reason.CONNECTION_LOST, message
        assert_next_is_good(custodian)


@pytest.mark.parametrize("victim", ["coordinator", "coordinator that counts", "observer"])
def test_session_of_ours_that_is_ended(custodian: Custodian, server: PostgresServer, victim: str) -> None:
    """Whichever of our own sessions is ended by the server, it is told as a lost connection, and nothing hangs."""
    query = {
        "coordinator": "state = 'idle in transaction'",
        "observer": "state = 'idle'",
        "coordinator that counts": "state = 'active' and query like 'select %count(*) from only%'",
    }[victim]
    counts = RowCounts.NONE if victim == "coordinator" else RowCounts.EXACT
    with left_nothing():
        with Gate(server) as gate, custodian.running(row_counts=counts) as run:
            gate.wait_reached()
            ours = "application_name like 'dbcustody backup%'"
            end = f"select pg_terminate_backend(pid) from pg_stat_activity where {ours} and ({query})"  # noqa: S608 - ours
            assert wait_until(lambda: bool(server.execute(end)), 10)
            gate.open()
            reason, message = run.outcome(30)
        assert reason is Reason.CONNECTION_LOST, message
        assert_next_is_good(custodian)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT, signal.SIGINT], ids=["crash", "immediate", "fast"])
def test_server_that_ends_in_the_middle(tmp_path: Path, how: signal.Signals) -> None:
    """A server that crashes or is shut down while the dump runs is a lost connection; once it is back, the same name succeeds."""
    with PostgresServer(17) as server:
        fill(server)
        custodian = Custodian(server=server, open_store=in_volume(tmp_path))
        with left_nothing():
            with Gate(server) as gate, custodian.running(parallelism=2) as run:
                gate.wait_reached()
                server.stop(how)
                reason, message = run.outcome(30)
            assert reason is Reason.CONNECTION_LOST, message
            server.start()
            assert_next_is_good(custodian)


def test_connection_that_is_cut(custodian: Custodian, server: PostgresServer) -> None:
    """A network that breaks all connections at once is a lost connection; our backends are gone soon after."""
    with left_nothing():
        with ExitStack() as stack:
            proxy = stack.enter_context(Proxy(server.host, server.port))
            remote = Custodian(server=server, open_store=custodian.open_store, port=proxy.port)
            with Gate(server) as gate, remote.running(parallelism=2) as run:
                gate.wait_reached()
                stack.close()
                reason, message = run.outcome(30)
                assert reason in {Reason.CONNECTION_LOST, Reason.HOST_UNREACHABLE}, message
                assert wait_until(lambda: not custodian.backends(), 20), custodian.backends()
        assert_next_is_good(custodian)


@pytest.mark.parametrize("damage", [b"\0", b"\xa5"], ids=["zeroed", "garbage"])
def test_data_that_the_server_cannot_read(tmp_path: Path, damage: bytes) -> None:
    """A long value whose pieces are lost on the server's disk is told as its corruption, not as a failure of ours."""
    with PostgresServer(17) as server:
        fill(server)
        corrupt(server, damage)
        custodian = Custodian(server=server, open_store=in_volume(tmp_path))
        with left_nothing():
            reason, message = custodian.outcome()
        assert reason is Reason.DATA_CORRUPTION, message
        assert custodian.stock().backups == ()


def corrupt(server: PostgresServer, damage: bytes) -> None:
    """Overwrite three pages in the middle of the file that holds the long values, while the server is down."""
    query = "select pg_relation_filepath(reltoastrelid) from pg_class where relname = 'a'"
    ((toast,),) = server.execute(query, database="shop")
    server.stop()
    path = server.data / toast
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 8192 // 2 * 8192)
        file.write(damage * 8192 * 3)
    server.start()


def test_older_backups_stay_while_the_data_cannot_be_read(tmp_path: Path) -> None:
    """Retention counts from the newest good backup, not by the clock: a year after the corruption every older one is there."""
    with PostgresServer(17) as server:
        fill(server)
        custodian = Custodian(server=server, open_store=in_volume(tmp_path))
        names = ["one", "two", "three"]
        for name in names:
            backup.run(replace(custodian.request(name), policy_name="nightly"), custodian.tools())
        corrupt(server, b"\0")
        assert custodian.outcome("four")[0] is Reason.DATA_CORRUPTION

        assert pruned_a_year_later(custodian, Retention(keep_last=1, keep_daily=0, keep_within_days=7)) == ()
        assert {one.manifest.name for one in custodian.stock().live} == set(names)
        deleted = pruned_a_year_later(custodian, Retention(keep_last=1, keep_daily=0))
        assert len(deleted) == 2  # which of two that began within one second counts as the newer is open
        assert {one.manifest.name for one in custodian.stock().live} == set(names) - set(deleted)


def pruned_a_year_later(custodian: Custodian, retention: Retention) -> tuple[str, ...]:
    """Return the names of the backups that *retention* deletes in a year."""
    retention = replace(retention, keep_weekly=0, keep_monthly=0)
    work = replace(custodian.request(), verb=Verb.PRUNE, retention=retention, policy_name="nightly")
    then = datetime.now(UTC) + timedelta(days=365)
    result = prune.run(work, replace(custodian.tools(), now=lambda: then))
    assert result.prune is not None
    return result.prune.deleted


@pytest.mark.parametrize("major", [14, 17])
def test_short_timeouts_of_role_and_database(tmp_path: Path, major: int) -> None:
    """Whatever time role and database allow for statements, transactions and idling, a dump that takes longer succeeds."""
    timeouts = ["statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout", "lock_timeout"]
    with PostgresServer(major) as server:
        fill(server)
        custodian = Custodian(server=server, open_store=in_volume(tmp_path))
        with Gate(server) as gate:
            for name in [*timeouts, *(["transaction_timeout"] if major >= 17 else [])]:
                server.execute(f"alter role postgres set {name} = 900", f"alter database shop set {name} = 900")
            with custodian.running(parallelism=2) as run:
                assert wait_until(lambda: server.execute(LONG) != [(0,)], 60)
                gate.open()
                assert run.outcome(60)[0] is Reason.SUCCEEDED, run.outcome()


def test_transaction_pooler_is_refused(tmp_path: Path) -> None:
    """Through a pooler that hands out backends by transaction no dump is tried."""
    with PostgresServer(17) as server:
        prepare(server)
        with pooler(server, tmp_path, mode="transaction") as target:
            storage = tmp_path / "storage"
            storage.mkdir()
            custodian = Custodian(
                server=server, open_store=in_volume(storage), user="app", password=CANARY, port=int(target.port)
            )
            reason, message = custodian.outcome()
    assert reason is Reason.POOLER_REFUSED, message


def test_session_pooler_is_no_obstacle(tmp_path: Path) -> None:
    """Through a pooler that keeps a backend for each session a dump succeeds."""
    with PostgresServer(17) as server:
        prepare(server)
        with pooler(server, tmp_path, mode="session") as target:
            storage = tmp_path / "storage"
            storage.mkdir()
            custodian = Custodian(
                server=server, open_store=in_volume(storage), user="app", password=CANARY, port=int(target.port)
            )
            reason, message = custodian.outcome(parallelism=2)
    assert reason is Reason.SUCCEEDED, message


def test_server_newer_than_every_client(tmp_path: Path) -> None:
    """A server of major 18 is not dumped by client 17, and the message says which clients there are."""
    with PostgresServer(18) as server:
        server.execute("create database shop")
        custodian = Custodian(server=server, open_store=in_volume(tmp_path), clients=(client_folder(17),))
        reason, message = custodian.outcome()
        assert (reason, "the clients at hand are 17" in message) == (Reason.VERSION_UNSUPPORTED, True)
        assert not custodian.backends()


@pytest.mark.skipif(not OLD_CLIENTS, reason="this machine has no PostgreSQL client older than 16")
@pytest.mark.parametrize("parallelism", [1, 3])
def test_old_client_takes_gzip(tmp_path: Path, parallelism: int) -> None:
    """With nothing but a client that knows no Zstd, Gzip is taken, and the manifest says so."""
    with PostgresServer(14) as server:
        fill(server)
        server.execute("select lo_from_bytea(1, 'x'), lo_create(2)", database="shop")
        custodian = Custodian(server=server, open_store=in_volume(tmp_path), clients=tuple(OLD_CLIENTS))
        result = custodian.take(parallelism=parallelism)
        assert result.reason is Reason.SUCCEEDED, result.message
        (good,) = custodian.stock().live
    assert good.manifest.compression == "gzip:1"
    assert good.manifest.client.version.startswith("15")
