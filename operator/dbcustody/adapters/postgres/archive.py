"""pg_restore as a reader: an archive goes in by its standard input, the script that comes out is counted; no database is needed.

`pg_restore --list` proves nothing (it passes on half an archive); printing the script makes pg_restore read and decompress every block.
Only the data section is printed: definitions are read all the same, and no function's body can then look like a row.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final, Self

from dbcustody.adapters.postgres.child import PIPE_BYTES, fill
from dbcustody.adapters.postgres.consumer import Consumer, check_killed, start
from dbcustody.adapters.postgres.failure import explain_text
from dbcustody.adapters.postgres.script import ScriptCount, ScriptCounter
from dbcustody.errors import DamagedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable

    from dbcustody.adapters.postgres.client import Client

_ARGUMENTS: Final = ("--file=-", "--section=data", "--no-owner", "--no-privileges")
_KEPT_BYTES: Final = 8192
_TOO_NEW: Final = re.compile(r"unsupported version|does not support compression|not built with", re.IGNORECASE)


class UnreadableError(DamagedError):
    """The archive came whole from where it lies, and pg_restore cannot read it."""


def count_archive(
    client: Client, archive: Iterable[bytes | memoryview], what: str, *, stop: threading.Event
) -> ScriptCount:
    """Return what pg_restore of *client* finds in *archive* (named *what* in errors), which is always taken to its end.

    What *archive* itself raises passes through, and comes first: an UnreadableError says that its bytes were whole. That has the reason
    ArchiveDamaged, or VersionUnsupported when this pg_restore is too old. Raises InterruptedRunError when *stop* is set,
    UnavailableError when pg_restore cannot be started or is killed from outside.
    """
    with _Reading(client, what, stop) as reading:
        for piece in archive:
            reading.consumer.feed(piece)
        return reading.finish()


class _Reading:
    """One running pg_restore; a context manager that leaves no process behind."""

    def __init__(self, client: Client, what: str, stop: threading.Event) -> None:
        self._what, self._program = what, f"pg_restore {client.version}"
        listeners = {"output": self._count, "complaints": self._listen}
        self.consumer = Consumer(start(client, _ARGUMENTS), what=what, stop=stop, listeners=listeners)
        self._counter = ScriptCounter(what)
        self._fault: DamagedError | None = None
        self._complaints = b""

    def __enter__(self) -> Self:
        self.consumer.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.consumer.__exit__()

    def finish(self) -> ScriptCount:
        """Return the count, after the archive's end."""
        self._check_status(self.consumer.finish())
        if not self.consumer.is_listening and self._fault is None:
            raise UnreadableError(f"{self._what}: {self._program} stops reading before its end")
        try:
            if self._fault is not None:
                raise self._fault
            return self._counter.finish()
        except DamagedError as error:
            raise UnreadableError(error.message) from error

    def _check_status(self, status: int) -> None:
        if status == 0 or self._fault is not None:
            return
        check_killed(status, f"{self._what}: {self._program}")
        how = f"dies of signal {-status}" if status < 0 else f"cannot read it (exit status {status})"
        said = self._complaints.decode(errors="replace")
        is_too_new = status > 0 and _TOO_NEW.search(said) is not None
        raise UnreadableError(
            explain_text(said, f"{self._what}: {self._program} {how}").message,
            reason=Reason.VERSION_UNSUPPORTED if is_too_new else None,
        )

    def _count(self) -> None:
        pipe: Any = self.consumer.process.stdout
        buffer = memoryview(bytearray(PIPE_BYTES))
        try:
            while size_bytes := fill(pipe, buffer):
                self._counter.feed(buffer[:size_bytes])
        except DamagedError as error:
            self._fault = error
            self.consumer.kill()

    def _listen(self) -> None:
        """Keep the beginning of what is complained of: the first error is the one that counts."""
        pipe: Any = self.consumer.process.stderr
        while data := os.read(pipe.fileno(), _KEPT_BYTES):
            self._complaints += data[: _KEPT_BYTES - len(self._complaints)]
