"""Folders of servers that live as long as a test: what a killed harness left, servers included, goes when the next one starts."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Final

from ground.process import Daemon, start_time

_PREFIX: Final = "dbcustody-ground-"


def scratch_folder(kind: str) -> Path:
    """Return a new folder of this process, after removing those whose processes are dead together with the servers in them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if _is_abandoned(folder):
            _remove(folder)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}-"))
    (folder / "owner").write_text(f"{os.getpid()} {start_time(os.getpid())}")
    return folder


def _is_abandoned(folder: Path) -> bool:
    try:
        pid, _, started = (folder / "owner").read_text().partition(" ")
    except OSError:
        return False  # being made at this moment, or another user's
    return pid.isdigit() and start_time(int(pid)) != started


def _remove(folder: Path) -> None:
    for pid_file in folder.glob("*.pid"):
        Daemon(folder, pid_file.stem).stop(
            first=signal.SIGQUIT
        )  # PostgreSQL takes its backends with it, where SIGKILL leaves them
    shutil.rmtree(folder, ignore_errors=True)
