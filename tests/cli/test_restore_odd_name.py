"""A database whose name has quotes, capitals, blanks and other alphabets: its place is taken and given back like any other's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ground.postgres import PostgresServer
    from tests.cli.conftest import Person

pytestmark = pytest.mark.postgres
NAME: Final = 'We"ird Shöp; drop=1'
IDENTIFIER: Final = '"We""ird Shöp; drop=1"'
IN_URL: Final = quote(NAME, safe="")
_CONFIRM: Final = f"select '{NAME}@' || system_identifier || '/' || oid from pg_control_system(), pg_database where datname = '{NAME}'"  # noqa: S608 - our own name
_OTHERS: Final = f"select datname from pg_database where datname like '{NAME}%' order by 1"  # noqa: S608 - our own name


@pytest.fixture
def odd(server: PostgresServer, at_folder: Person) -> Iterator[dict[str, str]]:
    """Return the way to the database with the odd name, which has 100 rows."""
    server.execute(f"create database {IDENTIFIER}")
    server.execute("create table kept (n int)", "insert into kept select generate_series(1, 100)", database=IN_URL)
    yield {"DATABASE_URL": f"{server.url(IN_URL)}?sslmode=disable"}
    assert all(process.poll() is not None for process in at_folder.started)
    for (name,) in server.execute(_OTHERS):
        doubled = name.replace('"', '""')
        server.execute(f'drop database "{doubled}" with (force)')


def test_its_place_is_taken_and_given_back(odd: dict[str, str], at_folder: Person, server: PostgresServer) -> None:
    """The rows of the backup, and then those of before the swap; what is told to type is quoted for a shell."""

    def rows() -> int:
        return int(server.execute("select count(*) from kept", database=IN_URL)[0][0])

    def confirm() -> str:
        return str(server.execute(_CONFIRM)[0][0])

    assert at_folder.run("backup", "--name", "good", **odd).code == 0
    server.execute("delete from kept where n > 10", database=IN_URL)
    done = at_folder.run("restore", "good", "--replace", "--confirm", confirm(), **odd)
    assert (done.code, rows()) == (0, 100), done.err
    assert f"--confirm '{confirm()}'" in done.out
    undone = at_folder.run("restore", "--undo", "--last", "--confirm", confirm(), **odd)
    assert (undone.code, rows()) == (0, 10), undone.err
    assert len(server.execute(_OTHERS)) == 1 + 1
