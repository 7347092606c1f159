"""What was counted in the archives against what the snapshot had: every table once, with exactly its rows. Pure.

In which archive a table's rows lie does not matter. Names of tables may be told, and so may counts; a row's content never gets here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.naming import named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbcustody.adapters.postgres.script import ScriptCount
    from dbcustody.repository.catalogue import Catalogue

_NAMED: Final = 3
_LONGEST_NAME: Final = 80


def describe_count(catalogue: Catalogue, counted: ScriptCount) -> str:
    """Return what a backup holds that passed: `48 tables, 1 204 331 rows counted`."""
    said = f"{_grouped(len(counted.tables))} tables, {_grouped(counted.rows)} rows counted"
    if counted.large_objects:
        said += f", {_grouped(counted.large_objects)} large objects"
    uncompared = sum(table.rows is None for table in catalogue.tables)
    return said + (f"; {_grouped(uncompared)} tables had no count to compare with" if uncompared else "")


def describe_differences(catalogue: Catalogue, counted: ScriptCount) -> str | None:
    """Return how *counted* differs from *catalogue*, the first few tables by name, or None when it does not."""
    found = list(_differences(catalogue, counted))
    said = []
    if found:
        names = named(found, _NAMED, separator="; ")
        said.append(f"{_grouped(len(found))} tables differ from the snapshot: {names}")
    if counted.large_objects != catalogue.large_objects:
        said.append(
            f"{_grouped(counted.large_objects)} large objects were found, "
            f"the catalogue has {_grouped(catalogue.large_objects)}"
        )
    return ". ".join(said) or None


def _differences(catalogue: Catalogue, counted: ScriptCount) -> Iterator[str]:
    expected = {(table.schema, table.name): table.rows for table in catalogue.tables}
    for table in sorted(expected.keys() | counted.tables.keys()):
        name = ".".join(table)
        label = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
        blocks = counted.tables.get(table, ())
        if table not in expected:
            yield f"{label} is not in the catalogue"
        elif len(blocks) != 1:
            yield f"{label} is in no archive" if not blocks else f"{label} stands in the archives {len(blocks)} times"
        elif (fault := _row_fault(expected[table], blocks)) is not None:
            yield f"{label} {fault}"


def _row_fault(rows: int | None, blocks: Sequence[int]) -> str | None:
    if rows is None or rows == blocks[0]:
        return None
    return f"has {_grouped(blocks[0])} rows instead of {_grouped(rows)}"


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")
