"""The exit codes of `dbcustody migrate`, of which Alembic has two for everything: each way to end has one of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ground.postgres import PostgresServer
from tests.fakes.typist import AGE, BEGIN, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
LATE = "20991231_235959_late"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def shell(server: PostgresServer, tmp_path: Path) -> Iterator[Shell]:
    """Return who types, with a new database."""
    server.execute("create database shop")
    yield Shell(server, tmp_path)
    server.execute("drop database shop with (force)")


def test_x20_each_way_to_end_has_a_code(server: PostgresServer, shell: Shell) -> None:
    """Pending, done, refused by the server, refused by a rule, partial, locked, edited, meant by nobody."""
    codes = {"pending": shell.type("status").returncode, "done": shell.type("deploy").returncode}
    codes["nothing to do"] = shell.type("deploy").returncode
    shell.write(LATE, "insert into nowhere values (1);\n")
    codes["failed"] = shell.type("deploy").returncode
    shell.write(LATE, "drop table people;\n")
    codes["risky"] = shell.type("deploy").returncode
    shell.write(LATE, "select 1;\n")
    with server.connect("shop") as holder:
        holder.execute("select pg_advisory_lock(1684169589, 1)")
        codes["locked"] = shell.type("deploy", "--wait", "0").returncode
    shell.write(AGE, "select 'edited';\n")
    codes["edited"] = shell.type("status").returncode
    codes["unknown option"] = shell.type("status", "--frobnicate").returncode

    assert codes == {
        "pending": 2, "done": 0, "nothing to do": 0, "failed": 1, "risky": 3, "locked": 5, "edited": 7, "unknown option": 64,
    }  # fmt: skip


def test_nothing_pending_is_found_out_by_one_session(server: PostgresServer, shell: Shell) -> None:
    """No lock is waited for, and nothing is written."""
    shell.type("deploy")
    rows = server.execute("select count(*) from dbcustody.attempt", database="shop")
    with server.connect("shop") as holder:
        holder.execute("select pg_advisory_lock(1684169589, 1)")
        told = shell.type("deploy", "--wait", "0")

    assert (told.returncode, told.stdout) == (0, "nothing is pending\n")
    assert server.execute("select count(*) from dbcustody.attempt", database="shop") == rows
    assert BEGIN in shell.type("status").stdout


def test_what_a_migration_does_not_need_is_not_loaded() -> None:
    """Object stores, what makes the ledger, and what draws logs take longer to load than a server to answer."""
    heavy = ("alembic", "sqlalchemy", "boto3", "botocore", "structlog", "rich", "kopf", "kubernetes", "aiohttp")
    program = f"import sys, dbcustody.cli.main, dbcustody.cli.migrating; print([one for one in {heavy} if one in sys.modules])"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"
