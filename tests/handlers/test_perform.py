"""Each action is done once, or again without harm, and never to somebody else's object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.kube import CRON_JOBS, EVENTS, JOBS, ours
from dbcustody.api.meta import Kind
from dbcustody.contract import Verb
from dbcustody.errors import ConflictError, RefusedError
from dbcustody.handlers.perform import perform
from dbcustody.handlers.world import Key, Place
from dbcustody.naming import FINALIZER, LABEL_BACKUP, LABEL_VERB
from dbcustody.plan import actions
from dbcustody.plan.observed import ANNOTATION_BACKUP_UID
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.handlers.scene import TEAM, Scene

if TYPE_CHECKING:
    from dbcustody.plan.actions import Action

KEY = Key(Kind.BACKUP, TEAM, "monday")


def manifest(name: str = "j", owner: str = "uid-owner") -> dict[str, Any]:
    """Return a Job as plans make it."""
    metadata = {"name": name, "labels": {LABEL_VERB: "backup"}, "ownerReferences": [_owner(owner)]}
    return {"metadata": metadata, "spec": {}}


def _owner(uid: str) -> dict[str, Any]:
    return {"apiVersion": "dbcustody.dev/v1", "kind": "Backup", "name": "monday", "uid": uid}


async def do(stage: Scene, action: Action) -> None:
    """Do *action* for the Backup."""
    hands = stage.operator.hands
    await perform(hands, KEY, hands.world.get(KEY), action)


async def test_a_job_is_started_once() -> None:
    """The second time finds the first; the operator knows the Job before the watch tells of it."""
    stage = Scene()
    stage.kube.watchers.clear()
    await do(stage, actions.StartJob(manifest()))
    await do(stage, actions.StartJob(manifest()))

    assert len(stage.kube.all(JOBS)) == 1
    assert stage.operator.hands.world.jobs.get(Place(TEAM, "j")) is not None


async def test_somebody_else_s_job_is_no_job_of_ours() -> None:
    """A name that is taken by a stranger is a refusal with a reason, and the stranger's Job is untouched."""
    stage = Scene()
    stage.kube.put_new(JOBS, TEAM, manifest(owner="uid-stranger"))
    before = stage.kube.all(JOBS)

    with pytest.raises(RefusedError, match="belongs to somebody else") as caught:
        await do(stage, actions.StartJob(manifest()))
    assert caught.value.reason is Reason.NAME_TAKEN
    assert stage.kube.all(JOBS) == before


async def test_a_job_that_vanishes_between_is_tried_again() -> None:
    """409, and then nothing there: whoever asked looks again."""
    stage = Scene()
    stage.kube.refusals["create", "jobs"] = ConflictError("exists")

    with pytest.raises(ConflictError):
        await do(stage, actions.StartJob(manifest()))


async def test_a_job_is_deleted_pods_first_and_only_itself() -> None:
    """Foreground, so that nothing of it writes on; another Job of the same name stays."""
    stage = Scene()
    stage.kube.put_new(JOBS, TEAM, manifest())
    with pytest.raises(ConflictError):
        await do(stage, actions.DeleteJob("j", "uid-of-before"))
    (body,) = stage.kube.all(JOBS)
    await do(stage, actions.DeleteJob("j", body["metadata"]["uid"]))
    await do(stage, actions.DeleteJob("absent", "uid"))

    assert [call.detail for call in stage.kube.calls] == ["Foreground"] * 3
    assert "foregroundDeletion" in stage.kube.all(JOBS)[0]["metadata"]["finalizers"]


async def test_a_job_whose_pod_cannot_be_heard_is_deleted_at_once() -> None:
    """Its name and its CronJob are free again; Kubernetes looks after the pod."""
    stage = Scene()
    stage.kube.put_new(JOBS, TEAM, manifest())
    (body,) = stage.kube.all(JOBS)
    await do(stage, actions.DeleteJob("j", body["metadata"]["uid"], waits_for_pods=False))

    assert [call.detail for call in stage.kube.calls] == ["Background"]
    assert stage.kube.all(JOBS) == []


async def test_a_job_is_marked_and_let_go() -> None:
    """The mark says which Backup was made of it; its end is Kubernetes' matter from then on."""
    stage = Scene()
    stage.kube.put_new(JOBS, TEAM, manifest())
    await do(stage, actions.MarkJob("j", "monday", "uid-monday"))
    await do(stage, actions.LetJobGo("j", 60))
    await do(stage, actions.LetJobGo("absent", 60))
    (body,) = stage.kube.all(JOBS)

    assert body["spec"]["ttlSecondsAfterFinished"] == 60
    assert body["metadata"]["annotations"][ANNOTATION_BACKUP_UID] == "uid-monday"
    assert body["metadata"]["labels"] == {LABEL_VERB: "backup", LABEL_BACKUP: "monday"}


async def test_a_backup_is_created_once_and_looked_at() -> None:
    """One of the same name is the same Backup; a new one is queued at once."""
    stage = Scene()
    stage.kube.watchers.clear()
    body = {"metadata": {"name": "monday"}, "spec": {"policyRef": {"name": "nightly"}}}
    await do(stage, actions.CreateBackup(body))
    await do(stage, actions.CreateBackup(body))

    assert len(stage.kube.all(ours("backups"))) == 1
    assert await stage.operator.hands.queue.get() == KEY


async def test_a_backup_object_is_deleted() -> None:
    """Only that very object; one that was made anew under its name stays."""
    stage = Scene()
    stage.make(Kind.BACKUP, "monday")
    with pytest.raises(ConflictError):
        await do(stage, actions.DeleteBackup("monday", "uid-of-before"))
    await do(stage, actions.DeleteBackup("monday", stage.body(Kind.BACKUP, "monday")["metadata"]["uid"]))

    assert stage.kube.all(ours("backups")) == []


async def test_a_cron_job_is_applied_and_deleted_without_its_jobs() -> None:
    """Deleting the schedule never takes a running dump along."""
    stage = Scene()
    await do(stage, actions.ApplyCronJob({"metadata": {"name": "nightly", "finalizers": ["orphan"]}, "spec": {}}))
    (body,) = stage.kube.all(CRON_JOBS)
    stage.kube.put_new(JOBS, TEAM, manifest("nightly-1", owner=body["metadata"]["uid"]))
    await do(stage, actions.DeleteCronJob("nightly", body["metadata"]["uid"]))
    stage.kube.finish_deletions()

    assert stage.kube.all(CRON_JOBS) == []
    assert [job["metadata"]["name"] for job in stage.kube.all(JOBS)] == ["nightly-1"]


async def test_finalizers_are_set_and_taken_away() -> None:
    """With a test of the version; taking ours away lets the object go."""
    stage = Scene()
    stage.make(Kind.BACKUP, "monday")
    await do(stage, actions.SetFinalizers((FINALIZER,)))
    stage.kube.remove(ours("backups"), TEAM, "monday")
    assert stage.body(Kind.BACKUP, "monday")["metadata"]["finalizers"] == [FINALIZER]
    await do(stage, actions.SetFinalizers(()))

    assert stage.kube.all(ours("backups")) == []


async def test_what_is_told_is_counted_where_it_matters() -> None:
    """Data that stays behind is an Event and a metric."""
    stage = Scene()
    stage.make(Kind.BACKUP, "monday")
    await do(stage, actions.Tell(Reason.DATA_LEFT_IN_STORAGE, "the data stays"))
    await do(stage, actions.Tell(Reason.MISSED, "no run"))

    assert stage.events() == [("monday", "DataLeftInStorage"), ("monday", "Missed")]
    assert stage.operator.metrics.registry.get_sample_value("dbcustody_data_left_in_storage_total") == 1
    assert len(stage.kube.all(EVENTS)) == 2


async def test_nothing_is_told_of_what_is_not_there() -> None:
    """Finalizers and Events need an object."""
    stage = Scene()
    await do(stage, actions.Tell(Reason.MISSED, "no run"))
    await do(stage, actions.SetFinalizers((FINALIZER,)))

    assert list(stage.kube.calls) == []


async def test_a_result_is_counted() -> None:
    """By verb and reason, which are closed lists."""
    stage = Scene()
    await do(stage, actions.Count(seen.result(Verb.PRUNE, Reason.HELD)))

    labels = {"verb": "prune", "reason": "Held"}
    assert stage.operator.metrics.registry.get_sample_value("dbcustody_job_results_total", labels) == 1
