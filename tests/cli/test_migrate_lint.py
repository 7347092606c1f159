"""`dbcustody migrate plan` and `lint` as people type them, and `deploy`, which runs nothing that they refuse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ground.postgres import PostgresServer
from tests.fakes.typist import AGE, BEGIN, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
INDEX, DROP = "20261103_120000_index", "20261104_120000_drop"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def shell(server: PostgresServer, tmp_path: Path) -> Iterator[Shell]:
    """Return who types, with a database in which the first two migrations are."""
    server.execute("create database shop")
    shell = Shell(server, tmp_path)
    assert shell.type("deploy").returncode == 0
    yield shell
    server.execute("drop database shop with (force)")


def fill(shell: Shell, rows: int) -> None:
    """Give the table *rows*."""
    words = "insert into people select i, i from generate_series(1, {}) i"
    shell.server.execute(words.format(rows), "vacuum analyze people", database="shop")


def test_a_plan_says_what_would_run(shell: Shell) -> None:
    """SQL, locks, how long in kind, how large, risk, where there is no way back, and a hash."""
    fill(shell, 5000)
    shell.write(INDEX, "create index people_age on people (age);\n")
    shell.write(DROP, "-- dbcustody: allow drop-column because nobody reads it\nalter table people drop column age;\n")
    told, again = shell.type("plan"), shell.type("plan")

    assert (told.returncode, told.stdout) == (2, again.stdout)
    assert [
        words
        for words in (
            f"{INDEX}: Caution", "ShareLock on people while all rows are read: writers wait; people has about 5 000 rows in ",
            "create index people_age on people (age);", "Note create-index: ", "create index concurrently people_age on people(age);",
            f"{DROP}: Destructive", "AccessExclusiveLock on people for a moment: readers and writers wait",
            "(waived: nobody reads it)", f"risk: Destructive; no way back from {DROP}.sql, line 2 (column age of people)", "\nplan: ",
        )
        if words not in told.stdout
    ] == []  # fmt: skip
    assert shell.columns() == ["id", "age"]


def test_a_plan_for_programs(shell: Shell) -> None:
    """The same, as JSON; the hash is that of files and policy."""
    shell.write(DROP, "alter table people drop column age;\n", down="alter table people add column age int;\n")
    refused, anyway = shell.type("plan", "--json"), shell.type("plan", "--json", "--fail-on", "never")
    told: dict[str, Any] = json.loads(refused.stdout)
    (one,) = told["migrations"]

    assert (refused.returncode, anyway.returncode) == (3, 2)
    assert (told["risk"], told["refused"], told["irreversible"]) == (
        "Destructive", 1, {"file": f"{DROP}.sql", "line": 1, "statement": 1, "lost": ["column age of people"]},
    )  # fmt: skip
    assert (one["migration"], one["hasWayBack"], one["isTransactional"]) == (DROP, True, True)
    assert one["locks"] == [
        {
            "relation": "people", "mode": "AccessExclusiveLock", "work": "Catalogue", "held": "for a moment",
            "rows": one["locks"][0]["rows"], "sizeBytes": 0,
        }
    ]  # fmt: skip
    assert [
        (found["rule"], found["severity"], found["statement"], len(found["recipe"])) for found in one["findings"]
    ] == [("drop-column", "Error", 1, 2)]
    assert told["hash"] != json.loads(anyway.stdout)["hash"]


def test_nothing_runs_while_something_is_refused(shell: Shell) -> None:
    """Neither that file nor one before it, until somebody waives it with a reason, or says so in words."""
    shell.write(INDEX, "alter table people add column extra int;\n")
    shell.write(DROP, "alter table people drop column age;\n")
    refused = shell.type("deploy")
    columns = shell.columns()
    shell.write(DROP, "-- dbcustody: allow drop-column because nobody reads it\nalter table people drop column age;\n")
    waived = shell.type("deploy")

    assert (refused.returncode, columns) == (3, ["id", "age"])
    assert f"LintFailed: {DROP}.sql: line 1: Error drop-column: " in refused.stderr
    assert (waived.returncode, shell.columns()) == (0, ["id", "extra"])


def test_a_policy_of_a_day(shell: Shell) -> None:
    """`--fail-on` is stricter, or lets everything pass."""
    shell.write(INDEX, "grant select on people to public;\n")
    strict = shell.type("deploy", "--fail-on", "warning")
    warned = shell.type("deploy")
    shell.write(DROP, "alter table people drop column age;\n")
    loose = shell.type("deploy", "--fail-on", "never")

    assert (strict.returncode, "Warning grant-public" in strict.stderr) == (3, True)
    assert (warned.returncode, "note: " in warned.stderr, "Warning grant-public" in warned.stderr) == (0, True, True)
    assert (loose.returncode, shell.columns()) == (0, ["id"])


def test_the_size_of_a_table_decides(shell: Shell) -> None:
    """What is let pass on a small one is refused on one that nobody has looked at, and on a large one."""
    shell.write(INDEX, "create index people_age on people (age);\n")
    small, offline = shell.type("lint"), shell.type("lint", "--offline")
    fill(shell, 3_500_000)
    large = shell.type("lint")

    assert (small.returncode, "weighed by the database" in small.stdout) == (0, True)
    assert (offline.returncode, "every table is taken to be large" in offline.stdout) == (3, True)
    assert (large.returncode, "Error create-index" in large.stdout, " MiB" in large.stdout) == (3, True, True)


def test_without_a_database_the_folder_is_judged(shell: Shell) -> None:
    """All of it, or what comes after one of them."""
    shell.write(DROP, "alter table people drop column age;\n")
    nobody = {"DATABASE_URL": ""}
    whole, since = shell.type("lint", **nobody), shell.type("lint", "--since", BEGIN, "--json", **nobody)
    behind, unknown = shell.type("lint", "--since", DROP, **nobody), shell.type("lint", "--since", "x", **nobody)

    assert (whole.returncode, "3 migrations, " in whole.stdout and "1 of them refused" in whole.stdout) == (3, True)
    told = json.loads(since.stdout)
    assert (told["weighed"], [(one["file"], one["rule"]) for one in told["findings"] if one["severity"] != "Note"]) == (
        False, [(f"{DROP}.sql", "drop-column")],
    )  # fmt: skip
    named = shell.type("lint", "--since", BEGIN)
    assert (behind.returncode, unknown.returncode) == (0, 64)
    assert (named.returncode, "--offline" in named.stderr) == (64, True)


def test_what_squawk_alone_finds_is_among_it(shell: Shell) -> None:
    """In its own words, under a name of its own, by which it can be waived."""
    shell.write(DROP, "alter table people alter column id drop not null;\n")
    found = shell.type("lint", "--fail-on", "warning")
    shell.write(
        DROP,
        "-- dbcustody: allow squawk-ban-drop-not-null because it is new\nalter table people alter column id drop not null;\n",
    )
    waived = shell.type("lint", "--fail-on", "warning")
    assert (found.returncode, f"{DROP}.sql: line 1: Warning squawk-ban-drop-not-null: " in found.stdout) == (3, True)
    assert (waived.returncode, "(waived: it is new)" in waived.stdout) == (0, True)


def test_files_and_database_that_differ(shell: Shell) -> None:
    """They are told by the plan, and a gate says nothing about them; a file with a fault is no plan at all."""
    shell.write(AGE, "alter table people add column years int;\n")
    shell.write(DROP, "alter table people drop column age;\n")
    differing, linted = shell.type("plan"), shell.type("lint")
    shell.write(DROP, "begin;\n")
    broken = shell.type("lint", DATABASE_URL="")

    assert (differing.returncode, f"Edited: {AGE}" in differing.stdout) == (7, True)
    assert (linted.returncode, f"note: {AGE}: " in linted.stderr) == (3, True)
    assert (broken.returncode, "SourceInvalid" in broken.stderr) == (1, True)


def test_nothing_is_pending(shell: Shell) -> None:
    """And a plan of nothing says so."""
    told = shell.type("plan")
    assert (told.returncode, told.stdout) == (0, "nothing is pending\n")
