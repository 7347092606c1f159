"""A client program as a child of ours: what pg_dump and pg_restore are started with, spoken to and ended by alike."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import signal
    import subprocess

PIPE_BYTES: Final = 1024 * 1024
"""The most that Linux gives to an unprivileged process unless told otherwise."""
_INHERITED: Final = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")


def tied_to_us() -> list[str]:
    """Return the words before a command that make the kernel end it when the thread that started it is gone; util-linux has them."""
    program = shutil.which("setpriv")
    return [] if program is None else [program, "--pdeathsig", "TERM", "--"]


def environment_for(*more: str) -> dict[str, str]:
    """Return what a client needs of our own environment, and the variables *more* names: no credential of ours, and messages in English."""
    return {name: os.environ[name] for name in (*_INHERITED, *more) if name in os.environ} | {"LC_ALL": "C"}


def fill(pipe: Any, buffer: memoryview) -> int:
    """Read until *buffer* is full or the pipe ends, and return how many bytes there are: clients write in small pieces."""
    filled = 0
    while filled < len(buffer) and (size_bytes := pipe.readinto(buffer[filled:])):
        filled += size_bytes
    return filled


def widen(pipe: Any) -> None:
    """Let *pipe* hold as much as one read takes; a kernel that refuses only costs more switches."""
    with suppress(OSError):
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send *number* to the whole group that *process* leads, if it still runs."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
