"""How an index would be built on a copy of its table: IF NOT EXISTS takes whatever has the name, so what is there is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.migration.statement import begins, stands_at

if TYPE_CHECKING:
    from dbcustody.migration.statement import Statement

_IF_NOT_EXISTS: Final = ("if", "not", "exists")


def rehearsal(statement: Statement) -> str:
    """Return the text that builds the index of *statement* on the temporary table of the same name.

    Empty for a statement that is no CREATE INDEX IF NOT EXISTS of an index with a name.
    """
    terms = statement.terms
    at = 3 if begins(terms, "create", "unique", "index") else 2
    at += 1 if stands_at(terms, at, "concurrently") else 0
    named = at + len(_IF_NOT_EXISTS)
    if not begins(terms, "create", "index|unique") or not stands_at(terms, at, *_IF_NOT_EXISTS, "?", "on", "?"):
        return ""
    table = (
        named + 3 if stands_at(terms, named + 2, "only", "?") and terms[named + 3] not in {"(", "using"} else named + 2
    )
    table += 2 if stands_at(terms, table + 1, ".", "?") else 0
    unique = "unique " if begins(terms, "create", "unique") else ""
    rest = statement.text[statement.tokens[table].end - statement.start :]
    return f"create {unique}index {statement.tokens[named].text} on pg_temp.{statement.tokens[table].text}{rest}"
