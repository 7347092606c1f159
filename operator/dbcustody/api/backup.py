"""Backup: one copy of one database at one moment, with the proof of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.condition import Condition, ConditionType, find
from dbcustody.api.database import Server
from dbcustody.api.job_template import JobTemplate
from dbcustody.api.meta import Metadata, ObjectRef, read_metadata
from dbcustody.api.policy import CaptureOptions
from dbcustody.codec import decode
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOSSES: Final = frozenset({Reason.DATA_DELETED, Reason.DATA_VANISHED})


class Origin(StrEnum):
    """How the Backup came to be; only Manual ones start a Job."""

    MANUAL = "Manual"
    SCHEDULED = "Scheduled"
    ADOPTED = "Adopted"
    IMPORTED = "Imported"
    """Made of what was found in a storage; no manifest bears it."""


class BackupScope(StrEnum):
    """Whether a backup is of the whole database: it was not told to leave any schema or table out."""

    WHOLE = "Whole"
    PARTIAL = "Partial"


class DeletionPolicy(StrEnum):
    """What becomes of the data when the Backup is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class Stage(StrEnum):
    """Where a run stands, in the order in which the stages come."""

    WAITING = "Waiting"
    CONNECTING = "Connecting"
    LOCKING = "Locking"
    DUMPING = "Dumping"
    COMMITTING = "Committing"
    VERIFYING = "Verifying"
    DONE = "Done"


@dataclass(frozen=True, slots=True, kw_only=True)
class LegalHold:
    """Why a backup must not be deleted."""

    reason: str


class HoldState(StrEnum):
    """Where a hold of this resource stands in the storage; Gone: there is nothing left that could be held."""

    PENDING = "Pending"
    PLACED = "Placed"
    RELEASED = "Released"
    GONE = "Gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHold:
    """How the hold stands in the storage, and the Job that brings it there or takes it away."""

    state: HoldState = HoldState.RELEASED
    others: int = 0
    """Open holds that others placed."""
    failures: int = 0
    ended_time: datetime | None = None
    job_ref: ObjectRef | None = None
    ordinal: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSpec(CaptureOptions):
    """What is wanted: a policy's way of doing it, or a database and a storage with options of its own.

    With *policy_ref* the policy's storage and capture options hold; then those of the Backup must not be given (CEL).
    """

    policy_ref: ObjectRef | None = None
    database_ref: ObjectRef | None = None
    storage_ref: ObjectRef | None = None
    origin: Origin = Origin.MANUAL
    deletion_policy: DeletionPolicy = DeletionPolicy.RETAIN
    legal_hold: LegalHold | None = None
    job: JobTemplate | None = None
    ttl_seconds_after_finished: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """What lies in the storage."""

    location: str
    backup_id: str
    attempt: str
    manifest_sha256: str
    stored_bytes: int
    logical_bytes: int
    stored: str
    key_ids: tuple[str, ...] = ()

    def lies_in(self, location: str) -> bool:
        """Return whether it lies in the storage at *location*."""
        return f"{self.location}/".startswith(f"{location.rstrip('/')}/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What made the backup."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableTotals:
    """How much was captured; *rows* None means: not counted."""

    count: int
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is; *percent* is of the database's size and only ever an estimate until the run is done."""

    stage: Stage
    summary: str
    percent: int | None = None
    bytes: int | None = None
    bytes_per_second: int | None = None
    waiting_for: str | None = None
    repeated_requests: int | None = None
    """Sent to the storage again so far; None: it was not asked yet. Once the run is over it stands in the status itself."""
    updated_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One Job that worked on the Backup."""

    ordinal: int
    job_name: str
    verb: str = "backup"
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupStatus:
    """What became of it; None means: not known yet."""

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    artefact: Artefact | None = None
    server: Server | None = None
    tool: Tool | None = None
    database: str | None = None
    storage: str | None = None
    scheduled_time: datetime | None = None
    start_time: datetime | None = None
    snapshot_time: datetime | None = None
    lsn: str | None = None
    """Where the server's write-ahead log stood when the snapshot was taken."""
    finish_time: datetime | None = None
    duration_seconds: int | None = None
    restore_seconds: int | None = None
    """How long its restore test took, from the first byte read to the last check passed; None: none passed here."""
    repeated_requests: int | None = None
    """What the Jobs that are over had to send to the storage again; 0 is told as 0, None: none of them told."""
    progress: Progress | None = None
    tables: TableTotals | None = None
    scope: BackupScope | None = None
    """None: an older version recorded it and did not say; nobody takes it for whole."""
    not_captured: tuple[str, ...] = ()
    retained_because: tuple[str, ...] = ()
    expires_time: datetime | None = None
    attempts: tuple[Attempt, ...] = ()
    job_ref: ObjectRef | None = None
    hold: StoredHold | None = None
    """None: no hold was ever asked for."""

    @property
    def loss(self) -> Condition | None:
        """What says that data which was committed is not in the storage any more; None: nobody found that."""
        said = find(self.conditions, ConditionType.UPLOADED)
        return said if said is not None and said.reason in _LOSSES else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """The resource."""

    metadata: Metadata
    spec: BackupSpec
    status: BackupStatus = field(default_factory=BackupStatus)

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Backup:
        """Return the resource that the Kubernetes object *body* describes; raises InvalidSpecError with the field's path."""
        return cls(
            metadata=read_metadata(body),
            spec=decode(BackupSpec, body["spec"], "spec"),
            status=decode(BackupStatus, body.get("status") or {}, "status"),
        )
