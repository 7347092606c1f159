"""Verification against real archives of real servers in real storages: what is whole passes, and what does not add up is told."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.envelope import DataKey
from dbcustody.adapters.objectstore import S3Settings, S3Store, VolumeStore
from dbcustody.api.backup import Stage
from dbcustody.api.policy import Level
from dbcustody.errors import DamagedError, InterruptedRunError, RefusedError, UnavailableError
from dbcustody.jobs.verification import Verified, archives_of
from dbcustody.reason import Reason
from dbcustody.repository.catalogue import Catalogue, TableFacts
from dbcustody.repository.layout import attempt_prefix
from ground.postgres import PostgresServer
from ground.root import client_folder
from ground.s3 import S3Server
from tests.fakes.shop import ALL_ROWS, COMPRESSIONS, EVENTS, LINES, dump, dump_shop, make_shop, store_backup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dbcustody.errors import DbcustodyError
    from tests.fakes.shop import Shop

pytestmark = pytest.mark.postgres


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


@pytest.fixture
def volume(tmp_path: Path) -> VolumeStore:
    """Return an empty volume."""
    return VolumeStore(tmp_path)


ENCRYPTED = pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "clear"])


@ENCRYPTED
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_whole_backup_passes(
    dumped: Callable[..., Shop], volume: VolumeStore, compression: str, *, encrypted: bool
) -> None:
    """An untouched backup is proven at both levels, in every compression, its archives in one part or many."""
    backup = store_backup(volume, dumped(compression), encrypted=encrypted, part_bytes=9000)
    assert len(archives_of(backup.manifest)["data-001.pgc"]) > 2

    read = backup.verify()
    checksum = backup.verify(Level.CHECKSUM)

    assert read == Verified(
        level=Level.READ, message="7 tables, 3 356 rows counted, 2 large objects", rows=ALL_ROWS, reason=Reason.VERIFIED
    )
    assert (checksum.level, checksum.rows, checksum.reason) == (Level.CHECKSUM, None, Reason.VERIFIED)
    assert checksum.message.startswith(f"{len(backup.manifest.objects)} objects, ")
    assert {progress.stage for progress in backup.told} == {Stage.VERIFYING}
    assert all(progress.percent is not None and 0 <= progress.percent <= 100 for progress in backup.told)


@pytest.mark.s3
@ENCRYPTED
def test_backup_in_a_bucket(dumped: Callable[..., Shop], s3: S3Server, *, encrypted: bool) -> None:
    """A backup in a bucket is proven, and told when one of its objects is another one's bytes."""
    with open_bucket(s3, f"bucket-{encrypted}".lower()) as store:
        backup = store_backup(store, dumped(), encrypted=encrypted)
        assert backup.verify().level is Level.READ
        place = backup.manifest.place
        folder = attempt_prefix(place.custody_id, place.backup_id, place.attempt)
        first, second = (s3.file(store.settings.bucket, f"{folder}data-00{n}.pgc") for n in (0, 1))
        first.write_bytes(second.read_bytes())
        assert backup.verify().level is None


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """Return a real S3 server."""
    with S3Server() as server:
        yield server


@contextmanager
def open_bucket(server: S3Server, bucket: str) -> Iterator[S3Store]:
    """Open a store in a new bucket, with little patience."""
    store = S3Store(
        S3Settings(
            bucket=server.make_bucket(bucket), endpoint=server.url, addressing_style="path", access_key_id=server.access_key,
            secret_access_key=server.secret_key, connect_timeout_seconds=1, read_timeout_seconds=5, max_attempts=1, patience_seconds=1,
        )
    )  # fmt: skip
    try:
        yield store
    finally:
        store.close()


@pytest.mark.s3
def test_storage_that_does_not_answer(dumped: Callable[..., Shop]) -> None:
    """A store that is gone says nothing about the backup: that is raised, to be tried again."""
    with S3Server() as server, open_bucket(server, "gone") as store:
        backup = store_backup(store, dumped())
        server.stop()
        with pytest.raises(UnavailableError) as caught:
            backup.verify()
    assert caught.value.reason is Reason.STORAGE_UNREACHABLE


def with_rows(catalogue: Catalogue, table: tuple[str, str], rows: int | None) -> Catalogue:
    """Return *catalogue* with other *rows* for *table*."""
    tables = tuple(
        replace(one, rows=rows) if (one.schema, one.name) == table else one for one in catalogue.tables
    )  # fmt: skip
    return replace(catalogue, tables=tables)


def without(catalogue: Catalogue, table: tuple[str, str]) -> Catalogue:
    """Return *catalogue* without *table*."""
    return replace(catalogue, tables=tuple(one for one in catalogue.tables if (one.schema, one.name) != table))


def with_table(catalogue: Catalogue, rows: int | None) -> Catalogue:
    """Return *catalogue* with one table more."""
    return replace(catalogue, tables=(*catalogue.tables, TableFacts(schema="sales", name="ghost", rows=rows)))


LIES: dict[str, tuple[Callable[[Catalogue], Catalogue], str]] = {
    "one-row-less": (
        lambda said: with_rows(said, LINES, 2999),
        "1 tables differ from the snapshot: sales.Order lines has 3 000 rows instead of 2 999",
    ),
    "rows-in-an-empty-table": (
        lambda said: with_rows(said, ("public", "empty"), 1),
        "public.empty has 0 rows instead of 1",
    ),
    "partition": (lambda said: with_rows(said, ("public", "paint_0"), 7), "public.paint_0 has "),
    "surplus": (lambda said: without(said, EVENTS), 'Audit Log.events; "2025" is not in the catalogue'),
    "missing": (lambda said: with_table(said, 0), "sales.ghost is in no archive"),
    "missing-uncounted": (lambda said: with_table(said, None), "sales.ghost is in no archive"),
    "large-object": (
        lambda said: replace(said, large_objects=3),
        "2 large objects were found, the catalogue has 3",
    ),
    "everything": (lambda said: replace(said, tables=()), "7 tables differ from the snapshot: "),
}


@ENCRYPTED
@pytest.mark.parametrize(("lie", "message"), LIES.values(), ids=LIES)
def test_counts_that_do_not_fit(
    dumped: Callable[..., Shop],
    volume: VolumeStore,
    lie: Callable[[Catalogue], Catalogue],
    message: str,
    *,
    encrypted: bool,
) -> None:
    """A backup whose archives hold other tables, rows or large objects than its snapshot had is told, and by how much."""
    shop = dumped()
    found = store_backup(volume, replace(shop, catalogue=lie(shop.catalogue)), encrypted=encrypted).verify()
    assert (found.level, found.reason, found.rows) == (Level.CHECKSUM, Reason.VERIFICATION_FAILED, None)
    assert message in found.message


def test_archives_that_hold_a_table_twice(dumped: Callable[..., Shop], volume: VolumeStore) -> None:
    """A table whose rows stand in two archives would be restored twice, and one whose archive is left out not at all."""
    shop = dumped()
    twice = shop.changed(data_002=shop.archives["data-001.pgc"])
    left_out = shop.changed(data_001=None)
    found = store_backup(volume, twice).verify()
    assert (found.level, found.reason) == (Level.CHECKSUM, Reason.VERIFICATION_FAILED)
    assert "sales.Order lines stands in the archives 2 times" in found.message
    found = store_backup(VolumeStore(volume._root, "other"), left_out).verify()
    assert (found.level, found.reason) == (Level.CHECKSUM, Reason.VERIFICATION_FAILED)
    assert "sales.Order lines is in no archive" in found.message


def test_tables_that_were_not_counted(dumped: Callable[..., Shop], volume: VolumeStore) -> None:
    """Without counts of the snapshot the tables have to be there; how many rows they have is told, and that nobody compared."""
    shop = dumped()
    catalogue = shop.catalogue
    for table in catalogue.tables:
        catalogue = with_rows(catalogue, (table.schema, table.name), None)
    found = store_backup(volume, replace(shop, catalogue=catalogue)).verify()
    assert (found.level, found.rows, found.reason) == (Level.READ, ALL_ROWS, Reason.VERIFIED)
    assert found.message.endswith("; 7 tables had no count to compare with")


@pytest.mark.parametrize("dropped", ["schema.pgc", "data-001.pgc", "data-001.pgc.001", "catalogue.json"])
def test_manifest_that_names_too_little(dumped: Callable[..., Shop], volume: VolumeStore, dropped: str) -> None:
    """A manifest without the schema, the catalogue, the beginning or the middle of an archive is of no whole backup."""
    backup = store_backup(volume, dumped(), encrypted=False, part_bytes=9000)
    backup.manifest = replace(
        backup.manifest, objects=tuple(item for item in backup.manifest.objects if item.name != dropped)
    )
    found = backup.verify()
    assert (found.level, found.reason) == (None, Reason.ARCHIVE_DAMAGED)
    assert dropped.rpartition(".0")[0] in found.message


def test_backup_of_one_archive_passes(server: PostgresServer, dumped: Callable[..., Shop], volume: VolumeStore) -> None:
    """A backup that was not cut is proven as one that was."""
    whole = replace(dumped(), archives={"whole.pgc": dump(server, "--compress=zstd:1")})
    backup = store_backup(volume, whole, part_bytes=9000)
    assert [len(names) > 2 for names in archives_of(backup.manifest).values()] == [True]
    found = backup.verify()
    assert (found.level, found.rows, found.reason) == (Level.READ, ALL_ROWS, Reason.VERIFIED)


@pytest.mark.parametrize("beside", [("whole.pgc", "schema.pgc"), ("whole.pgc", "data-001.pgc"), ("catalogue.json",)])
def test_manifest_of_neither_form(dumped: Callable[..., Shop], volume: VolumeStore, beside: tuple[str, ...]) -> None:
    """One archive of everything beside another would hold rows twice; without any there are none."""
    backup = store_backup(volume, dumped(), encrypted=False)
    one = backup.manifest.objects[0]
    backup.manifest = replace(backup.manifest, objects=tuple(replace(one, name=name) for name in beside))
    with pytest.raises(DamagedError, match=r"must name schema\.pgc, or whole\.pgc and no other archive"):
        archives_of(backup.manifest)


def test_client_18_reads_what_18_wrote(dumped: Callable[..., Shop], volume: VolumeStore) -> None:
    """The newest client at hand is taken; with an older one alone the bytes are proven, and it is said what is missing."""
    backup = store_backup(volume, dumped("lz4", 18), client=18)
    assert backup.verify(clients=(client_folder(17), client_folder(18))).level is Level.READ
    found = backup.verify(clients=(client_folder(17),))
    assert (found.level, found.reason) == (Level.CHECKSUM, Reason.VERSION_UNSUPPORTED)
    assert "needs pg_restore 18 or newer" in found.message


def test_archive_of_an_unknown_version(dumped: Callable[..., Shop], volume: VolumeStore) -> None:
    """An archive that is newer than the pg_restore at hand is told as such, not as damage."""
    shop = dumped()
    newer = bytearray(shop.archives["data-000.pgc"])
    assert newer[:6] == b"PGDMP\x01"
    newer[6] = 250
    found = store_backup(volume, shop.changed(data_000=bytes(newer)), encrypted=False).verify()
    assert (found.level, found.reason) == (Level.CHECKSUM, Reason.VERSION_UNSUPPORTED)
    assert "unsupported version" in found.message


@pytest.mark.parametrize("level", Level)
def test_data_key_that_is_missing(dumped: Callable[..., Shop], volume: VolumeStore, level: Level) -> None:
    """Without its data key an encrypted backup is neither good nor bad: the key has to be put back."""
    backup = store_backup(volume, dumped())
    backup.data_key = None
    with pytest.raises(RefusedError) as caught:
        backup.verify(level)
    assert caught.value.reason is Reason.KEY_MISSING


@pytest.mark.parametrize("level", Level)
def test_another_backups_key(dumped: Callable[..., Shop], volume: VolumeStore, level: Level) -> None:
    """Bytes whose digests fit and which were closed with another key are told as damage."""
    backup = store_backup(volume, dumped())
    backup.data_key = DataKey.fresh()
    assert backup.verify(level).reason is Reason.ARCHIVE_DAMAGED


@pytest.mark.parametrize("level", Level)
def test_order_to_stop(dumped: Callable[..., Shop], volume: VolumeStore, level: Level) -> None:
    """An order to stop that comes in the middle ends the reading: nothing is said of the backup."""
    stop = threading.Event()
    backup = store_backup(volume, dumped("none"))
    with pytest.raises(InterruptedRunError) as caught:
        backup.verify(level, stop=stop, report=lambda _: stop.set())
    error: DbcustodyError = caught.value
    assert error.reason is Reason.INTERRUPTED
