"""The tables in which other tools keep what they have carried out, found by their columns and read in a transaction that writes nothing.

Shapes: Prisma's `sql_migration_persistence.rs` and the flavour for PostgreSQL (prisma-engines), Flyway's `PostgreSQLDatabase`,
golang-migrate's `database/postgres`, Atlas's `cmd/atlas/internal/migrate/ent/schema/revision.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg import sql

from dbcustody.adapters.postgres.failure import translated
from dbcustody.migration import flyway, golang_migrate
from dbcustody.migration.layout import Tool
from dbcustody.migration.predecessor import ForeignRow, Mark, Predecessor
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import LiteralString

    from dbcustody.adapters.postgres.session import Session

_NAMES: Final = {
    Tool.PRISMA: "_prisma_migrations",
    Tool.FLYWAY: "flyway_schema_history",
    Tool.GOLANG_MIGRATE: "schema_migrations",
    Tool.ATLAS: "atlas_schema_revisions",
}
"""What each calls its table by itself. Alembic's `alembic_version` is joined here, with its columns and its query."""
_TEXT, _TIME = "character varying", "timestamp with time zone"
_COLUMNS: Final = {
    Tool.PRISMA: {
        f"migration_name {_TEXT}", f"checksum {_TEXT}", f"started_at {_TIME}", f"finished_at {_TIME}", f"rolled_back_at {_TIME}"
    },
    Tool.FLYWAY: {
        "installed_rank integer", f"version {_TEXT}", f"type {_TEXT}", f"script {_TEXT}", "checksum integer",
        "installed_on timestamp without time zone", "success boolean",
    },
    Tool.GOLANG_MIGRATE: {"version bigint", "dirty boolean"},
    Tool.ATLAS: {
        f"version {_TEXT}", f"description {_TEXT}", "type bigint", "applied bigint", "total bigint", f"executed_at {_TIME}",
        "error text", f"hash {_TEXT}",
    },
}  # fmt: skip
"""By which it is known whose a table is: Rails and dbmate have a `schema_migrations`, too."""
_FIND: Final = """
select n.nspname::text, c.relname::text,
    pg_catalog.has_schema_privilege(n.oid, 'USAGE') and pg_catalog.has_table_privilege(c.oid, 'SELECT'),
    (select pg_catalog.array_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, null)) from pg_catalog.pg_attribute a
     where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'dbcustody')
    and (case when %(table)s::text is null then c.relname = any(%(names)s::name[])
         else c.relname = %(table)s and (%(schema)s::text is null or n.nspname = %(schema)s) end)
order by 1, 2
"""
_READ: Final[dict[Tool, LiteralString]] = {
    Tool.PRISMA: """
        select migration_name::text, checksum::text, finished_at, finished_at is null, rolled_back_at is not null
        from {} order by started_at, finished_at nulls last""",
    Tool.FLYWAY: """
        select version::text, type::text, script::text, checksum::text, installed_on at time zone 'UTC', success
        from {} order by installed_rank""",
    Tool.GOLANG_MIGRATE: "select version::text, dirty from {} order by version",
    Tool.ATLAS: """
        select version::text, description::text, type::int, applied = total and coalesce(error, '') = '', executed_at, hash::text
        from {} where version not like '.%' order by executed_at, version""",
}
_BASELINE: Final = 1
"""Atlas's `RevisionTypeBaseline`; a revision that was run or declared has another bit beside it."""


@dataclass(frozen=True, slots=True)
class _Found:
    tool: Tool
    schema: str
    name: str
    may_read: bool


def find_predecessors(session: Session, table: str | None = None) -> tuple[Predecessor, ...]:
    """Return what the tables of other tools say in the session's database, by the tables' names; nothing is written.

    With *table* (`schema.table`, or only its name) that one alone, whatever it is called; none where it is no such table.
    """
    with translated("look for the histories of other tools", otherwise=Reason.MIGRATION_FAILED), session.transaction():
        session.execute("set transaction read only")
        return tuple(_read(session, found) for found in _find(session, table))


def _find(session: Session, table: str | None) -> Sequence[_Found]:
    schema, _, name = (table or "").rpartition(".")
    terms = {"names": list(_NAMES.values()), "table": name or None, "schema": schema or None}
    rows = session.execute(_FIND.encode(), terms).fetchall()
    found = []
    for its_schema, its_name, may_read, columns in rows:
        tools = [tool for tool in Tool if _COLUMNS[tool] <= set(columns or ())]
        if tools and (table is not None or its_name in _NAMES.values()):
            found.append(_Found(tools[0], its_schema, its_name, bool(may_read)))
    return found


def _read(session: Session, found: _Found) -> Predecessor:
    where = sql.Identifier(found.schema, found.name)
    rows = None
    if found.may_read:
        query = sql.SQL(_READ[found.tool]).format(where)
        rows = tuple(map(_ROWS[found.tool], session.execute(query).fetchall()))
    return Predecessor(tool=found.tool, table=f"{found.schema}.{found.name}", rows=rows)


def _prisma_row(row: Sequence[Any]) -> ForeignRow:
    """Return what a row of Prisma says: rolled back it counts no more, and another of the same name may say that it is in."""
    name, checksum, finished, is_unfinished, is_rolled_back = row
    mark = Mark.ASIDE if is_rolled_back else Mark.FAILED if is_unfinished else Mark.IN
    return ForeignRow(key=name, name=name, mark=mark, checksum=checksum, finished=finished)


def _flyway_row(row: Sequence[Any]) -> ForeignRow:
    """Return what a row of Flyway says; its time is without a zone, that of the session which wrote it, and is taken for UTC."""
    version, kind, script, checksum, installed, is_successful = row
    key = _flyway_key(version)
    return ForeignRow(
        key=key or script,
        name=script if version is None or script.endswith(".sql") else f"version {version}",
        mark=_flyway_mark(key, kind, is_successful=is_successful),
        checksum=checksum,
        finished=installed,
    )


def _flyway_key(version: str | None) -> str | None:
    """Return *version* as all ways to write it; what Flyway itself would never write is left as it is."""
    try:
        return None if version is None else flyway.canonical(version)
    except ValueError:
        return version


def _flyway_mark(key: str | None, kind: str, *, is_successful: bool) -> Mark:
    if not is_successful:
        return Mark.FAILED
    if key is None or kind == "SCHEMA":
        return Mark.ASIDE
    if kind.startswith("UNDO") or kind == "DELETE":
        return Mark.OUT
    return Mark.UP_TO if kind.endswith("BASELINE") else Mark.IN


def _golang_migrate_row(row: Sequence[Any]) -> ForeignRow:
    """Return what the row of golang-migrate says: it has the newest version alone; one that is dirty has begun and not ended."""
    version, is_dirty = row
    key = golang_migrate.key_of(version)
    return ForeignRow(key=key, name=f"version {key}", mark=Mark.FAILED if is_dirty else Mark.UP_TO)


def _atlas_row(row: Sequence[Any]) -> ForeignRow:
    version, description, kind, is_whole, executed, checksum = row
    mark = Mark.FAILED if not is_whole else Mark.UP_TO if kind == _BASELINE else Mark.IN
    name = f"{version}_{description}" if description else version
    return ForeignRow(key=version, name=name, mark=mark, checksum=checksum or None, finished=executed)


_ROWS: Final[dict[Tool, Callable[[Sequence[Any]], ForeignRow]]] = {
    Tool.PRISMA: _prisma_row,
    Tool.FLYWAY: _flyway_row,
    Tool.GOLANG_MIGRATE: _golang_migrate_row,
    Tool.ATLAS: _atlas_row,
}
