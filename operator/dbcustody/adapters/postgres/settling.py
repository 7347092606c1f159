"""What is done in a restored database once its rows and constraints are there, before anybody else may enter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg import sql

from dbcustody.adapters.postgres.failure import translated
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dbcustody.adapters.postgres.session import Session

Name = tuple[str, str]
"""Schema and name."""
_SEQUENCES: Final = (
    "select schemaname::text, sequencename::text, last_value, increment_by from pg_sequences where schemaname !~ '^pg_'"
)
_ANALYSED_AT_ONCE: Final = 200
_ANALYSED: Final = """
select c.oid::bigint, n.nspname::text, c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm', 'p') and c.relpersistence <> 't' and n.nspname !~ '^pg_toast'
order by 2, 3
"""
_FAR: Final = """
with recursive above (oid) as (
    select i.inhparent from pg_inherits i join pg_class c on c.oid = i.inhrelid where c.relkind = 'f'
    union select i.inhparent from pg_inherits i join above a on a.oid = i.inhrelid
)
select oid::bigint from above
"""
_HASH_ROOTS: Final = """
select n.nspname::text, c.relname::text, rn.nspname::text, r.relname::text
from pg_class c join pg_namespace n on n.oid = c.relnamespace
cross join lateral (
    select a.relid from pg_partition_ancestors(c.oid) with ordinality a(relid, height)
    join pg_partitioned_table p on p.partrelid = a.relid and p.partstrat = 'h' order by a.height desc limit 1
) top
join pg_class r on r.oid = top.relid join pg_namespace rn on rn.oid = r.relnamespace
where c.relispartition
"""


def prepare_part(session: Session, schemas: Iterable[str], extensions: Iterable[tuple[str, str]]) -> None:
    """Make *schemas*, and *extensions* in their schemas: an archive of some tables has neither, and its tables may need both."""
    with translated("make schemas and extensions", otherwise=Reason.RESTORE_FAILED):
        for schema in schemas:
            session.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
        for name, schema in extensions:
            statement = sql.SQL("create extension if not exists {} with schema {}")
            session.execute(statement.format(sql.Identifier(name), sql.Identifier(schema)))


def let_create(session: Session, rights: Iterable[Name], *, allowed: bool) -> None:
    """Let roles create in schemas, or take that right away again; *rights* are schemas, each with a role.

    Whoever gets a table must be allowed to create one where it is (https://www.postgresql.org/docs/current/sql-altertable.html). Until
    the hand-over the database's owner, whom the schema public belongs to since PostgreSQL 15, is another one.
    """
    verb = "grant create on schema {} to {}" if allowed else "revoke create on schema {} from {}"
    with translated("change who creates in schemas", otherwise=Reason.RESTORE_FAILED):
        here = {name for (name,) in session.execute("select nspname::text from pg_namespace")}
        for schema, role in rights:
            if schema in here:
                session.execute(sql.SQL(verb).format(sql.Identifier(schema), sql.Identifier(role)))


def read_hash_roots(session: Session) -> dict[Name, Name]:
    """Return for each partition that lies below a hash-partitioned table the topmost of these."""
    with translated("look at the partitions", otherwise=Reason.RESTORE_FAILED):
        rows = session.execute(_HASH_ROOTS.encode()).fetchall()
    return {(schema, name): (root_schema, root) for schema, name, root_schema, root in rows}


def read_positions(session: Session) -> dict[Name, tuple[int | None, int]]:
    """Return where each sequence stands (None: never used), and by how much it goes on."""
    with translated("look at the sequences", otherwise=Reason.RESTORE_FAILED):
        return {(schema, name): (value, step) for schema, name, value, step in session.execute(_SEQUENCES.encode())}


def advance_sequences(session: Session, values: Mapping[Name, int]) -> None:
    """Let each sequence go on behind the value that was handed out last."""
    with translated("set the sequences", otherwise=Reason.RESTORE_FAILED), session.transaction():
        for (schema, name), value in values.items():
            sequence = sql.Identifier(schema, name).as_string(session)
            session.execute("select setval(%s::regclass, %s, true)", (sequence, value))


def analyse(session: Session) -> None:
    """Collect statistics of every table, without which the planner guesses; but of none that has rows on another server below it.

    ANALYZE of a partitioned table samples foreign partitions too: it would ask a server that nobody named for a restore, or that is gone.
    """
    with translated("analyze the database", otherwise=Reason.RESTORE_FAILED):
        far = {oid for (oid,) in session.execute(_FAR.encode())}
        if not far:
            session.execute("analyze")
            return
        here = [(schema, name) for oid, schema, name in session.execute(_ANALYSED.encode()) if oid not in far]
        for start in range(0, len(here), _ANALYSED_AT_ONCE):
            names = (sql.Identifier(*one) for one in here[start : start + _ANALYSED_AT_ONCE])
            session.execute(sql.SQL("analyze {}").format(sql.SQL(", ").join(names)))
