"""A server unlike the others: newer than every client of an image, and trusted by its own authority only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ground.certificate import Authority
from ground.image import application_image
from ground.postgres import PostgresServer
from scene.evidence import conditions
from scene.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ground.kubernetes import Cluster
    from scene.deployment import Deployment
    from scene.storehouse import Storehouse
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Authority]:
    """Return the authority that the server's certificate is from, and another one of the same name."""
    return {name: Authority(tmp_path_factory.mktemp(name)) for name in ("right", "wrong")}


@pytest.fixture(scope="module")
def newest(cluster: Cluster, authorities: dict[str, Authority]) -> Iterator[PostgresServer]:
    """Yield a PostgreSQL 18 that pods can reach, with TLS for those who want it."""
    address = cluster.network.machine_address
    tls = authorities["right"].issue("server", "server", names=[address])
    with PostgresServer(18, host=address, tls=tls) as started:
        yield started


@pytest.fixture
def newcomer(tenant: Tenant, newest: PostgresServer, authorities: dict[str, Authority]) -> Tenant:
    """Return the tenant with its database on that server, and with both authorities in Secrets of their own."""
    shop = Shop(newest, tenant.shop.name)
    shop.build()
    tenant.secret("shop-app", **shop.secret)
    for name, authority in authorities.items():
        tenant.secret(name, **{"ca.crt": authority.path.read_bytes()})
    return replace(tenant, shop=shop)


def trusting(authority: str) -> dict[str, Any]:
    """Return a connection's TLS that trusts the authority in the Secret *authority*, and nobody else."""
    return {"mode": "VerifyFull", "caSecretRef": {"name": authority, "key": "ca.crt"}}


def test_server_is_trusted_by_its_own_authority_only(newcomer: Tenant, storehouse: Storehouse) -> None:
    """With the right CA a Database is Ready and its Backup good; with another one both are TLSFailed, and say why."""
    newcomer.database("shop", tls=trusting("right"))
    newcomer.database("fooled", tls=trusting("wrong"))
    newcomer.storage()
    newcomer.until_ready()
    refused = newcomer.wait("databases", "fooled", "Ready", "False", reason="TLSFailed")
    newcomer.backup("good")
    newcomer.backup("fooled", databaseRef={"name": "fooled"})
    newcomer.succeeded("good")
    failed = conditions(newcomer.finished("fooled"))["Succeeded"]

    assert "certificate verify failed" in conditions(refused)["Ready"]["message"]
    assert conditions(refused)["Connected"]["status"] == "False"
    assert (failed["status"], failed["reason"]) == ("False", "TLSFailed")
    assert storehouse.check_all_whole() == {storehouse.backup_id("good")}


@pytest.mark.slow
def test_server_newer_than_every_client(newcomer: Tenant, operator: Deployment, storehouse: Storehouse) -> None:
    """With client 17 alone a PostgreSQL 18 is refused by inspection and backup, which name that client; with client 18 both succeed."""
    old = application_image(clients=(17,))
    operator.cluster.load(old.archive)
    with operator.jobs_in(old.reference):
        newcomer.database()
        newcomer.storage()
        refused = newcomer.wait("databases", "shop", "Ready", "False", reason="VersionUnsupported")
        newcomer.wait("backupstorages", "main", "Ready")
        newcomer.backup("early")
        failed = conditions(newcomer.finished("early"))["Succeeded"]
    newcomer.backup("late")
    newcomer.succeeded("late")
    ready = newcomer.wait("databases", "shop", "Ready")

    said = conditions(refused)
    assert "the clients at hand are 17, and none may be older than the server" in said["Ready"]["message"]
    assert said["Connected"]["status"] == "True"
    assert (refused["status"]["server"]["majorVersion"], ready["status"]["server"]["majorVersion"]) == (18, 18)
    assert (failed["status"], failed["reason"]) == ("False", "VersionUnsupported")
    assert "the clients at hand are 17" in failed["message"]
    assert storehouse.check_all_whole() == {storehouse.backup_id("late")}
