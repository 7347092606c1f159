"""A person's Backup whose data is gone, seen from the API server: who says so, who counts it no more, and that nothing is done again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.adapters.kube import JOBS, ours
from dbcustody.api.condition import ConditionType
from dbcustody.api.meta import Kind
from dbcustody.api.policy import PlanEntry, Retained
from dbcustody.contract import JobResult, Verb, load_request
from dbcustody.facts import PruneFacts
from dbcustody.handlers.policy_metrics import policy_metrics
from dbcustody.plan.observed import SeenJob
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.handlers.scene import TEAM, Scene

ARTEFACT = replace(seen.ARTEFACT, location="s3://backups/team.shop/backups/monday")
DAY = 86_400.0


def pruned(reason: Reason = Reason.RETENTION_ENFORCED, **found: Any) -> JobResult:
    """Return what a prune says that *found* something."""
    return seen.result(Verb.PRUNE, reason, prune=PruneFacts(retained=Retained(count=1, bytes=1), **found))


DELETED = pruned(deleted=("monday",))
VANISHED = pruned(Reason.CONTINUITY_UNPROVEN, vanished=("monday",))


async def lost(answer: JobResult) -> Scene:
    """Return a scene in which a person asked for a Backup of a policy, and the prune after it answered *answer*."""
    scene = Scene()
    scene.make(Kind.DATABASE, "shop")
    scene.make(Kind.BACKUP_STORAGE, "main")
    scene.make(Kind.BACKUP_POLICY, "nightly")
    await scene.turns(4)
    scene.answers[Verb.BACKUP] = seen.result(Verb.BACKUP, Reason.SUCCEEDED, backup=seen.facts(artefact=ARTEFACT))
    scene.answers[Verb.PRUNE] = answer
    scene.make(Kind.BACKUP, "monday", databaseRef=None, storageRef=None, policyRef={"name": "nightly"})
    await scene.turns(7)
    return scene


def said(scene: Scene) -> tuple[Any, Any, str]:
    """Return what the Backup says of its data and of its run, and what the progress column shows."""
    kinds = (ConditionType.UPLOADED, ConditionType.SUCCEEDED)
    uploaded, succeeded = (scene.condition(Kind.BACKUP, "monday", kind) for kind in kinds)
    return uploaded, succeeded, scene.body(Kind.BACKUP, "monday")["status"]["progress"]["summary"]


def last(scene: Scene) -> tuple[Any, Any, float]:
    """Return the last good backup of the Database, of the policy, and of its metrics."""
    (family,) = [one for one in policy_metrics(scene.operator.hands.world) if "last_success" in one.name]
    return (
        scene.body(Kind.DATABASE, "shop")["status"].get("lastBackup"),
        scene.body(Kind.BACKUP_POLICY, "nightly")["status"].get("lastSuccess"),
        family.samples[0].value,
    )


def prunes(scene: Scene) -> int:
    """Return how many prunes there were."""
    return sum(verb == Verb.PRUNE for verb, _ in scene.jobs)


async def test_what_lies_there_counts() -> None:
    """What the others are compared with."""
    scene = await lost(pruned())

    assert (prunes(scene), said(scene)) == (1, (("True", "Uploaded"), ("True", "Succeeded"), "Done"))
    assert [one["name"] for one in last(scene)[:2]] == ["monday", "monday"]
    assert last(scene)[2] > 0


@pytest.mark.parametrize(
    ("answer", "reason", "summary"),
    [
        pytest.param(DELETED, "DataDeleted", "Data deleted", id="deleted"),
        pytest.param(VANISHED, "DataVanished", "Data vanished", id="vanished"),
    ],
)
async def test_what_is_gone_says_so_and_counts_no_more(answer: JobResult, reason: str, summary: str) -> None:
    """At once, without a sweep, and once, whatever the next prunes say and whoever leads; no Job is started for it."""
    scene = await lost(answer)
    first = said(scene), last(scene)
    await scene.restart()
    for _ in range(2):
        await scene.turn(DAY)
        await scene.turns(4)

    assert first == said_and_last(reason, summary)
    assert (said(scene), last(scene)) == first
    assert [one for one in scene.events() if one == ("monday", reason)] == [("monday", reason)]
    assert [verb for verb, name in scene.jobs if verb in {Verb.BACKUP, Verb.SETTLE}] == ["backup"]


def said_and_last(reason: str, summary: str) -> Any:
    """Return what everybody shows of a Backup whose data is gone."""
    return (("False", reason), ("True", "Succeeded"), summary), (None, None, 0.0)


async def test_what_vanished_is_missed_until_it_is_back() -> None:
    """That the Backup knows it makes retention no calmer; when it lies there again, everything is as before."""
    scene = await lost(VANISHED)
    await scene.turn(DAY)
    await scene.turns(4)
    bodies = [body for body in scene.kube.all(JOBS) if SeenJob.from_body(body).verb is Verb.PRUNE]
    (container,) = bodies[-1]["spec"]["template"]["spec"]["containers"]
    asked = load_request(container["env"][0]["value"])
    scene.answers[Verb.PRUNE] = pruned(plan=(PlanEntry(name="monday", keep=True, because=("Last",)),))
    await scene.turn(DAY)
    await scene.turns(4)

    assert (prunes(scene), [one.name for one in asked.known_backups]) == (3, ["monday"])
    assert said(scene) == (("True", "Uploaded"), ("True", "Succeeded"), "Done")
    assert [one["name"] for one in last(scene)[:2]] == ["monday", "monday"]


async def test_a_new_process_reads_in_the_policy_what_the_old_one_did_not_say() -> None:
    """The word stands in the policy's status from the moment in which the prune's result is recorded."""
    scene = await lost(DELETED)

    def forget(body: dict[str, Any]) -> None:
        for one in body["status"]["conditions"]:
            if one["type"] == "Uploaded":
                one |= {"status": "True", "reason": "Uploaded"}

    scene.kube.watchers = []
    scene.kube.change(ours("backups"), TEAM, "monday", forget)
    before = said(scene)
    await scene.restart()
    await scene.operator.work()

    assert before[0] == ("True", "Uploaded")
    assert said(scene)[0] == ("False", "DataDeleted")


async def test_a_restore_of_it_ends_with_the_reason_why() -> None:
    """It is refused in a moment, in words that say who deleted the data and what helps."""
    scene = await lost(DELETED)
    refusal = seen.result(Verb.PLAN_RESTORE, Reason.BACKUP_NOT_FOUND, "backup x: was deleted")
    scene.answers[Verb.PLAN_RESTORE] = refusal
    scene.make(Kind.RESTORE_REQUEST, "again", source={"backupRef": {"name": "monday"}})
    await scene.turns(4)
    conditions = scene.body(Kind.RESTORE_REQUEST, "again")["status"]["conditions"]
    (verdict,) = [one for one in conditions if one["type"] == "Succeeded"]

    assert (verdict["status"], verdict["reason"]) == ("False", "BackupNotFound")
    assert "its data is deleted, as retention of BackupPolicy 'nightly' told at" in verdict["message"]
    assert "name a backup that the storage holds" in verdict["message"]
