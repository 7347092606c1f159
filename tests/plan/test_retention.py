"""Retention over thousands of random histories: what must never go does not go, and what goes is what the rules say."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dbcustody.api.policy import Retention
from dbcustody.errors import InvalidSpecError
from dbcustody.plan.period import Period, periods_after, slot_key
from dbcustody.plan.retention import FEW, LEAST_DAYS, SKEW, Because, RetentionPlan, decide
from dbcustody.reason import Reason
from dbcustody.repository.inventory import Doubt, Inventory
from dbcustody.repository.manifest import Scope
from tests.fakes.history import START, Told, inventory_of, read_backup, without

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dbcustody.repository.inventory import ReadBackup

ZONES = ("Etc/UTC", "Europe/Copenhagen", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu")
LATER = START + timedelta(days=4000)
NONE = Retention(keep_last=1, keep_daily=0, keep_weekly=0, keep_monthly=0)
COUNTS = {
    Period.HOURLY: "keep_hourly",
    Period.DAILY: "keep_daily",
    Period.WEEKLY: "keep_weekly",
    Period.MONTHLY: "keep_monthly",
    Period.YEARLY: "keep_yearly",
}

few = st.integers(min_value=0, max_value=4)
retentions = st.builds(
    Retention,
    keep_last=st.integers(min_value=1, max_value=4),
    keep_hourly=few,
    keep_daily=few,
    keep_weekly=few,
    keep_monthly=few,
    keep_yearly=few,
    keep_within_days=st.sampled_from([0, 0, 1, 10, 100]),
)
MINUTES = (*range(0, 3600, 60), *range(0, 60 * 1440, 1440), *range(0, 3000 * 1440, 60 * 37))
"""Hours in a row, days in a row, and years at random."""
WAYS: tuple[tuple[Any, ...], ...] = (
    tuple(timedelta(minutes=number) for number in (5, 0, 60, 1800)),
    ("Read", "Read", "Checksum", None),
    (Scope.FULL, Scope.FULL, Scope.PARTIAL),
    ("1", "1", "2", None),
    ("nightly", "nightly", "weekly", None),
    (False, False, False, True),
)


def told_by(number: int) -> Told:
    """Return the backup that *number* encodes: one number is drawn and shrunk faster than seven choices."""
    number, place = divmod(number, len(MINUTES))
    chosen = []
    for way in WAYS:
        number, choice = divmod(number, len(way))
        chosen.append(way[choice])
    took, level, scope, server, policy, is_held = chosen
    snapshot = START + timedelta(minutes=MINUTES[place])
    return Told(snapshot=snapshot, took=took, level=level, scope=scope, server=server, policy=policy, is_held=is_held)


moments = st.sampled_from(MINUTES).map(lambda minutes: START + timedelta(minutes=minutes))
tales = st.integers(min_value=0, max_value=math.prod(map(len, WAYS)) * len(MINUTES) - 1).map(told_by)
histories = st.lists(tales, max_size=12)
zones = st.sampled_from(ZONES)
many = settings(max_examples=200, deadline=None)


def plan_of(inventory: Inventory, retention: Retention, zone: str = "Etc/UTC", **more: Any) -> RetentionPlan:
    """Return the plan as of a time at which nothing lies in the future."""
    return decide(inventory, retention, time_zone=zone, **({"now": LATER} | more))


def meant(inventory: Inventory, retention: Retention, zone: str = "Etc/UTC", **more: Any) -> RetentionPlan:
    """Return the plan after a person confirmed it."""
    plan = plan_of(inventory, retention, zone, **more)
    return plan_of(inventory, retention, zone, **more, confirmed=plan.hash)


def kept(plan: RetentionPlan) -> set[str]:
    """Return the ids of what stays."""
    return {entry.backup_id for entry in plan.entries if entry.keep}


def reasons(plan: RetentionPlan) -> list[tuple[str, ...]]:
    """Return the reasons of every entry, oldest backup first."""
    return [entry.because for entry in reversed(plan.entries)]


def kin_of(one: ReadBackup) -> tuple[object, ...]:
    """Return what two backups must share to stand in for each other."""
    manifest = one.manifest
    is_full = manifest.scope is Scope.FULL
    return (manifest.server.system_identifier, manifest.scope, None if is_full else manifest.policy)


def by_kin(inventory: Inventory) -> Iterable[list[ReadBackup]]:
    """Return the backups of *inventory* that compete with each other, oldest first."""
    kin: dict[tuple[object, ...], list[ReadBackup]] = {}
    for one in inventory.live:
        kin.setdefault(kin_of(one), []).append(one)
    return kin.values()


@many
@given(histories, retentions, zones)
def test_the_last_good_one_never_goes(history: list[Told], retention: Retention, zone: str) -> None:
    """Of every server, the newest good backup, the newest verified one, and every held one stay, confirmed or not."""
    inventory = inventory_of(history)
    plan = meant(inventory, retention, zone)

    for kin in by_kin(inventory):
        good = [one.manifest.backup_id for one in kin if one.is_good]
        verified = [one.manifest.backup_id for one in kin if one.is_verified]
        assert set(good[-1:] + verified[-1:]) <= kept(plan)
    assert {one.manifest.backup_id for one in inventory.live if one.is_held} <= kept(plan)


@many
@given(histories, retentions, zones)
def test_nothing_goes_without_a_newer_good_one(history: list[Told], retention: Retention, zone: str) -> None:
    """For whatever goes, a newer good backup of the same server and kind is there and stays."""
    inventory = inventory_of(history)
    plan = meant(inventory, retention, zone)
    gone = set(plan.deletions)

    for kin in by_kin(inventory):
        for place, one in enumerate(kin):
            if one.manifest.backup_id in gone:
                assert any(newer.is_good and newer.manifest.backup_id not in gone for newer in kin[place + 1 :])


@many
@given(histories, retentions, zones)
def test_slots_are_what_a_calendar_says(history: list[Told], retention: Retention, zone: str) -> None:
    """A good whole backup has a slot when it is the last of its period and fewer later periods than slots have one; nothing else has."""
    inventory = inventory_of(history)
    plan = plan_of(inventory, retention, zone)
    told = {entry.backup_id: entry.because for entry in plan.entries}

    for kin in by_kin(inventory):
        full = [one for one in kin if one.is_good and one.manifest.scope is Scope.FULL]
        for period, field in COUNTS.items():
            keys = [slot_key(period, one.manifest.snapshot.astimezone(ZoneInfo(zone))) for one in full]
            for place, one in enumerate(full):
                later = set(keys[place + 1 :])
                has_slot = keys[place] not in later and len(later) < getattr(retention, field)
                assert (period.value in told[one.manifest.backup_id]) is has_slot
        for one in kin:
            if one not in full:
                assert not {*COUNTS, Because.LAST} & set(told[one.manifest.backup_id])


@many
@given(histories, retentions, zones)
def test_the_newest_stay(history: list[Told], retention: Retention, zone: str) -> None:
    """Of each server the newest `keepLast` good whole backups stay."""
    inventory = inventory_of(history)

    for kin in by_kin(inventory):
        full = [one.manifest.backup_id for one in kin if one.is_good and one.manifest.scope is Scope.FULL]
        assert set(full[-retention.keep_last :]) <= kept(meant(inventory, retention, zone))


@many
@given(histories, retentions, zones)
def test_servers_do_not_compete(history: list[Told], retention: Retention, zone: str) -> None:
    """What is decided about one server's backups is the same whether or not another's lie beside them."""
    both = inventory_of(history)
    one = replace(both, backups=tuple(b for b in both.backups if b.manifest.server.system_identifier == "1"))
    ids = {backup.manifest.backup_id for backup in one.backups}

    entries = plan_of(both, retention, zone).entries
    assert tuple(entry for entry in entries if entry.backup_id in ids) == plan_of(one, retention, zone).entries


@many
@given(histories, retentions, zones, tales)
def test_what_is_not_good_takes_nothing(history: list[Told], retention: Retention, zone: str, more: Told) -> None:
    """A failed, unverified or Partial backup changes nothing that is decided about good whole ones."""
    more = more if more.scope is Scope.PARTIAL else replace(more, level=None)
    inventory = inventory_of(history)
    with_more = inventory_of([*history, more])
    full = {one.manifest.backup_id for one in inventory.live if one.is_good and one.manifest.scope is Scope.FULL}

    before = [entry for entry in plan_of(inventory, retention, zone).entries if entry.backup_id in full]
    after = [entry for entry in plan_of(with_more, retention, zone).entries if entry.backup_id in full]
    assert before == after


@many
@given(histories, retentions, zones)
def test_once_is_enough(history: list[Told], retention: Retention, zone: str) -> None:
    """After a plan was carried out, the next one wants nothing more: no slot moves because of a deletion."""
    inventory = inventory_of(history)
    after = without(inventory, meant(inventory, retention, zone).deletions)

    again = plan_of(after, retention, zone)
    assert (again.deletions, again.hash, again.frozen) == ((), "", None)
    assert kept(again) == {one.manifest.backup_id for one in after.live}


@many
@given(histories, retentions, zones, st.integers(min_value=0, max_value=20_000))
def test_a_clock_that_runs_ahead_deletes_nothing_more(
    history: list[Told], retention: Retention, zone: str, days: int
) -> None:
    """Time alone expires nothing: when backups stop, what is there stays."""
    inventory = inventory_of(history)
    ahead = plan_of(inventory, retention, zone, now=LATER + timedelta(days=days))

    assert ahead == plan_of(inventory, retention, zone)


@many
@given(histories, retentions, zones)
def test_many_at_once_wait_for_a_person(history: list[Told], retention: Retention, zone: str) -> None:
    """More than half of five or more at once are deleted only when the very plan is confirmed."""
    inventory = inventory_of(history)
    plan = plan_of(inventory, retention, zone)
    doomed = [entry.backup_id for entry in reversed(plan.entries) if not entry.keep]
    is_many = len(inventory.live) >= FEW and 2 * len(doomed) > len(inventory.live)

    assert (plan.frozen is not None) is is_many
    assert plan.deletions == (() if is_many else tuple(doomed))
    assert plan_of(inventory, retention, zone, confirmed="0" * 16).deletions == plan.deletions
    assert meant(inventory, retention, zone).deletions == tuple(doomed)
    assert bool(plan.hash) is bool(doomed)


@many
@given(
    histories, retentions, zones, st.builds(Told, snapshot=moments, doubts=st.sampled_from(Doubt).map(lambda d: (d,)))
)
def test_a_doubt_freezes_everything(history: list[Told], retention: Retention, zone: str, odd: Told) -> None:
    """One backup that cannot be believed, and nothing is deleted; no confirmation helps, and it itself stays."""
    inventory = inventory_of([*history, odd])
    plan = meant(inventory, retention, zone)

    assert plan.deletions == ()
    assert plan.frozen is not None
    assert plan.frozen[0] is Reason.RETENTION_FROZEN
    assert odd.doubts[0].value in plan.frozen[1]
    assert {one.manifest.backup_id for one in inventory.live if one.doubts} <= kept(plan)


@many
@given(histories, retentions, zones, moments)
def test_a_clock_that_jumped_back_waits_for_a_person(
    history: list[Told], retention: Retention, zone: str, now: datetime
) -> None:
    """While a backup lies in the future, nothing is deleted unless a person says so."""
    inventory = inventory_of(history)
    newest = max((told.snapshot + told.took for told in history), default=now)
    plan = plan_of(inventory, retention, zone, now=now)
    wants = any(not entry.keep for entry in plan.entries)

    if newest > now + SKEW:
        assert plan.deletions == ()
        assert (plan.frozen is not None) is wants
    assert bool(meant(inventory, retention, zone, now=now).deletions) is wants


@many
@given(histories, retentions, zones)
def test_a_policy_decides_about_its_own(history: list[Told], retention: Retention, zone: str) -> None:
    """Backups of another policy, or of none, stay, and are neither counted nor in anybody's way."""
    inventory = inventory_of(history)
    own = replace(inventory, backups=tuple(one for one in inventory.backups if one.manifest.policy == "nightly"))
    ids = {one.manifest.backup_id for one in own.backups}
    plan = meant(inventory, retention, zone, policy="nightly")

    assert plan.deletions == meant(own, retention, zone).deletions
    for entry in plan.entries:
        assert (Because.OTHER_POLICY in entry.because) is (entry.backup_id not in ids)


@many
@given(histories, retentions, zones)
def test_what_is_told_of_the_end_comes_after_the_finish(history: list[Told], retention: Retention, zone: str) -> None:
    """An expiry is told only of what stays for reasons that end, and lies behind the backup's finish."""
    inventory = inventory_of(history)
    finished = {one.manifest.backup_id: one.manifest.finished for one in inventory.live}

    timeless = {Because.LAST, Because.LAST_GOOD, Because.LAST_VERIFIED, Because.NO_NEWER_GOOD, Because.HELD}
    for entry in plan_of(inventory, retention, zone).entries:
        if entry.expires is not None:
            assert entry.keep
            assert entry.expires > finished[entry.backup_id]
        assert (entry.expires is None) is (not entry.keep or not timeless.isdisjoint(entry.because))


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
