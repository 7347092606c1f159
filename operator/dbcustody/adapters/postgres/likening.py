"""Whether an index is the one that a statement would build: it is built on an empty copy of its table, which nobody ever sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

from dbcustody.adapters.postgres.failure import explain
from dbcustody.adapters.postgres.migrating import limit
from dbcustody.adapters.postgres.probing import identifier
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.session import Session
    from dbcustody.migration.patience import Limits
    from dbcustody.migration.relation import Relation
    from dbcustody.migration.trace import Trace

_BUILT: Final = """
select i.indisunique, pg_catalog.pg_get_indexdef(i.indexrelid), '.' || pg_catalog.quote_ident(t.relname) || ' USING '
from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid join pg_catalog.pg_class t on t.oid = i.indrelid
where i.indrelid = pg_catalog.to_regclass(%s) and c.relname = %s
"""


def is_built_alike(session: Session, trace: Trace, words: str, limits: Limits) -> bool | None:
    """Return whether the index of *trace* is what *words* build on the temporary table of the same name.

    None where that cannot be tried: the role may make no such table, or somebody holds the real one. Nothing is left of it.
    Raises UnavailableError when the connection is lost.
    """
    table, index = trace.parent, trace.relation
    if table is None or index is None:
        return None
    real, copy = identifier(table), sql.Identifier("pg_temp", table.name)
    try:
        with session.transaction(force_rollback=True):
            limit(session, limits)
            there = _built(session, real, index)
            session.execute(sql.SQL("create temporary table {} (like {})").format(copy, real))
            session.execute(words.encode())
            return there == _built(session, copy, index)
    except psycopg.Error as error:
        if session.closed:
            raise explain(error, "compare an index", otherwise=Reason.CONNECTION_LOST) from error
        return None


def _built(session: Session, table: sql.Identifier, index: Relation) -> tuple[bool, str] | None:
    """Return whether the *index* of *table* is unique, and its definition without names; None: it is not there."""
    row = session.execute(_BUILT.encode(), (table.as_string(None), index.name)).fetchone()
    return None if row is None else (row[0], row[1].partition(row[2])[2])
