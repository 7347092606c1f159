"""docs/troubleshooting.md against real servers: how many connections there are, which lock keeps dumps away, what a full server says."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ground.process import wait_until
from tests.fakes.till import confirmation

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from ground.postgres import PostgresServer
    from tests.cli.conftest import Person

pytestmark = [pytest.mark.postgres, pytest.mark.s3]
PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text()
STREAMS = 3


def most_sessions(server: PostgresServer, process: subprocess.Popen[str]) -> int:
    """Return how many sessions of ours there were at a time while *process* ran."""
    most = 0
    (query,) = re.findall(r"^SELECT application_name, (count.*) GROUP BY 1;$", PAGE, re.MULTILINE)
    with server.connect() as session:
        while process.poll() is None:
            row = session.execute(f"SELECT {query}".encode()).fetchone()
            most = max(most, row[0] if row else 0)
            time.sleep(0.01)
    return most


@pytest.fixture
def wide(server: PostgresServer, at_folder: Person) -> Iterator[dict[str, str]]:
    """Return the way to a database with several tables and indexes, of which each takes a while."""
    server.execute("create database wide")
    for name in ("a", "b", "c", "d"):
        rows = "select n, repeat(md5(n::text), 6) as text from generate_series(1, 120000) n"
        server.execute(f"create table {name} as {rows}", f"create index on {name} (text)", database="wide")
    yield {"DATABASE_URL": f"{server.url('wide')}?sslmode=disable"}
    server.execute("drop database if exists back with (force)", "drop database wide with (force)")
    assert all(process.poll() is not None for process in at_folder.started)


def told(work: str) -> str:
    """Return what the page says of *work* in its table of connections."""
    (found,) = re.findall(rf"^\| {re.escape(work)} \| (.+) \|$", PAGE, re.MULTILINE)
    return str(found)


def test_no_more_connections_than_the_page_says(
    wide: dict[str, str], at_folder: Person, server: PostgresServer
) -> None:
    """A backup of one stream and of several, and a restore."""
    one = at_folder.start("backup", "--name", "one", **wide)
    assert most_sessions(server, one) == int(told("backup with `parallelism: 1`"))
    several = at_folder.start("backup", "--name", "several", BACKUP_PARALLELISM=str(STREAMS), **wide)
    most = int(told("backup with `parallelism: N` from 2").removeprefix("N + "))
    assert STREAMS < most_sessions(server, several) <= STREAMS + most
    back = at_folder.start("restore", "several", "--database", "back", "--jobs", str(STREAMS), **wide)
    most = int(told("restore with `parallelism: N`").removeprefix("N + "))
    assert 1 < most_sessions(server, back) <= STREAMS + most
    assert [at_folder.wait(process).code for process in (one, several, back)] == [0, 0, 0]


def test_no_more_connections_for_a_swap_than_the_page_says(
    cashier: Person, server: PostgresServer, confirm: str
) -> None:
    """An undo, which restores nothing and is the swap alone."""
    done = cashier.run("restore", "good", "--replace", "--confirm", confirm, "--no-safety-backup")
    assert done.code == 0, done.err
    undo = cashier.start("restore", "--undo", "--last", "--confirm", confirmation(server))
    assert 1 <= most_sessions(server, undo) <= int(told("the swap of `mode: Replace`, or its undo"))
    assert cashier.wait(undo).code == 0


def test_the_lock_of_the_page_keeps_dumps_away(at_folder: Person, server: PostgresServer) -> None:
    """A session that holds it is named; when it lets go, the dump that waited goes on."""
    (lock,) = re.findall(r"^SELECT pg_advisory_lock\(.*\);$", PAGE, re.MULTILINE)
    with server.connect("shop", application_name="migration") as migration:
        migration.execute(lock.encode())
        refused = at_folder.run("backup", BACKUP_WAIT_SECONDS="1")
        assert refused.code == 5
        assert "Skipped: database lock: held by migration" in refused.err
        waiting = at_folder.start("backup", BACKUP_WAIT_SECONDS="60")
        time.sleep(1)
        assert waiting.poll() is None
    assert at_folder.wait(waiting).code == 0


def test_a_role_without_connections_left(at_folder: Person, server: PostgresServer) -> None:
    """The server's own words, behind the reason that the page names."""
    server.execute("create role short login superuser password 'short-of-them' connection limit 0")
    server.execute("alter role short nosuperuser", "grant pg_read_all_data to short")
    url = f"{server.url('shop', user='short', password='short-of-them')}?sslmode=disable"
    try:
        done = at_folder.run("backup", DATABASE_URL=url)
    finally:
        assert wait_until(lambda: server.execute("drop role short") == [], 10)
    assert done.code == 1
    assert "ConnectionLost: " in done.err
    assert "too many connections" in done.err
