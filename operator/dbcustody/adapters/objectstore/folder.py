"""Folders held by descriptor: a path is walked name by name and no symbolic link is followed.

Whoever else can write to the volume could plant a link that leads out of it, to the keys that are mounted beside it for instance.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from dbcustody.errors import DbcustodyError, RefusedError, UnavailableError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_WALK: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_IN_THE_WAY: Final = frozenset({errno.ELOOP, errno.ENOTDIR})
ABSENT: Final = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


@contextmanager
def opened_folder(root: Path, parts: Sequence[str], *, create: bool = False) -> Iterator[int]:
    """Hold the folder *parts* below *root* open, made (and flushed) where it is missing if *create* says so.

    *root* itself may be reached by links: the administrator set it. Raises FileNotFoundError or NotADirectoryError.
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            inner = _step(descriptor, part, create=create)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _step(folder: int, name: str, *, create: bool) -> int:
    try:
        return os.open(name, _WALK, dir_fd=folder)
    except FileNotFoundError:
        if not create:
            raise
    try:
        os.mkdir(name, dir_fd=folder)
        os.fsync(folder)
    except FileExistsError:
        pass  # somebody else made it in this moment, which is what we want
    return os.open(name, _WALK, dir_fd=folder)


def open_file(folder: int, name: str) -> int:
    """Return a descriptor to read the plain file *name*; raises IsADirectoryError or FileNotFoundError when there is none.

    Never waits: something that is no plain file, a pipe for instance, counts as none.
    """
    descriptor = os.open(name, _READ, dir_fd=folder)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Run a block of system calls for *what*; whatever the system says becomes one of our errors."""
    try:
        yield
    except OSError as error:
        raise _from_system(error, what) from error


def _from_system(error: OSError, what: str) -> DbcustodyError:
    text = os.strerror(error.errno) if error.errno else type(error).__name__
    if error.errno in _FULL:
        return UnavailableError(f"{what}: {text}; free space or enlarge the volume", reason=Reason.STORAGE_FULL)
    if error.errno in _DENIED:
        return RefusedError(
            f"{what}: {text}; the volume must be readable and writable for uid {os.getuid()}",
            reason=Reason.STORAGE_DENIED,
        )
    if error.errno in _IN_THE_WAY:
        return RefusedError(
            f"{what}: a file or a symbolic link stands where a folder should; links are not followed, remove it",
            reason=Reason.STORAGE_DENIED,
        )
    return UnavailableError(f"{what}: {text}", reason=Reason.STORAGE_UNREACHABLE)
