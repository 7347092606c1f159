"""A migration that is written by a machine for people to read: its text, with a mark where something would be lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.migration.forecast import Risk
from dbcustody.migration.outlook import look_ahead
from dbcustody.migration.statement import Statement, begins, cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNSEEN: Final = (
    "not compared: names that changed (a renamed table or column is a dropped and a new one), views, functions, procedures, triggers, "
    "rules, policies, rights, owners, comments on anything but tables and columns, partitions, exclusion constraints, changed keys, "
    "sequences that stand alone, storage, and values that an enumeration has too many"
)
"""What Alembic's comparison does not find, and ours neither."""
_MARK: Final = "-- loses data: "
_LONGEST: Final = 100


def write_script(statements: Sequence[str], *, title: str) -> str:
    """Return *statements* (without their semicolons) as the text of a migration, under *title*; what loses data is marked."""
    lost = set(losses(statements))
    blocks = [f"-- {' '.join(title.split())}\n"]
    for statement in statements:
        told = brief(statement)
        mark = f"{_MARK}{told}\n" if told in lost else ""
        blocks.append(f"{mark}{statement};\n")
    return "\n".join(blocks)


def losses(statements: Sequence[str]) -> tuple[str, ...]:
    """Return those of *statements*, in brief, that take away what no later one brings back."""
    return tuple(brief(text) for text, cut_one in _read(statements) if _destroys(cut_one))


def brief(statement: str) -> str:
    """Return *statement* on one line, and not all of a long one."""
    line = " ".join(statement.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _read(statements: Sequence[str]) -> Iterator[tuple[str, Statement]]:
    for text in statements:
        yield from ((text, one) for one in cut(text).statements)


def _destroys(statement: Statement) -> bool:
    """Return whether data is lost; the type of values goes with the columns that are of it."""
    return look_ahead([statement]).risk is Risk.DESTRUCTIVE and not begins(statement.terms, "drop", "type|index")
