"""What a migration may not say: transactions, the runner's settings, the server, and rows that nobody sends."""

from __future__ import annotations

import pytest

from dbcustody.migration.fault import Place
from dbcustody.migration.refusal import refusals
from dbcustody.migration.setting import OWNED, Setting, owned_settings
from dbcustody.migration.statement import cut, terms_of
from dbcustody.migration.token import read_tokens


def refused(text: str) -> list[str]:
    """Return why the statements of *text* are refused."""
    return [fault.what for statement in cut(text).statements for fault in refusals(statement)]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("begin", "BEGIN is not a migration's to say"),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN is not a migration's to say"),
        ("start transaction", "START TRANSACTION is not a migration's to say"),
        ("commit", "COMMIT is not a migration's to say"),
        ("end", "END is not a migration's to say"),
        ("rollback to savepoint a", "ROLLBACK is not a migration's to say"),
        ("abort", "ABORT is not a migration's to say"),
        ("savepoint a", "SAVEPOINT is not a migration's to say"),
        ("release savepoint a", "RELEASE is not a migration's to say"),
        ("prepare transaction 'a'", "PREPARE TRANSACTION is not a migration's to say"),
        ("commit prepared 'a'", "COMMIT is not a migration's to say"),
        ("create database a", "CREATE DATABASE is not a migration's to say"),
        ("drop database a", "DROP DATABASE is not a migration's to say"),
        ("alter system set work_mem = '1GB'", "ALTER SYSTEM is not a migration's to say"),
        ("discard all", "DISCARD ALL is not a migration's to say"),
        ("copy t from stdin", "COPY FROM STDIN reads rows that the server is not sent"),
        ("copy t (a, b) from stdin with (format csv)", "COPY FROM STDIN reads rows that the server is not sent"),
        ("copy (select 1) to stdout", "COPY TO STDOUT sends rows that nobody reads"),
        ("select pg_advisory_unlock_all()", "pg_advisory_unlock_all is not a migration's to call"),
        ("set lock_timeout = 0", "lock_timeout is set by the runner"),
    ],
)
def test_refused(text: str, what: str) -> None:
    """Each is told by its name."""
    assert refused(text) == [what]


@pytest.mark.parametrize(
    "text",
    [
        "select begin from t", "prepare p as select 1", "copy t from '/srv/x.csv'", "copy t to program 'cat'",
        "create table database (a int)",
        "discard plans", "create procedure p() begin atomic select 1; end", "set search_path = app", "set constraints all deferred",
        "alter role r set lock_timeout = '1s'", "create function f() returns int language sql set lock_timeout = 0 as 'select 1'",
        "select set_config from t", "select set_config('app.user', 'x', true)", "alter table t set (fillfactor = 70)",
    ],
)  # fmt: skip
def test_not_refused(text: str) -> None:
    """What only looks like one of them, and what is the migration's own."""
    assert refused(text) == []


def test_a_refusal_has_its_place_and_what_helps() -> None:
    """The way out stands in it."""
    (_, statement) = cut("select 1;\n  commit;").statements
    (fault,) = refusals(statement)
    assert fault.place == Place(2, 3)
    assert "the runner opens one transaction per migration" in str(fault)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("set lock_timeout = '2s'", "lock_timeout", "2s"),
        ("SET SESSION Statement_Timeout TO 0", "statement_timeout", "0"),
        ('set local "Statement_Timeout" to default', "statement_timeout", "default"),
        ("reset idle_in_transaction_session_timeout", "idle_in_transaction_session_timeout", ""),
        ("reset all", "all", ""),
        ("set transaction isolation level serializable", "transaction_isolation", "isolation"),
        ("set local transaction read only", "transaction_isolation", "read"),
        ("set session characteristics as transaction read only", "default_transaction_isolation", "as"),
        ("set role app", "role", ""),
        ("set local role app", "role", ""),
        ("set session authorization app", "session_authorization", "app"),
        ("reset session authorization", "session_authorization", ""),
        ("set names 'LATIN1'", "client_encoding", "latin1"),
        ("set client_encoding = 'SQL_ASCII'", "client_encoding", "sql_ascii"),
        ("set standard_conforming_strings = off", "standard_conforming_strings", "off"),
        ("select set_config('lock_timeout', '0', false)", "lock_timeout", "0"),
        ("select pg_catalog.set_config('Role', 'app', true)", "role", "app"),
        ("select set_config('transaction_timeout', (select 1)::text, true)", "transaction_timeout", "("),
    ],
)  # fmt: skip
def test_settings_of_the_runner(text: str, name: str, value: str) -> None:
    """They are found in every way that SQL has to say them, and each has what helps."""
    assert list(owned_settings(terms_of(read_tokens(text)))) == [Setting(name, value)]
    assert OWNED[name]


@pytest.mark.parametrize(
    "text",
    [
        "set client_encoding = 'UTF8'", "set names 'utf-8'", "set standard_conforming_strings to on", "set work_mem = '1GB'",
        "set role_name.x = 1",
        "set time zone 'UTC'", "set", "reset", "select set_config", "select set_config()", "select set_config(", "set transaction = 1",
    ],
)  # fmt: skip
def test_settings_that_are_left_alone(text: str) -> None:
    """Those of others, those that say what is so already, and what is no SQL anyway."""
    assert list(owned_settings(terms_of(read_tokens(text)))) == []
