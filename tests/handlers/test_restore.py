"""What the operator does with RestoreRequests, seen from the API server."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dbcustody.adapters.kube import JOBS, PODS, ours
from dbcustody.api.condition import ConditionType
from dbcustody.api.database import Copy, CopyStage
from dbcustody.api.meta import Kind
from dbcustody.api.restore import RestoreProgress, RestoreRequest, RestoreStage
from dbcustody.contract import Verb, frame, load_request, progress_record
from dbcustody.facts import InspectionFacts, RestoreFacts
from dbcustody.naming import ANNOTATION_OVERRIDE_FREEZE
from dbcustody.plan.freeze import FreezeWindow
from dbcustody.plan.observed import SeenJob
from dbcustody.plan.restore_work import mark_of
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.restore_plane import BACKUP_ID, IS_PLANNED, IS_READY, IS_RESTORED, OLD
from tests.handlers.scene import SETTINGS, TEAM, Operator, Scene


def make_parties(scene: Scene) -> None:
    """Make what a request refers to."""
    scene.make(Kind.DATABASE, "shop")
    scene.make(Kind.BACKUP_STORAGE, "main")


def asked(scene: Scene, verb: Verb) -> Any:
    """Return what the newest Job that does *verb* is asked."""
    bodies = [body for body in scene.kube.all(JOBS) if body["metadata"]["labels"]["dbcustody.dev/verb"] == verb]
    return load_request(bodies[-1]["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"])


def by_backup() -> dict[str, Any]:
    """Return a source that names a Backup."""
    return {"backupRef": {"name": "monday"}}


def by_policy() -> dict[str, Any]:
    """Return a source that names a policy."""
    return {"policyRef": {"name": "nightly"}}


@pytest.mark.parametrize("order", [1, -1], ids=["request-last", "request-first"])
async def test_a_restore_runs_to_its_end_whatever_comes_first(order: int) -> None:
    """References may be applied after the request: it waits for them, and each that comes wakes it up."""
    scene = Scene()
    makings = [
        lambda: scene.make(Kind.DATABASE, "shop"),
        lambda: scene.make(Kind.BACKUP_STORAGE, "main"),
        lambda: scene.make(Kind.RESTORE_REQUEST, "again"),
    ]
    for make in makings[::order]:
        make()
        await scene.operator.work()
    await scene.turns(6)

    assert scene.condition(Kind.RESTORE_REQUEST, "again", ConditionType.SUCCEEDED) == ("True", "Succeeded")
    assert [verb for verb, _ in scene.jobs if "restore" in verb] == ["plan-restore", "restore"]
    assert ("again", "Succeeded") in scene.events()


async def test_a_backup_is_waited_for_and_then_restored() -> None:
    """A request for a Backup that is still being taken goes on by itself when that is over."""
    scene = Scene()
    make_parties(scene)
    scene.make(Kind.BACKUP, "monday")
    scene.make(Kind.RESTORE_REQUEST, "again", source=by_backup())
    await scene.operator.work()
    assert scene.condition(Kind.RESTORE_REQUEST, "again", ConditionType.READY) == ("False", "Pending")
    await scene.turns(8)
    assert scene.condition(Kind.RESTORE_REQUEST, "again", ConditionType.SUCCEEDED) == ("True", "Succeeded")


async def test_a_policy_s_storage_and_custody_are_asked_for() -> None:
    """Which backup it is, the Job finds."""
    scene = Scene()
    make_parties(scene)
    scene.make(Kind.BACKUP_POLICY, "nightly")
    scene.make(Kind.RESTORE_REQUEST, "again", source=by_policy())
    await scene.turns(3)
    request = asked(scene, Verb.PLAN_RESTORE)
    assert (request.restore.policy, request.restore.backup_id) == ("nightly", None)
    assert (request.custody_id, request.storage_name) == (f"{TEAM}.shop", "main")
    await scene.turns(6)
    assert scene.condition(Kind.RESTORE_REQUEST, "again", ConditionType.SUCCEEDED) == ("True", "Succeeded")


async def test_progress_of_the_restore_is_shown() -> None:
    """It is read from the running pod's log, in the words of a restore."""
    scene = Scene()
    make_parties(scene)
    scene.make(Kind.RESTORE_REQUEST, "again")
    while not any(verb == Verb.RESTORE for verb, _ in scene.jobs):
        await scene.turn(2)
    told = RestoreProgress(stage=RestoreStage.LOADING, summary="42%", percent=42, bytes=1)
    name = scene.jobs[-1][1]
    scene.kube.logs[TEAM, f"{name}-pod"] = frame(progress_record(1, told))
    await scene.operator.sweep()
    await scene.operator.work()
    shown = scene.body(Kind.RESTORE_REQUEST, "again")["status"]["progress"]
    assert (shown["stage"], shown["summary"], shown["percent"]) == ("Loading", "42%", 42)


async def test_retention_is_told_what_is_being_read() -> None:
    """While a restore reads a backup, the prune Job that starts leaves it alone; when it is over, not any more."""
    scene = Scene()
    make_parties(scene)
    scene.answers[Verb.PLAN_RESTORE] = IS_PLANNED
    scene.make(Kind.RESTORE_REQUEST, "again")
    while not any(verb == Verb.RESTORE for verb, _ in scene.jobs):
        await scene.turn(2)
    scene.nature = lambda: None  # type: ignore[method-assign]  # the restore goes on and on
    scene.make(Kind.BACKUP_POLICY, "nightly")
    scene.make(Kind.BACKUP, "monday", databaseRef=None, storageRef=None, policyRef={"name": "nightly"})
    await scene.operator.work()
    (job,) = [name for verb, name in scene.jobs if verb == Verb.BACKUP]
    finish(scene, job)
    await scene.turn(2)
    await scene.turn(2)
    assert asked(scene, Verb.PRUNE).held_names == ("monday",)


async def test_retention_is_told_what_the_way_back_from_a_swap_leads_over() -> None:
    """As long as the old database is kept, what was restored and what was taken before are left alone; then they are not any more."""
    scene = Scene()
    make_parties(scene)
    scene.make(Kind.BACKUP_POLICY, "nightly")
    scene.answers[Verb.RESTORE] = IS_READY
    place = {"databaseRef": {"name": "shop"}}
    scene.make(Kind.RESTORE_REQUEST, "back", mode="Replace", confirm="shop@7", target=place, keepOldSeconds=86400)
    await scene.turns(30)
    assert scene.condition(Kind.RESTORE_REQUEST, "back", ConditionType.SUCCEEDED) == ("True", "Succeeded")
    safety = scene.body(Kind.RESTORE_REQUEST, "back")["status"]["safetyBackup"]["name"]

    async def held_names_after(name: str) -> tuple[str, ...]:
        scene.make(Kind.BACKUP, name, databaseRef=None, storageRef=None, policyRef={"name": "nightly"})
        before = sum(verb == Verb.PRUNE for verb, _ in scene.jobs)
        await scene.turns(8)
        assert sum(verb == Verb.PRUNE for verb, _ in scene.jobs) > before
        return asked(scene, Verb.PRUNE).held_names  # type: ignore[no-any-return]

    assert await held_names_after("tuesday") == ("monday", safety)
    scene.now += timedelta(days=2)
    await scene.restart()
    await scene.turns(6)
    assert scene.body(Kind.RESTORE_REQUEST, "back")["status"]["oldDatabase"]["droppedTime"]
    assert await held_names_after("wednesday") == ()


async def test_a_policy_that_leaves_something_out_takes_no_safety_backup() -> None:
    """It is passed over for one that does not, even where the request names it as its source, and without another the request waits."""
    scene = Scene()
    make_parties(scene)
    scene.make(Kind.BACKUP_POLICY, "a-part", tables={"exclude": ["log"]})
    place = {"databaseRef": {"name": "shop"}}
    source = {"policyRef": {"name": "a-part"}}
    scene.make(Kind.RESTORE_REQUEST, "back", mode="Replace", confirm="shop@7", target=place, source=source)
    await scene.turns(6)
    assert scene.condition(Kind.RESTORE_REQUEST, "back", ConditionType.READY) == ("False", "PolicyNotFound")
    said = scene.body(Kind.RESTORE_REQUEST, "back")["status"]["conditions"]
    assert any("takes all of it" in one["message"] and "a-part leave something out" in one["message"] for one in said)

    scene.make(Kind.BACKUP_POLICY, "nightly")
    await scene.turns(3)
    safety = scene.body(Kind.RESTORE_REQUEST, "back")["status"]["safetyBackup"]["name"]
    assert scene.body(Kind.BACKUP, safety)["spec"]["policyRef"] == {"name": "nightly"}


async def test_a_restore_waits_for_the_retention_that_is_under_way() -> None:
    """One that was started before the restore was known could delete what it reads."""
    scene = Scene()
    make_parties(scene)
    scene.make(Kind.BACKUP_POLICY, "nightly")
    scene.make(Kind.BACKUP, "monday", databaseRef=None, storageRef=None, policyRef={"name": "nightly"})
    while not any(verb == Verb.PRUNE for verb, _ in scene.jobs):
        await scene.turn(2)
    scene.nature = lambda: None  # type: ignore[method-assign]  # the prune goes on and on
    scene.make(Kind.RESTORE_REQUEST, "again")
    await scene.operator.work()
    (job,) = [name for verb, name in scene.jobs if verb == Verb.PLAN_RESTORE]
    finish(scene, job)
    await scene.turn(2)
    await scene.turn(2)
    assert [verb for verb, _ in scene.jobs if "restore" in verb] == [Verb.PLAN_RESTORE]
    (prune,) = [name for verb, name in scene.jobs if verb == Verb.PRUNE]
    finish(scene, prune)
    await scene.turn(6)
    await scene.turn(6)
    assert asked(scene, Verb.RESTORE).restore.backup_id == BACKUP_ID


async def test_a_backup_that_is_deleted_with_its_data_waits_for_its_reader() -> None:
    """Deleting the Backup while a restore reads it takes nothing away before that is over."""
    scene = Scene()
    make_parties(scene)
    scene.make(Kind.BACKUP, "monday", deletionPolicy="Delete")
    await scene.turns(5)
    scene.make(Kind.RESTORE_REQUEST, "again", source=by_backup())
    while not any(verb == Verb.RESTORE for verb, _ in scene.jobs):
        await scene.turn(2)
    scene.kube.remove(ours("backups"), TEAM, "monday")
    await scene.operator.work()
    assert scene.condition(Kind.BACKUP, "monday", ConditionType.READY) == ("False", "Held")
    assert IS_RESTORED.restore is not None
    await scene.turns(9)
    assert scene.kube.peek(ours("backups"), TEAM, "monday") is None
    assert scene.condition(Kind.RESTORE_REQUEST, "again", ConditionType.SUCCEEDED) == ("True", "Succeeded")


def finish(scene: Scene, name: str) -> None:
    """Let the Job *name* run and end well."""
    body = scene.kube.peek(JOBS, TEAM, name)
    assert body is not None
    job = SeenJob.from_body(body)
    if scene.kube.peek(PODS, TEAM, f"{name}-pod") is None:
        scene.start_pod(job)
    scene.end(job, scene.answer_of(job))


async def test_a_freeze_window_of_the_operator_holds_a_restore_back_until_somebody_writes_why_not() -> None:
    """The annotation alone is enough to be heard: the spec does not change, and nothing else comes."""
    scene = Scene()
    window = FreezeWindow(schedule="0 * * * *", duration_seconds=7200)
    scene.operator = Operator(scene.kube, lambda: scene.now, replace(SETTINGS, freeze_windows=(window,)))
    make_parties(scene)
    scene.make(Kind.RESTORE_REQUEST, "again")
    await scene.turns(6)
    assert scene.condition(Kind.RESTORE_REQUEST, "again", ConditionType.READY) == ("False", "FreezeWindow")
    assert [verb for verb, _ in scene.jobs if "restore" in verb] == ["plan-restore"]

    said = {ANNOTATION_OVERRIDE_FREEZE: "the shop is down"}
    place = ours(Kind.RESTORE_REQUEST.plural), TEAM, "again"
    scene.kube.change(*place, lambda body: body["metadata"].update(annotations=said))
    await scene.operator.work()
    assert [verb for verb, _ in scene.jobs if "restore" in verb] == ["plan-restore", "restore"]
    await scene.turns(4)
    assert scene.condition(Kind.RESTORE_REQUEST, "again", ConditionType.SUCCEEDED) == ("True", "Succeeded")


@pytest.mark.parametrize("is_planned", [True, False])
async def test_what_a_restore_changed_is_looked_at_at_once(*, is_planned: bool) -> None:
    """The Database tells what stands on its server: it does not wait for its interval; a request that was refused changed nothing."""
    scene = Scene()
    make_parties(scene)
    await scene.turns(4)
    if not is_planned:
        scene.answers[Verb.PLAN_RESTORE] = seen.result(Verb.PLAN_RESTORE, Reason.TARGET_EXISTS, "it is there")
    scene.make(Kind.RESTORE_REQUEST, "again")
    while (scene.condition(Kind.RESTORE_REQUEST, "again", ConditionType.FINISHED) or ("",))[0] != "True":
        scene.nature()
        scene.now += timedelta(seconds=20)
        await scene.operator.work()

    assert [verb for verb, _ in scene.jobs].count("inspect") == (2 if is_planned else 1)


async def test_a_request_that_goes_is_heard_of_by_its_database() -> None:
    """What it put away is dropped by nobody from then on, and when its time is over that is said at once, without another look."""
    scene = Scene()
    target = {"databaseRef": {"name": "shop"}}
    filed = scene.make(Kind.RESTORE_REQUEST, "back", mode="Replace", confirm="shop@7/16384", target=target)
    mark = mark_of(RestoreRequest.from_body(filed))
    old = Copy(name="old", oid=7, stage=CopyStage.KEPT, mark=mark, custody_id="team.shop", drop_after=scene.now)
    found = InspectionFacts(endpoint="db:5432", database="shop", convention="Uri", server=seen.SERVER, copies=(old,))
    scene.answers[Verb.INSPECT] = seen.result(Verb.INSPECT, Reason.CONNECTED, inspection=found)
    facts = RestoreFacts(is_handed_over=True, old_database=OLD)
    scene.answers[Verb.PLAN_RESTORE] = seen.result(Verb.PLAN_RESTORE, Reason.ADOPTED, restore=facts)
    make_parties(scene)
    await scene.turns(6)
    assert scene.condition(Kind.RESTORE_REQUEST, "back", ConditionType.SUCCEEDED) == ("True", "Adopted")
    assert scene.condition(Kind.DATABASE, "shop", ConditionType.OLD_DATABASES_DROPPED) is None

    scene.kube.remove(ours("restorerequests"), TEAM, "back")
    await scene.operator.work()
    assert scene.condition(Kind.DATABASE, "shop", ConditionType.OLD_DATABASES_DROPPED) == ("False", "OldDatabaseLeft")
    assert ("shop", "OldDatabaseLeft") in scene.events()
    assert [verb for verb, _ in scene.jobs].count("inspect") == 1
