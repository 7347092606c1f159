"""A name stands for one backup: it is adopted, never taken twice, refused when it was deleted or damaged, and committed once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.policy import Level, Verification
from dbcustody.codec import encode
from dbcustody.errors import RefusedError
from dbcustody.jobs import backup
from dbcustody.jobs.custody import open_storage
from dbcustody.jobs.stock import add_fact
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.fact import Tombstone
from dbcustody.repository.layout import manifest_key
from ground.postgres import PostgresServer
from tests.fakes.custodian import CUSTODY, KEYS, Custodian, in_volume

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.repository.inventory import ReadBackup

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server that writes down every statement."""
    with PostgresServer(17, settings={"log_statement": "all"}) as server:
        server.execute("create database shop")
        server.execute("create table t (n int); insert into t select generate_series(1, 100)", database="shop")
        yield server


@pytest.fixture(params=[True, False], ids=["encrypted", "clear"])
def custodian(server: PostgresServer, tmp_path: Path, request: pytest.FixtureRequest) -> Custodian:
    """Return who backs the shop up into a folder."""
    return Custodian(server=server, open_store=in_volume(tmp_path), keys=KEYS if request.param else None)


def copies(server: PostgresServer) -> int:
    """Return how often the server was asked for the rows of the table."""
    return server.log.count("COPY public.t ")


def only_one(custodian: Custodian) -> ReadBackup:
    """Return the one backup there is."""
    (found,) = custodian.stock().live
    return found


def test_same_name_is_adopted(custodian: Custodian, server: PostgresServer) -> None:
    """A second run of the name reports the first one's backup, with all its facts, and asks the server for nothing."""
    first = custodian.take()
    asked, connected = copies(server), server.log.count("connection authorized")
    second = custodian.take()
    assert (second.reason, second.exit_code, copies(server)) == (Reason.ADOPTED, ExitCode.DONE, asked)
    assert server.log.count("connection authorized") == connected
    assert first.backup is not None
    expected = replace(first.backup, adopted=True, verification_message=None, start_up_seconds=None)
    assert encode(second.backup) == encode(expected)
    assert len(custodian.stock().backups) == 1


def test_job_of_a_schedule_takes_its_own_name(custodian: Custodian) -> None:
    """A request without a name is of a schedule: the backup bears the Job's name, and a second pod of the Job adopts it."""
    assert custodian.take("").reason is Reason.SUCCEEDED
    assert only_one(custodian).manifest.name == "shop-nightly-29472000"
    assert only_one(custodian).manifest.origin.value == "Scheduled"
    assert custodian.take("").reason is Reason.ADOPTED


def test_higher_level_is_made_up_for(custodian: Custodian) -> None:
    """A backup that was proven at Checksum is adopted and read when Read is due; then both levels stand in the storage."""
    custodian.take(verification=Verification(level=Level.CHECKSUM))
    assert only_one(custodian).verified_levels == {"Checksum"}
    result = custodian.take()
    assert result.reason is Reason.ADOPTED
    assert result.backup is not None
    assert result.backup.verified_level == "Read"
    assert only_one(custodian).verified_levels == {"Checksum", "Read"}
    assert custodian.take(verification=Verification(level=Level.CHECKSUM)).reason is Reason.ADOPTED


def test_name_of_a_deleted_backup_is_refused(custodian: Custodian) -> None:
    """A name whose backup was deleted is not given to another one, whether its manifest is still there or not."""
    custodian.take()
    found = only_one(custodian).manifest
    storage = open_storage(custodian.tools(), custodian.request())
    tombstone = Tombstone(
        backup_id=found.backup_id, manifest_sha256=only_one(custodian).manifest_sha256, time=found.finished, because="retention",
        generation=found.generation, previous_manifest_sha256=found.previous_manifest_sha256,
    )  # fmt: skip
    add_fact(storage, CUSTODY, tombstone)
    assert custodian.outcome()[0] is Reason.NAME_TAKEN
    storage.store.delete([manifest_key(CUSTODY, found.backup_id)])
    assert custodian.outcome()[0] is Reason.NAME_TAKEN
    assert custodian.outcome("another")[0] is Reason.SUCCEEDED


def test_backup_whose_key_is_missing_is_named_so(server: PostgresServer, tmp_path: Path) -> None:
    """Without its data key nobody can say whose a manifest is: the missing key is told, and nothing is written beside it."""
    custodian = Custodian(server=server, open_store=in_volume(tmp_path))
    custodian.take()
    (key,) = tmp_path.rglob("key.*.json")
    key.unlink()
    before = sorted(tmp_path.rglob("*"))

    assert custodian.outcome()[0] is Reason.KEY_MISSING
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("harm", [b"", b"{}", b"cut"], ids=["emptied", "replaced", "cut"])
def test_damaged_manifest_is_not_written_again(custodian: Custodian, tmp_path: Path, harm: bytes) -> None:
    """A manifest that cannot be believed is told, and no second one is put beside it."""
    custodian.take()
    path = tmp_path / manifest_key(CUSTODY, only_one(custodian).manifest.backup_id)
    path.write_bytes(path.read_bytes()[:-30] if harm == b"cut" else harm)
    before = sorted(tmp_path.rglob("*"))
    assert custodian.outcome()[0] is Reason.ARCHIVE_DAMAGED
    assert sorted(tmp_path.rglob("*")) == before


def test_damaged_archive_is_told_and_never_good(custodian: Custodian, tmp_path: Path) -> None:
    """An adopted backup whose bytes changed before it was proven is a failure with its facts, and stays unproven."""
    custodian.take(verification=Verification(level=Level.CHECKSUM))
    (path,) = tmp_path.rglob("whole.pgc")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    result = custodian.take()
    assert (result.reason, result.exit_code) == (Reason.ARCHIVE_DAMAGED, ExitCode.REFUSED)
    assert result.backup is not None
    assert result.backup.verified_level is None
    assert only_one(custodian).verified_levels == {"Checksum"}


def test_two_attempts_at_once(custodian: Custodian) -> None:
    """Two pods of one name at the same time: the database's lock puts them in order, one dumps, the other adopts or is refused cleanly."""
    with ThreadPoolExecutor(2) as pool:
        found = sorted(reason.value for reason, _ in pool.map(lambda _: custodian.outcome(), range(2)))
    assert found in (["Adopted", "Succeeded"], ["CommitConflict", "Succeeded"]), found
    assert len(custodian.stock().backups) == 1
    assert only_one(custodian).is_good


def test_chain_of_backups(custodian: Custodian) -> None:
    """Each manifest names the digest of the one before it, so that a missing one is noticed."""
    for name in ("one", "two", "three"):
        assert custodian.take(name).reason is Reason.SUCCEEDED
    stock = custodian.stock()
    assert sorted(one.manifest.generation for one in stock.backups) == [1, 2, 3]
    assert (stock.breaks, stock.doubts) == ((), ())


def test_another_owner_is_refused(custodian: Custodian) -> None:
    """A custody that belongs to another Database is not written to."""
    custodian.take()
    stranger = replace(custodian.request("other"), database_name="stranger")

    with pytest.raises(RefusedError) as caught:
        backup.run(stranger, custodian.tools())
    assert caught.value.reason is Reason.CUSTODY_CONFLICT
