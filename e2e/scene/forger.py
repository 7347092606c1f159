"""Somebody who has the bucket's credentials, our code and every public format, and no key."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dbcustody.repository.canonical import canonical
from dbcustody.repository.fact import Release, Tombstone, Verified
from dbcustody.repository.layout import FactKind, fact_key, manifest_key
from dbcustody.repository.manifest import manifest_digest
from scene.storehouse import Storehouse

if TYPE_CHECKING:
    from dbcustody.repository.fact import Fact


@dataclass(frozen=True)
class Forger:
    """At work in one custody. What is written looks as it should, in canonical form, with a MAC that is random."""

    storehouse: Storehouse

    def writes_a_tombstone(self, name: str) -> str:
        """Have the backup *name* look deleted; returns the key."""
        manifest = self._manifest(name)
        about: dict[str, Any] = {
            "generation": manifest["generation"],
            "previous_manifest_sha256": manifest.get("previousManifestSha256"),
            "because": "retention",
        }
        return self._say(name, FactKind.TOMBSTONE, Tombstone(**self._about(name), **about))

    def writes_a_release(self, name: str) -> str:
        """Lift the first hold of the backup *name*; returns the key."""
        fact = Release(**self._about(name), number=1, because="by hand")
        return self._say(name, FactKind.RELEASE, fact, number=1)

    def writes_a_proof(self, name: str) -> str:
        """Have the backup *name* look verified once more; returns the key."""
        fact = Verified(**self._about(name), level="Read", rows=1)
        return self._say(name, FactKind.VERIFIED, fact, number=2)

    def replays_the_manifest(self, name: str, *, beside: str) -> None:
        """Put the manifest of *name* where that of *beside* lies."""
        self._put(self._manifest_key(beside), self.storehouse.read(self._manifest_key(name)))

    def shortens(self, name: str) -> None:
        """Cut an archive of *name* in half."""
        manifest = self._manifest(name)
        archive = next(item["name"] for item in manifest["objects"] if item["name"].endswith(".pgc"))
        below = f"backups/{self._id(name)}/{manifest['attempt']}/{archive}"
        (key,) = self.storehouse.keys(below)
        data = self.storehouse.read(key)
        self._put(key, data[: len(data) // 2])

    def removes(self, *keys: str) -> None:
        """Delete what was written."""
        for key in keys:
            self.storehouse.client.delete_object(Bucket=self.storehouse.bucket, Key=key)

    def _about(self, name: str) -> dict[str, Any]:
        digest = manifest_digest(self.storehouse.read(self._manifest_key(name)))
        return {
            "backup_id": self._id(name),
            "manifest_sha256": digest,
            "time": datetime.now(UTC).replace(microsecond=0),
            "mac": secrets.token_hex(32),
        }

    def _say(self, name: str, kind: FactKind, fact: Fact, number: int = 0) -> str:
        key = fact_key(self.storehouse.custody_id, self._id(name), kind, number)
        self._put(key, canonical(fact))
        return key

    def _put(self, key: str, data: bytes) -> None:
        self.storehouse.client.put_object(Bucket=self.storehouse.bucket, Key=key, Body=data)

    def _id(self, name: str) -> str:
        found = self.storehouse.backup_id(name)
        assert found is not None, f"{name} claimed no name"
        return found

    def _manifest_key(self, name: str) -> str:
        return manifest_key(self.storehouse.custody_id, self._id(name))

    def _manifest(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.storehouse.read(self._manifest_key(name)))
        return found
