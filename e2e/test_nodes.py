"""Two nodes: one is lost in the middle of a backup, with its pod alive on it, or is drained; status tells it, and the backups go on."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from ground.secondnode import NAME, TAINT, SecondNode
from scene.disk import claim, committed, volume_storage
from scene.evidence import conditions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ground.image import Image
    from ground.kubernetes import Cluster
    from scene.storehouse import Storehouse
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(900)]

REASON_SECONDS: Final = 90
OUTCOME_SECONDS: Final = 8 * 60
ANYWHERE: Final = {"tolerations": [{"key": TAINT, "operator": "Exists"}]}
FIRST: Final = "node"


@pytest.fixture(scope="module")
def second(cluster: Cluster, image: Image) -> Iterator[SecondNode]:
    """Yield a second node that has our image."""
    with SecondNode(cluster) as node:
        node.load(image.archive)
        yield node


@contextmanager
def dumping_on_second(tenant: Tenant, second: SecondNode, name: str) -> Iterator[None]:
    """Start the Backup *name* on the second node, though it may go anywhere, and hold its dump while the block runs."""
    second.cluster.kubectl("cordon", FIRST)
    with tenant.shop.connect() as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        tenant.backup(name, policy="nightly")
        tenant.until(tenant.shop.sessions, "the Job is connected")
        second.cluster.kubectl("uncordon", FIRST)
        assert node_of(tenant, name) == NAME
        yield


def node_of(tenant: Tenant, name: str) -> str:
    """Return the node on which the Backup *name* runs."""
    return str(tenant.worker(name)["spec"]["nodeName"])


def seconds_until(tenant: Tenant, name: str, kind: str, reason: str, *, seconds: float) -> float:
    """Return how long it took until the condition *kind* of the Backup *name* gave *reason*."""
    started = time.monotonic()

    def said() -> bool:
        one: dict[str, Any] = conditions(tenant.get("backups", name)).get(kind, {})
        return one.get("reason") == reason and one.get("status") != "Unknown"

    tenant.until(said, f"{name} says {kind} {reason}", seconds=seconds)
    return time.monotonic() - started


def test_lost_node_is_told_and_the_next_backup_goes_to_another(
    housed: Tenant, second: SecondNode, storehouse: Storehouse
) -> None:
    """The reason within 90 s, the outcome within 8 min; the server lets go of what the lost session held, and the schedule goes on."""
    housed.policy(job=ANYWHERE, lockWaitSeconds=600)
    with dumping_on_second(housed, second, "first"):
        second.cut()
        lost = time.monotonic()
        told = seconds_until(housed, "first", "Ready", "NodeLost", seconds=REASON_SECONDS)
    message = conditions(housed.get("backups", "first"))["Ready"]["message"]
    housed.until(lambda: not housed.shop.sessions(), "the server ends the lost session", seconds=240)
    released = time.monotonic() - lost
    seconds_until(housed, "first", "Succeeded", "NodeLost", seconds=OUTCOME_SECONDS - released)
    over = time.monotonic() - lost
    housed.until(lambda: not housed.jobs("backup"), "the lost Job keeps no CronJob from going on")
    housed.backup("second", policy="nightly")
    body = housed.succeeded("second")
    print(f"\nlost node: told after {told:.0f} s, session ended after {released:.0f} s, outcome after {over:.0f} s")

    assert message.startswith(f"node {NAME} does not answer, and what pod first-")
    assert conditions(housed.get("backups", "first"))["Finished"]["status"] == "True"
    assert over <= OUTCOME_SECONDS
    assert len(body["status"]["attempts"]) == 1
    assert storehouse.check_all_whole() == {storehouse.backup_id("second")}

    second.mend()
    second.wait_ready(seconds=120)
    housed.until(
        lambda: not [pod for pod in housed.pods("backup") if pod["spec"].get("nodeName") == NAME], "it is tidy"
    )
    assert storehouse.check_all_whole() == {storehouse.backup_id("second")}


def test_two_nodes_write_into_one_shared_claim(tenant: Tenant, second: SecondNode, tmp_path: Path) -> None:
    """ReadWriteMany: a dump on each node at the same time, both into one storage; each is good."""
    claim(tenant, tmp_path, mode="ReadWriteMany")
    volume_storage(tenant)
    tenant.database("shop")
    tenant.database("twin")
    tenant.wait("backupstorages", "main", "Ready")
    for name in ("shop", "twin"):
        tenant.wait("databases", name, "Ready")
        tenant.policy(f"of-{name}", databaseRef={"name": name}, job=ANYWHERE, lockWaitSeconds=600)
    with tenant.shop.connect() as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        for name, elsewhere in (("shop", FIRST), ("twin", NAME)):
            second.cluster.kubectl("cordon", elsewhere)
            tenant.backup(f"of-{name}", policy=f"of-{name}", databaseRef={"name": name})
            tenant.until(
                lambda name=name: tenant.shop.sessions(f"dbcustody backup {tenant.name}.{name}"), f"{name} is dumped"
            )
            second.cluster.kubectl("uncordon", elsewhere)
        nodes = [node_of(tenant, f"of-{name}") for name in ("shop", "twin")]
    for name in ("shop", "twin"):
        tenant.succeeded(f"of-{name}")

    assert nodes == [NAME, FIRST]
    assert [committed(tmp_path, f"{tenant.name}.{name}") for name in ("shop", "twin")] == [["of-shop"], ["of-twin"]]


def test_drained_node_hands_its_backup_over(housed: Tenant, second: SecondNode, storehouse: Storehouse) -> None:
    """`kubectl drain` in the middle of a dump: the pod ends, another one on the other node takes the same backup."""
    housed.policy(job=ANYWHERE, lockWaitSeconds=600)
    with dumping_on_second(housed, second, "first"):
        second.cluster.kubectl("drain", NAME, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s")
        housed.until(lambda: node_of(housed, "first") == FIRST, "the pod moved")
    body = housed.succeeded("first")
    second.cluster.kubectl("uncordon", NAME)

    assert len(body["status"]["attempts"]) == 1
    assert storehouse.check_all_whole() == {storehouse.backup_id("first")}
    assert storehouse.uploads() == 0
