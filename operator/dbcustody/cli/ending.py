"""How a stand-alone command ends: cleanly when told to stop, with one message when it fails, and an exit code that says which end it was.

The exit codes are API (design/api.md, "Command line"): scripts tell "somebody else holds the lock" from "the archive is damaged" by them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import click

from dbcustody.errors import DbcustodyError, InterruptedRunError
from dbcustody.guidance import GUIDANCE
from dbcustody.jobs.deadline import Deadline
from dbcustody.jobs.garbage import collect_rarely
from dbcustody.logs import redact_text, where_raised
from dbcustody.naming import ANNOTATION_CONFIRM_PRUNE
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


INTERNAL_ERROR: Final = "InternalError"
"""Stands in the place of a reason where nobody foresaw what happened."""


class Exit(IntEnum):
    """The exit codes of every command that people type."""

    DONE = 0
    ERROR = 1
    PENDING = 2
    NEEDS_CONFIRMATION = 3
    NEEDS_RESOLUTION = 4
    LOCKED = 5
    DRIFT = 6
    INTEGRITY = 7
    USAGE = 64
    CANCELLED = 130


_BY_REASON: Final = {
    Reason.INVALID_SPEC: Exit.USAGE,
    Reason.RETENTION_NEEDS_CONFIRMATION: Exit.NEEDS_CONFIRMATION,
    Reason.NOT_CONFIRMED: Exit.NEEDS_CONFIRMATION,
    Reason.ACKNOWLEDGEMENT_NEEDED: Exit.NEEDS_CONFIRMATION,
    Reason.LINT_FAILED: Exit.NEEDS_CONFIRMATION,
    Reason.NEEDS_RESOLUTION: Exit.NEEDS_RESOLUTION,
    Reason.HISTORY_BROKEN: Exit.INTEGRITY,
    Reason.HISTORY_FOREIGN: Exit.NEEDS_RESOLUTION,
    Reason.DRIFTED: Exit.DRIFT,
    Reason.SESSIONS_HELD: Exit.LOCKED,
    Reason.LOCK_NOT_OBTAINED: Exit.LOCKED,
    Reason.DATABASE_BUSY: Exit.LOCKED,
    Reason.SKIPPED: Exit.LOCKED,
    Reason.ARCHIVE_DAMAGED: Exit.INTEGRITY,
    Reason.VERIFICATION_FAILED: Exit.INTEGRITY,
    Reason.CHECKS_FAILED: Exit.INTEGRITY,
    Reason.CONTINUITY_UNPROVEN: Exit.INTEGRITY,
    Reason.DATA_CORRUPTION: Exit.INTEGRITY,
    Reason.INTERRUPTED: Exit.CANCELLED,
    Reason.CANCELLED: Exit.CANCELLED,
}


_REMEDIES: Final = {
    Reason.TLS_FAILED: "a connection is encrypted unless DATABASE_URL says sslmode=disable; sslrootcert= names the authority to trust",
    Reason.DATABASE_BUSY: "BACKUP_WAIT_SECONDS says how long to wait for one's turn",
    Reason.SKIPPED: "BACKUP_WAIT_SECONDS says how long to wait for one's turn",
    Reason.ACKNOWLEDGEMENT_NEEDED: "say --acknowledge with each kind that is accepted",
    Reason.KEY_MISMATCH: "BACKUP_ENCRYPTION_KEY must be the key that the storage was begun with",
}
"""What helps at the command line, where the message alone does not say it."""


_ANNOTATE: Final = f"annotate the BackupPolicy with {ANNOTATION_CONFIRM_PRUNE}="
"""How retention asks for a confirmation in a cluster."""


def exit_of(reason: Reason) -> Exit:
    """Return the exit code of a command that *reason* ended."""
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    return Exit.DONE if GUIDANCE[reason].exit_code is ExitCode.DONE else Exit.ERROR


def told(reason: Reason, message: str) -> str:
    """Return *message* with its reason in front and what helps behind, on one line."""
    remedy = _REMEDIES.get(reason)
    said = " ".join(f"{reason.value}: {message}".splitlines()).replace(
        _ANNOTATE, "run `dbcustody backup` with --confirm-prune="
    )
    return f"{said} ({remedy})" if remedy else said


def unforeseen(error: BaseException) -> str:
    """Return what can be told of an error that nobody foresaw: its class and where it was raised, for its text may hold values."""
    places = " < ".join(reversed(where_raised(error)[-3:]))
    return f"{type(error).__name__} at {places}; please report this"


def complain(message: str, *, kind: str = "error") -> None:
    """Write one message to standard error; several lines are several complaints. What looks like a secret is blotted out."""
    first, *others = redact_text(message).splitlines() or [""]
    mark = click.style(f"{kind}: ", fg="red" if kind == "error" else "yellow")
    if not others:
        click.echo(mark + first, err=True)
        return
    click.echo(f"{mark}{len(others) + 1} settings are wrong", err=True)
    for line in (first, *others):
        click.echo(f"  - {line}", err=True)


def interruptible(
    work: Callable[[threading.Event], int], *, left: str = "the next backup sweeps up what it left"
) -> int:
    """Return what *work* returns; SIGINT and SIGTERM set the event that it is given, and a second one does not wait for it.

    *left* says what helps when the work does not end within a grace. Raises what *work* raises; an error that is the consequence of being
    stopped becomes an InterruptedRunError.
    """
    collect_rarely()
    stop = threading.Event()
    with _listening(stop), Deadline(float("inf"), stop, overdue=lambda: _give_up(left)):
        try:
            return work(stop)
        except InterruptedRunError:
            raise
        except DbcustodyError as error:
            if stop.is_set() and GUIDANCE[error.reason].exit_code is ExitCode.UNAVAILABLE:
                raise InterruptedRunError(f"stopped from outside ({error.message})") from error
            raise


def unhurried(stop: threading.Event) -> AbstractContextManager[None]:
    """Let signals set *stop* and do nothing else while the block runs, however many come, also of a terminal that goes away.

    For the moments in which what others work with is shut, and has to be opened before anything ends.
    """
    return _heard_by(lambda *_: stop.set(), (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))


def asking() -> AbstractContextManager[None]:
    """Let signals end the block at once, with KeyboardInterrupt: a person is asked, and nothing is under way."""

    def hear(*_: object) -> None:
        raise KeyboardInterrupt

    return _heard_by(hear)


def _give_up(left: str) -> None:
    complain(f"cancelled: the work did not end when told to, and was cut off; {left}")
    sys.stderr.flush()
    os._exit(Exit.CANCELLED)


def _listening(stop: threading.Event) -> AbstractContextManager[None]:
    def hear(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    return _heard_by(hear)


@contextmanager
def _heard_by(
    hear: Callable[..., None], numbers: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGINT)
) -> Iterator[None]:
    before = {number: signal.signal(number, hear) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
