"""Reading an object back: what comes out is what was put in, or DamagedError; and memory does not grow with the size."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.adapters.envelope import DataKey
from dbcustody.adapters.objectstore import VolumeStore
from dbcustody.errors import DamagedError, RefusedError
from dbcustody.jobs.reading import read_catalogue_of, read_object
from dbcustody.reason import Reason
from dbcustody.repository.catalogue import Catalogue, DatabaseFacts, TableFacts
from tests.fakes.shop import Shop, store_backup

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.fakes.shop import Backup

FACTS = DatabaseFacts(name="shop", owner="o", encoding="UTF8", collation="C", ctype="C", locale_provider="libc")
CATALOGUE = Catalogue(database=FACTS, tables=(TableFacts(schema="public", name="Ü", rows=3),), large_objects=2)
ENCRYPTED = pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "clear"])
NAME = "data-000.pgc"


def make_backup(folder: Path, plaintext: bytes = b"x" * 100_000, *, encrypted: bool = True) -> Backup:
    """Return a backup with one data object."""
    return store_backup(VolumeStore(folder), Shop({NAME: plaintext}, CATALOGUE), encrypted=encrypted)


def read(backup: Backup, name: str = NAME) -> bytes:
    """Return the whole object."""
    return b"".join(read_object(backup.storage, backup.manifest, backup.data_key, name))


@given(plaintext=st.binary(max_size=200_000), encrypted=st.booleans())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, plaintext: bytes, *, encrypted: bool) -> None:
    """Any content comes back as it was, whatever its size is to the chunks."""
    backup = make_backup(tmp_path_factory.mktemp("volume"), plaintext or b"\0", encrypted=encrypted)
    assert read(backup) == (plaintext or b"\0")


@ENCRYPTED
def test_catalogue_comes_back(tmp_path: Path, *, encrypted: bool) -> None:
    """The catalogue is read like every other object."""
    backup = make_backup(tmp_path, encrypted=encrypted)
    assert read_catalogue_of(backup.storage, backup.manifest, backup.data_key) == CATALOGUE


@ENCRYPTED
@pytest.mark.parametrize(
    "change", [{"bytes": 1}, {"bytes": -1}, {"plaintext_bytes": 1}, {"chunks": 1}, {"sha256": "0" * 64}], ids=str
)
def test_manifest_that_says_something_else(tmp_path: Path, change: dict[str, Any], *, encrypted: bool) -> None:
    """Sizes, number of chunks and SHA-256 must all be what the manifest says."""
    backup = make_backup(tmp_path, encrypted=encrypted)
    item = backup.manifest.object_named(NAME)
    assert item is not None
    wrong = {name: getattr(item, name) + value if isinstance(value, int) else value for name, value in change.items()}
    backup.manifest = replace(backup.manifest, objects=(replace(item, **wrong),))
    with pytest.raises(DamagedError, match=NAME):
        read(backup)


def test_object_that_is_nowhere(tmp_path: Path) -> None:
    """An object that the manifest does not name, or that is not in the storage, is told by its name."""
    backup = make_backup(tmp_path)
    with pytest.raises(DamagedError, match=r"schema\.pgc: is not in the manifest"):
        read(backup, "schema.pgc")
    backup.path(NAME).unlink()
    with pytest.raises(DamagedError, match=f"{NAME}: is missing"):
        read(backup)


def test_longer_object_is_not_read_to_its_end(tmp_path: Path) -> None:
    """An object that was made endless is given up as soon as it is too long."""
    backup = make_backup(tmp_path, encrypted=False)
    path = backup.path(NAME)
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(DamagedError, match="is longer than the 100000 bytes"):
        read(backup)


def test_keys(tmp_path: Path) -> None:
    """Without its data key an encrypted object is refused; with another one it fails authentication, and so does one that was moved."""
    backup = make_backup(tmp_path)
    other = store_backup(VolumeStore(tmp_path, "other"), Shop({"data-001.pgc": b"x" * 100_000}, CATALOGUE))
    other.data_key = backup.data_key
    with pytest.raises(DamagedError, match="fails authentication"):
        read(other, "data-001.pgc")
    backup.data_key = None
    with pytest.raises(RefusedError) as caught:
        read(backup)
    assert caught.value.reason is Reason.KEY_MISSING


PROGRAM = """
import pickle, sys
from dbcustody.adapters.envelope import DataKey
from dbcustody.adapters.objectstore import VolumeStore
from dbcustody.jobs.custody import OpenStorage
from dbcustody.jobs.reading import read_object
from pathlib import Path

manifest, secret = pickle.loads(sys.stdin.buffer.read())
storage = OpenStorage(store=VolumeStore(Path(sys.argv[1])), storage_id=manifest.storage_id)
size_bytes = sum(map(len, read_object(storage, manifest, DataKey(secret), "data-000.pgc")))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(size_bytes >> 20, int(peak.split()[1]) >> 10)
"""


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Ten times as much needs no more memory."""
    peaks = []
    for size_mebibytes in (16, 160):
        folder = tmp_path / str(size_mebibytes)
        folder.mkdir()
        peaks.append(peak_of_reading(folder, size_mebibytes))
    assert peaks[1] - peaks[0] <= 8


def peak_of_reading(folder: Path, size_mebibytes: int) -> int:
    """Return the peak in MiB of a process that reads an encrypted object of that size."""
    backup = make_backup(folder, bytes(size_mebibytes << 20))
    assert isinstance(backup.data_key, DataKey)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder],
        input=pickle.dumps((backup.manifest, backup.data_key.secret)),
        stdout=subprocess.PIPE,
        check=True,
    )
    read_mebibytes, peak = map(int, done.stdout.split())
    assert read_mebibytes == size_mebibytes
    return peak
