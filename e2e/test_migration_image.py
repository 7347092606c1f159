"""Migrations that lie in an image on a real cluster: one that holds files and nothing else, no shell and no program."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from ground.archive import write_image
from scene.evidence import conditions
from scene.migrating import PLURAL, applied, attempts, spec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ground.kubernetes import Cluster
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400), pytest.mark.usefixtures("operator")]
FIRST, SECOND = "20260131120000_begin", "20260201120000_more"
FILES = {
    f"{FIRST}/migration.sql": "create table newsletter (id int primary key);\n",
    "migration_lock.toml": 'provider = "postgresql"\n',
}
MORE = {f"{SECOND}/migration.sql": "alter table newsletter add column age int;\n"}


def image(cluster: Cluster, folder: Path, tag: str, files: Mapping[str, str]) -> str:
    """Put an image with *files* below /app/prisma on the node; beside them is a link that leads to another one. Returns its name."""
    reference, layer, archive = (
        f"localhost/shop-files-{folder.name}:{tag}",
        folder / f"{tag}-layer.tar",
        folder / f"{tag}.tar",
    )
    with tarfile.open(layer, "w") as tar:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"app/prisma/{path}")
            entry.size, entry.mode = len(text.encode()), 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("app/prisma/README.md")
        link.type, link.linkname = tarfile.SYMTYPE, "migration_lock.toml"
        tar.addfile(link)
    write_image(archive, reference, layer)
    cluster.load(archive)
    return reference


def wanted(reference: str, path: str = "/app/prisma") -> dict[str, Any]:
    """Return what is wanted of the files in an image."""
    return spec(source={"image": at(reference, path)})


def at(reference: str, path: str = "/app/prisma") -> dict[str, str]:
    """Return where the files lie, in an image that no registry has."""
    return {"reference": reference, "path": path, "pullPolicy": "IfNotPresent"}


def to(tenant: Tenant, reference: str, path: str = "/app/prisma") -> None:
    """Have a person name another image or path."""
    step = {"op": "replace", "path": "/spec/source/image", "value": at(reference, path)}
    tenant.api.patch(PLURAL, "shop", tenant.name, [step])


def test_the_folder_of_an_image_is_carried_out_and_gone_on_with(
    migrated: Tenant, cluster: Cluster, tmp_path: Path
) -> None:
    """As Prisma laid it out; the next release of the application brings the next migration."""
    first, second = image(cluster, tmp_path, "1", FILES), image(cluster, tmp_path, "2", FILES | MORE)
    migrated.make("DatabaseMigration", "shop", wanted(first))
    body = applied(migrated, FIRST)
    assert conditions(body)["SourceResolved"]["status"] == "True"
    assert body["status"]["sourceDigest"][:16] in conditions(body)["SourceResolved"]["message"]
    to(migrated, second)
    applied(migrated, SECOND)
    assert attempts(migrated) == [(FIRST, "Applied"), (SECOND, "Applied")]


def test_what_is_wrong_with_the_image_is_told_and_mended(migrated: Tenant, cluster: Cluster, tmp_path: Path) -> None:
    """An image that is not there, and then a folder that is not in it."""
    reference = image(cluster, tmp_path, "1", FILES)
    migrated.make("DatabaseMigration", "shop", wanted("localhost/nobody-has-this:1"))
    body = migrated.wait(PLURAL, "shop", "Ready", "False", reason="ImageNotAvailable")
    assert "nobody-has-this" in conditions(body)["Ready"]["message"]
    to(migrated, reference, "/app/prisma/nowhere")
    body = migrated.wait(PLURAL, "shop", "Planned", "False", reason="SourceNotFound")
    assert "/app/prisma/nowhere" in conditions(body)["Planned"]["message"]
    assert conditions(body)["SourceResolved"]["reason"] == "SourceNotFound"
    to(migrated, reference)
    applied(migrated, FIRST)
