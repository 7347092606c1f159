"""Restore tests on the real cluster: a server beside the backup's own worker proves that the backup comes back, and never prevents one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ground.serverimage import server_image
from scene.api import ApiError
from scene.evidence import conditions
from scene.shop import CANARY

if TYPE_CHECKING:
    from ground.kubernetes import Cluster
    from scene.api import Json
    from scene.storehouse import Storehouse
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]
NOWHERE = "localhost/nowhere:1"


@pytest.fixture(scope="module")
def verification(cluster: Cluster) -> dict[str, Any]:
    """Return what a policy says to have its backups restored; the node has the server's image."""
    image = server_image(17)
    cluster.load(image.archive)
    return {"level": "Restore", "image": image.reference, "scratch": {"sizeBytes": 1 << 30}}


@pytest.mark.parametrize("level", [{}, {"level": "Read"}], ids=["by-default", "read"])
@pytest.mark.parametrize(
    "more",
    [{"everyNth": 2}, {"image": "postgres:17"}, {"scratch": {"sizeBytes": 1 << 30}}, {"localeFallback": "Fail"}],
    ids=["everyNth", "image", "scratch", "localeFallback"],
)
def test_what_nobody_would_heed_is_refused(tenant: Tenant, level: dict[str, Any], more: dict[str, Any]) -> None:
    """Words about restore tests beside a level that makes none would be silently without effect: policy and Backup refuse them."""
    makers = [partial(tenant.policy, "p"), *([] if "everyNth" in more else [partial(tenant.backup, "b")])]
    for make in makers:
        with pytest.raises(ApiError, match="must have `level: Restore` to say anything about a restore test"):
            make(verification={**level, **more})


def told(body: Json, kind: str) -> tuple[str, str]:
    """Return status and reason of a condition."""
    found = conditions(body)[kind]
    return found["status"], found["reason"]


def test_backup_is_restored_beside_its_own_worker(
    housed: Tenant, storehouse: Storehouse, verification: dict[str, Any]
) -> None:
    """Backup, policy and bucket say that it came back equal, and how long that took; the pod was one, under the `restricted` profile."""
    housed.policy(verification=verification)
    housed.backup("first", policy="nightly")
    body = housed.succeeded("first", seconds=240)
    policy = housed.wait("backuppolicies", "nightly", "RestoreVerified")
    (pod,) = housed.pods("backup")
    log = "\n".join(
        str(
            housed.api.ask(
                "GET", f"api/v1/namespaces/{housed.name}/pods/{pod['metadata']['name']}/log?container={name}"
            )
        )
        for name in ("job", "test-server")
    )

    assert told(body, "RestoreTested") == ("True", "RestoreTested")
    assert told(body, "Verified") == ("True", "Verified")
    assert "PostgreSQL 17." in conditions(body)["RestoreTested"]["message"]
    assert body["status"]["restoreSeconds"] >= 1
    assert policy["status"]["lastRestoreTest"] == {
        "name": "first",
        "time": body["status"]["snapshotTime"],
        "restoreSeconds": body["status"]["restoreSeconds"],
    }
    assert storehouse.levels("first") == {"Read", "Restore"}
    assert pod["status"]["phase"] == "Succeeded"
    assert CANARY not in log


def test_backup_that_does_not_come_back_is_none(
    housed: Tenant, storehouse: Storehouse, verification: dict[str, Any]
) -> None:
    """A database whose definitions do not load elsewhere is found out at night, and not when it is needed."""
    housed.shop.execute(
        "CREATE FUNCTION is_known(id bigint) RETURNS boolean LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM 1 FROM customers WHERE customers.id = is_known.id; RETURN found; END'",
        "CREATE TABLE noted (customer bigint CHECK (is_known(customer)))",
        "INSERT INTO noted VALUES (1)",
    )
    housed.policy(verification=verification)
    housed.backup("first", policy="nightly")
    body = housed.finished("first", seconds=240)
    policy = housed.wait("backuppolicies", "nightly", "RestoreVerified", "False")

    assert told(body, "Succeeded") == ("False", "VerificationFailed")
    assert told(body, "RestoreTested") == ("False", "RestoreFailed")
    assert told(policy, "RestoreVerified") == ("False", "RestoreFailed")
    assert storehouse.levels("first") == {"Checksum"}


@pytest.mark.slow
def test_server_that_cannot_be_had_costs_no_backup(
    housed: Tenant, storehouse: Storehouse, verification: dict[str, Any]
) -> None:
    """An image that does not come ends the wait after two minutes: the backup is taken and read, and the policy says what is missing."""
    housed.policy(verification={**verification, "image": NOWHERE})
    housed.backup("first", policy="nightly")
    body = housed.succeeded("first", seconds=300)
    policy = housed.wait("backuppolicies", "nightly", "RestoreVerified", "False")

    assert told(body, "RestoreTested") == ("False", "TestServerUnavailable") == told(policy, "RestoreVerified")
    assert NOWHERE in conditions(body)["RestoreTested"]["message"]
    assert told(body, "Verified") == ("True", "Verified")
    assert storehouse.levels("first") == {"Read"}
    assert len(body["status"]["attempts"]) == 2
