"""Patterns of pg_dump's `--table`, matched by us, so that what is locked, counted and dumped is one and the same list.

The language is psql's (https://www.postgresql.org/docs/current/app-psql.html#APP-PSQL-PATTERNS): `*` any text, `?` any character, a dot
between schema and table, double quotes keep what is between them as it is, letters outside of them are folded to lower case.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dbcustody.errors import RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.adapters.postgres.snapshot import DumpTable


def choose_tables(
    tables: Sequence[DumpTable], *, include: Sequence[str], exclude: Sequence[str]
) -> tuple[DumpTable, ...]:
    """Return those of *tables* that *include* names (empty: all) and *exclude* does not.

    A pattern without a schema matches in every schema. Raises RefusedError (InvalidSpec) when a pattern of *include* matches nothing:
    a backup of nothing must not look like one.
    """
    wanted = {table.oid for table in tables} if not include else set[int]()
    for pattern in include:
        found = {table.oid for table in tables if _fits(table, pattern)}
        if not found:
            raise RefusedError(f"tables.include: no table fits {pattern!r}", reason=Reason.INVALID_SPEC)
        wanted |= found
    unwanted = {table.oid for table in tables for pattern in exclude if _fits(table, pattern)}
    return tuple(table for table in tables if table.oid in wanted - unwanted)


def _fits(table: DumpTable, pattern: str) -> bool:
    parts = _as_expressions(pattern)
    schema, name = (".*", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
    return bool(re.fullmatch(schema, table.schema, re.DOTALL) and re.fullmatch(name, table.name, re.DOTALL))


def _as_expressions(pattern: str) -> list[str]:
    """Return the regular expressions of *pattern*'s parts: name, or schema and name."""
    parts, quoted, at = [""], False, 0
    while at < len(pattern):
        letter = pattern[at]
        if letter == '"' and quoted and pattern[at + 1 : at + 2] == '"':
            parts[-1] += '"'
            at += 1
        elif letter == '"':
            quoted = not quoted
        elif letter == "." and not quoted:
            parts.append("")
        else:
            parts[-1] += _expression(letter, quoted=quoted)
        at += 1
    if quoted or len(parts) > 2 or not all(parts):  # noqa: PLR2004 - schema and name
        raise RefusedError(
            f"tables: {pattern!r} is no pattern; must be name, schema.name, with * and ? and double quotes",
            reason=Reason.INVALID_SPEC,
        )
    return parts


def _expression(letter: str, *, quoted: bool) -> str:
    if quoted:
        return re.escape(letter)
    return {"*": ".*", "?": "."}.get(letter, re.escape(letter.lower()))
