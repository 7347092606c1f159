"""Revisions in Python as people type them: made, shown, carried out, undone; a folder of Alembic's is told from ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ground.postgres import PostgresServer
from tests.fakes.typist import AGE, BEGIN, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
EMPTY = '''"""{title}."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass  # left empty, it cannot be undone
'''
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
    """Return who types, with a new database."""
    server.execute("create database shop")
    yield Shell(server, tmp_path)
    server.execute("drop database shop with (force)")


def as_alembic_ships_it(shell: Shell, folder: str) -> None:
    """Write a folder as `alembic init` makes it, with two revisions."""
    versions = shell.folder / folder / "versions"
    versions.mkdir(parents=True)
    (versions.parent / "env.py").write_text("raise SystemExit('an env.py is not run')\n")
    (versions.parent / "script.py.mako").write_text("${message}\n")
    (versions / "zzz_first.py").write_text(REVISION.format(revision="1a", down=None, table="first"))
    (versions / "aaa_second.py").write_text(REVISION.format(revision="2b", down="1a", table="second"))


def test_a_new_one_is_a_template_that_runs(shell: Shell) -> None:
    """Later than all others, with quotes and all; what it is filled with is shown, carried out and undone."""
    made = shell.type("new", 'say "hi" \\', "--python")
    path = shell.folder / made.stdout.strip()
    revision = path.name[:15]
    text = path.read_text()
    path.write_text(text.replace("    pass\n", "    op.add_column('people', sa.Column('email', sa.Text()))\n", 1))
    shown, deployed = shell.type("status"), shell.type("deploy")
    stuck = shell.type("rollback", "--to", AGE, "--yes")
    path.write_text(
        path.read_text().replace("pass  # left empty, it cannot be undone", "op.drop_column('people', 'email')")
    )
    edited = shell.type("status")

    assert (made.returncode, path.name[15:]) == (0, "_say_hi.py")
    assert text == EMPTY.format(title="say 'hi' ", revision=revision)
    assert (shown.returncode, f"{path.stem} Pending Caution" in " ".join(shown.stdout.split())) == (2, True)
    assert (deployed.returncode, shell.columns()) == (0, ["id", "age", "email"])
    assert (stuck.returncode, f"no way back from {path.stem}" in stuck.stderr) == (1, True)
    assert (edited.returncode, f"Edited: {path.stem}" in edited.stdout) == (7, True)


def test_it_goes_the_way_back_by_its_downgrade(shell: Shell) -> None:
    """As SQL does by its file."""
    path = shell.files / "20261103_120000_more.py"
    path.write_text(
        "from alembic import op\n\ndef upgrade():\n    op.execute('create table more (id int)')\n\n"
        "def downgrade():\n    op.drop_table('more')\n"
    )
    shell.type("deploy")
    undone = shell.type("rollback", "--to", BEGIN, "--yes")

    assert (undone.returncode, undone.stdout, shell.columns()) == (0, "2 migrations undone\n", ["id"])
    assert shell.server.execute("select to_regclass('more')::text", database="shop") == [(None,)]


def test_its_plan_shows_what_it_renders(shell: Shell) -> None:
    """As SQL, for people and for programs, with what is risky about it."""
    path = shell.files / "20261103_120000_more.py"
    path.write_text("from alembic import op\nprint('noise')\n\ndef upgrade():\n    op.drop_table('people')\n")
    text, data = shell.type("plan"), json.loads(shell.type("plan", "--json").stdout)
    offline = shell.type("lint", "--offline", "--since", AGE)

    assert ("20261103_120000_more: Destructive" in text.stdout, "    DROP TABLE people;" in text.stdout) == (True, True)
    last = data["migrations"][-1]
    assert (last["isPython"], last["statements"], last["hasWayBack"]) == (True, ["DROP TABLE people"], False)
    assert (offline.returncode, "Error drop-table" in offline.stdout, "Note python-revision" in offline.stdout) == (
        3,
        True,
        True,
    )


@pytest.mark.parametrize("folder", ["app", "app/versions"])
def test_a_folder_of_alembics_is_known_by_its_looks(shell: Shell, folder: str) -> None:
    """The one that its command made, or the one of the revisions in it; nobody's env.py is run, and its table is kept."""
    as_alembic_ships_it(shell, "app")
    shown, deployed = shell.type("status", "--dir", folder), shell.type("deploy", "--dir", folder)
    again = shell.type("deploy", "--dir", folder, "--format", "alembic")

    assert [line.split()[0] for line in shown.stdout.splitlines()[1:3]] == ["zzz_first", "aaa_second"]
    assert (deployed.returncode, deployed.stdout) == (0, "2 migrations applied, the last is aaa_second\n")
    assert (again.returncode, again.stdout) == (0, "nothing is pending\n")
    assert shell.server.execute("select version_num from alembic_version", database="shop") == [("2b",)]


def test_the_looks_may_be_overruled(shell: Shell) -> None:
    """Then the names are held against our convention."""
    as_alembic_ships_it(shell, "app")
    wrong = shell.type("status", "--dir", "app/versions", "--format", "sql")
    assert (wrong.returncode, "aaa_second.py: is not named as a migration" in wrong.stderr) == (1, True)


def test_its_table_may_have_another_name(shell: Shell) -> None:
    """And a schema; a name that is none is no option."""
    as_alembic_ships_it(shell, "app")
    done = shell.type("deploy", "--dir", "app", "--version-table", "meta.versions")
    wrong = shell.type("deploy", "--dir", "app", "--version-table", "meta.")

    assert (done.returncode, shell.server.execute("select version_num from meta.versions", database="shop")) == (
        0,
        [("2b",)],
    )
    assert (wrong.returncode, "must be NAME or SCHEMA.NAME" in wrong.stderr) == (64, True)


def test_constraints_are_named_by_the_convention_of_the_application(shell: Shell) -> None:
    """By the MetaData that is named; one that is not there is told before anything runs."""
    as_alembic_ships_it(shell, "app")
    (shell.folder / "shopmodels.py").write_text(
        "import sqlalchemy as sa\n\nmeta = sa.MetaData(naming_convention={'pk': 'key_of_%(table_name)s'})\n"
    )
    last = REVISION.format(revision="3c", down="2b", table="third").replace(
        "sa.Integer()", "sa.Integer(), primary_key=True"
    )
    (shell.folder / "app/versions/bbb_third.py").write_text(last)
    missing = shell.type("deploy", "--dir", "app", "--metadata", "shopmodels:nothing")
    done = shell.type("deploy", "--dir", "app", "--metadata", "shopmodels:meta")

    assert (missing.returncode, "--metadata: there is no shopmodels:nothing" in missing.stderr) == (64, True)
    assert done.returncode == 0, done.stderr
    words = "select conname from pg_constraint where conrelid = 'third'::regclass and contype = 'p'"
    assert shell.server.execute(words, database="shop") == [
        ("key_of_third",)
    ]  # fmt: skip


def test_x7_an_older_image_is_told_and_no_crash(shell: Shell) -> None:
    """Alembic's table names a revision that the folder lacks: nothing runs, nothing is undone, and the exit code says that they differ."""
    as_alembic_ships_it(shell, "app")
    shell.server.execute(
        "create table alembic_version (version_num varchar(32))",
        "insert into alembic_version values ('9f')",
        database="shop",
    )
    shown, deployed = shell.type("status", "--dir", "app"), shell.type("deploy", "--dir", "app")

    assert (shown.returncode, "UnknownRevision: 9f: is in the database by Alembic's table" in shown.stdout) == (7, True)
    assert (deployed.returncode, "HistoryBroken" in deployed.stderr, "Traceback" in deployed.stderr) == (7, True, False)
