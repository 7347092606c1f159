"""Whether a policy's recovery point is as its schedule promises, and which slots passed without a run.

The clock of truth is the schedule's slots: a slot is kept when a run began for it, and the recovery point is current while no slot
since the newest good backup has been given up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from dbcustody.api.condition import Condition, ConditionType, no, unknown, yes
from dbcustody.api.policy import MissedSlot
from dbcustody.codec import format_time
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

GRACE: Final = timedelta(seconds=30)
"""How much later than its deadline a slot is given up: the controller needs its time, and the news its way."""
MOST_SLOTS: Final = 500
"""How many slots are judged at once: an operator that was away for long does not recite every minute."""

NextTime = Callable[[datetime], datetime | None]
"""The first slot after a time; None: there is none, ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One Backup of the policy, as far as the recovery point is concerned."""

    name: str
    uid: str = ""
    is_finished: bool = False
    is_good: bool = False
    loss: Reason | None = None
    """Why its data is not in the storage any more: DataDeleted or DataVanished; None: nobody found that."""
    is_held: bool = False
    """Whether a legal hold stands on it."""
    is_hold_placed: bool = False
    """Whether the storage says so too, so that retention needs not be told."""
    is_ours: bool = False
    """Whether the operator made the object; only such are removed when their data is pruned."""
    reason: str = ""
    begun_time: datetime | None = None
    scheduled_time: datetime | None = None
    data_time: datetime | None = None
    """Of the data in a good one."""
    ended_time: datetime | None = None
    location: str = ""
    """Where it lies, or lay; empty: nothing was committed."""
    manifest_sha256: str = ""
    restore_test: Condition | None = None
    """What it says of its restore test; None: nothing."""
    restore_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a policy promises: when runs begin, how late, and how long they may take."""

    next_time: NextTime
    created_time: datetime
    deadline: timedelta
    timeout: timedelta
    suspend: bool = False


def newest_good(runs: Sequence[Run]) -> Run | None:
    """Return the run with the newest good data, or None."""
    good = [run for run in runs if run.is_good and run.data_time is not None]
    return max(good, key=lambda run: (str(run.data_time), run.name), default=None)


def newest_begun(runs: Sequence[Run]) -> Run | None:
    """Return the run that began last, or None."""
    begun = [run for run in runs if run.begun_time is not None]
    return max(begun, key=lambda run: (str(run.begun_time), run.name), default=None)


def judge_recovery_point(promise: Promise, runs: Sequence[Run], now: datetime) -> Condition:
    """Return the condition RecoveryPointCurrent at *now*."""
    if promise.suspend:
        return _unknown(Reason.SUSPENDED, "no runs are started while `spec.suspend` is true")
    good = newest_good(runs)
    since = good.data_time if good is not None and good.data_time is not None else promise.created_time
    due = promise.next_time(since)
    if due is None:
        return _unknown(Reason.SCHEDULE_NEVER_FIRES, "no date fits the schedule")
    if due > now:
        return _kept(good, f"the next run is due at {format_time(due)}")
    failed = _newest_failure(runs, due)
    is_running = any(not run.is_finished for run in runs)
    if is_running and now < due + promise.deadline + promise.timeout:
        return _kept(good, "a run is under way")
    if failed is None and now < due + promise.deadline + GRACE:
        return _kept(good, f"the run of {format_time(due)} has not begun yet")
    return _missed(good, due, failed)


def _newest_failure(runs: Sequence[Run], due: datetime) -> Run | None:
    failed = [run for run in runs if run.is_finished and not run.is_good and (run.begun_time or due) >= due]
    return newest_begun(failed) or (failed[-1] if failed else None)


def _kept(good: Run | None, what_next: str) -> Condition:
    if good is None:
        return _unknown(Reason.NO_BACKUP_YET, what_next)
    return yes(
        ConditionType.RECOVERY_POINT_CURRENT,
        Reason.RECOVERY_POINT_CURRENT,
        f"Backup {good.name!r} holds the data; {what_next}",
    )


def _missed(good: Run | None, due: datetime, failed: Run | None) -> Condition:
    why = f"Backup {failed.name!r} ended with {failed.reason}" if failed is not None else "no run began in time"
    reason = Reason.RECOVERY_POINT_MISSED if good is not None else Reason.NO_BACKUP_YET
    return no(ConditionType.RECOVERY_POINT_CURRENT, reason, f"there is no good backup since {format_time(due)}: {why}")


def _unknown(reason: Reason, message: str) -> Condition:
    return unknown(ConditionType.RECOVERY_POINT_CURRENT, reason, message)


@dataclass(frozen=True, slots=True)
class Slots:
    """What became of the slots up to now: those that passed without a run, and up to where they were judged."""

    missed: tuple[MissedSlot, ...]
    judged_until: datetime


def judge_slots(
    promise: Promise, runs: Sequence[Run], taken: frozenset[datetime], *, since: datetime, now: datetime
) -> Slots:
    """Return the slots after *since* that were given up by *now*; *taken* are those for which a Job was seen."""
    if promise.suspend:
        return Slots((), now)
    kept = taken | {run.scheduled_time for run in runs if run.scheduled_time is not None}
    missed, at = [], since
    for _ in range(MOST_SLOTS):
        slot = promise.next_time(at)
        if slot is None or slot + promise.deadline + GRACE > now:
            break
        at = slot
        if slot not in kept:
            missed.append(MissedSlot(time=slot, reason=_why_missed(runs, slot, now).value))
    return Slots(tuple(missed), at)


def _why_missed(runs: Sequence[Run], slot: datetime, now: datetime) -> Reason:
    """Return Skipped when a run that had begun before was still under way at *slot*, else Missed."""
    under_way = any(run.begun_time is not None and run.begun_time < slot < (run.ended_time or now) for run in runs)
    return Reason.SKIPPED if under_way else Reason.MISSED
