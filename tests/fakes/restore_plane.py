"""A RestoreRequest and its Jobs, moved on by the real plan: each step writes the status, then does what is asked, as an operator does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from dbcustody.api.backup import Backup
from dbcustody.api.condition import ConditionType, find
from dbcustody.api.meta import ObjectRef
from dbcustody.api.restore import (
    ChosenBackup,
    Mode,
    OldDatabase,
    RestoreChecks,
    RestoreRequest,
    RestoreRequestSpec,
    RestoreRequestStatus,
    RestoreSource,
    RestoreTarget,
    StatedPlan,
)
from dbcustody.codec import decode, encode
from dbcustody.contract import JobResult, Verb, load_request
from dbcustody.facts import RestoreFacts
from dbcustody.plan.actions import CreateBackup, DeleteJob, LetJobGo, ScaleWorkload, SetFinalizers, StartJob
from dbcustody.plan.observed import SeenJob
from dbcustody.plan.restore import plan
from dbcustody.plan.restore_case import SeenRestore
from dbcustody.reason import ExitCode, Reason
from tests.fakes import seen
from tests.fakes.control_plane import NEVER

BACKUP_ID: Final = "20260131T110000Z-monday-0a1b2c3d"
CHOSEN: Final = ChosenBackup(
    name="monday",
    backup_id=BACKUP_ID,
    custody_id="team.shop",
    location=f"s3://backups/team.shop/backups/{BACKUP_ID}",
    manifest_sha256="f" * 64,
    snapshot_time=seen.ago(3600),
    major_version=17,
    logical_bytes=4_000,
    tables=3,
    rows=40,
)
PLAN: Final = StatedPlan(hash="abcdef", remarks=("roles are created without passwords: shop",))
PLANNED: Final = RestoreFacts(backup=CHOSEN, plan=PLAN)
CHECKS: Final = RestoreChecks(tables=3, rows=40, sequences=2)
HANDED_OVER: Final = RestoreFacts(backup=CHOSEN, is_handed_over=True, checks=CHECKS, unknown_settings=("a",))
IS_PLANNED: Final = seen.result(Verb.PLAN_RESTORE, Reason.TARGET_SAFE, "nothing stands in the way", restore=PLANNED)
IS_RESTORED: Final = seen.result(Verb.RESTORE, Reason.RESTORED, "compared and equal", restore=HANDED_OVER)

SETTLED: Final = replace(
    seen.result(
        Verb.SETTLE_RESTORE, Reason.JOB_LOST, "shop_again: what was half-done is dropped", restore=RestoreFacts()
    ),
    exit_code=ExitCode.DONE,
)


READY: Final = RestoreFacts(backup=CHOSEN, is_ready=True, checks=CHECKS)
IS_READY: Final = seen.result(Verb.RESTORE, Reason.RESTORED, "compared and equal", restore=READY)
OLD: Final = OldDatabase(name="shop_replaced_0", kept_time=seen.NOW, drop_after=seen.NOW + timedelta(days=1))
IS_SWAPPED: Final = seen.result(
    Verb.SWAP,
    Reason.SWAPPED,
    "shop is what was restored",
    restore=RestoreFacts(is_handed_over=True, old_database=OLD, oid=16390),
)
DROPPED: Final = seen.result(Verb.DROP_REPLACED, Reason.SWAPPED, "the old database is dropped")
UNDO_PLANNED: Final = seen.result(
    Verb.PLAN_RESTORE, Reason.TARGET_SAFE, "nothing stands in the way", restore=RestoreFacts(plan=PLAN)
)


def replace_request(name: str = "back", **spec: Any) -> RestoreRequest:
    """Return a RestoreRequest that takes the place of the Database `shop`, or (*undo_of*) takes that back."""
    values: dict[str, Any] = {
        "target": RestoreTarget(database_ref=ObjectRef(name="shop")),
        "mode": Mode.REPLACE,
        "confirm": "shop@7/16384",
    }
    return restore_request(name, **(values | spec))


def restore_request(name: str = "again", *, source: RestoreSource | None = None, **spec: Any) -> RestoreRequest:
    """Return a RestoreRequest of the storage `main` that was never looked at."""
    from_storage = RestoreSource(storage_ref=ObjectRef(name="main"), custody_id="team.shop")
    target = RestoreTarget(database_ref=ObjectRef(name="shop"), database="shop_again")
    values: dict[str, Any] = {"source": source or from_storage, "target": target}
    if spec.get("undo_of") is not None:
        values["source"] = None
    return RestoreRequest(metadata=seen.metadata(name), spec=RestoreRequestSpec(**(values | spec)))


@dataclass
class RestorePlane:
    """Where everything around one request is; nothing moves but by `step` and what a test says."""

    request: RestoreRequest = field(default_factory=restore_request)
    around: SeenRestore = field(
        default_factory=lambda: SeenRestore(image=seen.IMAGE, database=seen.database(), storage=seen.storage())
    )
    now: datetime = seen.NOW
    jobs: dict[str, SeenJob] = field(default_factory=dict)
    started: list[dict[str, Any]] = field(default_factory=list)
    actions: list[Any] = field(default_factory=list)
    look_again_seconds: float | None = None

    def step(self, *, dies_after: int = NEVER) -> None:
        """Let the plan be made once, and do what it says; an operator that *dies_after* n writes does no more than those."""
        found = plan(self.request, replace(self.around, jobs=tuple(self.jobs.values())), self.now)
        assert found.status is not None
        if dies_after == 0:
            return
        self.request = replace(self.request, status=decode(RestoreRequestStatus, encode(found.status)))
        self.look_again_seconds = found.look_again_seconds
        done = found.actions[: dies_after - 1]
        self.actions += done
        for action in done:
            self._do(action)

    def steps(self, count: int = 4) -> None:
        """Do *count* steps, in the same moment."""
        for _ in range(count):
            self.step()

    def _do(self, action: Any) -> None:
        match action:
            case StartJob(manifest):
                self.started.append(dict(manifest))
                body = {
                    **manifest,
                    "metadata": {**manifest["metadata"], "uid": "u", "creationTimestamp": str(self.now)},
                }
                self.jobs[manifest["metadata"]["name"]] = SeenJob.from_body(body)
            case DeleteJob(name):
                self.jobs.pop(name)
            case LetJobGo(name):
                self.jobs[name] = replace(self.jobs[name], has_ttl=True)
            case SetFinalizers(finalizers):
                metadata = replace(self.request.metadata, finalizers=finalizers)
                self.request = replace(self.request, metadata=metadata)
            case CreateBackup(manifest):
                body = {
                    **manifest,
                    "metadata": {**manifest["metadata"], "uid": "b", "creationTimestamp": str(self.now)},
                }
                self.around = replace(self.around, safety_backup=Backup.from_body(body))
            case ScaleWorkload(kind, name, replicas):
                scaled = tuple(
                    replace(one, replicas=replicas) if (one.kind, one.name) == (kind, name) else one
                    for one in self.around.workloads
                )
                self.around = replace(self.around, workloads=scaled)

    @property
    def verbs(self) -> list[str]:
        """What the Jobs that were started do, in order."""
        return [attempt.verb for attempt in self.request.status.attempts]

    @property
    def name(self) -> str:
        """The name of the last attempt's Job."""
        return self.request.status.attempts[-1].job_name

    def asked(self) -> Any:
        """Return the request of the Job that was started last."""
        container = self.started[-1]["spec"]["template"]["spec"]["containers"][0]
        return load_request(container["env"][0]["value"])

    def runs(self) -> None:
        """Let the last Job's pod work."""
        pods = (seen.pod(is_running=True, phase="Running"),)
        self.jobs[self.name] = replace(self.jobs[self.name], active=1, ready=1, start_time=self.now, pods=pods)

    def ends(self, result: JobResult | None, **values: Any) -> None:
        """Let the last Job end, with *result* or in silence, and the plan hear of it."""
        job = self.jobs[self.name]
        pods = ()
        if result is not None:
            text = seen.text_of(replace(result, verb=job.verb))
            pods = (seen.pod(exit_code=int(result.exit_code), ended_message=text, ended_time=self.now),)
        outcome = "Complete" if result is not None and result.exit_code == 0 else "Failed"
        ended = {"outcome": outcome, "finish_time": self.now, "pods": pods, "request_sha256": seen.REQUEST}
        self.jobs[self.name] = replace(job, **(ended | values))

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def word(self, kind: ConditionType) -> tuple[str, str] | None:
        """Return status and reason of a condition, or None."""
        found = find(self.request.status.conditions, kind)
        return (found.status.value, found.reason.value) if found is not None else None

    def message(self, kind: ConditionType) -> str:
        """Return a condition's message."""
        found = find(self.request.status.conditions, kind)
        assert found is not None
        return found.message


def at_restore(plane: RestorePlane | None = None) -> RestorePlane:
    """Return a plane on which the plan was told and the restore's Job was started."""
    plane = plane or RestorePlane()
    plane.steps(2)
    plane.ends(IS_PLANNED)
    plane.steps(2)
    return plane
