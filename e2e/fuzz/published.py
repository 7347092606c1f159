"""The sound documents that fuzzing begins with: the published vectors, and what they have none of, closed and signed with their keys."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from dbcustody.adapters.envelope import DataKey, Encryptor
from dbcustody.repository.binding import FACT_LABEL, MANIFEST_LABEL, Place, fact_context
from dbcustody.repository.canonical import canonical
from dbcustody.repository.fact import Fact, Hold, Release, Tombstone, Verified, fact_text, sealed
from dbcustody.repository.manifest import authenticated_text, manifest_digest, read_manifest, write_manifest
from ground.cache import REPOSITORY

VECTORS: Final = REPOSITORY / "tests" / "repository" / "vectors"
STORAGE: Final = VECTORS / "storage"
FILES: Final = {
    str(path.relative_to(STORAGE)): path.read_bytes() for path in sorted(STORAGE.rglob("*")) if path.is_file()
}
KEYS: Final[dict[str, Any]] = json.loads((VECTORS / "key.json").read_text())
KEY_ENCRYPTION_KEY: Final = bytes.fromhex(KEYS["keyEncryptionKey"])
DATA_KEY: Final = DataKey(bytes.fromhex(KEYS["dataKey"]))
STORAGE_KEY: Final = DataKey(bytes.fromhex(KEYS["storageKey"]))
OBJECT_KEY: Final = bytes.fromhex(KEYS["derived"][0]["key"])
MOMENT: Final = datetime(2026, 3, 2, tzinfo=UTC)
KEY_ID: Final = "k2026"


def only(suffix: str) -> bytes:
    """Return the one published file whose key ends in *suffix*."""
    (found,) = (data for key, data in FILES.items() if key.endswith(suffix))
    return found


MANIFEST: Final = read_manifest(only("/manifest.json"), "manifest.json")
PLACE: Final[Place] = MANIFEST.place


def signed_manifest(**changes: Any) -> bytes:
    """Return the published manifest with *changes*, signed again."""
    manifest = replace(MANIFEST, **changes)
    mac = DATA_KEY.mac(MANIFEST_LABEL, manifest.place.context, authenticated_text(manifest)).hex()
    return write_manifest(replace(manifest, mac=mac))


def signed_fact(fact: Fact) -> bytes:
    """Return the stored form of *fact*, signed."""
    context = fact_context(PLACE.storage_id, PLACE.custody_id, fact.backup_id)
    return canonical(sealed(fact, STORAGE_KEY.mac(FACT_LABEL, context, fact_text(fact))))


def unsigned_manifest() -> bytes:
    """Return the manifest of a backup that is not encrypted: anybody may have written it."""
    objects = tuple(replace(item, bytes=item.plaintext_bytes, chunks=0) for item in MANIFEST.objects)
    return write_manifest(replace(MANIFEST, objects=objects, encryption=None, mac=None))


def facts() -> dict[str, bytes]:
    """Return one signed fact of every kind, by object name."""
    about: dict[str, Any] = {
        "backup_id": PLACE.backup_id,
        "manifest_sha256": manifest_digest(only("/manifest.json")),
        "time": MOMENT,
    }
    return {
        "tombstone.json": signed_fact(Tombstone(**about, generation=1, because="daily", previous_manifest_sha256="0" * 64)),
        "verified.1.json": signed_fact(Verified(**about, level="Read", rows=3)),
        "hold.1.json": signed_fact(Hold(**about, number=1, because="audit")),
        "release.1.json": signed_fact(Release(**about, number=1, because="over")),
    }  # fmt: skip


def manifests() -> tuple[bytes, ...]:
    """Return signed manifests: as published, with little in it, and as a later link of the chain."""
    return (
        only("/manifest.json"),
        signed_manifest(objects=MANIFEST.objects[:1], policy=None, row_count=None, ledger_watermark=0),
        signed_manifest(generation=7, previous_manifest_sha256="ab" * 32, objects=MANIFEST.objects[1:]),
    )


def closed(plaintext: bytes, *, exponent: int, prefix: bytes) -> bytes:
    """Return *plaintext* as a stored object."""
    encryptor = Encryptor(OBJECT_KEY, chunk_exponent=exponent, prefix=prefix)
    return b"".join([encryptor.header, *encryptor.update(plaintext), encryptor.finish()])


def envelopes() -> dict[bytes, bytes]:
    """Return plaintext by stored object: every chunk border with chunks of 1, 16 and 32 bytes, each with nonces of its own."""
    sizes = {0: (0, 1, 2, 5), 4: (0, 1, 15, 16, 17, 32, 100), 5: (31, 32, 33, 64, 70)}
    plain = [
        (exponent, bytes(number % 251 for number in range(size))) for exponent in sizes for size in sizes[exponent]
    ]
    return {
        closed(text, exponent=exponent, prefix=bytes([number] * 7)): text
        for number, (exponent, text) in enumerate(plain)
    }


def only_key_file() -> bytes:
    """Return the published key as a file of a keyring."""
    return (VECTORS / f"{KEY_ID}.key").read_bytes()
