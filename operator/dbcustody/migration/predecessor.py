"""What the table of another tool says of a database, as values: one row after the other, and what is in by all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from dbcustody.migration.foreign_folder import rank_of
from dbcustody.migration.layout import Tool

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Mark(StrEnum):
    """What a row says of its migration."""

    IN = "In"
    UP_TO = "UpTo"
    """It and every one before it are in: of those the table says nothing more."""
    OUT = "Out"
    """It is not in any more, whatever an earlier row says."""
    FAILED = "Failed"
    """It has begun and not come to its end: it runs, or was cut short."""
    ASIDE = "Aside"
    """Nothing that has a place in an order, or that counts no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignRow:
    """One row, in the words of no tool."""

    key: str
    """What the tool knows the migration by."""
    name: str
    """What people know it by."""
    mark: Mark
    checksum: str | None = None
    """As the tool keeps it; None: it keeps none."""
    finished: datetime | None = None
    """When it ended; None where the table does not say."""


@dataclass(frozen=True, kw_only=True)
class Predecessor:
    """The table of another tool in a database."""

    tool: Tool
    table: str
    """Its name with its schema, quoted where it has to be."""
    rows: tuple[ForeignRow, ...] | None
    """In the order in which the tool wrote them; None: the role may not read them."""

    def __str__(self) -> str:
        return f"{self.tool.label} ({self.table})"

    @property
    def is_used(self) -> bool:
        """Whether it says that anything was carried out, or may say so."""
        return self.rows is None or bool(self.present or self.failed)

    @cached_property
    def present(self) -> Mapping[str, ForeignRow]:
        """The last row of each migration that is in by a row of its own, in the order in which these were written."""
        found: dict[str, ForeignRow] = {}
        for row in self.rows or ():
            if row.mark in {Mark.IN, Mark.OUT, Mark.UP_TO}:
                found.pop(row.key, None)
            if row.mark in {Mark.IN, Mark.UP_TO}:
                found[row.key] = row
        return found

    def covering(self, key: str) -> ForeignRow | None:
        """Return the row by which the migration *key* is in without one of its own; None: there is none, or it has its own."""
        if key in self.present:
            return None
        return next((row for row in self._limits if is_before(self.tool, key, row.key)), None)

    @cached_property
    def _limits(self) -> tuple[ForeignRow, ...]:
        return tuple(row for row in self.present.values() if row.mark is Mark.UP_TO)

    def claims(self, key: str) -> bool:
        """Return whether the migration *key* is in, as the table has it."""
        return key in self.present or self.covering(key) is not None

    def has_touched(self, key: str) -> bool:
        """Return whether the migration *key* is in, or was begun, as the table has it."""
        return self.claims(key) or any(row.key == key for row in self.failed)

    @cached_property
    def failed(self) -> tuple[ForeignRow, ...]:
        """The rows of what has not come to its end."""
        return tuple(row for row in self.rows or () if row.mark is Mark.FAILED)

    def unheard(self, known: Collection[str]) -> tuple[str, ...]:
        """Return, by their names, what is in by a row of its own, or was begun, and is not among *known*, where others of it are.

        Nothing when it has none of *known*: it is another application's then.
        """
        if not any(self.claims(key) for key in known):
            return ()
        counts = self.tool is Tool.GOLANG_MIGRATE
        rows = [row for row in self.present.values() if row.mark is Mark.IN or counts]
        return tuple(row.name for row in (*rows, *self.failed) if row.key not in known)


def is_before(tool: Tool, key: str, other: str) -> bool:
    """Return whether *tool* sorts the migration *key* before *other*; what is no version of its is before nothing."""
    try:
        return rank_of(tool, key) < rank_of(tool, other)
    except ValueError:
        return False
