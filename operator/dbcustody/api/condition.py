"""Conditions: how a resource says how it is, in the words that kubectl, Argo CD and Flux understand.

`Ready` is always there; `Reconciling` and `Stalled` only while true (kstatus); one-shot kinds add `Finished` and `Succeeded`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

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
    RESTORED = "Restored"
    ERASURES_REPLAYED = "ErasuresReplayed"
    CHECKS_PASSED = "ChecksPassed"


ABSENT_UNLESS_TRUE = frozenset({ConditionType.RECONCILING, ConditionType.STALLED})


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
