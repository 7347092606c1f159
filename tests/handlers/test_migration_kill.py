"""Every single request about migrations fails, loses its answer, or is an operator's last: the end is the same, and nothing runs twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dbcustody.adapters.kube import CONFIG_MAPS, ours
from dbcustody.api.meta import Kind
from dbcustody.contract import Verb
from dbcustody.naming import ANNOTATION_REQUESTED_BY, LABEL_MIGRATION_SOURCE
from tests.fakes.kube import Fault
from tests.fakes.migration_plane import ALL_IN, FILE, PENDING, told
from tests.handlers.scene import TEAM, Scene
from tests.handlers.test_kill_points import end_of, play

Flow = Callable[[Scene], Awaitable[None]]


def make(scene: Scene, **spec: Any) -> None:
    """Make all that it takes."""
    scene.make(Kind.DATABASE, "shop")
    body = {
        "metadata": {"name": "shop-migrations", "labels": {LABEL_MIGRATION_SOURCE: ""}},
        "data": {f"{FILE}.sql": "select 1"},
    }
    scene.kube.put_new(CONFIG_MAPS, TEAM, body)
    scene.make(Kind.DATABASE_MIGRATION, "shop", **spec)


async def a_migration(scene: Scene) -> None:
    """Plan and carry out."""
    make(scene)
    await scene.turns(8)


async def a_migration_without_a_result(scene: Scene) -> None:
    """Lose the pod of the run: it is settled, and was done."""
    scene.answers |= {Verb.MIGRATE: None, Verb.SETTLE_MIGRATION: told(ALL_IN)}
    make(scene)
    await scene.turns(10)


async def a_migration_that_is_agreed_to(scene: Scene) -> None:
    """Have a second person agree to the plan, once it is told."""
    make(scene, approval={"required": True})

    def stamp(body: dict[str, Any]) -> None:
        body["metadata"]["annotations"] = {ANNOTATION_REQUESTED_BY: "jane"}

    scene.kube.change(ours("databasemigrations"), TEAM, "shop", stamp)
    await scene.turns(5)
    about = {"kind": "DatabaseMigration", "name": "shop"}
    scene.make(Kind.APPROVAL, "yes", requestRef=about, planHash=PENDING.hash, approver="ivan")
    await scene.turns(8)


FLOWS = [a_migration, a_migration_without_a_result, a_migration_that_is_agreed_to]


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
async def test_no_request_is_one_too_many(flow: Flow, fault: Fault) -> None:
    """Whichever goes wrong, there is one run of the plan, under one name, and it is told the same way."""
    undisturbed = await play(flow)
    expected, requests = end_of(undisturbed), len(undisturbed.kube.calls)
    assert expected["DatabaseMigration shop"]["Ready"] == ("True", "Applied")
    assert expected["jobs"].count("migrate") == 1

    different = {}
    for number in range(requests):
        scene = await play(flow, (number, fault))
        assert scene.most_working == 1
        assert len(set(scene.jobs)) == len(scene.jobs)
        if (found := end_of(scene)) != expected:
            different[number, undisturbed.kube.calls[number]] = found
    assert different == {}
