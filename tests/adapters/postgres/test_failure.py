"""Complaints of PostgreSQL, libpq and pg_dump: sorted by what helps, and without a value in them."""

from __future__ import annotations

import psycopg
import pytest

from dbcustody.adapters.postgres import explain, explain_text, redact, translated
from dbcustody.adapters.postgres.failure import classify, guess_by_name
from dbcustody.errors import DbcustodyError, RefusedError, UnavailableError
from dbcustody.reason import Reason

AT = 'connection to server at "db" (10.0.0.7), port 5432 failed: '


@pytest.mark.parametrize(
    ("text", "state", "reason"),
    [
        pytest.param(
            f'{AT}FATAL:  password authentication failed for user "app"',
            None,
            Reason.AUTHENTICATION_FAILED,
            id="password",
        ),
        pytest.param(f"{AT}fe_sendauth: no password supplied", None, Reason.AUTHENTICATION_FAILED, id="no-password"),
        pytest.param(
            f'{AT}FATAL:  no pg_hba.conf entry for host "1.2.3.4"', None, Reason.AUTHENTICATION_FAILED, id="pg-hba"
        ),
        pytest.param(f'{AT}FATAL:  role "app" does not exist', None, Reason.AUTHENTICATION_FAILED, id="role"),
        pytest.param(
            f'{AT}FATAL:  role "app" is not permitted to log in', None, Reason.AUTHENTICATION_FAILED, id="nologin"
        ),
        pytest.param(f'{AT}FATAL:  database "shop" does not exist', None, Reason.DATABASE_MISSING, id="database"),
        pytest.param(f"{AT}FATAL:  no such database: shop", None, Reason.DATABASE_MISSING, id="database-pgbouncer"),
        pytest.param(f"{AT}server does not support SSL, but SSL was required", None, Reason.TLS_FAILED, id="no-tls"),
        pytest.param(f"{AT}SSL error: certificate verify failed", None, Reason.TLS_FAILED, id="unknown-ca"),
        pytest.param(
            f'{AT}server certificate for "a" does not match host name "b"', None, Reason.TLS_FAILED, id="host-mismatch"
        ),
        pytest.param('root certificate file "/ca.crt" does not exist', None, Reason.TLS_FAILED, id="ca-file"),
        pytest.param(f"{AT}Connection refused", None, Reason.HOST_UNREACHABLE, id="refused"),
        pytest.param('could not translate host name "nowhere" to address', None, Reason.HOST_UNREACHABLE, id="dns"),
        pytest.param(f"{AT}timeout expired", None, Reason.HOST_UNREACHABLE, id="timeout"),
        pytest.param(f"{AT}FATAL:  the database system is starting up", None, Reason.CONNECTION_LOST, id="starting"),
        pytest.param(f"{AT}FATAL:  sorry, too many clients already", None, Reason.CONNECTION_LOST, id="too-many"),
        pytest.param(
            "terminating connection due to administrator command", "57P01", Reason.CONNECTION_LOST, id="57P01"
        ),
        pytest.param(
            "terminating connection because of crash of another server process",
            "57P02",
            Reason.CONNECTION_LOST,
            id="57P02",
        ),
        pytest.param("server closed the connection unexpectedly", None, Reason.CONNECTION_LOST, id="gone"),
        pytest.param("SSL SYSCALL error: EOF detected", None, Reason.CONNECTION_LOST, id="gone-over-tls"),
        pytest.param("canceling statement due to user request", "57014", Reason.CONNECTION_LOST, id="57014"),
        pytest.param(
            "could not write block 1 of temporary file: No space left on device",
            "53100",
            Reason.SERVER_FULL,
            id="53100",
        ),
        pytest.param("canceling statement due to lock timeout", "55P03", Reason.LOCK_NOT_OBTAINED, id="55P03"),
        pytest.param("deadlock detected", "40P01", Reason.LOCK_NOT_OBTAINED, id="40P01"),
        pytest.param(
            "canceling statement due to conflict with recovery", "40001", Reason.RECOVERY_CONFLICT, id="40001-standby"
        ),
        pytest.param(
            "terminating connection due to conflict with recovery",
            "57P01",
            Reason.RECOVERY_CONFLICT,
            id="57P01-standby",
        ),
        pytest.param("deadlock detected with recovery conflict", "40P01", Reason.RECOVERY_CONFLICT, id="40P01-standby"),
        pytest.param('invalid page in block 3 of relation "base/5/16384"', "XX001", Reason.DATA_CORRUPTION, id="XX001"),
        pytest.param('index "i" contains unexpected zero page at block 4', "XX002", Reason.DATA_CORRUPTION, id="XX002"),
        pytest.param(
            "missing chunk number 0 for toast value 17 in pg_toast_1",
            "XX000",
            Reason.DATA_CORRUPTION,
            id="missing-chunk",
        ),
        pytest.param(
            'could not read block 9 in file "base/5/1": read only 0', "XX001", Reason.DATA_CORRUPTION, id="block"
        ),
        pytest.param(
            'could not open file "base/5/16384": No such file or directory', "58P01", Reason.DATA_CORRUPTION, id="file"
        ),
        pytest.param("permission denied for table orders", "42501", Reason.PRIVILEGES_MISSING, id="42501"),
        pytest.param(
            'query would be affected by row-level security policy for table "t"',
            None,
            Reason.PRIVILEGES_MISSING,
            id="rls",
        ),
        pytest.param('relation "public.t" does not exist', "42P01", Reason.SCHEMA_CHANGED, id="42P01"),
        pytest.param("cache lookup failed for relation 17", "XX000", Reason.SCHEMA_CHANGED, id="cache-lookup"),
        pytest.param('syntax error at or near "x"', "42601", None, id="something-else"),
    ],
)
def test_each_complaint_has_its_reason(text: str, state: str | None, reason: Reason | None) -> None:
    """SQLSTATE decides where there is one; corruption and recovery conflicts are seen in the text whatever the state."""
    assert classify(text, state) is reason


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(
            'invalid input syntax for type integer: "c4nary"',
            'invalid input syntax for type integer: "…"',
            id="value-in-quotes",
        ),
        pytest.param("time zone 'c4nary' not recognized", "time zone '…' not recognized", id="literal"),
        pytest.param(
            'duplicate key value violates unique constraint "orders_pkey"\nDETAIL:  Key (email)=(c4nary) already exists.',
            'duplicate key value violates unique constraint "orders_pkey"',
            id="detail",
        ),
        pytest.param("bad\nCONTEXT:  COPY t, line 1: c4nary", "bad", id="context"),
        pytest.param("bad\nLINE 1: select 'c4nary'\n               ^", "bad", id="line"),
        pytest.param(
            'permission denied for table "orders"', 'permission denied for table "orders"', id="name-of-a-table"
        ),
        pytest.param(
            f'{AT}FATAL:  password authentication failed for user "c4nary"',
            'FATAL:  password authentication failed for user "…"',
            id="user",
        ),
        pytest.param("bad\n\n", "bad", id="blank-lines"),
        pytest.param(
            'invalid input for type riddle: "{"email": "c4nary"}" at the end',
            'invalid input for type riddle: "…" at the end',
            id="marks-in-a-value",
        ),
        pytest.param('bad value "c4nary\nDETAIL: c4nary"', 'bad value "…"', id="value-that-looks-like-a-detail"),
        pytest.param('no table "orders" for "c4nary', 'no table "orders" for "…"', id="mark-that-is-not-closed"),
        pytest.param('no table "c4nary', 'no table "…"', id="name-that-is-not-closed"),
        pytest.param("zone 'c4nary's' is bad", "zone '…' is bad", id="apostrophe-in-a-value"),
        pytest.param("zone 'c4nary", "zone '…'", id="apostrophe-that-is-not-closed"),
        pytest.param("valeur « c4nary » de l'hôte", 'valeur "…" de l\'hôte', id="guillemets"),
    ],
)
def test_no_value_passes(text: str, wanted: str) -> None:
    """What is quoted goes unless it names an object; everything behind the first message goes."""
    assert redact(text) == wanted


def test_long_messages_are_cut() -> None:
    """A message stays readable on one screen."""
    assert len(redact("x" * 5000)) == 600


def test_client_programs_are_understood() -> None:
    """Of pg_dump's standard error the line with the error counts; the query that failed is left out."""
    text = (
        "pg_dump: warning: there are circular foreign-key constraints\n"
        "pg_dump: error: query failed: ERROR:  permission denied for table orders\n"
        "pg_dump: detail: Query was: LOCK TABLE public.orders IN ACCESS SHARE MODE -- c4nary"
    )

    error = explain_text(text, "pg_dump")

    assert error.reason is Reason.PRIVILEGES_MISSING
    assert error.message == "pg_dump: permission denied for table orders"


def test_what_the_server_said_to_a_client_program_is_told() -> None:
    """pg_dump says only that it failed, and puts the cause behind it; the value that the server quotes is left out."""
    text = (
        'pg_dump: error: Dumping the contents of table "spoilt" failed: PQgetResult() failed.\n'
        'pg_dump: detail: Error message from server: ERROR:  invalid input syntax for type riddle: "c4nary\n'
        'c4nary"\n'
        "CONTEXT:  COPY spoilt, line 1: c4nary\n"
        "pg_dump: detail: Command was: COPY public.spoilt (c4nary) TO stdout;"
    )

    error = explain_text(text, "pg_dump")

    assert error.reason is Reason.DUMP_FAILED
    assert error.message == (
        'pg_dump: Dumping the contents of table "spoilt" failed: PQgetResult() failed: '
        'invalid input syntax for type riddle: "…"'
    )


def test_lines_of_a_value_are_not_taken_for_a_complaint() -> None:
    """When the beginning of a long complaint is lost, what is left of it may be a row of the database."""
    text = "c4nary\n" * 5 + "ERROR: c4nary\npg_dump: detail: Command was: COPY public.spoilt (row) TO stdout;"

    assert explain_text(text, "pg_dump").message == "pg_dump: it said nothing"
    assert explain_text("pg_dump: cannot load libpq.so.5", "run").message == "run: cannot load libpq.so.5"


def test_silent_client_is_said_to_be_silent() -> None:
    """A program that fails without a word gives a message all the same."""
    error = explain_text("", "pg_dump", otherwise=Reason.DUMP_FAILED)

    assert (error.reason, error.message) == (Reason.DUMP_FAILED, "pg_dump: it said nothing")


@pytest.mark.parametrize(
    ("error", "reason", "kind"),
    [
        pytest.param(psycopg.OperationalError("odd"), Reason.CONNECTION_LOST, UnavailableError, id="operational"),
        pytest.param(psycopg.ProgrammingError("odd"), Reason.DUMP_FAILED, RefusedError, id="programming"),
    ],
)
def test_unknown_errors_are_sorted_by_their_class(
    error: psycopg.Error, reason: Reason, kind: type[DbcustodyError]
) -> None:
    """What fits no pattern: an operational error may pass by itself, any other does not."""
    explained = explain(error, "do it")

    assert explained.reason is reason
    assert isinstance(explained, kind)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(
            "FATAL:  Passwort-Authentifizierung für Benutzer »app« fehlgeschlagen",
            Reason.AUTHENTICATION_FAILED,
            id="german-user",
        ),
        pytest.param("FATAL:  Datenbank »shop« existiert nicht", Reason.DATABASE_MISSING, id="german-database"),
        pytest.param("FATAL:  la base de données « shop » n'existe pas", Reason.DATABASE_MISSING, id="french-database"),
        pytest.param(
            'ВАЖНО:  пользователь "app" не прошёл проверку подлинности', Reason.AUTHENTICATION_FAILED, id="russian-user"
        ),
        pytest.param("FATAL:  etwas ganz anderes", None, id="something-else"),
    ],
)
def test_other_languages_are_understood_by_the_name_they_quote(text: str, wanted: Reason | None) -> None:
    """A server that refuses in its own language quotes the user or the database."""
    assert guess_by_name(text, user="app", database="shop") is wanted


def test_translation_chains() -> None:
    """The original error stays behind ours, for a debugger, never for a log."""
    with pytest.raises(DbcustodyError) as caught, translated("do it"):
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    assert isinstance(caught.value.__cause__, psycopg.OperationalError)
