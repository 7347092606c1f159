"""Retention over thousands of random histories: what must never go does not go, and what goes is what the rules say."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from dbcustody.api.condition import ConditionType, merge, yes
from dbcustody.api.meta import ObjectRef
from dbcustody.api.policy import Retention
from dbcustody.plan.period import Period, slot_key
from dbcustody.plan.pruning import spared_by
from dbcustody.plan.retention import FEW, SKEW, Because
from dbcustody.reason import Reason
from dbcustody.repository.inventory import Doubt, Inventory
from dbcustody.repository.manifest import Scope
from tests.fakes.history import START, Told, inventory_of, without
from tests.fakes.restore_plane import CHOSEN, OLD, replace_request
from tests.fakes.seen import with_status
from tests.fakes.verdict import LATER, ZONES, kept, meant, plan_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dbcustody.repository.inventory import ReadBackup

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
    ("Read", "Restore", "Checksum", None),
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
    """Of every server, the newest good, verified and restored backups, and every held one stay, confirmed or not."""
    inventory = inventory_of(history)
    plan = meant(inventory, retention, zone)

    for kin in by_kin(inventory):
        good = [one.manifest.backup_id for one in kin if one.is_good]
        verified = [one.manifest.backup_id for one in kin if one.is_verified]
        tested = [one.manifest.backup_id for one in kin if "Restore" in one.verified_levels and one.is_good]
        assert set(good[-1:] + verified[-1:] + tested[-1:]) <= kept(plan)
    assert {one.manifest.backup_id for one in inventory.live if one.is_held} <= kept(plan)


@many
@given(histories, retentions, zones, st.integers(min_value=0))
def test_the_way_back_from_a_swap_never_goes(history: list[Told], retention: Retention, zone: str, number: int) -> None:
    """Whichever backup was restored, and whichever was taken before: both stay until the old database is dropped, and no longer."""
    inventory = inventory_of(history)
    names = [one.manifest.name for one in inventory.live] or ["nothing"]
    rest, is_dropped = divmod(number, 2)
    restored, safety = (names[place % len(names)] for place in (rest, rest // len(names)))
    old = replace(OLD, dropped_time=LATER) if is_dropped else OLD
    request = with_status(
        replace_request(), backup=replace(CHOSEN, name=restored), safety_backup=ObjectRef(name=safety), old_database=old,
        conditions=merge((), (yes(ConditionType.FINISHED, Reason.SUCCEEDED),), generation=1, now=LATER),
    )  # fmt: skip
    spared = frozenset(spared_by(request, reads_here=True))
    without_it, plan = (meant(inventory, retention, zone, held_names=held) for held in (frozenset(), spared))

    stays = {one.manifest.backup_id for one in inventory.live if one.manifest.name in {restored, safety}}
    assert set(plan.deletions) == set(without_it.deletions) - (set() if is_dropped else stays)


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

    timeless = {
        Because.LAST,
        Because.LAST_GOOD,
        Because.LAST_VERIFIED,
        Because.LAST_RESTORE_TESTED,
        Because.NO_NEWER_GOOD,
        Because.HELD,
    }
    for entry in plan_of(inventory, retention, zone).entries:
        if entry.expires is not None:
            assert entry.keep
            assert entry.expires > finished[entry.backup_id]
        assert (entry.expires is None) is (not entry.keep or not timeless.isdisjoint(entry.because))
