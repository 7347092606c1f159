"""Killing what runs in the cluster, as a kernel would: the processes of one container, at once and without a word."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ground.process import wait_until

if TYPE_CHECKING:
    from scene.api import Json

_CGROUPS: Final = Path("/sys/fs/cgroup")


def processes(pod: Json) -> list[int]:
    """Return the processes of *pod*'s one container; empty when it does not run."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    identity = statuses[0].get("containerID", "").removeprefix("containerd://") if statuses else ""
    if not identity:
        return []
    return sorted({pid for top in _hierarchies() for folder in _groups(top, pod, identity) for pid in _pids(folder)})


def kill(pod: Json) -> int:
    """SIGKILL every process of *pod*'s container and wait until their connections are closed; returns how many there were."""
    found = processes(pod)
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in found), 10, pause_seconds=0.01)
    return len(found)


def _hierarchies() -> list[Path]:
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return [path for path in (_CGROUPS / "memory", _CGROUPS / "pids") if path.exists()]


def _groups(top: Path, pod: Json, identity: str) -> list[Path]:
    """Return them without looking into those of other pods, which come and go meanwhile; a Guaranteed pod has no class of its own."""
    uid = pod["metadata"]["uid"]
    places = (f"*/kubepods/{quality}pod{uid}/{identity}" for quality in ("", "besteffort/", "burstable/"))
    return [path for place in places for path in top.glob(place) if path.is_dir()]


def _pids(folder: Path) -> list[int]:
    with suppress(OSError):
        return [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]
    return []
