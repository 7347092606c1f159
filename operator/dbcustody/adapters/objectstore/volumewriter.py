"""One file on its way into a volume.

It is written under a hidden name, flushed to the disk, and then linked to its own name: `link(2)` fails when the name is taken,
which makes it the conditional put of a file system. The folder is flushed too, or a power cut could forget the name.
"""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.objectstore.folder import opened_folder, translated
from dbcustody.adapters.objectstore.interface import StoredObject
from dbcustody.errors import ConflictError, DbcustodyError, RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HIDDEN: Final = ".partial-"
_NO_LIMIT: Final = 2**62
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER_ATTEMPTS: Final = 10


class VolumeWriter:
    """An ObjectWriter for one file."""

    def __init__(self, root: Path, folder: Sequence[str], name: str, *, what: str) -> None:
        self._name, self._what = name, what
        self._hidden = f"{HIDDEN}{uuid.uuid4().hex}"
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self._held = ExitStack()
        with translated(what):
            self._folder, self._file = self._begin(root, folder)

    @property
    def remaining_bytes(self) -> int:
        """Files have no limit that we know; the disk says when it is full."""
        return _NO_LIMIT

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append *data*."""
        self._check_open()
        view = memoryview(data).cast("B")
        self._digest.update(view)
        self._size_bytes += len(view)
        with self._aborting(), translated(self._what):
            while view:
                view = view[os.write(self._file, view) :]

    def commit(self) -> StoredObject:
        """Flush, and give the file its name if that is free; see ObjectWriter."""
        self._check_open()
        with self._aborting(), translated(self._what):
            os.fsync(self._file)
            self._link()
            os.unlink(self._hidden, dir_fd=self._folder)
            os.fsync(self._folder)
        self._close()
        return StoredObject(size_bytes=self._size_bytes, sha256=self._digest.hexdigest())

    def abort(self) -> None:
        """Close and remove the hidden file."""
        if self._file >= 0:
            with suppress(OSError):
                os.unlink(self._hidden, dir_fd=self._folder)
            self._close()

    def _begin(self, root: Path, folder: Sequence[str]) -> tuple[int, int]:
        """Return descriptors of the folder and of the new hidden file; a folder that was swept away in between is made again."""
        for attempt in range(_FOLDER_ATTEMPTS):
            try:
                with ExitStack() as held:
                    folder_descriptor = held.enter_context(opened_folder(root, folder, create=True))
                    file_descriptor = os.open(self._hidden, _NEW, 0o640, dir_fd=folder_descriptor)
                    self._held = held.pop_all()
            except FileNotFoundError:
                if attempt == _FOLDER_ATTEMPTS - 1:
                    raise
            else:
                return folder_descriptor, file_descriptor
        raise AssertionError

    def _link(self) -> None:
        try:
            os.link(self._hidden, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)
        except FileExistsError as error:
            if os.fstat(self._file).st_nlink == 1:
                raise ConflictError(f"{self._what}: another object is there already") from error
            # over NFS the answer to a link that was made can get lost, and the repeated request says `exists`
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            raise RefusedError(
                f"{self._what}: the file system knows no hard links, so two writers could not be told apart",
                reason=Reason.NOT_CONFORMANT,
            ) from error

    def _aborting(self) -> ExitStack:
        """Return a context that removes the hidden file when it is left by one of our errors."""
        stack = ExitStack()
        stack.push(lambda _, error, __: self.abort() if isinstance(error, DbcustodyError) else None)
        return stack

    def _check_open(self) -> None:
        if self._file < 0:
            raise ValueError(f"{self._what}: is committed or aborted already")

    def _close(self) -> None:
        """Let go of file and folder; what a close could still complain of was said by the flush before."""
        with suppress(OSError):
            os.close(self._file)
        self._file = -1
        self._held.close()
