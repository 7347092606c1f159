"""One moment of a database: its tables locked, then a snapshot exported that every stream and every count shares.

TRUNCATE and ALTERs that rewrite a table are not MVCC-safe
(https://www.postgresql.org/docs/current/mvcc-caveats.html): a snapshot older than the lock could find such a table empty. So the locks are
taken first, and what came or went in between makes the whole begin anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import sql

from dbcustody.adapters.postgres.failure import explain, translated
from dbcustody.errors import UnavailableError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.session import Session

ATTEMPTS: Final = 5
_BATCH: Final = 200
_COUNTED_AT_ONCE: Final = 50
"""Tables counted by one statement: with thousands of small ones the way to the server takes longer than the counting."""
_TABLES: Final = """
with member as (
    select d.objid, e.extconfig, e.extcondition
    from pg_depend d join pg_extension e on e.oid = d.refobjid
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
)
select c.oid::bigint, n.nspname, c.relname, c.relkind = 'r' and (c.relpersistence = 'p' or not pg_is_in_recovery()),
       coalesce(m.extcondition[array_position(m.extconfig, c.oid)], ''), m.objid is not null
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join member m on m.objid = c.oid
where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relpersistence <> 't'
  and (m.objid is null or c.oid = any(m.extconfig))
order by n.nspname, c.relname
"""
_SIZES: Final = "select t, pg_table_size(t::oid::regclass) from unnest(%s::bigint[]) as t"
"""It takes a lock, so it is asked only for what is locked already."""
_HOLDERS: Final = """
select l.relation::regclass::text, x.gid, l.pid, a.application_name
from pg_locks l
left join pg_locks t on l.pid is null and t.pid is null and t.locktype = 'transactionid'
  and t.virtualtransaction = l.virtualtransaction
left join pg_prepared_xacts x on x.transaction = t.transactionid
left join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and l.relation = any(%s::bigint[]::oid[])
  and l.database = (select oid from pg_database where datname = current_database())
order by l.granted desc, l.pid
limit 1
"""
"""Who prepared a transaction has no process any more; by the lock on its own id it is found in pg_prepared_xacts
(https://www.postgresql.org/docs/current/view-pg-locks.html)."""
_GONE: Final = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.WrongObjectType)
"""There is nothing of this name any more, or something that is no table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpTable:
    """A table that the dump locks; *has_rows* is False for a partitioned parent, and on a standby for an unlogged table."""

    oid: int
    schema: str
    name: str
    has_rows: bool
    size_bytes: int = 0
    """0 until it is locked: to measure a table takes a lock."""
    condition: str = ""
    """Of an extension's configuration table: the WHERE clause to which pg_dump keeps."""
    of_extension: bool = False

    @property
    def pattern(self) -> str:
        """The pattern with which pg_dump finds this table and no other."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in (self.schema, self.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An exported snapshot; it can be used as long as the session that exported it stays in its transaction."""

    name: str
    tables: tuple[DumpTable, ...]
    lsn: str | None


class TableGoneError(UnavailableError):
    """A table that was listed a moment ago is gone, or has another name."""


Choose = Callable[[Sequence[DumpTable]], Sequence[DumpTable]]
"""Which of the tables are wanted."""


def take_snapshot(session: Session, *, lock_wait_seconds: int, choose: Choose, before: Callable[[], None]) -> Snapshot:
    """Return a snapshot in which everything that *choose* wants of the tables is locked; *before* is called right before it is taken.

    *session* is in a transaction afterwards, and must stay in it. Raises UnavailableError: LockNotObtained when a lock is not had within
    *lock_wait_seconds*, SchemaChanged when tables come and go faster than they can be locked.
    """
    for _ in range(ATTEMPTS):
        with translated("list the tables", otherwise=Reason.CONNECTION_LOST):
            wanted = choose(list_tables(session))
            session.execute("begin isolation level repeatable read, read only")
        try:
            lock_tables(session, wanted, wait_seconds=lock_wait_seconds)
        except TableGoneError:
            continue
        before()
        with translated("take the snapshot", otherwise=Reason.CONNECTION_LOST):
            name = _one(session, "select pg_export_snapshot()")
            found = choose(list_tables(session))
            if {table.oid for table in found} <= {table.oid for table in wanted}:
                return Snapshot(name=name, tables=_measured(session, found), lsn=read_lsn(session))
            session.execute("rollback")
    raise UnavailableError(
        f"lock the tables: after {ATTEMPTS} tries there were still new ones; run the dump when no tables are created",
        reason=Reason.SCHEMA_CHANGED,
    )


def list_tables(session: Session) -> list[DumpTable]:
    """Return every table whose data pg_dump would take, ordered by name; those of extensions only where they are configuration."""
    return [
        DumpTable(oid=oid, schema=schema, name=name, has_rows=has_rows, condition=condition, of_extension=of_extension)
        for oid, schema, name, has_rows, condition, of_extension in session.execute(_TABLES.encode())
    ]


def join_snapshot(session: Session, name: str) -> None:
    """Begin a transaction in *session* that sees what the exporter of *name* sees."""
    with translated("join the snapshot", otherwise=Reason.CONNECTION_LOST):
        session.execute("begin isolation level repeatable read, read only")
        session.execute(sql.SQL("set transaction snapshot {}").format(sql.Literal(name)))


def read_lsn(session: Session) -> str | None:
    """Return how far the server's log is, on a standby how far it is replayed; None when the server does not say."""
    found = _one(
        session,
        "select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end::text",
    )
    return None if found is None else str(found)


def count_rows(session: Session, tables: Sequence[DumpTable]) -> dict[int, int]:
    """Return by OID how many rows each of *tables* itself has in the snapshot that *session* joined."""
    found: dict[int, int] = {}
    for start in range(0, len(tables), _COUNTED_AT_ONCE):
        batch = tables[start : start + _COUNTED_AT_ONCE]
        what = f"count {batch[0].pattern}" + (f" to {batch[-1].pattern}" if len(batch) > 1 else "")
        with translated(what, otherwise=Reason.CONNECTION_LOST):
            found |= dict(session.execute(sql.SQL(" union all ").join(map(_count, batch))).fetchall())
    return found


def _count(table: DumpTable) -> sql.Composed:
    query = sql.SQL("select {}::bigint, count(*) from only {} ").format(
        sql.Literal(table.oid), sql.Identifier(table.schema, table.name)
    )
    # the condition is the extension author's SQL, which pg_dump runs in the same way
    return query + sql.SQL(table.condition)


def lock_tables(session: Session, tables: Sequence[DumpTable], *, wait_seconds: int) -> None:
    """Lock *tables* in the transaction that *session* is in, so that nobody drops, empties or rewrites one of them.

    Raises TableGoneError when one of them is gone, UnavailableError (LockNotObtained) when one is not had within *wait_seconds*; the
    transaction is over then.
    """
    try:
        session.execute(sql.SQL("set local lock_timeout = {}").format(sql.Literal(f"{wait_seconds}s")))
        for start in range(0, len(tables), _BATCH):
            names = [
                sql.SQL("only {}").format(sql.Identifier(table.schema, table.name))
                for table in tables[start : start + _BATCH]
            ]
            session.execute(sql.SQL("lock table {} in access share mode").format(sql.SQL(", ").join(names)))
    except psycopg.Error as error:
        what = f"lock {len(tables)} tables within {wait_seconds} s"
        _roll_back(session)
        if isinstance(error, _GONE):
            raise TableGoneError(f"{what}: one of them is gone", reason=Reason.SCHEMA_CHANGED) from error
        if isinstance(error, psycopg.errors.LockNotAvailable):
            what += _holder(session, tables)
        raise explain(error, what, otherwise=Reason.CONNECTION_LOST) from error


def _holder(session: Session, tables: Sequence[DumpTable]) -> str:
    """Return in words who keeps one of *tables* to himself, or waits to; empty when nobody does any more, or it cannot be asked."""
    with suppress(psycopg.Error):
        row = session.execute(_HOLDERS, ([table.oid for table in tables],)).fetchone()
        if row is not None:
            name, gid, pid, application = row
            if gid is not None:
                return f", but {name} is held by the prepared transaction {gid!r}; commit it or roll it back"
            return f", but {name} is held by pid {pid} ({application or 'without a name'})"
    return ""


def _roll_back(session: Session) -> None:
    """End the transaction; a connection that is lost has ended it, and why is known already."""
    with suppress(psycopg.OperationalError):
        session.execute("rollback")


def _measured(session: Session, tables: Sequence[DumpTable]) -> tuple[DumpTable, ...]:
    """Return *tables*, which must be locked, with their sizes."""
    filled = [table.oid for table in tables if table.has_rows]
    sizes: dict[int, int | None] = dict(session.execute(_SIZES, (filled,)).fetchall())
    return tuple(replace(table, size_bytes=sizes.get(table.oid) or 0) for table in tables)


def _one(session: Session, query: str) -> Any:
    row = session.execute(query.encode()).fetchone()
    return row[0] if row else None
