"""A folder of a mounted volume as an object store.

An object is written under a hidden name, flushed to the disk, and then linked to its own name: `link(2)` fails when the name is taken,
which makes it the conditional put of a file system. The folder is flushed too, or a power cut could forget the name.
"""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.objectstore.interface import (
    READ_CHUNK_BYTES,
    SMALL_OBJECT_BYTES,
    Deletion,
    DeletionState,
    ObjectEntry,
    StoredObject,
    Unfinished,
)
from dbcustody.errors import (
    ConflictError,
    DamagedError,
    DbcustodyError,
    InvalidSpecError,
    RefusedError,
    UnavailableError,
)
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HIDDEN: Final = ".partial-"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_LIMIT: Final = 2**62


class VolumeStore:
    """An ObjectStore in a folder."""

    def __init__(self, root: Path, path: str = "") -> None:
        inside = Path(path.strip("/"))
        if inside.is_absolute() or ".." in inside.parts:
            raise InvalidSpecError(f"volume path {path!r}: must stay inside the volume")
        with _translated(f"volume {root}"):
            if not root.is_dir():
                raise RefusedError(f"volume {root}: is not mounted", reason=Reason.STORAGE_UNREACHABLE)
        self._root = root / inside

    @property
    def location(self) -> str:
        """Where it is, for people."""
        return f"volume:{self._root}"

    @property
    def free_bytes(self) -> int:
        """How much the file system can still take from us."""
        with _translated(self.location):
            existing = next(path for path in (self._root, *self._root.parents) if path.exists())
            found = os.statvfs(existing)
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

    def open_writer(self, key: str) -> VolumeWriter:
        """Begin a file of unknown length."""
        return VolumeWriter(self._path(key), f"write {self.location}/{key}")

    def read(self, key: str) -> bytes | None:
        """Return a small file whole, or None when there is none."""
        with _translated(f"read {self.location}/{key}"):
            try:
                with self._path(key).open("rb") as file:
                    data = file.read(SMALL_OBJECT_BYTES + 1)
            except (FileNotFoundError, NotADirectoryError):
                return None
        if len(data) > SMALL_OBJECT_BYTES:
            raise DamagedError(f"read {self.location}/{key}: is larger than any object of its kind")
        return data

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield a file piece by piece."""
        what = f"read {self.location}/{key}"
        with _translated(what):
            try:
                file = self._path(key).open("rb", buffering=0)
            except FileNotFoundError as error:
                raise DamagedError(f"{what}: is missing") from error
        with file:
            while True:
                with _translated(what):
                    piece = file.read(READ_CHUNK_BYTES)
                if not piece:
                    return
                yield piece

    def entries(self, prefix: str) -> Iterator[ObjectEntry]:
        """Yield everything below *prefix* in the order of keys."""
        for path, key in self._walk(prefix):
            if not path.name.startswith(_HIDDEN):
                with _translated(f"list {self.location}/{key}"), suppress(FileNotFoundError):
                    found = path.stat()
                    yield ObjectEntry(
                        key=key, size_bytes=found.st_size, modified=datetime.fromtimestamp(found.st_mtime, UTC)
                    )

    def delete(self, keys: Sequence[str]) -> list[Deletion]:
        """Delete *keys* and the folders that become empty; see ObjectStore."""
        return [self._delete(key) for key in keys]

    def list_unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """Yield the hidden files that a killed writer left."""
        for path, key in self._walk(prefix):
            if path.name.startswith(_HIDDEN):
                with _translated(f"list {self.location}/{key}"), suppress(FileNotFoundError):
                    started = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                    yield Unfinished(key=key, token=path.name, started=started)

    def abort_unfinished(self, unfinished: Unfinished) -> None:
        """Remove a hidden file; one that is gone already is success."""
        with _translated(f"remove {self.location}/{unfinished.key}"):
            self._path(unfinished.key).unlink(missing_ok=True)

    def _walk(self, prefix: str) -> Iterator[tuple[Path, str]]:
        start = self._path(prefix.rpartition("/")[0]) if "/" in prefix else self._root
        with _translated(f"list {self.location}/{prefix}"):
            found = (Path(folder) / name for folder, _, names in os.walk(start, onerror=_raise) for name in names)
            keyed = sorted((path.relative_to(self._root).as_posix(), path) for path in found)
        yield from ((path, key) for key, path in keyed if key.startswith(prefix))

    def _delete(self, key: str) -> Deletion:
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            return Deletion(key=key, state=DeletionState.DENIED, detail=os.strerror(error.errno or 0))
        for folder in path.parents:
            if folder == self._root:
                break
            try:
                folder.rmdir()
            except OSError:
                break
        return Deletion(key=key, state=DeletionState.GONE)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if (
            not key.isprintable()
            or any(part in {"", ".", ".."} for part in parts[:-1])
            or parts[-1] in {".", ".."}
            or "\\" in key
        ):
            raise InvalidSpecError(f"key {key[:80]!r}: cannot stand in a path")
        return self._root.joinpath(*parts)


class VolumeWriter:
    """An ObjectWriter for one file."""

    def __init__(self, path: Path, what: str) -> None:
        self._path, self._what = path, what
        self._hidden = path.with_name(f"{_HIDDEN}{uuid.uuid4().hex}")
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        with _translated(what):
            _make_folders(path.parent)
            self._file = os.open(self._hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)

    @property
    def remaining_bytes(self) -> int:
        """Files have no limit that we know; the disk says when it is full."""
        return _NO_LIMIT

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append *data*."""
        view = memoryview(data)
        self._digest.update(view)
        self._size_bytes += len(view)
        with _translated(self._what):
            while view.nbytes:
                view = view[os.write(self._file, view) :]

    def commit(self) -> StoredObject:
        """Flush, and give the file its name if that is free; see ObjectWriter."""
        try:
            with _translated(self._what):
                os.fsync(self._file)
                os.link(self._hidden, self._path)
                _flush_folder(self._path.parent)
        except FileExistsError as error:
            raise ConflictError(f"{self._what}: another object is there already") from error
        finally:
            self.abort()
        return StoredObject(size_bytes=self._size_bytes, sha256=self._digest.hexdigest())

    def abort(self) -> None:
        """Close and remove the hidden file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        with suppress(OSError):
            self._hidden.unlink(missing_ok=True)


def _make_folders(folder: Path) -> None:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Run a block of system calls for *what*; FileExistsError and FileNotFoundError pass, other errors become ours."""
    try:
        yield
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError as error:
        text = os.strerror(error.errno or 0)
        if error.errno in _FULL:
            raise UnavailableError(
                f"{what}: {text}; free space or enlarge the volume", reason=Reason.STORAGE_FULL
            ) from error
        if error.errno in _DENIED:
            raise RefusedError(
                f"{what}: {text}; the volume must be writable for uid {os.getuid()}", reason=Reason.STORAGE_DENIED
            ) from error
        raise UnavailableError(f"{what}: {text}", reason=Reason.STORAGE_UNREACHABLE) from error
