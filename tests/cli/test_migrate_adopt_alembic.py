"""A database that Alembic has migrated, taken over by the command: what its table says, nothing run, and gone on with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ground.postgres import PostgresServer
from tests.fakes.typist import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
REVISION = """from alembic import op
import sqlalchemy as sa

revision = {revision!r}
down_revision = {down!r}


def upgrade():
    op.create_table({table!r}, sa.Column("id", sa.Integer()))


def downgrade():
    op.drop_table({table!r})
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def shell(server: PostgresServer, tmp_path: Path) -> Iterator[Shell]:
    """Return who types, in a database in which the first of two revisions is, by Alembic's word."""
    server.execute("create database shop")
    server.execute(
        "create table alembic_version (version_num varchar(32) primary key)",
        "insert into alembic_version values ('1a')",
        "create table first (id integer)",
        database="shop",
    )
    versions = tmp_path / "alembic" / "versions"
    versions.mkdir(parents=True)
    (versions / "first.py").write_text(REVISION.format(revision="1a", down=None, table="first"))
    (versions / "second.py").write_text(REVISION.format(revision="2b", down="1a", table="second"))
    yield Shell(server, tmp_path)
    server.execute("drop database shop with (force)")


def test_what_alembic_says_is_in_is_taken_over_and_the_rest_is_carried_out(
    server: PostgresServer, shell: Shell
) -> None:
    """First only shown; then once; and Alembic's own table goes on with it."""
    refused = shell.type("deploy", "--dir", "alembic")
    assert refused.returncode != 0
    assert "dbcustody migrate adopt --from alembic" in refused.stderr
    shown = shell.type("adopt", "--dir", "alembic", "--dry-run")
    assert (shown.returncode, shown.stdout.splitlines()[1:]) == (
        0,
        ["Alembic (alembic_version): 1 would be adopted", "next: dbcustody migrate adopt --dir alembic"],
    )
    assert server.execute("select to_regclass('dbcustody.attempt')::text", database="shop") == [(None,)]
    taken = shell.type("adopt", "--from", "alembic", "--dir", "alembic", "--json")
    assert (taken.returncode, json.loads(taken.stdout)["adopted"]) == (0, 1)
    again = shell.type("adopt", "--dir", "alembic")
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "Alembic (alembic_version): 0 adopted")
    assert shell.type("deploy", "--dir", "alembic").returncode == 0
    assert server.execute("select version_num from alembic_version", database="shop") == [("2b",)]
    ledger = (
        "select a.name, o.state from dbcustody.attempt a join dbcustody.outcome o on o.attempt = a.id order by a.id"
    )
    assert server.execute(ledger, database="shop") == [("first", "Imported"), ("second", "Applied")]


def test_a_revision_that_no_file_is_of_is_told(server: PostgresServer, shell: Shell) -> None:
    """As when an older source came back; nothing is taken over."""
    server.execute("update alembic_version set version_num = '9z'", database="shop")
    refused = shell.type("adopt", "--dir", "alembic")
    assert refused.returncode == 7
    assert "9z is in Alembic's table, and no file is of it" in refused.stderr
    assert "nothing was taken over" in refused.stderr
    as_json = shell.type("adopt", "--dir", "alembic", "--json")
    assert (as_json.returncode, json.loads(as_json.stdout)["error"]["reason"]) == (7, "HistoryBroken")
