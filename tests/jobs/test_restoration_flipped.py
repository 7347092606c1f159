"""One bit of a stored backup is another: whichever object it is in, a restore says so, and neither makes nor replaces anything."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from dbcustody.api.policy import Algorithm, Compression
from dbcustody.contract import RestoreTerms, Verb
from dbcustody.errors import DbcustodyError
from dbcustody.jobs import restore as restore_job
from dbcustody.reason import Reason
from dbcustody.repository.layout import backups_prefix
from ground.postgres import PostgresServer
from tests.fakes.custodian import CUSTODY, Custodian, in_volume
from tests.fakes.swaps import Swapper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
MANIFEST, PROOF, KEY = "manifest.json", "verified.1.json", "key.k1.json"
DECIDING: Final = frozenset({MANIFEST, PROOF, KEY})
"""Without one of these nobody knows what the backup is, that it is good, or how to read it."""
OBJECTS: Final = (
    MANIFEST,
    PROOF,
    KEY,
    "catalogue.json",
    "schema.pgc",
    "data-000.pgc",
    "data-001.pgc",
    "data-002.pgc",
)
PLACES: Final = {"head": 0.0, "middle": 0.5, "tail": 1.0}
_NOISE: Final = "select i, sha256(i::text::bytea) as noise from generate_series(1, 2000) as i"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the storage is."""
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def swapper(folder: Path) -> Iterator[Swapper]:
    """Return who restores a backup in several archives, beside the database `shop` or in its place."""
    with PostgresServer(17) as server:
        server.execute("create database shop")
        server.execute(
            "create table public.said (word text)", "insert into public.said values ('old')",
            f"create table one as {_NOISE}", f"create table two as {_NOISE}", database="shop",
        )  # fmt: skip
        custodian = Custodian(server=server, open_store=in_volume(folder))
        taken = custodian.take(parallelism=2, compression=Compression(algorithm=Algorithm.NONE))
        assert taken.reason is Reason.SUCCEEDED
        swapper = Swapper(custodian)
        yield swapper
        assert swapper.ask(Verb.RESTORE).reason is Reason.RESTORED, "nothing but the flipped bits stood in the way"


def stored(folder: Path) -> dict[str, Path]:
    """Return the files of the backup by the last part of their names."""
    (top,) = folder.glob(f"{backups_prefix(CUSTODY)}*")
    return {path.name: path for path in top.rglob("*") if path.is_file()}


def standing(swapper: Swapper) -> tuple[Any, ...]:
    """Return the databases of the server, and what others see of `shop`."""
    return swapper.databases(), swapper.likeness(), swapper.words()


@contextmanager
def flipped(path: Path, place: float) -> Iterator[None]:
    """Let one bit of the file be another while the block runs."""
    before = path.read_bytes()
    hurt = bytearray(before)
    hurt[int(place * (len(hurt) - 1))] ^= 1
    path.chmod(0o600)
    path.write_bytes(hurt)
    try:
        yield
    finally:
        path.write_bytes(before)


@pytest.mark.usefixtures("swapper")
def test_no_object_is_left_out(folder: Path) -> None:
    """A backup has no other objects than those that the tests below damage."""
    assert set(stored(folder)) == set(OBJECTS)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", [name for name in OBJECTS if name != PROOF])
def test_nothing_takes_the_place_of_what_runs(swapper: Swapper, folder: Path, name: str, place: str) -> None:
    """The restore that comes before the swap ends with its reason; what runs is what it was, and nothing else is on the server."""
    before, request = standing(swapper), swapper.request(Verb.RESTORE)
    with flipped(stored(folder)[name], PLACES[place]), pytest.raises(DbcustodyError) as caught:
        restore_job.run(request, swapper.custodian.tools())

    wanted = Reason.KEY_MISSING if name == KEY else Reason.ARCHIVE_DAMAGED
    assert caught.value.reason is wanted, caught.value.message
    assert standing(swapper) == before


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", OBJECTS)
def test_nothing_is_restored_beside_it(swapper: Swapper, folder: Path, name: str, place: str) -> None:
    """Where the newest good backup is looked for, one that cannot be believed is none, and that is said by name."""
    custodian, before = swapper.custodian, standing(swapper)
    terms = RestoreTerms(database="again", mark="RestoreRequest web/again 0", parallelism=2)
    request = replace(custodian.request(), verb=Verb.RESTORE, options=None, restore=terms)
    with flipped(stored(folder)[name], PLACES[place]), pytest.raises(DbcustodyError) as caught:
        restore_job.run(request, custodian.tools())

    told = caught.value
    assert told.reason is (Reason.BACKUP_NOT_FOUND if name in DECIDING else Reason.ARCHIVE_DAMAGED), told.message
    assert "not believed: " in told.message or name in told.message
    assert standing(swapper) == before


@pytest.mark.parametrize("place", PLACES)
def test_a_named_backup_needs_no_proof(swapper: Swapper, folder: Path, place: str) -> None:
    """Whoever names a backup gets it also when its proof is damaged: every byte is compared on its way, which proves more."""
    request = swapper.request(Verb.RESTORE)
    with flipped(stored(folder)[PROOF], PLACES[place]):
        restored = restore_job.run(request, swapper.custodian.tools())
    assert restored.reason is Reason.RESTORED
    assert swapper.ask(Verb.SETTLE_RESTORE).reason is Reason.JOB_LOST
    assert set(swapper.databases()) == {"postgres", "shop"}
