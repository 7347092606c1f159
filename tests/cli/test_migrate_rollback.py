"""`dbcustody migrate rollback`: what would be undone is shown before anybody is asked, and a dry run shows it and undoes nothing."""

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
MORE = "20261103_120000_more"
WAY_BACK = "alter table people drop column age;"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def shell(server: PostgresServer, tmp_path: Path) -> Iterator[Shell]:
    """Return who types, with a database in which everything is in."""
    server.execute("create database shop")
    typist = Shell(server, tmp_path)
    assert typist.type("deploy").returncode == 0
    yield typist
    server.execute("drop database shop with (force)")


def test_the_sql_and_its_risk_are_shown_before_anybody_is_asked(shell: Shell) -> None:
    """Where nobody can be asked it ends there; what is agreed to is shown as well."""
    shown = ["to be undone, in this order:", f"  {AGE}: Destructive", f"    {WAY_BACK}"]
    asked, still = shell.type("rollback", "--to", BEGIN), shell.columns()
    undone = shell.type("rollback", "--to", BEGIN, "--yes")

    assert (asked.returncode, asked.stderr.splitlines()[:3], "--yes" in asked.stderr) == (64, shown, True)
    assert still == ["id", "age"]
    assert (undone.returncode, undone.stdout, undone.stderr.splitlines()[:3]) == (0, "1 migration undone\n", shown)


def test_a_dry_run_shows_all_of_it_and_undoes_nothing(shell: Shell) -> None:
    """Newest first; the exit code says whether something would be undone."""
    tried = shell.type("rollback", "--to", "base", "--dry-run")
    told = json.loads(shell.type("rollback", "--to", "base", "--dry-run", "--json").stdout)
    nothing = shell.type("rollback", "--to", AGE, "--dry-run")
    agreed = shell.type("rollback", "--to", "base", "--dry-run", "--yes")

    assert (tried.returncode, nothing.returncode, nothing.stdout) == (2, 0, "nothing is to be undone\n")
    assert tried.stdout.splitlines() == [
        "to be undone, in this order:",
        f"  {AGE}: Destructive",
        f"    {WAY_BACK}",
        f"  {BEGIN}: Destructive",
        "    drop table people;",
    ]
    assert (told["dryRun"], told["undone"]) == (True, [])
    assert [(one["migration"], one["risk"], one["statements"]) for one in told["migrations"]] == [
        (AGE, "Destructive", [WAY_BACK[:-1]]),
        (BEGIN, "Destructive", ["drop table people"]),
    ]
    assert (agreed.returncode, shell.columns(), shell.type("status").returncode) == (2, ["id", "age"], 0)


def test_a_dry_run_tells_what_stands_against_it(shell: Shell) -> None:
    """As `status` does: a schema that somebody changed, files that are others, a way back that is not there."""
    shell.server.execute("create table tmp (a int)", database="shop")
    drifted = shell.type("rollback", "--to", BEGIN, "--dry-run")
    passed = shell.type("rollback", "--to", BEGIN, "--dry-run", "--drift", "warn")
    shell.write(BEGIN, "create table people (id bigint);\n")
    edited = shell.type("rollback", "--to", BEGIN, "--dry-run")
    (shell.files / f"{AGE}.down.sql").unlink()
    stuck = shell.type("rollback", "--to", BEGIN, "--dry-run")

    assert (drifted.returncode, "Drift: Added table public.tmp" in drifted.stderr) == (6, True)
    assert WAY_BACK in drifted.stdout
    assert (passed.returncode, edited.returncode, f"Edited: {BEGIN}" in edited.stderr) == (2, 7, True)
    assert (stuck.returncode, f"no way back from {AGE}" in stuck.stderr) == (1, True)


def test_a_revision_in_python_is_shown_by_what_its_downgrade_renders(shell: Shell) -> None:
    """At least Caution, for code decides as it runs."""
    (shell.files / f"{MORE}.py").write_text(
        "from alembic import op\n\ndef upgrade():\n    print('noise')\n    op.execute('create table more (id int)')\n\n"
        "def downgrade():\n    print('noise')\n    op.execute('comment on table more is null')\n    op.execute('drop table more')\n"
    )
    deployed = json.loads(shell.type("deploy", "--json").stdout)
    tried = shell.type("rollback", "--to", AGE, "--dry-run")
    undone = json.loads(shell.type("rollback", "--to", AGE, "--yes", "--json").stdout)

    assert deployed["applied"] == [MORE]
    assert tried.returncode == 2
    assert tried.stdout.splitlines()[1:] == [
        f"  {MORE}: Destructive",
        "    comment on table more is null;",
        "    drop table more;",
    ]
    assert (undone["dryRun"], undone["undone"]) == (False, [MORE])


def test_only_what_was_shown_is_undone(shell: Shell) -> None:
    """A colleague who deploys, or undoes, while a person is asked makes it something else: nothing of it runs."""
    shell.write(MORE, "create table more (id int);\n", down="drop table more;\n")
    more = shell.answer("rollback", "--to", BEGIN, "--json", says="y", meanwhile=lambda: shell.type("deploy"))
    fewer = shell.answer(
        "rollback", "--to", BEGIN, says="y", meanwhile=lambda: shell.type("rollback", "--to", AGE, "--yes")
    )
    (still,) = shell.server.execute("select to_regclass('public.more') is null", database="shop")
    left = json.loads(shell.type("status", "--json").stdout)

    assert (more.returncode, json.loads(more.stdout)["error"]["reason"]) == (1, "PlanChanged")
    assert f"{MORE}, {AGE} would be undone now, and {AGE} was agreed to" in more.stderr
    assert (fewer.returncode, fewer.stdout.strip()) == (1, "")
    assert f"PlanChanged: {AGE} would be undone now, and {MORE}, {AGE} was agreed to" in fewer.stderr
    assert (still, left["applied"], shell.columns()) == ((True,), [BEGIN, AGE], ["id", "age"])


def test_what_was_shown_is_undone_where_nothing_came_between(shell: Shell) -> None:
    """By the yes of a person; what is told as undone is what is out now."""
    undone = shell.answer("rollback", "--to", "base", "--json", says="y")
    assert (undone.returncode, json.loads(undone.stdout)["undone"]) == (0, [AGE, BEGIN])
    assert shell.columns() == []


def test_a_no_undoes_nothing_and_is_told(shell: Shell) -> None:
    """To programs as an object, with the exit code of people."""
    said = shell.answer("rollback", "--to", BEGIN, "--json", says="n")
    assert (said.returncode, json.loads(said.stdout)) == (
        130,
        {"error": {"reason": "Cancelled", "message": "cancelled"}},
    )
    assert shell.columns() == ["id", "age"]
