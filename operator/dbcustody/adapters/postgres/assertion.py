"""A question that a person wants answered by a restored database before it is handed over; it can change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import sql

from dbcustody.adapters.postgres.failure import explain, make_error, said_by
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.session import Session

TIMEOUT_SECONDS: Final = 600


def ask(session: Session, name: str, query: str, *, role: str | None) -> str | None:
    """Return the one value of *query* as text, None for NULL; it runs as *role* (None: as the session's), and can write nothing.

    One statement, a scalar subquery in a transaction that only reads: what else somebody writes there, no server takes.
    Raises RefusedError (ChecksFailed) when the server refuses it, or it gives more than one value; ConnectionLost when that is so.
    """
    question = sql.SQL("select (\n{}\n)::text").format(sql.SQL(query.strip().rstrip(";")))
    try:
        with session.transaction(force_rollback=True):
            session.execute("set transaction read only")
            session.execute(f"set local statement_timeout = '{TIMEOUT_SECONDS}s'")
            if role is not None:
                session.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
            session.execute('set local search_path = "$user", public')
            # of a binary answer only the extended protocol knows, and that takes one statement and no more
            row: Any = session.execute(question, binary=True).fetchone()
    except psycopg.Error as error:
        if session.closed or session.broken:
            raise explain(error, f"check {name}", otherwise=Reason.CONNECTION_LOST) from error
        said = said_by(error)
        state = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
        raise make_error(Reason.CHECKS_FAILED, f"check {name}: {said}{state}") from error
    return None if row[0] is None else str(row[0])
