"""`dbcustody restore --replace` as a person types it: the backup is where the database was, and the database is open, however it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import time
from dataclasses import replace
from subprocess import PIPE
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import COMMAND
from tests.fakes.till import LOCK_CLASS, confirmation, others, words

if TYPE_CHECKING:
    from ground.postgres import PostgresServer
    from tests.cli.conftest import Outcome, Person

pytestmark = pytest.mark.postgres


def told_commands(done: Outcome) -> list[list[str]]:
    """Return the commands that *done* tells, as they can be typed."""
    return [shlex.split(line)[1:] for line in re.findall(r"dbcustody restore --\S+ .*", done.out)]


def test_the_backup_is_where_the_database_was(cashier: Person, server: PostgresServer, confirm: str) -> None:
    """What is told afterwards can be typed as it stands: taken back, and dropped."""
    done = cashier.run("restore", "good", "--replace", "--confirm", confirm)

    assert (done.code, words(server)) == (0, ["good"]), done.err
    (old,) = others(server)
    assert old.startswith("till_replaced_")
    assert others(server) == {old: False}
    assert done.out.splitlines()[0] == "replaced till by good: 1 tables, 1 rows, compared and equal"
    assert re.search(rf"old database +{old}, shut; to be kept until 20\S+Z", done.out)
    undo, drop = told_commands(done)
    listed = json.loads(cashier.run("backups", "list", "--json").out)["backups"]
    assert [(one["name"][:15], one["good"], one["verifiedLevel"]) for one in listed[1:]] == [
        ("before-restore-", True, "Read")
    ]
    assert listed[1]["name"] in done.out
    assert "remembered as: dbcustody restore 20" in done.err

    back = cashier.run(*undo)
    assert (back.code, words(server)) == (0, ["spoilt"]), back.err
    assert f"till is again what was put away as {old}" in back.out
    (undone,) = others(server)
    assert (undone != old, others(server)) == (True, {undone: False})
    assert cashier.run(*undo).code == 1
    assert cashier.run(*drop).code == 1
    used_up = cashier.run("restore", "--undo", "--last", "--confirm", confirmation(server).replace("till@", "till@9"))
    assert (used_up.code, "NotConfirmed" in used_up.err) == (3, True), used_up.err
    again = cashier.run("restore", "--undo", "--last", "--confirm", confirmation(server), "--keep-old", "0")
    assert (again.code, words(server), others(server)) == (0, ["good"], {}), again.err


@pytest.mark.parametrize(
    ("typed", "code", "says"),
    [
        pytest.param(("good", "--replace"), 64, "--confirm: is missing, and nobody can be asked", id="no terminal"),
        pytest.param(("--replace", "--confirm", "till@1"), 64, "NAME: is missing; the newest is good", id="which"),
        pytest.param(("good", "--replace", "--confirm", "till@1"), 3, "NotConfirmed: confirmed is till@1", id="wrong server"),
        pytest.param(("other", "--replace", "--confirm", "till@1"), 1, "BackupNotFound", id="unknown"),
        pytest.param(("good", "--replace", "--to", "postgresql://u@h/b"), 64, "--to, RESTORE_URL: does not go", id="to"),
        pytest.param(("good", "--replace", "--database", "b"), 64, "--database: does not go with --replace", id="beside"),
        pytest.param(("good", "--database", "b", "--confirm", "x@1"), 64, "--confirm: goes with --replace or --undo", id="why"),
        pytest.param(("--recover", "--drop-old", "x"), 64, "only one of them", id="two works"),
        pytest.param(("good", "--recover"), 64, "NAME: does not go with --recover", id="recover what"),
        pytest.param(("--undo",), 64, "--undo: takes the name of the old database, or --last", id="undo what"),
        pytest.param(("--undo", "a", "--last"), 64, "--undo: takes the name", id="undo two"),
        pytest.param(("--undo", "--last", "--confirm", "x"), 1, "NothingToUndo: till: no old database", id="nothing kept"),
        pytest.param(("--undo", "till", "--confirm", "x"), 1, "kept are: none", id="not kept"),
        pytest.param(("--drop-old", "till"), 64, "--yes: is missing, and nobody can be asked", id="unasked"),
        pytest.param(("--drop-old", "till", "--yes"), 1, "is no database that a restore of ours put away", id="ours"),
    ],
)  # fmt: skip
def test_refusals(cashier: Person, server: PostgresServer, *, typed: tuple[str, ...], code: int, says: str) -> None:
    """Each mistake has its message and its exit code, and nothing is touched."""
    done = cashier.run("restore", *typed)

    assert (done.code, says in done.err, done.out) == (code, True, ""), done.err
    assert (words(server), others(server)) == (["spoilt"], {})
    assert [one["name"] for one in json.loads(cashier.run("backups", "list", "--json").out)["backups"]] == ["good"]


def test_without_a_terminal_the_text_is_told(cashier: Person, confirm: str) -> None:
    """It is no secret, and whoever writes it down has seen which server it is."""
    assert f"--confirm {confirm}" in cashier.run("restore", "good", "--replace").err


def test_a_confirmation_is_good_for_one_swap(cashier: Person, server: PostgresServer, confirm: str) -> None:
    """Typed again it is told the right words; so is the number of the server alone, which would be good for every swap."""
    asked = ("restore", "good", "--replace", "--no-safety-backup", "--confirm")
    number, _, _ = confirm.partition("/")
    by_number = cashier.run(*asked, number)
    done = cashier.run(*asked, confirm)
    server.execute("update said set word = 'worked on'", database="till")
    again = cashier.run(*asked, confirm)

    assert (by_number.code, f"this one is confirmed with {confirm}" in by_number.err) == (3, True), by_number.err
    assert done.code == 0, done.err
    assert (again.code, f"this would replace {confirmation(server)}" in again.err) == (3, True), again.err
    assert (words(server), len(others(server))) == (["worked on"], 1)


def test_what_hangs_on_the_database_has_to_be_accepted(cashier: Person, server: PostgresServer, confirm: str) -> None:
    """By its kind, in words; then it is shown again, and done."""
    server.execute(
        "create extension postgres_fdw", "create server ledger foreign data wrapper postgres_fdw", database="till"
    )
    asked = ("restore", "good", "--replace", "--no-safety-backup", "--confirm", confirm)
    refused = cashier.run(*asked)
    done = cashier.run(*asked, "--acknowledge", "foreignservers")

    assert (refused.code, "ForeignServers stay with the old database" in refused.err) == (3, True), refused.err
    assert "say --acknowledge with each kind that is accepted" in refused.err
    assert (done.code, "ForeignServers, accepted: ledger" in done.err, words(server)) == (0, True, ["good"]), done.err
    assert "safety backup" not in done.out + done.err


def test_a_role_that_owns_nothing(cashier: Person, server: PostgresServer, confirm: str) -> None:
    """It needs what the message says, and no more: to be a member of the owner, and to make databases."""
    server.execute("alter role clerk nocreatedb", "alter table said owner to till_owner", database="till")
    assert cashier.run("backup", "--name", "better").code == 0
    server.execute("update said set word = 'worse'", "grant select on said to clerk", database="till")
    url = f"postgresql://clerk:clerk-pw@{server.host}:{server.port}/till?sslmode=disable"
    clerk = replace(
        cashier, variables={**cashier.variables, "DATABASE_URL": url}, secrets=(*cashier.secrets, "clerk-pw")
    )
    asked = ("restore", "better", "--replace", "--confirm", confirm)
    refused = clerk.run(*asked)
    server.execute("grant till_owner to clerk", "alter role clerk createdb")
    done = clerk.run(*asked)

    assert (refused.code, 'GRANT "till_owner" TO "clerk";' in refused.err) == (1, True), refused.err
    assert (done.code, words(server)) == (0, ["spoilt"]), done.err
    owner = "select pg_get_userbyid(datdba) from pg_database where datname = 'till'"
    assert server.execute(owner) == [("till_owner",)]
    assert clerk.run("restore", "--undo", "--last", "--confirm", confirmation(server)).code == 0
    assert (words(server), server.execute(owner)) == (["worse"], [("till_owner",)])


@pytest.mark.parametrize("is_right", [True, False])
def test_at_a_terminal(cashier: Person, server: PostgresServer, confirm: str, *, is_right: bool) -> None:
    """Which backup, and whether it is meant, is asked; another text than the one that is wanted changes nothing."""
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "restore", "--replace", "--no-safety-backup"],
        env=cashier.variables, stdin=theirs, stdout=PIPE, stderr=PIPE, text=True,
    )  # fmt: skip
    os.close(theirs)
    os.write(terminal, f"1\n{confirm if is_right else 'yes'}\n".encode())
    out, err = process.communicate(timeout=60)
    os.close(terminal)

    assert (process.returncode, words(server)) == ((0, ["good"]) if is_right else (3, ["spoilt"])), err
    assert re.search(r"^1 +good +\S+ +Good$", err, re.MULTILINE)
    assert "till at 127.0.0.1 is replaced by backup good, its data as of 20" in err
    assert f"type {confirm} to go on" in err
    assert ("NotConfirmed: that is not the text" in err, bool(out)) == (not is_right, is_right)


def test_ctrl_c_at_the_question(cashier: Person, server: PostgresServer) -> None:
    """Who does not answer has done nothing; the first Ctrl-C is enough."""
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "restore", "good", "--replace"],
        env=cashier.variables,
        stdin=theirs,
        stdout=PIPE,
        stderr=PIPE,
        text=True,
    )
    os.close(theirs)
    assert process.stderr is not None
    said = ""
    while "to go on" not in said:
        said += process.stderr.read(1)
    time.sleep(0.5)  # a signal between the prompt and the read behind it is heard by Python only when that returns
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    os.close(terminal)
    assert (process.returncode, words(server), others(server)) == (130, ["spoilt"], {})


def test_a_safety_backup_that_fails_ends_it(cashier: Person, server: PostgresServer, confirm: str) -> None:
    """Nothing is replaced that could not be backed up."""
    with server.connect("till") as dump:
        dump.execute("select pg_advisory_lock(%s, 2)", (LOCK_CLASS,))
        done = cashier.run("restore", "good", "--replace", "--confirm", confirm, BACKUP_WAIT_SECONDS="0")
    assert (done.code, "database lock: held by" in done.err) == (5, True), done.err
    assert (words(server), others(server)) == (["spoilt"], {})
