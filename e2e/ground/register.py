"""Which clusters there are on this machine, who started them, and which numbers their addresses take."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from ground.cache import GroundError, cache_folder, locked
from ground.process import start_time

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LAST_INDEX: Final = 200
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")


def cluster_folder(name: str) -> Path:
    """Return where the cluster *name* keeps everything but its sockets; raises GroundError for a name that cannot be one."""
    if not _NAME.fullmatch(name):
        raise GroundError(f"cluster name {name!r}: must be 1 to 20 small letters, digits and hyphens")
    return _top() / name


def claim(name: str, *, keep: bool) -> int:
    """Take the name and the first free index; raises GroundError when the name's owner lives or no index is free."""
    folder = cluster_folder(name)
    with locked(_top() / ".lock"):
        if folder.exists():
            raise GroundError(f"cluster {name!r} exists already: {folder}")
        used = {index_of(path) for path in _clusters()}
        index = next((one for one in range(1, LAST_INDEX + 1) if one not in used), None)
        if index is None:
            raise GroundError(f"there are {LAST_INDEX} clusters on this machine; no addresses are left")
        folder.mkdir()
        (folder / "owner").write_text("" if keep else f"{os.getpid()} {start_time(os.getpid())}")
        (folder / "index").write_text(str(index))
    return index


def index_of(folder: Path) -> int:
    """Return the index of the cluster in *folder*; 0 when its starter died before it had one."""
    try:
        return int((folder / "index").read_text())
    except (OSError, ValueError):
        return 0


def is_busy(name: str) -> bool:
    """Return whether another process that still lives has started the cluster *name* for itself."""
    pid, started = _owner(cluster_folder(name))
    return pid not in {0, os.getpid()} and start_time(pid) == started


def remove_abandoned(remove: Callable[[str], None]) -> None:
    """Call *remove* for every cluster whose starter is dead; those that were kept on purpose stay."""
    with locked(_top() / ".abandoned.lock"):
        for folder in _clusters():
            pid, started = _owner(folder)
            if pid and start_time(pid) != started:
                remove(folder.name)


def _owner(folder: Path) -> tuple[int, str]:
    """Return pid and start time of the starter; the pid is 0 when the cluster belongs to nobody."""
    try:
        pid, _, started = (folder / "owner").read_text().partition(" ")
    except OSError:
        return 0, ""
    return int(pid or 0), started


def _top() -> Path:
    top = cache_folder() / "clusters"
    top.mkdir(exist_ok=True)
    return top


def _clusters() -> list[Path]:
    return [path for path in _top().iterdir() if path.is_dir()]
