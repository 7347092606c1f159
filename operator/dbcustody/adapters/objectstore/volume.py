"""A folder of a mounted volume as an object store."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.objectstore.folder import ABSENT, open_file, opened_folder, translated
from dbcustody.adapters.objectstore.interface import (
    READ_CHUNK_BYTES,
    SMALL_OBJECT_BYTES,
    Deletion,
    DeletionState,
    Features,
    ObjectEntry,
    Repeats,
    Unfinished,
    check_key,
)
from dbcustody.adapters.objectstore.volumewriter import HIDDEN, VolumeWriter
from dbcustody.errors import ConflictError, DamagedError, DbcustodyError, InvalidSpecError, UnavailableError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FILE_SYSTEM_FOLDER: Final = "lost+found"
"""Belongs to the file system: a fresh ext4 volume has one that only root may read."""


class VolumeStore:
    """An ObjectStore in a folder."""

    def __init__(self, root: Path, path: str = "") -> None:
        self._inside = [part for part in path.split("/") if part]
        if self._inside:
            try:
                check_key("/".join(self._inside))
            except InvalidSpecError as error:
                raise InvalidSpecError(f"volume path {path!r}: must stay inside the volume") from error
        if not root.is_dir():
            raise UnavailableError(f"volume {root}: is not mounted", reason=Reason.STORAGE_UNREACHABLE)
        self._root = root

    def close(self) -> None:
        """Nothing is held open."""

    @property
    def location(self) -> str:
        """Where it is, for people."""
        return f"volume:{self._root.joinpath(*self._inside)}"

    @property
    def repeats(self) -> Repeats:
        """What had to be asked for again: a file system is asked once."""
        return Repeats()

    @property
    def free_bytes(self) -> int:
        """How much the file system can still take from us."""
        with translated(self.location):
            found = os.statvfs(self._root)
        return found.f_bavail * found.f_frsize

    def put_once(self, key: str, data: bytes) -> bool:
        """Create *key* with *data*; see ObjectStore."""
        writer = self.open_writer(key)
        try:
            writer.write(data)
            writer.commit()
        except ConflictError:
            if self.read(key) == data:
                return False
            raise
        except DbcustodyError:
            writer.abort()
            raise
        return True

    def open_writer(self, key: str, *, in_parts: bool = False) -> VolumeWriter:  # noqa: ARG002 - all files are written alike
        """Begin a file of unknown length."""
        if key.rpartition("/")[2].startswith(HIDDEN):
            raise InvalidSpecError(f"key {key[:80]!r}: names beginning with {HIDDEN!r} are kept for unfinished files")
        folder, name = self._split(key)
        return VolumeWriter(self._root, folder, name, what=f"write {self.location}/{key}")

    def read(self, key: str) -> bytes | None:
        """Return a small file whole, or None when there is none."""
        what = f"read {self.location}/{key}"
        try:
            descriptor = self._open(key)
        except ABSENT:
            return None
        with translated(what), os.fdopen(descriptor, "rb") as file:
            data = file.read(SMALL_OBJECT_BYTES + 1)
        if len(data) > SMALL_OBJECT_BYTES:
            raise DamagedError(f"{what}: is larger than any object of its kind")
        return data

    def stream(self, key: str, *, offset: int = 0) -> Iterator[bytes]:
        """Yield a file piece by piece; see ObjectStore."""
        what = f"read {self.location}/{key}"
        try:
            descriptor = self._open(key)
        except ABSENT as error:
            raise DamagedError(f"{what}: is missing") from error
        with translated(what), os.fdopen(descriptor, "rb", buffering=0) as file:
            size_bytes, position = os.fstat(descriptor).st_size, file.seek(offset)
            while piece := file.read(READ_CHUNK_BYTES):
                position += len(piece)
                yield piece
        if position != size_bytes:
            raise DamagedError(f"{what}: ends after {position} of {size_bytes} bytes")

    def entries(self, prefix: str, *, page_size: int | None = None) -> Iterator[ObjectEntry]:  # noqa: ARG002 - there are no pages
        """Yield everything below *prefix* in the order of keys."""
        for key, found in self._walk(prefix, hidden=False):
            modified = datetime.fromtimestamp(found.st_mtime, UTC)
            yield ObjectEntry(key=key, size_bytes=found.st_size, modified=modified)

    def delete(self, keys: Sequence[str]) -> list[Deletion]:
        """Delete *keys* and the folders that become empty; see ObjectStore."""
        return [self._delete(key) for key in keys]

    def list_unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """Yield the hidden files that a killed writer left."""
        for key, found in self._walk(prefix, hidden=True):
            yield Unfinished(key=key, token=key.rpartition("/")[2], started=datetime.fromtimestamp(found.st_mtime, UTC))

    def abort_unfinished(self, unfinished: Unfinished) -> None:
        """Remove a hidden file; one that is gone already is success."""
        with translated(f"remove {self.location}/{unfinished.key}"):
            self._remove(unfinished.key)

    def features(self) -> Features:
        """Return what a file system has: no versions, no locks, our own clock."""
        return Features(versioning=False, object_lock=False, clock_skew_seconds=0)

    def _split(self, key: str) -> tuple[list[str], str]:
        """Return the folders from the volume's root on, and the file's name."""
        *folders, name = check_key(key).split("/")
        return [*self._inside, *folders], name

    def _open(self, key: str) -> int:
        """Return a descriptor to read *key*; raises one of ABSENT when there is no such file."""
        folder, name = self._split(key)
        try:
            with opened_folder(self._root, folder) as descriptor:
                return open_file(descriptor, name)
        except ABSENT:
            raise
        except OSError:
            with translated(f"read {self.location}/{key}"):
                raise

    def _walk(self, prefix: str, *, hidden: bool) -> list[tuple[str, os.stat_result]]:
        """Return key and facts of every plain file whose key begins with *prefix*, in order; raises when a folder cannot be read."""
        above = [part for part in prefix.split("/")[:-1] if part]
        found: list[tuple[str, os.stat_result]] = []
        with translated(f"list {self.location}/{prefix}"), suppress(FileNotFoundError, NotADirectoryError):
            found = self._facts(above, hidden=hidden)
        return sorted((key, facts) for key, facts in found if key.startswith(prefix))

    def _facts(self, above: list[str], *, hidden: bool) -> list[tuple[str, os.stat_result]]:
        """Return key and facts of every plain file below the folder *above*."""
        found: list[tuple[str, os.stat_result]] = []
        with opened_folder(self._root, [*self._inside, *above]) as top:
            for folder, folders, names, descriptor in os.fwalk(".", dir_fd=top, onerror=_raise):
                inner = [*above, *Path(folder).parts]
                if not (inner or self._inside) and _FILE_SYSTEM_FOLDER in folders:
                    folders.remove(_FILE_SYSTEM_FOLDER)
                found += _plain_files(inner, [name for name in names if name.startswith(HIDDEN) is hidden], descriptor)
        return found

    def _delete(self, key: str) -> Deletion:
        try:
            self._remove(key)
        except OSError as error:
            return Deletion(key=key, state=DeletionState.DENIED, detail=os.strerror(error.errno or 0))
        return Deletion(key=key, state=DeletionState.GONE)

    def _remove(self, key: str) -> None:
        """Remove a file, if it is there, and every folder above it that is empty then."""
        folder, name = self._split(key)
        with suppress(FileNotFoundError, NotADirectoryError), opened_folder(self._root, folder) as descriptor:
            os.unlink(name, dir_fd=descriptor)
            os.fsync(descriptor)
        with suppress(OSError):
            for depth in range(len(folder), len(self._inside), -1):
                with opened_folder(self._root, folder[: depth - 1]) as above:
                    os.rmdir(folder[depth - 1], dir_fd=above)


def _plain_files(folder: list[str], names: list[str], descriptor: int) -> Iterator[tuple[str, os.stat_result]]:
    """Yield key and facts of those *names* that are plain files and could be keys; anything else in the folder is not ours."""
    for name in names:
        key = "/".join([*folder, name])
        with suppress(FileNotFoundError, InvalidSpecError):
            check_key(key)
            facts = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISREG(facts.st_mode):
                yield key, facts


def _raise(error: OSError) -> None:
    """Let a folder that cannot be read fail the listing; one that was just removed is no longer part of it."""
    if not isinstance(error, FileNotFoundError):
        raise error
