"""The cgroups of one cluster: everything in them is the cluster's, so they are also how its last processes are found and ended."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ground.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOP: Final = Path("/sys/fs/cgroup")
_NEEDED: Final = ("cpu", "cpuset", "memory", "pids")


def make(name: str) -> None:
    """Make the group *name* in every hierarchy of this machine, version 1 or 2, ready for a kubelet."""
    if _is_version_2():
        for controller in _NEEDED:
            with suppress(OSError):  # a controller that this machine lacks is the kubelet's to complain about
                (_TOP / "cgroup.subtree_control").write_text(f"+{controller}")
    for hierarchy in _hierarchies():
        (hierarchy / name).mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / setting).exists():  # version 1 leaves them empty, and then no process may enter
                (hierarchy / name / setting).write_text((hierarchy / setting).read_text())


def remove(name: str) -> None:
    """End every process below the group *name* and remove it; nothing happens when it is not there."""
    wait_until(lambda: not _killed(name), 10)
    wait_until(lambda: all(_removed(group) for group in _groups(name)), 10)


def _killed(name: str) -> bool:
    """Return whether there was something to kill."""
    found = False
    for group in _groups(name):
        with suppress(OSError):
            for pid in (group / "cgroup.procs").read_text().split():
                found = True
                os.kill(int(pid), signal.SIGKILL)
    return found


def _groups(name: str) -> Iterator[Path]:
    """Yield the groups below *name* in every hierarchy, the deepest first."""
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / name, topdown=False):
            yield Path(folder)


def _removed(group: Path) -> bool:
    with suppress(OSError):
        group.rmdir()
    return not group.exists()


def _hierarchies() -> list[Path]:
    if _is_version_2():
        return [_TOP]
    return [path for path in _TOP.iterdir() if (path / "cgroup.procs").exists() and not path.is_symlink()]


def _is_version_2() -> bool:
    return (_TOP / "cgroup.controllers").exists()
