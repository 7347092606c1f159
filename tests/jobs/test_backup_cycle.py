"""The whole way: a rich database dumped by the Job, and brought back by hand into an equal one, on every major, in every form."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.policy import Algorithm, Compression, Level, Tables
from dbcustody.jobs.custody import open_storage
from dbcustody.jobs.reading import read_catalogue_of
from dbcustody.jobs.stock import open_data_key
from dbcustody.reason import Reason
from dbcustody.repository.manifest import Scope
from ground.postgres import PostgresServer
from ground.root import client_folder
from ground.s3 import S3Server
from tests.fakes.custodian import KEY, KEYS, Custodian, in_bucket, in_volume
from tests.fakes.homecoming import likeness, restore_by_guide
from tests.fakes.richdb import TABLES, make_rich

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dbcustody.contract import JobResult
    from dbcustody.facts import BackupFacts

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def rich() -> Iterator[Callable[[int], PostgresServer]]:
    """Return a function that starts a server of a major with the rich database `shop` in it, once each."""
    servers: dict[int, PostgresServer] = {}
    with ExitStack() as stack:

        def serve(major: int) -> PostgresServer:
            if major not in servers:
                servers[major] = stack.enter_context(PostgresServer(major))
                make_rich(servers[major], "shop")
            return servers[major]

        yield serve


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """Return a real S3 server."""
    with S3Server() as server:
        yield server


def facts_of(result: JobResult) -> BackupFacts:
    """Return the facts of a backup that succeeded and was read back."""
    assert (result.reason, result.message) == (Reason.SUCCEEDED, result.message)
    assert result.backup is not None
    assert result.backup.verified_level == Level.READ.value
    return result.backup


def folder_of(root: Path, facts: BackupFacts) -> Path:
    """Return the folder of a backup below the *root* of its storage."""
    assert facts.artefact is not None
    return root / "web.shop" / "backups" / facts.artefact.backup_id


def compression(algorithm: Algorithm, level: int = 1) -> Compression:
    """Return a compression."""
    return Compression(algorithm=algorithm, level=level)


@pytest.mark.parametrize(
    ("major", "algorithm", "parallelism", "encrypted", "place"),
    [
        pytest.param(14, Algorithm.ZSTD, 1, True, "volume", id="14-zstd-1-encrypted-volume"),
        pytest.param(14, Algorithm.ZSTD, 3, True, "volume", id="14-zstd-3-encrypted-volume"),
        pytest.param(15, Algorithm.GZIP, 2, True, "bucket", id="15-gzip-2-encrypted-bucket"),
        pytest.param(16, Algorithm.LZ4, 3, False, "volume", id="16-lz4-3-clear-volume"),
        pytest.param(17, Algorithm.ZSTD, 1, True, "volume", id="17-zstd-1-encrypted-volume"),
        pytest.param(17, Algorithm.NONE, 1, False, "bucket", id="17-none-1-clear-bucket"),
        pytest.param(17, Algorithm.LZ4, 2, True, "volume", id="17-lz4-2-encrypted-volume"),
        pytest.param(17, Algorithm.GZIP, 3, True, "bucket", id="17-gzip-3-encrypted-bucket"),
        pytest.param(17, Algorithm.ZSTD, 8, False, "volume", id="17-zstd-8-clear-volume"),
        pytest.param(18, Algorithm.ZSTD, 1, True, "bucket", id="18-zstd-1-encrypted-bucket"),
        pytest.param(18, Algorithm.NONE, 3, True, "volume", id="18-none-3-encrypted-volume"),
    ],
)
@pytest.mark.s3
def test_rich_database_comes_back_equal(
    rich: Callable[[int], PostgresServer], s3: S3Server, tmp_path: Path, request: pytest.FixtureRequest, *,
    major: int, algorithm: Algorithm, parallelism: int, encrypted: bool, place: str,
) -> None:  # fmt: skip
    """Rows, large objects, sequences, definitions, owners, rights and the database's own settings are what they were."""
    server, back = rich(major), f"back-{request.node.callspec.id}"
    with ExitStack() as stack:
        root = tmp_path / "storage"
        root.mkdir()
        open_store = in_volume(root)
        if place == "bucket":
            bucket = s3.make_bucket(request.node.callspec.id)
            root, open_store = s3.folder / "objects" / bucket, stack.enter_context(in_bucket(s3, bucket))
        custodian = Custodian(server=server, open_store=open_store, keys=KEYS if encrypted else None)
        facts = facts_of(custodian.take(parallelism=parallelism, compression=compression(algorithm)))
        (stored,) = custodian.stock().live
    assert (stored.is_good, stored.authenticated, stored.manifest.scope) == (True, encrypted, Scope.FULL)
    assert stored.manifest.compression == ("none" if algorithm is Algorithm.NONE else f"{algorithm.value.lower()}:1")
    archives = sorted(item.name for item in stored.manifest.objects if item.name.endswith(".pgc"))
    cut = [*(f"data-{number:03d}.pgc" for number in range(parallelism + 1)), "schema.pgc"]
    assert archives == (["whole.pgc"] if parallelism == 1 else cut)
    assert facts.tables is not None
    assert facts.tables.count == TABLES
    assert facts.not_captured == (
        "passwords of 3 roles",
        "rows of 1 foreign tables, which lie on other servers",
    )
    restore_by_guide(folder_of(root, facts), server, back, folder=tmp_path / "work", key=KEY if encrypted else None)
    assert likeness(server, back) == likeness(server, "shop")


@pytest.mark.s3
@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "clear"])
def test_archive_goes_on_in_the_next_object(s3: S3Server, tmp_path: Path, *, encrypted: bool) -> None:
    """An archive that is larger than one object may be lies in several, and comes back whole."""
    bucket = s3.make_bucket(f"cut-{encrypted}".lower())
    with PostgresServer(17) as server:
        server.execute("create database shop")
        server.execute(
            "create table t (id int primary key, v bytea)",
            "insert into t select n, decode(repeat(md5(n::text), 100), 'hex') from generate_series(1, 8000) n",
            database="shop",
        )
        with in_bucket(s3, bucket, max_parts=2, part_bytes=5 * 1024 * 1024) as open_store:
            custodian = Custodian(server=server, open_store=open_store, keys=KEYS if encrypted else None)
            facts = facts_of(custodian.take(parallelism=2, compression=compression(Algorithm.NONE)))
            (stored,) = custodian.stock().live
        names = {item.name: item.bytes for item in stored.manifest.objects}
        assert {"data-001.pgc", "data-001.pgc.001", "data-001.pgc.002"} <= names.keys()
        assert max(names.values()) <= 10 * 1024 * 1024
        restore_by_guide(
            folder_of(s3.folder / "objects" / bucket, facts), server, "back", folder=tmp_path / "work", key=KEY if encrypted else None
        )  # fmt: skip
        assert likeness(server, "back") == likeness(server, "shop")


LOCALES = {
    "icu": "locale_provider icu icu_locale 'da-DK' icu_rules '&a < b'",
    "builtin": "locale_provider builtin builtin_locale 'C.UTF-8'",
}


@pytest.mark.parametrize("provider", LOCALES)
def test_locale_of_a_database_comes_back(tmp_path: Path, provider: str) -> None:
    """A database whose strings are compared by ICU, by rules of its own, or by PostgreSQL itself is made the same again."""
    locale = "select datlocprovider, datlocale, daticurules from pg_database where datname = '{}'"
    with PostgresServer(17) as server:
        server.execute(f"create database shop template template0 {LOCALES[provider]}")
        server.execute("create table t (v text)", "insert into t values ('x')", database="shop")
        (tmp_path / "storage").mkdir()
        custodian = Custodian(server=server, open_store=in_volume(tmp_path / "storage"), keys=None)
        facts = facts_of(custodian.take())
        restore_by_guide(folder_of(tmp_path / "storage", facts), server, "back", folder=tmp_path / "work", key=None)
        assert server.execute(locale.format("back")) == server.execute(locale.format("shop"))


ODD_NAMES = [
    "a\r\nb", "c\rd", " lead", "trail ", "tab\t", "#x", 'a"b', "it's", "$$", "*?[]", "end\\", "\\n", "|()+{}", "ÄÖ", "A", "a",
    '"', '""', "x.y", "x", "\n", "\n\n#\n", "include table y", "ß" * 31,
]  # fmt: skip


@pytest.mark.parametrize("client", [17, 18])
@pytest.mark.parametrize("parallelism", [1, 2, 5])
def test_every_name_is_found_by_pg_dump(tmp_path: Path, odd: PostgresServer, parallelism: int, client: int) -> None:
    """Whatever letters a table's name has, its rows lie in exactly one archive, and in that of its own stream."""
    custodian = Custodian(server=odd, open_store=in_volume(tmp_path), clients=(client_folder(client),))
    facts = facts_of(custodian.take(parallelism=parallelism))
    assert facts.tables is not None
    assert (facts.tables.count, facts.tables.rows) == (len(ODD_NAMES), sum(range(1, len(ODD_NAMES) + 1)))


@pytest.fixture(scope="module")
def odd() -> Iterator[PostgresServer]:
    """Return a server with a table for each odd name."""
    with PostgresServer(17) as server:
        server.execute("create database shop")
        for count, name in enumerate(ODD_NAMES, start=1):
            quoted = '"' + name.replace('"', '""') + '"'
            server.execute(
                f"create table {quoted} (a int)",
                f"insert into {quoted} select generate_series(1, {count})",
                database="shop",
            )
        yield server


TAKEN: list[tuple[dict[str, Any], set[str]]] = [
    ({"include": ("web.*",)}, {"web.a", "web.log_1", "web.log_x"}),
    ({"include": ("A?c", "web.log_[0-9]*")}, set()),
    ({"include": ('"A.b"', "web.a")}, {"public.A.b", "web.a"}),
    ({"exclude": ("log_*",)}, {"public.A.b", "web.a", "public.a+b", "hidden.a"}),
    ({"exclude": ("log_[0-9]", "web.*", "a+b")}, {"public.A.b", "public.log_2", "hidden.a", "hidden.log_1"}),
    ({"exclude": ("LOG_1", "hidden.a", '"A.b"')}, {"web.a", "web.log_x", "public.log_2", "public.a+b"}),
    ({"include": ("*.log*",), "exclude": ("web.*", "*_2")}, {"hidden.log_1"}),
]


@pytest.mark.parametrize("parallelism", [1, 2])
@pytest.mark.parametrize(("tables", "taken"), TAKEN, ids=[" ".join(map(str, case[0].values())) for case in TAKEN])
def test_part_of_the_tables(
    chosen: PostgresServer, tmp_path: Path, tables: dict[str, Any], taken: set[str], *, parallelism: int
) -> None:
    """What is asked for is what is counted and what is dumped (verification compares); a wish that fits no table is refused."""
    custodian = Custodian(server=chosen, open_store=in_volume(tmp_path))
    wish = {"tables": Tables(**tables), "parallelism": parallelism}
    if not taken:
        assert custodian.outcome(**wish)[0] is Reason.INVALID_SPEC
        return
    facts = facts_of(custodian.take(**wish))
    (stored,) = custodian.stock().live
    assert stored.manifest.scope is Scope.PARTIAL
    assert facts.tables is not None
    assert facts.tables.count == len(taken)
    storage = open_storage(custodian.tools(), custodian.request())
    key = open_data_key(storage, stored.manifest.place, stored.key_ids)
    found = read_catalogue_of(storage, stored.manifest, key).tables
    assert {f"{table.schema}.{table.name}" for table in found} == taken


@pytest.fixture(scope="module")
def chosen() -> Iterator[PostgresServer]:
    """Return a server with tables in several schemas, one of which no search path shows."""
    with PostgresServer(17) as server:
        server.execute("create database shop")
        server.execute(
            "create schema web; create schema hidden",
            "create table web.a (a serial); create table web.log_1 (a int); create table web.log_x (a int)",
            'create table "A.b" (a int); create table log_2 (a int); create table "a+b" (a int)',
            "create table hidden.a (a int); create table hidden.log_1 (a int)",
            "insert into web.log_1 values (1); insert into hidden.log_1 values (1), (2)",
            database="shop",
        )
        yield server
