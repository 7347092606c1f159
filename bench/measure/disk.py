"""What went to a disk, by the kernel's own count."""

from __future__ import annotations

import re
from pathlib import Path


def written_bytes() -> int:
    """Return how many bytes this process and its children that were waited for, theirs included, sent towards a disk.

    Files in memory are not among them, nor pipes and sockets; what was written and removed again is.
    """
    found = re.search(r"^write_bytes: (\d+)$", Path("/proc/self/io").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError("this kernel does not count what processes write")
    return int(found[1])


def size_of(folder: Path) -> int:
    """Return the size of all files in and below *folder*."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
