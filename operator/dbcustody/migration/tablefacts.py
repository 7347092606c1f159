"""What a server says of the tables that a migration touches, and how much weight that gives to going through them.

A statement that is harmless on two hundred rows stops everybody on two hundred gigabytes; text alone does not tell the one from the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dbcustody.migration.finding import Severity
from dbcustody.migration.relation import Relation

if TYPE_CHECKING:
    from collections.abc import Iterable

MEBIBYTE: Final = 1024 * 1024
SMALL_BYTES: Final = 10 * MEBIBYTE
"""Written anew within half a second, at the 20 MB/s that were measured with an index: as long as one try for a lock lasts."""
LARGE_BYTES: Final = 100 * MEBIBYTE
"""Written anew in five seconds: by then the pool of an application has run dry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """One relation as the server has it, with its partitions where it has some."""

    size_bytes: int
    """Without its indexes."""
    rows: int | None = None
    """What the planner believes; None: it was never counted."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """The types of its columns, as the server writes them."""
    proven: frozenset[str] = frozenset()
    """The columns of which a validated constraint says that they hold no null."""


Facts = Mapping[Relation, TableFacts | None]
"""By the names that the migrations write; None: there is no such relation yet. One that is missing was not looked at."""


@dataclass(frozen=True, slots=True)
class Weight:
    """How much it matters that a relation is gone through, and the words for it."""

    severity: Severity
    words: str


def weigh(relation: Relation, facts: Facts) -> Weight:
    """Return the weight of *relation*; one of which nothing is known is taken to be large, and that is said."""
    if relation not in facts:
        return Weight(Severity.ERROR, f"how large {relation} is was not looked at")
    found = facts[relation]
    if found is None:
        return Weight(Severity.NOTE, f"{relation} is not there yet")
    severity = Severity(sum(found.size_bytes >= bound for bound in (SMALL_BYTES, LARGE_BYTES)))
    return Weight(severity, f"{relation} has {_rows(found)} in {_size(found.size_bytes)}")


def heaviest(relations: Iterable[Relation], facts: Facts) -> Weight:
    """Return the weight of the heaviest of *relations*; with none of them nobody knows what is gone through."""
    weights = [weigh(relation, facts) for relation in relations]
    unknown = Weight(Severity.WARNING, "what it goes through is not named in its text")
    return max(weights, key=lambda weight: weight.severity, default=unknown)


def _rows(facts: TableFacts) -> str:
    return "rows that were never counted" if facts.rows is None else f"about {facts.rows:,} rows".replace(",", " ")


def _size(size_bytes: int) -> str:
    for unit, bytes_each in (("GiB", 1024 * MEBIBYTE), ("MiB", MEBIBYTE), ("KiB", 1024)):
        if size_bytes >= bytes_each:
            return f"{size_bytes / bytes_each:.0f} {unit}"
    return f"{size_bytes} bytes"


_TEXT: Final = re.compile(r"(?:text|(?:character varying|varchar)(?:\((?P<longest>\d+)\))?)")
_NUMBER: Final = re.compile(r"(?:numeric|decimal)(?:\((?P<digits>\d+)(?:,(?P<scale>\d+))?\))?")


def keeps_rows(old: str, new: str) -> bool:
    """Return whether the server changes a column of type *old* to *new* without going through the rows.

    Source: manual, ALTER TABLE, notes; a type that can hold all that the old one could, and stores it alike. False where that is not sure.
    """
    before, after = _bare(old), _bare(new)
    if before == after:
        return True
    if (texts := (_TEXT.fullmatch(before), _TEXT.fullmatch(after))) and texts[0] and texts[1]:
        longest, most = texts[0]["longest"], texts[1]["longest"]
        return most is None or (longest is not None and int(most) >= int(longest))
    numbers = (_NUMBER.fullmatch(before), _NUMBER.fullmatch(after))
    if numbers[0] and numbers[1]:
        (digits, scale), (most, finest) = numbers[0].groups(), numbers[1].groups()
        return most is None or (digits is not None and scale == finest and int(most) >= int(digits))
    return False


def _bare(kind: str) -> str:
    return re.sub(r"\s*([(),])\s*", r"\1", kind.strip())
