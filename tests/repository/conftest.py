"""A manifest, and a storage in memory that the pure floor can take stock of."""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.backup import Origin, Tool
from dbcustody.repository.canonical import canonical
from dbcustody.repository.fact import Fact, Hold, Release, Tombstone, Verified, fact_text
from dbcustody.repository.layout import (
    FactKind,
    attempt_prefix,
    data_key_object,
    fact_key,
    make_backup_id,
    manifest_key,
)
from dbcustody.repository.manifest import (
    ENCRYPTION_ALGORITHM,
    Manifest,
    Scope,
    ServerFacts,
    StoredObject,
    authenticated_text,
    manifest_digest,
    write_manifest,
)
from dbcustody.repository.stocktaking import document_keys, recognise, take_inventory
from dbcustody.repository.testimony import Trust

if TYPE_CHECKING:
    from dbcustody.repository.inventory import Inventory

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


SECRET = b"the only key of this storage"


class Keyholder:
    """An authority with one key, which may be out of reach."""

    def __init__(self, *, has_key: bool = True) -> None:
        self.has_key = has_key

    def manifest(self, manifest: Manifest, key_ids: tuple[str, ...]) -> Trust:
        """Say whether the manifest's MAC is ours; a data key that is wrapped for nobody is out of reach."""
        return (
            self._judge(manifest.mac, authenticated_text(manifest))
            if key_ids or not manifest.mac
            else Trust.KEY_MISSING
        )

    def fact(self, custody_id: str, fact: Fact) -> Trust:
        """Say whether the fact's MAC is ours."""
        return self._judge(fact.mac, custody_id.encode() + fact_text(fact))

    def _judge(self, mac: str | None, text: bytes) -> Trust:
        if mac is None:
            return Trust.UNSIGNED
        if not self.has_key:
            return Trust.KEY_MISSING
        return Trust.AUTHENTIC if mac == signature(text) else Trust.FORGED


def signature(text: bytes) -> str:
    """Return the MAC that the keyholder would give."""
    return hmac.digest(SECRET, text, "sha256").hex()


class Shelf:
    """A storage in memory, written by honest hands unless a test says otherwise."""

    custody_id = BASIS.custody_id

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}
        self.chain: list[str] = []

    def put(self, key: str, data: bytes = b"", *, size: int | None = None) -> str:
        """Create or replace an object."""
        self.contents[key] = data
        self.sizes[key] = len(data) if size is None else size
        return key

    def remove(self, key: str) -> None:
        """Delete an object."""
        del self.contents[key], self.sizes[key]

    def commit(self, name: str = "shop", *, signed: bool = True, **changes: Any) -> Manifest:
        """Write a whole backup that continues the chain."""
        started = START + timedelta(days=len(self.chain))
        basis: dict[str, Any] = {
            "name": name,
            "backup_id": make_backup_id(name, started),
            "started": started,
            "snapshot": started,
            "generation": len(self.chain) + 1,
            "previous_manifest_sha256": self.chain[-1] if self.chain else None,
            "attempt": str(uuid.UUID(int=len(self.chain) + 1)),
        }
        unsigned = replace(BASIS, **(basis | {"mac": None} | ({} if signed else {"encryption": None}) | changes))
        manifest = replace(unsigned, mac=signature(authenticated_text(unsigned))) if signed else unsigned
        folder = attempt_prefix(self.custody_id, manifest.backup_id, manifest.attempt)
        for item in manifest.objects:
            self.put(folder + item.name, size=item.bytes)
        if signed:
            self.put(folder + data_key_object("k1"), b"{}")
        self.chain.append(manifest_digest(write_manifest(manifest)))
        self.put(manifest_key(self.custody_id, manifest.backup_id), write_manifest(manifest))
        return manifest

    def say(self, manifest: Manifest, kind: FactKind, number: int = 0, *, signed: bool = True, **changes: Any) -> str:
        """Write a fact about a backup and return its key."""
        about = {
            "backup_id": manifest.backup_id,
            "manifest_sha256": manifest_digest(write_manifest(manifest)),
            "time": START,
        }
        more: dict[FactKind, dict[str, Any]] = {
            FactKind.TOMBSTONE: {"because": "daily", "generation": manifest.generation,
                                 "previous_manifest_sha256": manifest.previous_manifest_sha256},
            FactKind.VERIFIED: {"level": "Read"},
            FactKind.HOLD: {"because": "audit", "number": number},
            FactKind.RELEASE: {"because": "over", "number": number},
        }  # fmt: skip
        kinds: dict[FactKind, Any] = {
            FactKind.TOMBSTONE: Tombstone,
            FactKind.VERIFIED: Verified,
            FactKind.HOLD: Hold,
            FactKind.RELEASE: Release,
        }
        fact: Fact = kinds[kind](**(about | more[kind] | changes))
        if signed and fact.mac is None:
            fact = replace(fact, mac=signature(self.custody_id.encode() + fact_text(fact)))
        return self.put(fact_key(self.custody_id, manifest.backup_id, kind, number), canonical(fact))

    def inventory(self, *, has_key: bool = True, modified: datetime = START, lost: str | None = None) -> Inventory:
        """Take stock of it; the content of the key *lost* cannot be read."""
        rows = (recognise(key, size_bytes=size, modified=modified) for key, size in self.sizes.items())
        found = [row for row in rows if row is not None]
        contents = {key: self.contents[key] for key in document_keys(found) if key != lost}
        return take_inventory(
            found,
            contents,
            storage_id=BASIS.storage_id,
            custody_id=self.custody_id,
            authority=Keyholder(has_key=has_key),
        )


@pytest.fixture
def shelf() -> Shelf:
    """Return an empty storage."""
    return Shelf()


@pytest.fixture(scope="session")
def new_shelf() -> Callable[[], Shelf]:
    """Return a maker of empty storages, for tests that need one for every example."""
    return Shelf
