"""What the operator does with DatabaseMigrations and their ConfigMaps, seen from the API server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.adapters.kube import CONFIG_MAPS, JOBS, ours
from dbcustody.api.condition import ConditionType
from dbcustody.api.meta import Kind
from dbcustody.contract import Verb
from dbcustody.errors import UnavailableError
from dbcustody.handlers.migration import look_at_sources
from dbcustody.naming import ANNOTATION_REQUESTED_BY, LABEL_MIGRATION_SOURCE
from dbcustody.plan.freeze import FreezeWindow
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.migration_plane import ALL_IN, FILE, PENDING, TO_DO, told
from tests.handlers.scene import SETTINGS, TEAM, Operator, Scene

MIGRATION = Kind.DATABASE_MIGRATION
READY = ConditionType.READY


def make_source(scene: Scene, text: str = "select 1", *, labelled: bool = True) -> None:
    """Have a person make the ConfigMap."""
    labels = {LABEL_MIGRATION_SOURCE: "shop"} if labelled else {}
    body = {"metadata": {"name": "shop-migrations", "labels": labels}, "data": {f"{FILE}.sql": text}}
    scene.kube.put_new(CONFIG_MAPS, TEAM, body)


def edit_source(scene: Scene, text: str) -> None:
    """Have a person edit the ConfigMap."""
    scene.kube.change(CONFIG_MAPS, TEAM, "shop-migrations", lambda body: body.update(data={f"{FILE}.sql": text}))


def place_of(kind: Kind) -> Any:
    """Return where the resource `shop` lies."""
    return ours(kind.plural), TEAM, "shop"


def reads(scene: Scene) -> int:
    """Return how often a ConfigMap was read."""
    return sum(one.verb == "get" and one.plural == "configmaps" for one in scene.kube.calls)


def migrated() -> Scene:
    """Return a scene in which everything is there."""
    scene = Scene()
    scene.make(Kind.DATABASE, "shop")
    make_source(scene)
    scene.make(MIGRATION, "shop")
    return scene


def verbs(scene: Scene) -> list[str]:
    """Return what Jobs did for migrations, in order."""
    return [verb for verb, _ in scene.jobs if "migrat" in verb]


@pytest.mark.parametrize("order", [1, -1], ids=["migration-last", "migration-first"])
async def test_it_runs_to_its_end_whatever_comes_first(order: int) -> None:
    """Database and ConfigMap may come later: it waits for them, and each that comes wakes it up."""
    scene = Scene()
    makings = [
        lambda: scene.make(Kind.DATABASE, "shop"),
        lambda: make_source(scene),
        lambda: scene.make(MIGRATION, "shop"),
    ]
    for make in makings[::order]:
        make()
        await scene.turn()
    await scene.turns(6)

    assert scene.condition(MIGRATION, "shop", READY) == ("True", "Applied")
    assert verbs(scene) == ["plan-migration", "migrate"]
    assert ("shop", "Applied") in scene.events()
    status = scene.body(MIGRATION, "shop")["status"]
    assert (status["currentRevision"], status["pending"]) == (FILE, 0)


async def test_another_operator_does_nothing_more() -> None:
    """What was done stands in status and in the database; a restart repeats neither look nor run."""
    scene = migrated()
    await scene.turns(6)
    await scene.restart()
    await scene.turns(3)
    assert verbs(scene) == ["plan-migration", "migrate"]


async def test_applied_anew_it_only_looks() -> None:
    """Deleted and created again, as after the loss of a cluster."""
    scene = migrated()
    await scene.turns(6)
    scene.kube.remove(JOBS, TEAM, scene.jobs[-1][1])
    scene.kube.remove(*place_of(MIGRATION))
    scene.answers[Verb.PLAN_MIGRATION] = told(ALL_IN)
    scene.make(MIGRATION, "shop")
    await scene.turns(6)
    assert scene.condition(MIGRATION, "shop", READY) == ("True", "Applied")
    assert verbs(scene).count("migrate") == 1


async def test_an_edited_config_map_is_noticed_and_carried_out() -> None:
    """By its version, in the next sweep; its content is read once for each version, and never while it stays the same."""
    scene = migrated()
    await scene.turns(6)
    before = reads(scene)
    await scene.turns(3)
    assert reads(scene) == before
    edit_source(scene, "select 2")
    await scene.turns(6)
    assert verbs(scene) == ["plan-migration", "migrate"] * 2
    assert reads(scene) == before + 1


async def test_a_config_map_that_goes_is_missed_and_one_that_comes_back_is_found() -> None:
    """What is in stays in."""
    scene = migrated()
    await scene.turns(6)
    scene.answers[Verb.PLAN_MIGRATION] = told(ALL_IN)
    scene.kube.remove(CONFIG_MAPS, TEAM, "shop-migrations")
    await scene.turn()
    assert scene.condition(MIGRATION, "shop", READY) == ("False", "SourceNotFound")
    make_source(scene)
    await scene.turns(4)
    assert scene.condition(MIGRATION, "shop", READY) == ("True", "Applied")


async def test_a_config_map_without_the_label_is_told() -> None:
    """Nobody would hear of its changes."""
    scene = Scene()
    scene.make(Kind.DATABASE, "shop")
    make_source(scene, labelled=False)
    scene.make(MIGRATION, "shop")
    await scene.turns(2)
    assert scene.condition(MIGRATION, "shop", READY) == ("False", "SourceNotFound")
    assert verbs(scene) == []


async def test_without_migrations_no_config_map_is_listed() -> None:
    """Who has none need not give the right to."""
    scene = Scene()
    make_source(scene)
    await scene.turns(2)
    assert not [one for one in scene.kube.calls if one.plural == "configmaps"]


async def test_a_second_person_is_waited_for() -> None:
    """The Approval wakes it up, and says that it had effect."""
    scene = migrated()
    scene.kube.change(
        *place_of(MIGRATION),
        lambda body: (
            body["spec"].update(approval={"required": True}),
            body["metadata"].update(annotations={ANNOTATION_REQUESTED_BY: "jane"}, generation=2),
        ),
    )
    await scene.turns(4)
    assert scene.condition(MIGRATION, "shop", ConditionType.APPROVED) == ("Unknown", "ApprovalPending")
    assert verbs(scene) == ["plan-migration"]
    scene.make(
        Kind.APPROVAL,
        "yes",
        requestRef={"kind": "DatabaseMigration", "name": "shop"},
        planHash=PENDING.hash,
        approver="ivan",
    )
    await scene.operator.work()
    assert scene.condition(Kind.APPROVAL, "yes", READY) == ("True", "Effective")
    await scene.turns(3)
    assert scene.condition(MIGRATION, "shop", READY) == ("True", "Applied")
    assert scene.condition(Kind.APPROVAL, "yes", READY) == ("True", "Effective")


async def test_a_failing_statement_is_told_and_not_tried_again() -> None:
    """File and line stand in the status, and an Event tells it once."""
    scene = migrated()
    scene.answers[Verb.MIGRATE] = seen.result(
        Verb.MIGRATE, Reason.MIGRATION_FAILED, f"{FILE}.sql: line 3: no", migration=TO_DO
    )
    await scene.turns(8)
    assert scene.condition(MIGRATION, "shop", READY) == ("False", "MigrationFailed")
    assert f"{FILE}.sql: line 3" in str(scene.body(MIGRATION, "shop")["status"]["conditions"])
    assert verbs(scene) == ["plan-migration", "migrate"]
    assert scene.events().count(("shop", "MigrationFailed")) <= 3


async def test_a_config_map_that_cannot_be_read_is_tried_again() -> None:
    """The API server is away for a moment."""
    scene = migrated()
    scene.kube.refusals["get", "configmaps"] = UnavailableError("away")
    await scene.turns(2)
    assert verbs(scene) == []
    scene.kube.refusals.clear()
    await scene.turns(5)
    assert scene.condition(MIGRATION, "shop", READY) == ("True", "Applied")


async def test_what_it_waits_for_wakes_it_up_at_once() -> None:
    """A Database that comes, and a listing that shows another version of its source; no sweep has to come by."""
    scene = Scene()
    make_source(scene)
    scene.make(MIGRATION, "shop")
    await scene.operator.work()
    assert scene.condition(MIGRATION, "shop", READY) == ("False", "DatabaseNotFound")
    scene.make(Kind.DATABASE, "shop")
    await scene.operator.work()
    assert verbs(scene) == ["plan-migration"]
    await scene.turns(5)
    assert scene.condition(MIGRATION, "shop", READY) == ("True", "Applied")
    edit_source(scene, "select 2")
    await look_at_sources(scene.operator.hands)
    await scene.operator.work()
    assert verbs(scene).count("plan-migration") == 2


async def test_a_freeze_window_of_the_operator_holds_it_back() -> None:
    """It is planned; what would write is not begun."""
    scene = Scene()
    window = FreezeWindow(schedule="0 * * * *", duration_seconds=7200)
    scene.operator = Operator(scene.kube, lambda: scene.now, replace(SETTINGS, freeze_windows=(window,)))
    scene.make(Kind.DATABASE, "shop")
    make_source(scene)
    scene.make(MIGRATION, "shop")
    await scene.turns(5)
    assert scene.condition(MIGRATION, "shop", READY) == ("False", "FreezeWindow")
    assert verbs(scene) == ["plan-migration"]


async def test_what_has_to_be_in_elsewhere_first_wakes_it_up_at_once() -> None:
    """The other one being applied is news for it."""
    scene = migrated()
    scene.make(MIGRATION, "staging", suspend=True)
    scene.make(MIGRATION, "later", gates={"promotion": {"migrationRef": {"name": "staging"}}})
    await scene.turns(5)
    assert scene.condition(MIGRATION, "later", READY) == ("Unknown", "PromotionPending")
    plural = ours(MIGRATION.plural)
    scene.kube.change(plural, TEAM, "staging", lambda body: body["spec"].update(suspend=False))
    for _ in range(4):
        await scene.turns(1)
    await scene.operator.work()
    assert scene.condition(MIGRATION, "staging", READY) == ("True", "Applied")
    assert scene.condition(MIGRATION, "later", ConditionType.PROMOTION_PROVEN) == ("True", "PromotionProven")


async def test_a_backup_is_taken_first_where_that_is_asked_for() -> None:
    """By the policy; the resource names it, and it outlives the resource."""
    scene = Scene()
    scene.make(Kind.DATABASE, "shop")
    scene.make(Kind.BACKUP_STORAGE, "main")
    scene.make(Kind.BACKUP_POLICY, "nightly")
    make_source(scene)
    scene.make(MIGRATION, "shop", gates={"backup": {"policyRef": {"name": "nightly"}, "takeNew": True}})
    await scene.turns(10)
    assert scene.condition(MIGRATION, "shop", READY) == ("True", "Applied")
    name = scene.body(MIGRATION, "shop")["status"]["backup"]["name"]
    assert scene.condition(Kind.BACKUP, name, ConditionType.SUCCEEDED) == ("True", "Succeeded")
    assert "ownerReferences" not in scene.body(Kind.BACKUP, name)["metadata"]
    order = [verb for verb, job in scene.jobs if verb in {"migrate", "backup"}]
    assert order == ["backup", "migrate"]
