"""Whether the recovery point is as the schedule promises, and what became of each slot."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbcustody.api.condition import ConditionType
from dbcustody.plan.recovery_point import (
    GRACE,
    MOST_SLOTS,
    Promise,
    Run,
    judge_recovery_point,
    judge_slots,
    newest_begun,
    newest_good,
)
from dbcustody.reason import Reason
from tests.fakes.seen import NOW, ago

HOUR = timedelta(hours=1)
SLOT = NOW.replace(hour=2)
"""Ten hours before NOW; the schedule is daily at two."""


def daily(after: datetime) -> datetime:
    """Return the first two o'clock after *after*."""
    slot = after.replace(hour=2, minute=0, second=0, microsecond=0)
    return slot if slot > after else slot + timedelta(days=1)


PROMISE = Promise(next_time=daily, created_time=ago(40 * 3600), deadline=HOUR, timeout=6 * HOUR)
SHORT = replace(PROMISE, created_time=ago(3600))


def run(name: str = "monday", **values: Any) -> Run:
    """Return a run that took place for SLOT and is good."""
    defaults: dict[str, Any] = {
        "is_finished": True,
        "is_good": True,
        "reason": "Succeeded",
        "begun_time": SLOT,
        "scheduled_time": SLOT,
        "data_time": SLOT + timedelta(minutes=1),
        "ended_time": SLOT + timedelta(minutes=5),
    }
    return Run(name=name, **(defaults | values))


GOOD = run()
OLD = run("sunday", begun_time=SLOT - 24 * HOUR, data_time=SLOT - 24 * HOUR, ended_time=SLOT - 24 * HOUR)
FAILED = run("failed", is_good=False, reason="DumpFailed", data_time=None)
GOING = run("going", is_good=False, is_finished=False, data_time=None, ended_time=None)


@pytest.mark.parametrize(
    ("promise", "runs", "now", "status", "reason", "text"),
    [
        pytest.param(PROMISE, (GOOD,), NOW, "True", Reason.RECOVERY_POINT_CURRENT, "'monday' holds", id="current"),
        pytest.param(SHORT, (), NOW, "Unknown", Reason.NO_BACKUP_YET, "the next run is due", id="new-policy"),
        pytest.param(
            PROMISE,
            (OLD,),
            SLOT + timedelta(minutes=59),
            "True",
            Reason.RECOVERY_POINT_CURRENT,
            "has not begun yet",
            id="within-the-starting-deadline",
        ),
        pytest.param(
            PROMISE,
            (OLD,),
            SLOT + HOUR + GRACE,
            "False",
            Reason.RECOVERY_POINT_MISSED,
            "no run began",
            id="nothing-began",
        ),
        pytest.param(PROMISE, (), NOW, "False", Reason.NO_BACKUP_YET, "no run began", id="never-had-one"),
        pytest.param(
            PROMISE, (OLD, GOING), NOW - 4 * HOUR, "True", Reason.RECOVERY_POINT_CURRENT, "under way", id="under-way"
        ),
        pytest.param(
            PROMISE,
            (OLD, GOING),
            SLOT + 7 * HOUR,
            "False",
            Reason.RECOVERY_POINT_MISSED,
            "no run began",
            id="under-way-for-too-long",
        ),
        pytest.param(
            PROMISE,
            (OLD, FAILED),
            SLOT + timedelta(minutes=6),
            "False",
            Reason.RECOVERY_POINT_MISSED,
            "'failed' ended with DumpFailed",
            id="failed-is-said-at-once",
        ),
        pytest.param(
            PROMISE,
            (OLD, FAILED, run("second", is_good=False, reason="StorageFull", data_time=None, begun_time=SLOT + HOUR)),
            NOW,
            "False",
            Reason.RECOVERY_POINT_MISSED,
            "'second' ended with StorageFull",
            id="the-newest-failure-is-told",
        ),
        pytest.param(
            PROMISE,
            (OLD, replace(FAILED, begun_time=None)),
            NOW,
            "False",
            Reason.RECOVERY_POINT_MISSED,
            "'failed' ended",
            id="a-failure-that-never-began",
        ),
        pytest.param(
            PROMISE,
            (replace(FAILED, begun_time=SLOT - 30 * HOUR), OLD),
            SLOT + timedelta(minutes=6),
            "True",
            Reason.RECOVERY_POINT_CURRENT,
            "not begun yet",
            id="a-failure-before-the-slot-is-past",
        ),
        pytest.param(
            replace(PROMISE, suspend=True), (OLD,), NOW, "Unknown", Reason.SUSPENDED, "spec.suspend", id="suspended"
        ),
        pytest.param(
            replace(PROMISE, next_time=lambda _: None),
            (OLD,),
            NOW,
            "Unknown",
            Reason.SCHEDULE_NEVER_FIRES,
            "no date fits",
            id="never-fires",
        ),
        pytest.param(
            PROMISE, (replace(GOOD, data_time=None),), NOW, "False", Reason.NO_BACKUP_YET, "", id="good-without-a-time"
        ),
    ],
)
def test_the_recovery_point(  # noqa: PLR0917 - a table
    promise: Promise, runs: tuple[Run, ...], now: datetime, status: str, reason: Reason, text: str
) -> None:
    """The recovery point is current as long as no slot since the newest good backup was given up."""
    said = judge_recovery_point(promise, runs, now)

    assert (said.type, said.status, said.reason) == (ConditionType.RECOVERY_POINT_CURRENT, status, reason)
    assert text in said.message


def test_the_newest_runs() -> None:
    """Newest is judged by the data's time for good ones, by the beginning for all; without such a time none is."""
    assert newest_good((OLD, GOOD, FAILED)) == GOOD
    assert newest_begun((OLD, replace(GOOD, begun_time=None))) == OLD
    assert newest_good((FAILED,)) is None
    assert newest_begun(()) is None


def test_each_slot_is_recorded_once() -> None:
    """A slot is given up when deadline and grace are over, and not again when judged from where it ended."""
    first = judge_slots(PROMISE, (), frozenset(), since=SLOT - HOUR, now=SLOT + HOUR + GRACE)
    second = judge_slots(PROMISE, (), frozenset(), since=first.judged_until, now=SLOT + 23 * HOUR)

    assert [slot.time for slot in first.missed] == [SLOT]
    assert second.missed == ()
    assert second.judged_until == SLOT


@pytest.mark.parametrize(
    ("runs", "taken", "expected"),
    [
        pytest.param((), frozenset(), ["Missed"], id="nothing-ran"),
        pytest.param((GOOD,), frozenset(), [], id="a-backup-of-the-slot"),
        pytest.param((), frozenset({SLOT}), [], id="a-job-of-the-slot"),
        pytest.param((replace(FAILED, scheduled_time=SLOT),), frozenset(), [], id="a-failed-run-is-a-run"),
        pytest.param(
            (replace(GOING, scheduled_time=None, begun_time=SLOT - HOUR),),
            frozenset(),
            ["Skipped"],
            id="one-was-under-way",
        ),
        pytest.param(
            (replace(GOOD, scheduled_time=None, begun_time=SLOT - HOUR),),
            frozenset(),
            ["Skipped"],
            id="one-ended-after-it",
        ),
        pytest.param(
            (replace(GOOD, scheduled_time=None, begun_time=SLOT - HOUR, ended_time=SLOT - GRACE),),
            frozenset(),
            ["Missed"],
            id="one-ended-before-it",
        ),
        pytest.param((replace(GOING, scheduled_time=None),), frozenset(), ["Missed"], id="one-began-at-it-by-hand"),
        pytest.param(
            (replace(GOING, scheduled_time=None, begun_time=None),), frozenset(), ["Missed"], id="never-began"
        ),
    ],
)
def test_what_became_of_a_slot(runs: tuple[Run, ...], taken: frozenset[datetime], expected: list[str]) -> None:
    """Skipped: another run was under way, which is a matter of its length. Missed: nothing ran, which is a matter of the cluster."""
    slots = judge_slots(PROMISE, runs, taken, since=SLOT - HOUR, now=NOW)

    assert [slot.reason for slot in slots.missed] == expected


def test_no_slots_while_suspended() -> None:
    """What nobody wanted is not missed, and is not made up for later."""
    slots = judge_slots(replace(PROMISE, suspend=True), (), frozenset(), since=ago(10**6), now=NOW)

    assert (slots.missed, slots.judged_until) == ((), NOW)


def test_no_slots_of_a_schedule_that_never_fires() -> None:
    """A schedule without dates misses nothing."""
    slots = judge_slots(replace(PROMISE, next_time=lambda _: None), (), frozenset(), since=ago(10**6), now=NOW)

    assert slots.missed == ()


def test_a_long_absence_is_judged_in_pieces() -> None:
    """An operator that was away for years recites a bounded number of slots at once, and goes on from there."""
    slots = judge_slots(PROMISE, (), frozenset(), since=NOW - timedelta(days=2000), now=NOW)

    assert len(slots.missed) == MOST_SLOTS


@settings(max_examples=200, deadline=None)
@given(
    kept=st.sets(st.integers(0, 20)),
    stops=st.lists(st.integers(0, 25 * 24), min_size=1, max_size=8).map(sorted),
)
def test_however_often_it_is_judged_each_slot_counts_once(kept: set[int], stops: list[int]) -> None:
    """The slots that are recorded as missed do not depend on when and how often somebody looked."""
    begin = SLOT - HOUR
    taken = frozenset(SLOT + timedelta(days=day) for day in kept)
    missed: list[datetime] = []
    since = begin
    for stop in stops:
        slots = judge_slots(PROMISE, (), taken, since=since, now=begin + stop * HOUR)
        missed += [slot.time for slot in slots.missed]
        since = slots.judged_until
    at_once = judge_slots(PROMISE, (), taken, since=begin, now=begin + stops[-1] * HOUR)

    assert missed == [slot.time for slot in at_once.missed]
    assert not taken & set(missed)
