"""The operator and the cluster fall over while a backup runs: nothing is lost, nothing is done twice, and status catches up."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from scene.evidence import conditions
from scene.tenant import TRUTH_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scene.deployment import Deployment
    from scene.storehouse import Storehouse
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

FROZEN_SECONDS = 20


def kill_leader(operator: Deployment) -> None:
    """SIGKILL the leading replica and wait until another process leads."""
    before = operator.holder()
    operator.kill_leader()
    operator.wait_other_leader(before)


def kill_everything(operator: Deployment) -> None:
    """SIGKILL both replicas."""
    before = operator.holder()
    operator.kill_all()
    operator.wait_other_leader(before)


def freeze_api(operator: Deployment) -> None:
    """Let the API server stand still for so long that the leader must give up."""
    operator.cluster.freeze_api()
    threading.Event().wait(FROZEN_SECONDS)
    operator.cluster.thaw_api()


def restart_etcd(operator: Deployment) -> None:
    """Take the API server's memory away for a moment."""
    operator.cluster.restart("etcd")


EVENTS = {
    "leader-killed": kill_leader,
    "both-replicas-killed": kill_everything,
    "api-server-frozen": freeze_api,
    "etcd-restarted": restart_etcd,
}


@contextmanager
def held_dump(tenant: Tenant, name: str) -> Iterator[None]:
    """Start the Backup *name* and hold its dump at a locked table while the block runs."""
    with tenant.shop.connect() as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        tenant.backup(name, lockWaitSeconds=600)
        tenant.until(tenant.shop.sessions, "the Job is connected")
        yield


@pytest.mark.parametrize("event", [pytest.param(event, id=name) for name, event in EVENTS.items()])
def test_backup_runs_through(
    housed: Tenant, operator: Deployment, storehouse: Storehouse, event: Callable[[Deployment], None]
) -> None:
    """The dump goes on without its operator; afterwards one Job was made, status is true, and the next run succeeds."""
    with held_dump(housed, "first"):
        event(operator)
    operator.recover()
    there = time.monotonic()
    body = housed.succeeded("first")
    took = time.monotonic() - there
    housed.backup("second")
    housed.succeeded("second")

    assert took <= TRUTH_SECONDS
    assert len(body["status"]["attempts"]) == 1
    assert storehouse.check_all_whole() == {storehouse.backup_id("first"), storehouse.backup_id("second")}


@pytest.mark.parametrize("event", [pytest.param(event, id=name) for name, event in EVENTS.items()])
def test_backup_that_ends_meanwhile_is_told(
    housed: Tenant, operator: Deployment, storehouse: Storehouse, event: Callable[[Deployment], None]
) -> None:
    """The dump's end falls into the trouble, where nobody hears of it; status tells it all the same."""
    with held_dump(housed, "first"):
        happening = threading.Thread(target=event, args=(operator,))
        happening.start()
        threading.Event().wait(1)
    happening.join()
    operator.recover()
    there = time.monotonic()
    housed.succeeded("first")

    assert time.monotonic() - there <= TRUTH_SECONDS
    assert storehouse.check_all_whole() == {storehouse.backup_id("first")}


def adopt(tenant: Tenant) -> str:
    """Make a Job by hand from the policy's CronJob, as `kubectl create job --from` does; returns the name of its Backup."""
    cron_job = tenant.until(lambda: tenant.api.get("cronjobs", "nightly", tenant.name), "the CronJob is there")
    template = cron_job["spec"]["jobTemplate"]
    owner = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": "nightly",
        "uid": cron_job["metadata"]["uid"],
        "controller": True,
    }
    metadata = {
        "name": "by-hand",
        "labels": template["metadata"]["labels"],
        "annotations": {"cronjob.kubernetes.io/instantiate": "manual"},
        "ownerReferences": [owner],
    }
    tenant.api.create("jobs", {"metadata": metadata, "spec": template["spec"]}, tenant.name)
    tenant.until(lambda: "by-hand" in tenant.names("backups"), "the Job is recorded as a Backup")
    return "by-hand"


def await_schedule(tenant: Tenant) -> str:
    """Wait until Kubernetes itself starts a Job of the CronJob; returns the name of its Backup."""
    name: str = tenant.until(lambda: tenant.names("backups"), "a scheduled run was recorded", seconds=90)[0]
    return name


class Start(NamedTuple):
    """How a policy's run comes about, and what its Backup says of that."""

    schedule: str
    begin: Callable[[Tenant], str]
    origin: str


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(Start("0 3 29 2 *", adopt, "Adopted"), id="by-hand"),
        pytest.param(Start("* * * * *", await_schedule, "Scheduled"), id="by-schedule"),
    ],
)
def test_policy_deleted_while_its_dump_runs(housed: Tenant, storehouse: Storehouse, start: Start) -> None:
    """The dump is finished and recorded though its policy and the CronJob that started it are gone."""
    with housed.shop.connect() as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        housed.policy(schedule=start.schedule, lockWaitSeconds=600)
        name = start.begin(housed)
        housed.until(housed.shop.sessions, "the Job is connected")
        housed.api.delete("backuppolicies", "nightly", housed.name)
        housed.until(lambda: not housed.names("backuppolicies") and not housed.names("cronjobs"), "both are gone")
        assert housed.condition("backups", name, "Finished")["status"] == "False"
    body = housed.succeeded(name)

    assert body["spec"]["origin"] == start.origin
    assert housed.names("backups") == [name]
    assert storehouse.check_all_whole() == {body["status"]["artefact"]["backupId"]}


def test_job_by_hand_is_recorded_as_adopted(housed: Tenant, operator: Deployment, storehouse: Storehouse) -> None:
    """`kubectl create job --from=cronjob/...` is a backup like any other, and starts no second Job."""
    housed.policy()
    housed.until(lambda: housed.api.get("cronjobs", "nightly", housed.name), "the CronJob is there")
    operator.cluster.kubectl("create", "job", "by-hand", "--from=cronjob/nightly", "-n", housed.name)
    housed.until(lambda: "by-hand" in housed.names("backups"), "the Job is recorded as a Backup")
    body = housed.succeeded("by-hand")

    assert body["spec"]["origin"] == "Adopted"
    assert [job["metadata"]["name"] for job in housed.jobs("backup")] == ["by-hand"]
    assert set(storehouse.manifests()) == {body["status"]["artefact"]["backupId"]}
    assert conditions(housed.wait("backuppolicies", "nightly", "Ready"))["Ready"]["status"] == "True"
