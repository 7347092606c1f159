"""How a database stands beyond its history: whether its schema is what the ledger says, and what a migration left that is in in part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.ledger import read_partial
from dbcustody.adapters.postgres.tablefacts import count_tables
from dbcustody.api.migration import OnDrift
from dbcustody.errors import UnavailableError
from dbcustody.jobs.likeness import drift_of
from dbcustody.jobs.migration import looked
from dbcustody.migration.body import read_body
from dbcustody.migration.drift import Drift
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.adapters.postgres.ledger import Partial
    from dbcustody.adapters.postgres.session import Session
    from dbcustody.jobs.migration import MigrationOrder
    from dbcustody.migration.history import History

PASSING: Final = frozenset({Reason.LOCK_NOT_OBTAINED, Reason.SCHEMA_CHANGED})
"""Why a schema cannot be read for a moment: somebody works on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One statement of a migration that is in in part."""

    line: int
    text: str
    is_done: bool
    """Whether it came to its end; else nobody knows how far it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A migration that is in in part."""

    name: str
    statements: tuple[Ran, ...]

    @property
    def told(self) -> Iterator[tuple[str, str]]:
        """Of each statement in words which it is and whether it came to its end, and its text."""
        count = len(self.statements)
        for number, ran in enumerate(self.statements, start=1):
            how = "ran to its end" if ran.is_done else "was begun; how far it came, nothing in the catalogue shows"
            yield f"statement {number} of {count} (line {ran.line}) {how}", ran.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """What was found."""

    drift: Drift | None
    """None: it was not looked at, or could not be."""
    unfinished: tuple[Unfinished, ...]
    why_not: str = ""
    """Why it could not be looked at."""
    unrecorded_tables: int = 0
    """How many tables there are in a database of which the ledger says nothing, while something is pending: who made them is not known."""


def check_up(order: MigrationOrder) -> tuple[History, Checkup]:
    """Return how the database stands to the scripts, and beyond that, by one session; nothing is written.

    A schema that somebody locks is told, and no reason to fail. Raises as `jobs.migration.look` does.
    """
    with connect(order.target) as session:
        history = looked(order, session)
        has_begun = history.changes > 0 or not history.pending
        return history, replace(_checked(order, session), unrecorded_tables=0 if has_begun else count_tables(session))


def told_unfinished(order: MigrationOrder) -> tuple[str, ...]:
    """Return of each statement of what is in in part whether it came to its end, by its line; its text may hold values."""
    with connect(order.target) as session:
        return tuple(f"{one.name}: {words}" for one in _read_unfinished(session) for words, _ in one.told)


def _checked(order: MigrationOrder, session: Session) -> Checkup:
    unfinished = _read_unfinished(session)
    if order.drift is OnDrift.IGNORE:
        return Checkup(drift=None, unfinished=unfinished)
    try:
        return Checkup(drift=drift_of(session, order.exclude), unfinished=unfinished)
    except UnavailableError as error:
        if error.reason not in PASSING:
            raise
        return Checkup(drift=None, unfinished=unfinished, why_not=error.message)


def _read_unfinished(session: Session) -> tuple[Unfinished, ...]:
    return tuple(_unfinished(one) for one in read_partial(session))


def _unfinished(partial: Partial) -> Unfinished:
    """Return which statements are in; the text is that of the ledger, whatever became of the file."""
    body = read_body(partial.name, partial.body.encode(), is_down=partial.is_down).body
    statements = () if body is None else body.statements
    ran = (
        Ran(line=one.place.line, text=one.text, is_done=number <= partial.done)
        for number, one in enumerate(statements, start=1)
    )
    return Unfinished(name=partial.name, statements=tuple(ran))
