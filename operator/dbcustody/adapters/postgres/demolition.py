"""A database of developers that is emptied: what is in it, who is in it, and how it goes, whole or as far as the role may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg.errors
from psycopg import sql

from dbcustody.adapters.postgres.failure import translated
from dbcustody.errors import RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dbcustody.adapters.postgres.session import Session

_OURS: Final = "n.nspname !~ '^pg_' and n.nspname <> 'information_schema'"
_CONTENTS: Final = f"""
select pg_database_size(current_database())::bigint,
       (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p') and {_OURS} and n.nspname <> 'dbcustody'),
       (select coalesce(sum(c.reltuples) filter (where c.reltuples > 0), 0)::bigint
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'r' and {_OURS} and n.nspname <> 'dbcustody'),
       (select rolsuper or rolcreatedb and pg_has_role(datdba, 'usage') from pg_roles where rolname = current_user)
from pg_database where datname = current_database()
"""  # noqa: S608 - words of our own
_INHABITANTS: Final = """
select coalesce(application_name, ''), usename::text, pid from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend' order by pid
"""
_EXTENSIONS: Final = """
select e.extname::text, n.nspname::text, e.extversion,
       coalesce((select rolsuper from pg_roles where rolname = current_user) or
                (select bool_or(v.trusted or not v.superuser) from pg_available_extension_versions v
                 where v.name = e.extname and v.version = e.extversion), false)
from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname <> 'plpgsql' order by e.oid
"""
_MEMBER: Final = (
    "exists (select from pg_depend d where d.classid = '{catalogue}'::regclass and d.objid = {oid} and d.deptype = 'e')"
)
_SCHEMAS: Final = f"""
select n.nspname::text from pg_namespace n
where {_OURS} and n.nspname <> 'public' and pg_has_role(n.nspowner, 'usage')
  and not exists (select from pg_extension e where e.extnamespace = n.oid)
  and not {_MEMBER.format(catalogue="pg_namespace", oid="n.oid")}
"""  # noqa: S608 - words of our own
_RELATIONS: Final = f"""
select case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence'
                      when 'f' then 'foreign table' else 'table' end, n.nspname::text, c.relname::text
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') and {_OURS} and pg_has_role(c.relowner, 'usage')
  and not {_MEMBER.format(catalogue="pg_class", oid="c.oid")}
order by 1 desc
"""  # noqa: S608 - words of our own
_TYPES: Final = f"""
select case t.typtype when 'd' then 'domain' else 'type' end, n.nspname::text, t.typname::text
from pg_type t join pg_namespace n on n.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid
where t.typtype in ('d', 'e', 'c', 'r') and (c.oid is null or c.relkind = 'c') and {_OURS} and pg_has_role(t.typowner, 'usage')
  and not {_MEMBER.format(catalogue="pg_type", oid="t.oid")}
"""  # noqa: S608 - words of our own
_ROUTINES: Final = f"""
select n.nspname::text, p.proname::text, pg_get_function_identity_arguments(p.oid)
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where {_OURS} and pg_has_role(p.proowner, 'usage') and not {_MEMBER.format(catalogue="pg_proc", oid="p.oid")}
"""  # noqa: S608 - words of our own


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhabitant:
    """A session that is in the database beside ours."""

    application: str
    role: str
    pid: int

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.application or 'a session without a name'} of {self.role} (pid {self.pid})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An extension that is in the database; *is_makeable* says whether the role could make it again."""

    name: str
    schema: str
    version: str
    is_makeable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What would be lost with a database."""

    size_bytes: int
    tables: int
    rows: int
    """About as many, by the server's own statistics: 0 where it has none yet."""
    is_droppable: bool
    """Whether the role may drop the database and make another."""
    extensions: tuple[Installed, ...]
    inhabitants: tuple[Inhabitant, ...]


def read_contents(session: Session) -> Contents:
    """Return what is in the database of *session*, and who beside it."""
    with translated("look what is in the database", otherwise=Reason.CONNECTION_LOST):
        row: Any = session.execute(_CONTENTS.encode()).fetchone()
        extensions = session.execute(_EXTENSIONS.encode()).fetchall()
    return Contents(
        size_bytes=row[0],
        tables=row[1],
        rows=row[2],
        is_droppable=bool(row[3]),
        extensions=tuple(
            Installed(name=name, schema=schema, version=version, is_makeable=makeable)
            for name, schema, version, makeable in extensions
        ),
        inhabitants=read_inhabitants(session),
    )


def read_inhabitants(session: Session) -> tuple[Inhabitant, ...]:
    """Return the sessions of clients in the database of *session*, without that one."""
    with translated("look who is in the database", otherwise=Reason.CONNECTION_LOST):
        rows = session.execute(_INHABITANTS).fetchall()
    return tuple(Inhabitant(application=name, role=role, pid=pid) for name, role, pid in rows)


def disconnect(session: Session, inhabitants: Iterable[Inhabitant]) -> None:
    """End *inhabitants* and wait for each up to ten seconds; raises RefusedError (SessionsHeld) when the role may not."""
    try:
        for one in inhabitants:
            session.execute("select pg_terminate_backend(%s, 10000)", (one.pid,))
    except psycopg.errors.InsufficientPrivilege as error:
        message = f"end {one}: the role may not; nothing was dropped"
        raise RefusedError(message, reason=Reason.SESSIONS_HELD) from error


def drop(session: Session, name: str, *, by_force: bool) -> None:
    """Drop the database *name*, *by_force* with whoever is in it; raises RefusedError (SessionsHeld) when somebody came in meanwhile."""
    force = sql.SQL(" with (force)" if by_force else "")
    with translated(f"drop the database {name}", otherwise=Reason.MIGRATION_FAILED):
        try:
            session.execute(sql.SQL("drop database {}{}").format(sql.Identifier(name), force))
        except psycopg.errors.ObjectInUse as error:
            message = f"database {name}: somebody came in meanwhile; nothing was dropped"
            raise RefusedError(message, reason=Reason.SESSIONS_HELD) from error


def create(session: Session, name: str) -> None:
    """Create the database *name* as the server makes them; raises RefusedError (PrivilegesMissing) when the role may not."""
    with translated(f"create the database {name}", otherwise=Reason.MIGRATION_FAILED):
        session.execute(sql.SQL("create database {}").format(sql.Identifier(name)))


def rename(session: Session, name: str, new_name: str, *, comment: str | None) -> None:
    """Give the database *name*, in which nobody is, a new name and *comment*, both or neither."""
    with translated(f"rename the database {name}", otherwise=Reason.MIGRATION_FAILED), session.transaction():
        session.execute(
            sql.SQL("alter database {} rename to {}").format(sql.Identifier(name), sql.Identifier(new_name))
        )
        session.execute(sql.SQL("comment on database {} is {}").format(sql.Identifier(new_name), sql.Literal(comment)))


def clear(session: Session, going: Iterable[str]) -> None:
    """Drop everything in the database of *session* that its role owns, in one transaction: schemas, relations, types, routines.

    `public`, and a schema in which an extension lies, stay with their rights; of extensions only those in *going* go.
    """
    with translated("empty the database", otherwise=Reason.MIGRATION_FAILED), session.transaction():
        for name in going:
            session.execute(sql.SQL("drop extension if exists {} cascade").format(sql.Identifier(name)))
        for (schema,) in session.execute(_SCHEMAS.encode()).fetchall():
            session.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
        for statement in _remainders(session):
            session.execute(statement)


def _remainders(session: Session) -> Iterator[sql.Composed]:
    """Yield what drops what is left in schemas that stay; each thing may have gone with one before it."""
    for query in (_RELATIONS, _TYPES):
        for kind, schema, name in session.execute(query.encode()).fetchall():
            yield sql.SQL("drop {} if exists {} cascade").format(sql.SQL(kind), sql.Identifier(schema, name))
    for schema, name, arguments in session.execute(_ROUTINES.encode()).fetchall():
        routine = sql.SQL("{}({})").format(sql.Identifier(schema, name), sql.SQL(arguments))
        yield sql.SQL("drop routine if exists {} cascade").format(routine)


def install(session: Session, extensions: Iterable[Installed]) -> None:
    """Make *extensions* in the database of *session*, in the schema and of the version that they had."""
    statement = sql.SQL("create extension if not exists {} with schema {} version {} cascade")
    with translated("make the extensions again", otherwise=Reason.EXTENSIONS_MISSING):
        for one in extensions:
            schema = sql.Identifier(one.schema)
            session.execute(sql.SQL("create schema if not exists {}").format(schema))
            session.execute(statement.format(sql.Identifier(one.name), schema, sql.Literal(one.version)))
