"""pg_dump as a child of ours: its archive comes out of a pipe, its complaints are read while it works, its exit status is checked.

Nothing of the connection stands in its arguments: libpq reads the environment. It gets a process group of its own, so that it can be ended
as a whole and is not hit by what is meant for us. It is ended by SIGTERM first: then it cancels its query, whose
end a busy server would notice much later by itself; and the kernel sends it that signal when we die without a word.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

from dbcustody.adapters.postgres.child import PIPE_BYTES, environment_for, fill, send, tied_to_us, widen
from dbcustody.adapters.postgres.failure import explain_text
from dbcustody.errors import UnavailableError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbcustody.adapters.postgres.client import Client
    from dbcustody.adapters.postgres.target import PostgresTarget

FILTER_MAJOR: Final = 17
"""Since this major, pg_dump reads the names of tables from a file, which may be standard input."""
_KEPT_LINES: Final = 50
_LONGEST_LINE: Final = 2000
_PATIENCE_SECONDS: Final = 10
_PARTING_SECONDS: Final = 3
_TERMINATED: Final = "terminated by user"


class Dump:
    """One running pg_dump; a context manager that leaves no process behind."""

    def __init__(
        self, client: Client, target: PostgresTarget, arguments: Sequence[str], *, tables: Sequence[str] = ()
    ) -> None:
        """Begin to dump; *tables* are lines such as `include table "a"."b"`, given by standard input, or as arguments to an old client."""
        in_file = [line for line in tables if client.major >= FILTER_MAJOR and _fits_file(line)]
        named = [_as_argument(line) for line in tables if line not in in_file] if len(in_file) < len(tables) else []
        by_file = ["--filter=-"] if in_file else []
        self._process = subprocess.Popen(
            [
                *tied_to_us(),
                client.program("pg_dump"),
                "--no-password",
                "--format=custom",
                *arguments,
                *by_file,
                *named,
            ],
            stdin=subprocess.PIPE if by_file else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment_for("PGPASSFILE") | target.environment(),
            start_new_session=True,
        )
        self._complaints: deque[str] = deque(maxlen=_KEPT_LINES)
        self._listener = threading.Thread(target=self._listen, name="pg_dump-stderr", daemon=True)
        self._listener.start()
        self._endpoint = target.endpoint
        if in_file:
            self._tell("\n".join(_as_line(line) for line in in_file))
        widen(self._process.stdout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def pieces(self) -> Iterator[memoryview]:
        """Yield the archive piece by piece; each piece is overwritten by the next. The end says nothing: call `check` after it."""
        pipe: Any = self._process.stdout
        buffer = memoryview(bytearray(PIPE_BYTES))
        while True:
            count = fill(pipe, buffer)
            if count:
                yield buffer[:count]
            if count < PIPE_BYTES:
                return

    def check(self) -> None:
        """Wait for the end; raises what pg_dump complained of when its exit status is not 0."""
        try:
            status = self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(
                f"pg_dump of {self._endpoint}: closed its output and did not end", reason=Reason.CONNECTION_LOST
            ) from error
        self._listener.join(_PATIENCE_SECONDS)
        if status < 0:
            raise UnavailableError(
                f"pg_dump of {self._endpoint}: was ended by signal {-status} ({signal.Signals(-status).name})",
                reason=Reason.INTERRUPTED,
            )
        if any(_TERMINATED in line for line in self._complaints):
            raise UnavailableError(f"pg_dump of {self._endpoint}: was ended by SIGTERM", reason=Reason.INTERRUPTED)
        if status != 0:
            raise explain_text("\n".join(self._complaints), f"pg_dump of {self._endpoint} (exit status {status})")

    def end(self) -> None:
        """Ask the process to end if it still runs; from any thread. Whoever reads its pipe comes to the end of it."""
        send(self._process, signal.SIGTERM)

    def see_ended(self) -> None:
        """Wait until the process has ended; one that cannot even cancel its query (a dead network) is killed. From any thread."""
        try:
            self._process.wait(_PARTING_SECONDS)
        except subprocess.TimeoutExpired:
            send(self._process, signal.SIGKILL)
            self._process.wait()

    def kill(self) -> None:
        """End the process if it still runs, and let go of its pipes."""
        self.end()
        self.see_ended()
        self._listener.join(_PATIENCE_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(OSError, ValueError):
                    pipe.close()

    def _tell(self, text: str) -> None:
        """Write the filter; a pg_dump that ended already says why by its exit status."""
        pipe: Any = self._process.stdin
        with suppress(BrokenPipeError), pipe:
            remaining = memoryview(text.encode())
            while remaining:
                remaining = remaining[pipe.write(remaining) :]

    def _listen(self) -> None:
        pipe: Any = self._process.stderr
        with suppress(ValueError, OSError), os.fdopen(os.dup(pipe.fileno()), "rb") as lines:
            for line in lines:
                self._complaints.append(line[:_LONGEST_LINE].decode(errors="replace").rstrip("\n"))


def _fits_file(line: str) -> bool:
    """Return whether the file can say *line*: it drops every carriage return, and knows no other word for it."""
    return "\r" not in line


def _as_line(line: str) -> str:
    """Return *line* as the file wants it: in double quotes a backslash stands for an escape, and outside of them none stands."""
    return line.replace("\\", "\\\\").replace("\n", "\\n")


def _as_argument(line: str) -> str:
    verb, kind, pattern = line.split(" ", 2)
    what = kind.replace("_", "-")
    return f"--{what}={pattern}" if verb == "include" else f"--exclude-{what}={pattern}"
