"""Makes the published test vectors of format 1: `python make_vectors.py FOLDER`.

It is written from docs/repository-format.md alone, with fixed keys and nonces, and shares no code with the two implementations that are
held against what it makes. Running it again gives the same bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

STORAGE_ID = "6f0d3c5e-8a64-4f0b-9a51-0c6b7a1e2d3f"
CUSTODY_ID = "web.shop"
BACKUP_ID = "20260131T020000Z-shop-nightly-5e1d0c2a"
ATTEMPT = "0b9c3f52-6c0e-4a55-8f3a-2f4d5e6a7b8c"
KEY_ID = "k2026"
IDS = [STORAGE_ID, CUSTODY_ID, BACKUP_ID, ATTEMPT]
KEY_ENCRYPTION_KEY = hashlib.sha256(b"vector: key-encryption key").digest()
DATA_KEY = hashlib.sha256(b"vector: data key").digest()
STORAGE_KEY = hashlib.sha256(b"vector: storage key").digest()
PREFIX = bytes.fromhex("01020304050607")
EXPONENT = 4
LENGTHS = {"empty": 0, "one-byte": 1, "short": 15, "one-chunk": 16, "over": 17, "two-chunks": 32, "several": 100}
LARGE_BYTES = 2 * 2**20 + 12345


def text_of(length: int) -> bytes:
    """Return *length* bytes that repeat after 251, which is no divisor of any chunk."""
    return bytes(number % 251 for number in range(length))


def prefixed(parts: list[str]) -> bytes:
    """Return every part behind its length in four bytes."""
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)


def derive(secret: bytes, label: str, context: list[str]) -> bytes:
    """Return HKDF-SHA-256 of RFC 5869, no salt, one block."""
    extracted = hmac.new(b"\x00" * 32, secret, hashlib.sha256).digest()
    return hmac.new(extracted, prefixed(["dbcustody", label, *context]) + b"\x01", hashlib.sha256).digest()


def seal(key: bytes, exponent: int, plaintext: bytes) -> tuple[bytes, int]:
    """Return the stored bytes and how many chunks they have."""
    header = b"DBC1" + bytes([1, exponent]) + PREFIX + bytes(51)
    size = 2**exponent
    chunks = [plaintext[start : start + size] for start in range(0, len(plaintext), size)] or [b""]
    stored = header
    for counter, chunk in enumerate(chunks):
        flag = b"\x01" if counter == len(chunks) - 1 else b"\x00"
        stored += AESGCM(key).encrypt(PREFIX + counter.to_bytes(4, "big") + flag, chunk, header)
    return stored, len(chunks)


def wrap(secret: bytes, nonce_text: bytes, context: list[str]) -> dict[str, object]:
    """Return a wrapped key's document."""
    nonce = hashlib.sha256(nonce_text).digest()[:12]
    return {
        "format": 1,
        "keyId": KEY_ID,
        "nonce": nonce.hex(),
        "wrapped": AESGCM(KEY_ENCRYPTION_KEY).encrypt(nonce, secret, prefixed(context)).hex(),
        "check": derive(KEY_ENCRYPTION_KEY, "key-check", context)[:8].hex(),
    }


def canonical(document: object) -> bytes:
    """Return the form that is signed and stored."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def sign(document: dict[str, object], key: bytes, prefix: bytes = b"") -> dict[str, object]:
    """Return *document* with its MAC."""
    return document | {"mac": hmac.new(key, prefix + canonical(document), hashlib.sha256).hexdigest()}


def envelope_cases() -> list[dict[str, object]]:
    """Return one case for each border of a chunk, and one with chunks of the default size."""
    cases: list[dict[str, object]] = []
    key = derive(DATA_KEY, "object", [*IDS, "data-001.pgc"])
    for name, length in LENGTHS.items():
        stored, chunks = seal(key, EXPONENT, text_of(length))
        cases.append({"name": name, "chunkExponent": EXPONENT, "plaintextBytes": length, "chunks": chunks,
                      "sha256": hashlib.sha256(stored).hexdigest(), "stored": stored.hex()})  # fmt: skip
    stored, chunks = seal(key, 20, text_of(LARGE_BYTES))
    cases.append({"name": "default-chunks", "chunkExponent": 20, "plaintextBytes": LARGE_BYTES, "chunks": chunks,
                  "sha256": hashlib.sha256(stored).hexdigest()})  # fmt: skip
    return cases


def key_cases() -> dict[str, object]:
    """Return what keys are derived, and how they are wrapped."""
    object_context = [*IDS, "data-001.pgc"]
    fact_context = [STORAGE_ID, CUSTODY_ID, BACKUP_ID]
    data_key_context, storage_context = [*IDS, KEY_ID], [STORAGE_ID, KEY_ID]
    return {
        "keyEncryptionKey": KEY_ENCRYPTION_KEY.hex(),
        "dataKey": DATA_KEY.hex(),
        "storageKey": STORAGE_KEY.hex(),
        "prefix": PREFIX.hex(),
        "derived": [
            {"from": "dataKey", "label": label, "context": context, "key": derive(DATA_KEY, label, context).hex()}
            for label, context in (("object", object_context), ("manifest-mac", IDS), ("object", ["a", "bc"]), ("object", ["ab", "c"]))
        ]
        + [{"from": "storageKey", "label": "fact-mac", "context": fact_context,
            "key": derive(STORAGE_KEY, "fact-mac", fact_context).hex()}],
        "wrappedDataKey": {"context": data_key_context, "document": wrap(DATA_KEY, b"data", data_key_context)},
        "wrappedStorageKey": {"context": storage_context, "document": wrap(STORAGE_KEY, b"storage", storage_context)},
    }  # fmt: skip


def catalogue() -> bytes:
    """Return the plaintext of a catalogue with every kind of entry."""
    return canonical({
        "format": 1,
        "database": {"name": "shop", "owner": "shop_owner", "encoding": "UTF8", "collation": "en_US.UTF-8", "ctype": "en_US.UTF-8",
                     "localeProvider": "libc", "collationVersion": "2.36", "connectionLimit": -1, "acl": ["=Tc/shop_owner"],
                     "comment": "caf\u00e9",
                     "settings": [{"settings": ["work_mem=8MB"]}, {"role": "web", "settings": ["lock_timeout=5s"]}]},
        "roles": [{"name": "shop_owner", "attributes": ["LOGIN"], "connectionLimit": -1},
                  {"name": "web", "attributes": ["LOGIN"], "memberOf": ["shop_owner"], "connectionLimit": 20}],
        "tables": [{"schema": "public", "name": "Order lines", "rows": 3}, {"schema": "public", "name": "big"}],
        "sequences": [{"schema": "public", "name": "s", "lastValue": 7, "isCalled": True}],
        "extensions": [{"name": "plpgsql", "version": "1.0", "schema": "pg_catalog"}],
        "largeObjects": 2,
        "notCaptured": ["passwords of 2 roles"],
    })  # fmt: skip


def backup_objects() -> dict[str, bytes]:
    """Return the plaintext of every object of the example backup."""
    return {
        "schema.pgc": text_of(70),
        "data-000.pgc": b"",
        "data-001.pgc": text_of(33),
        "data-001.pgc.001": text_of(16),
        "catalogue.json": catalogue(),
    }


def backup_files() -> dict[str, bytes]:
    """Return a storage with one signed backup, by key."""
    folder = f"{CUSTODY_ID}/backups/{BACKUP_ID}"
    files: dict[str, bytes] = {}
    objects: list[dict[str, object]] = []
    for name, plaintext in sorted(backup_objects().items()):
        stored, chunks = seal(derive(DATA_KEY, "object", [*IDS, name]), EXPONENT, plaintext)
        files[f"{folder}/{ATTEMPT}/{name}"] = stored
        objects.append({"name": name, "bytes": len(stored), "plaintextBytes": len(plaintext), "chunks": chunks,
                        "sha256": hashlib.sha256(stored).hexdigest()})  # fmt: skip
    manifest = canonical(sign(manifest_of(objects), derive(DATA_KEY, "manifest-mac", IDS)))
    files[f"{folder}/manifest.json"] = manifest
    files |= {f"{folder}/{name}": data for name, data in facts_about(manifest).items()}
    files[f"{folder}/{ATTEMPT}/key.{KEY_ID}.json"] = canonical(wrap(DATA_KEY, b"data", [*IDS, KEY_ID]))
    return files | storage_files()


def storage_files() -> dict[str, bytes]:
    """Return what is minted once."""
    minted = "2026-01-01T00:00:00Z"
    documents = {
        "dbcustody.json": {"format": 1, "storageId": STORAGE_ID, "created": minted},
        f"storage-key.{KEY_ID}.json": wrap(STORAGE_KEY, b"storage", [STORAGE_ID, KEY_ID]),
        f"{CUSTODY_ID}/custody.json": {"format": 1, "uuid": "2f1c9f0e-1111-4222-8333-444455556666", "owner": "web/shop",
                                       "created": minted},
        f"{CUSTODY_ID}/names/shop-nightly.json": {"format": 1, "name": "shop-nightly", "backupId": BACKUP_ID,
                                                  "claimed": "2026-01-31T02:00:00Z"},
    }  # fmt: skip
    return {key: canonical(document) for key, document in documents.items()}


def manifest_of(objects: list[dict[str, object]]) -> dict[str, object]:
    """Return the manifest without its MAC."""
    return {
        "format": 1, "storageId": STORAGE_ID, "custodyId": CUSTODY_ID, "backupId": BACKUP_ID, "attempt": ATTEMPT,
        "name": "shop-nightly", "policy": "nightly", "origin": "Scheduled", "scope": "Full",
        "server": {"version": "17.5", "majorVersion": 17, "systemIdentifier": "7434567890123456789", "timeline": 1,
                   "lsnBefore": "0/1A2B3C4", "lsnAfter": "0/1A2B4D8", "inRecovery": False},
        "tool": {"name": "dbcustody", "version": "0.1.0"}, "client": {"name": "pg_dump", "version": "17.5"},
        "started": "2026-01-31T02:00:00Z", "snapshot": "2026-01-31T02:00:02Z", "finished": "2026-01-31T02:03:00Z",
        "compression": "zstd:1", "objects": objects, "encryption": "AES-256-GCM-STREAM", "tableCount": 2, "rowCount": 3,
        "ledgerWatermark": 4, "generation": 1,
    }  # fmt: skip


def facts_about(manifest: bytes) -> dict[str, bytes]:
    """Return every kind of fact about the backup but a tombstone."""
    key = derive(STORAGE_KEY, "fact-mac", [STORAGE_ID, CUSTODY_ID, BACKUP_ID])
    about: dict[str, object] = {
        "format": 1,
        "backupId": BACKUP_ID,
        "manifestSha256": hashlib.sha256(manifest).hexdigest(),
    }
    verified = about | {"level": "Read", "rows": 3, "time": "2026-01-31T02:04:00Z"}
    hold = about | {"number": 1, "because": "audit", "time": "2026-02-01T00:00:00Z"}
    release = about | {"number": 1, "because": "audit is over", "time": "2026-03-01T00:00:00Z"}
    return {
        "verified.1.json": canonical(sign(verified, key, b"Verified\x00")),
        "hold.1.json": canonical(sign(hold, key, b"Hold\x00")),
        "release.1.json": canonical(sign(release, key, b"Release\x00")),
    }


def tombstone(manifest: bytes) -> dict[str, object]:
    """Return what would stand for the example backup once it is deleted."""
    return {
        "format": 1, "backupId": BACKUP_ID, "manifestSha256": hashlib.sha256(manifest).hexdigest(), "generation": 1, "because": "daily",
        "time": "2026-04-01T00:00:00Z",
    }  # fmt: skip


def mac_cases(files: dict[str, bytes]) -> list[dict[str, object]]:
    """Return what is signed with which key, byte for byte: the manifest, and every kind of fact."""
    folder = f"{CUSTODY_ID}/backups/{BACKUP_ID}"
    manifest = files[f"{folder}/manifest.json"]
    facts = {
        name.partition(".")[0].capitalize(): json.loads(files[f"{folder}/{name}"]) for name in facts_about(manifest)
    }
    cases = [("manifest-mac", "dataKey", IDS, "", json.loads(manifest))]
    cases += [
        ("fact-mac", "storageKey", IDS[:3], f"{kind}\x00", document)
        for kind, document in (facts | {"Tombstone": tombstone(manifest)}).items()
    ]
    secrets = {"dataKey": DATA_KEY, "storageKey": STORAGE_KEY}
    return [
        {"label": label, "from": source, "context": context, "text": text, "document": canonical(signed).decode()}
        for label, source, context, prefix, document in cases
        for unsigned in [{name: value for name, value in document.items() if name != "mac"}]
        for signed in [sign(unsigned, derive(secrets[source], label, context), prefix.encode())]
        for text in [prefix + canonical(unsigned).decode()]
    ]


def main(folder: Path) -> None:
    """Write everything below *folder*."""
    pretty: dict[str, object] = {
        "envelope.json": {"prefix": PREFIX.hex(), "cases": envelope_cases()},
        "key.json": key_cases(),
        "mac.json": mac_cases(backup_files()),
    }
    for name, document in pretty.items():
        (folder / name).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    (folder / f"{KEY_ID}.key").write_text(KEY_ENCRYPTION_KEY.hex() + "\n")
    for key, data in backup_files().items():
        path = folder / "storage" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
