"""Alembic's own table of versions: read for what it says, and kept in step, so that plain `alembic current` and ours tell the same.

It holds the ends of what is in, and nothing else (`alembic.ddl.impl.DefaultImpl.version_table_impl`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from psycopg import sql

from dbcustody.adapters.postgres.failure import translated
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Collection

    from dbcustody.adapters.postgres.session import Session

_WIDTH: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTable:
    """Where Alembic keeps it; *schema* None: where the role makes its tables."""

    name: str = "alembic_version"
    schema: str | None = None

    @property
    def identifier(self) -> sql.Identifier:
        """Its name, quoted."""
        return sql.Identifier(self.name) if self.schema is None else sql.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        return ".".join(part for part in (self.schema, self.name) if part)


def read_heads(session: Session, table: VersionTable) -> tuple[str, ...] | None:
    """Return the revisions in Alembic's *table*, in the order of their names; None: there is no such table.

    One without schema is looked for where the role finds its tables, whatever the session's own search path is.
    """
    with translated("read Alembic's table of versions", otherwise=Reason.MIGRATION_FAILED), session.transaction():
        session.execute("set local search_path to default")
        return current_heads(session, table)


def ensure_table(session: Session, table: VersionTable) -> None:
    """Make Alembic's *table* as Alembic would, where it is not there; raises what psycopg raises, for it is a part of the work."""
    if _is_there(session, table):
        return
    if table.schema is not None:
        session.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(table.schema)))
    session.execute(
        sql.SQL("create table {} (version_num varchar({}) not null, constraint {} primary key (version_num))").format(
            table.identifier, sql.Literal(_WIDTH), sql.Identifier(f"{table.name}_pkc")
        )
    )


def write_heads(session: Session, table: VersionTable, heads: Collection[str]) -> None:
    """Let Alembic's *table* hold *heads* and nothing else; raises what psycopg raises, for it is a part of the work."""
    ensure_table(session, table)
    wanted = list(heads)
    session.execute(sql.SQL("delete from {} where not (version_num = any(%s))").format(table.identifier), (wanted,))
    words = "insert into {table} (version_num) select w from unnest(%s::text[]) w "
    words += "where not exists (select from {table} where version_num = w)"
    session.execute(sql.SQL(words).format(table=table.identifier), (wanted,))


def current_heads(session: Session, table: VersionTable) -> tuple[str, ...] | None:
    """Return the same as `read_heads` within the work; raises what psycopg raises."""
    if not _is_there(session, table):
        return None
    rows = session.execute(sql.SQL("select version_num::text from {} order by 1").format(table.identifier)).fetchall()
    return tuple(str(row[0]) for row in rows)


def _is_there(session: Session, table: VersionTable) -> bool:
    row = session.execute(
        "select pg_catalog.to_regclass(%s) is not null", (table.identifier.as_string(session),)
    ).fetchone()
    return row == (True,)
