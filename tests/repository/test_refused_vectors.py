"""The published vectors that every reader must refuse: the engine and the reader by hand do, and take what is one step away from them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody import decryptor
from dbcustody.adapters.envelope import DataKey, Wrapped, decrypt, unwrap_key
from dbcustody.errors import DamagedError, RefusedError
from dbcustody.repository.binding import FACT_LABEL, MANIFEST_LABEL, OBJECT_LABEL, fact_context
from dbcustody.repository.fact import fact_text, parse_wrapped_key, read_fact
from dbcustody.repository.layout import BackupKey
from dbcustody.repository.manifest import authenticated_text, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = Path(__file__).parent / "vectors"
KEYS = json.loads((VECTORS / "key.json").read_text())
REFUSED = json.loads((VECTORS / "refused.json").read_text())
SOUND_OBJECT = next(
    case for case in json.loads((VECTORS / "envelope.json").read_text())["cases"] if case["name"] == "several"
)
(MANIFEST_FILE,) = (VECTORS / "storage").glob("*/backups/*/manifest.json")
IDS = tuple(KEYS["derived"][1]["context"])
DATA_KEY, STORAGE_KEY = (DataKey(bytes.fromhex(KEYS[name])) for name in ("dataKey", "storageKey"))
ENGINE = (DamagedError, RefusedError)


def cases(group: str) -> list[Any]:
    """Return the published cases of *group*, each under its name."""
    return [pytest.param(case, id=case["name"]) for case in REFUSED[group]]


def open_object(case: dict[str, Any]) -> bytes:
    """Open an object with the engine."""
    key = DATA_KEY.derive(OBJECT_LABEL, *case["context"])
    return b"".join(decrypt([bytes.fromhex(case["stored"])], key, "x"))


def open_object_by_hand(case: dict[str, Any]) -> bytes:
    """Open an object with the decryptor."""
    key = decryptor.derive(DATA_KEY.secret, "object", case["context"])
    return b"".join(decryptor.plaintext(decryptor.Checked(io.BytesIO(bytes.fromhex(case["stored"]))), key, "x"))


def unwrap(case: dict[str, Any]) -> bytes:
    """Open a wrapped key with the engine, as a Job does: the key id is that of the place."""
    closed = parse_wrapped_key(case["document"].encode(), "key")
    if closed.key_id != case["context"][-1]:
        raise DamagedError("key: is of another key id")
    wrapped = Wrapped(closed.nonce, closed.wrapped, closed.check)
    return unwrap_key(wrapped, bytes.fromhex(case["key"]), tuple(case["context"])).secret


def believe_manifest(data: bytes) -> bool:
    """Return whether the engine reads a manifest and holds it for signed."""
    manifest = read_manifest(data, "m")
    return DATA_KEY.proves(MANIFEST_LABEL, manifest.place.context, authenticated_text(manifest), mac_hex=manifest.mac)


def believe_manifest_by_hand(path: Path) -> None:
    """Read a manifest with the decryptor and hold it against its signature."""
    backup = decryptor.read_backup(path)
    assert backup.is_encrypted
    decryptor.authenticate(backup, DATA_KEY.secret)


def believe_fact(name: str, data: bytes) -> bool:
    """Return whether the engine reads a fact and holds it for signed."""
    key = BackupKey(custody_id=IDS[1], backup_id=IDS[2], attempt=None, object_name=name)
    fact = read_fact(data, key)
    return STORAGE_KEY.proves(FACT_LABEL, fact_context(*IDS[:3]), fact_text(fact), mac_hex=fact.mac)


@pytest.mark.parametrize("case", cases("objects"))
def test_objects_are_refused(case: dict[str, Any]) -> None:
    """Nobody opens what was cut, shuffled, moved, changed, or closed against the rules."""
    with pytest.raises(DamagedError):
        open_object(case)
    with pytest.raises(decryptor.Refusal):
        open_object_by_hand(case)


@pytest.mark.parametrize("case", cases("wrappedKeys"))
def test_wrapped_keys_are_refused(case: dict[str, Any], tmp_path: Path) -> None:
    """Nobody opens a wrapped key that was changed, moved, or closed with another key."""
    with pytest.raises(ENGINE):
        unwrap(case)
    (tmp_path / "key.json").write_bytes(case["document"].encode())
    with pytest.raises(decryptor.Refusal):
        decryptor.unwrap(tmp_path / "key.json", bytes.fromhex(case["key"]), tuple(case["context"][:-1]))


@pytest.mark.parametrize("case", cases("manifests"))
def test_manifests_are_refused(case: dict[str, Any], tmp_path: Path) -> None:
    """Nobody believes a manifest that was changed, spelled otherwise, or says what no manifest can say."""
    assert not refusing(lambda: believe_manifest(case["document"].encode()))
    (tmp_path / "manifest.json").write_bytes(case["document"].encode())
    with pytest.raises(decryptor.Refusal):
        believe_manifest_by_hand(tmp_path / "manifest.json")


@pytest.mark.parametrize("case", cases("facts"))
def test_facts_are_refused(case: dict[str, Any]) -> None:
    """Nobody believes a fact that was changed or moved; the reader by hand reads none."""
    assert not refusing(lambda: believe_fact(case["objectName"], case["document"].encode()))


def refusing(believe: Callable[[], bool]) -> bool:
    """Return what *believe* says; False when it refuses to read at all."""
    try:
        return believe()
    except ENGINE:
        return False


def test_what_is_one_step_away_is_taken(tmp_path: Path) -> None:
    """By the same ways all sound ones pass, so none of the refusals above is for another reason than the published one."""
    sound = {"context": [*IDS, "data-001.pgc"], "stored": SOUND_OBJECT["stored"]}
    assert open_object(sound) == open_object_by_hand(sound) == bytes(range(100))
    wrapped = KEYS["wrappedDataKey"]
    text = decryptor.canonical(wrapped["document"]).decode()
    case = {"document": text, "key": KEYS["keyEncryptionKey"], "context": wrapped["context"]}
    assert unwrap(case) == DATA_KEY.secret
    (tmp_path / "key.json").write_text(text)
    assert decryptor.unwrap(tmp_path / "key.json", bytes.fromhex(case["key"]), IDS) == DATA_KEY.secret
    assert believe_manifest(MANIFEST_FILE.read_bytes())
    believe_manifest_by_hand(MANIFEST_FILE)
    for name in ("hold.1.json", "release.1.json", "verified.1.json"):
        assert believe_fact(name, (MANIFEST_FILE.parent / name).read_bytes())


def test_every_case_says_why() -> None:
    """Whoever writes another reader learns what is wrong with each; no two are the same."""
    for group, most in (("objects", 25), ("wrappedKeys", 15), ("manifests", 20), ("facts", 10)):
        found = REFUSED[group]
        assert len(found) >= most
        assert len({case["name"] for case in found}) == len(found)
        assert all(case["why"] for case in found)
