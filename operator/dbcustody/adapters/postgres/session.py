"""Sessions of our own: opened safely, never through a transaction pooler, with the settings that long work needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.conninfo import make_conninfo

from dbcustody.adapters.postgres.failure import classify, explain, guess_by_name, make_error, translated
from dbcustody.errors import RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

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
SETTINGS: Final = _WATCHED_CLIENT | {
    "statement_timeout": "0",
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
"""Whatever role, database or server say: nothing of ours is cut short, and nothing is left out."""
_OWN_SETTINGS: Final = {"search_path": "pg_catalog"} | SETTINGS
"""Nothing of a hostile schema is called, either."""
WATCHING: Final = "client_connection_check_interval"
CANNOT_WATCH: Final = (psycopg.errors.InvalidParameterValue, psycopg.errors.UndefinedObject)
"""What a server says that cannot look after its client."""
_ORDER: Final = "ABBAAABABB"
"""Which of two open sessions asks for its backend; a pooler that hands out backends in turn cannot keep step with it."""


def connect(target: PostgresTarget, *, direct: bool = True, encoding: str | None = None) -> Session:
    """Return an autocommitting session at *target* with safe settings; *encoding* is what texts are sent in, None: what the server likes.

    Raises with HostUnreachable, AuthenticationFailed, DatabaseMissing, TLSFailed, ConnectionLost, or, with *direct*, PoolerRefused when
    a transaction pooler answers. Nothing is set before that is known: a setting would stay in a stranger's session.
    """
    session = _open(target, encoding)
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


def _open(target: PostgresTarget, encoding: str | None = None) -> Session:
    words = make_conninfo(**target.parameters(), client_encoding=encoding)
    try:
        return psycopg.connect(words, autocommit=True, prepare_threshold=None)
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
    """Apply every setting that this server knows."""
    apply(session, _OWN_SETTINGS, CHECK_INTERVAL_MILLISECONDS)


def apply(session: Session, settings: Mapping[str, str], milliseconds: int, *, first: str = "") -> None:
    """Run the words that come *first*, apply *settings*, and let the server look that often whether its client is there while it works.

    It is one message and one transaction: where the server's platform cannot look after its client, none of it counts, and all is said
    again without.
    """
    try:
        session.execute(f"{first}{setting_words({**settings, **watching(milliseconds)})}".encode())
    except CANNOT_WATCH:
        session.execute(f"{first}{setting_words(settings)}".encode())


def watching(milliseconds: int) -> dict[str, str]:
    """Return the setting by which the server looks that often whether its client is there while it works, where its platform can."""
    return {WATCHING: str(milliseconds)}


def setting_words(settings: Mapping[str, str]) -> str:
    """Return the statement that applies each of *settings* that the server knows; it is asked for each, so that none is guessed by version.

    Every name in it is found whatever the search path is.
    """
    rows = ", ".join(f"('{name}', '{value}')" for name, value in settings.items())
    return (
        f"select pg_catalog.set_config(w.name, w.value, false) from (values {rows}) as w(name, value) "  # noqa: S608 - our own words
        "where pg_catalog.current_setting(w.name, true) is not null"
    )


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
