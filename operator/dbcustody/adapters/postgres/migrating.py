"""Statements of a migration on the server: together in one transaction, or one by itself; short waits for locks, and no orphans.

A client that is killed does not stop its statement: the server notices only when it is told to look
(`client_connection_check_interval`, https://www.postgresql.org/docs/current/runtime-config-connection.html).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg.pq import TransactionStatus

from dbcustody.adapters.postgres.failure import explain, is_raised, said_by, translated
from dbcustody.adapters.postgres.ledger import TRIED, add_attempt, attempt_row
from dbcustody.adapters.postgres.session import (
    CANNOT_WATCH,
    SETTINGS,
    WATCHING,
    apply,
    connect,
    setting_words,
    watching,
)
from dbcustody.errors import RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from dbcustody.adapters.postgres.ledger import Intent, Said
    from dbcustody.adapters.postgres.session import Session
    from dbcustody.adapters.postgres.target import PostgresTarget
    from dbcustody.migration.patience import Limits

CHECK_INTERVAL_MILLISECONDS: Final = 2000
IDLE_MILLISECONDS: Final = 60_000
"""A runner that stands still in the middle of a transaction (a stopped process) does not keep its locks for ever."""
LOCK_STATES: Final = frozenset({"55P03", "40P01", "40001"})
"""lock_not_available, deadlock_detected, serialization_failure: others were faster, nothing is in, and trying again can help.

Manual, "Serialization Failure Handling": an application has to repeat what ended so, whole.
"""
_SETTINGS: Final = SETTINGS | {
    "standard_conforming_strings": "on",
    "idle_in_transaction_session_timeout": str(IDLE_MILLISECONDS),
}
"""Literals are read as they were when the files were cut into statements."""
OWN_ROLE: Final = b"reset session authorization; reset role"
"""RESET ALL leaves both, and a function may have set either."""
_RESET: Final = f"{OWN_ROLE.decode()}; reset all; "
"""Names are found as the role finds them."""
_FORGOTTEN: Final = _RESET + setting_words(_SETTINGS | watching(CHECK_INTERVAL_MILLISECONDS))
_GONE: Final = ("08", "57P01", "57P02", "57P03")
"""SQLSTATE of a connection that is lost, and of a server that stops."""
_END: Final = """
select pg_terminate_backend(pid, 10000) from pg_catalog.pg_stat_activity
where datname = current_database() and application_name like %s and application_name <> %s and usename = session_user
  and pid <> pg_backend_pid()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What the server refused: never a value."""

    ordinal: int
    """Which statement, from 1; 0: what was to be done after all of them, the commit among it."""
    sqlstate: str
    message: str
    schema: str | None = None
    """What it was about, as far as the server tells; it names no table for what is wrong with the text of a statement."""
    table: str | None = None
    column: str | None = None
    constraint: str | None = None
    type: str | None = None
    position: int | None = None
    """Where in the statement, in characters from 0; None: not told."""
    line: int | None = None
    """The line of the Python file that ran it; None: it was no Python, or none of its lines."""

    @property
    def is_lock(self) -> bool:
        """Return whether others were in the way or faster, and nothing else was wrong."""
        return self.sqlstate in LOCK_STATES

    @property
    def object(self) -> str | None:
        """Return what it was about in one word, for the ledger; None: the server named nothing."""
        return ".".join(filter(None, (self.schema, self.table, self.column, self.constraint, self.type))) or None


class StatementFailedError(RefusedError):
    """The server refused a statement."""

    default_reason = Reason.MIGRATION_FAILED

    def __init__(self, refusal: Refusal) -> None:
        where = f"statement {refusal.ordinal}" if refusal.ordinal else "the end of the transaction"
        super().__init__(f"{where}: {refusal.message} (SQLSTATE {refusal.sqlstate})")
        self.refusal = refusal


def application_of(run: UUID | str, owner: str | None = None) -> str:
    """Return how the sessions of *run* call themselves, so that they can be told from all others.

    With *owner*, eight letters, also those of all runs of which never two go on at once; a name has room for 63.
    """
    return f"dbcustody migrate {run} {owner}" if owner else f"dbcustody migrate {run}"


def open_runner(target: PostgresTarget, run: UUID, owner: str | None = None) -> Session:
    """Return a session for the statements of a migration by *run* of *owner*, which finds names as its role does.

    Raises as `connect` does, and RefusedError (NotWritable) on a standby or where writing is forbidden.
    """
    session = connect(replace(target, application=application_of(run, owner)), encoding="UTF8")
    try:
        with translated(f"connect to {target.endpoint}", otherwise=Reason.CONNECTION_LOST):
            apply(session, _SETTINGS, CHECK_INTERVAL_MILLISECONDS, first=_RESET)
            _require_writable(session, target)
    except BaseException:
        session.close()
        raise
    return session


def end_earlier(session: Session, run: UUID, owner: str) -> int:
    """End what other runs of *owner* than *run* by the same role have left behind, whose processes are known to be dead.

    Returns how many sessions it ended.

    The server may not know that they are: a process that was stopped, or a node that is gone, keeps its locks for as long as it likes.
    """
    with translated("end what a dead run left behind", otherwise=Reason.CONNECTION_LOST):
        rows = session.execute(_END.encode(), (application_of("%", owner), application_of(run, owner)))
        return len(rows.fetchall())


def start_attempt(session: Session, intent: Intent, limits: Limits) -> int:
    """Write down what is about to be tried, and open its transaction for `run_together`; returns its place in the ledger.

    What statements before it have set for the session is taken back first. All of that is one message: small migrations take less time
    than a few words to the server and back.
    """
    insert, values = attempt_row(intent)
    words = (
        f"begin isolation level read committed read write; {_FORGOTTEN}; {insert.decode()}; commit; {_begin(limits)}"
    )
    with translated(TRIED, otherwise=Reason.MIGRATION_FAILED):
        try:
            answer = psycopg.ClientCursor(session).execute(words.encode(), values)
        except CANNOT_WATCH as error:
            _undo(session)
            if WATCHING not in str(error):
                raise
            forget(session)
            return add_attempt(session, intent)
        except psycopg.Error:
            _undo(session)
            raise
        return next(int(one.fetchall()[0][0]) for one in answer.results() if one.statusmessage == "INSERT 0 1")


def run_together(
    session: Session,
    statements: Sequence[str],
    *,
    limits: Limits,
    last: Said | None,
    looks: Callable[[Session], None] | None = None,
    goes_on: bool = False,
) -> None:
    """Run *statements*, what *looks* at what they did, and *last*, in one transaction, or nothing.

    The transaction may be open, by `start_attempt`. With *goes_on* what the statements have set for the session is left, to be taken back
    by what comes next.
    Raises StatementFailedError, after which nothing is in; when the connection is lost, UnavailableError: then only the ledger knows.
    """
    ordinal, is_left, encoding = 0, False, session.info.encoding
    try:
        if session.info.transaction_status is TransactionStatus.IDLE:
            session.execute(_begin(limits).encode())
        for number, text in enumerate(statements, start=1):
            ordinal = number
            session.execute(text.encode())
        ordinal = 0
        if session.info.encoding != encoding:
            session.execute("reset client_encoding")
        if looks is not None:
            session.execute(OWN_ROLE)
            looks(session)
        _commit(session, last)
        is_left = goes_on
    except psycopg.Error as error:
        raise failure_of(error, ordinal, text=statements[ordinal - 1] if ordinal else "") from error
    finally:
        _undo(session)
        if not is_left:
            forget(session)


def _commit(session: Session, last: Said | None) -> None:
    """Commit, with *last* as the last statement before it; one message, with the values in it."""
    words, values = last or (b"select", ())
    psycopg.ClientCursor(session).execute(b"%b; %b; commit" % (OWN_ROLE, words), values)


def _begin(limits: Limits) -> str:
    """Return how a transaction begins, in one message; the limits are numbers."""
    lock, statement = limits.lock_timeout_milliseconds, limits.statement_timeout_seconds * 1000
    return f"begin; set local lock_timeout = {lock}; set local statement_timeout = {statement}"


def _undo(session: Session) -> None:
    """Roll back what was not committed; where that cannot be said to the server, it does so because its client is gone."""
    if session.info.transaction_status is not TransactionStatus.IDLE:
        with suppress(psycopg.Error):
            session.execute("rollback")


def run_alone(session: Session, statement: str, *, ordinal: int, limits: Limits) -> None:
    """Run one statement outside of any transaction; raises as `run_together`, but some of it may be in then."""
    try:
        limit(session, limits, local=False)
        session.execute(statement.encode())
    except psycopg.Error as error:
        raise failure_of(error, ordinal, text=statement) from error
    finally:
        forget(session)


def forget(session: Session) -> None:
    """Take back whatever statements have set for the session: the next migration is not to depend on the one before it.

    A request to cancel that was meant for the statement before may hit this; it is said once more then.
    """
    with suppress(psycopg.Error):
        try:
            apply(session, _SETTINGS, CHECK_INTERVAL_MILLISECONDS, first=_RESET)
        except psycopg.errors.QueryCanceled:
            apply(session, _SETTINGS, CHECK_INTERVAL_MILLISECONDS, first=_RESET)


def _require_writable(session: Session, target: PostgresTarget) -> None:
    words = "select pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'"
    if (row := session.execute(words).fetchone()) != (False, False):
        what = "a standby" if row is not None and row[0] else "a server or role that is read-only"
        raise RefusedError(
            f"{target.endpoint}: {what} answers, and a migration writes; give the address of the primary",
            reason=Reason.NOT_WRITABLE,
        )


def limit(session: Session, limits: Limits, *, local: bool = True) -> None:
    """Let statements wait for a lock, and take, no longer than *limits* say; *local*: to the end of the transaction."""
    session.execute(
        "select pg_catalog.set_config('lock_timeout', %s, %s), pg_catalog.set_config('statement_timeout', %s, %s)",
        (str(limits.lock_timeout_milliseconds), local, str(limits.statement_timeout_seconds * 1000), local),
    )


def failure_of(error: psycopg.Error, ordinal: int, *, text: str = "", line: int | None = None) -> Exception:
    """Return what a failure of statement *ordinal*, of *text*, means, which the *line* of a Python file ran.

    Without SQLSTATE a connection was lost. What code in the database names is not told: it may be anything.
    """
    if error.sqlstate is None or error.sqlstate.startswith(_GONE):
        return explain(error, "run the migration", otherwise=Reason.CONNECTION_LOST)
    diag = error.diag
    position, is_named = diag.statement_position, not is_raised(error)
    refusal = Refusal(
        ordinal=ordinal,
        sqlstate=error.sqlstate,
        message=said_by(error, text),
        schema=diag.schema_name if is_named else None,
        table=diag.table_name if is_named else None,
        column=diag.column_name if is_named else None,
        constraint=diag.constraint_name if is_named else None,
        type=diag.datatype_name if is_named else None,
        position=int(position) - 1 if position else None,
        line=line,
    )
    return StatementFailedError(refusal)
