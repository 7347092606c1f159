"""What the operator does with Approvals, as the API server sees it: each wakes the request that it names, and says what became of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.adapters.kube import ours
from dbcustody.api.condition import ConditionType
from dbcustody.api.meta import Kind
from dbcustody.contract import Verb
from dbcustody.handlers.sampler import sample
from dbcustody.handlers.world import Key
from dbcustody.naming import ANNOTATION_REQUESTED_BY
from tests.fakes.consent import IVAN, JANE
from tests.handlers.scene import SETTINGS, TEAM, Operator, Scene

AGAIN = Key(Kind.RESTORE_REQUEST, TEAM, "again")
YES = Key(Kind.APPROVAL, TEAM, "yes")


async def asked(*, is_stamped: bool = True) -> Scene:
    """Return a scene in which jane's restore was planned and waits for a second person."""
    scene = Scene()
    scene.operator = Operator(scene.kube, lambda: scene.now, replace(SETTINGS, stamps_approvals=is_stamped))
    scene.make(Kind.DATABASE, "shop")
    scene.make(Kind.BACKUP_STORAGE, "main")
    scene.make(Kind.RESTORE_REQUEST, "again", approval={"required": True})
    scene.kube.change(ours("restorerequests"), TEAM, "again", stamp)
    await scene.turns(6)
    return scene


def stamp(body: dict[str, Any]) -> None:
    """Write down that jane asked."""
    body["metadata"]["annotations"] = {ANNOTATION_REQUESTED_BY: JANE}


def say(scene: Scene, name: str = "yes", *, approver: str | None = IVAN, request: str = "again", **spec: Any) -> None:
    """Have somebody write an Approval."""
    who = {} if approver is None else {"approver": approver}
    scene.make(Kind.APPROVAL, name, requestRef={"kind": "RestoreRequest", "name": request}, **(who | spec))


def restores(scene: Scene) -> list[str]:
    """Return the Jobs of the restore."""
    return [verb for verb, _ in scene.jobs if "restore" in verb]


async def test_a_yes_wakes_the_request_and_is_told_that_it_had_effect() -> None:
    """Without a sweep in between; both say so, and each change is an Event once."""
    scene = await asked()
    assert scene.condition(*AGAIN[::2], ConditionType.APPROVED) == ("Unknown", "ApprovalPending")
    assert restores(scene) == [Verb.PLAN_RESTORE]
    say(scene)
    await scene.operator.work()
    assert scene.condition(*AGAIN[::2], ConditionType.APPROVED) == ("True", "Approved")
    assert scene.condition(*YES[::2], ConditionType.READY) == ("True", "Effective")
    await scene.turns(6)
    assert restores(scene) == [Verb.PLAN_RESTORE, Verb.RESTORE]
    assert scene.condition(*AGAIN[::2], ConditionType.SUCCEEDED) == ("True", "Succeeded")
    assert scene.events().count(("yes", "Effective")) == 1


async def test_a_no_ends_the_request() -> None:
    """And nothing is started."""
    scene = await asked()
    say(scene, decision="Deny")
    await scene.operator.work()
    assert scene.condition(*AGAIN[::2], ConditionType.SUCCEEDED) == ("False", "Denied")
    assert scene.condition(*YES[::2], ConditionType.READY) == ("True", "Effective")
    assert restores(scene) == [Verb.PLAN_RESTORE]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"approver": JANE}, "ApproverIsRequester"),
        ({"planHash": "0"}, "Superseded"),
        ({"approver": None}, "ApproverUnknown"),
        ({"request": "other"}, "RequestNotFound"),
    ],
)
async def test_what_does_not_count_says_so(spec: dict[str, Any], reason: str) -> None:
    """The request goes on waiting."""
    scene = await asked()
    say(scene, **spec)
    await scene.turns(3)
    assert scene.condition(*YES[::2], ConditionType.READY) == ("False", reason)
    assert restores(scene) == [Verb.PLAN_RESTORE]


async def test_an_operator_without_policies_believes_nobody() -> None:
    """Its settings say so, and what people write in their own names counts for nothing."""
    scene = await asked(is_stamped=False)
    say(scene)
    await scene.turns(3)
    assert scene.condition(*AGAIN[::2], ConditionType.APPROVED) == ("Unknown", "ApprovalUnavailable")
    assert scene.condition(*YES[::2], ConditionType.READY) == ("False", "ApproverUnknown")
    assert restores(scene) == [Verb.PLAN_RESTORE]


async def test_an_approval_that_is_taken_away_does_not_count_any_more() -> None:
    """The request is woken by that, too."""
    scene = await asked()
    say(scene, approver=JANE)
    await scene.operator.work()
    shown = scene.body(Kind.RESTORE_REQUEST, "again")["status"]["conditions"]
    assert any("jane asked for it" in one["message"] for one in shown)
    scene.kube.remove(ours("approvals"), TEAM, "yes")
    await scene.operator.work()
    shown = scene.body(Kind.RESTORE_REQUEST, "again")["status"]["conditions"]
    assert not any("jane asked for it" in one["message"] for one in shown)


async def test_what_the_request_goes_through_is_told_of_approvals_that_lie_still() -> None:
    """One for a request that comes later was not about it; when that one goes, nothing is there again."""
    scene = await asked()
    say(scene, request="later")
    await scene.operator.work()
    assert scene.condition(*YES[::2], ConditionType.READY) == ("False", "RequestNotFound")
    scene.make(Kind.RESTORE_REQUEST, "later", approval={"required": True})
    await scene.operator.work()
    assert scene.condition(*YES[::2], ConditionType.READY) == ("False", "Superseded")
    scene.kube.remove(ours("restorerequests"), TEAM, "later")
    await scene.operator.work()
    assert scene.condition(*YES[::2], ConditionType.READY) == ("False", "RequestNotFound")


async def test_an_approval_that_was_made_anew_wakes_both_requests() -> None:
    """The watch may tell of the second one only."""
    scene = await asked()
    say(scene, approver=JANE)
    await scene.operator.work()
    body = scene.body(Kind.APPROVAL, "yes")
    body["metadata"] |= {"uid": "another", "resourceVersion": "9999"}
    body["spec"]["requestRef"]["name"] = "other"
    queue = scene.operator.hands.queue
    scene.operator.intake.resource(Kind.APPROVAL, body)
    woken = set()
    while len(queue):
        key = await queue.get()
        queue.done(key)
        woken.add(key)
    assert woken == {YES, AGAIN, Key(Kind.RESTORE_REQUEST, TEAM, "other")}


async def test_what_was_decided_is_swept_no_more_and_is_no_series() -> None:
    """Approvals stay as the record of who agreed: they must cost nothing."""
    scene = await asked()
    say(scene)
    say(scene, "own", approver=JANE)
    assert {YES, Key(Kind.APPROVAL, TEAM, "own")} <= set(scene.operator.intake.unfinished())
    await scene.turns(3)
    assert not [key for key in scene.operator.intake.unfinished() if key.kind is Kind.APPROVAL]
    assert YES in set(scene.operator.intake.everything())
    hands = scene.operator.hands
    series = [one for metric in sample(hands.world, hands.queue) for one in metric.samples]
    assert [one.labels for one in series if one.labels.get("name") == "yes"] == []
    assert {one.value for one in series if one.labels.get("kind") == "Approval"} == {1.0}
