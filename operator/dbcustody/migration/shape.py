"""What a folder of migrations is: ours, whose names tell the order, or Alembic's, whose files do."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from dbcustody.migration.alembic_source import is_revision
from dbcustody.migration.filename import Filename, parse_filename

if TYPE_CHECKING:
    from collections.abc import Iterable


class Shape(StrEnum):
    """Whose a folder is."""

    SQL = "sql"
    """Ours: SQL, and Python where it is called as our SQL is."""
    ALEMBIC = "alembic"
    """Alembic's, of Python alone, under any names."""


def shape_of(names: Iterable[str], *, has_versions: bool) -> Shape:
    """Return what a folder of files called *names* is; *has_versions*: it has a folder `versions` with revisions in it.

    Alembic's is what has such a folder and no migration of ours, or Python files that are not called as ours are, and no SQL.
    """
    given = list(names)
    ours = [isinstance(parse_filename(name), Filename) for name in given]
    if has_versions and not any(ours):
        return Shape.ALEMBIC
    foreign = any(is_revision(name) and not is_ours for name, is_ours in zip(given, ours, strict=True))
    has_sql = any(name.endswith(".sql") for name in given)
    return Shape.ALEMBIC if foreign and not has_sql else Shape.SQL
