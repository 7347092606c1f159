"""The backup that has to be there before a migration begins: found among those that there are, or taken.

It is the last thing that is waited for, so that it is as fresh as it can be when the first statement runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dbcustody.api.backup import BackupScope
from dbcustody.api.condition import Condition, ConditionType, find, is_true, no, unknown, yes
from dbcustody.api.meta import Kind
from dbcustody.api.migration import BackupBefore, DatabaseMigrationStatus, TakenBackup
from dbcustody.naming import API_VERSION, LABEL_REQUEST, child_name, label_value
from dbcustody.plan.actions import CreateBackup
from dbcustody.plan.migration_outcome import held_up, stuck, under_way
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.api.backup import Backup
    from dbcustody.api.migration import BackupGate
    from dbcustody.plan.migration_case import MigrationCase

_BACKUP_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """How the gate stands: *is_open* with what counts written into *status*, or what is said and done while it is not."""

    status: DatabaseMigrationStatus
    said: tuple[Condition, ...]
    is_open: bool = False
    actions: tuple[CreateBackup, ...] = ()
    again: float | None = None


def protect(case: MigrationCase, status: DatabaseMigrationStatus) -> Protection:
    """Return how the gate of backups stands for the plan in *status*."""
    gate = case.migration.spec.gates.backup
    if gate is None:
        return Protection(status=replace(status, backup=None), said=_nobody_waits(case), is_open=True)
    if (wrong := _wrong_policy(case, gate)) is not None:
        reason, message = wrong
        said = (unknown(ConditionType.BACKUP_READY, reason, message), *held_up(reason, message))
        return Protection(status=status, said=said, again=_BACKUP_SECONDS)
    fresh = max(_fresh(case, status, gate), key=lambda one: one.status.snapshot_time or case.now, default=None)
    if fresh is not None:
        return _open(status, fresh)
    if not gate.take_new:
        message = (
            f"no verified backup of BackupPolicy {gate.policy_ref.name!r} is younger than {gate.max_age_seconds} s"
        )
        return _waits(status, f"{message}{_why_not(case, gate)}")
    return _take(case, status, gate)


def _wrong_policy(case: MigrationCase, gate: BackupGate) -> tuple[Reason, str] | None:
    """Return why no backup of the policy can count; None: one can."""
    policy, database = case.seen.policy, case.migration.spec.database_ref.name
    if policy is None:
        return Reason.POLICY_NOT_FOUND, f"BackupPolicy {gate.policy_ref.name!r}: is not there"
    if policy.spec.database_ref.name != database:
        of = policy.spec.database_ref.name
        return (
            Reason.POLICY_NOT_FOUND,
            f"BackupPolicy {gate.policy_ref.name!r}: backs up Database {of!r}, not {database!r}",
        )
    return None


def _nobody_waits(case: MigrationCase) -> tuple[Condition, ...]:
    before = find(case.status.conditions, ConditionType.BACKUP_READY)
    if before is None or before.is_true:
        return ()
    return (yes(ConditionType.BACKUP_READY, Reason.NOT_REQUESTED, "no backup is waited for"),)


def _open(status: DatabaseMigrationStatus, backup: Backup) -> Protection:
    name, moment, lsn = backup.metadata.name, backup.status.snapshot_time, backup.status.lsn
    message = f"Backup {name} shows {moment.isoformat() if moment else 'an unknown moment'}"
    said = yes(ConditionType.BACKUP_READY, Reason.BACKUP_READY, f"{message}, LSN {lsn}" if lsn else message)
    counted = BackupBefore(name=name, snapshot_time=moment, lsn=lsn)
    return Protection(status=replace(status, backup=counted), said=(said,), is_open=True)


def _fresh(case: MigrationCase, status: DatabaseMigrationStatus, gate: BackupGate) -> Iterator[Backup]:
    """Yield the backups that count: one that was taken for this very run by when it was done, others by what they show."""
    taken = status.taking.name if status.taking is not None else None
    for backup in case.seen.backups:
        is_own = backup.metadata.name == taken
        moment = backup.status.finish_time if is_own else backup.status.snapshot_time
        is_young = moment is not None and (case.now - moment).total_seconds() <= gate.max_age_seconds
        if is_young and _is_sound(backup) and _is_of(backup, gate):
            yield backup


def _is_of(backup: Backup, gate: BackupGate) -> bool:
    return backup.spec.policy_ref == gate.policy_ref


def _is_sound(backup: Backup) -> bool:
    """Return whether *backup* is whole, was read back, and is still where it was put."""
    conditions = backup.status.conditions
    is_verified = is_true(conditions, ConditionType.SUCCEEDED) and is_true(conditions, ConditionType.VERIFIED)
    return is_verified and backup.status.loss is None and backup.status.scope is BackupScope.WHOLE


def _why_not(case: MigrationCase, gate: BackupGate) -> str:
    """Return why the newest one does not count though it is young enough, or nothing."""
    of_policy = (one for one in case.seen.backups if _is_of(one, gate) and one.status.snapshot_time is not None)
    newest = max(of_policy, key=lambda one: one.status.snapshot_time or case.now, default=None)
    if newest is None or newest.status.snapshot_time is None or _is_sound(newest):
        return ""
    return f"; Backup {newest.metadata.name} is not known to be whole and read back (`verification.level: Read`)"


def _waits(status: DatabaseMigrationStatus, message: str) -> Protection:
    said = unknown(ConditionType.BACKUP_READY, Reason.BACKUP_PENDING, message)
    more = held_up(Reason.BACKUP_PENDING, message)
    return Protection(status=status, said=(said, *more), again=_BACKUP_SECONDS)


def _take(case: MigrationCase, status: DatabaseMigrationStatus, gate: BackupGate) -> Protection:
    """Return what is said and done while a backup is taken."""
    taking = status.taking
    backup = next((one for one in case.seen.backups if taking is not None and one.metadata.name == taking.name), None)
    if taking is None or _is_to_be_taken_anew(case, taking, backup):
        taking = _next(case, taking)
        backup = None
    status = replace(status, taking=taking)
    if backup is not None and is_true(backup.status.conditions, ConditionType.FINISHED):
        return _failed(status, backup)
    message = f"Backup {taking.name} is taken first"
    said = unknown(ConditionType.BACKUP_READY, Reason.BACKUP_PENDING, message)
    made = () if backup is not None else (CreateBackup(_manifest(case, gate, taking.name)),)
    return Protection(
        status=status,
        said=(said, *under_way(Reason.BACKUP_PENDING, message)),
        actions=made,
        again=_BACKUP_SECONDS,
    )


def _is_to_be_taken_anew(case: MigrationCase, taking: TakenBackup, backup: Backup | None) -> bool:
    """Return whether what was taken is good and too old by now, or a person asked for another try."""
    if taking.check_now != case.check_now:
        return backup is None or is_true(backup.status.conditions, ConditionType.FINISHED)
    return backup is not None and _is_sound(backup)


def _next(case: MigrationCase, before: TakenBackup | None) -> TakenBackup:
    ordinal, metadata = (before.ordinal + 1 if before is not None else 1), case.migration.metadata
    name = child_name(metadata.name, metadata.uid, "before", str(ordinal))
    return TakenBackup(name=name, ordinal=ordinal, check_now=case.check_now)


def _failed(status: DatabaseMigrationStatus, backup: Backup) -> Protection:
    """Return what is said of a backup that was taken and does not count."""
    name, found = backup.metadata.name, find(backup.status.conditions, ConditionType.SUCCEEDED)
    why = "is not known to be whole and read back (`verification.level: Read` in its policy)"
    if found is not None and not found.is_true:
        why = f"{found.reason.value}: {found.message}"
    message = f"Backup {name}: {why}"
    said = no(ConditionType.BACKUP_READY, Reason.BACKUP_BEFORE_FAILED, message)
    return Protection(status=status, said=(said, *stuck(Reason.BACKUP_BEFORE_FAILED, message)))


def _manifest(case: MigrationCase, gate: BackupGate, name: str) -> dict[str, Any]:
    """Return the Backup; it belongs to nobody, for it must outlive the resource."""
    metadata = {
        "name": name,
        "namespace": case.migration.metadata.namespace,
        "labels": {LABEL_REQUEST: label_value(case.migration.metadata.name)},
    }
    spec = {"policyRef": {"name": gate.policy_ref.name}}
    return {"apiVersion": API_VERSION, "kind": Kind.BACKUP.value, "metadata": metadata, "spec": spec}
