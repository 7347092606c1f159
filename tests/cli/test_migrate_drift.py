"""`dbcustody migrate` in a database that somebody changed by hand, as people type it: what it says, and with which exit code."""

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
MORE, FILL = "20261103_120000_more", "20261104_120000_fill"
TMP = "create table tmp (a int)"


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


def drifted(shell: Shell, *words: str) -> str:
    """Return the fingerprint of the schema after somebody changed it by hand."""
    shell.server.execute(*words, database="shop")
    told: dict[str, Any] = json.loads(shell.type("status", "--json").stdout)
    return str(told["drift"]["fingerprint"])


def drift_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what was told of it."""
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Drift: ")]


def test_what_changed_is_told_and_nothing_runs(shell: Shell) -> None:
    """With the values, for who may read the schema anyway; and with the commands that lead out."""
    shell.write(MORE, "create table more (id int);\n")
    found = drifted(shell, "alter table people alter age set default 3", TMP)
    looked, deployed, undone = (
        shell.type("status"),
        shell.type("deploy"),
        shell.type("rollback", "--to", BEGIN, "--yes"),
    )

    told = ["Drift: Changed column public.people.age: default: nothing -> 3", "Drift: Added table public.tmp"]
    assert [drift_lines(looked), drift_lines(deployed)] == [told, told]
    assert [one.returncode for one in (looked, deployed, undone)] == [6, 6, 6]
    assert f"dbcustody migrate accept-drift {found} --reason" in looked.stdout
    assert "dbcustody migrate resolve --applied NAME --reason" in looked.stdout
    assert shell.server.execute("select to_regclass('more')::text", database="shop") == [(None,)]


def test_a_database_that_was_never_looked_at_is_not_said_to_be_as_it_was(server: PostgresServer, shell: Shell) -> None:
    """Not known yet, which is no failure."""
    server.execute("create database other")
    url = f"{server.url('other')}?sslmode=disable"
    looked, told = shell.type("status", DATABASE_URL=url), shell.type("status", "--json", DATABASE_URL=url)
    server.execute("drop database other")

    assert (looked.returncode, drift_lines(looked)) == (
        2,
        ["Drift: not known yet: no fingerprint was ever taken; the next deploy takes one"],
    )
    drift: dict[str, Any] = json.loads(told.stdout)["drift"]
    assert (drift["state"], drift["expected"], drift["changes"]) == ("Unknown", None, [])


def test_it_is_accepted_as_it_was_seen(shell: Shell) -> None:
    """And then it is what is compared with."""
    found = drifted(shell, TMP)
    shell.server.execute("create table later (a int)", database="shop")
    late = shell.type("accept-drift", found, "--reason", "an extract for the auditors")
    shell.server.execute("drop table later", database="shop")
    accepted = shell.type("accept-drift", found, "--reason", "an extract for the auditors")
    again = shell.type("accept-drift", found, "--reason", "an extract for the auditors")
    after = shell.type("status")

    assert (late.returncode, "look at it again" in late.stderr) == (6, True)
    assert (accepted.returncode, accepted.stdout.splitlines()) == (
        0,
        ["Added table public.tmp", f"{found}: is accepted, and what the schema is compared with from now on"],
    )
    assert (again.returncode, after.returncode, drift_lines(after)) == (64, 0, [])


def test_it_is_let_pass_or_left_out(shell: Shell) -> None:
    """By a word for this once, or by names."""
    shell.write(MORE, "create table more (id int);\n")
    drifted(shell, TMP)
    warned, ignored = shell.type("status", "--drift", "warn"), shell.type("status", "--drift", "ignore")
    left_out = shell.type("status", "--exclude", "public.t*")
    deployed = shell.type("deploy", "--drift", "warn")

    assert [(one.returncode, len(drift_lines(one))) for one in (warned, ignored, left_out)] == [(2, 1), (2, 0), (2, 0)]
    assert (deployed.returncode, "drift: Added table public.tmp" in deployed.stderr) == (0, True)
    assert shell.type("status").returncode == 0


def test_what_is_worse_has_the_exit_code(shell: Shell) -> None:
    """Files that were edited, and then what is in in part."""
    drifted(shell, TMP)
    shell.write(BEGIN, "create table people (id bigint);\n")
    edited = shell.type("status")
    assert (edited.returncode, drift_lines(edited)) == (7, ["Drift: Added table public.tmp"])


def test_with_nothing_to_run_it_is_told_alone(shell: Shell) -> None:
    """A deploy that has nothing to do does not look, and is no failure; a status does."""
    drifted(shell, TMP)
    deployed, looked = shell.type("deploy"), shell.type("status")
    assert (deployed.returncode, deployed.stdout) == (0, "nothing is pending\n")
    assert (looked.returncode, "Drift: Added table public.tmp" in looked.stdout) == (6, True)


def test_what_is_in_in_part_is_told_with_what_it_changed(shell: Shell) -> None:
    """Which statements are in, what the schema became since, and the two commands that lead out."""
    shell.server.execute(
        "create procedure fill() language plpgsql as $$ begin create table filled (); commit; end $$", database="shop"
    )
    shell.write(
        FILL,
        "-- dbcustody: idempotent because it looks\n-- dbcustody: invariant SELECT false\ncall\n  public.fill();\n",
    )
    shell.type("deploy", "--drift", "ignore", "--fail-on", "never")
    looked, told = shell.type("status"), shell.type("status", "--json")
    refused = shell.type("resolve", "--rolled-back", FILL, "--reason", "all taken back")
    forced = shell.type("resolve", "--rolled-back", FILL, "--reason", "the table may stay", "--force")

    assert looked.returncode == 4
    assert looked.stdout.splitlines()[4:-1] == [
        "  statement 1 of 1 (line 3) ran to its end: call public.fill()",
        f"  if all of it is in, or you finish it by hand: dbcustody migrate resolve --applied {FILL} --reason ...",
        "    nothing runs, and the next deploy goes on after it",
        f"  if nothing of it is in, or you take it back:  dbcustody migrate resolve --rolled-back {FILL} --reason ...",
        "    nothing runs, and the next deploy runs it from its first statement",
        "  in the schema this has changed since it was begun:",
        "    Added table public.filled",
    ]
    assert json.loads(told.stdout)["unfinished"] == [{"migration": FILL, "statements": [{"line": 3, "done": True}]}]
    assert (refused.returncode, "Added table public.filled" in refused.stderr) == (6, True)
    assert (forced.returncode, drift_lines(shell.type("status"))) == (0, [])


def test_a_migration_that_was_written_afterwards_is_declared(shell: Shell) -> None:
    """What was done in an emergency becomes a part of the history."""
    drifted(shell, "create table more (id int)")
    shell.write(MORE, "create table more (id int);\n")
    declared = shell.type("resolve", "--applied", MORE, "--reason", "made by hand in the night of the fire")
    after = shell.type("status")
    assert (declared.returncode, after.returncode, drift_lines(after)) == (0, 0, [])
    assert f"{AGE}    Applied" in after.stdout
