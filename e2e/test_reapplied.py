"""What people filed is deleted and applied once more, as GitOps tools do: no second backup, no second restore, no second swap."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from dbcustody.api.meta import Kind
from scene.evidence import conditions
from scene.office import AGREES, ASKS, Office

if TYPE_CHECKING:
    from ground.kubernetes import Cluster
    from scene.storehouse import Storehouse
    from scene.tenant import Tenant

    Json = Any

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
FILED: Final = ("approvals", "restorerequests", "backups", "backuppolicies", "databases", "backupstorages")
"""Every kind, in an order in which the last references go last."""
ONCE: Final = ("restore", "settle-restore", "swap", "drop-replaced")
"""Verbs of Jobs that change a server."""
KEPT: Final = "written since"


class Folder:
    """What lies in the repository from which the namespace of *tenant* is made."""

    def __init__(self, tenant: Tenant, cluster: Cluster) -> None:
        self.tenant, self.office = tenant, Office(cluster, tenant.name)
        self.plan_hash = ""
        self.confirm = tenant.shop.confirmation

    @property
    def beside(self) -> Json:
        """A restore beside what runs, which a second person has to agree to."""
        target = {"databaseRef": {"name": "shop"}, "database": f"{self.tenant.shop.name}_again"}
        return {"source": {"backupRef": {"name": "manual"}}, "target": target, "approval": {"required": True}}

    @property
    def back(self) -> Json:
        """A restore in the place of what runs."""
        target = {"databaseRef": {"name": "shop"}}
        source = {"backupRef": {"name": "manual"}}
        return {"source": source, "target": target, "mode": "Replace", "confirm": self.confirm}

    def apply_wishes(self) -> None:
        """Apply what asks for work once."""
        self.tenant.backup("manual", policy="nightly")
        assert "metadata" in json.loads(self.office.create(ASKS, Kind.RESTORE_REQUEST, "again", self.beside))
        self.tenant.make("RestoreRequest", "back", self.back)

    def apply_ground(self) -> None:
        """Apply what everything else refers to."""
        self.tenant.database(restored_by="shop-restorer")
        self.tenant.storage()
        self.tenant.policy(immediate=True, retention={"keepLast": 9})

    def agree(self) -> None:
        """Apply the second person's yes to the plan that was told."""
        self.office.decide(AGREES, "yes", self.plan_hash)

    def delete(self) -> list[str]:
        """Delete all of it, as a tool that prunes does; returns the names of what the operator made, which no tool knows of."""
        own = set(self.tenant.names("backups"))
        for plural in FILED:
            names = ["manual"] if plural == "backups" else self.tenant.names(plural)
            for name in names:
                self.tenant.api.delete(plural, name, self.tenant.name)
        gone = [plural for plural in FILED if plural != "backups"]
        self.tenant.until(lambda: not any(self.tenant.names(plural) for plural in gone), "everything is gone")
        self.tenant.until(lambda: "manual" not in self.tenant.names("backups"), "the Backup is gone")
        return sorted(own - {"manual"})


def done(tenant: Tenant, name: str) -> tuple[str, str]:
    """Return whether the request succeeded, and why, once it is over."""
    said = conditions(tenant.wait("restorerequests", name, "Finished", seconds=240))["Succeeded"]
    return said["status"], said["reason"]


def databases(tenant: Tenant) -> Any:
    """Return names and OIDs of the databases of the server that have to do with the shop, and what was written since the restores."""
    shop = tenant.shop
    rows = shop.server.execute("SELECT datname, oid::bigint FROM pg_database ORDER BY 1")
    found = {name: oid for name, oid in rows if name.startswith((shop.name, "dbcustody_"))}
    names = (shop.name, f"{shop.name}_again")
    written = "SELECT count(*) FROM customers WHERE name = 'written since'"
    return found, [shop.server.execute(written, database=name) for name in names]


def works(tenant: Tenant) -> set[str]:
    """Return the uids of all Jobs that change a server."""
    return {job["metadata"]["uid"] for verb in ONCE for job in tenant.jobs(verb)}


def test_everything_is_applied_once_more(tenant: Tenant, cluster: Cluster, storehouse: Storehouse) -> None:
    """By objects in the bucket, databases on the server and Jobs: all is found as it was, and what was written since stays."""
    tenant.secret("shop-restorer", **tenant.shop.restorer)
    folder = Folder(tenant, cluster)
    folder.office.admit()
    folder.apply_ground()
    tenant.until_ready()
    (immediate,) = tenant.until(lambda: tenant.names("backups"), "the immediate Backup is there")
    folder.apply_wishes()
    told = tenant.wait("restorerequests", "again", "Approved", "Unknown", reason="ApprovalPending", seconds=240)
    folder.plan_hash = told["status"]["plan"]["hash"]
    folder.agree()
    assert [done(tenant, name) for name in ("again", "back")] == [("True", "Succeeded")] * 2
    tenant.succeeded(immediate)
    for name in (tenant.shop.name, f"{tenant.shop.name}_again"):
        with tenant.shop.server.connect(name) as connection:
            connection.execute("INSERT INTO customers (name) VALUES (%s)", (KEPT,))
    old = tenant.get("restorerequests", "back")["status"]["oldDatabase"]
    before, manifests = databases(tenant), storehouse.manifests()
    assert len(manifests) == 3

    left = folder.delete()
    folder.apply_wishes()
    folder.agree()
    folder.apply_ground()
    tenant.until_ready()

    assert [done(tenant, name) for name in ("again", "back")] == [("True", "Adopted")] * 2
    assert conditions(tenant.succeeded("manual"))["Succeeded"]["reason"] == "Adopted"
    tenant.wait("backuppolicies", "nightly", "Ready")
    assert (works(tenant), databases(tenant)) == (set(), before)
    assert (storehouse.manifests(), tenant.names("backups")) == (manifests, sorted([*left, "manual"]))
    again = tenant.get("restorerequests", "back")["status"]["oldDatabase"]
    assert (again["name"], again["dropAfter"]) == (old["name"], old["dropAfter"])
