"""Where everything that is downloaded or built is kept, and how each thing gets there exactly once.

The folder is `/var/cache/dbcustody` for root, because PostgreSQL refuses to run as root and its unprivileged user must be able to read
the programs; `~/.cache/dbcustody` for anybody else; DBCUSTODY_CACHE overrides both.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

REPOSITORY = Path(__file__).resolve().parents[2]


class GroundError(Exception):
    """The machine cannot give what the test ground needs; the message says what is missing."""


def cache_folder() -> Path:
    """Return the cache's folder, which exists."""
    default = Path("/var/cache/dbcustody") if os.geteuid() == 0 else Path.home() / ".cache" / "dbcustody"
    folder = Path(os.environ.get("DBCUSTODY_CACHE", default))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def say(text: str) -> None:
    """Tell the person in front of the screen what is going on."""
    print(f"[ground] {text}", file=sys.stderr, flush=True)


def cached(name: str, make: Callable[[Path], None], *, doing: str) -> Path:
    """Return the cached file or folder *name*, made by *make* (given a path to write to) if it is not there yet.

    It appears whole or not at all, and is made once even when two processes want it.
    """
    wanted = cache_folder() / name
    if wanted.exists():
        return wanted
    wanted.parent.mkdir(parents=True, exist_ok=True)
    with locked(wanted.with_name(f"{wanted.name}.lock")):
        if not wanted.exists():
            started = time.monotonic()
            say(doing)
            draft = wanted.with_name(f"{wanted.name}.draft")
            _remove(draft)
            try:
                make(draft)
                draft.rename(wanted)
            finally:
                _remove(draft)
            say(f"{doing}: done in {time.monotonic() - started:.0f} s")
    return wanted


def run(command: Sequence[str | Path], *, cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    """Run *command* and return its standard output; raises GroundError with the end of its output when it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise GroundError(
            f"{' '.join(map(str, command))[:300]}: exit status {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}"
        )
    return done.stdout


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file *path*; whoever else wants it waits, and a dead holder lets go."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
