"""An operator before an API server in memory, with a clock that is turned by hand and a nature that lets Jobs run and end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dbcustody.adapters.kube import CRON_JOBS, EVENTS, JOBS, NAMESPACES, PODS, WORKLOADS, Resource, ours
from dbcustody.api.condition import ConditionType, find
from dbcustody.api.meta import Kind
from dbcustody.api.policy import Retained
from dbcustody.codec import format_time
from dbcustody.contract import JobResult, Verb, dump_result
from dbcustody.errors import DbcustodyError
from dbcustody.facts import HoldFacts, InspectionFacts, ProbeFacts, PruneFacts, ReWrapFacts
from dbcustody.handlers.counting import Bookkeeper
from dbcustody.handlers.hands import Hands
from dbcustody.handlers.intake import Intake
from dbcustody.handlers.listing import list_everything
from dbcustody.handlers.migration import look_at_sources
from dbcustody.handlers.observe import JOB_LABEL, Observer
from dbcustody.handlers.reconcile import Reconciler
from dbcustody.handlers.world import KINDS as PARSERS
from dbcustody.handlers.world import Place
from dbcustody.metrics import Metrics
from dbcustody.naming import API_VERSION, GROUP, LABEL_VERB
from dbcustody.plan.observed import SeenJob
from dbcustody.reason import Reason
from dbcustody.settings import Settings
from tests.fakes import seen
from tests.fakes.kube import DeathError, FakeKube
from tests.fakes.migration_plane import ALL_IN, TO_DO, told
from tests.fakes.restore_plane import DROPPED, IS_PLANNED, IS_RESTORED, IS_SWAPPED, PLAN, SETTLED

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.handlers.world import Key

TEAM = "team"
SETTINGS = Settings(image=seen.IMAGE, namespace="dbcustody", identity="operator-0", stamps_approvals=True)
DEPLOYMENTS = Resource(WORKLOADS, "deployments")
KINDS = {ours(kind.plural): kind for kind in Kind}
SPECS: dict[Kind, dict[str, Any]] = {
    Kind.DATABASE: {"connection": {"secretRef": {"name": "shop-app"}}},
    Kind.BACKUP_STORAGE: {"s3": {"bucket": "backups"}, "acknowledgeUnencrypted": True},
    Kind.BACKUP_POLICY: {
        "databaseRef": {"name": "shop"},
        "storageRef": {"name": "main"},
        "schedule": "0 2 * * *",
    },
    Kind.BACKUP: {"databaseRef": {"name": "shop"}, "storageRef": {"name": "main"}},
    Kind.RESTORE_REQUEST: {
        "source": {"storageRef": {"name": "main"}, "custodyId": "team.shop"},
        "target": {"databaseRef": {"name": "shop"}, "database": "shop_again"},
    },
    Kind.APPROVAL: {
        "requestRef": {"kind": "RestoreRequest", "name": "again"},
        "planHash": PLAN.hash,
        "decision": "Approve",
    },
    Kind.DATABASE_MIGRATION: {
        "databaseRef": {"name": "shop"},
        "source": {"configMapRefs": [{"name": "shop-migrations"}]},
    },
}


class Operator:
    """One process of the operator: everything that it remembers is in here and is lost with it."""

    def __init__(self, kube: FakeKube, now: Callable[[], datetime], settings: Settings = SETTINGS) -> None:
        self.metrics = Metrics()
        self.books = Bookkeeper(self.metrics)
        self.hands = Hands(kube=kube, settings=settings, counter=self.books, now=now)
        self.books.world = self.hands.world
        self.observer = Observer(self.hands)
        self.intake = Intake(self.hands, self.observer)
        self.reconciler = Reconciler(self.hands, self.observer)
        self.told: list[tuple[Key, str | None]] = []

    def hear(self, event: str, resource: Resource, body: dict[str, Any]) -> None:
        """Take in what the watch brings: our kinds, and Jobs and CronJobs with our label."""
        place, uid = Place(body["metadata"]["namespace"], body["metadata"]["name"]), body["metadata"]["uid"]
        is_gone, is_labelled = event == "DELETED", LABEL_VERB in (body["metadata"].get("labels") or {})
        if resource in KINDS:
            kind = KINDS[resource]
            self.intake.resource_gone(kind, place, uid) if is_gone else self.intake.resource(kind, body)
        elif resource == JOBS and is_labelled:
            self.intake.job_gone(place, uid) if is_gone else self.intake.job(body)
        elif resource == CRON_JOBS and is_labelled:
            self.intake.cron_job_gone(place, uid) if is_gone else self.intake.cron_job(body)

    async def start(self) -> None:
        """List everything and put it on the queue, as a new leader does."""
        await list_everything(self.hands, self.intake)
        for key in self.intake.everything():
            self.hands.queue.add(key)

    async def sweep(self) -> None:
        """Look again at whatever may have to move."""
        with suppress(DbcustodyError):
            await self.observer.refresh_pods()
            await look_at_sources(self.hands)
        for key in self.intake.unfinished():
            self.hands.queue.add(key)

    async def work(self) -> None:
        """Work until the queue is empty; raises what broke the worker."""
        task = asyncio.create_task(self.reconciler.work(lambda key, _, error: self.told.append((key, error))))
        idle = 0
        while idle < 5 and not task.done():
            await asyncio.sleep(0)
            idle = 0 if len(self.hands.queue) or self.hands.queue.in_progress else idle + 1
        task.cancel()
        (broken,) = await asyncio.gather(task, return_exceptions=True)
        if not isinstance(broken, asyncio.CancelledError):
            raise broken


@dataclass
class Scene:
    """The cluster and the operator that leads at the moment."""

    now: datetime = seen.NOW
    kube: FakeKube = field(init=False)
    operator: Operator = field(init=False)
    answers: dict[Verb, JobResult | None] = field(default_factory=dict)
    """What Jobs end with; None: without a result."""
    jobs: list[tuple[str, str]] = field(default_factory=list)
    """Every Job that ever was, as (verb, name)."""
    most_working: int = 0
    """How many Jobs of one owner and verb were unfinished at once."""
    deaths: int = 0

    def __post_init__(self) -> None:
        self.kube = FakeKube(now=lambda: self.now)
        self.kube.watchers = [self._register, self._tell]
        self.operator = Operator(self.kube, lambda: self.now)
        self.kube.put_new(NAMESPACES, None, {"metadata": {"name": TEAM}})

    def make(self, kind: Kind, name: str, **spec: Any) -> dict[str, Any]:
        """Have a person create a resource."""
        body = {
            "apiVersion": API_VERSION,
            "kind": kind.value,
            "metadata": {"name": name},
            "spec": SPECS[kind] | spec,
        }
        return self.kube.put_new(ours(kind.plural), TEAM, body)

    def body(self, kind: Kind, name: str) -> dict[str, Any]:
        """Return the resource as it lies in the API server."""
        found = self.kube.peek(ours(kind.plural), TEAM, name)
        assert found is not None
        return found

    def condition(self, kind: Kind, name: str, condition: ConditionType) -> tuple[str, str] | None:
        """Return status and reason of a condition, or None."""
        found = find(PARSERS[kind].from_body(self.body(kind, name)).status.conditions, condition)
        return (found.status.value, found.reason.value) if found is not None else None

    def events(self) -> list[tuple[str, str]]:
        """Return (name of the object, reason) of every Event."""
        return [(body["involvedObject"]["name"], body["reason"]) for body in self.kube.all(EVENTS)]

    async def restart(self) -> None:
        """Have a new process lead."""
        self.operator = Operator(self.kube, lambda: self.now)
        try:
            await self.operator.start()
        except DeathError:
            self.deaths += 1
            await self.restart()
        except DbcustodyError:
            await self.restart()

    async def turn(self, seconds: float = 20) -> None:
        """Let the operator do what it can, then nature, then time pass; who dies is replaced."""
        try:
            await self.operator.sweep()
            await self.operator.work()
        except DeathError:
            self.deaths += 1
            await self.restart()
        self.nature()
        self.now += timedelta(seconds=seconds)

    async def turns(self, count: int) -> None:
        """Do *count* turns."""
        for _ in range(count):
            await self.turn()

    def nature(self) -> None:
        """Let every Job start its pod, or end if it has one; deletions come to an end."""
        self.kube.finish_deletions()
        for body in self.kube.all(DEPLOYMENTS):
            status = {"replicas": body["spec"]["replicas"]}
            self.kube.change(
                DEPLOYMENTS, TEAM, body["metadata"]["name"], lambda one, status=status: one.update(status=status)
            )
        for body in self.kube.all(JOBS):
            job = SeenJob.from_body(body)
            if job.is_finished or job.metadata.is_being_deleted:
                continue
            if self.kube.peek(PODS, TEAM, f"{job.name}-pod") is None:
                self.start_pod(job)
            else:
                self.end(job, self.answer_of(job))

    def start_pod(self, job: SeenJob) -> None:
        """Let the Job's pod run."""
        labels = {JOB_LABEL: job.name, LABEL_VERB: job.verb.value}
        pod = {
            "metadata": {"name": f"{job.name}-pod", "labels": labels, "ownerReferences": [{"uid": job.metadata.uid}]},
            "status": {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]},
        }
        self.kube.put_new(PODS, TEAM, pod)
        status = {"active": 1, "ready": 1, "startTime": format_time(self.now)}
        self.kube.change(JOBS, TEAM, job.name, lambda body: body.update(status=status))

    def answer_of(self, job: SeenJob) -> JobResult | None:
        """Return what the Job ends with."""
        if job.verb in self.answers:
            return self.answers[job.verb]
        return good_answer(job.verb, job.metadata.labels.get(f"{GROUP}/backup", job.name))

    def end(self, job: SeenJob, answer: JobResult | None) -> None:
        """Let the Job end, with *answer* as its pod's last words or without any."""
        ended: dict[str, Any] = {"exitCode": 1, "finishedAt": format_time(self.now)}
        if answer is not None:
            words = dump_result(replace(answer, request_sha256=job.request_sha256))
            ended |= {"exitCode": int(answer.exit_code), "message": words}
        status = {"phase": "Failed", "containerStatuses": [{"state": {"terminated": ended}}]}
        self.kube.change(PODS, TEAM, f"{job.name}-pod", lambda body: body.update(status=status))
        outcome = "Complete" if ended["exitCode"] == 0 else "Failed"
        done = {
            "conditions": [{"type": outcome, "status": "True", "lastTransitionTime": format_time(self.now)}],
            "startTime": format_time(self.now),
        }
        self.kube.change(JOBS, TEAM, job.name, lambda body: body.update(status=done))

    def fire(self, policy: str, slot: datetime) -> None:
        """Have the CronJob controller start the Job of *slot*."""
        cron_job = self.kube.peek(CRON_JOBS, TEAM, policy)
        assert cron_job is not None
        template = cron_job["spec"]["jobTemplate"]
        metadata = {
            **template["metadata"],
            "name": f"{policy}-{int(slot.timestamp()) // 60}",
            "annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": format_time(slot)},
            "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "CronJob", "name": policy, "uid": cron_job["metadata"]["uid"]}
            ],
        }
        self.kube.put_new(JOBS, TEAM, {"metadata": metadata, "spec": template["spec"]})

    def _tell(self, event: str, resource: Resource, body: dict[str, Any]) -> None:
        """Tell whichever operator leads at the moment."""
        self.operator.hear(event, resource, body)

    def _register(self, event: str, resource: Resource, body: dict[str, Any]) -> None:
        """Write down every Job, and how many worked at once for the same."""
        if resource != JOBS or event != "ADDED":
            return
        job = SeenJob.from_body(body)
        self.jobs.append((job.verb.value, job.name))
        alike = [SeenJob.from_body(one) for one in self.kube.all(JOBS)]
        working = [
            one
            for one in alike
            if not one.is_finished
            and not one.metadata.is_being_deleted
            and one.verb is job.verb
            and one.metadata.owner_references == job.metadata.owner_references
        ]
        self.most_working = max(self.most_working, len(working))


def good_answer(verb: Verb, backup: str) -> JobResult:  # noqa: PLR0911 - one for each verb
    """Return what a Job says after which everything is well."""
    match verb:
        case Verb.INSPECT:
            facts = InspectionFacts(endpoint="db:5432", database="shop", convention="Uri", server=seen.SERVER)
            return seen.result(verb, Reason.CONNECTED, inspection=facts)
        case Verb.PROBE:
            return seen.result(
                verb,
                Reason.STORAGE_REACHABLE,
                probe=ProbeFacts(location="s3://backups", encrypted=False, storage_id="s"),
            )
        case Verb.RE_WRAP:
            return seen.result(verb, Reason.KEYS_CURRENT, re_wrap=ReWrapFacts(wrapped=1))
        case Verb.HOLD:
            return seen.result(verb, Reason.HOLD_PLACED, hold=HoldFacts(placed=True))
        case Verb.PRUNE:
            return seen.result(verb, Reason.RETENTION_ENFORCED, prune=PruneFacts(retained=Retained(count=1, bytes=10)))
        case Verb.PLAN_MIGRATION | Verb.SETTLE_MIGRATION:
            return told(TO_DO)
        case Verb.MIGRATE:
            return seen.result(verb, Reason.APPLIED, migration=ALL_IN)
        case Verb.PLAN_RESTORE | Verb.RESTORE | Verb.SETTLE_RESTORE | Verb.SWAP | Verb.DROP_REPLACED:
            answers = {Verb.PLAN_RESTORE: IS_PLANNED, Verb.RESTORE: IS_RESTORED, Verb.SWAP: IS_SWAPPED}
            return answers.get(verb, DROPPED if verb is Verb.DROP_REPLACED else SETTLED)
        case _:
            return seen.result(verb, Reason.SUCCEEDED, backup=seen.facts(backup))
