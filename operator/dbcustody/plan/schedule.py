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


def next_time(schedule: str, time_zone: str, after: datetime) -> datetime | None:
    """Return the first slot of *schedule* after *after*, in UTC; None when no date ever fits.

    Raises InvalidSpecError (ScheduleInvalid) for a text that is no schedule, or a time zone that does not exist.
    """
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidSpecError(
            f"spec.timeZone: {time_zone!r} is no time zone; must be a name such as 'Europe/Copenhagen'",
            reason=Reason.SCHEDULE_INVALID,
        ) from error
    try:
        slots = CronSim(WORDS.get(schedule, schedule), after.astimezone(zone))
    except CronSimError as error:
        raise InvalidSpecError(
            f"spec.schedule: {schedule!r} is no schedule of five fields ({error})", reason=Reason.SCHEDULE_INVALID
        ) from error
    slot = next(slots, None)
    return None if slot is None else slot.astimezone(UTC)
