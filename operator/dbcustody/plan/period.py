"""Calendar periods, as slots of retention: in which one a moment lies, and when so many more have passed.

Days, weeks, months and years are those of people in the policy's time zone, whatever the clocks do in between; hours are as they come.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable


class Period(StrEnum):
    """The periods that have slots."""

    HOURLY = "Hourly"
    DAILY = "Daily"
    WEEKLY = "Weekly"
    """As in ISO 8601: from Monday."""
    MONTHLY = "Monthly"
    YEARLY = "Yearly"


def slot_key(period: Period, moment: datetime) -> Hashable:
    """Return what all moments in the same *period* share; *moment* is in the zone that counts.

    The hour that comes twice in autumn is two, told apart by their offset from UTC.
    """
    match period:
        case Period.HOURLY:
            return (moment.date(), moment.hour, moment.utcoffset())
        case Period.DAILY:
            return moment.date()
        case Period.WEEKLY:
            return moment.isocalendar()[:2]
        case Period.MONTHLY:
            return (moment.year, moment.month)
        case _:
            return moment.year


def periods_after(period: Period, moment: datetime, count: int) -> datetime:
    """Return, in UTC, when *count* of *period* have passed since *moment*: at the same time of the day, but for hours.

    A day that the month lacks becomes its last.
    """
    match period:
        case Period.HOURLY:
            return moment.astimezone(UTC) + timedelta(hours=count)
        case Period.DAILY:
            return (moment + timedelta(days=count)).astimezone(UTC)
        case Period.WEEKLY:
            return (moment + timedelta(weeks=count)).astimezone(UTC)
        case Period.MONTHLY:
            return _months_after(moment, count).astimezone(UTC)
        case _:
            return _months_after(moment, 12 * count).astimezone(UTC)


def _months_after(moment: datetime, count: int) -> datetime:
    years, month = divmod(moment.month - 1 + count, 12)
    year = moment.year + years
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)
