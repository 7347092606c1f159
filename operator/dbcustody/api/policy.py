"""BackupPolicy: when backups are taken, how long they stay, and how they are proven."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dbcustody.api.condition import Condition
from dbcustody.api.database import LastBackup
from dbcustody.api.job_template import JobTemplate
from dbcustody.api.meta import Metadata, ObjectRef, read_metadata
from dbcustody.codec import decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Algorithm(StrEnum):
    """What pg_dump compresses with; Zstd and Lz4 need a client of major 16 and newer."""

    ZSTD = "Zstd"
    GZIP = "Gzip"
    LZ4 = "Lz4"
    NONE = "None"


class Level(StrEnum):
    """How far a backup is proven: every byte read back, also every row counted, or also restored; each one holds those before it."""

    CHECKSUM = "Checksum"
    READ = "Read"
    RESTORE = "Restore"

    @property
    def passed(self) -> tuple[Level, ...]:
        """The levels that what passed this one has passed, the least first."""
        levels = tuple(Level)
        return levels[: levels.index(self) + 1]

    def reaches(self, least: Level) -> bool:
        """Return whether what passed this level has passed *least*."""
        return least in self.passed


def highest_level(names: Iterable[str]) -> Level | None:
    """Return the highest of the levels that *names* name; None when they name none that is known here."""
    known = set(names)
    return next((level for level in reversed(Level) if level.value in known), None)


class LocaleFallback(StrEnum):
    """What a restore test does when its server lacks the backup's locale."""

    FAIL = "Fail"
    C = "C"


class RowCounts(StrEnum):
    """Whether rows are counted in the dump's own snapshot."""

    EXACT = "Exact"
    NONE = "None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """Algorithm and level of pg_dump's own compression."""

    algorithm: Algorithm = Algorithm.ZSTD
    level: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Patterns of pg_dump's `--table` and `--exclude-table`; both empty means everything."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How many backups stay: the newest ones, and one for each hour, day, week, month, year that has one."""

    keep_last: int = 1
    keep_hourly: int = 0
    keep_daily: int = 7
    keep_weekly: int = 4
    keep_monthly: int = 12
    keep_yearly: int = 0
    keep_within_days: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """Where the throw-away server of a restore test keeps its data."""

    size_bytes: int | None = None
    """None: twice the database's size, rounded up, as far as that is known."""
    storage_class_name: str | None = None
    """None: the node's own disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """How far each backup is proven; all but *level* is about level Restore alone (CEL)."""

    level: Level = Level.READ
    image: str | None = None
    """Of the throw-away server; None: the public one of the database's major version."""
    scratch: Scratch | None = None
    locale_fallback: LocaleFallback | None = None
    """None: Fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVerification(Verification):
    """How far each backup of a policy is proven."""

    every_nth: int | None = None
    """Of so many backups one is restored, the others are read; None: every one is restored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureOptions:
    """What a BackupPolicy and a Manual Backup say in the same words about how a dump is taken."""

    timeout_seconds: int = 21_600
    starting_deadline_seconds: int = 3600
    compression: Compression = field(default_factory=Compression)
    parallelism: int = 1
    tables: Tables = field(default_factory=Tables)
    lock_wait_seconds: int = 30
    cancel_when_blocking_seconds: int = 60
    verification: Verification = field(default_factory=Verification)
    row_counts: RowCounts = RowCounts.EXACT

    @property
    def is_whole(self) -> bool:
        """Whether no table is left out."""
        return not (self.tables.include or self.tables.exclude)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupPolicySpec(CaptureOptions):
    """What is wanted."""

    database_ref: ObjectRef
    storage_ref: ObjectRef
    schedule: str
    time_zone: str = "Etc/UTC"
    immediate: bool = False
    suspend: bool = False
    retention: Retention = field(default_factory=Retention)
    verification: PolicyVerification = field(default_factory=PolicyVerification)
    job: JobTemplate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """What lies in the storage for the policy's database."""

    count: int
    bytes: int
    oldest_time: datetime | None = None
    newest_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEntry:
    """What retention decided about one backup, and why."""

    name: str
    keep: bool
    because: tuple[str, ...] = ()
    expires_time: datetime | None = None
    """When the rules let go of it, if backups go on as they do; None means that no time can be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedSlot:
    """A slot of the schedule that passed without a run."""

    time: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreTested:
    """The newest backup that was restored to prove it; *time* is of its data, *restore_seconds* None: not measured here."""

    name: str
    time: datetime
    restore_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupPolicyStatus:
    """What was found; None means: not known yet."""

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    last_success: LastBackup | None = None
    last_attempt: LastBackup | None = None
    last_restore_test: RestoreTested | None = None
    """What retention has removed meanwhile is not forgotten."""
    next_schedule_time: datetime | None = None
    retained: Retained | None = None
    plan: tuple[PlanEntry, ...] = ()
    vanished: tuple[str, ...] = ()
    """Backups that lay in the storage and are gone without a tombstone, as the last prune saw it."""
    deleted: tuple[str, ...] = ()
    """Backups that people made and whose data is deleted, as the last prune told of those that did not say so themselves by then."""
    missed: tuple[MissedSlot, ...] = ()
    last_slot_time: datetime | None = None
    pruned_time: datetime | None = None
    prune_hash: str | None = None
    prune_after: str | None = None
    job_ref: ObjectRef | None = None
    ordinal: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupPolicy:
    """The resource."""

    metadata: Metadata
    spec: BackupPolicySpec
    status: BackupPolicyStatus = field(default_factory=BackupPolicyStatus)

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> BackupPolicy:
        """Return the resource that the Kubernetes object *body* describes; raises InvalidSpecError with the field's path."""
        return cls(
            metadata=read_metadata(body),
            spec=decode(BackupPolicySpec, body["spec"], "spec"),
            status=decode(BackupPolicyStatus, body.get("status") or {}, "status"),
        )
