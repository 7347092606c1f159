"""Sessions of our own: opened safely, never through a transaction pooler, with the settings that long work needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.conninfo import make_conninfo

from dbcustody.adapters.postgres.failure import classify, explain, guess_by_name, make_error, translated
from dbcustody.errors import RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.target import PostgresTarget
    from dbcustody.errors import DbcustodyError

Session = psycopg.Connection[tuple[Any, ...]]

CHECK_INTERVAL_MILLISECONDS: Final = 10_000
"""How soon a backend notices that its client is gone while it works (PostgreSQL 14 and newer)."""
_WATCHED_CLIENT: Final = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "6",
    "tcp_user_timeout": "120000",
}
"""How the server notices within two minutes that we vanished with our whole node, and lets go of our locks; by itself it takes hours."""
_SETTINGS: Final = _WATCHED_CLIENT | {
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "row_security": "off",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
}
"""Whatever role, database or server say: nothing of ours is cut short, nothing of a hostile schema is called, nothing is left out."""
SETTLED: Final = "".join(
    (
        "select pg_catalog.set_config('search_path', 'pg_catalog', false), pg_catalog.set_config('statement_timeout', '0', false);",
        "select pg_catalog.set_config(w.name, w.value, false) from (values ",
        ", ".join(f"('{name}', '{value}')" for name, value in _SETTINGS.items()),
        ") as w(name, value) where pg_catalog.current_setting(w.name, true) is not null;",
    )
)
"""All of that in one message, whose statements are carried out one after the other: what finds no name yet needs none."""
_ORDER: Final = "ABBAAABABB"
"""Which of two open sessions asks for its backend; a pooler that hands out backends in turn cannot keep step with it."""


def connect(target: PostgresTarget, *, direct: bool = True) -> Session:
    """Return an autocommitting session at *target* with safe settings.

    Raises with HostUnreachable, AuthenticationFailed, DatabaseMissing, TLSFailed, ConnectionLost, or, with *direct*, PoolerRefused when
    a transaction pooler answers. Nothing is set before that is known: a setting would stay in a stranger's session.
    """
    session = _open(target)
    try:
        with translated(f"connect to {target.endpoint}", otherwise=Reason.CONNECTION_LOST):
            if direct:
                _refuse_transaction_pooler(session, target)
            settle(session)
    except BaseException:
        session.close()
        raise
    return session


def is_pooled(session: Session) -> bool:
    """Return whether something stands between us and the server: the backend is not the one that the greeting named.

    PgBouncer and its kin greet with a random number; a session pooler is no obstacle, but passes no start-up options on.
    """
    row = session.execute("select pg_catalog.pg_backend_pid()").fetchone()
    return row != (session.info.backend_pid,)


def session_options(session: Session) -> str:
    """Return the start-up options for a client (libpq's PGOPTIONS); empty when a pooler stands between, which would refuse them.

    No short timeout of role or database cuts its first statements, and its backends die soon after it where the server's platform can
    watch its clients. Raises UnavailableError (ConnectionLost).
    """
    with translated("ask the server for its settings", otherwise=Reason.CONNECTION_LOST):
        if is_pooled(session):
            return ""
        row = session.execute("select pg_catalog.current_setting('client_connection_check_interval', true)").fetchone()
    watched = row is not None and row[0] not in {None, "", "0"}
    chosen = {"statement_timeout": "0"} | _WATCHED_CLIENT
    if watched:
        chosen["client_connection_check_interval"] = str(CHECK_INTERVAL_MILLISECONDS)
    return " ".join(f"-c {name}={value}" for name, value in chosen.items())


def _open(target: PostgresTarget) -> Session:
    try:
        return psycopg.connect(make_conninfo(**target.parameters()), autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        raise _explain_refusal(error, target) from error


def _explain_refusal(error: psycopg.Error, target: PostgresTarget) -> DbcustodyError:
    """Return why no session came to be; the finished connection, which holds the password, is taken off *error*."""
    error._pgconn = None  # noqa: SLF001 - psycopg offers no other way to let go of it
    text = str(error)
    explained = explain(error, f"connect to {target.endpoint}", otherwise=Reason.HOST_UNREACHABLE)
    reason = explained.reason
    if classify(text) is None:
        guessed = guess_by_name(text, user=target.user, database=target.database)
        reason = guessed or Reason.HOST_UNREACHABLE
    elif reason is Reason.CONNECTION_LOST and not _answered(text):
        reason = Reason.HOST_UNREACHABLE
    return make_error(reason, "; ".join((explained.message, *target.hints)))


def _answered(text: str) -> bool:
    """Return whether the server itself spoke (FATAL), or was there and hung up."""
    return "FATAL" in text or "server closed the connection" in text


def settle(session: Session) -> None:
    """Apply every setting that this server knows; it is asked for each, so that none is guessed by version."""
    watch_client(session, SETTLED, CHECK_INTERVAL_MILLISECONDS)


def watch_client(session: Session, words: str, milliseconds: int) -> None:
    """Run *words*, and let the server look that often whether its client is there while it works, where its platform can.

    It is one message and one transaction: where it cannot, none of it counts, and the words are said again without.
    """
    try:
        session.execute(
            f"{words} select pg_catalog.set_config('client_connection_check_interval', '{milliseconds:d}', false)".encode()
        )
    except (psycopg.errors.InvalidParameterValue, psycopg.errors.UndefinedObject):
        session.execute(words.encode())


def _refuse_transaction_pooler(session: Session, target: PostgresTarget) -> None:
    """Raise RefusedError (PoolerRefused) unless each of two sessions that are open at once keeps a backend of its own."""
    if not is_pooled(session):
        return
    with _open(target) as other:
        seen: dict[str, set[int]] = {"A": set(), "B": set()}
        for who in _ORDER:
            row = (session if who == "A" else other).execute("select pg_catalog.pg_backend_pid()").fetchone()
            seen[who].add(row[0] if row else 0)
    if len(seen["A"]) > 1 or len(seen["B"]) > 1 or seen["A"] & seen["B"]:
        raise RefusedError(
            f"connect to {target.endpoint}: a transaction pooler answers, which cannot hold a snapshot or a lock; "
            "give the address of the server itself (with PgBouncer: not its port, or pool_mode = session)",
            reason=Reason.POOLER_REFUSED,
        )
