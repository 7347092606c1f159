"""`dbcustody restore --replace` that is broken off, at the worst moments: the database is open afterwards, or `--recover` opens it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

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
from tests.fakes.till import LOCK_CLASS, confirmation, is_open, others, words

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    import psycopg

    from dbcustody.contract import JobRequest, JobResult
    from dbcustody.jobs.tools import Tools
    from ground.postgres import PostgresServer
    from tests.cli.conftest import Person

pytestmark = pytest.mark.postgres


@pytest.fixture
def stuck(server: PostgresServer) -> Iterator[psycopg.Connection]:
    """Return a session in `till` that the server cannot end before its process goes on."""
    with server.connect("till") as session:
        pid = session.info.backend_pid
        os.kill(pid, signal.SIGSTOP)
        yield session
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def begin_to_swap(cashier: Person, server: PostgresServer, confirm: str, *typed: str) -> subprocess.Popen[str]:
    """Begin to replace, and return the process when the live database is shut because of it."""
    process = cashier.start("restore", *(typed or ("good", "--replace", "--no-safety-backup")), "--confirm", confirm)
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
    cashier: Person,
    server: PostgresServer,
    *,
    confirm: str,
    stuck: psycopg.Connection,
    signals: tuple[signal.Signals, ...],
) -> None:
    """It is opened within a moment; then what was made is dropped, which waits for every process of the server."""
    process = begin_to_swap(cashier, server, confirm)
    for one in signals:
        process.send_signal(one)
    assert wait_until(lambda: is_open(server), 3)
    os.kill(stuck.info.backend_pid, signal.SIGCONT)
    done = cashier.wait(process)

    assert (done.code, "Interrupted" in done.err) == (130, True), done.err
    assert (words(server), others(server)) == (["spoilt"], {})


def test_stopped_while_a_dump_is_waited_for(cashier: Person, server: PostgresServer, confirm: str) -> None:
    """The restored database waits for its turn; told to stop, it is taken away again."""
    with server.connect("till") as dump:
        dump.execute("select pg_advisory_lock_shared(%s, 1)", (LOCK_CLASS,))
        process = cashier.start("restore", "good", "--replace", "--no-safety-backup", "--confirm", confirm)
        waits = "select 1 from pg_database where shobj_description(oid, 'pg_database') like 'complete and shut%'"
        assert wait_until(lambda: bool(server.execute(waits)), 60)
        process.send_signal(signal.SIGTERM)
        done = cashier.wait(process)
    assert (done.code, words(server), others(server)) == (130, ["spoilt"], {}), done.err


def test_sessions_that_stay_are_told(
    cashier: Person, server: PostgresServer, confirm: str, stuck: psycopg.Connection
) -> None:
    """After ten seconds everything is as it was."""
    process = begin_to_swap(cashier, server, confirm)
    assert wait_until(lambda: is_open(server), 20)
    os.kill(stuck.info.backend_pid, signal.SIGCONT)
    done = cashier.wait(process)
    assert (done.code, f"pid {stuck.info.backend_pid}" in done.err) == (5, True), done.err
    assert (words(server), others(server)) == (["spoilt"], {})


def test_a_killed_swap_is_recovered(
    cashier: Person, server: PostgresServer, confirm: str, stuck: psycopg.Connection
) -> None:
    """Nothing opens the database by itself then; the one command does, and says what else is left."""
    process = begin_to_swap(cashier, server, confirm)
    process.kill()
    process.communicate()
    os.kill(stuck.info.backend_pid, signal.SIGCONT)
    assert not is_open(server)
    (left,) = others(server)
    found = cashier.run("restore", "--recover")
    again = cashier.run("restore", "--recover")
    dropped = cashier.run("restore", "--drop-old", left, "--yes")

    assert (found.code, words(server)) == (0, ["spoilt"]), found.err
    assert "till: had been left shut by a swap that was broken off (dbcustody restore 20" in found.out
    assert f"{left}: was made for dbcustody restore 20" in found.out
    assert again.out.startswith("till: is open\n")
    assert (dropped.code, others(server)) == (0, {}), dropped.err


def test_a_killed_undo_is_recovered(cashier: Person, server: PostgresServer, confirm: str) -> None:
    """What was restored is open again, and the old database shut; it can still be put back."""
    assert cashier.run("restore", "good", "--replace", "--no-safety-backup", "--confirm", confirm).code == 0
    (old,) = others(server)
    with server.connect("till") as session:
        os.kill(session.info.backend_pid, signal.SIGSTOP)
        process = begin_to_swap(cashier, server, confirmation(server), "--undo", "--last")
        process.kill()
        process.communicate()
        os.kill(session.info.backend_pid, signal.SIGCONT)
    assert others(server) == {old: True}
    found = cashier.run("restore", "--recover")

    assert (found.code, words(server), others(server)) == (0, ["good"], {old: False}), found.err
    assert f"{old}: had been left open by an undo that was broken off, and is shut again" in found.out
    assert cashier.run("restore", "--undo", "--last", "--confirm", confirmation(server)).code == 0
    assert words(server) == ["spoilt"]


@pytest.mark.parametrize("is_ours", [True, False])
def test_what_is_recovered(cashier: Person, server: PostgresServer, *, is_ours: bool) -> None:
    """A database that a swap of ours shut, and no other: somebody may have meant it. How it is opened is told."""
    (oid,) = server.execute("select oid::bigint from pg_database where datname = 'till'")[0]
    replaces = oid if is_ours else oid + 1
    server.execute(
        "create database dbcustody_x allow_connections false",
        f"comment on database dbcustody_x is '{ready(replaces, 'RestoreRequest web/back 0')}'",
        "create database elsewhere allow_connections false",
        "alter database till allow_connections false",
    )
    found = cashier.run("restore", "--recover")
    was_opened = is_open(server)
    server.execute("alter database till allow_connections true")

    assert (found.code, was_opened) == ((0, True) if is_ours else (1, False)), found.err
    assert ('ALTER DATABASE "till" ALLOW_CONNECTIONS true;' in found.err) is not is_ours
    assert others(server) == {"dbcustody_x": False, "elsewhere": False}


def test_a_swap_that_is_under_way_is_left_alone(cashier: Person, server: PostgresServer) -> None:
    """Whoever does it, under whatever custody: what looks broken off is in the middle."""
    (oid,) = server.execute("select oid::bigint from pg_database where datname = 'till'")[0]
    server.execute(
        "create database dbcustody_x allow_connections false",
        f"comment on database dbcustody_x is '{ready(oid, 'RestoreRequest web/back 0')}'",
        "alter database till allow_connections false",
    )
    with server.connect("postgres") as other:
        other.execute("select pg_advisory_lock(%s, 7)", (LOCK_CLASS,))
        found = cashier.run("restore", "--recover")
        dropped = cashier.run("restore", "--drop-old", "dbcustody_x", "--yes")
    server.execute("alter database till allow_connections true")

    assert [(one.code, "DatabaseBusy: a swap of databases is under way" in one.err) for one in (found, dropped)] == [
        (5, True)
    ] * 2
    assert others(server) == {"dbcustody_x": False}


def test_who_is_in_the_old_database_keeps_it(cashier: Person, server: PostgresServer, confirm: str) -> None:
    """It is not dropped under somebody who looks into it."""
    assert cashier.run("restore", "good", "--replace", "--no-safety-backup", "--confirm", confirm).code == 0
    (old,) = others(server)
    server.execute(f'alter database "{old}" allow_connections true')
    with server.connect(old):
        assert cashier.run("restore", "--drop-old", old, "--yes").code == 5
    assert old in others(server)


@pytest.fixture
def by_hand(cashier: Person, confirm: str) -> Callable[[], int]:
    """Return what replaces `till` in this very process."""
    choice = Replacing(name="good", consent=Consent(confirm=confirm), with_safety_backup=False)
    return lambda: replace_database(cashier.variables, choice)


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
