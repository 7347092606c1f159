"""PostgreSQL servers of every supported major, and the clients 17 and 18, on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from ground.certificate import Authority
from ground.postgres import VERSIONS, PostgresServer
from ground.process import wait_until
from ground.root import client_folder

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.postgres


def dump(server: PostgresServer, client: int) -> subprocess.CompletedProcess[str]:
    """Run pg_dump of major *client* against *server*."""
    command = [
        str(client_folder(client) / "pg_dump"),
        "-h",
        server.host,
        "-p",
        str(server.port),
        "-U",
        "postgres",
        "-t",
        "shop",
        "postgres",
    ]
    environment = {**os.environ, "PGPASSWORD": server.password}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("major", [pytest.param(major, id=f"postgres-{major}") for major in VERSIONS])
def test_every_major_starts_and_can_be_dumped(major: int) -> None:
    """The server is the one that was asked for, and each client that is not older dumps what is in it."""
    with PostgresServer(major) as server:
        server.execute("create table shop (name text)", "insert into shop values ('dairy')")
        (version,) = server.execute("show server_version_num")[0]
        dumps = {client: dump(server, client) for client in (17, 18)}

    assert int(version) // 10000 == major
    assert "dairy" in dumps[18].stdout
    assert ("dairy" in dumps[17].stdout) == (major <= 17)
    assert ("server version mismatch" in dumps[17].stderr) == (major > 17)


def test_a_crash_loses_nothing_that_was_committed() -> None:
    """After SIGKILL the same data folder comes up again with what was there."""
    with PostgresServer(17) as server:
        server.execute("create table shop (name text)", "insert into shop values ('dairy')")
        server.stop(signal.SIGKILL)
        server.start()

        assert server.execute("select name from shop") == [("dairy",)]
        assert "not properly shut down" in server.log


def test_only_the_password_opens_the_server() -> None:
    """Nobody is trusted for coming from this machine."""
    with PostgresServer(17) as server, pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        server.connect(password="wrong")


def test_tls_is_proved_by_the_own_authority(tmp_path: Path) -> None:
    """A client that trusts the authority connects with verify-full; one that trusts another does not."""
    authority, stranger = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs", name="theirs")
    with PostgresServer(17, tls=authority.issue("server", "postgres", names=["127.0.0.1"])) as server:
        with server.connect(sslmode="verify-full", sslrootcert=str(authority.path)) as connection:
            row = connection.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            server.connect(sslmode="verify-full", sslrootcert=str(stranger.path))

    assert row == (True,)


def test_nothing_is_left_behind() -> None:
    """After the end neither the folder nor any process of the server is there."""
    with PostgresServer(17) as server:
        backends = [pid for (pid,) in server.execute("select pid from pg_stat_activity")]
        assert all(os.path.exists(f"/proc/{pid}") for pid in backends[1:])  # noqa: PTH110 - a process, not a file

    assert not server.folder.exists()
    assert wait_until(lambda: not any(_is_ours(pid) for pid in backends), 10)


def _is_ours(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123 - a process, not a file
            return b"postgres" in file.read()
    except OSError:
        return False


def test_a_server_that_crashed_waits_for_its_orphans() -> None:
    """PostgreSQL refuses to start while a backend of the postmaster that was killed lives; here one is frozen for a second."""
    with PostgresServer(17) as server, server.connect() as connection:
        orphan = connection.info.backend_pid
        os.kill(orphan, signal.SIGSTOP)
        server.stop(signal.SIGKILL)
        thawing = threading.Timer(1.0, os.kill, (orphan, signal.SIGCONT))
        thawing.start()
        server.start()
        thawing.join()

        assert "is still in use" in server.log
        assert server.execute("select 1") == [(1,)]
