"""`dbcustody migrate diff` as developers type it: every kind of side against every other, on real servers, with nothing left behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ground.postgres import PostgresServer, server_folder
from tests.fakes.developer import MODELS, Developer, room

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
SAME = "create table people (id int primary key, age int)"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Return where throw-away servers of the test lie, and no others."""
    with room() as folder:
        yield folder


@pytest.fixture
def developer(server: PostgresServer, tmp_path: Path, temporary: Path) -> Iterator[Developer]:
    """Return who types, with a new database, and models of the table that the migrations make."""
    server.execute("create database shop", "create database other")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "models.py").write_text(MODELS.format(more=""))
    typist = Developer(server, tmp_path, DBCUSTODY_SERVERS=str(server_folder(17) / "bin"), TMPDIR=str(temporary))
    typist.variables["OTHER_URL"] = f"{server.url('other')}?sslmode=disable"
    typist.variables["SHOP_URL"] = f"{server.url('shop')}?sslmode=disable"
    yield typist
    server.execute("drop database shop with (force)", "drop database other with (force)")


MODEL = "models:app.models:Base.metadata"


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        pytest.param(("empty", "empty"), None, id="empty-empty"),
        pytest.param(("empty", MODEL), "CREATE TABLE people", id="empty-models"),
        pytest.param(("empty", "migrations"), "CREATE TABLE people", id="empty-migrations"),
        pytest.param(("empty", "env:SHOP_URL"), "CREATE TABLE people", id="empty-database"),
        pytest.param(("migrations", MODEL), None, id="migrations-models"),
        pytest.param(("migrations", "env:SHOP_URL"), None, id="migrations-database"),
        pytest.param(("migrations", "empty"), "DROP TABLE people", id="migrations-empty"),
        pytest.param((MODEL, "migrations"), None, id="models-migrations"),
        pytest.param((MODEL, "env:SHOP_URL"), None, id="models-database"),
        pytest.param(("env:SHOP_URL", MODEL), None, id="database-models"),
        pytest.param(("env:SHOP_URL", "migrations"), None, id="database-migrations"),
        pytest.param(("env:SHOP_URL", "env:OTHER_URL"), "DROP TABLE people", id="database-database"),
        pytest.param(("env:OTHER_URL", "env:SHOP_URL"), "CREATE TABLE people", id="database-database-back"),
    ],
)
def test_each_side_against_each(
    developer: Developer, temporary: Path, sides: tuple[str, str], expected: str | None
) -> None:
    """Nothing is left of a server that was started, and what is written as SQL can be read by the lexer of migrations."""
    developer.simplify()
    developer.server.execute(SAME, database="shop")
    done = developer.run("migrate", "diff", "--from", sides[0], "--to", sides[1], "--exit-code")
    assert done.code == (2 if expected else 0), done.err
    assert (expected or "no difference") in done.out
    assert "not compared: names that changed" in done.out
    assert list(temporary.iterdir()) == []


def test_the_sql_does_what_it_says(developer: Developer) -> None:
    """Carried out, no difference is left."""
    developer.simplify()
    written = developer.run(
        "migrate", "diff", "--from", "env:OTHER_URL", "--to", MODEL, "--script", "--output", "up.sql"
    )
    text = (developer.folder / "up.sql").read_text()
    developer.server.execute(text, database="other")
    after = developer.run("migrate", "diff", "--from", "env:OTHER_URL", "--to", MODEL, "--exit-code")
    again = developer.run("migrate", "diff", "--from", "env:OTHER_URL", "--to", MODEL, "--script", "--output", "up.sql")

    assert (written.code, written.out, after.code) == (0, "up.sql\n", 0), after.out
    assert (again.code, (developer.folder / "up.sql").read_text() == text) == (64, True)


def test_what_loses_data_is_marked(developer: Developer) -> None:
    """For people, in the SQL, and for programs."""
    developer.simplify()
    developer.server.execute(SAME, "alter table people add column secret text", database="shop")
    words = ("migrate", "diff", "--from", "env:SHOP_URL", "--to", MODEL)
    shown, script, told = developer.run(*words), developer.run(*words, "--script"), developer.run(*words, "--json")
    drop = "ALTER TABLE people DROP COLUMN secret"
    assert f"! {drop}\n" in shown.out
    assert f"-- loses data: {drop}\n{drop};" in script.out
    assert json.loads(told.out)["losses"] == [drop]
    written = developer.run(*words, "--json", "--output", "told.json")
    assert json.loads(written.out) == {"files": ["told.json"]}
    assert json.loads((developer.folder / "told.json").read_text()) == json.loads(told.out)


def test_a_password_in_the_words_is_refused(developer: Developer) -> None:
    """And it is said where to put it; nothing of it is printed."""
    url = f"{developer.server.url('shop')}?sslmode=disable"
    for words in (("--from", url, "--to", "empty"), ("--from", "empty", "--to", "empty", "--dev-url", url)):
        done = developer.run("migrate", "diff", *words)
        assert (done.code, "can be read by everybody" in done.err) == (64, True)


@pytest.mark.parametrize(
    ("side", "word"),
    [
        ("nonsense", "must be empty, migrations"),
        ("env:NOT_SET", "NOT_SET"),
        ("models:app.models", "package.module:Base.metadata"),
        ("models:app.gone:Base", "cannot be imported"),
        ("models:app.models:Nobody", "there is no Nobody"),
        ("models:app.models:Person.age", "must be the MetaData"),
    ],
)
def test_what_is_no_side_is_told(developer: Developer, side: str, word: str) -> None:
    """With what it must be."""
    done = developer.run("migrate", "diff", "--from", side, "--to", "empty")
    assert (done.code, word in done.err) == (64, True), done.err


def test_a_broken_file_is_told_with_its_line(developer: Developer) -> None:
    """Nothing is compared then."""
    developer.write("20261103_120000_broken", "select 1;\nselect nonsense;\n")
    done = developer.run("migrate", "diff", "--from", "migrations", "--to", "empty")
    assert (done.code, "20261103_120000_broken.sql: line 2: " in done.err) == (1, True), done.err
    assert "replayed from nothing" in done.err


def test_an_extension_that_is_not_there_is_no_difference(developer: Developer) -> None:
    """It is said that nothing could be compared."""
    developer.write("20261103_120000_far", "-- dbcustody: requires nowhere\nselect 1;\n")
    done = developer.run("migrate", "diff", "--from", "migrations", "--to", "empty")
    assert (done.code, "ExtensionsMissing: extension nowhere" in done.err) == (1, True), done.err


def test_without_a_server_of_that_major_it_is_said_where_was_looked(developer: Developer) -> None:
    """And what helps."""
    done = developer.run(
        "migrate", "diff", "--from", "migrations", "--to", "empty", DBCUSTODY_SERVERS="/nowhere", PATH="/usr/bin"
    )
    assert done.code == 1
    told = ("there is no PostgreSQL 17 to start", "/nowhere", "DBCUSTODY_SERVERS", "DBCUSTODY_DEV_DATABASE_URL")
    assert [word for word in told if word not in done.err] == []


def test_a_server_that_is_named_is_used_and_left_as_it_was(developer: Developer) -> None:
    """Also that of the database itself; what a killed run left there is dropped by the next."""
    developer.simplify()
    developer.server.execute("create database dbcustody_dev_000000000000")
    dev = f"{developer.server.url('postgres')}?sslmode=disable"
    words = ("migrate", "diff", "--from", "migrations", "--to", MODEL, "--exit-code")
    done = developer.run(*words, DBCUSTODY_DEV_DATABASE_URL=dev, DBCUSTODY_SERVERS="/nowhere")
    refused = developer.run(*words, DBCUSTODY_DEV_DATABASE_URL=dev, DBCUSTODY_ENVIRONMENT="Production")

    names = [row[0] for row in developer.server.execute("select datname from pg_database where datname like 'dbc%'")]
    assert (done.code, names) == (0, []), done.err
    assert (refused.code, "is the server of a Production database" in refused.err) == (1, True), refused.err


def test_a_database_that_is_compared_is_read_only(developer: Developer) -> None:
    """Not even a ledger is made in it."""
    developer.server.execute("alter database shop set default_transaction_read_only = on")
    done = developer.run("migrate", "diff", "--from", "env:SHOP_URL", "--to", MODEL)
    assert (done.code, developer.ask("select to_regnamespace('dbcustody') is null")) == (0, [True]), done.err
