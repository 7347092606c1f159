"""What servers and networks do to a migration: restarted, failed over, cut off, full, behind a pooler; ledger and catalogue agree."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.ledger import read_attempts
from dbcustody.errors import DbcustodyError
from dbcustody.migration.ledger import State, repeated
from dbcustody.reason import Reason
from ground.pooler import Pooler
from ground.postgres import PostgresServer
from ground.process import wait_until
from ground.proxy import Proxy
from ground.standby import Standby
from tests.fakes.migrator import Migrator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
BEGIN, NEXT = "20261101_120000_begin", "20261102_120000_next"
FILES = {
    f"{BEGIN}.sql": "create table people (id int); insert into people values (1);",
    f"{NEXT}.sql": "insert into people values (2); select pg_sleep(2); insert into people values (3);",
}
ASLEEP = "select pid from pg_stat_activity where application_name like 'dbcustody migrate%' and query like '%pg_sleep%'"


@contextmanager
def served(**settings: str) -> Iterator[tuple[PostgresServer, Migrator]]:
    """Lend a server of its own, and who migrates a database on it."""
    with PostgresServer(17, settings=settings) as server:
        server.execute("create database shop")
        yield server, Migrator.of(server, FILES)


def disturbed(server: PostgresServer, migrator: Migrator, disturb: Callable[[], object]) -> DbcustodyError:
    """Migrate, disturb it in the middle of its second file, and return how it ended."""
    failures: list[DbcustodyError] = []

    def work() -> None:
        try:
            migrator.migrate()
        except DbcustodyError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert wait_until(lambda: bool(server.execute(ASLEEP)), 60)
    disturb()
    thread.join()
    return failures[0]


def is_done_once(migrator: Migrator) -> bool:
    """Return whether everything is in, and nothing twice."""
    with connect(migrator.target) as session:
        attempts = read_attempts(session)
        rows = session.execute("select id from public.people order by id").fetchall()
    return (rows, repeated(attempts), attempts[-1].state) == ([(1,), (2,), (3,)], (), State.APPLIED)


def test_a_server_that_is_restarted_in_the_middle() -> None:
    """What it was at is undone, and the next run finds that out."""
    with served() as (server, migrator):
        error = disturbed(server, migrator, server.stop)
        server.start()

        assert error.reason is Reason.CONNECTION_LOST
        assert (migrator.migrate().pending, is_done_once(migrator)) == ((), True)


def test_a_server_that_crashes_in_the_middle() -> None:
    """Also when it could not say good-bye, and with intents that nobody waited for to reach the disk."""
    with served(fsync="on") as (server, migrator):
        error = disturbed(server, migrator, lambda: server.stop(signal.SIGKILL))
        server.start()

        assert error.reason is Reason.CONNECTION_LOST
        assert (migrator.migrate().pending, is_done_once(migrator)) == ((), True)


def test_a_connection_that_is_cut_in_the_middle() -> None:
    """Of the network; the server undoes it, and whoever comes next waits until it has."""
    with served() as (server, migrator), Proxy(server.host, server.port) as proxy:
        direct = migrator.target
        migrator.target = replace(direct, host="127.0.0.1", port=str(proxy.port))
        error = disturbed(server, migrator, proxy.cut)
        migrator.target = direct

        assert error.reason is Reason.CONNECTION_LOST
        assert (migrator.migrate().pending, is_done_once(migrator)) == ((), True)


def test_a_standby_takes_over_in_the_middle() -> None:
    """Before it is promoted it refuses; afterwards it has what the primary had, and the rest is run there."""
    with (
        served(wal_level="replica", max_wal_senders="4", hot_standby="on") as (server, migrator),
        Standby(server) as standby,
    ):
        error = disturbed(server, migrator, lambda: (standby.follow(), server.stop()))
        migrator.target = replace(migrator.target, port=str(standby.port))
        with pytest.raises(DbcustodyError) as refused:
            migrator.migrate()
        standby.execute("select pg_promote()")

        assert (error.reason, refused.value.reason) == (Reason.CONNECTION_LOST, Reason.NOT_WRITABLE)
        assert (migrator.migrate().pending, is_done_once(migrator)) == ((), True)


def test_a_pooler_in_between() -> None:
    """One that hands out sessions of others is refused before anything is set or run; one that keeps them is no obstacle."""
    with served() as (server, migrator):
        direct = migrator.target
        with Pooler(server) as pooler:
            migrator.target = replace(direct, port=str(pooler.port))
            with pytest.raises(DbcustodyError) as refused:
                migrator.migrate()
        assert refused.value.reason is Reason.POOLER_REFUSED
        assert server.execute("select to_regclass('public.people')", database="shop") == [(None,)]
        with Pooler(server, mode="session") as pooler:
            migrator.target = replace(direct, port=str(pooler.port))
            assert (migrator.migrate().pending, is_done_once(migrator)) == ((), True)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Return a folder with room for 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["/usr/bin/mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["/usr/bin/umount", "-l", folder], check=True)


def test_a_disk_that_is_full(small: Path) -> None:
    """Nothing of the file is in, it is told by the server's word, and with more room the same file goes through."""
    with served() as (server, migrator):
        space = small / "space"
        space.mkdir()
        for path in (small, space):
            shutil.chown(path, server.data.stat().st_uid, server.data.stat().st_gid)
        for parent in small.parents[:4]:
            parent.chmod(0o755)
        server.execute(f"create tablespace small location '{space}'")
        migrator.files[f"{NEXT}.sql"] = (
            "create table wide (t text) tablespace small; insert into wide select repeat('x', 1000) from generate_series(1, 20000);"
        )
        with pytest.raises(DbcustodyError) as refused:
            migrator.migrate()
        with connect(migrator.target) as session:
            states = [one.state for one in read_attempts(session)]
        assert (refused.value.reason, "53100" in refused.value.message, states) == (
            Reason.MIGRATION_FAILED, True, [State.APPLIED, State.FAILED],
        )  # fmt: skip
        assert server.execute("select to_regclass('public.wide')", database="shop") == [(None,)]
        subprocess.run(["/usr/bin/mount", "-o", "remount,size=128m", small], check=True)
        assert migrator.migrate(run=uuid4()).pending == ()
