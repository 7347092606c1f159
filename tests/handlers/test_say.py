"""Status is written with a test of the version that was seen, and each change of a condition is told once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.adapters.kube import EVENTS, ours
from dbcustody.api.condition import ConditionType
from dbcustody.api.database import Database
from dbcustody.api.meta import Kind
from dbcustody.errors import ConflictError, RefusedError, UnavailableError
from dbcustody.handlers.say import EVENT_MESSAGE_LENGTH, say
from dbcustody.handlers.world import Key
from dbcustody.reason import Reason
from tests.fakes.seen import condition
from tests.handlers.scene import TEAM, Scene

KEY = Key(Kind.DATABASE, TEAM, "shop")
READY = condition(ConditionType.READY, "True", Reason.READY)
CONNECTED = condition(ConditionType.CONNECTED, "True", Reason.CONNECTED)
REFUSED = condition(ConditionType.CONNECTED, "False", Reason.AUTHENTICATION_FAILED, "the password is wrong")


def scene() -> Scene:
    """Return a scene with a Database."""
    made = Scene()
    made.make(Kind.DATABASE, "shop")
    return made


def known(stage: Scene) -> Database:
    """Return the Database as the operator knows it."""
    found = stage.operator.hands.world.get(KEY)
    assert isinstance(found, Database)
    return found


async def write(stage: Scene, **status: Any) -> Any:
    """Write *status* and return what came of it."""
    seen = known(stage)
    return await say(stage.operator.hands, KEY, seen, replace(seen.status, **status))


async def test_only_what_changed_is_written() -> None:
    """One patch, whose first operation tests the version; fields that are gone are removed."""
    stage = scene()
    await write(stage, endpoint="db:5432", ordinal=3)
    await write(stage, endpoint=None, ordinal=3)

    assert stage.body(Kind.DATABASE, "shop")["status"] == {"observedGeneration": -1, "ordinal": 3}
    assert known(stage).status.endpoint is None


async def test_nothing_new_is_not_written() -> None:
    """An equal status costs no request."""
    stage = scene()

    assert await write(stage) == known(stage)
    assert list(stage.kube.calls) == []


async def test_who_wrote_first_wins() -> None:
    """A status that was made from an older version is refused as a conflict, and nothing of it is there."""
    stage = scene()
    before = known(stage)
    stage.kube.watchers.clear()
    stage.kube.change(ours("databases"), TEAM, "shop", lambda body: body["spec"].update(suspend=True))

    with pytest.raises(ConflictError):
        await say(stage.operator.hands, KEY, before, replace(before.status, endpoint="db:5432"))
    assert "endpoint" not in stage.body(Kind.DATABASE, "shop")["status"]


async def test_status_does_not_move_the_generation() -> None:
    """A status write is no new spec: otherwise each would cause the next."""
    stage = scene()
    await write(stage, endpoint="db:5432")

    assert stage.body(Kind.DATABASE, "shop")["metadata"]["generation"] == 1


async def test_what_is_gone_is_none() -> None:
    """A resource that was deleted meanwhile has no status to write."""
    stage = scene()
    before = known(stage)
    stage.kube.remove(ours("databases"), TEAM, "shop")

    assert await say(stage.operator.hands, KEY, before, replace(before.status, endpoint="x")) is None


async def test_each_change_is_told_once() -> None:
    """An Event for a new answer or reason, with the object that it is about; none for the same again."""
    stage = scene()
    await write(stage, conditions=(REFUSED,))
    await write(stage, conditions=(replace(REFUSED, message="still wrong"),))
    (event,) = stage.kube.all(EVENTS)

    assert (event["reason"], event["type"], event["message"]) == (
        "AuthenticationFailed",
        "Warning",
        "the password is wrong",
    )
    assert event["involvedObject"]["uid"] == known(stage).metadata.uid
    assert event["reportingInstance"] == "operator-0"


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        pytest.param((READY, CONNECTED), ["Normal Ready", "Normal Connected"], id="good-news-is-normal"),
        pytest.param(
            (replace(REFUSED, type=ConditionType.READY), REFUSED),
            ["Warning AuthenticationFailed"],
            id="shared-reason-once",
        ),
        pytest.param(
            (condition(ConditionType.RECONCILING, "True", Reason.PENDING),), [], id="reconciling-is-not-worth-one"
        ),
        pytest.param(
            (condition(ConditionType.FINISHED, "False", Reason.RUNNING),),
            ["Normal Running"],
            id="unfinished-is-no-warning",
        ),
    ],
)
async def test_which_events_there_are(conditions: tuple[Any, ...], expected: list[str]) -> None:
    """Bad answers are warnings; what several conditions share is said once."""
    stage = scene()
    await write(stage, conditions=conditions)

    assert [f"{event['type']} {event['reason']}" for event in stage.kube.all(EVENTS)] == expected


async def test_a_long_message_fits_into_an_event() -> None:
    """The API server refuses more than 1024 characters."""
    stage = scene()
    await write(stage, conditions=(replace(REFUSED, message="x" * 5000),))

    assert len(stage.kube.all(EVENTS)[0]["message"]) == EVENT_MESSAGE_LENGTH


@pytest.mark.parametrize(
    "failure",
    [ConflictError("exists"), RefusedError("namespace is terminating"), UnavailableError("503")],
    ids=["told-before", "refused", "away"],
)
async def test_an_event_that_cannot_be_recorded_stops_nothing(failure: Exception) -> None:
    """The status is what counts."""
    stage = scene()
    stage.kube.refusals["create", "events"] = failure
    after = await write(stage, conditions=(REFUSED,))

    assert after == known(stage)
    assert after.status.conditions[0].reason is Reason.AUTHENTICATION_FAILED
