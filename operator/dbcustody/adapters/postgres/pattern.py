"""Which tables are dumped, by patterns that we match, so that what is locked, counted and dumped is one and the same list."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from dbcustody.errors import RefusedError
from dbcustody.reason import Reason
from dbcustody.repository.pattern import fits_table, parse_pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.adapters.postgres.snapshot import DumpTable
    from dbcustody.repository.pattern import Letter


def choose_tables(
    tables: Sequence[DumpTable], *, include: Sequence[str], exclude: Sequence[str]
) -> tuple[DumpTable, ...]:
    """Return those of *tables* that *include* names (empty: all) and *exclude* does not.

    A pattern without a schema matches in every schema. Raises RefusedError (InvalidSpec) when a pattern of *include* matches nothing:
    a backup of nothing must not look like one.
    """
    wanted = {table.oid for table in tables} if not include else set[int]()
    for pattern in include:
        found = {table.oid for table in tables if fits_table(pattern, table.schema, table.name)}
        if not found:
            raise RefusedError(f"tables.include: no table fits {pattern!r}", reason=Reason.INVALID_SPEC)
        wanted |= found
    unwanted = {table.oid for table in tables for pattern in exclude if fits_table(pattern, table.schema, table.name)}
    kept = wanted - unwanted
    return tuple(table for table in tables if table.oid in kept)


def as_dump_pattern(pattern: str) -> str:
    """Return *pattern* such that pg_dump understands by it what we do.

    There, brackets, bars and the like are regular expressions, and a name without a schema means only what the role's search path shows.
    """
    return ".".join(_quoted(part) for part in parse_pattern(pattern))


def _quoted(part: Sequence[Letter]) -> str:
    """Return *part* with everything in double quotes that is no wildcard."""
    runs = ((is_wild, "".join(one.text for one in run)) for is_wild, run in groupby(part, key=lambda one: one.is_wild))
    return "".join(text if is_wild else '"' + text.replace('"', '""') + '"' for is_wild, text in runs)
