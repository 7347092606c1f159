"""What the next migration is to be called in the folder of another tool: as that tool would call it, and later than every other there."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from dbcustody.migration.layout import Layout, Tool

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIME: Final = "%Y%m%d%H%M%S"
_DIGITS: Final = 14
_WIDTH: Final = 6
"""How many digits golang-migrate's own command writes when it counts."""


def successor(layout: Layout, slug: str, now: datetime) -> tuple[str, str]:
    """Return the paths of the next migration called *slug* and of its way back, below the folder of *layout*."""
    version = _next_version(layout, now)
    match layout.tool:
        case Tool.PRISMA:
            return f"{version}_{slug}/migration.sql", f"{version}_{slug}/down.sql"
        case Tool.FLYWAY:
            return f"V{version}__{slug}.sql", f"U{version}__{slug}.sql"
        case Tool.GOLANG_MIGRATE:
            return f"{version}_{slug}.up.sql", f"{version}_{slug}.down.sql"
        case Tool.ATLAS:
            return f"{version}_{slug}.sql", f"{version}_{slug}.down.sql"


def _next_version(layout: Layout, now: datetime) -> str:
    """Return a version later than every one of *layout*: the time where it has times, or nothing, else the next number."""
    numbers = list(_numbers(layout))
    newest = max(numbers, default="")
    counts = layout.tool in {Tool.FLYWAY, Tool.GOLANG_MIGRATE}
    if counts and (not numbers or max(map(len, numbers)) < _DIGITS):
        width = _WIDTH if layout.tool is Tool.GOLANG_MIGRATE else 0
        return str(max(map(int, numbers), default=0) + 1).zfill(max(width, *map(len, numbers), 0) if width else 0)
    return _time_after(newest, now)


def _numbers(layout: Layout) -> Iterator[str]:
    """Yield the number that each version begins with, as it is written."""
    for one in layout.migrations:
        if (found := re.match(r"V?0*([0-9]+)", one.name)) is not None:
            yield found[0].removeprefix("V")


def _time_after(newest: str, now: datetime) -> str:
    moment = now.replace(microsecond=0)
    if len(newest) == _DIGITS and newest >= f"{moment:{_TIME}}":
        moment = datetime.strptime(newest, _TIME).replace(tzinfo=now.tzinfo) + timedelta(seconds=1)
    return f"{moment:{_TIME}}"
