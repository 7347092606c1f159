"""`dbcustody restore --replace` as a person types it: the backup is where the database was, and the database is open, however it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
from dataclasses import replace
from subprocess import PIPE
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from dbcustody.plan.imprint import ready
from ground.process import wait_until
from tests.cli.conftest import COMMAND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ground.postgres import PostgresServer
    from tests.cli.conftest import Outcome, Person

pytestmark = pytest.mark.postgres
STATE: Final = "select datname, datallowconn from pg_database where not datistemplate and datname not in ('postgres', 'shop', 'slow')"
LOCK_CLASS: Final = 0x64626375


@pytest.fixture(scope="module", autouse=True)
def _roles(server: PostgresServer) -> Iterator[None]:
    server.execute("create role till_owner", "create role clerk login createdb password 'clerk-pw'")
    yield
    server.execute("drop role till_owner", "drop role clerk")


@pytest.fixture
def person(at_folder: Person, server: PostgresServer) -> Iterator[Person]:
    """Return a person with a database `till` whose backup `good` has one row, and which says something else by now."""
    server.execute("create database till owner till_owner")
    server.execute("create table said (word text)", "insert into said values ('good')", database="till")
    url = f"{server.url('till')}?sslmode=disable"
    person = replace(at_folder, variables={**at_folder.variables, "DATABASE_URL": url})
    done = person.run("backup", "--name", "good")
    assert done.code == 0, done.err
    server.execute("update said set word = 'spoilt'", database="till")
    yield person
    for name, _ in server.execute(STATE):
        server.execute(f'drop database "{name}" with (force)')


@pytest.fixture
def confirm(server: PostgresServer) -> str:
    """Return the text that confirms a replacement of `till`."""
    (identifier,) = server.execute("select system_identifier::text from pg_control_system()")[0]
    return f"till@{identifier}"


def words(server: PostgresServer, database: str = "till") -> list[str]:
    """Return what the rows say; raises when the database lets nobody in."""
    return [word for (word,) in server.execute("select word from said", database=database)]


def others(server: PostgresServer) -> dict[str, bool]:
    """Return whether each database besides `till` lets others in."""
    return {name: bool(is_open) for name, is_open in server.execute(STATE) if name != "till"}


def told_commands(done: Outcome) -> list[list[str]]:
    """Return the commands that *done* tells, as they can be typed."""
    return [shlex.split(line)[1:] for line in re.findall(r"dbcustody restore --\S+ .*", done.out)]


def test_the_backup_is_where_the_database_was(person: Person, server: PostgresServer, confirm: str) -> None:
    """What is told afterwards can be typed as it stands: taken back, and dropped."""
    done = person.run("restore", "good", "--replace", "--confirm", confirm)

    assert (done.code, words(server)) == (0, ["good"]), done.err
    (old,) = others(server)
    assert old.startswith("till_replaced_")
    assert others(server) == {old: False}
    assert done.out.splitlines()[0] == "replaced till by good: 1 tables, 1 rows, compared and equal"
    assert re.search(rf"old database +{old}, shut; to be kept until 20\S+Z", done.out)
    undo, drop = told_commands(done)
    listed = json.loads(person.run("backups", "list", "--json").out)["backups"]
    assert [(one["name"][:15], one["good"], one["verifiedLevel"]) for one in listed[1:]] == [
        ("before-restore-", True, "Read")
    ]
    assert listed[1]["name"] in done.out
    assert "remembered as: dbcustody restore 20" in done.err

    back = person.run(*undo)
    assert (back.code, words(server)) == (0, ["spoilt"]), back.err
    assert f"till is again what was put away as {old}" in back.out
    (undone,) = others(server)
    assert (undone != old, others(server)) == (True, {undone: False})
    assert person.run(*undo).code == 1
    assert person.run(*drop).code == 1
    again = person.run("restore", "--undo", "--last", "--confirm", confirm, "--keep-old", "0")
    assert (again.code, words(server), others(server)) == (0, ["good"], {}), again.err
