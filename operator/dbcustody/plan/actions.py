"""What a plan wants done, as data: a refused or repeated plan is visible in a test, and nothing happens before status says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from dbcustody.api.database import WorkloadKind
from dbcustody.contract import JobResult
from dbcustody.reason import Reason

Status = TypeVar("Status")


@dataclass(frozen=True, slots=True)
class StartJob:
    """Create the Job *manifest*; one of the same name and owner is the same Job."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete the Job, pods first; without *waits_for_pods* at once, and Kubernetes looks after them."""

    name: str
    uid: str
    waits_for_pods: bool = True


@dataclass(frozen=True, slots=True)
class LetJobGo:
    """Its result is recorded: let Kubernetes remove the Job after *seconds*."""

    name: str
    seconds: int


@dataclass(frozen=True, slots=True)
class MarkJob:
    """Write on a Job of a CronJob which Backup was made of it."""

    name: str
    backup_name: str
    backup_uid: str


@dataclass(frozen=True, slots=True)
class CreateBackup:
    """Create the Backup *manifest*; one of the same name is the same Backup."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteBackup:
    """Delete the Backup object; what lies in the storage is not touched by this."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class ApplyCronJob:
    """Make the CronJob as *manifest* says."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteCronJob:
    """Delete the CronJob, and leave its Jobs alone."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class ScaleWorkload:
    """Give the workload so many replicas, through its scale subresource."""

    kind: WorkloadKind
    name: str
    replicas: int


@dataclass(frozen=True, slots=True)
class SetFinalizers:
    """Give the resource exactly these finalizers."""

    finalizers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell as an Event what no condition says."""

    reason: Reason
    message: str
    is_warning: bool = True


@dataclass(frozen=True, slots=True)
class Count:
    """Count *result* in the metrics, once: it stands beside the status that records it."""

    result: JobResult


Action = (
    StartJob
    | DeleteJob
    | LetJobGo
    | MarkJob
    | CreateBackup
    | DeleteBackup
    | ApplyCronJob
    | DeleteCronJob
    | ScaleWorkload
    | SetFinalizers
    | Tell
    | Count
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Generic[Status]):
    """What to say, then what to do, and when to look again even if nothing is heard."""

    status: Status | None
    """The status as it shall be; None: there is no resource to write to."""
    actions: tuple[Action, ...] = field(default=())
    look_again_seconds: float | None = None
