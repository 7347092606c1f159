"""Folders of Alembic's on a real server: in their own order, and with Alembic's own table and command kept in agreement."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.alembic_version import VersionTable
from dbcustody.adapters.postgres.ledger import read_attempts
from dbcustody.errors import DbcustodyError, InvalidSpecError
from dbcustody.jobs.alembic_adoption import adopt_alembic, look_at_alembic
from dbcustody.jobs.migration import look
from dbcustody.jobs.reversal import declare, roll_back
from dbcustody.migration.history import Kind
from dbcustody.migration.ledger import State
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from tests.fakes.migrator import Migrator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
_ENV = """
from alembic import context
from sqlalchemy import create_engine

with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""


def revision(name: str, down: str | tuple[str, ...] | None, table: str, *, more: str = "") -> str:
    """Return a revision that makes a *table*, as Alembic's template has it."""
    return (
        f'"""Make {table}."""\nfrom alembic import op\nimport sqlalchemy as sa\n\nrevision = {name!r}\n'
        f"down_revision = {down!r}\nbranch_labels = None\ndepends_on = None\n{more}\n\ndef upgrade():\n"
        f"    op.create_table({table!r}, sa.Column('id', sa.Integer()))\n"
        f"\n\ndef downgrade():\n    op.drop_table({table!r})\n"
    )


FILES = {
    "ffff_first.py": revision("ffff00000001", None, "first"),
    "aaaa_left.py": revision("aaaa00000002", "ffff00000001", "left_one"),
    "bbbb_right.py": revision("bbbb00000003", "ffff00000001", "right_one"),
    "cccc_join.py": revision("cccc00000004", ("aaaa00000002", "bbbb00000003"), "joined"),
}
FIRST, LEFT, RIGHT, JOIN = "ffff_first", "aaaa_left", "bbbb_right", "cccc_join"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def migrator(server: PostgresServer) -> Iterator[Migrator]:
    """Return who migrates a new database."""
    server.execute("create database shop")
    found = Migrator.of(server, FILES)
    found.is_alembic = True
    yield found
    server.execute("drop database shop with (force)")


def versions(server: PostgresServer) -> list[str]:
    """Return what Alembic's table has."""
    return [row[0] for row in server.execute("select version_num from alembic_version order by 1", database="shop")]


def tables(server: PostgresServer) -> list[str]:
    """Return the tables of the migrations."""
    words = "select tablename from pg_tables where schemaname = 'public' and tablename <> 'alembic_version' order by 1"
    return [row[0] for row in server.execute(words, database="shop")]


def alembic(server: PostgresServer, migrator: Migrator, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Return what the real command says, with the files of *migrator*."""
    (folder / "scripts" / "versions").mkdir(parents=True, exist_ok=True)
    (folder / "scripts" / "env.py").write_text(_ENV)
    for name, text in migrator.files.items():
        (folder / "scripts" / "versions" / name).write_text(text)
    url = f"postgresql+psycopg://postgres:{server.password}@{server.host}:{server.port}/shop"
    ini = f"[alembic]\nscript_location = {folder}/scripts\nsqlalchemy.url = {url}\n"
    (folder / "alembic.ini").write_text(ini)
    argv = [sys.executable, "-m", "alembic", "-c", str(folder / "alembic.ini"), *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def refused(migrator: Migrator, **changes: object) -> DbcustodyError:
    """Return why it does not migrate."""
    with pytest.raises(DbcustodyError) as error:
        migrator.migrate(**changes)
    return error.value


def kinds(migrator: Migrator) -> set[Kind]:
    """Return in what files and database differ."""
    return {difference.kind for difference in look(migrator.order()).differences}


def test_branches_come_in_by_what_they_follow(server: PostgresServer, migrator: Migrator, tmp_path: Path) -> None:
    """And plain Alembic finds itself at the head, with nothing to do; what it is given next it does, and we adopt it."""
    after = migrator.migrate()

    assert (after.applied, after.pending, after.differences) == ((FIRST, LEFT, RIGHT, JOIN), (), ())
    assert (versions(server), tables(server)) == (["cccc00000004"], ["first", "joined", "left_one", "right_one"])
    assert alembic(server, migrator, tmp_path, "current").stdout == "cccc00000004 (head) (mergepoint)\n"
    assert alembic(server, migrator, tmp_path, "upgrade", "head").returncode == 0
    migrator.files["dddd_more.py"] = revision("dddd00000005", "cccc00000004", "more")
    assert alembic(server, migrator, tmp_path, "upgrade", "head").returncode == 0
    assert kinds(migrator) == {Kind.UNADOPTED}
    assert "migrate adopt --from alembic" in refused(migrator).message
    assert adopt_alembic(migrator.order()).applied == (FIRST, LEFT, RIGHT, JOIN, "dddd_more")
    migrator.files["eeee_last.py"] = revision("eeee00000006", "dddd00000005", "last_one")
    assert (migrator.migrate().pending, versions(server)) == ((), ["eeee00000006"])


def test_the_table_follows_every_way_back(server: PostgresServer, migrator: Migrator, tmp_path: Path) -> None:
    """As Alembic's own downgrade leaves it: with two ends where branches were not joined yet, and none at the beginning."""
    migrator.migrate()
    roll_back(migrator.order(), RIGHT)
    both = versions(server)
    roll_back(migrator.order(), LEFT)
    one = versions(server)
    roll_back(migrator.order(), None)

    assert (both, one, versions(server), tables(server)) == (
        ["aaaa00000002", "bbbb00000003"],
        ["aaaa00000002"],
        [],
        [],
    )
    assert migrator.migrate().pending == ()
    assert alembic(server, migrator, tmp_path, "downgrade", "aaaa00000002").returncode == 0
    assert kinds(migrator) == {Kind.TAKEN_BACK}
    declare(migrator.order(), JOIN, State.RESOLVED_ROLLED_BACK, "undone by Alembic")
    assert (kinds(migrator), migrator.migrate().pending, versions(server)) == (set(), (), ["cccc00000004"])


def test_a_resolution_is_mirrored(server: PostgresServer, migrator: Migrator) -> None:
    """What a person declares, Alembic is told."""
    declare(migrator.order(), FIRST, State.RESOLVED_APPLIED, "made by hand")
    assert versions(server) == ["ffff00000001"]


def test_a_failure_changes_nothing_of_it(server: PostgresServer, migrator: Migrator) -> None:
    """Row, table and work are one transaction (X4: of each revision, and not of all of them)."""
    migrator.files["cccc_join.py"] += (
        "\n\ndef upgrade():\n    op.create_table('joined')\n    op.execute('select 1/0')\n"
    )
    refused(migrator)
    assert (versions(server), tables(server)) == (["aaaa00000002", "bbbb00000003"], ["first", "left_one", "right_one"])


def test_what_alembic_made_is_adopted_and_not_run_again(
    server: PostgresServer, migrator: Migrator, tmp_path: Path
) -> None:
    """Until somebody says so nothing runs; then the next revision does."""
    later = migrator.files.pop("cccc_join.py")
    assert alembic(server, migrator, tmp_path, "upgrade", "heads").returncode == 0
    migrator.files["cccc_join.py"] = later
    error = refused(migrator)
    seen = look_at_alembic(migrator.order())
    attempts_before = server.execute("select count(*) from dbcustody.attempt", database="shop")
    adopted = adopt_alembic(migrator.order())

    assert (error.reason, "dbcustody migrate adopt --from alembic" in error.message) == (Reason.HISTORY_BROKEN, True)
    assert ([one.name for one in seen.scripts], seen.faults) == ([FIRST, LEFT, RIGHT], ())
    assert (attempts_before, adopted.applied, adopted.differences) == ([(0,)], (FIRST, LEFT, RIGHT), ())
    with connect(migrator.target) as session:
        assert {one.state for one in read_attempts(session)} == {State.IMPORTED}
    assert (migrator.migrate().pending, versions(server)) == ((), ["cccc00000004"])
    assert look_at_alembic(migrator.order()).scripts == ()


def test_what_contradicts_is_not_adopted(server: PostgresServer, migrator: Migrator) -> None:
    """A revision that no file is of; what the ledger has in and Alembic has not; no table at all, or an empty one."""
    with pytest.raises(InvalidSpecError, match="alembic_version is not there"):
        adopt_alembic(migrator.order())
    migrator.migrate()
    server.execute("update alembic_version set version_num = 'ffff00000001'", database="shop")
    with pytest.raises(DbcustodyError, match=r"cccc_join\.py: is in, as the ledger has it, and not as Alembic has it"):
        adopt_alembic(migrator.order())
    server.execute("update alembic_version set version_num = 'unheardof'", database="shop")
    with pytest.raises(DbcustodyError, match="unheardof is in Alembic's table, and no file is of it"):
        adopt_alembic(migrator.order())
    server.execute("delete from alembic_version", database="shop")
    with pytest.raises(InvalidSpecError, match="is empty"):
        adopt_alembic(migrator.order())


def test_another_table_may_be_meant(server: PostgresServer, migrator: Migrator) -> None:
    """With a schema of its own, which is made."""
    migrator.migrate(version_table=VersionTable(name="versions", schema="meta"))
    assert server.execute("select version_num from meta.versions", database="shop") == [("cccc00000004",)]
    assert server.execute("select to_regclass('alembic_version')::text", database="shop") == [(None,)]


def test_somebody_elses_table_is_left_alone(server: PostgresServer, migrator: Migrator) -> None:
    """A folder of ours beside another application's Alembic: nothing of its table is ours to say."""
    server.execute("create table alembic_version (version_num varchar(32) not null)", database="shop")
    server.execute("insert into alembic_version values ('theirs')", database="shop")
    migrator.is_alembic = False
    migrator.files = {
        "20261101_120000_begin.sql": "create table first (id int);\n",
        "20261102_120000_more.py": "from alembic import op\n\ndef upgrade():\n    op.execute('create table second (id int)')\n",
    }
    assert (migrator.migrate().differences, versions(server)) == ((), ["theirs"])


def test_our_own_python_files_may_be_known_to_alembic(server: PostgresServer, migrator: Migrator) -> None:
    """Where its table is there already and knows nothing but them, it is kept in step."""
    migrator.is_alembic = False
    migrator.files = {
        "20261101_120000_begin.py": revision("20261101_120000", None, "first"),
        "20261102_120000_more.py": revision("20261102_120000", "20261101_120000", "second"),
    }
    server.execute("create table alembic_version (version_num varchar(32) not null)", database="shop")
    server.execute("insert into alembic_version values ('20261101_120000')", database="shop")
    server.execute("create table first (id int)", database="shop")
    adopt_alembic(migrator.order())
    assert (migrator.migrate().pending, versions(server)) == ((), ["20261102_120000"])
