"""When a schedule is due: by the clocks of people, as Kubernetes counts and not as cron of Debian does."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbcustody.errors import InvalidSpecError
from dbcustody.plan.schedule import WORDS, _first, longest_interval, next_time
from dbcustody.reason import Reason

ZONES = (
    "Etc/UTC",
    "Europe/Copenhagen",
    "America/New_York",
    "America/Havana",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
)


def at(text: str) -> datetime:
    """Return the time that *text* says in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def slots(schedule: str, zone: str, after: str, count: int) -> list[str]:
    """Return the next *count* slots in UTC."""
    found, moment = [], at(after)
    for _ in range(count):
        slot = next_time(schedule, zone, moment)
        assert slot is not None
        moment = slot
        found.append(f"{moment:%m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "expected"),
    [
        pytest.param("0 2 * * *", "Etc/UTC", "2026-01-31T02:00", ["02-01 02:00"], id="strictly-after"),
        pytest.param("0 2 * * *", "Europe/Copenhagen", "2026-01-31T02:00", ["02-01 01:00"], id="by-the-clocks-there"),
        pytest.param("45 5 * * *", "Asia/Kathmandu", "2026-01-31T00:30", ["02-01 00:00"], id="odd-offset"),
        pytest.param(
            "30 2 * * *", "Europe/Copenhagen", "2026-03-28T00:00", ["03-28 01:30", "03-30 00:30"], id="hour-jumped-over"
        ),
        pytest.param(
            "30 2 * * *",
            "Europe/Copenhagen",
            "2026-10-24T12:00",
            ["10-25 00:30", "10-25 01:30", "10-26 01:30"],
            id="hour-that-comes-twice",
        ),
        pytest.param(
            "15,55 2 * * *",
            "Europe/Copenhagen",
            "2026-10-25T00:50",
            ["10-25 00:55", "10-25 01:15", "10-25 01:55"],
            id="a-later-show-comes-first",
        ),
        pytest.param(
            "0 * * * *",
            "Europe/Copenhagen",
            "2026-10-24T23:30",
            ["10-25 00:00", "10-25 01:00", "10-25 02:00"],
            id="hourly-through-autumn",
        ),
        pytest.param(
            "0 0 * * *", "Africa/Cairo", "2026-04-22T00:00", ["04-22 22:00", "04-24 21:00"], id="midnight-jumped-over"
        ),
        pytest.param(
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T00:00",
            ["04-04 14:45", "04-04 15:15", "04-05 15:15"],
            id="half-an-hour-back",
        ),
        pytest.param("0 0 */2 * 1", "Etc/UTC", "2026-01-01T00:00", ["01-03 00:00", "01-05 00:00"], id="step-restricts"),
        pytest.param("0 0 */1 * 1", "Etc/UTC", "2026-01-01T00:00", ["01-05 00:00"], id="step-of-one-does-not"),
        pytest.param("0 0 13 * 5", "Etc/UTC", "2026-01-01T00:00", ["01-02 00:00"], id="day-or-weekday"),
        pytest.param("0 0 29 2 *", "Etc/UTC", "2026-03-01T00:00", ["02-29 00:00"], id="leap-day"),
        pytest.param("0 0 31 4 5", "Etc/UTC", "2026-01-01T00:00", ["04-03 00:00"], id="only-the-weekday-comes"),
    ],
)
def test_slots(schedule: str, zone: str, after: str, expected: list[str]) -> None:
    """Slots are where the clocks of the zone show them: none that is jumped over, both of what comes twice."""
    assert expected == slots(schedule, zone, after, len(expected))


@pytest.mark.parametrize("word", sorted(WORDS))
def test_words_are_schedules(word: str) -> None:
    """Every word stands for five fields that come."""
    assert next_time(word, "Etc/UTC", at("2026-01-01T00:00")) == next_time(
        WORDS[word], "Etc/UTC", at("2026-01-01T00:00")
    )


@pytest.mark.parametrize("schedule", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 12 31 FEB *"])
def test_a_date_that_never_comes(schedule: str) -> None:
    """A schedule whose fields are sound and whose date does not exist is no error: it never fires."""
    assert next_time(schedule, "Europe/Copenhagen", at("2026-01-01T00:00")) is None


@pytest.mark.parametrize(
    "schedule",
    [
        "0 0 2 * * *",
        "0 2 * *",
        "",
        "@every 1h",
        "@reboot",
        "TZ=UTC 0 2 * * *",
        "60 2 * * *",
        "0 0 32 2 *",
        "? 2 * * *",
        "x",
    ],
)
def test_what_is_no_schedule(schedule: str) -> None:
    """Six fields, unknown words and impossible numbers are refused, and the text that was given is named."""
    with pytest.raises(InvalidSpecError) as caught:
        next_time(schedule, "Etc/UTC", at("2026-01-01T00:00"))

    assert caught.value.reason is Reason.SCHEDULE_INVALID
    assert f"spec.schedule: {schedule!r} is no schedule of five fields" in caught.value.message


@pytest.mark.parametrize("zone", ["Mars/Phobos", "", "../etc/passwd", "/etc/passwd", "Europe"])
def test_an_unknown_time_zone(zone: str) -> None:
    """A zone that does not exist is refused, with an example of one that does; nothing outside the data base is read."""
    with pytest.raises(
        InvalidSpecError, match=r"spec\.timeZone: .* must be a name such as 'Europe/Copenhagen'"
    ) as caught:
        next_time("0 2 * * *", zone, at("2026-01-01T00:00"))

    assert caught.value.reason is Reason.SCHEDULE_INVALID


numbers = st.one_of(st.just("*"), st.integers(0, 23).map(str), st.just("*/7"), st.just("1-3"), st.just("2,20"))
minutes = st.one_of(st.integers(0, 59).map(str), st.just("*/25"), st.just("15,55"))
moments = st.one_of(
    st.integers(0, 3 * 365 * 24 * 60).map(lambda number: at("2026-01-01T00:00") + timedelta(minutes=number)),
    st.integers(-3000, 3000).map(lambda number: at("2026-10-25T01:00") + timedelta(minutes=number)),
    st.integers(-3000, 3000).map(lambda number: at("2026-04-04T15:00") + timedelta(minutes=number)),
)


@settings(max_examples=300, deadline=None)
@given(minute=minutes, hour=numbers, zone=st.sampled_from(ZONES), after=moments)
def test_the_next_slot_is_the_first_minute_that_fits(minute: str, hour: str, zone: str, after: datetime) -> None:
    """In every zone, at every time of the year: walking minute by minute finds the same slot, or none within a day and an hour."""
    found = next_time(f"{minute} {hour} * * *", zone, after)
    assert found is not None
    walked = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while walked < found:
        local = walked.astimezone(ZoneInfo(zone))
        assert not (_fits(minute, local.minute, 60) and _fits(hour, local.hour, 24)), f"{walked} was passed over"
        walked += timedelta(minutes=1)
    local = found.astimezone(ZoneInfo(zone))
    assert _fits(minute, local.minute, 60)
    assert _fits(hour, local.hour, 24)
    assert found - after <= timedelta(days=2, hours=1)


def _fits(text: str, number: int, end: int) -> bool:
    if text.startswith("*"):
        return number in range(0, end, int(text.partition("/")[2] or 1))
    if "-" in text:
        first, last = (int(part) for part in text.split("-"))
        return first <= number <= last
    return number in {int(part) for part in text.split(",")}


@given(after=moments, zone=st.sampled_from(ZONES))
@settings(deadline=None)
def test_slots_come_in_order(after: datetime, zone: str) -> None:
    """However the clocks are turned, each slot is later than the one before."""
    found = [after]
    for _ in range(30):
        slot = next_time("*/20 1,2 * * *", zone, found[-1])
        assert slot is not None
        found.append(slot)
    assert all(before < later for before, later in pairwise(found))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        pytest.param("0 2 * * *", timedelta(days=1), id="daily"),
        pytest.param("0 2 * * 1-5", timedelta(days=3), id="the-weekend-counts"),
        pytest.param("*/10 8-18 * * *", timedelta(hours=13, minutes=10), id="the-night-counts"),
        pytest.param("@monthly", timedelta(days=31), id="monthly"),
        pytest.param("0 0 30 2 *", None, id="never"),
    ],
)
def test_the_longest_interval(schedule: str, expected: timedelta | None) -> None:
    """What an alert on an old backup has to wait for is the longest pause of the schedule, not the next one."""
    assert longest_interval(schedule, date(2026, 1, 7)) == expected


def test_shows_that_run_out_fire_no_more() -> None:
    """When not one of the shows of half a century exists, there is no slot."""
    zone, after = ZoneInfo("Europe/Copenhagen"), at("2026-03-28T00:00")
    jumped_over = [datetime(2026, 3, 29, 2, 30)]  # noqa: DTZ001 - what clocks show

    assert _first(jumped_over, zone, after=after, settled=jumped_over[0]) is None
