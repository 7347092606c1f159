"""DatabaseMigration: the migrations that a database shall have, wherever their files lie, and how far it is.

It lives as long as the database does: files are added to its sources, never taken away. What is in stands in the database itself; the
status is only what was read there last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dbcustody.api.condition import Condition
from dbcustody.api.job_template import JobTemplate
from dbcustody.api.meta import Metadata, ObjectRef, read_metadata
from dbcustody.api.migration_error import StatedError
from dbcustody.api.migration_source import MigrationSource
from dbcustody.api.restore import StatedObstacle
from dbcustody.codec import decode

if TYPE_CHECKING:
    from collections.abc import Mapping


class OutOfOrder(StrEnum):
    """What to do about a migration that came late: older than one that is in."""

    REJECT = "Reject"
    ALLOW = "Allow"


class MigrationMode(StrEnum):
    """Whether plans are carried out, or only told."""

    PLAN = "Plan"
    APPLY = "Apply"


class DeclaredState(StrEnum):
    """What a person found a migration to be."""

    APPLIED = "Applied"
    ROLLED_BACK = "RolledBack"


class Way(StrEnum):
    """Whether migrations are carried out or undone."""

    FORTH = "Forth"
    BACK = "Back"


class OnDrift(StrEnum):
    """What a database that is not what its history says means for a migration."""

    FAIL = "Fail"
    WARN = "Warn"
    IGNORE = "Ignore"


class FailOn(StrEnum):
    """From which severity on a finding that nobody has waived refuses a plan."""

    ERROR = "Error"
    WARNING = "Warning"
    NEVER = "Never"


class SeverityClass(StrEnum):
    """How much a finding matters."""

    NOTE = "Note"
    WARNING = "Warning"
    ERROR = "Error"


class RiskClass(StrEnum):
    """How dangerous a migration is, as far as its statements tell."""

    SAFE = "Safe"
    CAUTION = "Caution"
    DESTRUCTIVE = "Destructive"
    """It loses data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LintWaiver:
    """A rule whose findings are accepted in every file, and why."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationLint:
    """What is let pass of that which is risky; a single file accepts more in its head."""

    fail_on: FailOn = FailOn.ERROR
    waivers: tuple[LintWaiver, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationPolicy:
    """What is allowed, and how patiently locks are asked for; see `migration.patience.Limits`. 0 means: without end."""

    lint: MigrationLint = field(default_factory=MigrationLint)
    allow_downgrade: bool = False
    drift: OnDrift = OnDrift.FAIL
    exclude: tuple[str, ...] = ()
    """Globs of what is no part of the schema's fingerprint."""
    accepted_fingerprint: str | None = None
    """A schema with this fingerprint is meant as it is, whatever its history says; None: none is."""
    allow_python: bool = False
    """Whether revisions in Python are run: whoever may write the source may run code then."""
    beside_other_history: bool = False
    """Whether it runs although another tool has migrated the database, and its history was not taken over."""
    out_of_order: OutOfOrder = OutOfOrder.REJECT
    lock_timeout_milliseconds: int = 500
    statement_timeout_seconds: int = 0
    lock_attempts: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationApproval:
    """Who has to agree to a plan before it is carried out."""

    required: bool = False
    """Whether somebody else than who wrote the spec has to, by an Approval."""
    plan_hash: str | None = None
    """The only plan that is carried out: the word of a reviewed commit. None: whichever comes next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupGate:
    """A whole backup of the policy, read back, must be there that is at most so old when the first statement runs."""

    policy_ref: ObjectRef
    max_age_seconds: int = 3600
    take_new: bool = False
    """Whether one is taken where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationRef:
    """Another DatabaseMigration; *namespace* None: the same."""

    name: str
    namespace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionGate:
    """The same source must be in by another DatabaseMigration, as far as it is to be in by this one."""

    migration_ref: MigrationRef


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationGates:
    """What has to be so before anything is run, beside an approval."""

    backup: BackupGate | None = None
    promotion: PromotionGate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a person found a migration to be that the ledger cannot know, and why; written down once, and nothing runs for it."""

    migration: str
    as_: DeclaredState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseMigrationSpec:
    """What is wanted."""

    database_ref: ObjectRef
    source: MigrationSource
    target_revision: str | None = None
    """The migration that is to be the last one in, `base` for none of them; None: the newest."""
    mode: MigrationMode = MigrationMode.APPLY
    resolutions: tuple[Resolution, ...] = ()
    policy: MigrationPolicy = field(default_factory=MigrationPolicy)
    approval: MigrationApproval = field(default_factory=MigrationApproval)
    gates: MigrationGates = field(default_factory=MigrationGates)
    timeout_seconds: int = 21_600
    job: JobTemplate | None = None
    suspend: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedMigration:
    """A migration that is pending."""

    name: str
    risk: RiskClass
    irreversible: bool = False
    """Whether nothing brings back what was before: it has no way back, or destroys something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedFinding:
    """What is risky about a migration: where, why and what helps, in names and numbers; the recipe is SQL, and stands in no status."""

    migration: str
    rule: str
    severity: SeverityClass
    message: str
    line: int | None = None
    """None: it concerns the file as a whole."""
    waived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedMigrationPlan:
    """What comes next, told before anything is run; with *obstacles* nothing is."""

    hash: str
    way: Way = Way.FORTH
    migrations: tuple[StatedMigration, ...] = ()
    """The first ones, in the order in which they run."""
    resolutions: tuple[str, ...] = ()
    """The migrations of which something is to be written down before anything runs."""
    risk: RiskClass | None = None
    """That of the most dangerous one; None: nothing is pending."""
    irreversible: bool = False
    findings: tuple[StatedFinding, ...] = ()
    """The first ones, the worst before the others."""
    refused: int = 0
    """How many findings are reason enough to run nothing."""
    obstacles: tuple[StatedObstacle, ...] = ()
    ahead: bool = False
    """Whether the database has all that the source has, and more."""


class MigrationStage(StrEnum):
    """What a run does at the moment."""

    WAITING = "Waiting"
    """Somebody is in the way."""
    RUNNING = "Running"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationProgress:
    """What a run says of itself: which migration, and who is in its way, by name, age and application."""

    stage: MigrationStage
    summary: str
    updated_time: datetime | None = None


class LikenessClass(StrEnum):
    """Whether the schema is what the ledger says it was left as."""

    SAME = "Same"
    DRIFTED = "Drifted"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedDrift:
    """How the schema stood to its history, in names and no literals."""

    likeness: LikenessClass
    fingerprint: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedAttempt:
    """One attempt of the ledger: which migration, how it ended, and when; None: it has not."""

    name: str
    state: str
    finish_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationRun:
    """The last Job that carried something out, and what became of it; None means: not yet."""

    ordinal: int
    job_name: str
    plan_hash: str
    source_digest: str
    generation: int
    """Of the spec that it was started for."""
    check_now: str | None = None
    """The value of the annotation when it was started: another one asks for a new try."""
    created: bool = False
    """Whether its Job was seen."""
    approval: str | None = None
    """Who agreed to the plan; None: nobody was asked."""
    backup: str | None = None
    """The backup that was there before, and its place in the write-ahead log; None: none was asked for."""
    failures: int = 0
    """How many in a row failed, of this source and spec."""
    start_time: datetime | None = None
    """When it was decided; None: an older version did."""
    finish_time: datetime | None = None
    reason: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupBefore:
    """The backup that was there before the last run began."""

    name: str
    snapshot_time: datetime | None = None
    lsn: str | None = None
    """The place in the write-ahead log that it shows; None: its manifest does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBackup:
    """The last backup that was taken because none was fresh enough."""

    name: str
    ordinal: int
    check_now: str | None = None
    """The value of the annotation when it was asked for: another one asks for another try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseMigrationStatus:
    """How the database stood to the source when it was looked at last; None means: not known yet."""

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    current_revision: str | None = None
    """The migration that came in last, by name."""
    applied: int | None = None
    pending: int | None = None
    source_digest: str | None = None
    plan: StatedMigrationPlan | None = None
    history: tuple[StatedAttempt, ...] = ()
    """The last twenty attempts of the ledger, oldest first, whoever made them."""
    last_error: StatedError | None = None
    """None: the last attempt of the ledger did not fail, or not by the server's word."""
    drift: StatedDrift | None = None
    """None: it was not looked at, by `policy.drift`, or could not be."""
    unsettled: bool = False
    """Whether a run ended of which the ledger does not say how: that is found out before anything else."""
    run: MigrationRun | None = None
    progress: MigrationProgress | None = None
    """Of the run that is under way; None: none is, or it has not said anything yet."""
    backup: BackupBefore | None = None
    taking: TakenBackup | None = None
    planned_time: datetime | None = None
    plan_failures: int = 0
    check_now: str | None = None
    job_ref: ObjectRef | None = None
    """The Job that plans now."""
    ordinal: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseMigration:
    """The resource."""

    metadata: Metadata
    spec: DatabaseMigrationSpec
    status: DatabaseMigrationStatus = field(default_factory=DatabaseMigrationStatus)

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> DatabaseMigration:
        """Return the resource that the Kubernetes object *body* describes; raises InvalidSpecError with the field's path."""
        return cls(
            metadata=read_metadata(body),
            spec=decode(DatabaseMigrationSpec, body["spec"], "spec"),
            status=decode(DatabaseMigrationStatus, body.get("status") or {}, "status"),
        )
