"""A revision in Python on the server: called by Alembic's own means in the session that holds our lock, in one transaction with its row.

Its code may do anything with the connection that it is given. So whatever ends the transaction is refused before the server hears of it,
and afterwards the server is asked whether it is still the same one.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psycopg
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from dbcustody.adapters.postgres.literal_dialect import make_engine
from dbcustody.adapters.postgres.migrating import LOCK_STATES, OWN_ROLE, failure_of, forget, limit
from dbcustody.adapters.postgres.revision_environment import RevisionContext, called, find_metadata, line_of, words_of
from dbcustody.errors import DbcustodyError, RefusedError
from dbcustody.migration.body import trespasses
from dbcustody.migration.refusal import refusals
from dbcustody.migration.statement import begins, cut
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.migration.body import Body
    from dbcustody.migration.patience import Limits

_MOST_CHARACTERS: Final = 1024 * 1024
_ENDED: Final = (
    "ends its transaction, which the runner ends together with the ledger's row; take the commit or rollback out"
)
_XID: Final = "select pg_catalog.pg_current_xact_id()::text"


class CommittedWithinError(RefusedError):
    """Some of the work is in although it failed: it went around everything that would have refused the commit."""

    default_reason = Reason.MIGRATION_FAILED


@dataclass(slots=True)
class Record:
    """What ran so far, without the values that went with it."""

    texts: list[str] = field(default_factory=list)
    count: int = 0
    size: int = 0
    repeats: int = 0
    lock_error: psycopg.Error | None = None
    """The first lock that was not to be had: code that swallows it has not done what it says."""
    refusal: RefusedError | None = None
    is_over: bool = False
    """Whether the work is done, so that the transaction may end."""

    def take(self, text: str) -> None:
        """Write *text* down; one that comes again at once is only counted."""
        self.count += 1
        if self.texts and self.texts[-1] == text:
            self.repeats += 1
            return
        self._close()
        if self.size <= _MOST_CHARACTERS:
            self.texts.append(text)
            self.size += len(text)

    @property
    def text(self) -> str:
        """All of it, as SQL; cut off where it is endless."""
        self._close()
        cut_off = "-- and more, which is not kept\n" if self.size > _MOST_CHARACTERS else ""
        return "".join(f"{text.rstrip().removesuffix(';')};\n" for text in self.texts) + cut_off

    def _close(self) -> None:
        if self.repeats:
            self.texts[-1] += f" -- {self.repeats + 1} times"
            self.repeats = 0


def run_revision(
    session: Session,
    body: Body,
    *,
    limits: Limits,
    then: Callable[[Session, Record], None],
    metadata: str | None = None,
) -> None:
    """Call the function of the Python *body*, and *then* with the record of what ran, in one transaction, or nothing.

    Raises StatementFailedError or RefusedError (MigrationFailed), after which nothing is in; CommittedWithinError when something is; when
    the connection is lost, UnavailableError: then only the ledger knows.
    """
    record = Record()
    session.autocommit = False
    factory, session.cursor_factory = session.cursor_factory, psycopg.ClientCursor
    try:
        with _engine(session, record).connect() as connection, connection.begin() as transaction:
            limit(session, limits)
            begun = _transaction_of(session)
            _call(body, connection, record, metadata)
            if not transaction.is_active or _transaction_of(session) != begun:
                raise _left(session, begun)
            session.execute(OWN_ROLE)
            then(session, record)
            record.is_over = True
    except psycopg.Error as error:
        raise failure_of(error, 0) from error
    except DBAPIError as error:
        raise _failed(error, body, record) from error
    finally:
        session.cursor_factory = factory
        with suppress(psycopg.Error):
            session.rollback()
            session.autocommit = True
        forget(session)


def _engine(session: Session, record: Record) -> Engine:
    """Return an engine that knows no other connection than *session*, and tells *record* what it runs."""
    engine = make_engine(session)

    def before(*arguments: Any) -> None:
        statement = str(arguments[2])
        _require_allowed(statement, record)
        record.take(statement)

    def committing(_: Connection) -> None:
        if not record.is_over:
            record.refusal = RefusedError(_ENDED, reason=Reason.MIGRATION_FAILED)
            raise record.refusal

    def failing(context: Any) -> None:
        error = context.original_exception
        if record.lock_error is None and isinstance(error, psycopg.Error) and error.sqlstate in LOCK_STATES:
            record.lock_error = error

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "commit", committing)
    event.listen(engine, "handle_error", failing)
    return engine


def _require_allowed(statement: str, record: Record) -> None:
    """Raise RefusedError for what no file of SQL may say either: the end of the transaction, the runner's settings, the ledger.

    A savepoint is within the transaction, and code takes it back where it says so.
    """
    for one in cut(statement).statements:
        if begins(one.terms, "savepoint|release") or begins(one.terms, "rollback", "to"):
            continue
        for fault in (*refusals(one), *trespasses(one)):
            record.refusal = RefusedError(f"{fault.what}; {fault.helps}", reason=Reason.MIGRATION_FAILED)
            raise record.refusal


def _call(body: Body, connection: Connection, record: Record, metadata: str | None) -> None:
    """Call the function; whatever it raises comes out in words that tell no value."""
    context = RevisionContext(connection.dialect, connection, target_metadata=find_metadata(metadata))
    try:
        with called(body, context) as function:
            function()
    except (DBAPIError, psycopg.Error):
        raise
    except DbcustodyError as error:
        raise RefusedError(_placed(error, body, error.message), reason=error.reason) from error
    except (Exception, SystemExit) as error:
        if record.refusal is None and record.lock_error is None:
            raise RefusedError(_placed(error, body, words_of(error)), reason=Reason.MIGRATION_FAILED) from error
    if record.refusal is not None:
        raise RefusedError(f"{body.file}: {record.refusal.message}", reason=Reason.MIGRATION_FAILED)
    if record.lock_error is not None:
        raise record.lock_error


def _placed(error: BaseException, body: Body, words: str) -> str:
    line = line_of(error, body)
    return f"{body.file}: line {line}: {words}" if line is not None else f"{body.file}: {words}"


def _failed(error: DBAPIError, body: Body, record: Record) -> BaseException:
    """Return what a failure of the server means; where a lock was not to be had before, that is why the rest went wrong."""
    original = record.lock_error or error.orig
    if record.refusal is not None or not isinstance(original, psycopg.Error):
        words = record.refusal.message if record.refusal is not None else words_of(error)
        return RefusedError(_placed(error, body, words), reason=Reason.MIGRATION_FAILED)
    if original.sqlstate is None and not isinstance(original, psycopg.OperationalError):
        words = f"what it hands over is refused before it reaches the server: {words_of(original)}"
        return RefusedError(_placed(error, body, words), reason=Reason.MIGRATION_FAILED)
    return failure_of(original, record.count, text=body.text, line=line_of(error, body))


def _transaction_of(session: Session) -> str:
    row = session.execute(_XID).fetchone()
    return "" if row is None else str(row[0])


def _left(session: Session, begun: str) -> RefusedError:
    """Return what it means that the transaction *begun* is not the one any more: asked of the server, in a new one."""
    session.rollback()
    row = session.execute("select pg_catalog.pg_xact_status(%s::xid8)", (begun,)).fetchone()
    if row == ("committed",):
        return CommittedWithinError(_ENDED)
    return RefusedError(_ENDED, reason=Reason.MIGRATION_FAILED)
