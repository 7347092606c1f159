"""One moment of a database: its tables locked, then a snapshot exported that every stream shares.

TRUNCATE and ALTERs that rewrite a table are not MVCC-safe
(https://www.postgresql.org/docs/current/mvcc-caveats.html): a snapshot older than the lock could find such a table empty. So the locks are
taken first, and what came or went in between makes the whole begin anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg
from psycopg import sql

from dbcustody.adapters.postgres.failure import explain, translated
from dbcustody.errors import UnavailableError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.session import Session

ATTEMPTS: Final = 5
_LOCKED_AT_ONCE: Final = 1000
_COUNTED_AT_ONCE: Final = 200
"""Tables counted by one message: with thousands of small ones the way to the server takes longer than the counting."""
_COUNT: Final = sql.SQL("select count(*) from only ")
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
_SIZES: Final = """
select oid::bigint, pg_relation_size(oid) + coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0)
from pg_class where oid = any(%s::bigint[]::oid[])
"""
"""It takes a lock, so whoever holds that lock already asks: another would queue behind an ALTER TABLE."""
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


class DumpTable(NamedTuple):
    """A table that the dump locks; *has_rows* is False for a partitioned parent, and on a standby for an unlogged table."""

    oid: int
    schema: str
    name: str
    has_rows: bool
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
                return Snapshot(name=name, tables=tuple(found), lsn=read_lsn(session))
            session.execute("rollback")
    raise UnavailableError(
        f"lock the tables: after {ATTEMPTS} tries there were still new ones; run the dump when no tables are created",
        reason=Reason.SCHEMA_CHANGED,
    )


def list_tables(session: Session) -> list[DumpTable]:
    """Return every table whose data pg_dump would take, ordered by name; those of extensions only where they are configuration.

    Raises what the server's word means, else UnavailableError (ConnectionLost).
    """
    with translated("list the tables", otherwise=Reason.CONNECTION_LOST):
        return [DumpTable(*row) for row in session.execute(_TABLES.encode())]


def read_lsn(session: Session) -> str | None:
    """Return how far the server's log is, on a standby how far it is replayed; None when the server does not say."""
    found = _one(
        session,
        "select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end::text",
    )
    return None if found is None else str(found)


def measure_tables(session: Session, tables: Sequence[DumpTable]) -> dict[int, int]:
    """Return by OID how many bytes the rows of each of *tables* take on disk; *session* must hold their locks."""
    with translated("measure the tables", otherwise=Reason.CONNECTION_LOST):
        found = session.execute(_SIZES, ([table.oid for table in tables],)).fetchall()
    return {oid: size_bytes or 0 for oid, size_bytes in found}


def count_rows(session: Session, tables: Sequence[DumpTable]) -> dict[int, int]:
    """Return by OID how many rows each of *tables* itself has in the snapshot of *session*."""
    found: dict[int, int] = {}
    for start in range(0, len(tables), _COUNTED_AT_ONCE):
        batch = tables[start : start + _COUNTED_AT_ONCE]
        what = f"count {batch[0].pattern}" + (f" to {batch[-1].pattern}" if len(batch) > 1 else "")
        with translated(what, otherwise=Reason.CONNECTION_LOST):
            results = session.execute(sql.SQL("; ").join(map(_count, batch))).results()
            found |= {table.oid: _first(result) for table, result in zip(batch, results, strict=True)}
    return found


def _count(table: DumpTable) -> sql.Composed:
    # the condition is the extension author's SQL, which pg_dump runs in the same way
    return _COUNT + sql.Identifier(table.schema, table.name) + sql.SQL(f" {table.condition}")


def lock_tables(session: Session, tables: Sequence[DumpTable], *, wait_seconds: int) -> None:
    """Lock *tables* in the transaction that *session* is in, so that nobody drops, empties or rewrites one of them.

    Raises TableGoneError when one of them is gone, UnavailableError (LockNotObtained) when one is not had within *wait_seconds*; the
    transaction is over then.
    """
    try:
        session.execute(sql.SQL("set local lock_timeout = {}").format(sql.Literal(f"{wait_seconds}s")))
        for start in range(0, len(tables), _LOCKED_AT_ONCE):
            names = [sql.Identifier(table.schema, table.name) for table in tables[start : start + _LOCKED_AT_ONCE]]
            session.execute(sql.SQL("lock table only {} in access share mode").format(sql.SQL(", only ").join(names)))
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


def _one(session: Session, query: str) -> Any:
    return _first(session.execute(query.encode()))


def _first(cursor: psycopg.Cursor[tuple[Any, ...]]) -> Any:
    row = cursor.fetchone()
    return row[0] if row else None
