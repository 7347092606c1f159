"""What the ledger says of migrations, as values: attempts, none of which is ever rewritten, and where a revision stands by them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class State(StrEnum):
    """How an attempt ended."""

    STARTED = "Started"
    """It has begun, and nobody has written down its end: it runs, or was killed."""
    APPLIED = "Applied"
    FAILED = "Failed"
    """Its transaction was rolled back: the database is as it was before."""
    PARTIAL = "Partial"
    """Something of it is in, and something is not."""
    ROLLED_BACK = "RolledBack"
    """The way back was run to its end."""
    RESOLVED_APPLIED = "ResolvedApplied"
    """A person says that it is in."""
    RESOLVED_ROLLED_BACK = "ResolvedRolledBack"
    """A person says that nothing of it is in."""
    IMPORTED = "Imported"
    """The history of another tool says that it is in."""


class Standing(StrEnum):
    """Where a revision stands in the database."""

    OUT = "Out"
    IN = "In"
    PARTIAL = "Partial"
    UNSETTLED = "Unsettled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One row of the ledger; *ordinal* is its place there, and later rows have larger ones."""

    ordinal: int
    revision: str
    name: str
    state: State
    checksum: str | None
    """That of the text which was run; None where another tool's history does not say."""
    finished: datetime | None = None
    """When it ended; None while it has not."""
    was_allowed_out_of_order: bool = False
    reason: str | None = None
    """Why somebody declared it, or how it was found out; None where nobody said."""
    sqlstate: str | None = None
    """What the server called the error that ended it; None: no statement was refused, or another tool's history tells of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Where one revision stands, and the attempt that it follows from."""

    standing: Standing
    attempt: Attempt


_STANDINGS = {
    State.STARTED: Standing.UNSETTLED,
    State.APPLIED: Standing.IN,
    State.PARTIAL: Standing.PARTIAL,
    State.ROLLED_BACK: Standing.OUT,
    State.RESOLVED_APPLIED: Standing.IN,
    State.RESOLVED_ROLLED_BACK: Standing.OUT,
    State.IMPORTED: Standing.IN,
}


def standing_by(state: State) -> Standing | None:
    """Return where a revision stands once an attempt ended in *state*; None: where it stood before."""
    return _STANDINGS.get(state)


def records(attempts: Iterable[Attempt]) -> dict[str, Record]:
    """Return where each revision stands, in the order in which they came to it; one of which nothing ever was in is not among them.

    The last attempt decides, but for one that failed: it left everything as it was. What is said of one that is in already, that it is in,
    does not move it behind those that came after it.
    """
    found: dict[str, Record] = {}
    for attempt in sorted(attempts, key=lambda one: one.ordinal):
        if attempt.state is State.FAILED:
            continue
        record = Record(standing=_STANDINGS[attempt.state], attempt=attempt)
        before = found.get(attempt.revision)
        if before is None or before.standing is not Standing.IN or record.standing is not Standing.IN:
            found.pop(attempt.revision, None)
        found[attempt.revision] = record
    return found


def repeated(attempts: Iterable[Attempt]) -> tuple[Attempt, ...]:
    """Return the attempts that applied a revision which was in already: what must never happen, and would be seen here.

    Those of which a person has said since that it is in, once and as it should be, are settled.
    """
    is_in: set[str] = set()
    found: list[Attempt] = []
    for attempt in sorted(attempts, key=lambda one: one.ordinal):
        if attempt.state is State.RESOLVED_APPLIED:
            found = [one for one in found if one.revision != attempt.revision]
        if attempt.state is State.APPLIED and attempt.revision in is_in:
            found.append(attempt)
        if attempt.state is not State.FAILED:
            (is_in.add if _STANDINGS[attempt.state] is Standing.IN else is_in.discard)(attempt.revision)
    return tuple(found)
