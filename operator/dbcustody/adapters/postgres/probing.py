"""What the catalogue shows of a statement that runs outside of any transaction, and how what was broken off is cleared away.

`IF NOT EXISTS` is no proof: it succeeds while an index stays invalid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg import sql

from dbcustody.adapters.postgres.failure import translated
from dbcustody.migration.trace import Finding, Sought
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.session import Session
    from dbcustody.migration.relation import Relation
    from dbcustody.migration.trace import Trace

_INDEX: Final = (
    "select indisvalid and indisready from pg_catalog.pg_index where indexrelid = pg_catalog.to_regclass(%s)"
)
_DETACHING: Final = """
select inhdetachpending from pg_catalog.pg_inherits
where inhrelid = pg_catalog.to_regclass(%s) and inhparent = pg_catalog.to_regclass(%s)
"""
_LEFT_BY_REINDEX: Final = """
select n.nspname::text, c.relname::text
from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where not i.indisvalid and c.relname ~ '_cc(new|old)[0-9]*$' and n.nspname <> 'pg_toast' order by 1, 2
"""


def find(session: Session, trace: Trace) -> Finding:
    """Return what is there of a statement with *trace*; one that leaves nothing to look for is absent."""
    with translated("look what is there of it", otherwise=Reason.MIGRATION_FAILED):
        match trace.sought:
            case Sought.INDEX:
                row = session.execute(_INDEX, (_name(trace.relation),)).fetchone()
                return Finding.ABSENT if row is None else Finding.DONE if row[0] else Finding.BROKEN
            case Sought.NO_INDEX:
                row = session.execute(_INDEX, (_name(trace.relation),)).fetchone()
                return Finding.DONE if row is None else Finding.ABSENT if row[0] else Finding.BROKEN
            case Sought.DETACHED:
                row = session.execute(_DETACHING, (_name(trace.relation), _name(trace.parent))).fetchone()
                return Finding.DONE if row is None else Finding.BROKEN if row[0] else Finding.ABSENT
            case _:
                return Finding.ABSENT


def clear(session: Session, trace: Trace) -> None:
    """Take away, or finish, what was broken off, so that the statement can run once more; nothing happens where nothing has to.

    An invalid index goes; a detachment is finished; what is left of a REINDEX CONCURRENTLY goes, too.
    """
    with translated("clear away what was broken off", otherwise=Reason.MIGRATION_FAILED):
        match trace.sought:
            case Sought.INDEX if trace.relation is not None:
                session.execute(sql.SQL("drop index concurrently if exists {}").format(_identifier(trace.relation)))
            case Sought.DETACHED if trace.relation is not None and trace.parent is not None:
                words = sql.SQL("alter table {} detach partition {} finalize")
                session.execute(words.format(_identifier(trace.parent), _identifier(trace.relation)))
            case Sought.REPEATABLE:
                left: list[Any] = session.execute(_LEFT_BY_REINDEX.encode()).fetchall()
                for schema, name in left:
                    session.execute(
                        sql.SQL("drop index concurrently if exists {}").format(sql.Identifier(schema, name))
                    )
            case _:
                pass


def _name(relation: Relation | None) -> str:
    """Return how *relation* is written for the server; empty, which is nothing's name, for none."""
    return "" if relation is None else _identifier(relation).as_string(None)


def _identifier(relation: Relation) -> sql.Identifier:
    return sql.Identifier(relation.schema, relation.name) if relation.schema else sql.Identifier(relation.name)
