"""A DatabaseMigration, its Jobs and its ConfigMap, moved on by the real plan, as an operator moves them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from dbcustody.api.approval import Approvable, Approval, ApprovalSpec, Decision, RequestRef
from dbcustody.api.backup import Backup
from dbcustody.api.condition import ConditionType, find
from dbcustody.api.meta import ObjectRef
from dbcustody.api.migration import (
    DatabaseMigration,
    DatabaseMigrationSpec,
    DatabaseMigrationStatus,
    MigrationApproval,
    RiskClass,
    StatedMigration,
    StatedMigrationPlan,
)
from dbcustody.api.migration_source import MigrationSource
from dbcustody.api.restore import StatedObstacle
from dbcustody.codec import decode, encode
from dbcustody.contract import JobRequest, JobResult, Verb, load_request
from dbcustody.facts import MigrationFacts
from dbcustody.naming import ANNOTATION_CHECK_NOW, ANNOTATION_REQUESTED_BY, LABEL_MIGRATION_SOURCE
from dbcustody.plan.actions import CreateBackup, DeleteJob, LetJobGo, StartJob
from dbcustody.plan.migration import plan
from dbcustody.plan.migration_case import SeenConfigMap, SeenMigration
from dbcustody.plan.observed import SeenJob
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.control_plane import NEVER

FILE: Final = "20260131_120000_begin"
PENDING: Final = StatedMigrationPlan(
    hash="abcdef", migrations=(StatedMigration(name=FILE, risk=RiskClass.SAFE),), risk=RiskClass.SAFE
)
NOTHING: Final = StatedMigrationPlan(hash="fedcba")
TO_DO: Final = MigrationFacts(source_digest="d", applied=0, pending=1, plan=PENDING)
ALL_IN: Final = MigrationFacts(source_digest="d", applied=1, pending=0, plan=NOTHING, current=FILE)
LEFT: Final = replace(TO_DO, unsettled=True, plan=replace(PENDING, hash="0"))
"""What a run left of which nobody knows how it ended."""


def config_map(text: str = "select 1", *, name: str = "shop-migrations", label: bool = True) -> SeenConfigMap:
    """Return a ConfigMap with one migration."""
    labels = {LABEL_MIGRATION_SOURCE: "shop"} if label else {}
    metadata = {"name": name, "namespace": "team", "uid": f"uid-{name}", "labels": labels}
    return SeenConfigMap.from_body({"metadata": metadata, "data": {f"{FILE}.sql": text}})


def migration(*, requester: str | None = "jane", **spec: Any) -> DatabaseMigration:
    """Return a DatabaseMigration of the ConfigMap `shop-migrations` that was never looked at."""
    source = MigrationSource(config_map_refs=(ObjectRef(name="shop-migrations"),))
    values: dict[str, Any] = {"database_ref": ObjectRef(name="shop"), "source": source}
    annotations = {} if requester is None else {ANNOTATION_REQUESTED_BY: requester}
    metadata = seen.metadata("shop", annotations=annotations)
    return DatabaseMigration(metadata=metadata, spec=DatabaseMigrationSpec(**(values | spec)))


def asking() -> DatabaseMigration:
    """Return one that `jane` wrote and that needs a second person."""
    return migration(approval=MigrationApproval(required=True))


def word(
    decision: Decision = Decision.APPROVE, *, approver: str = "ivan", plan_hash: str = PENDING.hash, name: str = "yes"
) -> Approval:
    """Return what somebody said of a plan, a minute ago."""
    about = RequestRef(kind=Approvable.DATABASE_MIGRATION, name="shop")
    spec = ApprovalSpec(request_ref=about, plan_hash=plan_hash, decision=decision, approver=approver)
    return Approval(metadata=seen.metadata(name, creation_timestamp=seen.ago(60)), spec=spec)


def told(facts: MigrationFacts | None, reason: Reason = Reason.PLANNED, message: str = "") -> JobResult:
    """Return what a Job ends with."""
    return seen.result(Verb.PLAN_MIGRATION, reason, message, migration=facts)


@dataclass
class MigrationPlane:
    """Where everything around one resource is; nothing moves but by `step` and what a test says."""

    migration: DatabaseMigration = field(default_factory=migration)
    around: SeenMigration = field(
        default_factory=lambda: SeenMigration(
            image=seen.IMAGE, database=seen.database(), config_maps=(config_map(),), is_stamped=True
        )
    )
    now: datetime = seen.NOW
    jobs: dict[str, SeenJob] = field(default_factory=dict)
    started: list[dict[str, Any]] = field(default_factory=list)
    actions: list[Any] = field(default_factory=list)
    look_again_seconds: float | None = None

    def step(self, *, dies_after: int = NEVER) -> None:
        """Let the plan be made once, and do what it says; an operator that *dies_after* n writes does no more than those."""
        found = plan(self.migration, replace(self.around, jobs=tuple(self.jobs.values())), self.now)
        assert found.status is not None
        if dies_after == 0:
            return
        self.migration = replace(self.migration, status=decode(DatabaseMigrationStatus, encode(found.status)))
        self.look_again_seconds = found.look_again_seconds
        done = found.actions[: dies_after - 1]
        self.actions += done
        for action in done:
            self._do(action)

    def steps(self, count: int = 3) -> None:
        """Do *count* steps, in the same moment."""
        for _ in range(count):
            self.step()

    def _do(self, action: Any) -> None:
        match action:
            case CreateBackup(manifest):
                born = {"uid": f"uid-{manifest['metadata']['name']}", "creationTimestamp": self.now.isoformat()}
                made = Backup.from_body({**manifest, "metadata": {**manifest["metadata"], **born}})
                self.around = replace(self.around, backups=(*self.around.backups, made))
            case StartJob(manifest):
                self.started.append(dict(manifest))
                born = {"uid": "u", "creationTimestamp": self.now.isoformat()}
                body = {**manifest, "metadata": {**manifest["metadata"], **born}}
                self.jobs[manifest["metadata"]["name"]] = SeenJob.from_body(body)
            case DeleteJob(name):
                self.jobs.pop(name)
            case LetJobGo(name):
                self.jobs[name] = replace(self.jobs[name], has_ttl=True)

    @property
    def verbs(self) -> list[str]:
        """What the Jobs that were started do, in order."""
        return [SeenJob.from_body(one).verb.value for one in self.started]

    @property
    def name(self) -> str:
        """The name of the Job that was started last."""
        name: str = self.started[-1]["metadata"]["name"]
        return name

    def asked(self) -> JobRequest:
        """Return the request of the Job that was started last."""
        container = self.started[-1]["spec"]["template"]["spec"]["containers"][0]
        return load_request(container["env"][0]["value"])

    def runs(self) -> None:
        """Let the last Job's pod work."""
        pods = (seen.pod(is_running=True, phase="Running"),)
        self.jobs[self.name] = replace(self.jobs[self.name], active=1, ready=1, start_time=self.now, pods=pods)

    def ends(self, result: JobResult | None) -> None:
        """Let the last Job end, with *result* or in silence, and the plan hear of it."""
        job, pods = self.jobs[self.name], ()
        if result is not None:
            text = seen.text_of(replace(result, verb=job.verb))
            pods = (seen.pod(exit_code=int(result.exit_code), ended_message=text, ended_time=self.now),)
        outcome = "Complete" if result is not None and result.exit_code == 0 else "Failed"
        ended: dict[str, Any] = {"outcome": outcome, "finish_time": self.now, "request_sha256": seen.REQUEST}
        self.jobs[self.name] = replace(job, pods=pods, **ended)

    def edit(self, *, config: SeenConfigMap | None = None, **spec: Any) -> None:
        """Have a person edit the ConfigMap, or the spec, which is a new generation."""
        if config is not None:
            self.around = replace(self.around, config_maps=(config,))
        if spec:
            metadata = replace(self.migration.metadata, generation=self.migration.metadata.generation + 1)
            self.migration = replace(self.migration, metadata=metadata, spec=replace(self.migration.spec, **spec))

    def ask_again(self, value: str = "1") -> None:
        """Have a person ask for a look at once."""
        annotations = {**self.migration.metadata.annotations, ANNOTATION_CHECK_NOW: value}
        self.migration = replace(self.migration, metadata=replace(self.migration.metadata, annotations=annotations))

    def say(self, *approvals: Approval) -> None:
        """Have people write *approvals*, and the operator look twice."""
        self.around = replace(self.around, approvals=(*self.around.approvals, *approvals))
        self.steps(2)

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def word(self, kind: ConditionType) -> tuple[str, str] | None:
        """Return status and reason of a condition, or None."""
        found = find(self.migration.status.conditions, kind)
        return (found.status.value, found.reason.value) if found is not None else None

    def message(self, kind: ConditionType) -> str:
        """Return a condition's message."""
        found = find(self.migration.status.conditions, kind)
        assert found is not None
        return found.message


def looked(
    facts: MigrationFacts = TO_DO, *, of: DatabaseMigration | None = None, plane: MigrationPlane | None = None
) -> MigrationPlane:
    """Return a plane on which the first look told *facts*, and what follows has begun."""
    plane = plane or MigrationPlane(migration=of or migration())
    plane.step()
    plane.ends(told(facts))
    plane.step()
    return plane


def refusal(reason: Reason = Reason.MIGRATION_FAILED, message: str = f"{FILE}.sql: line 3: no") -> JobResult:
    """Return what a run ends with that failed, and whose database answers."""
    return told(TO_DO, reason, message)


def blocked(*, reason: Reason = Reason.HISTORY_BROKEN) -> MigrationFacts:
    """Return what is told when files and database differ."""
    stated = replace(PENDING, obstacles=(StatedObstacle(reason=reason.value, message="Edited: it was another"),))
    return replace(TO_DO, plan=stated)
