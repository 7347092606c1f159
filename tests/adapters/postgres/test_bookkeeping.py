"""The ledger on real servers: made once, brought up to date from every earlier version, and never changed behind anybody's back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from alembic.script import ScriptDirectory

from dbcustody.adapters.postgres.bookkeeping import newest_version, read_version, require_known, upgrade, written_out
from dbcustody.adapters.postgres.ledger import (
    Direction,
    Ending,
    Intent,
    Step,
    add_attempt,
    add_outcome,
    add_step,
    read_attempts,
    read_unsettled,
)
from dbcustody.adapters.postgres.session import connect
from dbcustody.adapters.postgres.target import PostgresTarget
from dbcustody.errors import RefusedError
from dbcustody.migration.ledger import State
from dbcustody.migration.trace import Finding
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from tests.fakes.migrator import OLD_ATTEMPT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.adapters.postgres.session import Session

pytestmark = pytest.mark.postgres
VERSIONS = [one.revision for one in ScriptDirectory(str(Path(__file__).parents[3] / "migrations")).walk_revisions()]


@pytest.fixture(scope="module", params=[14, 18])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server of the oldest and of the newest major."""
    with PostgresServer(request.param) as started:
        yield started


def target_of(server: PostgresServer, user: str = "postgres", password: str | None = None) -> PostgresTarget:
    """Return the database as *user* sees it."""
    return PostgresTarget(
        host=server.host,
        port=str(server.port),
        database="shop",
        user=user,
        password=password or server.password,
        sslmode="disable",
    )


@pytest.fixture
def session(server: PostgresServer) -> Iterator[Session]:
    """Return a session in a new database."""
    server.execute("create database shop")
    with connect(target_of(server)) as opened:
        yield opened
    server.execute("drop database shop with (force)")


def intent(revision: str = "20261127_120000_begin") -> Intent:
    """Return what is about to be tried."""
    return Intent(
        run=uuid4(),
        revision=revision,
        name=revision,
        direction=Direction.UP,
        sha256="a" * 64,
        body="create table people ()",
        tool="test",
        approval="ivan approved plan a (Approval yes)",
        backup="monday at 0/1757B088",
        actor="somebody",
    )


def test_it_is_made_and_made_once(session: Session) -> None:
    """Before there is none; afterwards it is the newest, and asked again nothing happens."""
    before = read_version(session)
    upgrade(session)
    first = session.execute("select database_uuid, made_at from dbcustody.marker").fetchall()
    upgrade(session)

    assert (before, read_version(session)) == (None, newest_version())
    assert session.execute("select database_uuid, made_at from dbcustody.marker").fetchall() == first
    assert (session.autocommit, session.info.transaction_status) == (True, psycopg.pq.TransactionStatus.IDLE)


SHAPE = """
select c.oid::regclass::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, col_description(c.oid, attnum),
       obj_description(c.oid, 'pg_class'), (select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = c.oid and adnum = attnum),
       array(select pg_get_constraintdef(oid) from pg_constraint where conrelid = c.oid order by conname),
       array(select pg_get_indexdef(indexrelid) from pg_index where indrelid = c.oid order by 1),
       array(select pg_get_triggerdef(oid) from pg_trigger where tgrelid = c.oid and not tgisinternal order by 1)
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
where c.relnamespace = 'dbcustody'::regnamespace and c.relkind = 'r' order by 1, a.attnum
"""
CODE = "select pg_get_functiondef(oid) from pg_proc where pronamespace = 'dbcustody'::regnamespace order by 1"


def test_a_new_one_is_made_whole_as_alembic_makes_it(server: PostgresServer, session: Session) -> None:
    """By what Alembic writes of all its revisions now: the same tables, code and words as one revision after the other."""
    folder = Path(__file__).parents[3] / "migrations"
    upgrade(session)
    server.execute("create database other")
    with connect(replace(target_of(server), database="other")) as other:
        upgrade(other, to="0001")
        upgrade(other)
        found = [(one.execute(SHAPE).fetchall(), one.execute(CODE).fetchall()) for one in (session, other)]
    server.execute("drop database other with (force)")

    assert (folder / "versions" / "whole.sql").read_text() == written_out()
    assert found[0] == found[1]
    assert (len(found[0][0]) > 40, len(found[0][1])) == (True, 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_earlier_version_is_brought_up_to_date(session: Session, version: str) -> None:
    """With what was written by then still in it."""
    upgrade(session, to=version)
    session.execute(OLD_ATTEMPT, ("20261127_120000", "20261127_120000_begin", "a" * 64, "select 1"))

    upgrade(session)

    assert read_version(session) == newest_version()
    assert [(one.name, one.state) for one in read_attempts(session)] == [("20261127_120000_begin", State.APPLIED)]


def test_of_a_newer_version_nothing_is_touched(session: Session) -> None:
    """Whoever does not know a ledger does not write into it."""
    upgrade(session)
    session.execute("update dbcustody.ledger_version set version_num = '9999'")

    for act in (lambda: upgrade(session), lambda: require_known("9999")):
        with pytest.raises(RefusedError, match=r"9999.*newer") as refused:
            act()
        assert refused.value.reason is Reason.LEDGER_UNKNOWN
    assert read_version(session) == "9999"


def test_what_is_written_comes_back(session: Session) -> None:
    """Attempts in their order, of several outcomes the last; what has none is told with what is known of it."""
    upgrade(session)
    first, second, third, fourth = (add_attempt(session, intent(name)) for name in "abcd")
    for attempt, before, statement in (
        (second, Finding.ABSENT, None),
        (second, Finding.DONE, None),
        (third, Finding.DONE, "vacuum"),
    ):
        add_step(session, attempt, Step(sha256="b" * 64, nature="NonTransactional", before=before, statement=statement))
    add_outcome(session, first, Ending(state=State.FAILED, sqlstate="23505", object="people_key", actor="somebody"))
    add_outcome(session, first, Ending(state=State.APPLIED, done=2, reason="finished by hand", actor="anna"))

    found, unsettled = read_attempts(session), read_unsettled(session)

    assert [(one.ordinal, one.name, one.state) for one in found] == [
        (first, "a", State.APPLIED),
        (second, "b", State.STARTED),
        (third, "c", State.STARTED),
        (fourth, "d", State.STARTED),
    ]
    assert [one.finished is None for one in found] == [False, True, True, True]
    assert [(one.ordinal, one.found_before, one.body) for one in unsettled] == [
        (second, Finding.ABSENT, "create table people ()"),
        (third, Finding.DONE, "vacuum"),
        (fourth, None, "create table people ()"),
    ]


@pytest.mark.parametrize(
    "words",
    [
        "update dbcustody.outcome set state = 'Applied'",
        "delete from dbcustody.attempt",
        "truncate dbcustody.attempt, dbcustody.step, dbcustody.outcome, dbcustody.fingerprint",
        "update dbcustody.fingerprint set digest = null",
        "delete from dbcustody.fingerprint",
    ],
)
def test_rows_are_added_and_never_changed(session: Session, words: str) -> None:
    """Not even by their owner."""
    upgrade(session)
    add_outcome(session, add_attempt(session, intent()), Ending(state=State.FAILED, actor="somebody"))

    with pytest.raises(psycopg.errors.RestrictViolation, match="is a ledger"):
        session.execute(words.encode())


def test_a_role_that_may_not_is_told_the_grant(server: PostgresServer, session: Session) -> None:
    """And with a schema made for it, it needs none."""
    server.execute("create role runner login password 'r'")
    with connect(target_of(server, "runner", "r")) as poor:
        with pytest.raises(RefusedError, match="GRANT CREATE ON DATABASE") as refused:
            upgrade(poor)
        assert (refused.value.reason, read_version(poor)) == (Reason.PRIVILEGES_MISSING, None)
        session.execute("create schema dbcustody authorization runner")
        upgrade(poor)
        assert read_version(poor) == newest_version()
    server.execute("drop owned by runner", database="shop")
    server.execute("drop role runner")
