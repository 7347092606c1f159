"""`dbcustody verify --level Restore` and `BACKUP_VERIFICATION=Restore`: on a server that is given for it, of which nothing stays behind."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from ground.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Person

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def spare() -> Iterator[PostgresServer]:
    """Return a server where throw-away databases may be made."""
    with PostgresServer(17) as server:
        yield server


@pytest.fixture
def tester(at_folder: Person, spare: PostgresServer) -> Iterator[Person]:
    """Return a person who may test restores; no database and no role may be left by it."""
    before = standing(spare)
    at_folder.variables["RESTORE_TEST_URL"] = f"{spare.url()}?sslmode=disable"
    yield at_folder
    assert standing(spare) == before


def standing(server: PostgresServer) -> list[tuple[str, ...]]:
    """Return the databases and roles of *server*."""
    return server.execute(
        "select datname::text from pg_database union all select rolname::text from pg_roles order by 1"
    )


def level_of(person: Person) -> str:
    """Return the level that the storage remembers of the newest backup."""
    return str(json.loads(person.run("backups", "list", "--json").out)["backups"][-1]["verifiedLevel"])


def test_backup_is_restored_before_it_counts(tester: Person, spare: PostgresServer) -> None:
    """One command takes, reads and restores; it tells how long that took, and the storage remembers."""
    done = tester.run("backup", BACKUP_VERIFICATION="restore")

    assert done.code == 0, done.err
    assert re.search(r"Restore: restored in \d+ s on PostgreSQL 17\.", done.out)
    assert level_of(tester) == "Restore"
    assert spare.password not in done.out + done.err


def test_older_backup_is_restored_later(tester: Person) -> None:
    """What was only read can be restored at any time, without the database that it is of."""
    assert tester.run("backup").code == 0
    done = tester.run("verify", "--level", "Restore")

    assert (done.code, level_of(tester)) == (0, "Restore")
    assert "Restore passed: restored in " in done.out
    assert tester.run("verify", "--level", "Restore").code == 0


def test_test_that_cannot_be_made_is_no_success(tester: Person) -> None:
    """The backup is good and stays; the exit code says that nobody restored it, also to cron."""
    nowhere = "postgresql://postgres@127.0.0.1:1/postgres?sslmode=disable"
    done = tester.run("backup", BACKUP_VERIFICATION="Restore", RESTORE_TEST_URL=nowhere)
    later = tester.run("verify", "--level", "Restore", RESTORE_TEST_URL=nowhere)

    assert (done.code, later.code) == (1, 1)
    assert "the backup is good, but was not restored: TestServerUnavailable" in done.err
    assert "TestServerUnavailable" in later.err
    assert "read and is whole, but not restored" in later.err
    assert level_of(tester) == "Read"


@pytest.mark.parametrize("words", [("backup",), ("verify", "--level", "Restore")], ids=["backup", "verify"])
def test_where_to_restore_must_be_said(at_folder: Person, words: tuple[str, ...]) -> None:
    """No server is guessed, least of all the one that is backed up."""
    done = at_folder.run(*words, BACKUP_VERIFICATION="Restore")

    assert done.code == 64
    assert "RESTORE_TEST_URL: is missing" in done.err
