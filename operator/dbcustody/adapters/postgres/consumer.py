"""pg_restore as a child that reads an archive: fed without ever blocking for good, ended as a whole, never left behind.

Should we be killed it does not go on alone: its input ends, or, where it reads a file, the kernel ends it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final, Self, cast

from dbcustody.adapters.postgres.child import environment_for, send, tied_to_us, widen
from dbcustody.errors import InterruptedRunError, UnavailableError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dbcustody.adapters.postgres.client import Client

_TICK_SECONDS: Final = 0.5
_KILLED: Final = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})
"""Signals that come from outside; a program that falls over its input dies of others."""


class Consumer:
    """A running pg_restore; a context manager. *listeners* read its output, each in a thread of its own, named for errors."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        *,
        what: str,
        stop: threading.Event,
        listeners: Mapping[str, Callable[[], None]],
    ) -> None:
        """Take over *process*; *what* names the archive in errors, *stop* ends the work."""
        self.process, self.what, self._stop = process, what, stop
        self.is_listening = process.stdin is not None
        self._writable = select.poll()
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            self._writable.register(process.stdin.fileno(), select.POLLOUT)
        self._threads = [
            threading.Thread(target=listen, name=f"pg_restore-{name}", daemon=True)
            for name, listen in listeners.items()
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def kill(self) -> None:
        """End it at once, from any thread; whoever waits for it comes to its end."""
        send(self.process, signal.SIGKILL)

    def feed(self, piece: bytes | memoryview) -> None:
        """Give it *piece*; one that listens no more says why by its exit status. Raises InterruptedRunError when told to stop."""
        pipe = cast("IO[bytes]", self.process.stdin).fileno()
        remaining = memoryview(piece)
        while remaining and self.is_listening:
            self.check_stop()
            try:
                remaining = remaining[os.write(pipe, remaining) :]
            except BlockingIOError:
                self._writable.poll(_TICK_SECONDS * 1000)
            except BrokenPipeError:
                self.is_listening = False

    def finish(self) -> int:
        """Return its exit status, after the archive's end, when all that it said is read; raises InterruptedRunError when told to stop."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_TICK_SECONDS)
                self.check_stop()
        while True:
            self.check_stop()
            with suppress(subprocess.TimeoutExpired):
                return self.process.wait(_TICK_SECONDS)

    def check_stop(self) -> None:
        """Raise InterruptedRunError when the work is to end."""
        if self._stop.is_set():
            raise InterruptedRunError(f"{self.what}: the run was told to stop while it was read")


def start(
    client: Client,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    stdout: int = subprocess.PIPE,
    archive: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start pg_restore of *client* in a process group of its own, so that it can be ended as a whole and no signal for us hits it.

    The archive comes through its standard input, or is the open file *archive*. Raises UnavailableError when it cannot be started.
    """
    tie, named = ([], []) if archive is None else (tied_to_us(), [f"/proc/self/fd/{archive}"])
    try:
        process = subprocess.Popen(
            [*tie, client.program("pg_restore"), *arguments, *named],
            stdin=subprocess.PIPE if archive is None else subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment_for() | dict(environment or {}),
            start_new_session=True,
            pass_fds=() if archive is None else (archive,),
        )
    except OSError as error:
        raise UnavailableError(
            f"pg_restore {client.version} in {client.folder}: cannot be started: {error.strerror}",
            reason=Reason.INTERRUPTED,
        ) from error
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            widen(pipe)
    return process


def check_killed(status: int, what: str) -> None:
    """Raise UnavailableError when *status* says that somebody outside ended the process."""
    if -status in _KILLED:
        raise UnavailableError(
            f"{what} was ended by {signal.Signals(-status).name} from outside",
            reason=Reason.OUT_OF_MEMORY if -status == signal.SIGKILL else Reason.INTERRUPTED,
        )
