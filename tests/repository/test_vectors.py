"""The published vectors: made from the description alone, and met byte for byte by the writer and by the independent reader."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dbcustody import decryptor
from dbcustody.adapters.envelope import DataKey, Encryptor, Wrapped, decrypt, unwrap_key
from dbcustody.adapters.keyring import parse_key
from dbcustody.repository.binding import FACT_LABEL, MANIFEST_LABEL, OBJECT_LABEL, fact_context, storage_key_context
from dbcustody.repository.canonical import canonical, parse
from dbcustody.repository.catalogue import read_catalogue, write_catalogue
from dbcustody.repository.fact import Custody, Fact, Marker, NameClaim, WrappedKey, fact_text, read_fact
from dbcustody.repository.layout import BackupKey, parse_backup_key, storage_key_key
from dbcustody.repository.manifest import Manifest, authenticated_text, read_manifest, write_manifest
from dbcustody.repository.stocktaking import document_keys, recognise, take_inventory
from dbcustody.repository.testimony import Trust

HERE = Path(__file__).parent
VECTORS = HERE / "vectors"
STORAGE = VECTORS / "storage"
KEYS = json.loads((VECTORS / "key.json").read_text())
MACS = json.loads((VECTORS / "mac.json").read_text())
ENVELOPE = json.loads((VECTORS / "envelope.json").read_text())
CUSTODY = "web.shop"
(MANIFEST_FILE,) = STORAGE.glob("*/backups/*/manifest.json")
OBJECT_KEY = bytes.fromhex(KEYS["derived"][0]["key"])


def files_below(folder: Path) -> dict[str, bytes]:
    """Return every file by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def text_of(length: int) -> bytes:
    """Return the plaintext that the vectors close: bytes that count to 250 again and again."""
    return bytes(number % 251 for number in range(length))


def secret(name: str) -> bytes:
    """Return one of the fixed keys."""
    return bytes.fromhex(KEYS[name])


def vector_keys() -> tuple[DataKey, DataKey]:
    """Return data key and storage key as their wrappings give them."""
    kek = parse_key("k2026", (VECTORS / "k2026.key").read_bytes())
    found = []
    for name in ("wrappedDataKey", "wrappedStorageKey"):
        closed = parse(WrappedKey, canonical(KEYS[name]["document"]), name)
        context = tuple(KEYS[name]["context"])
        found.append(unwrap_key(Wrapped(closed.nonce, closed.wrapped, closed.check), kek, context))
    return found[0], found[1]


def test_vectors_are_made_the_same_again(tmp_path: Path) -> None:
    """The scripts that make them give what is published."""
    for script in ("make_vectors.py", "make_refusals.py"):
        subprocess.run([sys.executable, str(HERE / script), str(tmp_path)], check=True)
    assert files_below(VECTORS) == files_below(tmp_path)


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{case['label']}-{len(case['context'])}") for case in KEYS["derived"]]
)
def test_keys_are_derived_as_published(case: dict[str, Any]) -> None:
    """Both sides derive the same keys, with a library's HKDF and with one written out."""
    source, label, context = secret(case["from"]), case["label"], case["context"]
    assert case["key"] == DataKey(source).derive(label, *context).hex()
    assert case["key"] == decryptor.derive(source, label, context).hex()


def test_keys_are_wrapped_as_published(tmp_path: Path) -> None:
    """Both sides open the wrapped keys."""
    assert vector_keys() == (DataKey(secret("dataKey")), DataKey(secret("storageKey")))
    (tmp_path / "key.json").write_bytes(canonical(KEYS["wrappedDataKey"]["document"]))
    ids = tuple(KEYS["wrappedDataKey"]["context"][:-1])
    assert secret("dataKey") == decryptor.unwrap(tmp_path / "key.json", secret("keyEncryptionKey"), ids)


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in ENVELOPE["cases"]])
def test_objects_are_closed_and_opened_as_published(case: dict[str, Any]) -> None:
    """The writer gives the published bytes, and both readers give the plaintext back."""
    plaintext = text_of(case["plaintextBytes"])
    encryptor = Encryptor(OBJECT_KEY, chunk_exponent=case["chunkExponent"], prefix=bytes.fromhex(ENVELOPE["prefix"]))
    stored = b"".join([encryptor.header, *encryptor.update(plaintext), encryptor.finish()])
    assert (case["sha256"], case["chunks"]) == (hashlib.sha256(stored).hexdigest(), encryptor.chunk_count)
    assert case.get("stored", stored.hex()) == stored.hex()
    assert plaintext == b"".join(decrypt([stored], OBJECT_KEY, "x"))
    checked = decryptor.Checked(io.BytesIO(stored))
    assert plaintext == b"".join(decryptor.plaintext(checked, OBJECT_KEY, "x"))
    assert (case["sha256"], case["chunks"], len(stored)) == (checked.digest.hexdigest(), checked.chunks, checked.size)


def test_manifest_is_written_and_signed_as_published() -> None:
    """The manifest's bytes and its MAC are those of the description."""
    data_key, _ = vector_keys()
    data = MANIFEST_FILE.read_bytes()
    manifest = read_manifest(data, "m")
    assert data == write_manifest(manifest)
    assert manifest.mac == data_key.mac(MANIFEST_LABEL, manifest.place.context, authenticated_text(manifest)).hex()


def test_catalogue_is_written_as_published() -> None:
    """The catalogue's plaintext is in its one form, whatever fields are left out."""
    data_key, _ = vector_keys()
    manifest = read_manifest(MANIFEST_FILE.read_bytes(), "m")
    stored = (MANIFEST_FILE.parent / manifest.attempt / "catalogue.json").read_bytes()
    key = data_key.derive(OBJECT_LABEL, *manifest.place.object_context("catalogue.json"))
    data = b"".join(decrypt([stored], key, "catalogue"))
    assert data == write_catalogue(read_catalogue(data, "catalogue"))
    assert read_catalogue(data, "catalogue").database.comment == "café"


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        pytest.param(Marker, "dbcustody.json", id="marker"),
        pytest.param(WrappedKey, storage_key_key("k2026"), id="storage key"),
        pytest.param(Custody, f"{CUSTODY}/custody.json", id="custody"),
        pytest.param(NameClaim, f"{CUSTODY}/names/shop-nightly.json", id="claim of a name"),
    ],
)
def test_minted_objects_are_written_as_published(kind: type[Any], key: str) -> None:
    """What is minted once is read and written in its one form."""
    data = (STORAGE / key).read_bytes()
    assert data == canonical(parse(kind, data, key))


@pytest.mark.parametrize("case", [pytest.param(case, id=case["text"][:8].partition("\0")[0]) for case in MACS])
def test_documents_are_signed_as_published(case: dict[str, Any]) -> None:
    """What is signed is the published text, byte for byte, and both sides come to the published signature."""
    data, key = case["document"].encode(), decryptor.derive(secret(case["from"]), case["label"], case["context"])
    kind = case["text"].partition("\0")[0]
    if case["label"] == MANIFEST_LABEL:
        manifest = read_manifest(data, "m")
        text, mac = authenticated_text(manifest), manifest.mac
    else:
        fact = read_fact(data, place_of(kind))
        text, mac = fact_text(fact), fact.mac
    assert text == case["text"].encode()
    assert mac == hmac.digest(key, text, "sha256").hex()
    assert DataKey(secret(case["from"])).proves(case["label"], tuple(case["context"]), text, mac_hex=mac)


def place_of(kind: str) -> BackupKey:
    """Return the key under which a fact of *kind* lies."""
    name = "tombstone.json" if kind == "Tombstone" else f"{kind.lower()}.1.json"
    return BackupKey(custody_id=CUSTODY, backup_id=MANIFEST_FILE.parent.name, attempt=None, object_name=name)


class Keyholder:
    """The authority that has the vectors' keys."""

    def __init__(self, storage_id: str) -> None:
        self.storage_id = storage_id
        self.data_key, self.storage_key = vector_keys()

    def manifest(self, manifest: Manifest, key_ids: tuple[str, ...]) -> Trust:
        """Judge by the data key."""
        text, context = authenticated_text(manifest), manifest.place.context
        is_ours = self.data_key.proves(MANIFEST_LABEL, context, text, mac_hex=manifest.mac)
        return Trust.AUTHENTIC if is_ours and key_ids == ("k2026",) else Trust.FORGED

    def fact(self, custody_id: str, fact: Fact) -> Trust:
        """Judge by the storage key."""
        context = fact_context(self.storage_id, custody_id, fact.backup_id)
        is_ours = self.storage_key.proves(FACT_LABEL, context, fact_text(fact), mac_hex=fact.mac)
        return Trust.AUTHENTIC if is_ours else Trust.FORGED


def test_whole_storage_is_believed() -> None:
    """The published storage has one good, verified backup, a hold that was released, and no doubt."""
    files = files_below(STORAGE)
    moment = datetime(2026, 3, 2, tzinfo=UTC)
    rows = (recognise(key, size_bytes=len(data), modified=moment) for key, data in files.items())
    found = [row for row in rows if row is not None]
    storage_id = parse(Marker, files["dbcustody.json"], "marker").storage_id
    inventory = take_inventory(
        found,
        {key: files[key] for key in document_keys(found)},
        storage_id=storage_id,
        custody_id=CUSTODY,
        authority=Keyholder(storage_id),
    )
    (backup,) = inventory.backups
    assert (inventory.doubts, inventory.breaks) == ((), ())
    assert (backup.is_good, backup.is_verified, backup.is_held) == (True, True, False)
    assert (storage_id, "k2026") == storage_key_context(storage_id, "k2026")


def test_every_object_of_the_published_storage_is_known() -> None:
    """Each key is one of the grammar's, below the backups or beside them."""
    beside = {
        "dbcustody.json",
        "storage-key.k2026.json",
        f"{CUSTODY}/custody.json",
        f"{CUSTODY}/names/shop-nightly.json",
    }
    assert {key for key in files_below(STORAGE) if parse_backup_key(key) is None} == beside
