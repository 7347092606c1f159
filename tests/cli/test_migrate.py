"""`dbcustody migrate` as people type it, on a real server: what it says, what it leaves, and with which exit code."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ground.postgres import PostgresServer
from tests.fakes.typist import AGE, BEGIN, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
_AGAIN = """insert into dbcustody.attempt (run, revision, name, direction, sha256, body, tool, actor)
select run, revision, name, direction, sha256, body, tool, actor from dbcustody.attempt order by id limit 1"""

_LOCKED = """insert into dbcustody.outcome (attempt, state, reason, sqlstate, actor)
select max(id), 'Failed', 'LockNotObtained', '55P03', 'somebody' from dbcustody.attempt"""


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


def test_from_nothing_to_the_newest_and_back(shell: Shell) -> None:
    """Pending is exit code 2; deployed twice nothing happens the second time; the way back is agreed to."""
    first = shell.type("status")
    deployed, again, after = shell.type("deploy"), shell.type("deploy"), shell.type("status")
    columns = shell.columns()
    asked = shell.type("rollback", "--to", BEGIN)
    undone, at_base = shell.type("rollback", "--to", BEGIN, "--yes"), shell.columns()
    gone = shell.type("rollback", "--to", "base", "--yes")

    assert (first.returncode, "0 applied, 2 pending" in first.stdout) == (2, True)
    assert (deployed.returncode, deployed.stdout) == (0, f"2 migrations applied, the last is {AGE}\n")
    assert (again.returncode, again.stdout) == (0, "nothing is pending\n")
    assert (after.returncode, columns) == (0, ["id", "age"])
    assert after.stdout.splitlines() == [
        "MIGRATION              STATE    RISK",
        f"{BEGIN}  Applied  Safe",
        f"{AGE}    Applied  Safe",
        "2 applied, 0 pending",
    ]
    assert (asked.returncode, "--yes" in asked.stderr) == (64, True)
    assert (undone.returncode, undone.stdout, at_base) == (0, "1 migration undone\n", ["id"])
    assert (gone.returncode, shell.columns()) == (0, [])


def test_the_last_that_stays_is_named_by_its_revision_too(shell: Shell) -> None:
    """Its time alone; the beginning of one names none, and what begins so is told."""
    shell.type("deploy")
    refused = shell.type("rollback", "--to", "202611", "--yes")
    still = shell.columns()
    undone = shell.type("rollback", "--to", BEGIN[:15], "--yes")

    words = f"migration 202611: is not in the database; name one in full, or by its revision: {BEGIN}, {AGE}"
    assert (refused.returncode, words in refused.stderr, still) == (64, True, ["id", "age"]), refused.stderr
    assert (undone.returncode, undone.stdout, shell.columns()) == (0, "1 migration undone\n", ["id"]), undone.stderr


def test_without_a_way_back_nothing_is_undone(shell: Shell) -> None:
    """Not even what has one."""
    (shell.files / f"{BEGIN}.down.sql").unlink()
    shell.type("deploy")
    stuck = shell.type("rollback", "--to", "base", "--yes")
    unknown = shell.type("rollback", "--to", "nowhere", "--yes")

    assert (stuck.returncode, f"Irreversible: no way back from {BEGIN}" in stuck.stderr) == (1, True)
    assert (unknown.returncode, shell.columns()) == (64, ["id", "age"])


def test_every_fault_of_the_files_is_told_and_nothing_runs(shell: Shell) -> None:
    """With file and line."""
    shell.write("20261103_120000_copy", "select 1;\ncopy people from stdin;\n")
    (shell.files / "later.sql").write_text("select 1;")
    (shell.files / "README.md").write_text("for people")
    told = shell.type("deploy")

    assert told.returncode == 1
    assert [
        word
        for word in ("20261103_120000_copy.sql: line 2, ", "later.sql: is not named", "SourceInvalid: 2 faults")
        if word not in told.stderr
    ] == []
    assert shell.columns() == []


def test_files_that_were_edited_are_an_exit_code_of_their_own(shell: Shell) -> None:
    """And are told for programs, too."""
    shell.type("deploy")
    shell.write(BEGIN, "create table people (id bigint);\n")
    looked, deployed = shell.type("status", "--json"), shell.type("deploy")

    told: dict[str, Any] = json.loads(looked.stdout)
    assert (looked.returncode, deployed.returncode) == (7, 7)
    assert [(one["kind"], one["migration"]) for one in told["differences"]] == [("Edited", BEGIN)]
    assert (told["applied"], told["pending"]) == ([BEGIN, AGE], [])


def test_a_failure_names_the_line_and_no_value(shell: Shell) -> None:
    """What came before it stays."""
    shell.write(AGE, "alter table people add column age int;\ninsert into people values ('secret');\n")
    failed = shell.type("deploy")

    assert (failed.returncode, f"{AGE}.sql: line 2: " in failed.stderr, "secret" in failed.stderr) == (1, True, False)
    assert shell.columns() == ["id"]


def test_what_failed_is_told_until_it_is_in(shell: Shell) -> None:
    """Whoever comes later sees why it is still pending, when it was tried, and what helps; of another failure it is another thing."""
    shell.write(AGE, "alter table nowhere add column age int;\n")
    shell.type("deploy")
    told, for_programs = shell.type("status"), json.loads(shell.type("status", "--json").stdout)
    shell.write(AGE, "alter table people add column age int;\n")
    shell.server.execute(_LOCKED, database="shop")
    met = json.loads(shell.type("status", "--json").stdout)
    deployed, after = shell.type("deploy"), json.loads(shell.type("status", "--json").stdout)

    (line,) = [one for one in told.stdout.splitlines() if one.startswith("Failed: ")]
    assert (told.returncode, "(SQLSTATE 42P01, MigrationFailed)" in line, "correct the file" in line) == (2, True, True)
    (failed,) = for_programs["failed"]
    assert (failed["migration"], failed["sqlstate"], failed["reason"]) == (AGE, "42P01", "MigrationFailed")
    when = datetime.fromisoformat(failed["finishedAt"])
    assert timedelta() <= datetime.now(UTC) - when < timedelta(minutes=5)
    (lock,) = met["failed"]
    assert (lock["reason"], lock["helps"]) == (
        "LockNotObtained",
        "nothing of it is in: `dbcustody migrate deploy` tries it again",
    )
    assert (deployed.returncode, after["failed"]) == (0, [])


def test_what_another_tool_has_done_is_declared(shell: Shell) -> None:
    """Nothing of it runs; declared twice it is refused, and so is what was never there."""
    shell.server.execute("create table people (id int)", database="shop")
    declared = shell.type("resolve", "--applied", BEGIN, "--reason", "made by hand")
    again = shell.type("resolve", "--applied", BEGIN, "--reason", "made by hand")
    applied = shell.type("resolve", "--rolled-back", BEGIN, "--reason", "changed my mind")
    unknown = shell.type("resolve", "--applied", "nowhere", "--reason", "x")
    both = shell.type("resolve", "--applied", BEGIN, "--rolled-back", BEGIN, "--reason", "x")
    deployed = shell.type("deploy")

    assert (declared.returncode, declared.stdout) == (0, f"{BEGIN}: is marked as applied; nothing was run\n")
    assert [one.returncode for one in (again, applied, unknown, both)] == [64, 64, 64, 64]
    assert (deployed.returncode, shell.columns()) == (0, ["id", "age"])


def test_tables_that_no_history_knows_are_told_with_what_helps(shell: Shell) -> None:
    """Until the ledger says what is in, also after a deploy that met them; an extension's are no reason to ask."""
    empty = shell.type("status")
    shell.server.execute("create schema other", "create table people (id int)", database="shop")
    shell.server.execute("create table other.log (at date) partition by range (at)", database="shop")
    shell.server.execute("create table other.old partition of other.log default", database="shop")
    shell.server.execute("create table setting ()", "alter extension plpgsql add table setting", database="shop")
    before, data = shell.type("status"), json.loads(shell.type("status", "--json").stdout)
    met, still = shell.type("deploy"), shell.type("status")
    shell.type("resolve", "--applied", BEGIN, "--reason", "made by hand")
    after, deployed = shell.type("status"), shell.type("deploy")

    told = "Baseline: no history says who made the tables that are in this database (2)"
    assert (empty.returncode, "Baseline" in empty.stdout, data["unrecordedTables"]) == (2, False, 2)
    assert [(one.returncode, told in one.stdout) for one in (before, still)] == [(2, True)] * 2
    assert "    dbcustody migrate resolve --applied NAME --reason ..." in before.stdout.splitlines()
    assert (met.returncode, "already exists" in met.stderr) == (1, True), met.stderr
    assert (after.returncode, "Baseline" in after.stdout) == (2, False)
    assert (deployed.returncode, shell.columns()) == (0, ["id", "age"])


def test_one_that_was_applied_twice_is_settled_by_the_command_that_is_named(shell: Shell) -> None:
    """By another program than ours, say; until then nothing runs, and afterwards all goes on, back as well."""
    shell.type("deploy")
    shell.server.execute(_AGAIN, database="shop")
    shell.server.execute(
        "insert into dbcustody.outcome (attempt, state, actor) select max(id), 'Applied', 'x' from dbcustody.attempt",
        database="shop",
    )
    shell.write(
        "20261103_120000_name",
        "alter table people add column name text;\n",
        down="alter table people drop column name;\n",
    )
    told, refused = shell.type("status"), shell.type("deploy")
    words = ("resolve", "--applied", BEGIN, "--reason", "nothing was in it twice")
    (helps,) = {line for line in told.stdout.splitlines() if line.startswith("Duplicated: ")}
    resolved, again = shell.type(*words), shell.type(*words)
    deployed, after = shell.type("deploy"), shell.type("status")
    undone = shell.type("rollback", "--to", BEGIN, "--yes")

    assert (told.returncode, refused.returncode, f"`dbcustody migrate resolve --applied {BEGIN}`" in helps) == (
        7,
        7,
        True,
    )
    assert (resolved.returncode, again.returncode, "is in already" in again.stderr) == (0, 64, True), resolved.stderr
    assert (deployed.returncode, after.returncode, "Duplicated" in after.stdout) == (0, 0, False), deployed.stderr
    assert (undone.returncode, shell.columns()) == (0, ["id"]), undone.stderr


def test_a_new_one_comes_after_all_others(shell: Shell) -> None:
    """Two in one second do not meet, and nothing is overwritten."""
    shell.write("20991231_235958_far", "select 1;\n")
    first = shell.type("new", "Add users' table", "--down")
    second = shell.type("new", "again")
    nameless = shell.type("new", "---")

    assert first.stdout.split() == [f"migrations/20991231_235959_add_users_table{end}" for end in (".sql", ".down.sql")]
    assert second.stdout.split() == ["migrations/21000101_000000_again.sql"]
    assert (shell.files / "20991231_235959_add_users_table.sql").read_text() == "-- Add users' table\n"
    assert nameless.returncode == 64


def test_without_a_database_or_a_folder(shell: Shell) -> None:
    """It is said what is missing."""
    nowhere = shell.type("status", "--dir", "elsewhere")
    nobody = shell.type("status", DATABASE_URL="")
    assert [
        (one.returncode, word in one.stderr) for one, word in ((nowhere, "elsewhere"), (nobody, "DATABASE_URL"))
    ] == [
        (64, True),
        (64, True),
    ]
