"""Statements of a migration on a real server: all or nothing, short waits, no orphans, and no value in what is told."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from psycopg.pq import TransactionStatus

from dbcustody.adapters.postgres import migrating
from dbcustody.adapters.postgres.bookkeeping import upgrade
from dbcustody.adapters.postgres.ledger import Direction, Ending, Intent, outcome_row, read_attempts
from dbcustody.adapters.postgres.lookout import Lookout
from dbcustody.adapters.postgres.migrating import (
    StatementFailedError,
    application_of,
    end_earlier,
    open_runner,
    run_alone,
    run_together,
    start_attempt,
)
from dbcustody.adapters.postgres.obstruction import find_older, wait_for
from dbcustody.adapters.postgres.session import connect
from dbcustody.adapters.postgres.target import PostgresTarget
from dbcustody.errors import DbcustodyError, RefusedError, UnavailableError
from dbcustody.migration.ledger import State
from dbcustody.migration.patience import Limits
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from dbcustody.adapters.postgres.session import Session

pytestmark = pytest.mark.postgres
LIMITS = Limits()
OWNER = "5f0c1a2b"
ENDING = Ending(state=State.APPLIED, done=1, actor="somebody")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def target(server: PostgresServer) -> Iterator[PostgresTarget]:
    """Return a new database with a table that has rows."""
    server.execute("create database shop")
    server.execute(
        "create table public.people (id int primary key, email text)",
        "insert into public.people values (1, 'anna@example.org'), (2, 'bo@example.org')",
        database="shop",
    )
    yield PostgresTarget(
        host=server.host,
        port=str(server.port),
        database="shop",
        user="postgres",
        password=server.password,
        sslmode="disable",
    )
    server.execute("drop database shop with (force)")


@pytest.fixture
def runner(target: PostgresTarget) -> Iterator[Session]:
    """Return a session that migrates."""
    with open_runner(target, uuid4()) as session:
        yield session


def intent(body: str) -> Intent:
    """Return what is about to be tried."""
    return Intent(
        run=uuid4(), revision="a", name="a", direction=Direction.UP, sha256="a" * 64, body=body, tool="test", actor="somebody"
    )  # fmt: skip


def waiting(server: PostgresServer, run: UUID) -> bool:
    """Return whether a session of *run* waits for a lock."""
    words = "select application_name from pg_stat_activity where wait_event_type = 'Lock'"
    return (application_of(run, OWNER),) in server.execute(words)


def tables(server: PostgresServer) -> set[str]:
    """Return the names of the tables in `public`."""
    words = "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
    return {row[0] for row in server.execute(words, database="shop")}


def test_all_of_it_is_in_with_what_is_written_down(server: PostgresServer, runner: Session) -> None:
    """In one transaction; names are found as the role finds them, whatever the text set for itself."""
    run_together(
        runner,
        [
            "create table noted (word text)",
            "create role other",
            "set local role other",
            "set local search_path to nowhere",
        ],
        limits=LIMITS,
        last=(b"insert into public.noted select current_user::text || %s", ("'s",)),
    )

    assert server.execute("select word from public.noted", database="shop") == [("postgres's",)]
    server.execute("drop role other")


def test_what_one_sets_for_the_session_is_gone_for_the_next(server: PostgresServer, runner: Session) -> None:
    """In a transaction or by itself, done or refused: role, search path and settings are the role's own again."""
    names = "select current_user::text, current_setting('search_path'), current_setting('work_mem'), current_setting('lock_timeout')"
    before = runner.execute(names).fetchone()
    sets = [
        "create schema other",
        "set search_path to other",
        "set work_mem to '5MB'",
        "set session role pg_read_all_data",
    ]
    run_together(runner, sets, limits=LIMITS, last=None)
    found = [runner.execute(names).fetchone()]
    with pytest.raises(StatementFailedError):
        run_together(runner, ["set work_mem to '6MB'", "slect 1"], limits=LIMITS, last=None)
    found.append(runner.execute(names).fetchone())
    run_alone(runner, "set search_path to other", ordinal=1, limits=LIMITS)
    found.append(runner.execute(names).fetchone())

    assert found == [before] * 3
    assert server.execute("select to_regnamespace('other') is not null", database="shop") == [(True,)]


def test_what_is_left_is_taken_back_with_the_next_intent(server: PostgresServer, runner: Session) -> None:
    """One message: the next one is written down, whatever letters it has, and its transaction is open, with its limits and no other."""
    names = "select current_user::text, current_setting('search_path'), current_setting('client_encoding'), current_setting('work_mem')"
    upgrade(runner)
    before = runner.execute(names).fetchone()
    sets = [
        "set search_path to nowhere",
        "set work_mem to '5MB'",
        "set client_encoding to latin1",
        "set role pg_read_all_data",
    ]
    run_together(runner, sets, limits=LIMITS, last=None, goes_on=True)
    left = runner.execute("show work_mem").fetchone()
    attempt = start_attempt(runner, intent("create table noted (word text default '\u2603')"), LIMITS)
    begun = runner.execute(names).fetchone(), runner.execute("show lock_timeout").fetchone()
    run_together(runner, ["create table noted ()"], limits=LIMITS, last=outcome_row(attempt, ENDING))

    assert (left, begun) == (("5MB",), (before, ("500ms",)))
    body = "select body from dbcustody.attempt a join dbcustody.outcome o on o.attempt = a.id where state = 'Applied'"
    assert server.execute(body, database="shop") == [("create table noted (word text default '\u2603')",)]
    assert tables(server) == {"people", "noted"}


@pytest.mark.parametrize(
    "leaves",
    ["set default_transaction_read_only to on", "set default_transaction_isolation to serializable", "set session authorization pauper"],
)  # fmt: skip
def test_whatever_a_function_left_the_next_one_is_the_role_s_own(
    server: PostgresServer, runner: Session, leaves: str
) -> None:
    """Also what RESET ALL does not take back, and what counts for the transaction in which it is taken back."""
    server.execute("drop role if exists pauper", "create role pauper")
    upgrade(runner)
    code = f"do $$ begin execute '{leaves}'; end $$"
    first = start_attempt(runner, intent(code), LIMITS)
    run_together(runner, [code], limits=LIMITS, last=outcome_row(first, ENDING), goes_on=True)
    second = start_attempt(runner, intent("create table noted ()"), LIMITS)
    run_together(runner, ["create table noted ()"], limits=LIMITS, last=outcome_row(second, ENDING))

    owners = "select relowner::regrole::text from pg_class where relname = 'noted'"
    assert server.execute(owners, database="shop") == [("postgres",)]
    assert [one.state for one in read_attempts(runner)] == [State.APPLIED] * 2


def test_letters_are_those_of_the_file_whatever_the_server_likes(
    server: PostgresServer, target: PostgresTarget
) -> None:
    """A role whose clients speak Latin-1 stores what stands in the file, which is UTF-8; what it has no letter for is no crash."""
    server.execute("alter role postgres set client_encoding to latin1")
    try:
        with open_runner(target, uuid4()) as runner:
            upgrade(runner)
            body = "insert into people values (7, 'caf\u00e9 \u20ac')"
            attempt = start_attempt(runner, intent(body), LIMITS)
            run_together(runner, [body], limits=LIMITS, last=outcome_row(attempt, ENDING))
    finally:
        server.execute("alter role postgres reset client_encoding")
    assert server.execute("select email from people where id = 7", database="shop") == [("caf\u00e9 \u20ac",)]
    assert server.execute("select body from dbcustody.attempt", database="shop") == [(body,)]


def test_what_cannot_be_written_down_is_not_begun(runner: Session) -> None:
    """No transaction is left open, and no intent without a place."""
    with pytest.raises(DbcustodyError, match="write down what is tried"):
        start_attempt(runner, intent("select 1"), LIMITS)
    assert runner.info.transaction_status is TransactionStatus.IDLE


def test_a_server_that_cannot_look_after_its_client_is_asked_without(
    runner: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on platforms of which PostgreSQL says so: then the transaction is left to be opened."""
    upgrade(runner)
    words = "client_connection_check_interval"
    refused = f"do $$ begin raise invalid_parameter_value using message = 'no {words} here'; end $$"
    monkeypatch.setattr(migrating, "_FORGOTTEN", f"{migrating._FORGOTTEN}; {refused}")
    attempt = start_attempt(runner, intent("select 1"), LIMITS)

    assert runner.info.transaction_status is TransactionStatus.IDLE
    run_together(runner, ["select 1"], limits=LIMITS, last=outcome_row(attempt, ENDING))
    assert [one.state for one in read_attempts(runner)] == [State.APPLIED]


def test_what_fails_leaves_nothing(server: PostgresServer, runner: Session) -> None:
    """The statement is named with its place and the object, and no value is told."""
    called: list[Session] = []
    words = ["create table noted ()", "insert into people values (1, 'secret@example.org')"]

    with pytest.raises(StatementFailedError) as failed:
        run_together(runner, words, limits=LIMITS, last=None, looks=called.append)

    refusal = failed.value.refusal
    assert (refusal.ordinal, refusal.sqlstate, refusal.object) == (2, "23505", "public.people.people_pkey")
    assert (tables(server), called) == ({"people"}, [])
    assert "secret" not in str(failed.value)
    with pytest.raises(StatementFailedError) as wrong:
        run_together(runner, ["select 1", "slect 2"], limits=LIMITS, last=None)
    assert (wrong.value.refusal.ordinal, wrong.value.refusal.position) == (2, 0)


def test_what_is_written_down_fails_with_it(server: PostgresServer, runner: Session) -> None:
    """A migration that cannot be recorded did not happen."""
    with pytest.raises(StatementFailedError) as failed:
        run_together(runner, ["create table noted ()"], limits=LIMITS, last=(b"slect 1", ()))

    assert (failed.value.refusal.ordinal, tables(server)) == (0, {"people"})


def test_a_lock_that_is_not_to_be_had_is_given_up_soon(
    server: PostgresServer, target: PostgresTarget, runner: Session
) -> None:
    """Who was in the way is known, and it is waited for; then it goes through."""
    holder = server.connect("shop", application_name="reporting")
    holder.execute("begin")
    holder.execute("select * from public.people")
    words = ["alter table people add column born date"]

    with connect(target) as beside:
        with (
            Lookout(runner, beside, threading.Event()) as lookout,
            lookout.on_duty() as watch,
            pytest.raises(StatementFailedError) as failed,
        ):
            run_together(runner, words, limits=LIMITS, last=None)
        (blocker,) = watch.seen
        assert failed.value.refusal.is_lock
        assert 0 < lookout.waited_seconds < 30
        assert str(blocker).startswith(f"reporting (pid {holder.info.backend_pid}, idle in transaction")
        assert [one.pid for one in find_older(beside, seconds=0, stop=threading.Event())] == []
        assert not wait_for(beside, blocker, seconds=0, stop=threading.Event())
        threading.Timer(0.5, holder.execute, args=("commit",)).start()
        assert wait_for(beside, blocker, seconds=60, stop=threading.Event())
        run_together(runner, words, limits=LIMITS, last=None)
    holder.close()


def test_an_old_snapshot_is_found(server: PostgresServer, target: PostgresTarget) -> None:
    """What CREATE INDEX CONCURRENTLY would wait for."""
    with server.connect("shop", application_name="export") as old, connect(target) as beside:
        old.execute("begin isolation level repeatable read")
        old.execute("select 1")
        assert [one.application for one in find_older(beside, seconds=0, stop=threading.Event())] == ["export"]
        assert find_older(beside, seconds=3600, stop=threading.Event()) == ()


def test_one_by_itself(server: PostgresServer, runner: Session) -> None:
    """What may not stand in a transaction runs, and leaves the session as it was."""
    run_alone(
        runner, "create index concurrently on people (email)", ordinal=1, limits=Limits(statement_timeout_seconds=60)
    )

    assert runner.execute("show statement_timeout").fetchone() == ("0",)
    assert server.execute(
        "select count(*) from pg_index where indrelid = 'public.people'::regclass", database="shop"
    ) == [(2,)]
    with pytest.raises(StatementFailedError) as failed:
        run_alone(runner, "create index concurrently people_email on nowhere (email)", ordinal=1, limits=LIMITS)
    assert failed.value.refusal.sqlstate == "42P01"


def test_a_connection_that_is_cut_is_no_refusal(server: PostgresServer, runner: Session) -> None:
    """Then only the ledger knows what became of it."""
    pid = runner.info.backend_pid
    cut = f"select pg_terminate_backend({pid})"

    with pytest.raises(UnavailableError) as lost:
        run_together(
            runner,
            ["create table noted ()"],
            limits=LIMITS,
            last=None,
            looks=lambda _: server.execute(cut) and runner.execute("select 1") and None,
        )

    assert (lost.value.reason, tables(server)) == (Reason.CONNECTION_LOST, {"people"})


@pytest.mark.parametrize("words", ["alter role {} set default_transaction_read_only to on"])
def test_where_nothing_can_be_written(server: PostgresServer, target: PostgresTarget, words: str) -> None:
    """It is said before anything is tried."""
    server.execute(words.format("postgres"))
    try:
        with pytest.raises(RefusedError, match="primary") as refused:
            open_runner(target, uuid4())
    finally:
        server.execute(
            "set default_transaction_read_only to off", "alter role postgres reset default_transaction_read_only"
        )
    assert refused.value.reason is Reason.NOT_WRITABLE


_ORPHAN = """
import sys
from uuid import UUID
from dbcustody.adapters.postgres.migrating import open_runner, run_together
from dbcustody.adapters.postgres.target import PostgresTarget
from dbcustody.migration.patience import Limits
host, port, password, run, owner = sys.argv[1:]
target = PostgresTarget(host=host, port=port, database="shop", user="postgres", password=password, sslmode="disable")
session = open_runner(target, UUID(run), owner)
limits = Limits(lock_timeout_milliseconds=0)
run_together(session, ["alter table people add column born date"], limits=limits, last=None)
"""


@pytest.mark.parametrize("how", ["by itself", "by the next run"])
def test_a_runner_that_is_killed_leaves_no_statement_behind(
    server: PostgresServer, target: PostgresTarget, how: str
) -> None:
    """SIGKILL while it waits for a lock: its backend goes, and what it waited to do is never done."""
    run = uuid4()
    argv = [sys.executable, "-c", _ORPHAN, server.host, str(server.port), server.password, str(run), OWNER]
    with server.connect("shop") as holder:
        holder.execute("begin")
        holder.execute("lock table public.people in access share mode")
        with subprocess.Popen(argv) as process:
            assert wait_until(lambda: waiting(server, run), 60)
            process.kill()
        if how == "by the next run":
            with connect(target) as next_one:
                own, another = uuid4(), "0" * 8
                found = [end_earlier(next_one, own, another), end_earlier(next_one, run, OWNER)]
                found += [end_earlier(next_one, own, OWNER), end_earlier(next_one, own, OWNER)]
                assert found == [0, 0, 1, 0]
                server.execute("drop role if exists stranger", "create role stranger login password 'pw'")
                words = application_of(uuid4(), OWNER)
                with server.connect("shop", user="stranger", password="pw", application_name=words) as other:
                    assert end_earlier(next_one, own, OWNER) == 0
                    assert other.execute("select 1").fetchone() == (1,)
        assert wait_until(lambda: not waiting(server, run), 60)
        holder.execute("commit")

    assert server.execute("select count(*) from pg_attribute where attname = 'born'", database="shop") == [(0,)]
