"""Background processes are known by pid and start time: a stranger with the same pid is never touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ground import process
from ground.cache import GroundError
from ground.process import Daemon, start_time, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stranger() -> Iterator[int]:
    """Yield a process that is not ours."""
    sleeper = subprocess.Popen(["/bin/sleep", "60"])
    yield sleeper.pid
    sleeper.kill()
    sleeper.wait()


def test_a_stranger_with_our_pid_is_left_alone(tmp_path: Path, stranger: int) -> None:
    """A pid that was given to another process since is not the daemon, and stopping does not reach it."""
    (tmp_path / "server.pid").write_text(f"{stranger} {int(start_time(stranger) or 0) - 1}")
    daemon = Daemon(tmp_path, "server")

    assert daemon.pid is None
    daemon.stop(first=signal.SIGKILL)

    assert start_time(stranger) is not None


def test_a_daemon_is_found_by_another_harness(tmp_path: Path) -> None:
    """Whoever opens the same folder later sees the same process and can stop it."""
    Daemon(tmp_path, "server").start(["sleep", "60"])
    other = Daemon(tmp_path, "server")
    pid = other.pid
    assert pid is not None

    other.stop()

    assert start_time(pid) is None
    assert not (tmp_path / "server.pid").exists()


def test_a_frozen_process_hears_that_it_is_to_end(tmp_path: Path) -> None:
    """SIGTERM reaches a stopped process: it ends in good order and is not killed."""
    daemon = Daemon(tmp_path, "server")
    daemon.start(["sh", "-c", "trap 'echo in good order; exit 0' TERM; echo up; while :; do sleep 0.05; done"])
    daemon.wait_ready(lambda: "up" in daemon.tail(), 10)
    daemon.send(signal.SIGSTOP)

    daemon.stop()

    assert "in good order" in daemon.tail()


def test_a_deaf_process_is_killed(tmp_path: Path) -> None:
    """What ignores SIGTERM is gone after the patience."""
    daemon = Daemon(tmp_path, "server")
    daemon.start(["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"])
    daemon.wait_ready(lambda: "up" in daemon.tail(), 10)
    pid = daemon.pid
    assert pid is not None

    daemon.stop(patience_seconds=0.2)

    assert start_time(pid) is None


def test_a_process_that_dies_at_once_is_told_with_its_words(tmp_path: Path) -> None:
    """Waiting ends with the process, and the error carries its log."""
    daemon = Daemon(tmp_path, "server")
    daemon.start(["sh", "-c", "echo port is taken; exit 1"])

    with pytest.raises(GroundError, match=r"server: is not ready(.|\n)*port is taken"):
        daemon.wait_ready(lambda: False, 30)


def test_a_dead_child_has_no_start_time() -> None:
    """A zombie counts as gone."""
    child = subprocess.Popen(["/bin/true"])
    assert wait_until(lambda: os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT) is not None, 10)

    assert start_time(child.pid) is None

    child.wait()


FIRST_THREAD_ENDS = """
import ctypes, sys, threading, time
threading.Thread(target=time.sleep, args=(float(sys.argv[1]),)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_process_lives_as_long_as_any_of_its_threads(tmp_path: Path) -> None:
    """Its first thread may end before the others: only the end of the last one is an end that can be taken in."""
    daemon = Daemon(tmp_path, "threads")
    daemon.start([sys.executable, "-c", FIRST_THREAD_ENDS, "1"])
    pid = daemon.pid
    assert pid is not None
    child, stat = process._CHILDREN[pid], Path(f"/proc/{pid}/stat")
    assert wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z", 5)
    assert daemon.pid == pid
    assert wait_until(lambda: daemon.pid is None, 10)

    assert child.returncode is not None


def test_the_end_of_a_daemon_is_taken_in(tmp_path: Path) -> None:
    """Nothing is left for the interpreter to complain about at its end, also when the process was a zombie when it was looked at."""
    daemon = Daemon(tmp_path, "brief")
    daemon.start(["/bin/sleep", "0.2"])
    child = process._CHILDREN[daemon.pid or 0]
    assert wait_until(lambda: daemon.pid is None, 5)

    assert child.returncode == 0
