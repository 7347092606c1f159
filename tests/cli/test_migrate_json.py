"""`dbcustody migrate` for programs: with `--json` one object on standard output, of what failed, too; people read the other one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ground.postgres import PostgresServer
from tests.fakes.typist import AGE, BEGIN, Shell

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
MORE = "20261103_120000_more"
TMP = "create table tmp (a int)"


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


def told(done: subprocess.CompletedProcess[str]) -> tuple[int, dict[str, Any]]:
    """Return the exit code, and the only object on standard output."""
    return done.returncode, json.loads(done.stdout)


def test_what_was_applied_and_undone_is_told(shell: Shell) -> None:
    """What runs is told on the way, on standard error."""
    deployed = shell.type("deploy", "--json")
    again, undone = shell.type("deploy", "--json"), shell.type("rollback", "--to", BEGIN, "--yes", "--json")
    nothing = shell.type("rollback", "--to", BEGIN, "--json")

    assert told(deployed) == (0, {"applied": [BEGIN, AGE], "pending": [], "differences": []})
    assert f"{BEGIN}: runs" in deployed.stderr
    assert told(again) == (0, {"applied": [], "pending": [], "differences": []})
    assert (undone.returncode, json.loads(undone.stdout)["undone"]) == (0, [AGE])
    assert told(nothing) == (0, {"dryRun": False, "undone": [], "migrations": []})


def test_what_was_declared_and_accepted_is_told(shell: Shell) -> None:
    """With where it stands then."""
    shell.server.execute("create table people (id int)", database="shop")
    resolved = shell.type("resolve", "--applied", BEGIN, "--reason", "by hand", "--json")
    twice = shell.type("resolve", "--applied", BEGIN, "--reason", "by hand", "--json")
    shell.type("deploy")
    shell.server.execute(TMP, database="shop")
    fingerprint = json.loads(shell.type("status", "--json").stdout)["drift"]["fingerprint"]
    accepted = shell.type("accept-drift", fingerprint, "--reason", "for auditors", "--json")

    assert told(resolved) == (0, {"migration": BEGIN, "markedAs": "Applied", "applied": [BEGIN], "pending": [AGE]})
    code, failed = told(twice)
    assert (code, failed["error"]["reason"], "is in already" in failed["error"]["message"]) == (64, "InvalidSpec", True)
    code, content = told(accepted)
    assert (code, content["accepted"]) == (0, fingerprint)
    assert [(one["change"], one["name"]) for one in content["changes"]] == [("Added", "public.tmp")]


def test_what_failed_is_told_with_its_reason_and_no_value(shell: Shell) -> None:
    """The exit code is that of people; what was refused stands on standard error, too."""
    shell.write(AGE, "alter table people add column age int;\ninsert into people values ('secret');\n")
    code, failed = told(shell.type("deploy", "--json"))
    assert (code, failed["error"]["reason"]) == (1, "MigrationFailed")
    assert f"{AGE}.sql: line 2: " in failed["error"]["message"]
    assert "secret" not in failed["error"]["message"]


def test_a_schema_that_was_changed_by_hand_is_told_before_and_instead(shell: Shell) -> None:
    """`plan` says what `deploy` will say, so that nobody learns of it in the middle of the night."""
    shell.type("deploy")
    shell.write(MORE, "create table more (id int);\n")
    shell.server.execute(TMP, database="shop")
    deployed, planned, words = shell.type("deploy", "--json"), shell.type("plan", "--json"), shell.type("plan")
    passed = shell.type("plan", "--drift", "warn"), shell.type("plan", "--exclude", "public.tmp")
    ignored = shell.type("plan", "--drift", "ignore")
    shell.write(MORE, "drop table people;\n")
    risky = shell.type("plan")

    for code, content in (told(deployed), told(planned)):
        assert (code, content["drift"]["state"]) == (6, "Drifted")
        assert [(one["change"], one["name"]) for one in content["drift"]["changes"]] == [("Added", "public.tmp")]
    assert json.loads(deployed.stdout)["error"]["reason"] == "Drifted"
    assert (words.returncode, "Drift: Added table public.tmp" in words.stdout) == (6, True)
    assert "create table more (id int);" in words.stdout
    assert [(one.returncode, "Drift: Added" in one.stdout) for one in (*passed, ignored)] == [
        (2, True),
        (2, False),
        (2, False),
    ]
    assert risky.returncode == 3


def test_a_new_file_is_told_by_its_path(shell: Shell) -> None:
    """Both of them, where there are two."""
    code, content = told(shell.type("new", "add email", "--down", "--json"))
    wrong, failed = told(shell.type("new", "!!!", "--json"))
    assert (code, [path.rpartition("_add_email")[2] for path in content["files"]]) == (0, [".sql", ".down.sql"])
    assert all((shell.folder / path).is_file() for path in content["files"])
    assert (wrong, failed["error"]["reason"]) == (64, "InvalidSpec")
