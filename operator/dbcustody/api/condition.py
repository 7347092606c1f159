"""Conditions: how a resource says how it is, in the words that kubectl, Argo CD and Flux understand.

`Ready` is always there; `Reconciling` and `Stalled` only while true (kstatus); one-shot kinds add `Finished` and `Succeeded`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_MESSAGE_LENGTH = 1024
"""Our bound on a message; Kubernetes allows 32768, but a person reads one screen."""


class ConditionStatus(StrEnum):
    """The three answers of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionType(StrEnum):
    """Every condition that a resource of ours may carry."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    FINISHED = "Finished"
    SUCCEEDED = "Succeeded"
    CONNECTED = "Connected"
    PRIVILEGES_SUFFICIENT = "PrivilegesSufficient"
    VERSION_SUPPORTED = "VersionSupported"
    OLD_DATABASES_DROPPED = "OldDatabasesDropped"
    STORAGE_REACHABLE = "StorageReachable"
    ENCRYPTION_READY = "EncryptionReady"
    KEYS_CURRENT = "KeysCurrent"
    CONFORMANCE_PASSED = "ConformancePassed"
    SCHEDULE_ACCEPTED = "ScheduleAccepted"
    RECOVERY_POINT_CURRENT = "RecoveryPointCurrent"
    RETENTION_ENFORCED = "RetentionEnforced"
    CONTINUITY_PROVEN = "ContinuityProven"
    CAPTURED = "Captured"
    UPLOADED = "Uploaded"
    VERIFIED = "Verified"
    RESTORE_TESTED = "RestoreTested"
    RESTORE_VERIFIED = "RestoreVerified"
    HELD = "Held"
    SOURCE_VERIFIED = "SourceVerified"
    TARGET_SAFE = "TargetSafe"
    APPROVED = "Approved"
    RESTORED = "Restored"
    ERASURES_REPLAYED = "ErasuresReplayed"
    CHECKS_PASSED = "ChecksPassed"
    SAFETY_BACKUP_TAKEN = "SafetyBackupTaken"
    QUIESCED = "Quiesced"
    SWAPPED = "Swapped"
    WORKLOADS_RESUMED = "WorkloadsResumed"
    SOURCE_RESOLVED = "SourceResolved"
    PLANNED = "Planned"
    LINT_PASSED = "LintPassed"
    DRIFT_FREE = "DriftFree"
    PROMOTION_PROVEN = "PromotionProven"
    BACKUP_READY = "BackupReady"
    APPLIED = "Applied"


ABSENT_UNLESS_TRUE = frozenset({ConditionType.RECONCILING, ConditionType.STALLED})
MEANING: Final[dict[ConditionType, str]] = {
    ConditionType.READY: "can do its work, or has done it",
    ConditionType.RECONCILING: "something is being done, or is tried again by itself; absent unless true",
    ConditionType.STALLED: "only a person can cure it; absent unless true",
    ConditionType.FINISHED: "over, well or not: nothing more is tried",
    ConditionType.SUCCEEDED: "came to its good end; Unknown until it is over",
    ConditionType.CONNECTED: "the server let the role in at the last look",
    ConditionType.PRIVILEGES_SUFFICIENT: "the role can read everything that a dump needs",
    ConditionType.VERSION_SUPPORTED: "the image has clients that are as new as the server",
    ConditionType.OLD_DATABASES_DROPPED: "no old database is kept beyond its time; absent while none ever was",
    ConditionType.STORAGE_REACHABLE: "the storage answered, with these credentials, at the last probe",
    ConditionType.ENCRYPTION_READY: "the keyring can close new backups",
    ConditionType.KEYS_CURRENT: "the active key opens every backup, so that older keys can go",
    ConditionType.CONFORMANCE_PASSED: "the storage refuses to overwrite, as it must",
    ConditionType.SCHEDULE_ACCEPTED: "Kubernetes took the schedule and its time zone",
    ConditionType.RECOVERY_POINT_CURRENT: "the newest good backup is as new as the schedule promises",
    ConditionType.RETENTION_ENFORCED: "what may go has gone",
    ConditionType.CONTINUITY_PROVEN: "no backup was taken away or replaced behind our back",
    ConditionType.CAPTURED: "the dump came to its end, every process with exit status 0",
    ConditionType.UPLOADED: "the manifest was written last and read back, and nobody found since that the data is gone",
    ConditionType.VERIFIED: "the backup was read back up to the level that was asked for",
    ConditionType.RESTORE_TESTED: "it was restored into a throw-away server, and found equal",
    ConditionType.RESTORE_VERIFIED: "the newest backup whose restore was due to be tested came back equal",
    ConditionType.HELD: "a legal hold stands in the storage",
    ConditionType.SOURCE_VERIFIED: "the backup can be read, and is what its signed manifest says",
    ConditionType.TARGET_SAFE: "nothing that exists is written into, and nothing else stands in the way",
    ConditionType.APPROVED: "a second person agreed to the plan that is carried out",
    ConditionType.RESTORED: "the new database was handed over",
    ConditionType.ERASURES_REPLAYED: "the erasure ledger has no entry that the backup does not know",
    ConditionType.CHECKS_PASSED: "what was restored is equal to what was backed up",
    ConditionType.SAFETY_BACKUP_TAKEN: "what was there before is backed up and verified",
    ConditionType.QUIESCED: "connections were refused, and no session was left, when the databases changed places",
    ConditionType.SWAPPED: "another database is in the place of the one that ran",
    ConditionType.WORKLOADS_RESUMED: "every workload that was stopped has its replicas again",
    ConditionType.SOURCE_RESOLVED: "every file that the source names is there",
    ConditionType.PLANNED: "the database was held against this source, and what comes next is told",
    ConditionType.LINT_PASSED: "nothing in what comes next is as risky as `policy.lint` refuses",
    ConditionType.DRIFT_FREE: "nobody has changed the schema since the last migration, or it is said to be meant so",
    ConditionType.PROMOTION_PROVEN: "the same files are in by the DatabaseMigration that has to have them first",
    ConditionType.BACKUP_READY: "a whole backup that was read back was fresh enough when the last run began",
    ConditionType.APPLIED: "every migration of the source is in",
}
"""What is so while a condition is true, for docs/reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition; `last_transition_time` is None until it is merged into what stood before."""

    type: ConditionType
    status: ConditionStatus
    reason: Reason
    message: str = ""
    observed_generation: int | None = None
    last_transition_time: datetime | None = None

    @property
    def is_true(self) -> bool:
        """Whether the answer is yes."""
        return self.status is ConditionStatus.TRUE


def yes(kind: ConditionType, reason: Reason, message: str = "") -> Condition:
    """Return the condition *kind* as true."""
    return Condition(type=kind, status=ConditionStatus.TRUE, reason=reason, message=message)


def no(kind: ConditionType, reason: Reason, message: str = "") -> Condition:
    """Return the condition *kind* as false."""
    return Condition(type=kind, status=ConditionStatus.FALSE, reason=reason, message=message)


def unknown(kind: ConditionType, reason: Reason, message: str = "") -> Condition:
    """Return the condition *kind* as not known yet."""
    return Condition(type=kind, status=ConditionStatus.UNKNOWN, reason=reason, message=message)


def find(conditions: Iterable[Condition], kind: ConditionType) -> Condition | None:
    """Return the condition of *kind*, or None when it was never said."""
    return next((condition for condition in conditions if condition.type is kind), None)


def is_true(conditions: Iterable[Condition], kind: ConditionType) -> bool:
    """Return whether the condition of *kind* stands and says yes."""
    found = find(conditions, kind)
    return found is not None and found.is_true


def merge(
    before: Iterable[Condition], said: Iterable[Condition], *, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Return *before* updated by what is *said* now, in a stable order.

    The transition time moves only when the status does. Reconciling and Stalled vanish unless they are said to be true;
    any other condition that is not mentioned stays as it was.
    """
    old = {condition.type: condition for condition in before}
    fresh = {condition.type: _stamp(condition, old.get(condition.type), generation, now) for condition in said}
    merged = {kind: condition for kind, condition in old.items() if kind not in ABSENT_UNLESS_TRUE} | fresh
    kept = (merged[kind] for kind in ConditionType if kind in merged)
    return tuple(condition for condition in kept if condition.is_true or condition.type not in ABSENT_UNLESS_TRUE)


def _stamp(said: Condition, before: Condition | None, generation: int, now: datetime) -> Condition:
    unchanged = before is not None and before.status is said.status and before.last_transition_time is not None
    since = before.last_transition_time if before is not None and unchanged else now
    message = said.message if len(said.message) <= MAX_MESSAGE_LENGTH else said.message[: MAX_MESSAGE_LENGTH - 1] + "…"
    return replace(said, message=message, observed_generation=generation, last_transition_time=since)
