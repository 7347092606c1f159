"""A legal hold on the real cluster: it goes from the resource into the bucket, outlives the resource, and is released where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scene.evidence import conditions
from scene.tenant import KEEP_ONE

if TYPE_CHECKING:
    from scene.storehouse import Storehouse
    from scene.tenant import Tenant

pytestmark = pytest.mark.cluster


def facts(storehouse: Storehouse, name: str) -> set[str]:
    """Return the names of the holds and releases beside the backup *name*."""
    rows = (key.rsplit("/", 1)[-1] for key in storehouse.keys(f"backups/{storehouse.backup_id(name)}/"))
    return {row for row in rows if row.startswith(("hold", "release"))}


def hold(tenant: Tenant, name: str) -> None:
    """Put the backup *name* under a legal hold, as `kubectl edit` does."""
    patch = [{"op": "add", "path": "/spec/legalHold", "value": {"reason": "audit"}}]
    tenant.api.patch("backups", name, tenant.name, patch)


def release(tenant: Tenant, name: str) -> None:
    """Take the hold out again."""
    tenant.api.patch("backups", name, tenant.name, [{"op": "remove", "path": "/spec/legalHold"}])


def held(tenant: Tenant, name: str) -> Any:
    """Return the condition Held as it is said of the spec that stands now."""
    body = tenant.get("backups", name)
    said = conditions(body).get("Held", {})
    return said if said.get("observedGeneration") == body["metadata"]["generation"] else {}


def test_a_held_backup_outlives_retention_and_goes_when_it_is_released(housed: Tenant, storehouse: Storehouse) -> None:
    """Two backups more than retention keeps, and the held one is still there; once it is released, retention takes it."""
    housed.policy(retention=KEEP_ONE)
    housed.backup("evidence", policy="nightly")
    housed.succeeded("evidence")
    hold(housed, "evidence")
    housed.wait("backups", "evidence", "Held")
    assert facts(storehouse, "evidence") == {"hold.1.json"}
    assert held(housed, "evidence")["message"] == "the hold stands in the storage, beside the backup"
    for name in ("second", "third"):
        housed.backup(name, policy="nightly")
        housed.succeeded(name)
    kept = {storehouse.backup_id("evidence"), storehouse.backup_id("third")}
    housed.until(lambda: set(storehouse.manifests()) == kept, "the held one and the newest are left")

    release(housed, "evidence")
    housed.until(lambda: held(housed, "evidence").get("reason") == "HoldReleased", "the hold is released")
    assert facts(storehouse, "evidence") == {"hold.1.json", "release.1.json"}
    housed.backup("fourth", policy="nightly")
    housed.succeeded("fourth")
    housed.until(lambda: set(storehouse.manifests()) == {storehouse.backup_id("fourth")}, "one is left")


def test_a_hold_outlives_its_resource(housed: Tenant, storehouse: Storehouse) -> None:
    """The object is gone, as with its whole cluster; the hold stands in the bucket, and retention leaves the backup alone."""
    housed.policy(retention=KEEP_ONE)
    housed.backup("evidence", policy="nightly", legalHold={"reason": "audit"})
    housed.succeeded("evidence")
    housed.wait("backups", "evidence", "Held")
    housed.api.delete("backups", "evidence", housed.name)
    for name in ("second", "third"):
        housed.backup(name, policy="nightly")
        housed.succeeded(name)

    kept = {storehouse.backup_id("evidence"), storehouse.backup_id("third")}
    housed.until(lambda: set(storehouse.manifests()) == kept, "the held one and the newest are left")


def test_a_hold_that_cannot_be_written_says_why_and_is_written_later(housed: Tenant, storehouse: Storehouse) -> None:
    """The storage is made ReadOnly before; the resource says that it alone holds, until the storage can be written again."""
    housed.backup("evidence")
    housed.succeeded("evidence")
    housed.api.patch("backupstorages", "main", housed.name, [_mode("ReadOnly")])
    hold(housed, "evidence")
    housed.until(lambda: held(housed, "evidence").get("reason") == "StorageReadOnly", "it is said what is in the way")
    assert facts(storehouse, "evidence") == set()
    assert held(housed, "evidence")["status"] == "False"

    housed.api.patch("backupstorages", "main", housed.name, [_mode("ReadWrite")])
    housed.until(lambda: held(housed, "evidence").get("reason") == "HoldPlaced", "the hold stands")
    assert facts(storehouse, "evidence") == {"hold.1.json"}


def test_a_held_backup_is_removed_when_the_hold_is_taken_out(housed: Tenant, storehouse: Storehouse) -> None:
    """Deleted with its data while it was held: the object waits and says so; without the hold, object and data go."""
    housed.backup("evidence", deletionPolicy="Delete", legalHold={"reason": "audit"})
    housed.succeeded("evidence")
    housed.wait("backups", "evidence", "Held")
    housed.api.delete("backups", "evidence", housed.name)
    housed.until(lambda: conditions(housed.get("backups", "evidence"))["Ready"]["reason"] == "Held", "it waits")
    assert storehouse.has("evidence")

    release(housed, "evidence")
    housed.until(lambda: "evidence" not in housed.names("backups"), "the object is gone")
    assert not storehouse.has("evidence")


def _mode(word: str) -> dict[str, str]:
    return {"op": "add", "path": "/spec/accessMode", "value": word}
