"""One statement as the rules are given it: what it does, how large its tables are, and what is proven of them already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbcustody.migration.alteration import forms_of
from dbcustody.migration.finding import Severity
from dbcustody.migration.outlook import Step
from dbcustody.migration.relation import Relation, read_relation
from dbcustody.migration.statement import Terms, begins
from dbcustody.migration.tablefacts import Facts, TableFacts, heaviest
from dbcustody.migration.wording import named_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.migration.tablefacts import Weight

_KNOWN: Final = TableFacts(size_bytes=0)
"""Stands for a table that nobody has looked at, and that may be there."""
Column = tuple[Relation, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One form of an ALTER TABLE of a table that was there before."""

    table: Relation
    written: str
    """The table as the statement writes it."""
    form: Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is judged."""

    step: Step
    facts: Facts
    proven: frozenset[Column] = frozenset()
    """The columns of which an earlier statement proves that they hold no null."""

    @property
    def terms(self) -> Terms:
        """Those of the statement."""
        return self.step.statement.terms

    @property
    def relations(self) -> tuple[Relation, ...]:
        """Those that it locks, and that were there before its file."""
        return tuple(lock.relation for lock in self.step.effect.locks)

    @property
    def weight(self) -> Weight:
        """That of the heaviest of its relations."""
        return heaviest(self.relations, self.facts)

    def unless_new(self, severity: Severity) -> Severity:
        """Return *severity*; only a note where nothing that it locks is there yet, so that nobody uses it and nothing is lost."""
        is_new = bool(self.relations) and all(self.facts.get(one, _KNOWN) is None for one in self.relations)
        return Severity.NOTE if is_new else severity

    def changes(self) -> Iterator[Change]:
        """Yield the forms of an ALTER TABLE; nothing for any other statement, and for a table that its own file made."""
        if not begins(self.terms, "alter", "table"):
            return
        read = read_relation(self.terms[2:])
        for table in read.relations:
            if table in self.relations:
                written = named_at(self.terms[2:])
                yield from (Change(table=table, written=written, form=form) for form in forms_of(read.rest))

    def is_proven(self, column: Column) -> bool:
        """Return whether *column* is known to hold no null, by an earlier statement or by the server."""
        found = self.facts.get(column[0])
        return column in self.proven or (found is not None and column[1] in found.proven)
