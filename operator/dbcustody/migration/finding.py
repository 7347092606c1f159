"""What is risky about a migration, as a value: the rule that says so, where, why, and what does the same safely."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How much a finding matters, the less the smaller."""

    NOTE = 0
    """Worth knowing; nothing has to be done."""
    WARNING = 1
    """Somebody should look at it."""
    ERROR = 2
    """Whoever depends on the database may wait or fail, or data is lost."""

    @property
    def label(self) -> str:
        """Its name in a plan."""
        return self.name.capitalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """SQL that does the same safely; nothing of it is ever run unless somebody writes it into files."""

    migrations: tuple[str, ...]
    """The text of one file each, to be applied in this order."""
    remark: str = ""
    """What has to happen between or beside them, in words; empty: nothing."""

    def __str__(self) -> str:
        many = len(self.migrations) > 1
        parts = [
            f"-- {number} of {len(self.migrations)}, a file of its own\n{text}" if many else text
            for number, text in enumerate(self.migrations, 1)
        ]
        return "".join([*parts, f"-- {self.remark}\n" if self.remark else ""])


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One risk of one migration.

    Its words hold names and numbers, and no literal of the file. A recipe is SQL with whatever stands in the file, for its author alone.
    """

    rule: str
    """What a waiver calls it: `-- dbcustody: allow RULE because ...`."""
    severity: Severity
    what: str
    """The risk, in plain words."""
    helps: str
    file: str = ""
    line: int | None = None
    statement: int | None = None
    """Counted from 1; None: it concerns the file as a whole."""
    recipe: Recipe | None = None
    """None: there is no SQL that would do the same safely, or not enough is known to write it."""
    waived: str | None = None
    """The reason for which the author accepts it; None: nobody does."""

    def __str__(self) -> str:
        place = f"line {self.line}" if self.line is not None else ""
        told = f"{self.severity.label} {self.rule}: {self.what}; {self.helps}"
        waiver = f"(waived: {self.waived})" if self.waived is not None else ""
        return ": ".join(part for part in (self.file, place, f"{told} {waiver}".rstrip()) if part)
