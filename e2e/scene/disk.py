"""A folder of this machine as a volume of the cluster: every node sees the same one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scene.tenant import keyring

if TYPE_CHECKING:
    from pathlib import Path

    from scene.tenant import Tenant


def claim(tenant: Tenant, folder: Path, *, mode: str = "ReadWriteOnce") -> None:
    """Make the claim `disk` in the tenant's namespace, bound to a volume that is *folder* on the node."""
    folder.chmod(0o777)
    name = f"volume-{tenant.name}-{mode.lower()}"
    common = {"accessModes": [mode], "storageClassName": ""}
    volume = {
        "metadata": {"name": name},
        "spec": {**common, "capacity": {"storage": "1Gi"}, "hostPath": {"path": str(folder)}, "persistentVolumeReclaimPolicy": "Retain"},
    }  # fmt: skip
    tenant.api.create("persistentvolumes", volume)
    wanted = {**common, "volumeName": name, "resources": {"requests": {"storage": "1Gi"}}}
    tenant.api.create("persistentvolumeclaims", {"metadata": {"name": "disk"}, "spec": wanted}, tenant.name)


def volume_storage(tenant: Tenant) -> None:
    """Create the BackupStorage `main` on the claim `disk`, encrypted."""
    tenant.make("BackupStorage", "main", {"volume": {"claimName": "disk"}, **keyring()})


def committed(folder: Path, custody_id: str) -> list[str]:
    """Return the names of the backups of *custody_id* that were committed to *folder* and not deleted since, by their manifests."""
    found = sorted((folder / custody_id / "backups").glob("*/manifest.json"))
    live = [path for path in found if not path.with_name("tombstone.json").exists()]
    return [json.loads(path.read_text())["name"] for path in live]
