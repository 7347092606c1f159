"""What README.md shows without a cluster, typed as it stands there: on a real PostgreSQL, into a real bucket."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING

import pytest

from scene.document import Reader, to_type
from tests.cli.conftest import COMMAND

if TYPE_CHECKING:
    from pathlib import Path

    from ground.postgres import PostgresServer
    from ground.s3 import S3Server
    from tests.cli.conftest import Person

pytestmark = [pytest.mark.postgres, pytest.mark.s3]
CHOSEN = ("DATABASE_URL", "BACKUP_S3_BUCKET", "BACKUP_ENCRYPTION_KEY")
"""What the document sets itself."""


def test_readme_without_a_cluster(at_bucket: Person, server: PostgresServer, s3: S3Server, tmp_path: Path) -> None:
    """A backup lies in the bucket, good, encrypted with the key that was made on the way."""
    variables = {name: text for name, text in at_bucket.variables.items() if name not in CHOSEN}
    environment = {**variables, "PATH": f"{COMMAND.parent}:{os.environ['PATH']}", "PYTHONPATH": _sources()}
    where = f"postgresql://postgres:{server.password}@{server.host}:{server.port}/shop?sslmode=disable"
    reader = Reader(
        folder=tmp_path,
        environment=environment,
        values={"postgresql://app:...@db.example.com:5432/shop": f"'{where}'"},
    )
    for command in to_type("README.md", "Without a cluster"):
        reader.type(command)

    listed = json.loads(reader.shell("dbcustody backups list --json"))
    key = base64.b64decode(reader.shell('printf %s "$BACKUP_ENCRYPTION_KEY"'))
    assert [(one["good"], one["encrypted"]) for one in listed["backups"]] == [(True, True)]
    assert len(key) == 32
    assert reader.unused() == []
    prefix = variables["BACKUP_S3_PREFIX"]
    assert any(name.startswith(f"{prefix}/") and name.endswith("manifest.json") for name in s3.keys("backups"))


def _sources() -> str:
    """Return where Python looks besides, so that the commands are those of this checkout."""
    return os.environ.get("PYTHONPATH", "")
