"""One claim for several policies: their runs work side by side in it, and the retention of one leaves the other's backups alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scene.disk import claim, committed, volume_storage
from scene.tenant import KEEP_ONE

if TYPE_CHECKING:
    from pathlib import Path

    from scene.tenant import Tenant

pytestmark = pytest.mark.cluster


def test_two_policies_share_a_claim_of_one_node(tenant: Tenant, tmp_path: Path) -> None:
    """Both dumps are held at once, so that their Jobs surely use the claim together; each keeps its own newest backup."""
    claim(tenant, tmp_path)
    volume_storage(tenant)
    for name in ("shop", "twin"):
        tenant.database(name)
        tenant.policy(f"of-{name}", databaseRef={"name": name}, retention=KEEP_ONE, lockWaitSeconds=600)
    tenant.wait("backupstorages", "main", "Ready")
    for name in ("shop", "twin"):
        tenant.wait("databases", name, "Ready")
    for round_ in ("1", "2"):
        with tenant.shop.connect() as blocker, blocker.transaction():
            blocker.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            for name in ("shop", "twin"):
                tenant.backup(f"{name}-{round_}", policy=f"of-{name}", databaseRef={"name": name})
            for name in ("shop", "twin"):
                tenant.until(
                    lambda name=name: tenant.shop.sessions(f"dbcustody backup {tenant.name}.{name}"),
                    f"{name} is dumped",
                )
        for name in ("shop", "twin"):
            tenant.succeeded(f"{name}-{round_}")

    for name in ("shop", "twin"):
        tenant.until(
            lambda name=name: committed(tmp_path, f"{tenant.name}.{name}") == [f"{name}-2"], f"{name} keeps one"
        )
