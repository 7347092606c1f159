"""A control plane in miniature: it keeps one Backup and its Jobs, and does with a plan what the operator does, in the same order.

Status first, then one action after the other; an operator may die between any two of them. Jobs are read back from the very manifests
that the plan wrote, and status goes through JSON, so that what cannot be written down is found out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.backup import Backup, BackupStatus, Origin, Progress, Stage
from dbcustody.api.condition import ConditionType, find
from dbcustody.api.meta import ObjectRef
from dbcustody.codec import decode, encode
from dbcustody.contract import JobResult, Verb
from dbcustody.naming import LABEL_DATABASE, LABEL_STORAGE
from dbcustody.plan.actions import Action, DeleteBackup, DeleteJob, LetJobGo, MarkJob, Plan, SetFinalizers, StartJob
from dbcustody.plan.backup import plan
from dbcustody.plan.backup_case import SeenBackup
from dbcustody.plan.observed import ANNOTATION_BACKUP_UID, SeenJob, SeenPod
from dbcustody.plan.removal import plan_removal
from dbcustody.reason import ExitCode, Reason
from tests.fakes.seen import (
    IMAGE,
    NOW,
    backup,
    database,
    policy,
    progress,
    result,
    scheduled_job,
    storage,
    text_of,
    with_metadata,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbcustody.facts import BackupFacts


NEVER: Final = 99
"""More actions than any plan has: the operator does not die."""


@dataclass(slots=True)
class ControlPlane:
    """One Backup, its Jobs, what else is seen around it, and the time."""

    backup: Backup
    seen: SeenBackup = field(default_factory=lambda: SeenBackup(image=IMAGE, database=database(), storage=storage()))
    jobs: dict[str, SeenJob] = field(default_factory=dict)
    now: datetime = NOW
    is_gone: bool = False
    started: list[tuple[Verb, str]] = field(default_factory=list)
    """Every Job that was really created, in order."""
    done: list[Action] = field(default_factory=list)

    @property
    def status(self) -> BackupStatus:
        """What was last said of the Backup."""
        return self.backup.status

    def think(self) -> Plan[BackupStatus]:
        """Return the plan for what is seen now."""
        seen = replace(self.seen, jobs=tuple(self.jobs.values()))
        judge = plan_removal if self.backup.metadata.is_being_deleted else plan
        return judge(self.backup, seen, self.now)

    def reconcile(self, *, dies_after: int = NEVER) -> Plan[BackupStatus]:
        """Plan, say, perform; an operator that *dies_after* n writes (the first is status) does no more than those."""
        found = self.think()
        writes: list[Any] = [found.status, *found.actions]
        for number, write in enumerate(writes[:dies_after]):
            if number == 0:
                self.backup = replace(self.backup, status=through_json(write))
            else:
                self.perform(write)
        self.seen = replace(self.seen, progress=None)
        return found

    def perform(self, action: Action) -> None:
        """Do *action* as Kubernetes would."""
        self.done.append(action)
        match action:
            case StartJob(manifest):
                self._create(manifest)
            case DeleteJob(name, _):
                self.jobs.pop(name, None)
            case LetJobGo(name, _):
                self.change(name, has_ttl=True)
            case MarkJob(name, _, uid):
                about = self.jobs[name].metadata
                self.change(name, metadata=replace(about, annotations=about.annotations | {ANNOTATION_BACKUP_UID: uid}))
            case DeleteBackup():
                self.is_gone = True
            case SetFinalizers(finalizers):
                about = replace(self.backup.metadata, finalizers=finalizers)
                self.backup = replace(self.backup, metadata=about)
                self.is_gone = self.is_gone or (about.is_being_deleted and not finalizers)

    def _create(self, manifest: Mapping[str, Any]) -> None:
        name = manifest["metadata"]["name"]
        if name in self.jobs:
            return  # 409, and the owner is the same
        stamped = {"uid": f"uid-{name}-{len(self.started)}", "creationTimestamp": self.now.isoformat()}
        job = SeenJob.from_body({**manifest, "metadata": {**manifest["metadata"], **stamped}})
        self.jobs[name] = job
        self.started.append((job.verb, name))

    def change(self, name: str, **values: Any) -> None:
        """Change what is seen of the Job *name*."""
        self.jobs[name] = replace(self.jobs[name], **values)

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def runs(self, name: str, progress: Progress | None = None) -> None:
        """Let the Job *name* have a pod that works, and be heard telling *progress*."""
        pod = SeenPod(name="pod", uid="uid-pod", phase="Running", created_time=self.now, is_running=True)
        self.change(name, active=1, ready=1, start_time=self.now, pods=(pod,))
        self.seen = replace(self.seen, progress=progress)

    def ends(self, name: str, answer: JobResult | None, **values: Any) -> None:
        """Let the Job *name* end with *answer* in its pod's termination message; None: it leaves nothing."""
        job = self.jobs[name]
        text = text_of(answer).replace("0" * 64, job.request_sha256) if answer is not None else ""
        code = int(answer.exit_code) if answer is not None else 137
        pods = (
            *(pod for pod in job.pods if not pod.is_running),
            SeenPod(
                name="pod",
                uid="uid-pod",
                phase="Succeeded" if code == 0 else "Failed",
                created_time=self.now,
                exit_code=code,
                ended_message=text,
                ended_time=self.now,
            ),
        )
        ended: dict[str, Any] = {
            "active": 0,
            "ready": 0,
            "outcome": "Complete" if code == 0 else "Failed",
            "finish_time": self.now,
            "pods": pods,
        }
        self.change(name, **(ended | values))

    @property
    def at_work(self) -> SeenJob | None:
        """The Job that has not ended, or None."""
        return next((job for job in self.jobs.values() if not job.is_finished), None)

    @property
    def last_job(self) -> SeenJob:
        """The Job of the last attempt."""
        return self.jobs[self.status.attempts[-1].job_name]


def through_json(status: BackupStatus | None) -> BackupStatus:
    """Return *status* as the next operator reads it."""
    return decode(BackupStatus, encode(status))


def settled(facts: BackupFacts | None, reason: Reason = Reason.SUCCEEDED, message: str = "") -> JobResult:
    """Return the answer of a Job that looked into the storage; *facts* without an artefact say that nothing was committed."""
    if facts is not None and facts.artefact is None and reason is Reason.SUCCEEDED:
        return replace(result(Verb.SETTLE, Reason.JOB_LOST, message, backup=facts), exit_code=ExitCode.DONE)
    return result(Verb.SETTLE, reason, message, backup=facts)


def words(plane: ControlPlane, kind: ConditionType) -> tuple[str, str] | None:
    """Return status and reason of the condition *kind*."""
    found = find(plane.status.conditions, kind)
    return None if found is None else (found.status.value, found.reason.value)


def started(**spec: Any) -> ControlPlane:
    """Return a control plane in which the Job of a Manual Backup was created."""
    plane = ControlPlane(backup(**spec))
    plane.reconcile()
    return plane


def scheduled(*, by_hand: bool = False, **job: Any) -> ControlPlane:
    """Return a control plane with a Job of a CronJob and the Backup that records it, not looked at yet."""
    made = scheduled_job(by_hand=by_hand, **job)
    origin = Origin.ADOPTED if by_hand else Origin.SCHEDULED
    one = backup(made.name, origin=origin, policy_ref=ObjectRef(name="nightly"), storage_ref=None)
    one = with_metadata(one, labels={LABEL_DATABASE: "shop", LABEL_STORAGE: "main"})
    plane = ControlPlane(one, jobs={made.name: made})
    plane.seen = replace(plane.seen, policy=policy())
    return plane


def dumping() -> ControlPlane:
    """Return a control plane in which the Backup's Job was seen to dump."""
    plane = started()
    plane.runs(plane.last_job.name, progress(stage=Stage.DUMPING))
    plane.reconcile()
    return plane


def verbs(plane: ControlPlane) -> list[Verb]:
    """Return what the Jobs were asked to do, in order."""
    return [verb for verb, _ in plane.started]
