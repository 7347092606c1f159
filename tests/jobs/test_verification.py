"""Verification against real archives of real servers in real storages: what is whole passes, and nothing else does."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from subprocess import PIPE, run
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbcustody.adapters.envelope import DataKey, Encryptor
from dbcustody.adapters.objectstore import S3Settings, S3Store, VolumeStore
from dbcustody.api.backup import Origin, Progress, Stage, Tool
from dbcustody.api.policy import Level
from dbcustody.errors import InterruptedRunError, RefusedError, UnavailableError
from dbcustody.jobs.custody import OpenStorage
from dbcustody.jobs.tools import Tools
from dbcustody.jobs.verification import Verified, archives_of, verify
from dbcustody.reason import Reason
from dbcustody.repository.binding import OBJECT_LABEL
from dbcustody.repository.catalogue import Catalogue, DatabaseFacts, TableFacts, write_catalogue
from dbcustody.repository.layout import attempt_prefix, make_backup_id
from dbcustody.repository.manifest import ENCRYPTION_ALGORITHM, Manifest, Scope, ServerFacts, StoredObject
from ground.postgres import PostgresServer
from ground.root import client_folder
from ground.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dbcustody.adapters.objectstore import ObjectStore
    from dbcustody.errors import DbcustodyError

pytestmark = pytest.mark.postgres

NOW = datetime(2026, 1, 31, 2, tzinfo=UTC)
CHUNK_EXPONENT = 14
SHOP = (
    'create schema sales; create schema "Audit Log"',
    'create table sales."Order lines" (id bigint generated always as identity primary key, note jsonb, amount numeric(10,2))',
    (
        "insert into sales.\"Order lines\" (note, amount) select jsonb_build_object('text', repeat(md5(n::text), n % 9)), n"
        " from generate_series(1, 3000) n"
    ),
    'create table sales.customer (id serial primary key, name text not null unique, line bigint references sales."Order lines")',
    "insert into sales.customer (name, line) select 'customer ' || n, n from generate_series(1, 300) n",
    'create table "Audit Log"."events; ""2025""" ("what\nis" text)',
    'insert into "Audit Log"."events; ""2025""" values (E\'\\\\.\'), (E\'a\\n\\\\.\\nb\\r\\n\'), (E\'x\\nCOPY x FROM stdin;\\n\'), (null)',
    "create table empty (a int)",
    "create table no_columns ()",
    "insert into no_columns default values; insert into no_columns default values",
    "create type colour as enum ('red', 'blue')",
    "create table paint (c colour, n int) partition by hash (c)",
    "create table paint_0 partition of paint for values with (modulus 2, remainder 0)",
    "create table paint_1 partition of paint for values with (modulus 2, remainder 1)",
    "insert into paint select (array['red', 'blue'])[1 + n % 2]::colour, n from generate_series(1, 50) n",
    "create materialized view sales.total as select count(*) as lines from sales.customer",
    "create function f() returns text language sql as $$\nselect '\nCOPY public.fake (a) FROM stdin;\n1\n\\.\n'\n$$",
    "select lo_from_bytea(4711, decode(repeat('00ff', 50000), 'hex')), lo_create(4712)",
    "comment on large object 4711 is E'it''s\\nCOPY public.fake (a) FROM stdin;\\n\\\\'",
)
LINES, EVENTS = ("sales", "Order lines"), ("Audit Log", 'events; "2025"')
ROWS = {
    LINES: 3000, ("sales", "customer"): 300, EVENTS: 4, ("public", "empty"): 0, ("public", "no_columns"): 2,
}  # fmt: skip
ALL_ROWS = 3356
COMPRESSIONS = ["zstd:1", "gzip:1", "lz4", "none"]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server with the shop in it."""
    with PostgresServer(17) as server:
        server.execute("create database shop template template0")
        server.execute(*SHOP, database="shop")
        yield server


@dataclass(frozen=True)
class Shop:
    """The shop's archives in one compression, as a backup cuts them, and its catalogue."""

    archives: Mapping[str, bytes]
    catalogue: Catalogue

    def changed(self, **archives: bytes | None) -> Shop:
        """Return a shop with other archives (`data_000`, `schema`); None leaves one out."""
        named = {f"{name.replace('_', '-')}.pgc": data for name, data in archives.items()}
        return replace(
            self, archives={name: data for name, data in (dict(self.archives) | named).items() if data is not None}
        )


def dump(server: PostgresServer, *options: str, client: int = 17) -> bytes:
    """Return an archive."""
    where = ["-h", server.host, "-p", str(server.port), "-U", "postgres", "-d", "shop"]
    environment = {"PGPASSWORD": server.password, "PATH": os.defpath}
    return run(
        [client_folder(client) / "pg_dump", "-Fc", *where, *options], check=True, stdout=PIPE, env=environment
    ).stdout


@pytest.fixture(scope="module")
def dumped(server: PostgresServer) -> Callable[..., Shop]:
    """Return a function that dumps the shop with a compression and a client, once each."""
    made: dict[tuple[str, int], Shop] = {}
    partitions = dict(
        server.execute("select tableoid::regclass::text, count(*) from paint group by 1", database="shop")
    )
    rows = ROWS | {("public", name): int(partitions.get(name, 0)) for name in ("paint_0", "paint_1")}
    facts = DatabaseFacts(
        name="shop", owner="postgres", encoding="UTF8", collation="C", ctype="C", locale_provider="libc"
    )
    tables = tuple(TableFacts(schema=schema, name=name, rows=count) for (schema, name), count in rows.items())
    catalogue = Catalogue(database=facts, tables=tables, large_objects=2)

    def make(compression: str = "zstd:1", client: int = 17) -> Shop:
        if (compression, client) not in made:
            form, table = f"--compress={compression}", 'sales."Order lines"'
            made[compression, client] = Shop(
                {
                    "schema.pgc": dump(server, form, "--section=pre-data", "--section=post-data", client=client),
                    "data-000.pgc": dump(
                        server, form, "--section=data", f"--exclude-table-data={table}", client=client
                    ),
                    "data-001.pgc": dump(server, form, "--section=data", f"--table={table}", client=client),
                },
                catalogue,
            )
        return made[compression, client]

    return make


@dataclass
class Backup:
    """A backup in a storage, and what reads it back."""

    storage: OpenStorage
    manifest: Manifest
    data_key: DataKey | None
    tools: Tools
    told: list[Progress]

    def verify(self, level: Level = Level.READ, **changes: Any) -> Verified:
        """Return what verification says; *changes* are to the tools."""
        tools = replace(self.tools, **changes)
        return verify(self.storage, self.manifest, level=level, tools=tools, data_key=self.data_key)

    def path(self, name: str) -> Path:
        """Return the file of an object in a volume."""
        place = self.manifest.place
        root = Path(self.storage.store.location.removeprefix("volume:"))
        return root / attempt_prefix(place.custody_id, place.backup_id, place.attempt) / name


def store_backup(
    store: ObjectStore, shop: Shop, *, encrypted: bool = True, client: int = 17, part_bytes: int = 1 << 30
) -> Backup:
    """Write *shop* as a backup into *store*, its archives in parts of *part_bytes*."""
    told: list[Progress] = []
    data_key = DataKey.fresh() if encrypted else None
    manifest = Manifest(
        storage_id="6f0d3c5e-8a64-4f0b-9a51-0c6b7a1e2d3f", custody_id="web.shop", backup_id=make_backup_id("shop", NOW),
        attempt="0b9c3f52-6c0e-4a55-8f3a-2f4d5e6a7b8c", name="shop", origin=Origin.MANUAL, scope=Scope.FULL,
        server=ServerFacts(version="17", major_version=17), tool=Tool(name="dbcustody", version="0"),
        client=Tool(name="pg_dump", version=f"{client}.1"), started=NOW, snapshot=NOW, finished=NOW, compression="zstd:1", objects=(),
        encryption=ENCRYPTION_ALGORITHM if encrypted else None, table_count=7, generation=1,
    )  # fmt: skip
    plaintexts = {"catalogue.json": write_catalogue(shop.catalogue)}
    for archive, data in shop.archives.items():
        size = part_bytes if archive.startswith("data") else len(data)
        for number, start in enumerate(range(0, len(data), size)):
            plaintexts[f"{archive}.{number:03d}" if number else archive] = data[start : start + size]
    objects = tuple(
        store_object(store, manifest, data_key, name=name, plaintext=data) for name, data in plaintexts.items()
    )
    tools = Tools(
        now=lambda: NOW, report=told.append, stop=threading.Event(), attempt=manifest.attempt, job_name="j", target=unused,
        store=unused, keyring=lambda: None, clients=(client_folder(17), client_folder(18)),
    )  # fmt: skip
    storage = OpenStorage(store=store, storage_id=manifest.storage_id)
    return Backup(storage, replace(manifest, objects=objects), data_key, tools, told)


def store_object(
    store: ObjectStore, manifest: Manifest, data_key: DataKey | None, *, name: str, plaintext: bytes
) -> StoredObject:
    """Write one object and return its row of the manifest."""
    place, stored, chunks = manifest.place, plaintext, 0
    if data_key is not None:
        encryptor = Encryptor(data_key.derive(OBJECT_LABEL, *place.object_context(name)), chunk_exponent=CHUNK_EXPONENT)
        stored = b"".join([encryptor.header, *encryptor.update(plaintext), encryptor.finish()])
        chunks = encryptor.chunk_count
    store.put_once(attempt_prefix(place.custody_id, place.backup_id, place.attempt) + name, stored)
    digest = sha256(stored).hexdigest()
    return StoredObject(name=name, bytes=len(stored), plaintext_bytes=len(plaintext), sha256=digest, chunks=chunks)


def unused(*_: object) -> Any:
    """Stand for what verification has no use for."""
    raise AssertionError("verification opens nothing by itself")


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


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
