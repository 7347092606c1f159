"""The disaster drill of docs/disaster-drill.md: its resources as they stand there, in a namespace that has nothing but bucket and keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from ground.cache import REPOSITORY
from scene.evidence import conditions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]
PAGE: Final = REPOSITORY / "docs" / "disaster-drill.md"


def resources() -> Iterator[dict[str, Any]]:
    """Yield the resources of the page, in its order."""
    for block in re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        yield yaml.safe_load(block)


def elsewhere(body: dict[str, Any], lost: Tenant, custody_id: str, into: str) -> dict[str, Any]:
    """Return the resource with the addresses of this machine, and names that nobody else has on its servers."""
    spec = body["spec"]
    match body["kind"]:
        case "BackupStorage":
            spec["s3"] |= {
                "bucket": lost.bucket,
                "endpoint": lost.store.url,
                "region": "us-east-1",
                "addressingStyle": "Path",
            }
            del spec["s3"]["prefix"]
        case "Database":
            spec["connection"]["tls"] = {"mode": "Disable"}
        case _:
            spec["source"]["custodyId"], spec["target"]["database"] = custody_id, into
    return body


def test_the_drill_is_followed_as_it_stands(
    housed: Tenant, tenancy: Callable[[], AbstractContextManager[Tenant]]
) -> None:
    """The old namespace is gone with every resource; the page brings the newest good backup back, and the bucket is only read."""
    lost = housed
    for name in ("monday", "tuesday"):
        lost.backup(name)
        lost.succeeded(name)
    shop, into = lost.shop, f"{lost.shop.name}_again"
    rows = shop.execute("SELECT count(*), sum(hashtext(c::text)) FROM customers c")
    lost.leave()
    lost.until(lambda: lost.api.get("namespaces", lost.name) is None, "the namespace is gone", seconds=180)
    before = lost.store.keys(lost.bucket)

    with tenancy() as heir:
        heir.secret("backup-s3", AWS_ACCESS_KEY_ID=lost.store.access_key, AWS_SECRET_ACCESS_KEY=lost.store.secret_key)
        heir.secret("backup-keyring", k2026=lost.key)
        server = shop.server
        heir.secret("shop-restorer", **{**shop.secret, "username": "postgres", "password": server.password})
        kinds = []
        for body in resources():
            kinds.append(body["kind"])
            moved = elsewhere(body, lost, f"{lost.name}.shop", into)
            heir.make(moved["kind"], moved["metadata"]["name"], moved["spec"])
        request = heir.wait("restorerequests", "shop", "Finished", seconds=240)

    assert kinds == ["BackupStorage", "Database", "RestoreRequest"]
    assert conditions(request)["Succeeded"]["status"] == "True", conditions(request)
    assert request["status"]["source"] == "tuesday"
    with server.connect(into) as connection:
        assert connection.execute("SELECT count(*), sum(hashtext(c::text)) FROM customers c").fetchall() == rows
    assert lost.store.keys(lost.bucket) == before


def test_resources_come_back_from_the_bucket(housed: Tenant) -> None:
    """Somebody deleted every Backup resource: with `importBackups` they are there again, and say what the storage says."""
    tenant = housed
    for name in ("monday", "tuesday"):
        tenant.backup(name)
        tenant.succeeded(name)
    told = {name: tenant.get("backups", name)["status"]["artefact"] for name in ("monday", "tuesday")}
    for name in told:
        tenant.api.delete("backups", name, tenant.name)
    tenant.until(lambda: not tenant.names("backups"), "the resources are gone")
    patch = [{"op": "add", "path": "/spec/importBackups", "value": True}]
    tenant.api.patch("backupstorages", "main", tenant.name, patch)
    for name, artefact in told.items():
        tenant.until(lambda name=name: name in tenant.names("backups"), f"{name} is there again")
        body = tenant.succeeded(name)
        assert body["spec"]["origin"] == "Imported"
        assert body["status"]["artefact"]["manifestSha256"] == artefact["manifestSha256"]
    assert tenant.jobs("settle")
    assert tenant.jobs("backup") == []
