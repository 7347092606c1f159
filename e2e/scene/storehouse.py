"""What really lies in a bucket, read without any code of the product: the judge of every claim that status makes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ground.s3 import S3Server

Json = dict[str, Any]


@dataclass(frozen=True)
class Storehouse:
    """One custody in a bucket."""

    store: S3Server
    bucket: str
    custody_id: str

    @cached_property
    def client(self) -> Any:
        """The one connection; making another for each look would take longer than the look."""
        return self.store.client()

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    def keys(self, below: str = "") -> list[str]:
        """Return the keys of the custody."""
        prefix = f"{self.custody_id}/{below}"
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        body: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def manifests(self) -> dict[str, Json]:
        """Return the manifest of each backup id that was committed and not deleted since."""
        keys = self.keys("backups/")
        gone = {_id(key) for key in keys if key.endswith("/tombstone.json")}
        there = [key for key in keys if key.endswith("/manifest.json") and _id(key) not in gone]
        return {_id(key): found for key in there if (found := self._read_manifest(key)) is not None}

    def _read_manifest(self, key: str) -> Json | None:
        """Return a manifest that was listed; None when it was deleted, with a tombstone, since."""
        try:
            return dict(json.loads(self.read(key)))
        except self.client.exceptions.NoSuchKey:
            if key.replace("/manifest.json", "/tombstone.json") not in self.keys("backups/"):
                raise
            return None

    def verified(self) -> set[str]:
        """Return the backup ids with a proof beside their manifest."""
        return {_id(key) for key in self.keys("backups/") if "/verified." in key}

    def levels(self, name: str) -> set[str]:
        """Return the levels that the proofs beside the manifest of the Backup *name* tell of."""
        below = f"/backups/{self.backup_id(name)}/verified."
        return {json.loads(self.read(key))["level"] for key in self.keys("backups/") if below in key}

    def backup_id(self, name: str) -> str | None:
        """Return the backup id that the Backup *name* claimed; None when it did not get that far."""
        key = f"{self.custody_id}/names/{name}.json"
        if key not in self.keys("names/"):
            return None
        claim = json.loads(self.read(key))
        return str(claim.get("backupId"))

    def has(self, name: str) -> bool:
        """Return whether the Backup *name* was committed."""
        found = self.backup_id(name)
        return found is not None and found in self.manifests()

    def attempts(self, backup_id: str) -> set[str]:
        """Return the attempts of a backup id of which anything lies there."""
        below = f"backups/{backup_id}/"
        rests = (key.removeprefix(f"{self.custody_id}/{below}") for key in self.keys(below))
        return {rest.partition("/")[0] for rest in rests if "/" in rest}

    def uploads(self) -> int:
        """Return how many multipart uploads were begun and neither completed nor aborted."""
        return len(self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads") or ())

    def check_whole(self, backup_id: str) -> None:
        """Fail unless every object that the manifest names lies there with the digest that it names."""
        self._check(backup_id, self.manifests()[backup_id])

    def _check(self, backup_id: str, manifest: Json) -> None:
        for item in manifest["objects"]:
            key = f"{self.custody_id}/backups/{backup_id}/{manifest['attempt']}/{item['name']}"
            found = hashlib.sha256(self.read(key)).hexdigest()
            assert found == item["sha256"], f"{key}: has {found}, the manifest says {item['sha256']}"

    def check_all_whole(self) -> set[str]:
        """Fail unless every committed backup is whole; returns their ids."""
        found = self.manifests()
        for backup_id, manifest in found.items():
            self._check(backup_id, manifest)
        return set(found)


def _id(key: str) -> str:
    return key.partition("/backups/")[2].partition("/")[0]
