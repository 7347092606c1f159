"""What a policy's prune is told: whose objects in the storage it must leave alone."""

from __future__ import annotations

from datetime import timedelta

from dbcustody.adapters.kube import JOBS, PODS
from dbcustody.api.meta import Kind
from dbcustody.contract import JobResult, Verb, load_request
from dbcustody.plan.observed import SeenJob
from tests.handlers.scene import TEAM, Scene

LONG_NAME = "shop-" + "x" * 70


async def work(stage: Scene) -> None:
    """Let the operator do what it can, while nothing else happens."""
    await stage.operator.sweep()
    await stage.operator.work()


def ended(stage: Scene, name: str) -> tuple[SeenJob, JobResult | None]:
    """Return the Job *name* and what it ends with."""
    body = stage.kube.peek(JOBS, TEAM, name)
    assert body is not None
    job = SeenJob.from_body(body)
    return job, stage.answer_of(job)


async def test_a_prune_knows_the_pods_that_still_write() -> None:
    """Of the same database, also when its name is longer than a label; not those that are over, nor those of another database."""
    stage = Scene()
    stage.make(Kind.DATABASE, LONG_NAME)
    stage.make(Kind.DATABASE, "other")
    stage.make(Kind.BACKUP_STORAGE, "main")
    stage.make(Kind.BACKUP_POLICY, "nightly", databaseRef={"name": LONG_NAME})
    await stage.turns(5)
    slot = stage.now - timedelta(minutes=1)
    stage.fire("nightly", slot)
    stage.make(Kind.BACKUP, "by-hand", databaseRef={"name": LONG_NAME})
    stage.make(Kind.BACKUP, "of-another", databaseRef={"name": "other"})
    await stage.turn()
    await work(stage)
    stage.end(*ended(stage, f"nightly-{int(slot.timestamp()) // 60}"))
    await work(stage)
    (prune,) = [body for body in stage.kube.all(JOBS) if SeenJob.from_body(body).verb is Verb.PRUNE]
    (container,) = prune["spec"]["template"]["spec"]["containers"]
    told = next(variable["value"] for variable in container["env"] if variable["name"] == "DBCUSTODY_REQUEST")
    by_hand = [pod["metadata"]["uid"] for pod in stage.kube.all(PODS) if pod["metadata"]["name"].startswith("by-hand")]

    assert len(by_hand) == 1
    assert list(load_request(told).live_attempts) == by_hand
