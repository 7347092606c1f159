"""`dbcustody migrate reset` killed with SIGKILL around its statements: said again, it comes to its end, and the database is what it was."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from dbcustody.jobs.remaking import beside
from ground.postgres import PostgresServer
from tests.fakes.developer import Developer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
_COUNTING: Final = """
import os, runpy, signal, sys
import psycopg
_execute, _count = psycopg.Connection.execute, 0
def execute(self, query, *arguments, **options):
    global _count
    text = query.as_string(self) if hasattr(query, "as_string") else str(query)
    _count += 1
    if (_count, "before") == ({at}, "{when}"):
        os.kill(os.getpid(), signal.SIGKILL)
    result = _execute(self, query, *arguments, **options)
    if (_count, "after") == ({at}, "{when}"):
        os.kill(os.getpid(), signal.SIGKILL)
    print("statement", _count, text[:60].replace(chr(10), " "), file=sys.stderr, flush=True)
    return result
psycopg.Connection.execute = execute
runpy.run_module("dbcustody", run_name="__main__", alter_sys=True)
"""
KILLED: Final = -9
EVERY: Final = pytest.param(1, id="every", marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server with a role that makes databases, one that may not, and one that is a guest."""
    with PostgresServer(17) as started:
        started.execute(*(f"create role {name} login password 'maker-pw'" for name in ("maker", "guest")))
        started.execute("alter role maker createdb")
        yield started


@pytest.fixture
def developer(server: PostgresServer, tmp_path: Path) -> Iterator[Developer]:
    """Return who types."""
    yield Developer(server, tmp_path)
    prepare(server)
    server.execute("drop database shop")


def prepare(server: PostgresServer) -> None:
    """Make a database `shop` with something in it, and much that is said of it."""
    for (name,) in server.execute("select datname::text from pg_database where datname !~ '^(postgres|template.)$'"):
        server.execute(f'drop database "{name}" with (force)')
    server.execute(
        "create database shop owner maker connection limit 17",
        "comment on database shop is 'ours'",
        "revoke all on database shop from public",
        "grant create, connect on database shop to guest",
        "alter database shop set work_mem to '7MB'",
    )
    server.execute(
        "create extension hstore",
        "create table left_over (id int)",
        "grant all on schema public to guest",
        database="shop",
    )


def state(server: PostgresServer) -> list[Any]:
    """Return what the databases are, beside what is in them, and which extensions are in `shop`."""
    rows = server.execute(
        "select datname::text, pg_get_userbyid(datdba)::text, datacl::text, datconnlimit, datallowconn, "
        "shobj_description(oid, 'pg_database'), "
        "(select setconfig::text from pg_db_role_setting where setdatabase = d.oid) from pg_database d "
        "where datname !~ '^(postgres|template.)$' order by 1"
    )
    return [*rows, *server.execute("select extname::text from pg_extension order by 1", database="shop")]


def killed(developer: Developer, at: int, when: str, **variables: str) -> tuple[int, list[str]]:
    """Run a reset that is killed at a statement (0: none); return its exit code and the statements that it finished."""
    done = subprocess.run(
        [sys.executable, "-c", _COUNTING.format(at=at, when=when), "migrate", "reset", "--yes"],
        cwd=developer.folder,
        env=developer.environ(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, re.findall(r"^statement \d+ (.*)$", done.stderr, re.MULTILINE)


def url_of(server: PostgresServer, role: str) -> str:
    """Return the URL of `shop` for *role*."""
    return f"{server.url('shop', user=role, password='maker-pw')}?sslmode=disable"


def window(statements: list[str], first: str, last: str) -> range:
    """Return the numbers of the statements from the first that begins with *first* to the last that begins with *last*."""
    begins = [number for number, one in enumerate(statements, 1) if one.lower().startswith(first)]
    ends = [number for number, one in enumerate(statements, 1) if one.lower().startswith(last)]
    return range(begins[0], ends[-1] + 1)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [pytest.param(4, id="every-fourth"), EVERY])
@pytest.mark.timeout(900)
def test_killed_while_the_database_is_made_again(developer: Developer, when: str, step: int) -> None:
    """Nothing but the contents is lost, and nothing is left beside the database."""
    server = developer.server
    prepare(server)
    before = state(server)
    code, statements = killed(developer, 0, when)
    assert (code, state(server)) == (0, before)
    numbers = window(statements, "create database", "alter database")
    for at in numbers[::step]:
        prepare(server)
        assert killed(developer, at, when)[0] == KILLED
        done = developer.run("migrate", "reset", "--yes")
        assert (done.code, state(server)) == (0, before), (statements[at - 1], done.err)
        assert developer.ask("select to_regclass('left_over') is null and to_regclass('people') is not null") == [True]


def test_between_the_old_one_and_the_new_one_it_is_said_that_there_is_none(developer: Developer) -> None:
    """By every verb, until `reset` is said again, by a role that is no superuser; then the new one has the name."""
    server = developer.server
    prepare(server)
    before, url = state(server), url_of(server, "maker")
    statements = killed(developer, 0, "after", DATABASE_URL=url)[1]
    prepare(server)
    (dropping,) = window(statements, 'drop database "shop"', 'drop database "shop"')
    assert killed(developer, dropping, "after", DATABASE_URL=url)[0] == KILLED

    asked = developer.run("migrate", "status", DATABASE_URL=url)
    assert (asked.code, 'database "shop" does not exist' in asked.err) == (1, True), asked
    done = developer.run("migrate", "reset", DATABASE_URL=url)
    assert (done.code, state(server)) == (0, before), done.err
    assert "is not there, and is made" in done.err


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_it_is_emptied_nothing_is_gone(developer: Developer, when: str) -> None:
    """By a role that may make no database, in one transaction: said again, everything of it goes."""
    server, made = developer.server, "create table people (id int); create schema own; create table own.t (id int)"
    url, left = url_of(server, "guest"), "select to_regclass('own.t') is not null"

    def begin() -> None:
        prepare(server)
        with server.connect("shop", user="guest", password="maker-pw") as session:
            session.execute(made)

    begin()
    numbers = window(killed(developer, 0, when, DATABASE_URL=url)[1], "drop", "drop")
    for at in numbers:
        begin()
        assert killed(developer, at, when, DATABASE_URL=url)[0] == KILLED
        assert developer.ask(left) == [True]
        done = developer.run("migrate", "reset", "--yes", DATABASE_URL=url)
        assert (done.code, developer.ask(left), developer.ask("select to_regclass('left_over') is not null")) == (
            *(0, [False]),
            [True],
        ), done.err


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (f"create database {beside('shop')}", "already exists"),
        ("alter database shop is_template true", "cannot drop a template database"),
    ],
    ids=["not-made", "not-dropped"],
)
def test_what_does_not_work_loses_nothing(developer: Developer, statement: str, words: str) -> None:
    """Neither where the new one cannot be made nor where the old one cannot be dropped; and a database that is not ours is left alone."""
    server = developer.server
    prepare(server)
    server.execute(statement)
    before = state(server)
    done = developer.run("migrate", "reset", "--yes")
    server.execute("alter database shop is_template false")

    assert (done.code, words in done.err, state(server)) == (1, True, before), done.err
    assert developer.ask("select to_regclass('left_over') is not null") == [True]
