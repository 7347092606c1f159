"""What is heard is kept once, and whoever it concerns is queued; listings find what the watch did not tell."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from dbcustody.adapters.kube import CRON_JOBS, JOBS, PODS, ours
from dbcustody.api.meta import Kind
from dbcustody.api.policy import BackupPolicy, PlanEntry
from dbcustody.codec import encode
from dbcustody.errors import UnavailableError
from dbcustody.handlers.listing import list_everything
from dbcustody.handlers.say import say
from dbcustody.handlers.world import Key, Place
from dbcustody.naming import LABEL_DATABASE, LABEL_OWNER_KIND, LABEL_OWNER_NAME, LABEL_POLICY, LABEL_VERB
from tests.fakes.seen import ARTEFACT
from tests.handlers.scene import SETTINGS, TEAM, Operator, Scene

SHOP, MAIN = Key(Kind.DATABASE, TEAM, "shop"), Key(Kind.BACKUP_STORAGE, TEAM, "main")
NIGHTLY, MONDAY = Key(Kind.BACKUP_POLICY, TEAM, "nightly"), Key(Kind.BACKUP, TEAM, "monday")
OWNED = {LABEL_VERB: "inspect", LABEL_OWNER_KIND: "Database", LABEL_OWNER_NAME: "shop"}
SCHEDULED = {
    LABEL_VERB: "backup",
    LABEL_OWNER_KIND: "BackupPolicy",
    LABEL_OWNER_NAME: "nightly",
    LABEL_POLICY: "nightly",
}


async def queued(stage: Scene) -> set[Key]:
    """Return what waits, and let it wait no more."""
    queue = stage.operator.hands.queue
    found = set()
    while len(queue):
        key = await queue.get()
        queue.done(key)
        found.add(key)
    return found


async def everything() -> Scene:
    """Return a scene with one of each, of which all was heard and nothing was done."""
    stage = Scene()
    stage.make(Kind.DATABASE, "shop")
    stage.make(Kind.BACKUP_STORAGE, "main")
    stage.make(Kind.BACKUP_POLICY, "nightly")
    stage.make(Kind.BACKUP, "monday", policyRef={"name": "nightly"})
    await queued(stage)
    return stage


def edit(body: dict[str, Any]) -> None:
    """Change a spec."""
    body["spec"]["suspend"] = True


def finish(body: dict[str, Any]) -> None:
    """Say that a Backup is over."""
    body["status"]["conditions"] = [{"type": "Finished", "status": "True", "reason": "Succeeded"}]


def arrive(body: dict[str, Any]) -> None:
    """Say that a Backup is over and lies in a storage."""
    finish(body)
    body["status"]["storage"] = "main"


def lose(body: dict[str, Any]) -> None:
    """Say that the data of a Backup is gone."""
    body["status"]["conditions"] = [{"type": "Uploaded", "status": "False", "reason": "DataDeleted"}]


def miss(body: dict[str, Any]) -> None:
    """Say what retention misses."""
    body["status"]["vanished"] = ["monday"]


def delete(body: dict[str, Any]) -> None:
    """Say what retention deleted."""
    body["status"]["deleted"] = ["monday"]


def plan(body: dict[str, Any]) -> None:
    """Say what retention plans."""
    body["status"]["plan"] = [{"name": "monday", "keep": True}]


def note(body: dict[str, Any]) -> None:
    """Say something that concerns nobody else."""
    body["status"]["ordinal"] = 7


async def test_what_we_write_ourselves_concerns_others_as_well() -> None:
    """The watch brings our own write back as no news: whoever looks at it is queued when it is written."""
    stage = await everything()
    stage.kube.watchers = []
    hands = stage.operator.hands
    nightly = hands.world.get(NIGHTLY)
    assert isinstance(nightly, BackupPolicy)
    await say(hands, NIGHTLY, nightly, replace(nightly.status, plan=(PlanEntry(name="monday", keep=True),)))

    assert await queued(stage) == {MONDAY}


@pytest.mark.parametrize(
    ("key", "change", "expected"),
    [
        pytest.param(SHOP, edit, {SHOP, NIGHTLY, MONDAY}, id="a-database-concerns-its-policies-and-backups"),
        pytest.param(MAIN, edit, {MAIN, NIGHTLY, MONDAY}, id="a-storage-too"),
        pytest.param(SHOP, note, {SHOP}, id="the-rest-of-a-status-concerns-nobody"),
        pytest.param(NIGHTLY, edit, {NIGHTLY, MONDAY}, id="a-policy-concerns-its-backups"),
        pytest.param(NIGHTLY, plan, {NIGHTLY, MONDAY}, id="retention-s-plan-too"),
        pytest.param(NIGHTLY, miss, {NIGHTLY, MONDAY}, id="what-it-misses-too"),
        pytest.param(NIGHTLY, delete, {NIGHTLY, MONDAY}, id="what-it-deleted-too"),
        pytest.param(NIGHTLY, note, {NIGHTLY}, id="the-rest-of-a-policy-does-not"),
        pytest.param(MONDAY, finish, {MONDAY, NIGHTLY, SHOP}, id="the-end-of-a-backup-concerns-policy-and-database"),
        pytest.param(MONDAY, arrive, {MONDAY, NIGHTLY, SHOP, MAIN}, id="and-the-storage-that-it-lies-in"),
        pytest.param(MONDAY, lose, {MONDAY, NIGHTLY, SHOP}, id="the-loss-of-its-data-concerns-the-same"),
        pytest.param(MONDAY, note, {MONDAY}, id="its-progress-does-not"),
    ],
)
async def test_whom_a_change_concerns(key: Key, change: Any, expected: set[Key]) -> None:
    """Whoever looks at what changed is queued, and nobody else: thousands of resources must not wake each other."""
    stage = await everything()
    stage.kube.change(ours(key.kind.plural), TEAM, key.name, change)

    assert await queued(stage) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param(SHOP, {SHOP, NIGHTLY, MONDAY}, id="database"),
        pytest.param(NIGHTLY, {NIGHTLY, MONDAY}, id="policy"),
        pytest.param(MONDAY, {MONDAY, NIGHTLY, SHOP}, id="backup"),
    ],
)
async def test_whom_an_absence_concerns(key: Key, expected: set[Key]) -> None:
    """What is gone is forgotten, and those who looked at it are told; a late word about it changes nothing."""
    stage = await everything()
    stage.kube.remove(ours(key.kind.plural), TEAM, key.name)

    assert await queued(stage) == expected
    stage.operator.intake.resource_gone(key.kind, Place(TEAM, key.name))
    assert stage.operator.hands.world.get(key) is None
    assert await queued(stage) == set()


async def test_old_news_is_no_news() -> None:
    """The same or an older version never replaces a newer one; another object of the name always does."""
    stage = await everything()
    old = stage.body(Kind.DATABASE, "shop")
    stage.kube.change(ours("databases"), TEAM, "shop", edit)
    await queued(stage)
    intake, world = stage.operator.intake, stage.operator.hands.world

    assert not intake.resource(Kind.DATABASE, old)
    found = world.get(SHOP)
    assert found is not None
    assert found.metadata.generation == 2
    anew = {**old, "metadata": {**old["metadata"], "uid": "another", "resourceVersion": "1"}}
    assert intake.resource(Kind.DATABASE, anew)


async def test_what_cannot_be_read_is_left_aside(caplog: pytest.LogCaptureFixture) -> None:
    """A resource of a newer version of us breaks nobody else; Jobs with our label that are none of ours neither."""
    stage = Scene()
    with caplog.at_level(logging.CRITICAL):
        stage.make(Kind.DATABASE, "shop", connection={})
    stage.kube.watchers = [stage.operator.hear]
    stage.kube.put_new(JOBS, TEAM, {"metadata": {"name": "j", "labels": {LABEL_VERB: "dance"}}, "spec": {}})

    assert await queued(stage) == set()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param(OWNED, {SHOP}, id="its-owner"),
        pytest.param(SCHEDULED, {Key(Kind.BACKUP, TEAM, "j"), NIGHTLY}, id="the-backup-that-it-is-and-its-policy"),
        pytest.param(
            {LABEL_VERB: "inspect", LABEL_OWNER_KIND: "Cat", LABEL_OWNER_NAME: "x"}, set(), id="nobody-we-know"
        ),
    ],
)
async def test_whom_a_job_concerns(labels: dict[str, str], expected: set[Key]) -> None:
    """A Job's news and its end wake whoever it works for."""
    stage = Scene()
    stage.kube.put_new(JOBS, TEAM, {"metadata": {"name": "j", "labels": labels}, "spec": {}})
    assert await queued(stage) == expected
    stage.kube.remove(JOBS, TEAM, "j")

    assert await queued(stage) == expected
    stage.operator.intake.job_gone(Place(TEAM, "j"))
    assert await queued(stage) == set()


async def test_whom_a_cron_job_concerns() -> None:
    """Its policy; one without a policy's label concerns nobody."""
    stage = Scene()
    stage.kube.put_new(CRON_JOBS, TEAM, {"metadata": {"name": "nightly", "labels": SCHEDULED}, "spec": {}})
    stage.kube.put_new(CRON_JOBS, TEAM, {"metadata": {"name": "odd", "labels": {LABEL_VERB: "x"}}, "spec": {}})
    assert await queued(stage) == {NIGHTLY}
    stage.kube.remove(CRON_JOBS, TEAM, "nightly")
    stage.kube.remove(CRON_JOBS, TEAM, "odd")

    assert await queued(stage) == {NIGHTLY}
    stage.operator.intake.cron_job_gone(Place(TEAM, "nightly"))
    assert await queued(stage) == set()


async def test_a_finished_backup_is_swept_no_more() -> None:
    """Thousands of them lie there; only what may still move is looked at, one that is being deleted too."""
    stage = await everything()
    stage.kube.change(ours("backups"), TEAM, "monday", finish)
    assert set(stage.operator.intake.unfinished()) == {SHOP, MAIN, NIGHTLY}
    stage.kube.change(
        ours("backups"), TEAM, "monday", lambda body: body["metadata"].update(deletionTimestamp="2026-01-31T12:00:00Z")
    )

    assert MONDAY in set(stage.operator.intake.unfinished())
    assert MONDAY in set(stage.operator.intake.everything())


async def test_a_sweep_looks_at_a_hold_that_is_not_in_the_storage() -> None:
    """Whatever news of it was lost, a hold that was asked for is written."""
    stage = await everything()

    def hold(body: dict[str, Any]) -> None:
        finish(body)
        body["spec"]["legalHold"] = {"reason": "audit"}
        body["status"]["artefact"] = encode(ARTEFACT)

    stage.kube.change(ours("backups"), TEAM, "monday", hold)
    waits = set(stage.operator.intake.unfinished())
    stage.kube.change(ours("backups"), TEAM, "monday", lambda body: body["status"].update(hold={"state": "Placed"}))

    assert MONDAY in waits
    assert MONDAY not in set(stage.operator.intake.unfinished())


async def test_a_listing_finds_what_the_watch_did_not_tell() -> None:
    """News and absences are found kind by kind: that is how a deaf watch is noticed. A second listing finds nothing."""
    stage = await everything()
    stage.kube.put_new(JOBS, TEAM, {"metadata": {"name": "gone", "labels": OWNED}, "spec": {}})
    watchers, stage.kube.watchers = stage.kube.watchers, []
    stage.kube.remove(JOBS, TEAM, "gone")
    stage.kube.put_new(CRON_JOBS, TEAM, {"metadata": {"name": "nightly", "labels": SCHEDULED}, "spec": {}})
    stage.kube.change(ours("databases"), TEAM, "shop", edit)
    stage.kube.watchers = watchers
    hands, intake = stage.operator.hands, stage.operator.intake

    assert await list_everything(hands, intake) == {"jobs", "cronjobs", "databases"}
    assert await list_everything(hands, intake) == set()
    assert hands.world.jobs.get(Place(TEAM, "gone")) is None


async def test_only_the_served_namespaces_are_listed() -> None:
    """With namespaces in the settings no request is about the whole cluster."""
    stage = await everything()
    other = {"metadata": {"name": "other"}, "spec": {"connection": {"secretRef": {"name": "x"}}}}
    stage.kube.put_new(ours("databases"), "elsewhere", other)
    settings = type(SETTINGS)(image="i", namespace="n", identity="o", namespaces=(TEAM,))
    operator = Operator(stage.kube, lambda: stage.now, settings)
    await operator.start()
    await operator.observer.refresh_pods()

    assert [item.metadata.namespace for item in operator.hands.world.databases] == [TEAM]
    assert len(operator.hands.world.backups) == 1


async def test_a_listing_that_breaks_forgets_nothing() -> None:
    """Half a listing is no proof that the other half is gone."""
    stage = await everything()
    stage.kube.refusals["list", "databases"] = UnavailableError("410: the token is too old")
    with pytest.raises(UnavailableError):
        await list_everything(stage.operator.hands, stage.operator.intake)

    assert stage.operator.hands.world.get(SHOP) is not None


async def test_backups_of_a_database() -> None:
    """By their own word, by their label, and by their policy when they say nothing themselves."""
    stage = await everything()
    labelled = {"metadata": {"name": "labelled", "labels": {LABEL_DATABASE: "shop"}}, "spec": {}}
    by_policy = {"metadata": {"name": "by-policy"}, "spec": {"policyRef": {"name": "nightly"}}}
    strange = {"metadata": {"name": "strange"}, "spec": {"policyRef": {"name": "gone"}}}
    for body in (labelled, by_policy, strange):
        stage.kube.put_new(ours("backups"), TEAM, body)
    world = stage.operator.hands.world

    assert {one.metadata.name for one in world.backups_of(TEAM, "shop")} == {"monday", "labelled", "by-policy"}
    named = {one.metadata.name: world.database_of(one) for one in world.backups}
    assert named == {"monday": "shop", "labelled": "shop", "by-policy": "shop", "strange": None}
    assert stage.kube.all(PODS) == []
