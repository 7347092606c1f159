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


def prepare_part(session: Session, schemas: Iterable[str], extensions: Iterable[tuple[str, str]]) -> None:
    """Make *schemas*, and *extensions* in their schemas: an archive of some tables has neither, and its tables may need both."""
    with translated("make schemas and extensions", otherwise=Reason.RESTORE_FAILED):
        for schema in schemas:
            session.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
        for name, schema in extensions:
            statement = sql.SQL("create extension if not exists {} with schema {}")
            session.execute(statement.format(sql.Identifier(name), sql.Identifier(schema)))


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
    """Collect statistics of every table, without which the planner guesses."""
    with translated("analyze the database", otherwise=Reason.RESTORE_FAILED):
        session.execute("analyze")
