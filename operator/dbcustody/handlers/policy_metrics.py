"""How each policy's backups are, as metrics: what alerts on a recovery point are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from dbcustody.api.condition import ConditionType, find, is_true
from dbcustody.api.policy import Level
from dbcustody.errors import InvalidSpecError
from dbcustody.handlers.database import last_good
from dbcustody.handlers.world import is_finished, is_good
from dbcustody.metrics import OBJECT, gauge, seconds
from dbcustody.plan.schedule import longest_interval

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from dbcustody.api.backup import Backup
    from dbcustody.api.database import LastBackup
    from dbcustody.api.policy import BackupPolicy
    from dbcustody.handlers.world import World

_TEXTS: Final = {
    "last_success_timestamp_seconds": "When the data of the newest good backup was read; 0 until there is one.",
    "last_attempt_timestamp_seconds": "When the newest run began; 0 until there was one.",
    "created_timestamp_seconds": "When the policy was created.",
    "next_run_timestamp_seconds": "When the schedule starts the next run; 0 while there is none.",
    "expected_interval_seconds": "The longest time that the schedule leaves between two runs; absent while suspended.",
    "last_duration_seconds": "How long the newest good backup took.",
    "last_size_bytes": "How much the newest good backup occupies.",
    "retained_count": "How many backups lie in the storage.",
    "retained_bytes": "How much they occupy.",
    "oldest_timestamp_seconds": "When the data of the oldest of them was read.",
    "in_progress": "How many runs are under way.",
    "missed": "How many of the slots last recorded were missed.",
    "recovery_point_current": "1 while the recovery point is as the schedule promises.",
    "restore_test_seconds": "How long the newest restore test that passed took; absent until one was measured.",
    "restore_verified": "1 while the newest restore test that was due has passed; absent below level Restore.",
}
_VERIFIED: Final = "When the newest backup that passed this level was finished; 0 until there is one."
_LEVEL: Final = "1 for the level up to which each backup is proven."
_CONDITIONS: Final = {Level.READ: ConditionType.VERIFIED, Level.RESTORE: ConditionType.RESTORE_TESTED}
"""What a good backup says of a level; that it is good says that it passed Checksum."""


def policy_metrics(world: World) -> Iterator[Metric]:
    """Yield the metrics of all policies in *world*."""
    rows: dict[str, list[tuple[tuple[str, ...], float]]] = {name: [] for name in _TEXTS}
    verified: list[tuple[tuple[str, ...], float]] = []
    levels: list[tuple[tuple[str, ...], float]] = []
    for policy in world.policies:
        place = (policy.metadata.namespace, policy.metadata.name)
        backups, wanted = world.backups.find("policy", *place), policy.spec.verification.level
        for name, value in _all_values(policy, backups):
            rows[name].append((place, value))
        verified += [((*place, level.lower()), _last_verified(policy, backups, level)) for level in wanted.passed]
        levels.append(((*place, wanted.lower()), 1.0))
    for name, text in _TEXTS.items():
        yield gauge(f"dbcustody_backup_{name}", text, OBJECT, rows[name])
    yield gauge("dbcustody_backup_last_verified_timestamp_seconds", _VERIFIED, (*OBJECT, "level"), verified)
    yield gauge("dbcustody_backup_verification_level", _LEVEL, (*OBJECT, "level"), levels)


def _all_values(policy: BackupPolicy, backups: tuple[Backup, ...]) -> Iterator[tuple[str, float]]:
    yield from _values(policy, backups)
    yield from _schedule_values(policy)
    yield from _retained_values(policy)
    yield from _restore_values(policy)


def _values(policy: BackupPolicy, backups: tuple[Backup, ...]) -> Iterator[tuple[str, float]]:
    """Yield what the Backup objects say; what retention has removed of them is remembered by the policy's status."""
    good = last_good(backups)
    newest = next((one for one in backups if good is not None and one.metadata.name == good.name), None)
    starts = [one.status.start_time for one in backups if one.status.start_time is not None]
    yield "last_success_timestamp_seconds", max(_moment(good), _moment(policy.status.last_success))
    yield "last_attempt_timestamp_seconds", max(seconds(max(starts, default=None)), _moment(policy.status.last_attempt))
    yield "created_timestamp_seconds", seconds(policy.metadata.creation_timestamp)
    yield "in_progress", float(sum(1 for one in backups if not is_finished(one)))
    if newest is not None:
        yield "last_duration_seconds", float(newest.status.duration_seconds or 0)
        yield "last_size_bytes", float(newest.status.artefact.stored_bytes if newest.status.artefact else 0)


def _schedule_values(policy: BackupPolicy) -> Iterator[tuple[str, float]]:
    status = policy.status
    current = find(status.conditions, ConditionType.RECOVERY_POINT_CURRENT)
    yield "next_run_timestamp_seconds", seconds(status.next_schedule_time)
    yield "missed", float(len(status.missed))
    yield "recovery_point_current", float(current is not None and current.is_true)
    interval = _expected_interval(policy)
    if interval is not None:
        yield "expected_interval_seconds", interval


def _expected_interval(policy: BackupPolicy) -> float | None:
    """Return the longest pause of the schedule; None when nothing is promised."""
    if policy.spec.suspend:
        return None
    try:
        found = longest_interval(policy.spec.schedule, datetime.now(UTC).date())
    except InvalidSpecError:
        return None
    return found.total_seconds() if found is not None else None


def _retained_values(policy: BackupPolicy) -> Iterator[tuple[str, float]]:
    retained = policy.status.retained
    if retained is not None:
        yield "retained_count", float(retained.count)
        yield "retained_bytes", float(retained.bytes)
        yield "oldest_timestamp_seconds", seconds(retained.oldest_time)


def _restore_values(policy: BackupPolicy) -> Iterator[tuple[str, float]]:
    tested, said = policy.status.last_restore_test, find(policy.status.conditions, ConditionType.RESTORE_VERIFIED)
    if tested is not None and tested.restore_seconds is not None:
        yield "restore_test_seconds", float(tested.restore_seconds)
    if policy.spec.verification.level is Level.RESTORE:
        yield "restore_verified", float(said is not None and said.is_true)


def _last_verified(policy: BackupPolicy, backups: tuple[Backup, ...], level: Level) -> float:
    """Return when the newest good backup that passed *level* was finished; a good one has passed Checksum.

    What was restored is remembered by the policy's status, by the time of its data: one of many backups is, and it may be gone by now.
    """
    wanted, tested = _CONDITIONS.get(level), policy.status.last_restore_test
    times = [
        one.status.finish_time
        for one in backups
        if is_good(one) and (wanted is None or is_true(one.status.conditions, wanted))
    ]
    if level is Level.RESTORE and tested is not None:
        times.append(tested.time)
    return max((seconds(time) for time in times), default=0.0)


def _moment(last: LastBackup | None) -> float:
    return seconds(last.time if last is not None else None)
