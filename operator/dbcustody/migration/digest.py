"""A source by its bytes: what the operator saw and what a Job was given are the same when these are."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def file_digest(content: bytes) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def source_digest(files: Iterable[tuple[str, str]]) -> str:
    """Return the SHA-256 of all *files*, each by its name and `file_digest`, in whatever order; a name that comes twice counts twice."""
    lines = sorted(f"{digest}  {name}\n" for name, digest in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def is_migration(name: str) -> bool:
    """Return whether the file *name* is to be a migration: hidden ones and texts for people (`.md`) are not."""
    return not name.startswith(".") and not name.endswith(".md")
