"""pg_restore at work in a database: an archive goes in, and the first complaint that is not known to be harmless ends it.

pg_restore goes on after an error unless told otherwise, and its exit status is easily lost behind a pipe; what it complains of is read
while it works. One thing is no error: a setting in the head of a script that an older server does not know, such as `transaction_timeout`
before PostgreSQL 17. It is counted, and the exit status must say that there was nothing else.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from typing import TYPE_CHECKING, Final, Self

from dbcustody.adapters.postgres.consumer import Consumer, check_killed, start
from dbcustody.adapters.postgres.failure import explain_text, make_error
from dbcustody.reason import Reason

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from dbcustody.adapters.postgres.client import Client
    from dbcustody.adapters.postgres.target import PostgresTarget
    from dbcustody.errors import DbcustodyError

_TELLING: Final = frozenset(
    {
        Reason.PRIVILEGES_MISSING,
        Reason.CONNECTION_LOST,
        Reason.HOST_UNREACHABLE,
        Reason.SERVER_FULL,
        Reason.TLS_FAILED,
    }
)
"""Reasons that say more than that the restore failed; the others speak of dumps."""
_KEPT_LINES: Final = 20
_LONGEST_LINE: Final = 2000
_ERROR: Final = re.compile(r"pg_restore: (?:error|fatal): ")
_UNKNOWN_SETTING: Final = re.compile(r'.*ERROR: +unrecognized configuration parameter "(?P<name>\w+)"')
_COMMAND: Final = re.compile(r"Command was: SET (?P<name>\w+) = ")
_IGNORED: Final = re.compile(r"pg_restore: warning: errors ignored on restore: (?P<count>\d+)")


class Complaints:
    """What pg_restore says on standard error, line by line: which settings an older server did not know, and the first real error."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self.unknown_settings: list[str] = []
        self.error: list[str] = []
        self.last: deque[str] = deque(maxlen=_KEPT_LINES)
        self._pending: str | None = None
        self._pending_lines: list[str] = []
        self.told_ignored = 0

    def hear(self, line: str) -> bool:
        """Take in *line*; return whether there is a real error by now."""
        self.last.append(line)
        if self.error:
            return True
        if self._pending is not None:
            self._judge_pending(line)
        elif _ERROR.match(line):
            setting = _UNKNOWN_SETTING.match(line)
            if setting is None:
                self.error = [line]
            else:
                self._pending, self._pending_lines = setting["name"], [line]
        elif ignored := _IGNORED.match(line):
            self.told_ignored = int(ignored["count"])
        return bool(self.error)

    def end(self) -> None:
        """Take in that nothing more is said."""
        if self._pending is not None:
            self.error = self._pending_lines

    def _judge_pending(self, line: str) -> None:
        """Judge an unknown setting by the command that follows: only a plain SET is harmless, a function's own setting is not."""
        command = _COMMAND.match(line)
        if command is not None and command["name"] == self._pending:
            self.unknown_settings.append(command["name"])
        else:
            self.error = [*self._pending_lines, line]
        self._pending = None


class Loading:
    """One pg_restore that works in a database; a context manager that leaves no process behind."""

    def __init__(
        self,
        client: Client,
        target: PostgresTarget,
        arguments: Sequence[str],
        *,
        what: str,
        stop: threading.Event,
        archive: int | None = None,
    ) -> None:
        """Begin; the archive, named *what* in errors, is given by `feed`, or is the open file *archive*, which several workers may read."""
        self._what = f"{what} into {target.database}: pg_restore {client.version}"
        self._complaints = Complaints()
        # without a name of its own it takes PGDATABASE: a name with an equals sign would be read as a connection string
        words = ["--no-password", "--dbname=", "--no-tablespaces", *arguments]
        process = start(client, words, environment=target.environment(), stdout=subprocess.DEVNULL, archive=archive)
        self._consumer = Consumer(process, what=what, stop=stop, listeners={"complaints": self._listen})
        self._process = process

    def __enter__(self) -> Self:
        self._consumer.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.__exit__()

    def feed(self, piece: bytes | memoryview) -> None:
        """Give *piece* of the archive; one that is not wanted any more is let go."""
        self._consumer.feed(piece)

    def finish(self) -> tuple[str, ...]:
        """Wait for the end; return the settings that the server did not know, each as often as it was set.

        Raises RefusedError (RestoreFailed, or what the server refused) or UnavailableError with the first complaint; InterruptedRunError
        when told to stop.
        """
        status = self._consumer.finish()
        self._complaints.end()
        if self._complaints.error:
            raise self._explain(self._complaints.error)
        check_killed(status, self._what)
        unknown = tuple(self._complaints.unknown_settings)
        # with several workers each sets it once more, and pg_restore counts only some of them
        if status != 0 and not (status == 1 and 0 < self._complaints.told_ignored <= len(unknown)):
            raise self._explain([f"ended with exit status {status}", *self._complaints.last])
        return unknown

    def _explain(self, lines: Sequence[str]) -> DbcustodyError:
        explained = explain_text("\n".join(lines), self._what, otherwise=Reason.RESTORE_FAILED)
        return explained if explained.reason in _TELLING else make_error(Reason.RESTORE_FAILED, explained.message)

    def _listen(self) -> None:
        pipe = self._process.stderr
        if pipe is None:
            return
        with os.fdopen(os.dup(pipe.fileno()), "rb") as lines:
            for line in lines:
                if self._complaints.hear(line[:_LONGEST_LINE].decode(errors="replace").rstrip("\n")):
                    self._consumer.kill()
