"""A manifest, and a storage in memory that the pure floor can take stock of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dbcustody.api.backup import Origin, Tool
from dbcustody.repository.layout import make_backup_id
from dbcustody.repository.manifest import ENCRYPTION_ALGORITHM, Manifest, Scope, ServerFacts, StoredObject

MakeManifest = Callable[..., Manifest]
START = datetime(2026, 1, 31, 2, 0, 0, tzinfo=UTC)
DIGEST = "0" * 64
BASIS = Manifest(
    storage_id="6f0d3c5e-8a64-4f0b-9a51-0c6b7a1e2d3f",
    custody_id="web.shop",
    backup_id=make_backup_id("shop", START),
    attempt="0b9c3f52-6c0e-4a55-8f3a-2f4d5e6a7b8c",
    name="shop",
    policy="nightly",
    origin=Origin.SCHEDULED,
    scope=Scope.FULL,
    server=ServerFacts(version="17.5", major_version=17, system_identifier="7434567890123456789", timeline=1),
    tool=Tool(name="dbcustody", version="0.1.0"),
    client=Tool(name="pg_dump", version="17.5"),
    started=START,
    snapshot=START + timedelta(seconds=2),
    finished=START + timedelta(minutes=3),
    compression="zstd:1",
    objects=(
        StoredObject(name="schema.pgc", bytes=180, plaintext_bytes=100, sha256=DIGEST, chunks=1),
        StoredObject(name="data-000.pgc", bytes=80, plaintext_bytes=0, sha256=DIGEST, chunks=1),
        StoredObject(name="catalogue.json", bytes=130, plaintext_bytes=50, sha256=DIGEST, chunks=1),
    ),
    encryption=ENCRYPTION_ALGORITHM,
    table_count=2,
    row_count=3,
    generation=1,
    mac="ab" * 32,
)


@pytest.fixture(scope="session")
def make_manifest() -> MakeManifest:
    """Return a maker of manifests: one that is in order, with some fields changed."""

    def make(**changes: Any) -> Manifest:
        return replace(BASIS, **changes)

    return make
