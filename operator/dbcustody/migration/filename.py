"""The names of migration files: `YYYYMMDD_HHMMSS_descriptive_name.sql`, the way back beside it as `....down.sql`; or `.py`, for both ways.

The time (UTC) is the revision's id and its place in the order. It is the author's claim, held against the calendar and not against a clock.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from dbcustody.migration.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LONGEST_NAME: Final = 200
"""Characters of the descriptive part; as long as Prisma allows, and short enough for every file system."""
CONVENTION: Final = "YYYYMMDD_HHMMSS_descriptive_name.sql (or .py), in UTC, small letters, digits and single '_'"
_NAME: Final = re.compile(
    r"(?P<revision>[0-9]{8}_[0-9]{6})_(?P<slug>[a-z0-9]+(?:_[a-z0-9]+)*)(?:(?P<down>\.down)?\.sql|(?P<python>\.py))"
)
_TIME: Final = "%Y%m%d_%H%M%S"
_SHOWN: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Filename:
    """What the name of a file says."""

    revision: str
    slug: str
    is_down: bool
    is_python: bool = False

    @property
    def stem(self) -> str:
        """The name without its ending, the same for both directions."""
        return f"{self.revision}_{self.slug}"

    def __str__(self) -> str:
        return f"{self.stem}.py" if self.is_python else f"{self.stem}{'.down' if self.is_down else ''}.sql"


def parse_filename(name: str) -> Filename | Fault:
    """Return what the file called *name* (no folder before it) is, or what is wrong with its name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return Fault(
            file=name[:_SHOWN],
            what="is not named as a migration",
            helps=f"call it {CONVENTION}; or .down.sql for the way back",
        )
    if len(match["slug"]) > LONGEST_NAME:
        return Fault(
            file=name[:_SHOWN],
            what=f"has a name of {len(match['slug'])} characters",
            helps=f"shorten it to {LONGEST_NAME}",
        )
    if not _is_time(match["revision"]):
        return Fault(file=name, what=f"there is no time {match['revision']}", helps=f"call it {CONVENTION}")
    return Filename(
        revision=match["revision"],
        slug=match["slug"],
        is_down=match["down"] is not None,
        is_python=match["python"] is not None,
    )


def repeated(names: Iterable[str]) -> Iterator[Fault]:
    """Yield a fault for each of *names* that comes more than once."""
    for name, count in Counter(names).items():
        if count > 1:
            helps = "keep one of them; sources that are merged must not overlap"
            yield Fault(file=name, what=f"is given {count} times", helps=helps)


def naming_faults(names: Sequence[Filename]) -> Iterator[Fault]:
    """Yield what is wrong with *names* together: given twice, of the same second, a way back from nowhere."""
    yield from repeated(map(str, names))
    forth = sorted({name for name in names if not name.is_down})
    yield from _simultaneous(forth)
    ups = {name.stem: name for name in forth}
    for name in sorted({name for name in names if name.is_down}):
        if name.stem not in ups:
            yield Fault(
                file=str(name),
                what=f"is the way back from {name.stem}.sql, which is not there",
                helps="add that file, or take this one out",
            )
        elif ups[name.stem].is_python:
            what = f"is a way back from {ups[name.stem]}, whose way back is its function downgrade"
            yield Fault(file=str(name), what=what, helps="write it there, and take this file out")


def _simultaneous(names: Sequence[Filename]) -> Iterator[Fault]:
    """Two files of one second have no order, and one id."""
    counts = Counter(name.revision for name in names)
    for name in names:
        if counts[name.revision] > 1:
            others = ", ".join(str(other) for other in names if other.revision == name.revision and other != name)
            yield Fault(
                file=str(name),
                what=f"is of the same second as {others}",
                helps="give one that is not applied yet a later second",
            )


def _is_time(revision: str) -> bool:
    try:
        datetime.strptime(revision, _TIME)  # noqa: DTZ007 - only whether the calendar has it
    except ValueError:
        return False
    return True
