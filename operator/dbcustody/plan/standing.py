"""What of ours stands on a Database's server beside it, as the databases themselves tell, and which of that nobody will drop any more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from dbcustody.api.condition import ConditionType, find, is_true, no, yes
from dbcustody.api.database import Copy, CopyStage
from dbcustody.api.restore import Mode
from dbcustody.contract import Verb
from dbcustody.plan.imprint import Imprint, Stage, read_imprints
from dbcustody.plan.restore_work import mark_of
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dbcustody.api.condition import Condition
    from dbcustody.api.restore import RestoreRequest

MOST_COPIES: Final = 50
_STAGES: Final = {
    Stage.UNDER_WAY: CopyStage.RESTORING,
    Stage.READY: CopyStage.READY,
    Stage.HANDED_OVER: CopyStage.RESTORED,
    Stage.KEPT: CopyStage.KEPT,
}
_WRITING: Final = frozenset({Verb.RESTORE.value, Verb.SWAP.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A database of the server, and what its comment says."""

    name: str
    oid: int
    comment: str | None


def find_copies(databases: Sequence[Neighbour], *, live_oid: int, custody_id: str, namespace: str) -> tuple[Copy, ...]:
    """Return what restores made or put away for the database *live_oid*, or for requests of *namespace*, by name.

    What was done for others on the same server is told where they look.
    """
    told = {one.oid: read_imprints(one.comment) for one in databases}
    swaps = {one.mark for one in told.get(live_oid, ())}
    found = []
    for one in sorted(databases, key=lambda each: each.name):
        if one.oid == live_oid or not told[one.oid]:
            continue
        last = told[one.oid][-1]
        is_ours = last.replaces_oid == live_oid or (last.stage is Stage.KEPT and last.mark in swaps)
        if is_ours or last.mark.startswith(f"RestoreRequest {namespace}/"):
            found.append(_copy(one, last, custody_id if is_ours else None))
    return tuple(found)


def _copy(database: Neighbour, told: Imprint, custody_id: str | None) -> Copy:
    return Copy(
        name=database.name,
        oid=database.oid,
        stage=_STAGES[told.stage],
        mark=told.mark,
        custody_id=custody_id,
        backup_id=told.backup_id,
        drop_after=None if told.until is None else datetime.fromisoformat(told.until),
    )


def changed_time(requests: Iterable[RestoreRequest]) -> datetime | None:
    """Return when one of *requests* changed last what stands on the server, as far as its status tells; None: none did."""
    return max((time for one in requests for time in _changes(one)), default=None)


def _changes(request: RestoreRequest) -> Iterable[datetime]:
    old, over = request.status.old_database, find(request.status.conditions, ConditionType.FINISHED)
    is_over = is_true(request.status.conditions, ConditionType.FINISHED)
    has_written = any(one.verb in _WRITING for one in request.status.attempts)
    if is_over and has_written and over is not None and over.last_transition_time is not None:
        yield over.last_transition_time
    if old is not None and old.dropped_time is not None:
        yield old.dropped_time


def marks_of(requests: Iterable[RestoreRequest]) -> frozenset[str]:
    """Return the marks of those *requests* that drop in time what they put away, or may find it yet."""
    return frozenset(
        mark_of(one)
        for one in requests
        if one.spec.mode is Mode.REPLACE
        and (one.status.old_database is not None or not is_true(one.status.conditions, ConditionType.FINISHED))
    )


def with_left(copies: Iterable[Copy], marks: frozenset[str], now: datetime) -> tuple[Copy, ...]:
    """Return *copies*, each with whether its time is over and no request of *marks* is there to drop it."""
    return tuple(replace(one, left=_is_due(one, now) and one.mark not in marks) for one in copies)


def _is_due(copy: Copy, now: datetime) -> bool:
    is_old = copy.stage is CopyStage.KEPT and copy.custody_id is not None
    return is_old and copy.drop_after is not None and copy.drop_after <= now


def next_due(copies: Iterable[Copy], now: datetime) -> float | None:
    """Return in how many seconds the next of *copies* has to be gone; None: none has to."""
    coming = ((one.drop_after - now).total_seconds() for one in copies if one.drop_after is not None)
    return min((seconds for seconds in coming if seconds > 0), default=None)


def left_conditions(copies: Iterable[Copy], before: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """Return what is said of old databases that are left; nothing while there never was one."""
    left = [one for one in copies if one.left]
    if left:
        named = "; ".join(f"{one.name} ({one.mark})" for one in left)
        message = f"their time is over, and nobody is there that drops them: {named}"
        return (no(ConditionType.OLD_DATABASES_DROPPED, Reason.OLD_DATABASE_LEFT, message),)
    if find(before, ConditionType.OLD_DATABASES_DROPPED) is None:
        return ()
    return (yes(ConditionType.OLD_DATABASES_DROPPED, Reason.OLD_DATABASES_DROPPED),)
