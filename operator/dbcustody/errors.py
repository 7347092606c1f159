"""The tree of errors, sorted by what helps and not by the library that failed.

Adapters translate at their rim and chain with ``from``; two places turn errors into words: the reconciler (conditions) and the Job
runner (result and exit code). A message follows one pattern: what, where, what was found, what helps;
it never carries a secret or a row value.
"""

from __future__ import annotations

from typing import ClassVar

from dbcustody.reason import Reason


class DbcustodyError(Exception):
    """The root: a message fit for a person, and the reason fit for a program."""

    default_reason: ClassVar[Reason] = Reason.INTERNAL_ERROR

    def __init__(self, message: str, *, reason: Reason | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason


class InvalidSpecError(DbcustodyError):
    """What was asked for cannot be meant; only an edit helps."""

    default_reason = Reason.INVALID_SPEC


class RefusedError(DbcustodyError):
    """The world says no and will say no again until somebody changes it; exit code 10."""

    default_reason = Reason.DUMP_FAILED


class UnavailableError(DbcustodyError):
    """The world cannot answer now; trying again later can help; exit code 20."""

    default_reason = Reason.CONNECTION_LOST


class InterruptedRunError(UnavailableError):
    """The process was told to stop (SIGTERM), or its time was over."""

    default_reason = Reason.INTERRUPTED


class ConflictError(DbcustodyError):
    """Somebody else wrote first; the caller looks again and decides."""

    default_reason = Reason.COMMIT_CONFLICT


class DamagedError(DbcustodyError):
    """Stored bytes are not what was written: authentication, digest or structure does not fit; exit code 10."""

    default_reason = Reason.ARCHIVE_DAMAGED
