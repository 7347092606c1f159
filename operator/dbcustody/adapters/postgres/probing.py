"""What the catalogue shows of a statement that runs outside of any transaction, and how what was broken off is cleared away.

`IF NOT EXISTS` is no proof: it succeeds while an index stays invalid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

from dbcustody.adapters.postgres.failure import said_by, translated
from dbcustody.errors import UnavailableError
from dbcustody.migration.trace import Finding, Scope, Sought
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.migration.lock import Lock, Mode
    from dbcustody.migration.relation import Relation
    from dbcustody.migration.trace import Trace

_REMNANT: Final = "i.indexrelid::bigint, i.indrelid::bigint, n.nspname::text, c.relname::text"
_MADE: Final = f"""
select i.indisvalid and i.indisready, {_REMNANT}
from pg_catalog.pg_class t join pg_catalog.pg_index i on i.indrelid = t.oid join pg_catalog.pg_class c on c.oid = i.indexrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where t.oid = pg_catalog.to_regclass(%s) and c.relname = %s and (c.relkind = 'i' or i.indisvalid)
"""  # noqa: S608 - words of our own
"""One of a partitioned table is invalid until each partition has its own, and nothing of it was broken off."""
_DROPPED: Final = (
    "select indisvalid and indisready from pg_catalog.pg_index where indexrelid = pg_catalog.to_regclass(%s)"
)
_DETACHING: Final = """
select inhdetachpending from pg_catalog.pg_inherits
where inhrelid = pg_catalog.to_regclass(%s) and inhparent = pg_catalog.to_regclass(%s)
"""
_CUT_SHORT: Final = (
    psycopg.errors.QueryCanceled,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
)
_OID: Final = "select pg_catalog.to_regclass(%s)::oid"
_ROOTS: Final = {
    Scope.INDEX: "select indrelid from pg_catalog.pg_index where indexrelid = pg_catalog.to_regclass(%s)",
    Scope.TABLE: _OID,
    Scope.SCHEMA: "select oid from pg_catalog.pg_class where relnamespace = pg_catalog.to_regnamespace(%s)",
    Scope.DATABASE: "select oid from pg_catalog.pg_class where %s = ''",
}
_TWINS: Final = """
with root(oid) as ({roots}),
leaf(oid) as (
    select oid from root union
    select p.relid from pg_catalog.pg_class c join root r on r.oid = c.oid, pg_catalog.pg_partition_tree(c.oid) p where c.relkind = 'p'),
heap(oid) as (
    select oid from leaf union select c.reltoastrelid from pg_catalog.pg_class c join leaf l on l.oid = c.oid where {toast})
select {columns}
from pg_catalog.pg_index i join heap h on h.oid = i.indrelid join pg_catalog.pg_class c on c.oid = i.indexrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where not i.indisvalid and c.relkind = 'i' and c.relname ~ '_cc(new|old)[0-9]*$'
    and pg_catalog.has_schema_privilege(n.oid, 'usage') order by 3, 4
"""
"""What lies beside a TOAST table nobody but a superuser may drop, who alone is told of it."""


class CutShortError(UnavailableError):
    """What was broken off stays, or some of it: clearing it away was cancelled, took too long, or came into a deadlock."""

    default_reason = Reason.LOCK_NOT_OBTAINED


@dataclass(frozen=True, slots=True)
class Remnant:
    """An invalid index, which nothing uses and every write has to keep up; as invalid is one that somebody is building right now."""

    index: int
    table: int
    """OIDs, both."""
    schema: str
    name: str

    def __str__(self) -> str:
        """Return how it is written for the server."""
        return sql.Identifier(self.schema, self.name).as_string(None)


def find(session: Session, trace: Trace) -> Finding:
    """Return what is there of a statement with *trace*; one that leaves nothing to look for is absent."""
    with translated("look what is there of it", otherwise=Reason.MIGRATION_FAILED):
        match trace.sought:
            case Sought.INDEX:
                row = session.execute(_MADE.encode(), _made(trace)).fetchone()
                return Finding.ABSENT if row is None else Finding.DONE if row[0] else Finding.BROKEN
            case Sought.NO_INDEX:
                row = session.execute(_DROPPED, (_name(trace.relation),)).fetchone()
                return Finding.DONE if row is None else Finding.ABSENT if row[0] else Finding.BROKEN
            case Sought.DETACHED:
                row = session.execute(_DETACHING, (_name(trace.relation), _name(trace.parent))).fetchone()
                return Finding.DONE if row is None else Finding.BROKEN if row[0] else Finding.ABSENT
            case _:
                return Finding.BROKEN if find_remnants(session, trace) else Finding.ABSENT


def find_remnants(session: Session, trace: Trace) -> tuple[Remnant, ...]:
    """Return the invalid indexes that a statement with *trace* leaves when it is broken off; whoever left those that are there."""
    with translated("look what is left of it", otherwise=Reason.MIGRATION_FAILED):
        return _remnants(session, trace)


def _remnants(session: Session, trace: Trace) -> tuple[Remnant, ...]:
    if trace.sought is Sought.INDEX:
        rows = session.execute(_MADE.encode(), _made(trace)).fetchall()
        return tuple(Remnant(*row[1:]) for row in rows if not row[0])
    if trace.sought is Sought.NO_TWIN and trace.scope is not None:
        toast = "false" if trace.scope is Scope.INDEX else "true"
        words = _TWINS.format(roots=_ROOTS[trace.scope], columns=_REMNANT, toast=toast)
        return tuple(Remnant(*row) for row in session.execute(words.encode(), (_name(trace.relation),)).fetchall())
    return ()


def locked_tables(session: Session, locks: Iterable[Lock]) -> tuple[tuple[int, Mode], ...]:
    """Return the OIDs of the tables of *locks* that are there, as far as the role may look, each with its mode."""
    with translated("look which tables are meant", otherwise=Reason.CONNECTION_LOST):
        named = [(table_oid(session, lock.relation), lock.mode) for lock in locks]
    return tuple((oid, mode) for oid, mode in named if oid is not None)


def tables_of(session: Session, trace: Trace, *, but: Collection[int] = ()) -> tuple[int, ...]:
    """Return on which tables (OIDs) `clear` waits for everybody who has touched them."""
    with translated("look what is left of it", otherwise=Reason.MIGRATION_FAILED):
        if trace.sought is Sought.DETACHED:
            named = (table_oid(session, one) for one in (trace.relation, trace.parent) if one is not None)
            return tuple(one for one in named if one is not None)
        return tuple(one.table for one in _remnants(session, trace) if one.index not in but)


def clear(session: Session, trace: Trace, *, but: Collection[int] = ()) -> None:
    """Take away, or finish, what was broken off, so that the statement can run once more; nothing happens where nothing has to.

    Invalid indexes go, except *but* (OIDs); a detachment is finished. Whoever calls knows that nobody builds such an index now.
    Raises CutShortError; what is left then can be cleared away later in the same way.
    """
    what = "clear away what was broken off"
    with translated(what, otherwise=Reason.MIGRATION_FAILED):
        try:
            _clear(session, trace, but)
        except _CUT_SHORT as error:
            raise CutShortError(f"{what}: {said_by(error)} (SQLSTATE {error.sqlstate})") from error


def _clear(session: Session, trace: Trace, but: Collection[int]) -> None:
    if trace.sought is Sought.DETACHED and trace.relation is not None and trace.parent is not None:
        words = sql.SQL("alter table {} detach partition {} finalize")
        session.execute(words.format(identifier(trace.parent), identifier(trace.relation)))
    for left in _remnants(session, trace):
        if left.index not in but:
            name = sql.Identifier(left.schema, left.name)
            session.execute(sql.SQL("drop index concurrently if exists {}").format(name))


def _made(trace: Trace) -> tuple[str, str]:
    return _name(trace.parent), "" if trace.relation is None else trace.relation.name


def _name(relation: Relation | None) -> str:
    """Return how *relation* is written for the server; empty, which is nothing's name, for none."""
    return "" if relation is None else identifier(relation).as_string(None)


def table_oid(session: Session, relation: Relation) -> int | None:
    """Return the OID of what *session* finds under that name; None: nothing, or it may not look there. Raises what psycopg raises."""
    try:
        row = session.execute(_OID, (_name(relation),)).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    return None if row is None or row[0] is None else int(row[0])


def identifier(relation: Relation) -> sql.Identifier:
    """Return *relation* as it stands in SQL."""
    return sql.Identifier(relation.schema, relation.name) if relation.schema else sql.Identifier(relation.name)
