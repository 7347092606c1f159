"""RestoreRequest: a backup wanted back, beside what runs; and a restore as people see it: what it is at, and how far."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dbcustody.api.backup import Attempt
from dbcustody.api.condition import Condition
from dbcustody.api.database import WorkloadKind
from dbcustody.api.job_template import JobTemplate
from dbcustody.api.meta import Metadata, ObjectRef, read_metadata
from dbcustody.codec import decode

if TYPE_CHECKING:
    from collections.abc import Mapping


class Mode(StrEnum):
    """Where the data goes."""

    NEW_DATABASE = "NewDatabase"
    REPLACE = "Replace"
    """Beside it first, and into the place of what runs by a swap of names."""


class MissingRoles(StrEnum):
    """What to do about roles that the backup needs and the server does not have."""

    FAIL = "Fail"
    CREATE = "Create"
    SKIP_OWNERSHIP = "SkipOwnership"


class SideEffect(StrEnum):
    """What hangs on a live database and does not come along, or what is left out: named by who wants it all the same."""

    REPLICATION_SLOTS = "ReplicationSlots"
    REMOTE_SUBSCRIBERS = "RemoteSubscribers"
    SUBSCRIPTIONS = "Subscriptions"
    CRON_JOBS = "CronJobs"
    FOREIGN_SERVERS = "ForeignServers"
    OTHER_OPERATORS = "OtherOperators"
    SKIPPED_OBJECTS = "SkippedObjects"
    """What only a superuser could bring back is left out."""


class RestoreStage(StrEnum):
    """What a restore is at."""

    WAITING = "Waiting"
    PLANNING = "Planning"
    DEFINING = "Defining"
    """The database is made, with everything that must be there before rows come."""
    LOADING = "Loading"
    FINISHING = "Finishing"
    """Indexes, constraints, triggers, sequences, statistics."""
    CHECKING = "Checking"
    HANDING_OVER = "HandingOver"
    SAFETY_BACKUP = "SafetyBackup"
    """What is there now is backed up before another takes its place."""
    STOPPING_WORKLOADS = "StoppingWorkloads"
    SWAPPING = "Swapping"
    RESUMING_WORKLOADS = "ResumingWorkloads"
    DONE = "Done"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreProgress:
    """How far a restore is; *bytes* are those of the archives, decrypted. None means: not known, or not counted in this stage."""

    stage: RestoreStage
    summary: str
    percent: int | None = None
    bytes: int | None = None
    bytes_per_second: int | None = None
    waiting_for: str | None = None
    repeated_requests: int | None = None
    """Sent to the storage again so far; None: it was not asked yet. Once the run is over it stands in the status itself."""
    updated_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreSource:
    """Which backup: exactly one of *backup_ref*, *policy_ref* and *storage_ref* is given (CEL), unless a swap is undone.

    With a policy the newest good backup, not younger than *before_time*; with a storage the one of *backup_id* below *custody_id*, or
    without that the newest good one.
    """

    backup_ref: ObjectRef | None = None
    policy_ref: ObjectRef | None = None
    storage_ref: ObjectRef | None = None
    custody_id: str | None = None
    backup_id: str | None = None
    before_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreTarget:
    """Where to: the server of a Database, and the name of the database that is to be made there; None: in the Database's own place."""

    database_ref: ObjectRef
    database: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patterns:
    """Names that are wanted, and of these those that are not; without *include* all are wanted."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerMapping:
    """A role of the backup, and the role of the server that takes its place."""

    from_: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """A question in SQL, and the one value, as PostgreSQL writes it, that the restored database must answer with."""

    name: str
    query: str
    expect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedChecks:
    """What is to be checked besides everything that the backup itself tells."""

    sql: tuple[Assertion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedApproval:
    """Whether somebody else than the requester has to agree to the plan before it is carried out."""

    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRequestSpec:
    """What is wanted; nothing but *cancel* can be changed later (CEL)."""

    target: RestoreTarget
    source: RestoreSource | None = None
    """Names nothing with *undo_of* alone."""
    mode: Mode = Mode.NEW_DATABASE
    confirm: str | None = None
    """Of a Replace: the Database's name, an @, and the identifier of the server that is meant."""
    safety_backup: bool = True
    keep_old_seconds: int = 86_400
    acknowledge: tuple[SideEffect, ...] = ()
    undo_of: ObjectRef | None = None
    """The RestoreRequest whose swap is taken back."""
    parallelism: int = 2
    schemas: Patterns = field(default_factory=Patterns)
    tables: Patterns = field(default_factory=Patterns)
    missing_roles: MissingRoles = MissingRoles.FAIL
    owner_map: tuple[OwnerMapping, ...] = ()
    checks: WantedChecks = field(default_factory=WantedChecks)
    approval: WantedApproval = field(default_factory=WantedApproval)
    timeout_seconds: int = 86_400
    cancel: bool = False
    job: JobTemplate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenBackup:
    """The backup that is restored, as its manifest says; *rows* None means: not counted."""

    name: str
    backup_id: str
    custody_id: str
    location: str
    manifest_sha256: str
    snapshot_time: datetime
    major_version: int
    logical_bytes: int
    tables: int
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedObstacle:
    """Why the plan cannot be carried out, and what helps."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedSideEffect:
    """What will hang on the old database, or be lost; *names* are the first ones."""

    kind: SideEffect
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedPlan:
    """What a restore will do, told before anything is touched; with *obstacles* it does nothing."""

    hash: str
    obstacles: tuple[StatedObstacle, ...] = ()
    roles_to_create: tuple[str, ...] = ()
    with_ownership: bool = True
    """False: everything belongs to the role that restores, and nobody gets rights."""
    remarks: tuple[str, ...] = ()
    """What will not be as it was."""
    side_effects: tuple[StatedSideEffect, ...] = ()
    skipped_objects: tuple[str, ...] = ()
    """What is left out because the role that restores may not make it; it must be acknowledged."""
    server_bytes: int | None = None
    """What the databases of the server take that the role may connect to; how much is free, PostgreSQL does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OldDatabase:
    """The database whose place was taken: shut, and kept until *drop_after*.

    *kept_time* is when it was put away; of one that a request filed again has found, a time at which it certainly was not yet.
    """

    name: str
    kept_time: datetime
    drop_after: datetime
    dropped_time: datetime | None = None
    """None: it is still there, as far as is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedWorkload:
    """A workload that was scaled to nothing, and how many replicas it had."""

    kind: WorkloadKind
    name: str
    replicas: int
    resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreChecks:
    """What was compared with the backup and found equal; *rows* None means: the backup did not count them."""

    tables: int
    sequences: int
    rows: int | None = None
    assertions: int = 0
    """How many questions of the request were answered as expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRequestStatus:
    """What became of it; None means: not known yet."""

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    source: str | None = None
    """The backup's name, for people."""
    target: str | None = None
    backup: ChosenBackup | None = None
    plan: StatedPlan | None = None
    progress: RestoreProgress | None = None
    checks: RestoreChecks | None = None
    safety_backup: ObjectRef | None = None
    workloads: tuple[StoppedWorkload, ...] = ()
    old_database: OldDatabase | None = None
    unknown_settings: tuple[str, ...] = ()
    """Settings of the archives that the server does not know, by name; nothing else was left out."""
    start_time: datetime | None = None
    finish_time: datetime | None = None
    duration_seconds: int | None = None
    repeated_requests: int | None = None
    """What the Jobs that are over had to send to the storage again; 0 is told as 0, None: none of them told."""
    attempts: tuple[Attempt, ...] = ()
    job_ref: ObjectRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRequest:
    """The resource."""

    metadata: Metadata
    spec: RestoreRequestSpec
    status: RestoreRequestStatus = field(default_factory=RestoreRequestStatus)

    @property
    def source(self) -> RestoreSource:
        """Which backup; names nothing when a swap is undone."""
        return self.spec.source or RestoreSource()

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> RestoreRequest:
        """Return the resource that the Kubernetes object *body* describes; raises InvalidSpecError with the field's path."""
        return cls(
            metadata=read_metadata(body),
            spec=decode(RestoreRequestSpec, body["spec"], "spec"),
            status=decode(RestoreRequestStatus, body.get("status") or {}, "status"),
        )
