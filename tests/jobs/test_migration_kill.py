"""A runner killed with SIGKILL around its statements: ledger and catalogue agree, the next run finishes, nothing is done twice."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.ledger import read_attempts
from dbcustody.migration.ledger import repeated
from ground.postgres import PostgresServer
from ground.process import wait_until
from tests.fakes.migrator import SLOW, Migrator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
FILES = {
    "20261101_120000_begin.sql": "create table people (id int, age int); insert into people values (1, 1);",
    "20261102_120000_more.sql": "insert into people values (2, 2); insert into people values (3, 3);",
    "20261103_120000_by_age.sql": "create index concurrently people_by_age on people (age);",
    "20261104_120000_last.sql": "drop index concurrently people_by_age;",
    "20261105_120000_end.sql": "insert into people values (4, 4);",
}
HELD = """
create function public.held(age int) returns int immutable language plpgsql
    as $$ begin perform pg_advisory_xact_lock_shared(7); return age; end $$
"""
"""An index on what it returns is not finished while somebody has lock number 7; who has it is in nobody's way before."""
LEAST_POINTS = 20
RUNNERS = "select query from pg_stat_activity where application_name like 'dbcustody migrate%'"
"""What runners are at; one that was killed goes on until the server notices, and might finish if nothing held it up until then."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


def prepare(server: PostgresServer) -> Migrator:
    """Return who migrates a new database."""
    server.execute("drop database if exists shop with (force)", "create database shop")
    return Migrator.of(server, FILES)


def run(migrator: Migrator, folder: Path, *, at: int, when: str) -> tuple[int, int]:
    """Run a process that is killed at a statement; returns its exit code and how many statements it finished."""
    with migrator.start(folder, run=uuid4(), at=at, when=when) as process:
        said = process.communicate()[1]
    return process.returncode, len(re.findall(r"^statement ", said, re.MULTILINE))


def is_sound(server: PostgresServer, migrator: Migrator) -> bool:
    """Return whether everything was done, and nothing twice."""
    with connect(migrator.target) as session:
        attempts = read_attempts(session)
    rows = server.execute("select id from public.people order by id", database="shop")
    left = server.execute("select count(*) from pg_index where indrelid = 'public.people'::regclass", database="shop")
    return (rows, left, repeated(attempts)) == ([(1,), (2,), (3,), (4,)], [(0,)], ())


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_at_every_statement(server: PostgresServer, tmp_path: Path, when: str) -> None:
    """At least twenty points, and after each the next run finishes what was begun."""
    migrator = prepare(server)
    code, statements = run(migrator, tmp_path / "whole", at=0, when=when)
    assert (code, statements >= LEAST_POINTS, is_sound(server, migrator)) == (0, True, True)
    for at in range(1, statements + 1):
        killed_at(server, tmp_path, at=at, when=when)


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_some_statements(server: PostgresServer, tmp_path: Path, when: str) -> None:
    """The same, at some of them, from the ledger's making to the end."""
    statements = run(prepare(server), tmp_path / "whole", at=0, when=when)[1]
    for at in range(statements // 6, statements + 1, statements // 6):
        killed_at(server, tmp_path, at=at, when=when)


def killed_at(server: PostgresServer, tmp_path: Path, *, at: int, when: str) -> None:
    """Kill a run at a statement, and look what the next one makes of it."""
    migrator = prepare(server)
    assert run(migrator, tmp_path / f"{when}-{at}", at=at, when=when)[0] == -signal.SIGKILL

    history = migrator.migrate()

    assert (history.pending, history.differences, is_sound(server, migrator)) == ((), (), True), at


def test_killed_while_an_index_is_built(server: PostgresServer, tmp_path: Path) -> None:
    """It is there and invalid; the next run clears it away and builds it."""
    migrator = prepare(server)
    index = "20261103_120000_by_age.sql"
    migrator.files = {name: text for name, text in FILES.items() if name < index}
    server.execute(HELD, database="shop")
    migrator.migrate()
    migrator.files[index] = "create index concurrently people_by_age on people (held(age));"
    invalid = "select 1 from pg_index where indexrelid = to_regclass('public.people_by_age') and not indisvalid"
    valid = invalid.replace("not indisvalid", "indisvalid")
    with server.connect("shop") as holder:
        holder.execute("select pg_advisory_lock(7)")
        with migrator.start(tmp_path / "files", run=uuid4()) as process:
            assert wait_until(lambda: bool(server.execute(invalid, database="shop")), 60)
            process.kill()
            process.communicate()
        assert wait_until(lambda: server.execute(RUNNERS) == [], 60)
        assert server.execute(invalid, database="shop") == [(1,)]

    history = migrator.migrate()

    assert (history.pending, history.differences) == ((), ())
    assert [len(server.execute(words, database="shop")) for words in (invalid, valid)] == [0, 1]


BROKEN_OFF = {
    "reindex": (
        "create index people_by_age on people (slow(age));",
        "reindex index concurrently people_by_age;",
        "select count(*) filter (where indisvalid), count(*) from pg_index where indrelid = 'public.people'::regclass",
        (1, 1),
    ),
    "validate": (
        "alter table people add constraint aged check (slow(age) > 0) not valid;",
        "alter table people validate constraint aged;",
        "select convalidated, count(*) over () from pg_constraint where conname = 'aged'",
        (True, 1),
    ),
    "update": (
        "alter table people add column seen int;",
        "update people set age = slow(age) + 1;",
        "select min(age), max(age - id) from public.people",
        (2, 1),
    ),
}
"""What is there before, what is broken off, and what must hold once the next run has finished."""


@pytest.mark.parametrize("what", BROKEN_OFF)
def test_killed_within_a_statement(server: PostgresServer, tmp_path: Path, what: str) -> None:
    """Nothing of it is left, the next run does it, and once."""
    before, statement, query, expected = BROKEN_OFF[what]
    migrator = prepare(server)
    migrator.files = {
        "20261101_120000_begin.sql": FILES["20261101_120000_begin.sql"],
        "20261102_120000_before.sql": before,
    }
    server.execute(SLOW, database="shop")
    migrator.migrate()
    migrator.files["20261103_120000_long.sql"] = statement
    with server.connect("shop") as holder:
        holder.execute("select pg_advisory_lock(8)")
        with migrator.start(tmp_path / "files", run=uuid4()) as process:
            assert wait_until(lambda: (statement.rstrip(";"),) in server.execute(RUNNERS), 60)
            process.kill()
            process.communicate()
        assert wait_until(lambda: server.execute(RUNNERS) == [], 60)

    history = migrator.migrate()

    assert (history.pending, history.differences, len(history.applied)) == ((), (), 3)
    assert server.execute(query, database="shop") == [expected]
    with connect(migrator.target) as session:
        assert repeated(read_attempts(session)) == ()
