"""What the stand-alone command decides itself where the operator has resources: identities, names, clients, and what it points out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.connection import Recognised, recognise
from dbcustody.cli.environment import CONNECTION, read_standalone
from dbcustody.cli.identity import default_custody_id
from dbcustody.cli.standalone import backup_name, client_folders, notices, require_clients, set_up
from dbcustody.contract import Verb
from dbcustody.errors import RefusedError, UnavailableError
from dbcustody.reason import Reason
from dbcustody.repository.layout import check_custody_id, check_name

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 31, 2, tzinfo=UTC)
ATTEMPT = "0b9c3f52-6c0e-4a55-8f3a-2f4d5e6a7b8c"
SETTINGS = {"DATABASE_URL": "postgresql://app@db/shop", "BACKUP_DIR": "/nowhere", "BACKUP_ENCRYPTION_KEY": "c8" * 32}


def database(url: str) -> Recognised:
    """Return the database that *url* means."""
    return recognise({"DATABASE_URL": url}, CONNECTION)


@pytest.mark.parametrize(
    ("url", "custody_id"),
    [
        pytest.param("postgresql://a@db.example.com/shop", "db.example.com.shop", id="host-and-database"),
        pytest.param("postgresql://a@db.example.com:5432/shop", "db.example.com.shop", id="default-port-said"),
        pytest.param("postgresql://a@db:5433/shop", "db-5433.shop", id="another-server-on-the-host"),
        pytest.param("postgresql://a@db/shop?schema=x", "db.shop", id="schema-is-no-identity"),
    ],
)
def test_plain_names_are_the_identity(url: str, custody_id: str) -> None:
    """Host and database are the identity as they stand, and a server on another port is another one."""
    assert default_custody_id(database(url)) == custody_id


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("postgresql://a@db/Shop", id="capital"),
        pytest.param("postgresql://a@db/sh%20op", id="space"),
        pytest.param("postgresql://a@db/sh%2Fop", id="slash"),
        pytest.param("postgresql://a@db/..", id="dots"),
        pytest.param("postgresql://a@[fe80::1]/shop", id="ipv6"),
        pytest.param("postgresql://a@/shop?host=/var/run/postgresql", id="socket"),
        pytest.param("postgresql://a@one,two/shop", id="several-hosts"),
        pytest.param(f"postgresql://a@{'h' * 120}.example.com/shop", id="too-long"),
        pytest.param("postgresql://a@db/%E2%82%AC", id="no-letter-fits"),
    ],
)
def test_odd_names_are_made_to_fit_and_stay_apart(url: str) -> None:
    """What cannot stand in a storage is replaced, the same way every time, and never becomes another database's identity."""
    fitted = default_custody_id(database(url))

    assert check_custody_id(fitted) == fitted
    assert fitted == default_custody_id(database(url))
    assert fitted not in {"db.shop", default_custody_id(database("postgresql://a@db/sh-op"))}


def test_names_that_differ_in_case_only_are_two_identities() -> None:
    """PostgreSQL knows `Shop` and `SHOP` apart, so do the backups."""
    assert len({default_custody_id(database(f"postgresql://a@db/{name}")) for name in ("shop", "Shop", "SHOP")}) == 3


def test_unnamed_backups_get_names_that_sort_and_differ() -> None:
    """The name carries database and time in UTC, fits the storage, and differs for two runs of one second."""
    found = database("postgresql://a@db/Web%20Shop")
    there = NOW.astimezone(timezone(timedelta(hours=2)))
    names = [backup_name(found, "x", attempt=attempt, now=there) for attempt in (ATTEMPT, "1" + ATTEMPT[1:])]

    assert names == ["web-shop-20260131t020000z-0b9c", "web-shop-20260131t020000z-1b9c"]
    assert [check_name(name) for name in names] == names
    assert check_name(backup_name(database(f"postgresql://a@db/{'x' * 63}"), "x", attempt=ATTEMPT, now=NOW))
    assert backup_name(None, "web.shop", attempt=ATTEMPT, now=NOW) == "web-shop-20260131t020000z-0b9c"


def test_clients_are_looked_for_where_it_was_said_and_nowhere_else(tmp_path: Path) -> None:
    """DBCUSTODY_CLIENTS is the only word when it is there; else folders of the PATH with a pg_dump count too."""
    has, lacks = tmp_path / "has", tmp_path / "lacks"
    for folder in (has, lacks):
        folder.mkdir()
    (has / "pg_dump").touch()
    path = {"PATH": f"{has}:{lacks}:"}

    assert client_folders(read_standalone(SETTINGS | {"DBCUSTODY_CLIENTS": "/a:/b"}), path) == (
        tmp_path.joinpath("/a"),
        tmp_path.joinpath("/b"),
    )
    found = client_folders(read_standalone(SETTINGS), path)
    assert has in found
    assert lacks not in found


def test_no_client_at_all_is_said_with_where_was_looked(tmp_path: Path) -> None:
    """Without pg_dump nothing is begun, and the message says how to get one."""
    settings = read_standalone(SETTINGS | {"DBCUSTODY_CLIENTS": str(tmp_path)})

    with set_up(settings, {}) as bench, pytest.raises(RefusedError, match=re.escape(str(tmp_path))) as caught:
        require_clients(bench.tools)
    assert caught.value.reason is Reason.VERSION_UNSUPPORTED


def test_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """A mount that is missing must not become a folder on the wrong disk."""
    missing = tmp_path / "mount"
    settings = read_standalone(SETTINGS | {"BACKUP_DIR": str(missing)})

    with set_up(settings, {}) as bench, pytest.raises(UnavailableError, match="BACKUP_DIR") as caught:
        bench.tools.store()
    assert caught.value.reason is Reason.STORAGE_UNREACHABLE
    assert not missing.exists()


def test_request_is_one_that_a_job_would_get() -> None:
    """The request carries the settings, names no owner of a cluster, and reading verbs may promise to write nothing."""
    settings = read_standalone(
        SETTINGS | {"BACKUP_ROW_COUNTS": "none", "BACKUP_WAIT_SECONDS": "5", "BACKUP_PARALLELISM": "3"}
    )
    with set_up(settings, {}) as bench:
        request = bench.request(Verb.BACKUP, name="nightly")

    assert (request.custody_id, request.namespace, request.name) == ("db.shop", "standalone", "nightly")
    assert request.options is not None
    assert request.options.parallelism == 3
    assert (request.options.row_counts.value, request.options.starting_deadline_seconds) == ("None", 5)
    assert request.storage is not None
    assert request.storage.access_mode.value == "ReadWrite"
    looking = bench.request(Verb.SETTLE, read_only=True).storage
    assert looking is not None
    assert looking.access_mode.value == "ReadOnly"


def test_what_a_url_says_and_nobody_acts_on_is_pointed_out() -> None:
    """Prisma's parameters are named as what they are, unknown ones too, a weak sslmode is said to be raised; no secret is in it."""
    url = "postgresql://app:c4nary@db/shop?schema=web&connection_limit=5&pool_timeout=3&sslmode=prefer&statement_cache_size=0"
    said = notices(database(url))

    assert [line for line in said if "Prisma" in line] == [
        "DATABASE_URL: schema=web is where Prisma works; a backup takes every schema",
        "DATABASE_URL: connection_limit, pool_timeout: for Prisma's pool; a backup opens connections of its own",
    ]
    assert "DATABASE_URL: nothing is done about statement_cache_size" in said
    assert any("Require is used" in line for line in said)
    assert not any("c4nary" in line for line in said)
    assert notices(None) == ()
