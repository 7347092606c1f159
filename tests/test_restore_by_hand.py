"""The guide docs/restore-by-hand.md, run as it stands: a backup comes back with nothing but the decryptor and stock clients."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dbcustody import decryptor
from dbcustody.adapters.envelope import DataKey, Encryptor, wrap_key
from dbcustody.api.backup import Origin, Tool
from dbcustody.repository.binding import MANIFEST_LABEL, OBJECT_LABEL
from dbcustody.repository.canonical import canonical
from dbcustody.repository.catalogue import (
    Catalogue,
    DatabaseFacts,
    RoleFacts,
    RoleSetting,
    TableFacts,
    write_catalogue,
)
from dbcustody.repository.fact import WrappedKey
from dbcustody.repository.layout import attempt_prefix, data_key_object, make_backup_id, manifest_key
from dbcustody.repository.manifest import (
    ENCRYPTION_ALGORITHM,
    Manifest,
    Scope,
    ServerFacts,
    StoredObject,
    authenticated_text,
    write_manifest,
)
from ground.postgres import PostgresServer
from ground.root import client_folder
from scene.document import scripts

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres

GUIDE = "docs/restore-by-hand.md"
NOW = datetime(2026, 1, 31, 2, tzinfo=UTC)
KEY = bytes([200, *range(31)])
SHOP = (
    "create schema sales authorization shop_owner",
    'create table sales."Order lines" (id bigint generated always as identity primary key, note jsonb, amount numeric(10,2))',
    (
        "insert into sales.\"Order lines\" (note, amount) select jsonb_build_object('text', repeat('a''\\b', n)), n"
        " from generate_series(1, 500) n"
    ),
    'create table sales.customer (id serial primary key, name text not null unique, line bigint references sales."Order lines")',
    "insert into sales.customer (name, line) select 'customer ' || n, n from generate_series(1, 300) n",
    "create materialized view sales.total as select count(*) as lines from sales.customer",
    "create view sales.recent as select * from sales.customer where id > 100",
    "create sequence sales.invoice start 1000",
    "select nextval('sales.invoice') from generate_series(1, 7)",
    "select lo_from_bytea(4711, decode(repeat('00ff', 5000), 'hex'))",
    'alter table sales."Order lines" owner to shop_owner',
    "grant select on sales.customer to \"Web 'app'\"",
)
FACTS = """
    select pg_get_userbyid(datdba), datconnlimit, shobj_description(d.oid, 'pg_database'),
           (select array_agg(e::text order by e::text) from unnest(datacl) e),
           (select array_agg((coalesce(r.rolname, '-'), setconfig)::text order by 1)
            from pg_db_role_setting s left join pg_roles r on r.oid = setrole where setdatabase = d.oid)
    from pg_database d where datname = '{}'
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server with the shop in it."""
    with PostgresServer(17) as server:
        server.execute(
            "create role shop_owner login",
            "create role \"Web 'app'\" login in role shop_owner connection limit 7",
            "create database shop template template0 owner shop_owner connection limit 50",
            "comment on database shop is 'the shop''s \\ own'",
            "alter database shop set work_mem = '8MB'",
            'alter database shop set search_path = sales, "$user", public',
            "alter role \"Web 'app'\" in database shop set lock_timeout = '5s'",
            "revoke connect on database shop from public",
            "grant connect on database shop to \"Web 'app'\" with grant option",
        )
        server.execute(*SHOP, database="shop")
        yield server


@dataclass(frozen=True)
class Hand:
    """What somebody has at hand: a server, stock clients, a folder."""

    server: PostgresServer
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Clients and Python on the path, and where the server is."""
        programs = f"{client_folder(17)}:{Path(sys.executable).parent}:{os.defpath}"
        address = {"PGHOST": self.server.host, "PGPORT": str(self.server.port), "PGUSER": "postgres"}
        return {"PATH": programs, "LC_ALL": "C.UTF-8", "PGPASSWORD": self.server.password} | address

    def dump(self, *options: str, database: str = "shop") -> bytes:
        """Return what pg_dump writes."""
        command = [str(client_folder(17) / "pg_dump"), *options, "-d", database]
        return subprocess.run(command, check=True, capture_output=True, env=self.environment).stdout

    def text(self, database: str) -> list[str]:
        """Return the whole database as pg_dump writes it in SQL, without the words that differ from run to run."""
        lines = self.dump("--no-password", database=database).decode().splitlines()
        return [line for line in lines if not line.startswith(("\\restrict", "\\unrestrict"))]


@pytest.fixture
def hand(server: PostgresServer, tmp_path: Path) -> Hand:
    """Return an empty folder and a server."""
    return Hand(server, tmp_path)


def catalogue_of(server: PostgresServer) -> Catalogue:
    """Return the catalogue of the shop."""
    ((owner, limit, comment, acl, _),) = server.execute(FACTS.format("shop"))
    return Catalogue(
        database=DatabaseFacts(
            name="shop", owner=owner, encoding="UTF8", collation="C", ctype="C", locale_provider="libc", connection_limit=limit,
            acl=tuple(acl), comment=comment,
            settings=(
                RoleSetting(settings=("work_mem=8MB", 'search_path=sales, "$user", public')),
                RoleSetting(role="Web 'app'", settings=("lock_timeout=5s",)),
            ),
        ),
        roles=(
            RoleFacts(name="shop_owner", attributes=("LOGIN",)),
            RoleFacts(name="Web 'app'", attributes=("LOGIN",), member_of=("shop_owner",), connection_limit=7),
        ),
        tables=(
            TableFacts(schema="sales", name="Order lines", rows=500),
            TableFacts(schema="sales", name="customer", rows=300),
            TableFacts(schema="sales", name="total"),
        ),
        large_objects=1,
    )  # fmt: skip


def archives_of(hand: Hand) -> dict[str, bytes]:
    """Return the shop cut as a backup cuts it: schema, one stream of tables in two parts, and the rest."""
    table = '--table=sales."Order lines"'
    data = hand.dump("-Fc", "--compress=zstd:1", "--section=data", table)
    return {
        "schema.pgc": hand.dump("-Fc", "--section=pre-data", "--section=post-data"),
        "data-000.pgc": hand.dump("-Fc", "--section=data", '--exclude-table-data=sales."Order lines"'),
        "data-001.pgc": data[:1000],
        "data-001.pgc.001": data[1000:],
        "catalogue.json": write_catalogue(catalogue_of(hand.server)),
    }


def store_backup(hand: Hand) -> Path:
    """Write an encrypted backup of the shop as it lies in a storage, and return its folder."""
    data_key = DataKey.fresh()
    manifest = Manifest(
        storage_id="6f0d3c5e-8a64-4f0b-9a51-0c6b7a1e2d3f", custody_id="web.shop", backup_id=make_backup_id("shop", NOW),
        attempt="0b9c3f52-6c0e-4a55-8f3a-2f4d5e6a7b8c", name="shop", origin=Origin.MANUAL, scope=Scope.FULL,
        server=ServerFacts(version="17", major_version=17), tool=Tool(name="dbcustody", version="0"),
        client=Tool(name="pg_dump", version="17"), started=NOW, snapshot=NOW, finished=NOW, compression="zstd:1", objects=(),
        encryption=ENCRYPTION_ALGORITHM, table_count=2, row_count=800, generation=1,
    )  # fmt: skip
    place = manifest.place
    folder = hand.folder / attempt_prefix(place.custody_id, place.backup_id, place.attempt)
    folder.mkdir(parents=True)
    objects = []
    for name, plaintext in archives_of(hand).items():
        encryptor = Encryptor(data_key.derive(OBJECT_LABEL, *place.object_context(name)))
        stored = b"".join([encryptor.header, *encryptor.update(plaintext), encryptor.finish()])
        (folder / name).write_bytes(stored)
        objects.append(
            StoredObject(
                name=name,
                bytes=len(stored),
                plaintext_bytes=len(plaintext),
                sha256=sha256(stored).hexdigest(),
                chunks=encryptor.chunk_count,
            )
        )
    closed = wrap_key(data_key, KEY, place.data_key_context("k2026"))
    wrapped = WrappedKey(key_id="k2026", nonce=closed.nonce, wrapped=closed.wrapped, check=closed.check)
    (folder / data_key_object("k2026")).write_bytes(canonical(wrapped))
    manifest = replace(manifest, objects=tuple(objects))
    mac = data_key.mac(MANIFEST_LABEL, place.context, authenticated_text(manifest)).hex()
    (hand.folder / manifest_key(place.custody_id, place.backup_id)).write_bytes(
        write_manifest(replace(manifest, mac=mac))
    )
    return folder.parent


def test_guide_brings_the_database_back(hand: Hand) -> None:
    """Every command of the guide, run in its order, gives a database equal to the one that was dumped, its facts included."""
    backup = store_backup(hand)
    (hand.folder / "key").write_text(KEY.hex())
    shutil.copy(str(decryptor.__file__), hand.folder)
    commands = scripts(GUIDE)
    assert len(commands) == 5
    where = {"BACKUP": str(backup), "KEY_FILE": str(hand.folder / "key"), "NEW_DATABASE": "shop restored"}
    for command in commands:
        done = subprocess.run(
            ["/bin/bash", "-eu", "-o", "pipefail", "-c", command],
            check=False,
            cwd=hand.folder,
            env=hand.environment | where,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, command, done.stderr) == (0, command, done.stderr)
    assert hand.text("shop") == hand.text("shop restored")
    facts = [hand.server.execute(FACTS.format(name)) for name in ("shop", "shop restored")]
    assert facts[0] == facts[1]


def test_guide_makes_the_roles_that_are_missing(hand: Hand) -> None:
    """On another server, where no role exists, the guide's SQL makes them with their attributes and memberships."""
    backup = store_backup(hand)
    key_file = hand.folder / "key"
    key_file.write_bytes(KEY)
    assert (
        decryptor.main(["--backup", str(backup), "--key-file", str(key_file), "--output", str(hand.folder / "opened")])
        == 0
    )
    with PostgresServer(17) as other:
        there = Hand(other, hand.folder)
        script = scripts(GUIDE)[1]
        environment = there.environment | {"NEW_DATABASE": "shop"}
        subprocess.run(
            ["/bin/bash", "-eu", "-c", script], check=True, cwd=hand.folder, env=environment, capture_output=True
        )
        roles = other.execute("select rolname, rolcanlogin, rolconnlimit from pg_roles where oid >= 16384 order by 1")
        members = other.execute(
            "select roleid::regrole::text, member::regrole::text from pg_auth_members where member >= 16384"
        )
    assert roles == [("Web 'app'", True, 7), ("shop_owner", True, -1)]
    assert members == [("shop_owner", "\"Web 'app'\"")]
