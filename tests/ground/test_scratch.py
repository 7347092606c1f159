"""Servers of a harness that was killed go when the next harness starts one; those of the living stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from ground.cache import REPOSITORY
from ground.postgres import PostgresServer
from ground.process import start_time
from ground.s3 import S3Server

_PROGRAM = """
import time
from ground.postgres import PostgresServer
from ground.s3 import S3Server
database, store = PostgresServer(17).__enter__(), S3Server().__enter__()
(backend,) = database.execute("select pid from pg_stat_activity where backend_type = 'checkpointer'")[0]
print(database.folder, store.folder, backend, *((f / n).read_text().split()[0] for f, n in
      ((database.folder, "postgres.pid"), (store.folder, "versitygw.pid"))), flush=True)
time.sleep(600)
"""


@pytest.mark.postgres
@pytest.mark.s3
def test_servers_of_a_killed_harness_go_with_the_next_start() -> None:
    """They outlive SIGKILL of their harness, and are gone, children and folders included, once another server is started."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "e2e")}
    with (
        PostgresServer(17) as ours,
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM], env=environment, stdout=subprocess.PIPE, text=True
        ) as harness,
    ):
        try:
            *folders, backend, database, store = (harness.stdout or sys.stdin).readline().split()
        finally:
            harness.send_signal(signal.SIGKILL)
        harness.wait()
        pids = [int(pid) for pid in (backend, database, store)]
        assert all(start_time(pid) for pid in pids)

        with S3Server():
            assert [start_time(pid) for pid in pids] == [None] * 3
            assert not any(os.path.exists(folder) for folder in folders)  # noqa: PTH110 - words that a process printed

        assert ours.execute("select 1") == [(1,)]
