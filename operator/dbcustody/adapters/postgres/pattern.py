"""Patterns of pg_dump's `--table`, matched by us, so that what is locked, counted and dumped is one and the same list.

The language is psql's (https://www.postgresql.org/docs/current/app-psql.html#APP-PSQL-PATTERNS): `*` any text, `?` any character, a dot
between schema and table, double quotes keep what is between them as it is, letters outside of them are folded to lower case.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

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
    kept = wanted - unwanted
    return tuple(table for table in tables if table.oid in kept)


def as_dump_pattern(pattern: str) -> str:
    """Return *pattern* such that pg_dump understands by it what we do.

    There, brackets, bars and the like are regular expressions, and a name without a schema means only what the role's search path shows.
    """
    parts = _parse(pattern)
    return ".".join(_quoted(part) for part in ([_ANYTHING] if len(parts) == 1 else []) + parts)


def _fits(table: DumpTable, pattern: str) -> bool:
    parts = _parse(pattern)
    schema, name = ([_ANYTHING] if len(parts) == 1 else []) + parts
    return all(
        re.fullmatch("".join(letter.expression for letter in part), text, re.DOTALL)
        for part, text in ((schema, table.schema), (name, table.name))
    )


class _Letter(NamedTuple):
    """One character of a pattern; one that is no wildcard stands for itself."""

    text: str
    is_wild: bool = False

    @property
    def expression(self) -> str:
        return {"*": ".*", "?": "."}[self.text] if self.is_wild else re.escape(self.text)


_ANYTHING: Final = [_Letter("*", is_wild=True)]


def _quoted(part: Sequence[_Letter]) -> str:
    """Return *part* with everything in double quotes that is no wildcard."""
    runs = ((is_wild, "".join(one.text for one in run)) for is_wild, run in groupby(part, key=lambda one: one.is_wild))
    return "".join(text if is_wild else '"' + text.replace('"', '""') + '"' for is_wild, text in runs)


def _parse(pattern: str) -> list[list[_Letter]]:
    """Return the parts of *pattern*: name, or schema and name; raises RefusedError (InvalidSpec) when it is none."""
    parts: list[list[_Letter]] = [[]]
    quoted, at = False, 0
    while at < len(pattern):
        letter = pattern[at]
        if letter == '"' and quoted and pattern[at + 1 : at + 2] == '"':
            parts[-1].append(_Letter(letter))
            at += 1
        elif letter == '"':
            quoted = not quoted
        elif letter == "." and not quoted:
            parts.append([])
        else:
            is_wild = not quoted and letter in "*?"
            parts[-1].append(_Letter(letter if quoted else letter.lower(), is_wild))
        at += 1
    if quoted or len(parts) > 2 or not all(parts):  # noqa: PLR2004 - schema and name
        raise RefusedError(
            f"tables: {pattern!r} is no pattern; must be name, schema.name, with * and ? and double quotes",
            reason=Reason.INVALID_SPEC,
        )
    return parts
