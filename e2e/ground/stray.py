"""What containerd, its shims and the kubelet put outside of the folders they are given: found by container, mount and link, and removed."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

_NETWORK_RESULTS: Final = Path("/var/lib/cni/results")
_LOG_LINKS: Final = Path("/var/log/containers")


def remove_strays(folder: Path, run_folder: Path) -> None:
    """Remove shim sockets, network results, log links and mounts of the cluster in these folders; its processes have ended."""
    for task in run_folder.glob("containerd/io.containerd.runtime.v2.task/*/*"):
        with suppress(OSError):
            Path((task / "address").read_text().removeprefix("unix://")).unlink()
        for result in _NETWORK_RESULTS.glob(f"*-{task.name}-*"):
            result.unlink(missing_ok=True)
    for link in _LOG_LINKS.glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(folder):
            link.unlink()
    for mount in mounts_below(folder, run_folder):
        subprocess.run(["umount", "-l", mount], capture_output=True, check=False)


def mounts_below(*folders: Path) -> list[Path]:
    """Return the mount points below *folders*, the deepest first."""
    lines = Path("/proc/mounts").read_text().splitlines()
    points = [Path(line.split()[1].encode().decode("unicode_escape")) for line in lines]
    mine = [point for point in points if any(point.is_relative_to(folder) for folder in folders)]
    return sorted(mine, key=lambda point: len(point.parts), reverse=True)
