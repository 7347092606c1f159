"""Processes that the test ground starts: stopped by pid and start time, never by name, also after a crash of whoever started them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ground.cache import GroundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def start_time(pid: int) -> str | None:
    """Return the kernel's start time of *pid*, which with the pid names a process for ever; None when it is gone or a zombie.

    A process whose first thread has ended looks like a zombie while others of its threads go on: its end cannot be taken in yet.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, threads, started = fields[0], int(fields[17]), fields[19]
    return None if state in "ZX" and threads <= 1 else started


class Daemon:
    """One background process with a log and a pid file."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.log = folder / f"{name}.log"
        self._pid_file = folder / f"{name}.pid"

    def start(
        self, command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, user: int | None = None
    ) -> None:
        """Start *command* in a session of its own; its output goes to the log."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )
        self._pid_file.write_text(f"{process.pid} {start_time(process.pid)}")
        _CHILDREN[process.pid] = process

    @property
    def pid(self) -> int | None:
        """The process, or None when it does not run (any more)."""
        try:
            pid, _, started = self._pid_file.read_text().partition(" ")
        except OSError:
            return None
        if start_time(int(pid)) == started:
            return int(pid)
        _reap(int(pid))
        return None

    def send(self, number: signal.Signals) -> None:
        """Send a signal if the process runs."""
        if (pid := self.pid) is not None:
            os.kill(pid, number)

    def stop(self, *, first: signal.Signals = signal.SIGTERM, patience_seconds: float = 10) -> None:
        """End the process and wait until it is gone; what does not listen is killed."""
        self.send(first)
        self.send(signal.SIGCONT)  # one that was frozen would never hear the first
        if not wait_until(lambda: self.pid is None, patience_seconds):
            self.send(signal.SIGKILL)
            if not wait_until(lambda: self.pid is None, 10):
                raise GroundError(f"{self.name}: process {self.pid} cannot be killed")
        with suppress(FileNotFoundError):
            self._pid_file.unlink()

    def tail(self, lines: int = 30) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def wait_ready(self, ready: Callable[[], bool], timeout_seconds: float) -> None:
        """Wait until *ready*; raises GroundError with the end of the log when the process ends or time runs out."""
        if wait_until(lambda: ready() or self.pid is None, timeout_seconds) and self.pid is not None:
            return
        raise GroundError(f"{self.name}: is not ready after {timeout_seconds:.0f} s\n{self.tail()}")


_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


def _reap(pid: int) -> None:
    """Take the exit status of *pid*, if it is a child of ours and has ended."""
    if (child := _CHILDREN.get(pid)) is not None and child.poll() is not None:
        del _CHILDREN[pid]


def wait_until(true: Callable[[], bool], timeout_seconds: float, *, pause_seconds: float = 0.05) -> bool:
    """Return True as soon as *true* is, False when *timeout_seconds* have passed before."""
    deadline = time.monotonic() + timeout_seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_seconds)
    return True
