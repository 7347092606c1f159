"""Jobs and CronJobs as Kubernetes wants them: what is retried, how long they may take, whom they belong to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.job_template import JobTemplate, merge_templates
from dbcustody.api.meta import Kind
from dbcustody.contract import JobRequest
from dbcustody.naming import (
    LABEL_BACKUP,
    LABEL_DATABASE,
    LABEL_MANAGED_BY,
    LABEL_OWNER_KIND,
    LABEL_OWNER_NAME,
    LABEL_POLICY,
    LABEL_REQUEST,
    LABEL_STORAGE,
    LABEL_VERB,
    label_value,
)
from dbcustody.plan.observed import ANNOTATION_MANIFEST
from dbcustody.plan.pod import CONTAINER, pod_template
from dbcustody.reason import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping


RETRIES: Final = 3
SPARE_SECONDS: Final = 120
"""How much longer than the worker's own deadline Kubernetes waits: the worker must be able to say that it timed out."""
HISTORY: Final = 50
LEAST_STARTING_DEADLINE_SECONDS: Final = 60
MANAGER: Final = "dbcustody"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a Job is made of: the request, for whom it is, and how its pod is to be."""

    request: JobRequest
    image: str
    owner_kind: Kind
    owner_name: str
    templates: tuple[JobTemplate | None, ...] = ()
    """Of Database, BackupStorage, BackupPolicy and Backup, in this order; a later one wins."""
    backup_name: str | None = None
    request_name: str | None = None
    """Of a RestoreRequest or a DatabaseMigration."""
    waiting_seconds: int = 0
    """How long the worker may wait for its turn before its own clock starts."""
    is_tied: bool = True
    """Whether pods that use the same volume must run on one node."""
    retries: int = RETRIES
    """How often Kubernetes tries again by itself; 0 where the operator does, so that the first failure is told at once."""
    is_once: bool = False
    """Whether it is tried once, and never again by itself: not even when the pod is evicted."""

    @property
    def labels(self) -> dict[str, str]:
        """What the Job and its pod can be found by."""
        found = {
            LABEL_MANAGED_BY: MANAGER,
            LABEL_VERB: self.request.verb.value,
            LABEL_OWNER_KIND: self.owner_kind.value,
            LABEL_OWNER_NAME: label_value(self.owner_name),
            LABEL_DATABASE: self.request.database_name,
            LABEL_STORAGE: self.request.storage_name,
            LABEL_POLICY: self.request.policy_name,
            LABEL_BACKUP: self.backup_name,
            LABEL_REQUEST: self.request_name,
        }
        return {label: label_value(value) for label, value in found.items() if value}


def job_manifest(work: Work, *, name: str, owner: Mapping[str, Any]) -> Json:
    """Return the Job *name* that does *work* and goes when *owner* goes."""
    metadata = {
        "name": name,
        "namespace": work.request.namespace,
        "labels": work.labels,
        "ownerReferences": [dict(owner)],
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": _job_spec(work)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """When a CronJob starts its work."""

    schedule: str
    time_zone: str
    starting_deadline_seconds: int
    suspend: bool


def cron_job_manifest(work: Work, timetable: Timetable, *, name: str, owner: Mapping[str, Any]) -> Json:
    """Return the CronJob *name* that does *work* at the times of *timetable* and goes when *owner* goes.

    The finalizer `orphan` makes Kubernetes leave its Jobs alone whoever deletes the CronJob: a running dump is finished.
    """
    deadline = max(timetable.starting_deadline_seconds, LEAST_STARTING_DEADLINE_SECONDS)
    spec = {
        "schedule": timetable.schedule,
        "timeZone": timetable.time_zone,
        "suspend": timetable.suspend,
        "startingDeadlineSeconds": deadline,
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": HISTORY,
        "failedJobsHistoryLimit": HISTORY,
        "jobTemplate": {"metadata": {"labels": work.labels}, "spec": _job_spec(work)},
    }
    metadata = {
        "name": name,
        "namespace": work.request.namespace,
        "labels": work.labels,
        "annotations": {ANNOTATION_MANIFEST: _digest(spec)},
        "ownerReferences": [dict(owner)],
        "finalizers": ["orphan"],
    }
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}


def _job_spec(work: Work) -> Json:
    return {
        "backoffLimit": 0 if work.is_once else work.retries,
        "activeDeadlineSeconds": work.request.timeout_seconds + work.waiting_seconds + SPARE_SECONDS,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": _failure_policy(is_once=work.is_once),
        "template": pod_template(
            work.request,
            merge_templates(*work.templates),
            image=work.image,
            labels=work.labels,
            is_tied=work.is_tied,
        ),
    }


def _failure_policy(*, is_once: bool) -> Json:
    """Disruptions do not count, exit code 20 is tried again, everything else is final: trying again would change nothing."""
    disrupted = "FailJob" if is_once else "Ignore"
    return {
        "rules": [
            {"action": disrupted, "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {
                "action": "FailJob",
                "onExitCodes": {
                    "containerName": CONTAINER,
                    "operator": "NotIn",
                    "values": [int(ExitCode.UNAVAILABLE)],
                },
            },
        ]
    }


def _digest(spec: Json) -> str:
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:32]
