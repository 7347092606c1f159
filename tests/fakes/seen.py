"""Resources and Jobs as they might be seen, each with what matters for the case at hand and sensible values for the rest."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.backup import Artefact, Backup, BackupScope, BackupSpec, Progress, Stage
from dbcustody.api.condition import Condition, ConditionStatus, ConditionType
from dbcustody.api.database import Connection, Database, DatabaseSpec, Server
from dbcustody.api.meta import Metadata, ObjectRef, OwnerReference
from dbcustody.api.policy import BackupPolicy, BackupPolicySpec
from dbcustody.api.storage import S3, BackupStorage, BackupStorageSpec
from dbcustody.codec import encode
from dbcustody.contract import JobResult, Verb
from dbcustody.facts import BackupFacts
from dbcustody.guidance import GUIDANCE
from dbcustody.naming import LABEL_DATABASE, LABEL_OWNER_KIND, LABEL_POLICY, LABEL_STORAGE, LABEL_VERB
from dbcustody.plan.observed import SeenJob, SeenPod

if TYPE_CHECKING:
    from dbcustody.reason import Reason

NOW: Final = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
REQUEST: Final = "0" * 64
IMAGE: Final = "example.org/dbcustody:1"


def ago(seconds: float) -> datetime:
    """Return the time *seconds* before NOW."""
    return NOW - timedelta(seconds=seconds)


def metadata(name: str = "shop", **more: Any) -> Metadata:
    """Return the metadata of a resource in namespace `team`."""
    values: dict[str, Any] = {
        "namespace": "team",
        "uid": f"uid-{name}",
        "generation": 1,
        "resource_version": "7",
        "creation_timestamp": ago(3600),
    }
    return Metadata(name=name, **(values | more))


def condition(
    kind: ConditionType, status: str, reason: Reason, message: str = "", *, generation: int = 1, since: float = 60
) -> Condition:
    """Return a condition that has stood for *since* seconds."""
    return Condition(
        type=kind,
        status=ConditionStatus(status),
        reason=reason,
        message=message,
        observed_generation=generation,
        last_transition_time=ago(since),
    )


def database(name: str = "shop", **spec: Any) -> Database:
    """Return a Database that was never looked at."""
    connection = spec.pop("connection", Connection(secret_ref=ObjectRef(name="shop-app")))
    return Database(metadata=metadata(name), spec=DatabaseSpec(connection=connection, **spec))


def storage(name: str = "main", **spec: Any) -> BackupStorage:
    """Return a BackupStorage, a bucket unless *spec* says otherwise, that was never looked at."""
    values = spec or {"s3": S3(bucket="backups"), "acknowledge_unencrypted": True}
    return BackupStorage(metadata=metadata(name), spec=BackupStorageSpec(**values))


def policy(name: str = "nightly", **spec: Any) -> BackupPolicy:
    """Return a BackupPolicy of `shop` and `main`, daily at two, that was never looked at."""
    values: dict[str, Any] = {
        "database_ref": ObjectRef(name="shop"),
        "storage_ref": ObjectRef(name="main"),
        "schedule": "0 2 * * *",
    }
    return BackupPolicy(metadata=metadata(name), spec=BackupPolicySpec(**(values | spec)))


def backup(name: str = "monday", **spec: Any) -> Backup:
    """Return a Backup of `shop` in `main` that was never looked at."""
    values: dict[str, Any] = {"database_ref": ObjectRef(name="shop"), "storage_ref": ObjectRef(name="main")}
    return Backup(metadata=metadata(name), spec=BackupSpec(**(values | spec)))


def with_status(resource: Any, **status: Any) -> Any:
    """Return *resource* with *status* in place of what its status says."""
    return replace(resource, status=replace(resource.status, **status))


def with_metadata(resource: Any, **values: Any) -> Any:
    """Return *resource* with *values* in place of what its metadata says."""
    return replace(resource, metadata=replace(resource.metadata, **values))


def owned_by(uid: str) -> tuple[OwnerReference, ...]:
    """Return the owner references of a Job of the object *uid*."""
    return (OwnerReference(api_version="dbcustody.dev/v1", kind="Any", name="any", uid=uid, controller=True),)


def job(name: str, verb: Verb = Verb.BACKUP, *, owner: str = "", age: float = 5, **values: Any) -> SeenJob:
    """Return a Job created *age* seconds ago that has not ended."""
    labels = {LABEL_VERB: verb.value}
    about = metadata(name, creation_timestamp=ago(age), labels=labels, owner_references=owned_by(owner))
    return SeenJob(metadata=about, verb=verb, request_sha256=REQUEST, **values)


def running(name: str, verb: Verb = Verb.BACKUP, **values: Any) -> SeenJob:
    """Return a Job with a pod that works."""
    pods = (pod(is_running=True, phase="Running"),)
    return job(name, verb, active=1, ready=1, start_time=ago(4), pods=pods, **values)


def answered(name: str, result: JobResult, **values: Any) -> SeenJob:
    """Return a Job that ended with *result* in its pod's termination message."""
    outcome = "Complete" if result.exit_code == 0 else "Failed"
    pods = (pod(exit_code=int(result.exit_code), ended_message=text_of(result), ended_time=ago(1)),)
    return job(name, result.verb, outcome=outcome, finish_time=ago(1), pods=pods, **values)


def silent(name: str, verb: Verb = Verb.BACKUP, **values: Any) -> SeenJob:
    """Return a Job that failed and left nothing."""
    defaults: dict[str, Any] = {"outcome": "Failed", "finish_time": ago(1)}
    return job(name, verb, **(defaults | values))


def pod(**values: Any) -> SeenPod:
    """Return a pod of a Job."""
    defaults: dict[str, Any] = {"name": "pod", "uid": "uid-pod", "phase": "Pending", "created_time": ago(4)}
    return SeenPod(**(defaults | values))


def text_of(result: JobResult) -> str:
    """Return *result* as the answer to REQUEST."""
    return json.dumps(encode(replace(result, request_sha256=REQUEST)))


def result(verb: Verb, reason: Reason, message: str = "", **facts: Any) -> JobResult:
    """Return a result as a Job words it."""
    return JobResult(verb=verb, exit_code=GUIDANCE[reason].exit_code, reason=reason, message=message, **facts)


ARTEFACT: Final = Artefact(
    location="s3://backups/shop/20260131T110000Z",
    backup_id="20260131T110000Z-abc",
    attempt="uid-pod",
    manifest_sha256="f" * 64,
    stored_bytes=1_000,
    logical_bytes=4_000,
    stored="1000 B",
)
SERVER: Final = Server(version="17.2", major_version=17)


def facts(name: str = "monday", **values: Any) -> BackupFacts:
    """Return the facts of a backup that lies in the storage and passed level Read."""
    defaults: dict[str, Any] = {
        "artefact": ARTEFACT,
        "server": SERVER,
        "snapshot_time": ago(100),
        "start_time": ago(110),
        "finish_time": ago(10),
        "scope": BackupScope.WHOLE,
        "verified_level": "Read",
    }
    return BackupFacts(name=name, **(defaults | values))


def progress(**values: Any) -> Progress:
    """Return a progress in the middle of a dump."""
    defaults: dict[str, Any] = {"stage": Stage.DUMPING, "summary": "42 %", "percent": 42}
    return Progress(**(defaults | values))


def scheduled_job(name: str = "nightly-29500000", *, by_hand: bool = False, **values: Any) -> SeenJob:
    """Return a Job that the CronJob of `nightly` started, or a person from it."""
    made = job(name, **values)
    labels = {
        LABEL_VERB: "backup",
        LABEL_OWNER_KIND: "BackupPolicy",
        LABEL_POLICY: "nightly",
        LABEL_DATABASE: "shop",
        LABEL_STORAGE: "main",
    }
    slot = {} if by_hand else {"batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-01-31T02:00:00Z"}
    annotations = slot | made.metadata.annotations
    return replace(made, metadata=replace(made.metadata, labels=labels, annotations=annotations))
