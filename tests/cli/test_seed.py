"""`dbcustody seed` as developers type it, on a real server: each file once, and the command of the project behind them."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from ground.postgres import PostgresServer
from tests.fakes.developer import Developer
from tests.fakes.typist import BEGIN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
ROWS = "select id from people order by id"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def developer(server: PostgresServer, tmp_path: Path) -> Iterator[Developer]:
    """Return who types, with a new database that has the table."""
    server.execute("create database shop")
    server.execute("create table people (id int primary key, age int)", database="shop")
    yield Developer(server, tmp_path)
    server.execute("drop database shop with (force)")


def test_each_seed_runs_once(developer: Developer) -> None:
    """The second time nothing happens; a new one runs."""
    developer.seed("10_people.sql", "insert into people values (1);\ninsert into people values (2);\n")
    first, second = developer.run("seed"), developer.run("seed")
    developer.seed("20_more.sql", "insert into people values (3);")
    third = developer.run("seed", "--json")

    assert [(one.code, one.out) for one in (first, second)] == [
        (0, "1 seeds ran, 0 had run before\n"),
        (0, "0 seeds ran, 1 had run before\n"),
    ]
    assert json.loads(third.out) == {"ran": ["20_more.sql"], "before": ["10_people.sql"], "command": None}
    assert developer.ask(ROWS) == [1, 2, 3]
    assert developer.run("migrate", "status").code == 2, "seeds are no migrations, and history says nothing of them"


def test_a_changed_seed_is_told_and_not_run(developer: Developer) -> None:
    """Nor anything beside it, before somebody says so; then it runs as it is now."""
    developer.seed("people.sql", "insert into people values (1);")
    developer.run("seed")
    developer.seed("people.sql", "insert into people values (2);")
    developer.seed("more.sql", "insert into people values (3);")
    told, before = developer.run("seed"), developer.ask(ROWS)
    again = developer.run("seed", "--again")

    assert (told.code, "people.sql: changed since it ran here" in told.err, before) == (7, True, [1])
    assert (again.code, developer.ask(ROWS)) == (0, [1, 2, 3])
    assert developer.run("seed").out == "0 seeds ran, 2 had run before\n"


def test_a_seed_that_fails_is_not_in(developer: Developer) -> None:
    """File and line are told and no value; what ran before it stays, and corrected it runs."""
    developer.seed("1.sql", "insert into people values (1);")
    developer.seed("2.sql", "insert into people values (7);\n\ninsert into people values (7);")
    failed = developer.run("seed")
    developer.seed("2.sql", "insert into people values (8);")

    assert (failed.code, "2.sql: line 3: " in failed.err, "(7)" in failed.err) == (1, True, False)
    assert developer.ask(ROWS) == [1]
    assert (developer.run("seed").code, developer.ask(ROWS)) == (0, [1, 8])


def test_every_fault_is_told_and_nothing_runs(developer: Developer) -> None:
    """The lexer is that of migrations."""
    developer.seed("1.sql", "insert into people values (1);")
    developer.seed("2.sql", "copy people from stdin;\n")
    developer.seed("3.sql", "vacuum people;\n")
    told = developer.run("seed")
    assert (told.code, developer.ask(ROWS)) == (1, [])
    assert [word for word in ("2.sql: line 1", "3.sql: line 1", "SourceInvalid") if word not in told.err] == []


def test_files_that_are_named_run_instead_of_the_folder(developer: Developer) -> None:
    """Also from elsewhere; one that is not there is a usage error."""
    developer.seed("folder.sql", "insert into people values (1);")
    (developer.folder / "mine.sql").write_text("insert into people values (2);")
    assert developer.run("seed", "--file", "mine.sql").code == 0
    assert (developer.run("seed", "--file", "gone.sql").code, developer.ask(ROWS)) == (64, [2])
    assert developer.run("seed", "--dir", "nowhere").code == 64


def test_with_nothing_to_do_it_says_so(developer: Developer) -> None:
    """And is no failure."""
    done = developer.run("seed")
    assert (done.code, done.out.startswith("no seeds: ")) == (0, True)
    assert developer.ask("select to_regnamespace('dbcustody') is null") == [True]


def test_the_command_finds_the_database_in_its_environment_alone(developer: Developer) -> None:
    """It runs behind the files and each time, gets the words behind `--`, and its exit status is ours."""
    developer.seed("1.sql", "insert into people values (1);")
    words = 'echo "$0 $@" >> said; env | grep -c ^DATABASE_URL= >> said; exit 7'
    command = f"sh -c '{words}' name"
    first = developer.run("seed", "--", "a b", "--flag", DBCUSTODY_SEED_COMMAND=command)
    second = developer.run("seed", DBCUSTODY_SEED_COMMAND="true")

    assert (first.code, "exit status 7" in first.err, developer.ask(ROWS)) == (7, True, [1])
    assert (developer.folder / "said").read_text() == "name a b --flag\n1\n"
    assert (second.code, "the seed command is done" in second.out) == (0, True)
    assert developer.run("seed", DBCUSTODY_SEED_COMMAND="kill -9 $$").code == 128 + 9


def test_production_is_refused_unless_it_is_said(developer: Developer) -> None:
    """A word in the environment, or a resource that has migrated the database."""
    developer.seed("1.sql", "insert into people values (1);")
    refused = developer.run("seed", DBCUSTODY_ENVIRONMENT="Production")
    wrong = developer.run("seed", DBCUSTODY_ENVIRONMENT="prod")
    before = developer.ask(ROWS)
    said = developer.run("seed", "--in-production", DBCUSTODY_ENVIRONMENT="Production")
    assert [(one.code, "DBCUSTODY_ENVIRONMENT" in one.err) for one in (refused, wrong)] == [(64, True), (64, True)]
    assert (before, said.code, developer.ask(ROWS)) == ([], 0, [1])


def test_what_a_resource_migrates_is_no_laptops(developer: Developer) -> None:
    """Unless somebody says that it is one for development; one for staging is others' as well."""
    developer.seed("1.sql", "insert into people values (1);")
    (developer.files / f"{BEGIN}.sql").write_text("create table other ();")
    developer.run("migrate", "deploy")
    forged = (
        "insert into dbcustody.attempt (run, revision, name, direction, sha256, body, tool, actor) select "
        "gen_random_uuid(), revision, name, 'Mark', sha256, body, tool, 'DatabaseMigration shop/main' from dbcustody.attempt limit 1"
    )
    developer.server.execute(forged, database="shop")
    refused = [developer.run("seed"), developer.run("seed", DBCUSTODY_ENVIRONMENT="Staging")]
    reset = developer.run("migrate", "reset", "--yes", DBCUSTODY_ENVIRONMENT="Staging")
    before = developer.ask(ROWS)
    allowed = developer.run("seed", DBCUSTODY_ENVIRONMENT="development")
    told = [(one.code, "DatabaseMigration shop/main" in one.err) for one in (*refused, reset)]
    assert (told, before) == ([(64, True)] * 3, [])
    assert (allowed.code, developer.ask(ROWS)) == (0, [1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_when_told_to_stop_nothing_of_the_seed_is_in(developer: Developer, number: signal.Signals) -> None:
    """And no session is left at work."""
    developer.seed("1.sql", "insert into people values (1); select pg_sleep(100);")
    process = developer.start("seed")
    while not developer.ask("select 1 from pg_stat_activity where state = 'active' and query like 'select pg_sleep%'"):
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, "nothing of it is in" in err, developer.ask(ROWS)) == (130, True, [])


def test_a_command_that_runs_is_told_to_stop_too(developer: Developer) -> None:
    """And whatever it started."""
    process = developer.start("seed", DBCUSTODY_SEED_COMMAND="echo $$ > pid; sleep 100")
    while not (developer.folder / "pid").exists() or not (developer.folder / "pid").read_text():
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, "was told to stop, and has ended" in err) == (130, True)
