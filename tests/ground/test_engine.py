"""The Docker engine of a killed harness is stopped by the next one that needs an engine, and an engine leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ground.cache import REPOSITORY, cache_folder
from ground.engine import engine
from ground.process import Daemon
from ground.stray import mounts_below

pytestmark = pytest.mark.cluster

_PROGRAM = (
    "import time\nfrom ground.engine import engine\nwith engine():\n    print('up', flush=True)\n    time.sleep(600)\n"
)


def test_an_engine_whose_harness_was_killed_gives_way() -> None:
    """The next engine is a new one, answers, and takes processes, sockets and mounts of both with it."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "e2e")}
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], env=environment, stdout=subprocess.PIPE, text=True
    ) as harness:
        try:
            assert (harness.stdout or sys.stdin).readline() == "up\n"
        finally:
            harness.send_signal(signal.SIGKILL)
    daemon = Daemon(cache_folder() / "docker", "dockerd")
    left = daemon.pid

    with engine() as ours:
        fresh = daemon.pid
        root = ours.docker("info", "--format", "{{.DockerRootDir}}").strip()

    assert left is not None
    assert fresh not in {None, left}
    assert root == str(cache_folder() / "docker" / "data")
    assert daemon.pid is None
    assert not Path("/run/dbcustody-docker").exists()
    assert mounts_below(cache_folder() / "docker") == []
