"""When a schedule is due: for showing and judging only, because the CronJob controller alone starts runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from dbcustody.errors import InvalidSpecError
from dbcustody.reason import Reason

WORDS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def zone_of(time_zone: str) -> ZoneInfo:
    """Return the time zone of that name; raises InvalidSpecError (ScheduleInvalid) when there is none."""
    try:
        return ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidSpecError(
            f"spec.timeZone: {time_zone!r} is no time zone; must be a name such as 'Europe/Copenhagen'",
            reason=Reason.SCHEDULE_INVALID,
        ) from error


def next_time(schedule: str, time_zone: str, after: datetime) -> datetime | None:
    """Return the first slot of *schedule* after *after*, in UTC; None when no date ever fits.

    Raises InvalidSpecError (ScheduleInvalid) for a text that is no schedule, or a time zone that does not exist.
    """
    zone = zone_of(time_zone)
    try:
        slots = CronSim(WORDS.get(schedule, schedule), after.astimezone(zone))
    except CronSimError as error:
        raise InvalidSpecError(
            f"spec.schedule: {schedule!r} is no schedule of five fields ({error})", reason=Reason.SCHEDULE_INVALID
        ) from error
    slot = next(slots, None)
    return None if slot is None else slot.astimezone(UTC)
