"""What tables, columns and keys a database and a model of SQLAlchemy have, and the SQL that makes the first like the second.

Alembic compares (https://alembic.sqlalchemy.org/en/latest/autogenerate.html says what it finds and what it does not) and its operations are
written as SQL, not as Python. What it leaves out of a script is added here: schemas, enumerations and domains that are not there yet, and
values that an enumeration lacks.
"""

from __future__ import annotations

import io
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from alembic.autogenerate import produce_migrations
from alembic.operations import Operations, ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, DefaultClause, MetaData, create_engine, inspect, text
from sqlalchemy.exc import CompileError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from dbcustody.adapters.postgres.failure import explain
from dbcustody.adapters.postgres.modeltypes import (
    PUBLIC,
    TYPES,
    added_values,
    creating,
    dropping,
    type_steps,
    types_of,
    types_there,
)
from dbcustody.adapters.postgres.wording import DIALECT, literal, quoted
from dbcustody.errors import RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import psycopg
    from sqlalchemy import Connection

    from dbcustody.adapters.postgres.modeltypes import Named, Types
    from dbcustody.adapters.postgres.session import Session

OTHERS: Final = frozenset({"alembic_version", "_prisma_migrations", "flyway_schema_history", "schema_migrations"})
"""Tables in which other tools remember what they did: they belong to no model."""
_NOT_OURS: Final = """
select n.nspname::text, c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relispartition or exists (
    select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
"""
"""What belongs to an extension, and partitions, which their table stands for."""
_OURS: Final = "dbcustody"


_LONGEST_NAME: Final = 63
_CAST: Final = re.compile(r"::(?:\"[^\"]+\"|[a-z_][a-z0-9_. ]*)(?:\(\d+(?:,\d+)?\))?(?:\[\])*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What makes one like the other, and what takes that back; statements without a semicolon. Neither is run by anything here."""

    forth: tuple[str, ...]
    back: tuple[str, ...]
    """Structure alone: rows that the way forth took away do not come again."""


def read_model(session: Session) -> MetaData:
    """Return the tables of the database of *session* as a model; of every schema but the system's and our own."""
    with _connected(session) as connection:
        model = MetaData()
        left_out = _left_out(connection)
        for schema in _schemas(connection):
            model.reflect(
                connection,
                schema=None if schema == PUBLIC else schema,
                only=lambda name, _, schema=schema: (schema, name) not in left_out and name not in OTHERS,
                resolve_fks=False,
            )
        model.info[TYPES] = types_there(connection, _schemas(connection))
        return model


def empty_model() -> MetaData:
    """Return a model of nothing."""
    return MetaData()


def make_tables(session: Session, model: MetaData) -> None:
    """Make everything that *model* has in the empty database of *session*.

    Raises RefusedError (MigrationFailed) with the server's word when that cannot be.
    """
    with _connected(session, commits=True) as connection:
        for schema in sorted({table.schema for table in model.tables.values() if table.schema} - {PUBLIC}):
            connection.exec_driver_sql(f"create schema if not exists {quoted(schema)}")
        model.create_all(connection)


def steps_between(session: Session, model: MetaData, *, is_whole: bool) -> Steps:
    """Return what makes the database of *session* like *model*; nothing is written.

    *is_whole*: the model is of a whole database; otherwise schemas that it does not mention are none of its business.
    """
    with _connected(session) as connection:
        mentioned = {table.schema or PUBLIC for table in model.tables.values()} | {PUBLIC}
        there = set(_schemas(connection))
        compared = (there | mentioned) if is_whole else mentioned
        context = MigrationContext.configure(connection, opts=_options(connection, compared))
        context.impl.compare_server_default = lambda _, column, __, there: _is_other_default(  # type: ignore[method-assign]
            connection, column, there
        )
        found = produce_migrations(context, model).upgrade_ops
        assert found is not None  # noqa: S101 - it is none only where several databases are compared
        before = types_there(connection, compared)
    after = types_of(model)
    _name_keys(found)
    gone = [name for name in before if name not in after] if is_whole else []
    forth = [*_new_schemas(mentioned - there), *type_steps(before, after), *_as_sql(found, known=before | after)]
    forth += [dropping(name, before[name]) for name in gone]
    return Steps(forth=tuple(forth), back=tuple(_back(found, before, after, gone)))


def _back(found: ops.UpgradeOps, before: Types, after: Types, gone: Sequence[Named]) -> Iterator[str]:
    """Yield what takes *found* back; nothing where it cannot be: values of an enumeration stay, and what has no name cannot be named."""
    if next(added_values(before, after), None) is not None:
        return
    try:
        taken = list(_as_sql(found.reverse(), known=before | after))
    except CompileError:
        return
    yield from (creating(before[name]) for name in gone)
    yield from taken
    yield from (dropping(name, after[name]) for name in after if name not in before)


def _name_keys(found: ops.OpContainer) -> None:
    """Give keys without a name that which the server would give them, so that the way back can say it."""
    for one in _flat(found):
        if isinstance(one, ops.CreateForeignKeyOp) and one.constraint_name is None:
            one.constraint_name = _fitting(one.source_table, one.local_cols, "fkey")
        elif isinstance(one, ops.CreateUniqueConstraintOp) and one.constraint_name is None:
            one.constraint_name = _fitting(one.table_name, one.columns, "key")


def _fitting(table: str, columns: Sequence[Any], ending: str) -> str | None:
    name = "_".join([table, *(getattr(one, "name", one) for one in columns), ending])
    return name if len(name.encode()) <= _LONGEST_NAME else None


@contextmanager
def _connected(session: Session, *, commits: bool = False) -> Iterator[Connection]:
    """Yield SQLAlchemy's connection over *session*, which finds names in `public`; what is not to be committed is read only."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: session, poolclass=StaticPool)
    session.execute("set search_path to public")
    session.autocommit = False
    try:
        with engine.connect() as connection, connection.begin() as transaction:
            if not commits:
                connection.exec_driver_sql("set transaction read only")
            yield connection
            (transaction.commit if commits else transaction.rollback)()
    except DBAPIError as error:
        raise _explained(error) from error
    except SQLAlchemyError as error:
        message = f"the model cannot be compared: {type(error).__name__}: {' '.join(str(error).split())}"
        raise RefusedError(message, reason=Reason.SOURCE_INVALID) from error
    finally:
        session.rollback()
        session.autocommit = True


def _explained(error: DBAPIError) -> Exception:
    original: psycopg.Error | Any = error.orig
    return explain(original, "compare the database with the model", otherwise=Reason.MIGRATION_FAILED)


def _schemas(connection: Connection) -> list[str]:
    names = inspect(connection).get_schema_names()
    return [name for name in names if not name.startswith("pg_") and name not in {"information_schema", _OURS}]


def _left_out(connection: Connection) -> frozenset[Named]:
    return frozenset((row[0], row[1]) for row in connection.exec_driver_sql(_NOT_OURS))


def _options(connection: Connection, compared: Iterable[str]) -> dict[str, Any]:
    left_out, schemas = _left_out(connection), frozenset(compared)

    def is_compared(name: str | None, kind: str, parents: Any) -> bool:
        if kind == "schema":
            return (name or PUBLIC) in schemas
        if kind == "table":
            return name not in OTHERS and ((parents["schema_name"] or PUBLIC), name) not in left_out
        return True

    return {
        "include_schemas": True,
        "include_name": is_compared,
        "compare_type": True,
        "compare_server_default": True,
    }


def _is_other_default(connection: Connection, column: Column[Any], there: str | None) -> bool:
    """Return whether *column* of the model has another default than *there*, which the database has (None: none).

    Texts that differ may mean the same, so the server is asked what both are; where it cannot say, they are different.
    """
    wanted = _default_of(column)
    if (wanted is None or there is None) or _plain(wanted) == _plain(there):
        is_numbered = column.primary_key and column is column.table.autoincrement_column
        return not is_numbered and (wanted is None) is not (there is None)
    try:
        with connection.begin_nested():
            return not connection.scalar(text(f"select ({_untouched(wanted)})::text = ({_untouched(there)})::text"))
    except DBAPIError:
        return True


def _default_of(column: Column[Any]) -> str | None:
    """Return what the server is to put into *column* where nothing is given, as SQL; None: nothing."""
    default = column.server_default
    if not isinstance(default, DefaultClause):
        return None
    said = default.arg
    return literal(said) if isinstance(said, str) else str(said.compile(dialect=DIALECT))


def _plain(words: str) -> str:
    return "".join(_CAST.sub("", words).split()).lower().strip("()")


def _untouched(words: str) -> str:
    """Return *words* so that SQLAlchemy takes no colon in it for the beginning of a parameter."""
    return re.sub(r":", r"\\:", words)


def _as_sql(found: ops.OpContainer, *, known: Iterable[Named]) -> Iterator[str]:
    """Yield *found* as statements; types that are *known* are made elsewhere."""
    said: list[str] = []
    context = MigrationContext.configure(
        dialect=DIALECT, opts={"as_sql": True, "output_buffer": io.StringIO(), "literal_binds": True}
    )
    cast("Any", context.impl).static_output = said.append
    both = {(schema if schema != PUBLIC else None, name) for schema, name in known} | set(known)
    context.impl.memo.update(
        {"pg_enum": set(both), "pg_ENUM": set(both), "pg_DOMAIN": set(both), "pg_domain": set(both)}
    )
    operations = Operations(context)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of words for other servers than PostgreSQL
        for one in _flat(found):
            if isinstance(one, ops.AddColumnOp):
                one.column = _alone(one.column)
            operations.invoke(one)
    yield from (words.strip().removesuffix(";") for words in said)


def _alone(column: Column[Any]) -> Column[Any]:
    """Return *column* without its keys and indexes: each is an operation of its own, and would be carried out twice."""
    default = column.server_default
    made = column.computed or column.identity
    return Column(
        column.name,
        column.type,
        *([made._copy()] if made is not None else []),  # noqa: SLF001 - as Alembic copies it
        nullable=column.nullable,
        server_default=cast("Any", default.arg) if isinstance(default, DefaultClause) else None,
        comment=column.comment,
    )


def _flat(found: ops.OpContainer) -> Iterator[ops.MigrateOperation]:
    for one in found.ops:
        if isinstance(one, ops.OpContainer):
            yield from _flat(one)
        else:
            yield one


def _new_schemas(names: Iterable[str]) -> Iterator[str]:
    return (f"CREATE SCHEMA {quoted(name)}" for name in sorted(names))
