"""Which columns are proven to hold no null by what the migrations themselves have said: a validated CHECK that says nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.migration.alteration import forms_of
from dbcustody.migration.relation import name_of, read_relation
from dbcustody.migration.statement import begins
from dbcustody.migration.wording import within

if TYPE_CHECKING:
    from dbcustody.migration.case import Column
    from dbcustody.migration.relation import Relation
    from dbcustody.migration.statement import Terms

_PROOF = ("is", "not", "null")


class Proofs:
    """Grows with each statement that it is told of, in their order."""

    def __init__(self) -> None:
        self._said: dict[tuple[Relation, str], Column] = {}
        self._valid: set[tuple[Relation, str]] = set()

    @property
    def columns(self) -> frozenset[Column]:
        """What is proven by now."""
        return frozenset(self._said[key] for key in self._valid)

    def take(self, terms: Terms) -> None:
        """Take note of what a statement of *terms* adds, validates or drops."""
        if not begins(terms, "alter", "table"):
            return
        read = read_relation(terms[2:])
        for table in read.relations:
            for form in forms_of(read.rest):
                self._take(table, form)

    def _take(self, table: Relation, form: Terms) -> None:
        if begins(form, "add", "constraint", "?", "check"):
            key, said = (table, name_of(form[2])), within(form[3:])
            if said[1:] == _PROOF:
                self._said[key] = (table, name_of(said[0]))
                self._valid |= set() if form[-2:] == ("not", "valid") else {key}
        elif begins(form, "validate", "constraint", "?"):
            self._valid |= {(table, name_of(form[2]))} & self._said.keys()
        elif begins(form, "drop", "constraint", "?"):
            self._valid.discard((table, name_of(form[2])))
