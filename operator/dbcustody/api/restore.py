"""RestoreRequest: a backup wanted back, beside what runs; and a restore as people see it: what it is at, and how far."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dbcustody.api.backup import Attempt
from dbcustody.api.condition import Condition
from dbcustody.api.job_template import JobTemplate
from dbcustody.api.meta import Metadata, ObjectRef, read_metadata
from dbcustody.codec import decode

if TYPE_CHECKING:
    from collections.abc import Mapping


class Mode(StrEnum):
    """Where the data goes."""

    NEW_DATABASE = "NewDatabase"


class MissingRoles(StrEnum):
    """What to do about roles that the backup needs and the server does not have."""

    FAIL = "Fail"
    CREATE = "Create"
    SKIP_OWNERSHIP = "SkipOwnership"


class SideEffect(StrEnum):
    """What a restore does besides, and must be named by whoever wants it before it is done."""

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
    """Which backup: exactly one of *backup_ref*, *policy_ref* and *storage_ref* is given (CEL).

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
    """Where to: the server of a Database, and the name of the database that is to be made there."""

    database_ref: ObjectRef
    database: str


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
class RestoreRequestSpec:
    """What is wanted; nothing but *cancel* can be changed later (CEL)."""

    source: RestoreSource
    target: RestoreTarget
    mode: Mode = Mode.NEW_DATABASE
    parallelism: int = 2
    schemas: Patterns = field(default_factory=Patterns)
    tables: Patterns = field(default_factory=Patterns)
    missing_roles: MissingRoles = MissingRoles.FAIL
    owner_map: tuple[OwnerMapping, ...] = ()
    acknowledge: tuple[SideEffect, ...] = ()
    checks: WantedChecks = field(default_factory=WantedChecks)
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
class StatedPlan:
    """What a restore will do, told before anything is touched; with *obstacles* it does nothing."""

    hash: str
    obstacles: tuple[StatedObstacle, ...] = ()
    roles_to_create: tuple[str, ...] = ()
    with_ownership: bool = True
    """False: everything belongs to the role that restores, and nobody gets rights."""
    remarks: tuple[str, ...] = ()
    """What will not be as it was."""
    skipped_objects: tuple[str, ...] = ()
    """What is left out because the role that restores may not make it; it must be acknowledged."""
    server_bytes: int | None = None
    """What the databases of the server take that the role may connect to; how much is free, PostgreSQL does not tell."""


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

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> RestoreRequest:
        """Return the resource that the Kubernetes object *body* describes; raises InvalidSpecError with the field's path."""
        return cls(
            metadata=read_metadata(body),
            spec=decode(RestoreRequestSpec, body["spec"], "spec"),
            status=decode(RestoreRequestStatus, body.get("status") or {}, "status"),
        )
