"""Every single bit of a backup's documents, tried one by one: a sample would miss the few that a lenient reader forgives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dbcustody import decryptor

VECTORS = Path(__file__).parent / "repository" / "vectors"


def opens(options: list[str]) -> bool:
    """Return whether the documents of the backup are taken for authentic."""
    parsed = decryptor.parse_arguments(options)
    try:
        decryptor.data_key_of(decryptor.read_backup(parsed.backup / "manifest.json"), parsed)
    except decryptor.Refusal:
        return False
    return True


def test_wrapped_key_has_no_field_more(tmp_path: Path) -> None:
    """Nothing signs this document but what it opens: a field that nobody wrote shows that somebody else did."""
    (good,) = (VECTORS / "storage").glob("*/backups/*/*/key.k2026.json")
    ids = tuple(json.loads((VECTORS / "key.json").read_text())["wrappedDataKey"]["context"][:-1])
    key = bytes.fromhex((VECTORS / "k2026.key").read_text())
    assert decryptor.unwrap(good, key, ids)
    path = tmp_path / "key.k2026.json"
    path.write_bytes(decryptor.canonical(json.loads(good.read_bytes()) | {"unknown": 1}))
    with pytest.raises(decryptor.Refusal, match="is damaged"):
        decryptor.unwrap(path, key, ids)


@pytest.mark.parametrize("name", ["manifest.json", "*/key.k2026.json"])
def test_every_bit_of_a_document_counts(tmp_path: Path, name: str) -> None:
    """Whichever bit of the manifest or of the wrapped key is another, the backup is refused before an object is read."""
    shutil.copytree(VECTORS / "storage", tmp_path / "storage")
    (folder,) = (tmp_path / "storage").glob("*/backups/*")
    (path,) = folder.glob(name)
    options = ["--backup", str(folder), "--key-file", str(VECTORS / "k2026.key"), "--output", str(tmp_path / "output")]
    good, passed = path.read_bytes(), []
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        passed += [bit] if opens(options) else []
    path.write_bytes(good)
    assert passed == []
    assert opens(options)
