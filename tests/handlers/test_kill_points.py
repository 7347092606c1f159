"""Every single request of the operator fails, or loses its answer, or is its last: the end is the same, and no work is done twice."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from dbcustody.adapters.kube import CRON_JOBS, JOBS, PODS, ours
from dbcustody.api.meta import Kind
from dbcustody.api.policy import Retained
from dbcustody.contract import Verb
from dbcustody.facts import PruneFacts, RestoreFacts
from dbcustody.handlers.world import KINDS
from dbcustody.reason import Reason
from tests.fakes.kube import Fault
from tests.fakes.restore_plane import IS_READY, IS_SWAPPED, OLD
from tests.fakes.seen import ARTEFACT, NOW, facts, result
from tests.handlers.scene import DEPLOYMENTS, TEAM, Scene

Flow = Callable[[Scene], Awaitable[None]]
OLD_AT_ONCE = replace(OLD, drop_after=OLD.kept_time)


def make_parties(scene: Scene) -> None:
    """Create the Database and the BackupStorage that everything needs."""
    scene.make(Kind.DATABASE, "shop")
    scene.make(Kind.BACKUP_STORAGE, "main")


async def a_backup(scene: Scene) -> None:
    """Go from three new resources to a Backup that is over."""
    make_parties(scene)
    scene.make(Kind.BACKUP, "monday")
    await scene.turns(5)


async def a_backup_without_a_result(scene: Scene) -> None:
    """Lose the Job's pod with its message, so that the storage is asked."""
    scene.answers[Verb.BACKUP] = None
    await a_backup(scene)
    await scene.turns(3)


async def a_policy_that_begins(scene: Scene) -> None:
    """See a policy get its CronJob and its immediate backup, and retention after it."""
    make_parties(scene)
    scene.make(Kind.BACKUP_POLICY, "nightly", immediate=True)
    await scene.turns(9)


async def a_policy_that_fires(scene: Scene) -> None:
    """See the CronJob start a Job, which is recorded as a Backup."""
    make_parties(scene)
    scene.make(Kind.BACKUP_POLICY, "nightly", schedule="0 12 * * *")
    while scene.kube.peek(CRON_JOBS, TEAM, "nightly") is None:
        await scene.turn()
    scene.fire("nightly", NOW)
    await scene.turns(8)


async def a_storage_that_is_edited(scene: Scene) -> None:
    """Change the spec while the probe runs: its answer would be about yesterday."""
    scene.make(Kind.BACKUP_STORAGE, "main")
    while not scene.kube.all(PODS):
        await scene.turn()

    def edit(body: dict[str, Any]) -> None:
        body["spec"]["s3"]["bucket"] = "other"

    scene.kube.change(ours("backupstorages"), TEAM, "main", edit)
    await scene.turns(6)


async def a_backup_that_is_deleted_with_its_data(scene: Scene) -> None:
    """Delete a Backup with `deletionPolicy: Delete` while it runs."""
    make_parties(scene)
    scene.make(Kind.BACKUP, "monday", deletionPolicy="Delete")
    while not any(verb == Verb.BACKUP for verb, _ in scene.jobs):
        await scene.turn()
    scene.kube.remove(ours("backups"), TEAM, "monday")
    await scene.turns(9)


async def a_backup_whose_data_is_deleted(scene: Scene) -> None:
    """Have retention delete what a person had backed up; in the end another operator leads."""
    make_parties(scene)
    scene.make(Kind.BACKUP_POLICY, "nightly")
    artefact = replace(ARTEFACT, location="s3://backups/team.shop/backups/monday")
    scene.answers[Verb.BACKUP] = result(Verb.BACKUP, Reason.SUCCEEDED, backup=facts(artefact=artefact))
    gone = PruneFacts(retained=Retained(count=0, bytes=0), deleted=("monday",))
    scene.answers[Verb.PRUNE] = result(Verb.PRUNE, Reason.RETENTION_ENFORCED, prune=gone)
    await scene.turns(3)
    scene.make(Kind.BACKUP, "monday", databaseRef=None, storageRef=None, policyRef={"name": "nightly"})
    await scene.turns(8)
    await scene.restart()  # here no time passes in which the queue would try again what failed
    await scene.turn()


async def a_backup_that_is_held(scene: Scene) -> None:
    """Put a Backup that is over under a legal hold."""
    await a_backup(scene)

    def hold(body: dict[str, Any]) -> None:
        body["spec"]["legalHold"] = {"reason": "audit"}

    scene.kube.change(ours("backups"), TEAM, "monday", hold)
    await scene.turns(5)


async def a_restore(scene: Scene) -> None:
    """Plan a restore and carry it out."""
    make_parties(scene)
    scene.make(Kind.RESTORE_REQUEST, "again")
    await scene.turns(13)


async def a_restore_without_a_result(scene: Scene) -> None:
    """Let the restore's pod vanish: the server is asked what became of it."""
    scene.answers[Verb.RESTORE] = None
    await a_restore(scene)


async def a_restore_that_is_cancelled(scene: Scene) -> None:
    """Cancel a restore while its pod works; it may have ended, without a word, before the operator hears of that."""
    make_parties(scene)
    scene.answers[Verb.RESTORE] = None
    scene.make(Kind.RESTORE_REQUEST, "again")
    while not any(verb == Verb.RESTORE for verb, _ in scene.jobs):
        await scene.turn()

    def cancel(body: dict[str, Any]) -> None:
        body["spec"]["cancel"] = True

    scene.kube.change(ours("restorerequests"), TEAM, "again", cancel)
    await scene.turns(13)


async def make_swap(scene: Scene, **spec: Any) -> None:
    """Make what a swap needs: a policy for the safety backup, a workload of three replicas, the request."""
    workload = {"metadata": {"name": "web"}, "spec": {"replicas": 3}, "status": {"replicas": 3}}
    scene.kube.put_new(DEPLOYMENTS, TEAM, workload)
    scene.make(Kind.DATABASE, "shop", workloads=[{"kind": "Deployment", "name": "web"}])
    scene.make(Kind.BACKUP_STORAGE, "main")
    scene.make(Kind.BACKUP_POLICY, "nightly")
    await scene.turns(4)
    scene.answers[Verb.RESTORE] = IS_READY
    target = {"databaseRef": {"name": "shop"}}
    scene.make(Kind.RESTORE_REQUEST, "back", mode="Replace", confirm="shop@7/16384", target=target, **spec)


async def a_swap(scene: Scene) -> None:
    """Take a database's place, and drop the old one at once."""
    facts = RestoreFacts(is_handed_over=True, old_database=OLD_AT_ONCE)
    scene.answers[Verb.SWAP] = replace(IS_SWAPPED, restore=facts)
    await make_swap(scene, keepOldSeconds=0)
    await scene.turns(38)


async def a_swap_without_a_result(scene: Scene) -> None:
    """Lose the swap's pod: the server is asked, and says that nothing was done."""
    scene.answers[Verb.SWAP] = None
    await make_swap(scene)
    await scene.turns(32)


async def a_swap_that_is_deleted(scene: Scene) -> None:
    """Delete the request while the workloads are stopped and the swap's pod works."""
    scene.answers[Verb.SWAP] = None
    await make_swap(scene)
    while not any(verb == Verb.SWAP for verb, _ in scene.jobs):
        await scene.turn()
    scene.kube.remove(ours("restorerequests"), TEAM, "back")
    await scene.turns(20)


async def a_restore_that_is_agreed_to(scene: Scene) -> None:
    """Have a second person agree to the plan, once it is told."""
    make_parties(scene)
    scene.make(Kind.RESTORE_REQUEST, "again", approval={"required": True})

    def stamp(body: dict[str, Any]) -> None:
        body["metadata"]["annotations"] = {"dbcustody.dev/requested-by": "jane"}

    scene.kube.change(ours("restorerequests"), TEAM, "again", stamp)
    await scene.turns(4)
    scene.make(Kind.APPROVAL, "yes", approver="ivan")
    await scene.turns(13)


LONG = (a_swap, a_swap_without_a_result, a_swap_that_is_deleted)
LONG_STEP = 5
"""Of long flows only every fifth request goes wrong; in the slow tests each is the last one of a process."""
FLOWS = [
    a_swap,
    a_swap_without_a_result,
    a_swap_that_is_deleted,
    a_backup,
    a_backup_without_a_result,
    a_policy_that_begins,
    a_policy_that_fires,
    a_storage_that_is_edited,
    a_backup_that_is_deleted_with_its_data,
    a_backup_whose_data_is_deleted,
    a_backup_that_is_held,
    a_restore,
    a_restore_that_is_agreed_to,
    a_restore_without_a_result,
    a_restore_that_is_cancelled,
]


def end_of(scene: Scene) -> dict[str, Any]:
    """Return what matters of how things ended, whatever names and numbers came to be on the way."""
    found: dict[str, Any] = {}
    for kind in Kind:
        for body in scene.kube.all(ours(kind.plural)):
            resource = KINDS[kind].from_body(body)
            said = {one.type.value: (one.status.value, one.reason.value) for one in resource.status.conditions}
            found[f"{kind.value} {resource.metadata.name}"] = said | {"finalizers": resource.metadata.finalizers}
    found["workloads"] = [body["spec"]["replicas"] for body in scene.kube.all(DEPLOYMENTS)]
    found["cron jobs"] = [body["metadata"]["name"] for body in scene.kube.all(CRON_JOBS)]
    found["unfinished"] = [
        body["metadata"]["name"] for body in scene.kube.all(JOBS) if not body["status"].get("conditions")
    ]
    found["unreleased"] = [
        body["metadata"]["name"] for body in scene.kube.all(JOBS) if "ttlSecondsAfterFinished" not in body["spec"]
    ]
    found["jobs"] = sorted(verb for verb, _ in scene.jobs)
    return found


def comparable(scene: Scene, flow: Flow) -> dict[str, Any]:
    """Return the end of *flow*; a name with a uid in it is another.

    A long one may, or may not, see a storage probed again, and its Database looked at once for two changes that follow each other.
    """
    found = end_of(scene)
    if flow in LONG:
        found = {"Backup of safety" if name.startswith("Backup back-") else name: said for name, said in found.items()}
        found["jobs"] = [verb for verb in found["jobs"] if verb not in {Verb.PROBE, Verb.INSPECT}]
    return found


async def play(flow: Flow, fault: tuple[int, Fault] | None = None) -> Scene:
    """Return the scene after *flow*, in which one request goes wrong."""
    scene = Scene()
    scene.kube.fault = fault
    await flow(scene)
    return scene


def cases() -> Iterator[Any]:
    """Yield each flow with each fault, at each request; of the long ones the slow tests take each, the others some."""
    for flow, fault in itertools.product(FLOWS, Fault):
        name = f"{flow.__name__}-{fault}"
        yield pytest.param(flow, fault, LONG_STEP if flow in LONG else 1, id=name)
        if flow in LONG and fault is Fault.DIES:
            yield pytest.param(flow, fault, 1, id=f"{name}-each", marks=pytest.mark.slow)


@pytest.mark.parametrize(("flow", "fault", "step"), list(cases()))
async def test_no_request_is_one_too_many(flow: Flow, fault: Fault, step: int) -> None:
    """Whichever request goes wrong, the end is the same, every Job is created once, and none is left behind."""
    undisturbed = await play(flow)
    expected, requests = comparable(undisturbed, flow), len(undisturbed.kube.calls)

    different = {}
    for number in range(0, requests, step):
        scene = await play(flow, (number, fault))
        assert scene.kube.fault is None, f"request {number} never came"
        assert scene.deaths == (fault is Fault.DIES)
        assert scene.most_working == 1
        assert len(set(scene.jobs)) == len(scene.jobs)
        if (found := comparable(scene, flow)) != expected:
            different[number, undisturbed.kube.calls[number]] = found

    assert different == {}


async def test_the_undisturbed_flows_end_well() -> None:
    """What all kill points are compared with is success itself."""
    backup, lost = await play(a_backup), await play(a_backup_without_a_result)
    begun, fired = await play(a_policy_that_begins), await play(a_policy_that_fires)
    storage, deleted = await play(a_storage_that_is_edited), await play(a_backup_that_is_deleted_with_its_data)
    held, lost_data = await play(a_backup_that_is_held), await play(a_backup_whose_data_is_deleted)
    swapped, lost_swap = await play(a_swap), await play(a_swap_without_a_result)
    gone = await play(a_swap_that_is_deleted)

    assert end_of(lost_data)["Backup monday"]["Uploaded"] == ("False", Reason.DATA_DELETED)
    assert end_of(lost_data)["Backup monday"]["Succeeded"] == ("True", Reason.SUCCEEDED)
    assert end_of(swapped)["RestoreRequest back"]["Succeeded"] == ("True", Reason.SUCCEEDED)
    assert end_of(swapped)["RestoreRequest back"]["finalizers"] == ()
    assert {"backup", "plan-restore", "restore", "swap", "drop-replaced"} <= set(end_of(swapped)["jobs"])
    assert end_of(lost_swap)["RestoreRequest back"]["Succeeded"] == ("False", Reason.JOB_LOST)
    assert "RestoreRequest back" not in end_of(gone)
    assert [end_of(scene)["workloads"] for scene in (swapped, lost_swap, gone)] == [[3]] * 3

    assert end_of(backup)["Backup monday"]["Succeeded"] == ("True", Reason.SUCCEEDED)
    assert end_of(backup)["jobs"] == ["backup", "inspect", "probe"]
    assert end_of(held)["Backup monday"]["Held"] == ("True", Reason.HOLD_PLACED)
    assert end_of(held)["jobs"] == ["backup", "hold", "inspect", "probe"]
    assert end_of(lost)["Backup monday"]["Succeeded"] == ("True", Reason.SUCCEEDED)
    assert end_of(lost)["jobs"] == ["backup", "inspect", "probe", "settle"]
    assert end_of(begun)["BackupPolicy nightly"]["RetentionEnforced"] == ("True", Reason.RETENTION_ENFORCED)
    assert end_of(begun)["jobs"] == ["backup", "inspect", "probe", "prune"]
    assert end_of(fired)["BackupPolicy nightly"]["RetentionEnforced"] == ("True", Reason.RETENTION_ENFORCED)
    assert end_of(fired)["jobs"] == ["backup", "inspect", "probe", "prune"]
    assert end_of(fired)["cron jobs"] == ["nightly"]
    assert end_of(storage)["BackupStorage main"]["Ready"] == ("True", Reason.READY)
    assert end_of(storage)["jobs"] == ["probe", "probe"]
    assert "Backup monday" not in end_of(deleted)
    assert end_of(deleted)["jobs"] == ["backup", "inspect", "probe", "prune"]
