"""pg_restore as a reader: an archive goes in by its standard input, the script that comes out is counted; no database is needed.

`pg_restore --list` proves nothing (it passes on half an archive); printing the script makes pg_restore read and decompress every block.
Only the data section is printed: definitions are read all the same, and no function's body can then look like a row.

Should we be killed, its input ends and so does pg_restore; it never waits for anything else.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import threading
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Final, Self, cast

from dbcustody.adapters.postgres.child import PIPE_BYTES, environment_for, fill, send, widen
from dbcustody.adapters.postgres.failure import explain_text
from dbcustody.adapters.postgres.script import ScriptCount, ScriptCounter
from dbcustody.errors import DamagedError, InterruptedRunError, UnavailableError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dbcustody.adapters.postgres.client import Client

_ARGUMENTS: Final = ("--file=-", "--section=data", "--no-owner", "--no-privileges")
_KEPT_BYTES: Final = 8192
_TICK_SECONDS: Final = 0.5
_TOO_NEW: Final = re.compile(r"unsupported version|does not support compression|not built with", re.IGNORECASE)
_KILLED: Final = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})
"""Signals that come from outside; a program that falls over its input dies of others."""


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
            reading.feed(piece)
        return reading.finish()


class _Reading:
    """One running pg_restore; a context manager that leaves no process behind."""

    def __init__(self, client: Client, what: str, stop: threading.Event) -> None:
        self._what, self._stop = what, stop
        self._program = f"pg_restore {client.version}"
        self._process = _start(client, self._program)
        self._input = cast("IO[bytes]", self._process.stdin)
        os.set_blocking(self._input.fileno(), False)
        self._writable = select.poll()
        self._writable.register(self._input.fileno(), select.POLLOUT)
        self._is_listening = True
        self._counter = ScriptCounter(what)
        self._fault: DamagedError | None = None
        self._complaints = b""
        self._threads = [
            threading.Thread(target=target, name=f"pg_restore-{name}", daemon=True)
            for name, target in (("output", self._count), ("complaints", self._listen))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        send(self._process, signal.SIGKILL)
        self._process.wait()
        for thread in self._threads:
            thread.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def feed(self, piece: bytes | memoryview) -> None:
        """Give *piece* to pg_restore; one that listens no more says why by its exit status."""
        remaining = memoryview(piece)
        while remaining and self._is_listening:
            self._check_stop()
            try:
                remaining = remaining[os.write(self._input.fileno(), remaining) :]
            except BlockingIOError:
                self._writable.poll(_TICK_SECONDS * 1000)
            except BrokenPipeError:
                self._is_listening = False

    def finish(self) -> ScriptCount:
        """Return the count, after the archive's end."""
        self._input.close()
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_TICK_SECONDS)
                self._check_stop()
        self._check_status(self._wait())
        if not self._is_listening and self._fault is None:
            raise UnreadableError(f"{self._what}: {self._program} stops reading before its end")
        try:
            if self._fault is not None:
                raise self._fault
            return self._counter.finish()
        except DamagedError as error:
            raise UnreadableError(error.message) from error

    def _wait(self) -> int:
        while True:
            self._check_stop()
            with suppress(subprocess.TimeoutExpired):
                return self._process.wait(_TICK_SECONDS)

    def _check_status(self, status: int) -> None:
        if status == 0 or self._fault is not None:
            return
        if -status in _KILLED:
            raise UnavailableError(
                f"{self._what}: {self._program} was ended by {signal.Signals(-status).name} from outside",
                reason=Reason.OUT_OF_MEMORY if -status == signal.SIGKILL else Reason.INTERRUPTED,
            )
        how = f"dies of signal {-status}" if status < 0 else f"cannot read it (exit status {status})"
        said = self._complaints.decode(errors="replace")
        is_too_new = status > 0 and _TOO_NEW.search(said) is not None
        raise UnreadableError(
            explain_text(said, f"{self._what}: {self._program} {how}").message,
            reason=Reason.VERSION_UNSUPPORTED if is_too_new else None,
        )

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise InterruptedRunError(f"{self._what}: the run was told to stop while it was read")

    def _count(self) -> None:
        pipe: Any = self._process.stdout
        buffer = memoryview(bytearray(PIPE_BYTES))
        try:
            while size_bytes := fill(pipe, buffer):
                self._counter.feed(buffer[:size_bytes])
        except DamagedError as error:
            self._fault = error
            send(self._process, signal.SIGKILL)

    def _listen(self) -> None:
        """Keep the beginning of what is complained of: the first error is the one that counts."""
        pipe: Any = self._process.stderr
        while data := os.read(pipe.fileno(), _KEPT_BYTES):
            self._complaints += data[: _KEPT_BYTES - len(self._complaints)]


def _start(client: Client, program: str) -> subprocess.Popen[bytes]:
    """Start pg_restore in a process group of its own, so that it can be ended as a whole and no signal for us hits it."""
    try:
        process = subprocess.Popen(
            [client.program("pg_restore"), *_ARGUMENTS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment_for(),
            start_new_session=True,
        )
    except OSError as error:
        raise UnavailableError(
            f"{program} in {client.folder}: cannot be started: {error.strerror}", reason=Reason.INTERRUPTED
        ) from error
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            widen(pipe)
    return process
