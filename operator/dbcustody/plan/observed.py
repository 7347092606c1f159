"""What was seen of the objects of Kubernetes that work for us, as frozen values: only what judgement reads.

`None` means absent. Nothing here decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.meta import Metadata, read_metadata
from dbcustody.codec import parse_time
from dbcustody.contract import REQUEST_VARIABLE, Verb, digest_of
from dbcustody.naming import GROUP, LABEL_POLICY, LABEL_VERB
from dbcustody.plan.image_source import FILLERS

if TYPE_CHECKING:
    from collections.abc import Mapping

ANNOTATION_BACKUP_UID: Final = f"{GROUP}/backup-uid"
"""On a Job of a CronJob: the Backup that was made of it."""
ANNOTATION_MANIFEST: Final = f"{GROUP}/manifest"
"""On a CronJob: the digest of what was applied, so that an equal one is not applied again."""
SCHEDULED_TIMESTAMP: Final = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_SAID_LENGTH: Final = 300
PHASES_OVER: Final = frozenset({"Failed", "Succeeded"})
"""A pod in one of these is over, though its container may still be told as running: its node was lost."""
BY_HAND: Final = "cronjob.kubernetes.io/instantiate"
"""kubectl's mark on a Job that a person made from a CronJob."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPod:
    """One pod of a Job."""

    name: str
    uid: str
    phase: str
    created_time: datetime | None = None
    reason: str = ""
    message: str = ""
    unscheduled: str | None = None
    """The scheduler's text while it finds no node."""
    waiting_reason: str = ""
    waiting_message: str = ""
    lacks_server: bool = False
    """Whether it is the throw-away server that it waits for, and not the worker itself."""
    is_running: bool = False
    is_disrupted: bool = False
    node: str = ""
    """Empty while it has none."""
    is_unheard: bool = False
    """Whether its node was given up by Kubernetes: then the pod's own word, that its container is ready, is of yesterday."""
    is_going: bool = False
    """Whether somebody wants it to end; on a node that does not answer nobody knows when it does."""
    exit_code: int | None = None
    ended_reason: str = ""
    ended_message: str = ""
    ended_time: datetime | None = None
    lacks_source: str = ""
    """Why the files that the worker is to find could not be copied; empty: they could, or none are to be."""

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> SeenPod:
        """Return what the pod *body* says: of its one container, and of those before it only why they do not start, or failed."""
        status, metadata = body.get("status") or {}, body["metadata"]
        conditions = {one["type"]: one for one in status.get("conditions") or ()}
        state = next((one.get("state") or {} for one in status.get("containerStatuses") or ()), {})
        server = {} if {"running", "terminated"} & state.keys() else _hindrance(status)
        ended = state.get("terminated") or {}
        waiting = server or state.get("waiting") or {}
        scheduled, phase = conditions.get("PodScheduled") or {}, status.get("phase") or "Pending"
        return cls(
            name=metadata["name"],
            uid=metadata["uid"],
            phase=phase,
            created_time=_time(metadata.get("creationTimestamp")),
            reason=status.get("reason") or "",
            message=status.get("message") or "",
            unscheduled=scheduled.get("message") or "" if scheduled.get("status") == "False" else None,
            waiting_reason=waiting.get("reason") or "",
            waiting_message=waiting.get("message") or "",
            lacks_server=bool(server),
            is_running="running" in state and phase not in PHASES_OVER,
            node=(body.get("spec") or {}).get("nodeName") or "",
            is_unheard=_is_unheard(conditions, phase),
            is_going=metadata.get("deletionTimestamp") is not None,
            is_disrupted=(conditions.get("DisruptionTarget") or {}).get("status") == "True",
            exit_code=ended.get("exitCode"),
            ended_reason=ended.get("reason") or "",
            ended_message=ended.get("message") or "",
            ended_time=_time(ended.get("finishedAt")),
            lacks_source=_failure_before(status),
        )


def _failure_before(status: Mapping[str, Any]) -> str:
    """Return what a container said that had to end well before the worker's could start; empty: none ended badly."""
    statuses = (one for one in status.get("initContainerStatuses") or () if one.get("name") in FILLERS)
    ends = ((one.get("state") or {}).get("terminated") or {} for one in statuses)
    failed: Mapping[str, Any] = next((end for end in ends if end.get("exitCode")), {})
    said = " ".join((failed.get("message") or "").split())[:_SAID_LENGTH]
    return said or (f"{failed.get('reason') or 'exit code'} {failed['exitCode']}" if failed else "")


def _hindrance(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return why a container does not start that has to start before the worker's; empty when none is waited for."""
    states = (one.get("state") or {} for one in status.get("initContainerStatuses") or () if not one.get("started"))
    return next((waiting for state in states if (waiting := state.get("waiting"))), {})


def _is_unheard(conditions: Mapping[str, Mapping[str, Any]], phase: str) -> bool:
    """Return whether the node controller, and not the kubelet, said last how the pod is: it takes Ready away and touches nothing else.

    A kubelet says both conditions alike, as long as the pod has no readiness gates
    (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions).
    """
    ready, containers = conditions.get("Ready") or {}, conditions.get("ContainersReady") or {}
    return phase == "Running" and (ready.get("status"), containers.get("status")) == ("False", "True")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenJob:
    """One Job of ours, with what was found out about its pods when that was asked."""

    metadata: Metadata
    verb: Verb
    request_sha256: str = ""
    """Ties a result to what was asked."""
    is_suspended: bool = False
    ready: int = 0
    active: int = 0
    outcome: str | None = None
    """Kubernetes' word when the Job has ended: Complete or Failed; None while it goes on."""
    outcome_reason: str = ""
    outcome_message: str = ""
    start_time: datetime | None = None
    finish_time: datetime | None = None
    has_server: bool = False
    """Whether its pod has a throw-away server, without which the worker does not start."""
    has_ttl: bool = False
    """Whether the result was recorded: only then may the Job go."""
    pods: tuple[SeenPod, ...] = ()
    warnings: tuple[str, ...] = ()
    """Texts of the Job's Events, newest first; read only while there is no pod."""
    log_result: str | None = None
    """The whole result from the log, where the termination message had no room for it."""

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> SeenJob:
        """Return what the Job *body* says."""
        spec, status = body.get("spec") or {}, body.get("status") or {}
        metadata = read_metadata(body)
        ended: Mapping[str, Any] = next((one for one in status.get("conditions") or () if _is_outcome(one)), {})
        return cls(
            metadata=metadata,
            verb=Verb(metadata.labels[LABEL_VERB]),
            request_sha256=digest_of(_request_of(spec)),
            is_suspended=bool(spec.get("suspend")),
            ready=status.get("ready") or 0,
            active=status.get("active") or 0,
            outcome=ended.get("type"),
            outcome_reason=ended.get("reason") or "",
            outcome_message=ended.get("message") or "",
            start_time=_time(status.get("startTime")),
            finish_time=_time(status.get("completionTime") or ended.get("lastTransitionTime")),
            has_server=bool(((spec.get("template") or {}).get("spec") or {}).get("initContainers")),
            has_ttl=spec.get("ttlSecondsAfterFinished") is not None,
        )

    @property
    def name(self) -> str:
        """The Job's name."""
        return self.metadata.name

    @property
    def created_time(self) -> datetime | None:
        """When the Job came to be."""
        return self.metadata.creation_timestamp

    @property
    def is_finished(self) -> bool:
        """Whether Kubernetes has given the Job up or declared it done."""
        return self.outcome is not None

    def belongs_to(self, uid: str) -> bool:
        """Return whether the object *uid* owns the Job."""
        return any(reference.uid == uid for reference in self.metadata.owner_references)

    @property
    def policy_name(self) -> str | None:
        """The BackupPolicy that the Job works for, if any."""
        return self.metadata.labels.get(LABEL_POLICY)

    @property
    def backup_uid(self) -> str | None:
        """The Backup that was made of this Job of a CronJob; None before that."""
        return self.metadata.annotations.get(ANNOTATION_BACKUP_UID)

    @property
    def scheduled_time(self) -> datetime | None:
        """The slot that the CronJob controller made the Job for; None for one made by hand."""
        return _time(self.metadata.annotations.get(SCHEDULED_TIMESTAMP))

    @property
    def is_by_hand(self) -> bool:
        """Whether a person made the Job from the CronJob."""
        return BY_HAND in self.metadata.annotations or self.scheduled_time is None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCronJob:
    """One CronJob of ours."""

    metadata: Metadata
    manifest_hash: str
    is_suspended: bool = False
    last_schedule_time: datetime | None = None

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> SeenCronJob:
        """Return what the CronJob *body* says."""
        metadata = read_metadata(body)
        return cls(
            metadata=metadata,
            manifest_hash=metadata.annotations.get(ANNOTATION_MANIFEST, ""),
            is_suspended=bool((body.get("spec") or {}).get("suspend")),
            last_schedule_time=_time((body.get("status") or {}).get("lastScheduleTime")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenClaim:
    """A PersistentVolumeClaim that a storage names."""

    access_modes: tuple[str, ...] = field(default=())


def _is_outcome(condition: Mapping[str, Any]) -> bool:
    return condition.get("type") in {"Complete", "Failed"} and condition.get("status") == "True"


def _request_of(job_spec: Mapping[str, Any]) -> str:
    containers = ((job_spec.get("template") or {}).get("spec") or {}).get("containers") or ()
    variables = (one for container in containers for one in container.get("env") or ())
    return next((one.get("value") or "" for one in variables if one.get("name") == REQUEST_VARIABLE), "")


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)
