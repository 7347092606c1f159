"""Where the sequences of a restored database belong: never behind what was handed out.

A dump reads sequences in its snapshot, and numbers are handed out while it runs; the catalogue says where they stood when it had ended
(a sequence is not transactional: https://www.postgresql.org/docs/current/functions-sequence.html).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dbcustody.repository.catalogue import SequenceFacts

Name = tuple[str, str]
"""Schema and name."""
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Position:
    """Where a sequence stands: *last_value* None means that it was never used; *increment* below 0 means that it counts down."""

    last_value: int | None
    increment: int = 1


class Numbered(NamedTuple):
    """A sequence and the column that it numbers."""

    schema: str
    name: str
    table_schema: str
    table: str
    column: str
    is_descending: bool = False


def find_advances(wanted: Iterable[SequenceFacts], found: Mapping[Name, Position]) -> dict[Name, int]:
    """Return the sequences of *found* that are behind *wanted*, with the value that each must have handed out last."""
    return {
        (one.schema, one.name): one.last_value
        for one in wanted
        if one.last_value is not None and _is_behind(found.get((one.schema, one.name)), one.last_value)
    }


def find_strays(wanted: Iterable[SequenceFacts], found: Mapping[Name, Position]) -> tuple[Name, ...]:
    """Return the sequences of *wanted* that are missing in *found*, or behind."""
    names = list(wanted)
    behind = find_advances(names, found)
    return tuple(
        (one.schema, one.name)
        for one in names
        if (one.schema, one.name) not in found or (one.schema, one.name) in behind
    )


def behind_remarks(behind: Iterable[Numbered]) -> Iterator[str]:
    """Yield of the first sequences *behind* their columns what comes of it, and of the others how many they are.

    A restore puts a sequence where it stood when the dump had ended, at least: one that is behind its column was so in the source.
    """
    found = list(behind)
    for one in found[:_SHOWN]:
        end = "least" if one.is_descending else "greatest"
        yield (
            f"the sequence {one.schema}.{one.name} is behind the {end} value of {one.table_schema}.{one.table}.{one.column}, as it was "
            "in the source: an INSERT can be given a number that is taken; setval() puts it right"
        )
    if len(found) > _SHOWN:
        yield f"and so are {len(found) - _SHOWN} more sequences"


def _is_behind(position: Position | None, value: int) -> bool:
    if position is None:
        return False
    if position.last_value is None:
        return True
    return position.last_value > value if position.increment < 0 else position.last_value < value
