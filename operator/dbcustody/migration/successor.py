"""What the next migration is to be called in the folder of another tool: as that tool would call it, and later than every other there."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from dbcustody.migration.layout import Layout, Tool

_TIME: Final = "%Y%m%d%H%M%S"
_DIGITS: Final = 14
_NAMES: Final = {
    Tool.PRISMA: ("{version}_{slug}/migration.sql", "{version}_{slug}/down.sql"),
    Tool.FLYWAY: ("V{version}__{slug}.sql", "U{version}__{slug}.sql"),
    Tool.GOLANG_MIGRATE: ("{version}_{slug}.up.sql", "{version}_{slug}.down.sql"),
    Tool.ATLAS: ("{version}_{slug}.sql", "{version}_{slug}.down.sql"),
}
_COUNTS_FROM: Final = {Tool.FLYWAY: "0", Tool.GOLANG_MIGRATE: "000000"}
"""Those that count where nobody has begun with times, and with how many digits."""
_NUMBER: Final = re.compile(r"V?([0-9]+)")


def successor(layout: Layout, slug: str, now: datetime) -> tuple[str, str]:
    """Return the paths of the next migration called *slug* and of its way back, below the folder of *layout*.

    It is later than every other whose name begins with a number.
    """
    version = _next_version(layout, now)
    way_forth, way_back = (name.format(version=version, slug=slug) for name in _NAMES[layout.tool])
    return way_forth, way_back


def _next_version(layout: Layout, now: datetime) -> str:
    """Return the time where the tool has times, or the folder has them; else the number after the largest, as long as that."""
    found = [match[1] for one in layout.migrations if (match := _NUMBER.match(one.name))]
    newest = max(found, key=int, default=_COUNTS_FROM.get(layout.tool, ""))
    if layout.tool in _COUNTS_FROM and len(newest) < _DIGITS:
        return str(int(newest) + 1).zfill(len(newest))
    return _time_after(newest, now)


def _time_after(newest: str, now: datetime) -> str:
    moment = now.replace(microsecond=0)
    if len(newest) == _DIGITS and newest >= f"{moment:{_TIME}}":
        moment = datetime.strptime(newest, _TIME).replace(tzinfo=now.tzinfo) + timedelta(seconds=1)
    return f"{moment:{_TIME}}"
