"""What is wrong with a migration, where, and what helps: faults are values, because all of them are shown together."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

MOST_FAULTS: Final = 100
"""How many of one file are told; who sees a hundred knows that it is another kind of file."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A character of a text; line and column count from 1, the column in characters."""

    line: int
    column: int


class Lines:
    """The lines of a text, by which an offset becomes a place; they end with a line feed."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def place(self, offset: int) -> Place:
        """Return where the character at *offset* stands; the end of the text has a place, too."""
        line = bisect_right(self._starts, offset)
        return Place(line, offset - self._starts[line - 1] + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong; *file* is empty and *place* None where it concerns no single one."""

    what: str
    helps: str
    file: str = ""
    place: Place | None = None

    def __str__(self) -> str:
        place = f"line {self.place.line}, column {self.place.column}" if self.place else ""
        return ": ".join(part for part in (self.file, place, f"{self.what}; {self.helps}") if part)
