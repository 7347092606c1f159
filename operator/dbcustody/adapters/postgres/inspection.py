"""What a server tells about itself and about the rights of the role that asks, all of it in one snapshot.

The rights are those that pg_dump needs: it locks every table it dumps (SELECT on the table and USAGE on its schema), reads every sequence,
and runs with `row_security = off`, so that a policy that applies to the role is an error and never a backup with rows left out
(https://www.postgresql.org/docs/current/app-pgdump.html, https://www.postgresql.org/docs/current/ddl-rowsecurity.html).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dbcustody.adapters.postgres.failure import translated
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.adapters.postgres.session import Session

LONGEST_LIST: Final = 50
"""Statements of one kind; a role that misses more is better helped by pg_read_all_data."""

_SERVER: Final = """
select split_part(current_setting('server_version'), ' ', 1), current_setting('server_version_num')::int, current_database(),
       pg_is_in_recovery(), pg_has_role(current_user, 'pg_monitor', 'usage'),
       has_function_privilege('pg_control_system()', 'execute') and has_function_privilege('pg_control_checkpoint()', 'execute')
"""
_SIZE: Final = "select pg_database_size(current_database())"
_IDENTITY: Final = "select system_identifier::text, timeline_id from pg_control_system(), pg_control_checkpoint()"
_EXTENSIONS: Final = "select extname, extversion from pg_extension order by extname"

_DUMPED: Final = """
with member as (
    select d.objid, c.oid is not null as configured
    from pg_depend d
    left join pg_extension e on e.oid = d.refobjid
    left join pg_class c on c.oid = d.objid and c.oid = any(e.extconfig)
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
), dumped as (
    select c.oid, c.relname, c.relkind, n.oid as schema_oid, n.nspname,
           m.objid is null or m.configured as has_data
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    left join member m on m.objid = c.oid
    where c.relkind in ('r', 'p', 'S') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
), needed as materialized (
    select * from dumped where has_data
)
"""
_TABLES: Final = (
    _DUMPED
    + """
select format('GRANT SELECT ON TABLE %I.%I TO %I;', nspname, relname, current_user)
from needed where relkind in ('r', 'p') and not has_table_privilege(oid, 'select') order by nspname, relname
"""
)
_SEQUENCES: Final = (
    _DUMPED
    + """
select format('GRANT SELECT ON SEQUENCE %I.%I TO %I;', nspname, relname, current_user)
from needed where case when relkind = 'S' then not has_sequence_privilege(oid, 'select') end order by nspname, relname
"""
)
_SCHEMAS: Final = (
    _DUMPED
    + """
select distinct format('GRANT USAGE ON SCHEMA %I TO %I;', nspname, current_user)
from needed where not has_schema_privilege(schema_oid, 'usage') order by 1
"""
)
_POLICIES: Final = (
    _DUMPED
    + """
select format('%I.%I', nspname, relname) from needed where relkind = 'r' and row_security_active(oid) order by nspname, relname
"""
)
_LARGE_OBJECTS: Final = """
select format('GRANT SELECT ON LARGE OBJECT %s TO %I;', m.oid, current_user)
from pg_largeobject_metadata m
where not current_setting('lo_compat_privileges')::bool
  and not (select rolsuper from pg_roles where rolname = current_user)
  and not exists (
      select from aclexplode(coalesce(m.lomacl, acldefault('L', m.lomowner))) a
      where a.privilege_type = 'SELECT' and (a.grantee = 0 or pg_has_role(a.grantee, 'usage')))
order by m.oid
"""
_ROLE: Final = """
select rolsuper, format('GRANT pg_read_all_data TO %I;', rolname), format('ALTER ROLE %I BYPASSRLS;', rolname)
from pg_roles where rolname = current_user
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """The server and the database; identifier and timeline None means: the role may not know."""

    version: str
    major_version: int
    database: str
    in_recovery: bool
    may_monitor: bool
    system_identifier: str | None
    timeline: int | None
    extensions: tuple[tuple[str, str], ...]
    """Name and version of each installed extension."""


@dataclass(frozen=True, slots=True)
class Lack:
    """Things of one kind that cannot be read: how many, and statements that would help for the first of them."""

    total: int = 0
    statements: tuple[str, ...] = ()

    def bounded(self) -> tuple[str, ...]:
        """Return the statements, and a comment that says how many more there would be."""
        left = self.total - len(self.statements)
        return (*self.statements, f"-- and {left} more like the one above") if left > 0 else self.statements


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingRights:
    """What the role cannot read of what a whole dump needs, by kind."""

    schemas: Lack = Lack()
    tables: Lack = Lack()
    sequences: Lack = Lack()
    row_security: Lack = Lack()
    """Tables with rows that a policy hides from the role."""
    large_objects: Lack = Lack()
    read_all: str
    """The one statement that stands for those of schemas, tables and sequences."""
    bypass_row_security: str

    @property
    def refuses_dump(self) -> bool:
        """Whether a dump would fail; large objects alone are left out of it, and named."""
        return any(lack.total for lack in (self.schemas, self.tables, self.sequences, self.row_security))

    def statements(self) -> tuple[str, ...]:
        """Return everything as SQL that is ready to run, bounded; comments say what is an alternative and what was left out."""
        by_object = (*self.schemas.bounded(), *self.tables.bounded(), *self.sequences.bounded())
        read_all = (f"{self.read_all} -- instead of the GRANTs on schemas, tables and sequences",) if by_object else ()
        bypass = (self.bypass_row_security,) if self.row_security.total else ()
        return (*read_all, *bypass, *by_object, *self.large_objects.bounded())


@contextmanager
def one_snapshot(session: Session) -> Iterator[None]:
    """Run a block of reading statements in one snapshot; nothing can be written in it."""
    with translated("inspect the server", otherwise=Reason.CONNECTION_LOST), session.transaction():
        session.execute("set transaction isolation level repeatable read, read only")
        yield


def read_server(session: Session) -> ServerFacts:
    """Return what the server says of itself and of the database that *session* is in; raises UnavailableError (ConnectionLost)."""
    with translated("inspect the server", otherwise=Reason.CONNECTION_LOST):
        version, number, database, in_recovery, may_monitor, may_identify = _row(session, _SERVER)
        identifier, timeline = _row(session, _IDENTITY) if may_identify else (None, None)
        extensions = tuple((name, version) for name, version in session.execute(_EXTENSIONS))
    return ServerFacts(
        version=version,
        major_version=number // 10_000,
        database=database,
        in_recovery=in_recovery,
        may_monitor=may_monitor,
        system_identifier=identifier,
        timeline=timeline,
        extensions=extensions,
    )


def measure_database(session: Session) -> int:
    """Return the size in bytes of the database that *session* is in; the server looks at every file of it."""
    (size_bytes,) = _row(session, _SIZE)
    return int(size_bytes)


def read_missing_rights(session: Session) -> MissingRights:
    """Return what the role of *session* would need for a whole dump and does not have; a superuser is asked for nothing."""
    is_superuser, read_all, bypass = _row(session, _ROLE)
    if is_superuser:
        return MissingRights(read_all=read_all, bypass_row_security=bypass)
    return MissingRights(
        schemas=_lack(session, _SCHEMAS),
        tables=_lack(session, _TABLES),
        sequences=_lack(session, _SEQUENCES),
        row_security=_lack(session, _POLICIES),
        large_objects=_lack(session, _LARGE_OBJECTS),
        read_all=read_all,
        bypass_row_security=bypass,
    )


def _row(session: Session, query: str) -> tuple[Any, ...]:
    row = session.execute(query.encode()).fetchone()
    return () if row is None else row


def _lack(session: Session, query: str) -> Lack:
    """Return what *query* finds; the server counts, and hands over no more than a list can show."""
    bounded = f"select statement, count(*) over () from ({query}) as lacking (statement) limit {LONGEST_LIST}"  # noqa: S608 - our own words
    rows = session.execute(bounded.encode()).fetchall()
    return Lack(rows[0][1] if rows else 0, tuple(statement for statement, _ in rows))
