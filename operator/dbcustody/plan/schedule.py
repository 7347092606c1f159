"""When a schedule is due: for showing and judging only, because the CronJob controller alone starts runs.

What is judged must be what the controller does, so its dialect is spoken: a time that the clocks jump over in spring has no slot,
one that comes twice in autumn has two, and a step behind a star makes a restriction of the day.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from dbcustody.errors import InvalidSpecError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WORDS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
FIELDS: Final = 5
DAY: Final = timedelta(days=1)
MOST_SLOTS: Final = 200
"""How many slots are looked at to find the longest pause: more than a week of hourly ones."""
_DAY, _MONTH, _WEEKDAY = 2, 3, 4
_RANGES: Final = {_DAY: "1-31", _WEEKDAY: "0-6"}


def zone_of(time_zone: str) -> ZoneInfo:
    """Return the time zone of that name; raises InvalidSpecError (ScheduleInvalid) when there is none."""
    try:
        return ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidSpecError(
            f"spec.timeZone: {time_zone!r} is no time zone; must be a name such as 'Europe/Copenhagen'",
            reason=Reason.SCHEDULE_INVALID,
        ) from error


@lru_cache(maxsize=4096)
def next_time(schedule: str, time_zone: str, after: datetime) -> datetime | None:
    """Return the first slot of *schedule* after *after*, in UTC; None when no date ever fits.

    Raises InvalidSpecError (ScheduleInvalid) for a text that is no schedule, or a time zone that does not exist.
    """
    zone, parts = zone_of(time_zone), WORDS.get(schedule, schedule).split()
    if len(parts) != FIELDS:
        raise _no_schedule(schedule, f"it has {len(parts)}")
    local = after.astimezone(zone)
    turned_back = max(_offset(local) - _offset((after + DAY).astimezone(zone)), timedelta())
    shown = local.replace(tzinfo=None)
    try:
        shows = CronSim(" ".join(_as_kubernetes_means(parts)), shown - turned_back)
    except CronSimError as error:
        if _fits_without_dates(parts):
            return None
        raise _no_schedule(schedule, str(error)) from error
    return _first(shows, zone, after=after, settled=shown + turned_back)


@lru_cache(maxsize=1024)
def longest_interval(schedule: str, day: date) -> timedelta | None:
    """Return the longest time between two slots in a row from *day* on, by the clocks of wherever; None when there are not two.

    Raises InvalidSpecError (ScheduleInvalid) for a text that is no schedule.
    """
    parts = WORDS.get(schedule, schedule).split()
    if next_time(schedule, "Etc/UTC", datetime.combine(day, time(), UTC)) is None:
        return None
    shows = islice(CronSim(" ".join(_as_kubernetes_means(parts)), datetime.combine(day, time())), MOST_SLOTS)
    return max((after - before for before, after in pairwise(shows)), default=None)


def _first(shows: Iterable[datetime], zone: ZoneInfo, *, after: datetime, settled: datetime) -> datetime | None:
    """Return the first instant after *after* at which the clocks of *zone* show one of *shows*, which are in order.

    While clocks are turned back, a later show may come first; once they show *settled*, none does any more.
    """
    best: datetime | None = None
    for show in shows:
        instants = [instant for instant in _instants(show, zone) if instant > after]
        best = min([*instants, best] if best is not None else instants, default=None)
        if best is not None and show >= settled:
            break
    return best


def _instants(show: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield when the clocks of *zone* show *show*: never, once, or twice."""
    for fold in (0, 1):
        instant = show.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None) == show:
            yield instant


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta()


def _as_kubernetes_means(parts: list[str]) -> Iterator[str]:
    """Yield *parts* in the words of CronSim: it takes every field that begins with a star for unrestricted, Kubernetes only bare stars."""
    for place, part in enumerate(parts):
        items = part.split(",")
        if place not in _RANGES:
            yield part
        elif "*" in items or "*/1" in items:
            yield "*"
        else:
            yield ",".join(f"{_RANGES[place]}{item[1:]}" if item.startswith("*") else item for item in items)


def _fits_without_dates(parts: list[str]) -> bool:
    """Return whether each field is sound, and only day and month together never come, as 30 February."""
    try:
        for place in (_DAY, _MONTH):
            CronSim(" ".join((*parts[:place], "*", *parts[place + 1 :])), datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError:
        return False
    return True


def _no_schedule(schedule: str, why: str) -> InvalidSpecError:
    text = f"spec.schedule: {schedule!r} is no schedule of five fields ({why})"
    return InvalidSpecError(text, reason=Reason.SCHEDULE_INVALID)
