"""Damage of every kind to a backup that lies in a storage: none passes verification, and what is still whole is said."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbcustody.adapters.objectstore import VolumeStore
from dbcustody.api.policy import Level
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from tests.fakes.shop import COMPRESSIONS, dump_shop, make_shop, store_backup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fakes.shop import Backup, Shop

pytestmark = pytest.mark.postgres
ENCRYPTED = pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "clear"])


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server with the shop in it."""
    with PostgresServer(17) as server:
        make_shop(server)
        yield server


@pytest.fixture(scope="module")
def dumped(server: PostgresServer) -> Callable[..., Shop]:
    """Return a function that dumps the shop with a compression and a client, once each."""
    return cache(partial(dump_shop, server))


@pytest.fixture(scope="module")
def targets(dumped: Callable[..., Shop], tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Backup]:
    """Return a backup to be damaged and healed again, encrypted (True) and not (False)."""
    return {
        encrypted: store_backup(VolumeStore(tmp_path_factory.mktemp("target")), dumped(), encrypted=encrypted)
        for encrypted in (True, False)
    }


@contextmanager
def damaged(path: Path, data: bytes) -> Iterator[None]:
    """Let *path* hold *data* for a while."""
    before = path.read_bytes()
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


@settings(max_examples=40)
@given(
    encrypted=st.booleans(), number=st.integers(0, 3), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7)
)
def test_one_bit(targets: dict[bool, Backup], number: int, place: float, bit: int, *, encrypted: bool) -> None:
    """One bit flipped anywhere in any object is told at both levels."""
    backup = targets[encrypted]
    path = backup.path(backup.manifest.objects[number].name)
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    with damaged(path, bytes(data)):
        for level in Level:
            found = backup.verify(level)
            assert (found.level, found.reason, found.rows) == (None, Reason.ARCHIVE_DAMAGED, None)
            assert path.name in found.message


@ENCRYPTED
@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("name", ["schema.pgc", "data-000.pgc", "data-001.pgc", "catalogue.json"])
@pytest.mark.parametrize("harm", ["cut", "emptied", "longer", "dropped", "swapped"])
def test_harmed_object(targets: dict[bool, Backup], harm: str, name: str, level: Level, *, encrypted: bool) -> None:
    """An object that is cut, emptied, made longer, dropped or replaced by another one is told at both levels."""
    backup = targets[encrypted]
    path = backup.path(name)
    whole = path.read_bytes()
    other = backup.path("schema.pgc" if name != "schema.pgc" else "data-001.pgc").read_bytes()
    bytes_now = {"cut": whole[:-1], "emptied": b"", "longer": whole + b"\0", "dropped": b"", "swapped": other}[harm]
    with damaged(path, bytes_now):
        if harm == "dropped":
            path.unlink()
        found = backup.verify(level)
    assert (found.level, found.reason) == (None, Reason.ARCHIVE_DAMAGED)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("name", ["data-000.pgc", "data-001.pgc", "schema.pgc"])
def test_archive_that_was_cut_before_it_was_hashed(
    dumped: Callable[..., Shop], tmp_path: Path, name: str, compression: str
) -> None:
    """Half a dump with digests that fit passes Checksum, and never Read; the objects are whole, so that much is said."""
    shop = dumped(compression)
    whole = shop.archives[name]
    ends = {0, 1, 40, len(whole) // 3, len(whole) // 2, *(len(whole) - missing for missing in (1, 2, 5, 6, 11, 300))}
    for end in sorted(end for end in ends if end >= 0):
        cut = replace(shop, archives=dict(shop.archives) | {name: whole[:end] or b"\0"})
        root = tmp_path / str(end)
        root.mkdir()
        backup = store_backup(VolumeStore(root), cut, encrypted=False)
        found = backup.verify()
        assert (end, found.level) == (end, Level.CHECKSUM)
        assert found.reason in {Reason.ARCHIVE_DAMAGED, Reason.VERIFICATION_FAILED}
        assert backup.verify(Level.CHECKSUM).reason is Reason.VERIFIED
