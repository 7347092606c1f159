"""What is to be done with a Job of a CronJob that no Backup object bears the name of: the Job *is* the backup, and is recorded as one.

Everything that is needed stands in the Job's labels, so that a run is recorded even when its policy was deleted meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbcustody.api.backup import Origin
from dbcustody.api.meta import Kind
from dbcustody.contract import Verb
from dbcustody.naming import (
    API_VERSION,
    LABEL_BACKUP,
    LABEL_DATABASE,
    LABEL_MANAGED_BY,
    LABEL_OWNER_KIND,
    LABEL_POLICY,
    LABEL_STORAGE,
    label_value,
)
from dbcustody.plan.actions import CreateBackup, DeleteJob, LetJobGo, Plan
from dbcustody.plan.manifest import MANAGER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbcustody.plan.observed import SeenJob

GONE_AFTER_SECONDS = 600


def is_of_schedule(job: SeenJob) -> bool:
    """Return whether *job* was made by, or from, the CronJob of a policy: it takes a backup and belongs to no Backup."""
    labels = job.metadata.labels
    return job.verb is Verb.BACKUP and labels.get(LABEL_OWNER_KIND) == Kind.BACKUP_POLICY and LABEL_POLICY in labels


def plan_absent(jobs: tuple[SeenJob, ...]) -> Plan[None]:
    """Return what is to be done for the *jobs* that bear the name of a Backup which is not there."""
    actions = tuple(action for job in jobs if is_of_schedule(job) and (action := _next(job)) is not None)
    return Plan(status=None, actions=actions)


def _next(job: SeenJob) -> CreateBackup | DeleteJob | LetJobGo | None:
    """Return the one thing to do with *job*; None when its Backup was recorded and is gone, or it is going itself."""
    if job.has_ttl or job.metadata.is_being_deleted:
        return None
    if job.backup_uid is None:
        return CreateBackup(backup_manifest(job))
    if job.is_finished:
        return LetJobGo(job.name, GONE_AFTER_SECONDS)
    return DeleteJob(job.name, job.metadata.uid)


def backup_manifest(job: SeenJob) -> dict[str, Any]:
    """Return the Backup that records *job*; it belongs to nobody, so that no deletion but its own takes it away."""
    labels = job.metadata.labels
    kept = (LABEL_DATABASE, LABEL_STORAGE, LABEL_POLICY)
    spec = {
        "origin": (Origin.ADOPTED if job.is_by_hand else Origin.SCHEDULED).value,
        "policyRef": {"name": labels[LABEL_POLICY]},
        **({"databaseRef": {"name": labels[LABEL_DATABASE]}} if LABEL_DATABASE in labels else {}),
    }
    known = {label: labels[label] for label in kept if label in labels}
    return record(job.name, job.metadata.namespace, labels=known, spec=spec)


def record(name: str, namespace: str, *, labels: Mapping[str, str], spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Backup that we make of what is there already; retention takes it away again with its data."""
    return {
        "apiVersion": API_VERSION,
        "kind": Kind.BACKUP.value,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {LABEL_MANAGED_BY: MANAGER, LABEL_BACKUP: label_value(name), **labels},
        },
        "spec": dict(spec),
    }
