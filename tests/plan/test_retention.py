"""Retention rule by rule: what each of them keeps, what it says of it, and when it does not dare."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dbcustody.api.policy import Retention
from dbcustody.errors import InvalidSpecError
from dbcustody.plan.period import Period, periods_after, slot_key
from dbcustody.plan.retention import LEAST_DAYS, decide
from dbcustody.reason import Reason
from dbcustody.repository.inventory import Doubt, Inventory
from dbcustody.repository.manifest import Scope
from tests.fakes.history import START, Told, inventory_of, read_backup, without
from tests.fakes.verdict import NONE, ZONES, plan_of, reasons


@pytest.mark.parametrize("zone", ZONES)
def test_a_year_of_nights(zone: str) -> None:
    """Two years of nightly backups by default, thinned out each night: seven days, four weeks, twelve months, never frozen."""
    inventory = Inventory()
    local = ZoneInfo(zone)
    for day in range(731):
        snapshot = datetime(2026, 1, 1, 2, 30, tzinfo=local) + timedelta(days=day)
        one = read_backup(Told(name=f"n{day}", snapshot=snapshot.astimezone(UTC)))
        inventory = replace(inventory, backups=(*inventory.backups, one))
        plan = decide(inventory, Retention(), time_zone=zone, now=one.manifest.finished)
        assert plan.frozen is None
        assert len(plan.deletions) <= 3
        inventory = without(inventory, plan.deletions)

    counts = Counter(word for words in reasons(plan) for word in words)
    assert (counts["Daily"], counts["Weekly"], counts["Monthly"], counts["Last"]) == (7, 4, 12, 1)
    nights = [one.manifest.snapshot.astimezone(local).date() for one in inventory.live]
    assert [(nights[-1] - night).days for night in nights[-7:]] == [6, 5, 4, 3, 2, 1, 0]
    assert len({(night.year, night.month) for night in nights}) == 12
    assert {night.day for night in nights if night.month == 2} == {28}
    assert len(nights) <= 7 + 4 + 12


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        pytest.param("Europe/Copenhagen", "2026-10-25", 25, id="autumn"),
        pytest.param("Europe/Copenhagen", "2026-03-29", 23, id="spring"),
        pytest.param("Australia/Lord_Howe", "2026-04-05", 25, id="half-an-hour"),
        pytest.param("Etc/UTC", "2026-04-05", 24, id="no-shift"),
    ],
)
def test_hours_of_a_day_on_which_the_clocks_change(zone: str, day: str, hours: int) -> None:
    """Hourly slots on such a day: each hour that people live through has one, the one that comes twice two; the day has one."""
    midnight = datetime.fromisoformat(f"{day}T00:00+00:00").replace(tzinfo=ZoneInfo(zone))
    begin, end = midnight.astimezone(UTC), (midnight + timedelta(days=1)).astimezone(UTC)
    quarters = int((end - begin) / timedelta(minutes=15))
    history = [Told(snapshot=begin + timedelta(minutes=15 * number)) for number in range(quarters)]
    plan = plan_of(inventory_of(history), replace(NONE, keep_hourly=100, keep_daily=9), zone)

    counts = Counter(word for words in reasons(plan) for word in words)
    assert (counts["Hourly"], counts["Daily"]) == (hours, 1)


def test_order_is_the_time_of_the_data() -> None:
    """A long dump of older data that finished later, or was listed later, does not become the newest."""
    long_one = Told(snapshot=START, took=timedelta(hours=30))
    short_one = Told(snapshot=START + timedelta(hours=20))
    plan = plan_of(inventory_of([short_one, long_one]), NONE)

    assert reasons(plan) == [("Expired",), ("Last", "LastGood", "LastVerified")]


def test_periods_are_those_of_the_time_zone() -> None:
    """Half past eleven at night in Copenhagen and half past midnight are two days there, and one in UTC."""
    history = [Told(snapshot=datetime(2026, 1, 5, hour, 30, tzinfo=UTC)) for hour in (22, 23)]

    def daily(zone: str) -> int:
        plan = plan_of(inventory_of(history), replace(NONE, keep_daily=2), zone)
        return sum("Daily" in words for words in reasons(plan))

    assert (daily("Europe/Copenhagen"), daily("Etc/UTC")) == (2, 1)


def test_within_days_counts_from_finish_to_newest() -> None:
    """A backup stays for so many days from its finish; the newest good one says what time it is."""
    newest = Told(snapshot=START + timedelta(days=10), took=timedelta(0))
    young = Told(snapshot=START, took=timedelta(hours=1))
    old = Told(snapshot=START - timedelta(seconds=1), took=timedelta(0))
    plan = plan_of(inventory_of([old, young, newest]), replace(NONE, keep_within_days=10))

    assert reasons(plan)[:2] == [("Expired",), ("WithinDays",)]
    assert plan.entries[1].expires == START + timedelta(days=10, hours=1)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        pytest.param({"level": None}, "Unproven", id="unproven"),
        pytest.param({"scope": Scope.PARTIAL}, "Partial", id="partial"),
    ],
)
@pytest.mark.parametrize(
    ("retention", "days"),
    [
        pytest.param(NONE, LEAST_DAYS, id="a-week-at-least"),
        pytest.param(replace(NONE, keep_daily=30), 30, id="as-long-as-daily-ones"),
        pytest.param(replace(NONE, keep_within_days=40), 40, id="as-long-as-all-others"),
    ],
)
def test_what_fills_no_slot_stays_a_while(changes: dict[str, Any], word: str, retention: Retention, days: int) -> None:
    """A Partial or unproven backup stays for some days after its finish, and goes once a newer good one of its kind is older than that."""
    spare = Told(snapshot=START, took=timedelta(0), **changes)
    kind = {"scope": changes.get("scope", Scope.FULL)}

    def because(age: timedelta) -> tuple[str, ...]:
        newest = Told(snapshot=START + age, took=timedelta(0), **kind)
        return reasons(plan_of(inventory_of([spare, newest]), retention))[0]

    assert word in because(timedelta(days=days) - timedelta(seconds=1))
    assert because(timedelta(days=days)) == ("Expired",)


def test_partial_of_one_policy_does_not_stand_in_for_another() -> None:
    """Partial backups of different policies hold different tables: the newest of each stays, also beside whole ones."""
    history = [
        Told(snapshot=START, scope=Scope.PARTIAL, policy="orders"),
        Told(snapshot=START + timedelta(days=1), scope=Scope.PARTIAL, policy="events"),
        Told(snapshot=START + timedelta(days=50)),
    ]

    assert plan_of(inventory_of(history), NONE).deletions == ()


def test_words_of_a_plan() -> None:
    """Every reason stands beside a backup, newest first; what goes says so."""
    history = [Told(snapshot=START + timedelta(days=day), level="Checksum" if day else "Read") for day in range(3)]
    plan = plan_of(inventory_of(history), replace(NONE, keep_weekly=1))

    assert [(entry.name, entry.keep, entry.because) for entry in plan.entries] == [
        ("shop-2", True, ("Last", "Weekly", "LastGood")),
        ("shop-1", False, ("Expired",)),
        ("shop-0", True, ("LastVerified",)),
    ]
    assert plan.deletions == (plan.entries[1].backup_id,)


def test_the_newest_one_that_was_restored_stays() -> None:
    """What is proven best is not let go for what was only read: it stands in for nothing else, and says why it stays."""
    levels = ["Restore", "Read", "Restore", "Read", "Read"]
    history = [Told(snapshot=START + timedelta(days=day), level=level) for day, level in enumerate(levels)]
    plan = plan_of(inventory_of(history), NONE, confirmed=plan_of(inventory_of(history), NONE).hash)

    assert {entry.name: entry.because for entry in plan.entries if entry.keep} == {
        "shop-4": ("Last", "LastGood", "LastVerified"),
        "shop-2": ("LastRestoreTested",),
    }


def test_a_hold_of_the_resource_keeps_like_one_in_the_storage() -> None:
    """A backup whose Backup carries a legal hold stays, whatever the slots say, and no other does."""
    history = [Told(snapshot=START + timedelta(days=day), level="Checksum") for day in range(3)]
    plan = plan_of(inventory_of(history), NONE, held_names=frozenset({"shop-0"}))

    assert {entry.name: entry.because for entry in plan.entries if entry.keep} == {
        "shop-2": ("Last", "LastGood"),
        "shop-0": ("Held",),
    }


def test_unreadable_documents_freeze() -> None:
    """A fact or manifest that could not be read freezes the plan, which says how many there are."""
    inventory = replace(inventory_of([Told()]), unreadable={f"k{n}": Doubt.UNREADABLE for n in range(5)})
    frozen = plan_of(inventory, NONE).frozen

    assert frozen is not None
    assert frozen[0] is Reason.RETENTION_FROZEN
    assert frozen[1].endswith("(k0: Unreadable, k1: Unreadable, k2: Unreadable and 2 more)")


def test_the_message_tells_how_to_confirm() -> None:
    """The message of a plan that waits says what is unlikely, and quotes the annotation with the plan's hash."""
    history = [Told(snapshot=START + timedelta(days=day)) for day in range(6)]
    plan = plan_of(inventory_of(history), NONE, now=START + timedelta(days=1))

    assert plan.frozen is not None
    reason, message = plan.frozen
    assert reason is Reason.RETENTION_NEEDS_CONFIRMATION
    assert "2026-01-10T02:05:00Z lies in the future of 2026-01-06T02:00:00Z" in message
    assert "5 of 6 backups would go at once" in message
    assert message.endswith(f"dbcustody.dev/confirm-prune={plan.hash}")


def test_hash_is_of_what_goes() -> None:
    """Another set of deletions has another hash, so that an old confirmation confirms nothing new."""
    history = [Told(snapshot=START + timedelta(days=day)) for day in range(6)]
    first = plan_of(inventory_of(history), NONE)
    second = plan_of(inventory_of([*history, Told(snapshot=START + timedelta(days=6))]), NONE)

    assert first.hash != second.hash
    assert plan_of(inventory_of(history), replace(NONE, keep_yearly=1)).hash == first.hash


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(datetime(1, 1, 1, tzinfo=UTC), id="first-year"),
        pytest.param(datetime(9999, 12, 31, 23, 0, tzinfo=UTC), id="last-year"),
    ],
)
@pytest.mark.parametrize("zone", ZONES)
def test_times_that_no_calendar_holds(moment: datetime, zone: str) -> None:
    """A manifest with an absurd time, which anybody can write without encryption, is decided about and breaks nothing."""
    history = [Told(snapshot=moment, took=timedelta(0)), Told(), Told(snapshot=START + timedelta(days=1))]
    plan = plan_of(inventory_of(history), Retention(keep_yearly=1000, keep_within_days=36_500), zone)

    assert len(plan.entries) == 3


def test_unknown_time_zone_is_refused() -> None:
    """A zone that does not exist is told, not taken for UTC."""
    with pytest.raises(InvalidSpecError, match="is no time zone"):
        plan_of(inventory_of([Told()]), NONE, "Mars/Olympus")


@pytest.mark.parametrize(
    ("period", "moment", "count", "expected"),
    [
        pytest.param(Period.HOURLY, "2026-10-25T00:30+02:00", 24, "2026-10-25T23:30+01:00", id="hours-are-hours"),
        pytest.param(Period.DAILY, "2026-10-24T02:00+02:00", 2, "2026-10-26T02:00+01:00", id="days-of-the-clock"),
        pytest.param(Period.WEEKLY, "2026-03-23T02:00+01:00", 1, "2026-03-30T02:00+02:00", id="weeks-of-the-clock"),
        pytest.param(Period.MONTHLY, "2026-10-31T02:00+01:00", 4, "2027-02-28T02:00+01:00", id="short-month"),
        pytest.param(Period.MONTHLY, "2026-12-05T02:00+01:00", 1, "2027-01-05T02:00+01:00", id="over-new-year"),
        pytest.param(Period.YEARLY, "2028-02-29T02:00+01:00", 1, "2029-02-28T02:00+01:00", id="leap-day"),
    ],
)
def test_when_periods_have_passed(period: Period, moment: str, count: int, expected: str) -> None:
    """Days, weeks, months and years are those of people, hours those of physics."""
    local = datetime.fromisoformat(moment).astimezone(ZoneInfo("Europe/Copenhagen"))

    assert periods_after(period, local, count) == datetime.fromisoformat(expected)


@example(days=0)
@given(st.integers(min_value=0, max_value=4000))
def test_a_week_begins_on_monday(days: int) -> None:
    """Seven days from a Monday on share a week, also across New Year."""
    monday = START + timedelta(weeks=days)

    assert len({slot_key(Period.WEEKLY, monday + timedelta(days=day)) for day in range(7)}) == 1
    assert slot_key(Period.WEEKLY, monday) != slot_key(Period.WEEKLY, monday - timedelta(hours=3))


def test_what_vanished_freezes_everything() -> None:
    """Who took one away may mean to have retention take the others: nothing goes, and those that are missed are named."""
    history = inventory_of(Told(snapshot=START + timedelta(days=day)) for day in range(4))
    plan = plan_of(history, NONE, vanished=("a", "b", "c", "d"))

    assert len(plan_of(history, NONE).deletions) == 3
    assert plan.frozen is not None
    assert plan.frozen[0] is Reason.CONTINUITY_UNPROVEN
    assert plan.frozen[1].startswith(
        "nothing is deleted: a, b, c and 1 more lay in the storage and vanished without a tombstone"
    )
    assert plan.deletions == ()
