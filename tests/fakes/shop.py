"""A shop with everything that can lead a count astray, its real archives, and a backup of it as it lies in a storage."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from subprocess import PIPE, run
from typing import TYPE_CHECKING, Any

from dbcustody.adapters.envelope import DataKey, Encryptor
from dbcustody.api.backup import Origin, Progress, Tool
from dbcustody.api.policy import Level
from dbcustody.jobs.custody import OpenStorage
from dbcustody.jobs.tools import Tools
from dbcustody.jobs.verification import Verified, verify
from dbcustody.repository.binding import OBJECT_LABEL
from dbcustody.repository.catalogue import Catalogue, DatabaseFacts, TableFacts, write_catalogue
from dbcustody.repository.layout import attempt_prefix, make_backup_id
from dbcustody.repository.manifest import ENCRYPTION_ALGORITHM, Manifest, Scope, ServerFacts, StoredObject
from ground.root import client_folder

if TYPE_CHECKING:
    from dbcustody.adapters.objectstore import ObjectStore
    from ground.postgres import PostgresServer

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


def make_shop(server: PostgresServer) -> None:
    """Create the database `shop`."""
    server.execute("create database shop template template0")
    server.execute(*SHOP, database="shop")


def dump_shop(server: PostgresServer, compression: str = "zstd:1", client: int = 17) -> Shop:
    """Return the shop as pg_dump of *client* gives it."""
    partitions = dict(
        server.execute("select tableoid::regclass::text, count(*) from paint group by 1", database="shop")
    )
    rows = ROWS | {("public", name): int(partitions.get(name, 0)) for name in ("paint_0", "paint_1")}
    facts = DatabaseFacts(
        name="shop", owner="postgres", encoding="UTF8", collation="C", ctype="C", locale_provider="libc"
    )
    tables = tuple(TableFacts(schema=schema, name=name, rows=count) for (schema, name), count in rows.items())
    form, table = f"--compress={compression}", 'sales."Order lines"'
    archives = {
        "schema.pgc": dump(server, form, "--section=pre-data", "--section=post-data", client=client),
        "data-000.pgc": dump(server, form, "--section=data", f"--exclude-table-data={table}", client=client),
        "data-001.pgc": dump(server, form, "--section=data", f"--table={table}", client=client),
    }
    return Shop(archives, Catalogue(database=facts, tables=tables, large_objects=2))


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
        size = part_bytes if archive != "schema.pgc" else len(data)
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
