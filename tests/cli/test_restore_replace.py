"""`dbcustody restore --replace` as a person types it: the backup is where the database was, and the database is open, however it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
from contextlib import suppress
from dataclasses import replace
from subprocess import PIPE
from typing import TYPE_CHECKING, Final

import pytest

from dbcustody.cli.replacing import Replacing, replace_database
from dbcustody.cli.swapping import Consent
from dbcustody.contract import Verb
from dbcustody.errors import UnavailableError
from dbcustody.jobs import restore as restore_job
from dbcustody.jobs import swap as swap_job
from dbcustody.plan.imprint import ready
from dbcustody.reason import Reason
from ground.process import wait_until
from tests.cli.conftest import COMMAND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

    from dbcustody.contract import JobRequest, JobResult
    from dbcustody.jobs.tools import Tools
    from ground.postgres import PostgresServer
    from tests.cli.conftest import Outcome, Person

pytestmark = pytest.mark.postgres
STATE: Final = "select datname, datallowconn from pg_database where not datistemplate and datname not in ('postgres', 'shop', 'slow')"
LOCK_CLASS: Final = 0x64626375


@pytest.fixture(scope="module", autouse=True)
def _roles(server: PostgresServer) -> Iterator[None]:
    server.execute("create role till_owner", "create role clerk login createdb password 'clerk-pw'")
    yield
    server.execute("drop role till_owner", "drop role clerk")


@pytest.fixture
def person(at_folder: Person, server: PostgresServer) -> Iterator[Person]:
    """Return a person with a database `till` whose backup `good` has one row, and which says something else by now."""
    server.execute("create database till owner till_owner")
    server.execute("create table said (word text)", "insert into said values ('good')", database="till")
    url = f"{server.url('till')}?sslmode=disable"
    person = replace(at_folder, variables={**at_folder.variables, "DATABASE_URL": url})
    done = person.run("backup", "--name", "good")
    assert done.code == 0, done.err
    server.execute("update said set word = 'spoilt'", database="till")
    yield person
    for name, _ in server.execute(STATE):
        server.execute(f'drop database "{name}" with (force)')


@pytest.fixture
def confirm(server: PostgresServer) -> str:
    """Return the text that confirms a replacement of `till`."""
    (identifier,) = server.execute("select system_identifier::text from pg_control_system()")[0]
    return f"till@{identifier}"


def words(server: PostgresServer, database: str = "till") -> list[str]:
    """Return what the rows say; raises when the database lets nobody in."""
    return [word for (word,) in server.execute("select word from said", database=database)]


def others(server: PostgresServer) -> dict[str, bool]:
    """Return whether each database besides `till` lets others in."""
    return {name: bool(is_open) for name, is_open in server.execute(STATE) if name != "till"}


def told_commands(done: Outcome) -> list[list[str]]:
    """Return the commands that *done* tells, as they can be typed."""
    return [shlex.split(line)[1:] for line in re.findall(r"dbcustody restore --\S+ .*", done.out)]


def test_the_backup_is_where_the_database_was(person: Person, server: PostgresServer, confirm: str) -> None:
    """What is told afterwards can be typed as it stands: taken back, and dropped."""
    done = person.run("restore", "good", "--replace", "--confirm", confirm)

    assert (done.code, words(server)) == (0, ["good"]), done.err
    (old,) = others(server)
    assert old.startswith("till_replaced_")
    assert others(server) == {old: False}
    assert done.out.splitlines()[0] == "replaced till by good: 1 tables, 1 rows, compared and equal"
    assert re.search(rf"old database +{old}, shut; to be kept until 20\S+Z", done.out)
    undo, drop = told_commands(done)
    listed = json.loads(person.run("backups", "list", "--json").out)["backups"]
    assert [(one["name"][:15], one["good"], one["verifiedLevel"]) for one in listed[1:]] == [
        ("before-restore-", True, "Read")
    ]
    assert listed[1]["name"] in done.out
    assert "remembered as: dbcustody restore 20" in done.err

    back = person.run(*undo)
    assert (back.code, words(server)) == (0, ["spoilt"]), back.err
    assert f"till is again what was put away as {old}" in back.out
    (undone,) = others(server)
    assert (undone != old, others(server)) == (True, {undone: False})
    assert person.run(*undo).code == 1
    assert person.run(*drop).code == 1
    again = person.run("restore", "--undo", "--last", "--confirm", confirm, "--keep-old", "0")
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
def test_refusals(person: Person, server: PostgresServer, *, typed: tuple[str, ...], code: int, says: str) -> None:
    """Each mistake has its message and its exit code, and nothing is touched."""
    done = person.run("restore", *typed)

    assert (done.code, says in done.err, done.out) == (code, True, ""), done.err
    assert (words(server), others(server)) == (["spoilt"], {})
    assert [one["name"] for one in json.loads(person.run("backups", "list", "--json").out)["backups"]] == ["good"]


def test_without_a_terminal_the_text_is_told(person: Person, confirm: str) -> None:
    """It is no secret, and whoever writes it down has seen which server it is."""
    assert f"--confirm {confirm}" in person.run("restore", "good", "--replace").err


def test_what_hangs_on_the_database_has_to_be_accepted(person: Person, server: PostgresServer, confirm: str) -> None:
    """By its kind, in words; then it is shown again, and done."""
    server.execute(
        "create extension postgres_fdw", "create server ledger foreign data wrapper postgres_fdw", database="till"
    )
    asked = ("restore", "good", "--replace", "--no-safety-backup", "--confirm", confirm)
    refused = person.run(*asked)
    done = person.run(*asked, "--acknowledge", "foreignservers")

    assert (refused.code, "ForeignServers stay with the old database" in refused.err) == (3, True), refused.err
    assert "say --acknowledge with each kind that is accepted" in refused.err
    assert (done.code, "ForeignServers, accepted: ledger" in done.err, words(server)) == (0, True, ["good"]), done.err
    assert "safety backup" not in done.out + done.err


def test_a_role_that_owns_nothing(person: Person, server: PostgresServer, confirm: str) -> None:
    """It needs what the message says, and no more: to be a member of the owner, and to make databases."""
    server.execute("alter role clerk nocreatedb", "alter table said owner to till_owner", database="till")
    assert person.run("backup", "--name", "better").code == 0
    server.execute("update said set word = 'worse'", "grant select on said to clerk", database="till")
    url = f"postgresql://clerk:clerk-pw@{server.host}:{server.port}/till?sslmode=disable"
    clerk = replace(person, variables={**person.variables, "DATABASE_URL": url}, secrets=(*person.secrets, "clerk-pw"))
    asked = ("restore", "better", "--replace", "--confirm", confirm)
    refused = clerk.run(*asked)
    server.execute("grant till_owner to clerk", "alter role clerk createdb")
    done = clerk.run(*asked)

    assert (refused.code, 'GRANT "till_owner" TO "clerk";' in refused.err) == (1, True), refused.err
    assert (done.code, words(server)) == (0, ["spoilt"]), done.err
    owner = "select pg_get_userbyid(datdba) from pg_database where datname = 'till'"
    assert server.execute(owner) == [("till_owner",)]
    assert clerk.run("restore", "--undo", "--last", "--confirm", confirm).code == 0
    assert (words(server), server.execute(owner)) == (["worse"], [("till_owner",)])


@pytest.mark.parametrize("is_right", [True, False])
def test_at_a_terminal(person: Person, server: PostgresServer, confirm: str, *, is_right: bool) -> None:
    """Which backup, and whether it is meant, is asked; another text than the one that is wanted changes nothing."""
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "restore", "--replace", "--no-safety-backup"],
        env=person.variables, stdin=theirs, stdout=PIPE, stderr=PIPE, text=True,
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


def test_ctrl_c_at_the_question(person: Person, server: PostgresServer) -> None:
    """Who does not answer has done nothing; the first Ctrl-C is enough."""
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "restore", "good", "--replace"],
        env=person.variables,
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
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    os.close(terminal)
    assert (process.returncode, words(server), others(server)) == (130, ["spoilt"], {})


@pytest.fixture
def stuck(server: PostgresServer) -> Iterator[psycopg.Connection]:
    """Return a session in `till` that the server cannot end before its process goes on."""
    with server.connect("till") as session:
        pid = session.info.backend_pid
        os.kill(pid, signal.SIGSTOP)
        yield session
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def is_open(server: PostgresServer) -> bool:
    """Return whether `till` lets others in."""
    return server.execute("select datallowconn from pg_database where datname = 'till'") == [(True,)]


def begin_to_swap(person: Person, server: PostgresServer, confirm: str, *typed: str) -> subprocess.Popen[str]:
    """Begin to replace, and return the process when the live database is shut because of it."""
    process = person.start("restore", *(typed or ("good", "--replace", "--no-safety-backup")), "--confirm", confirm)
    is_shut = "select 1 from pg_database where datname = 'till' and not datallowconn"
    assert wait_until(lambda: bool(server.execute(is_shut)) or process.poll() is not None, 60)
    assert process.poll() is None, process.communicate()
    return process


@pytest.mark.parametrize(
    "signals",
    [
        pytest.param((signal.SIGTERM,), id="once"),
        pytest.param((signal.SIGINT, signal.SIGINT, signal.SIGTERM), id="impatient"),
        pytest.param((signal.SIGHUP,), id="terminal gone"),
    ],
)
def test_stopped_while_the_database_is_shut(
    person: Person,
    server: PostgresServer,
    *,
    confirm: str,
    stuck: psycopg.Connection,
    signals: tuple[signal.Signals, ...],
) -> None:
    """It is opened within a moment; then what was made is dropped, which waits for every process of the server."""
    process = begin_to_swap(person, server, confirm)
    for one in signals:
        process.send_signal(one)
    assert wait_until(lambda: is_open(server), 3)
    os.kill(stuck.info.backend_pid, signal.SIGCONT)
    done = person.wait(process)

    assert (done.code, "Interrupted" in done.err) == (130, True), done.err
    assert (words(server), others(server)) == (["spoilt"], {})


def test_stopped_while_a_dump_is_waited_for(person: Person, server: PostgresServer, confirm: str) -> None:
    """The restored database waits for its turn; told to stop, it is taken away again."""
    with server.connect("till") as dump:
        dump.execute("select pg_advisory_lock_shared(%s, 1)", (LOCK_CLASS,))
        process = person.start("restore", "good", "--replace", "--no-safety-backup", "--confirm", confirm)
        waits = "select 1 from pg_database where shobj_description(oid, 'pg_database') like 'complete and shut%'"
        assert wait_until(lambda: bool(server.execute(waits)), 60)
        process.send_signal(signal.SIGTERM)
        done = person.wait(process)
    assert (done.code, words(server), others(server)) == (130, ["spoilt"], {}), done.err


def test_sessions_that_stay_are_told(
    person: Person, server: PostgresServer, confirm: str, stuck: psycopg.Connection
) -> None:
    """After ten seconds everything is as it was."""
    process = begin_to_swap(person, server, confirm)
    assert wait_until(lambda: is_open(server), 20)
    os.kill(stuck.info.backend_pid, signal.SIGCONT)
    done = person.wait(process)
    assert (done.code, f"pid {stuck.info.backend_pid}" in done.err) == (5, True), done.err
    assert (words(server), others(server)) == (["spoilt"], {})


def test_a_killed_swap_is_recovered(
    person: Person, server: PostgresServer, confirm: str, stuck: psycopg.Connection
) -> None:
    """Nothing opens the database by itself then; the one command does, and says what else is left."""
    process = begin_to_swap(person, server, confirm)
    process.kill()
    process.communicate()
    os.kill(stuck.info.backend_pid, signal.SIGCONT)
    assert not is_open(server)
    (left,) = others(server)
    found = person.run("restore", "--recover")
    again = person.run("restore", "--recover")
    dropped = person.run("restore", "--drop-old", left, "--yes")

    assert (found.code, words(server)) == (0, ["spoilt"]), found.err
    assert "till: had been left shut by a swap that was broken off (dbcustody restore 20" in found.out
    assert f"{left}: was made for dbcustody restore 20" in found.out
    assert again.out.startswith("till: is open\n")
    assert (dropped.code, others(server)) == (0, {}), dropped.err


def test_a_killed_undo_is_recovered(person: Person, server: PostgresServer, confirm: str) -> None:
    """What was restored is open again, and the old database shut; it can still be put back."""
    assert person.run("restore", "good", "--replace", "--no-safety-backup", "--confirm", confirm).code == 0
    (old,) = others(server)
    with server.connect("till") as session:
        os.kill(session.info.backend_pid, signal.SIGSTOP)
        process = begin_to_swap(person, server, confirm, "--undo", "--last")
        process.kill()
        process.communicate()
        os.kill(session.info.backend_pid, signal.SIGCONT)
    assert others(server) == {old: True}
    found = person.run("restore", "--recover")

    assert (found.code, words(server), others(server)) == (0, ["good"], {old: False}), found.err
    assert f"{old}: had been left open by an undo that was broken off, and is shut again" in found.out
    assert person.run("restore", "--undo", "--last", "--confirm", confirm).code == 0
    assert words(server) == ["spoilt"]


@pytest.mark.parametrize("is_ours", [True, False])
def test_what_is_recovered(person: Person, server: PostgresServer, *, is_ours: bool) -> None:
    """A database that a swap of ours shut, and no other: somebody may have meant it. How it is opened is told."""
    (oid,) = server.execute("select oid::bigint from pg_database where datname = 'till'")[0]
    replaces = oid if is_ours else oid + 1
    server.execute(
        "create database dbcustody_x allow_connections false",
        f"comment on database dbcustody_x is '{ready(replaces, 'RestoreRequest web/back 0')}'",
        "create database elsewhere allow_connections false",
        "alter database till allow_connections false",
    )
    found = person.run("restore", "--recover")
    was_opened = is_open(server)
    server.execute("alter database till allow_connections true")

    assert (found.code, was_opened) == ((0, True) if is_ours else (1, False)), found.err
    assert ('ALTER DATABASE "till" ALLOW_CONNECTIONS true;' in found.err) is not is_ours
    assert others(server) == {"dbcustody_x": False, "elsewhere": False}


def test_a_swap_that_is_under_way_is_left_alone(person: Person, server: PostgresServer) -> None:
    """Whoever does it, under whatever custody: what looks broken off is in the middle."""
    (oid,) = server.execute("select oid::bigint from pg_database where datname = 'till'")[0]
    server.execute(
        "create database dbcustody_x allow_connections false",
        f"comment on database dbcustody_x is '{ready(oid, 'RestoreRequest web/back 0')}'",
        "alter database till allow_connections false",
    )
    with server.connect("postgres") as other:
        other.execute("select pg_advisory_lock(%s, 7)", (LOCK_CLASS,))
        found = person.run("restore", "--recover")
        dropped = person.run("restore", "--drop-old", "dbcustody_x", "--yes")
    server.execute("alter database till allow_connections true")

    assert [(one.code, "DatabaseBusy: a swap of databases is under way" in one.err) for one in (found, dropped)] == [
        (5, True)
    ] * 2
    assert others(server) == {"dbcustody_x": False}


def test_who_is_in_the_old_database_keeps_it(person: Person, server: PostgresServer, confirm: str) -> None:
    """It is not dropped under somebody who looks into it."""
    assert person.run("restore", "good", "--replace", "--no-safety-backup", "--confirm", confirm).code == 0
    (old,) = others(server)
    server.execute(f'alter database "{old}" allow_connections true')
    with server.connect(old):
        assert person.run("restore", "--drop-old", old, "--yes").code == 5
    assert old in others(server)


def test_a_safety_backup_that_fails_ends_it(person: Person, server: PostgresServer, confirm: str) -> None:
    """Nothing is replaced that could not be backed up."""
    with server.connect("till") as dump:
        dump.execute("select pg_advisory_lock(%s, 2)", (LOCK_CLASS,))
        done = person.run("restore", "good", "--replace", "--confirm", confirm, BACKUP_WAIT_SECONDS="0")
    assert (done.code, "database lock: held by" in done.err) == (5, True), done.err
    assert (words(server), others(server)) == (["spoilt"], {})


@pytest.fixture
def by_hand(person: Person, confirm: str) -> Callable[[], int]:
    """Return what replaces `till` in this very process."""
    choice = Replacing(name="good", consent=Consent(confirm=confirm), with_safety_backup=False)
    return lambda: replace_database(person.variables, choice)


def test_a_swap_whose_answer_was_lost(
    by_hand: Callable[[], int],
    server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is asked for at the server, and told as what it is: done."""
    run = swap_job.run

    def lost(request: JobRequest, tools: Tools) -> JobResult:
        run(request, tools)
        raise UnavailableError("server: gone", reason=Reason.CONNECTION_LOST)

    monkeypatch.setattr(swap_job, "run", lost)
    assert (by_hand(), words(server)) == (0, ["good"])
    assert "--undo till_replaced_" in capsys.readouterr().out


def test_a_server_that_does_not_tell(
    by_hand: Callable[[], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What helps is said, and the first error is the one that counts."""
    run = restore_job.run

    def away(request: JobRequest, tools: Tools) -> JobResult:
        if request.verb in {Verb.SETTLE_RESTORE, Verb.SWAP}:
            raise UnavailableError(f"{request.verb}: away", reason=Reason.HOST_UNREACHABLE)
        return run(request, tools)

    monkeypatch.setattr(restore_job, "run", away)
    monkeypatch.setattr(swap_job, "run", away)
    with pytest.raises(UnavailableError, match="swap: away"):
        by_hand()
    said = capsys.readouterr().err
    assert "what became of the swap could not be found out: HostUnreachable: settle-restore: away" in said
    assert "`dbcustody restore --recover` opens the database" in said
