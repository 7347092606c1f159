"""Our own schema in a managed database, made and brought up to date by Alembic.

Alembic keeps what it is at in variables of the process (a second upgrade in another thread goes into the first one's database), so this
is called by processes that work on one database, and never by the operator. With SQLAlchemy it takes long to load, and a pipeline that
migrates an empty database each time is not to wait for it: a ledger is made whole by the SQL that Alembic has written of all revisions
(`migrations/versions/whole.sql`), and Alembic is loaded for one that has to be changed.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg

from dbcustody.adapters.postgres.failure import explain, translated
from dbcustody.errors import RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

    from dbcustody.adapters.postgres.session import Session

SCHEMA: Final = "dbcustody"
_TABLE: Final = "ledger_version"
_WHOLE: Final = "versions/whole.sql"
_IS_MISSING: Final = f"select pg_catalog.to_regnamespace('{SCHEMA}') is null".encode()
_SCHEMA_FIRST: Final = f"create schema {SCHEMA}".encode()
_PACKAGED: Final = Path(__file__).parents[2] / "ledger_migrations"
_IN_A_CHECKOUT: Final = Path(__file__).parents[4] / "migrations"


def read_version(session: Session) -> str | None:
    """Return the revision of the ledger in the session's database; None: there is none."""
    with translated("look for the ledger of migrations", otherwise=Reason.MIGRATION_FAILED):
        there = session.execute("select to_regclass(%s) is not null", (f"{SCHEMA}.{_TABLE}",)).fetchone()
        if there != (True,):
            return None
        row = session.execute("select version_num from dbcustody.ledger_version").fetchone()
    return None if row is None else str(row[0])


def newest_version() -> str:
    """Return the revision of the ledger that this version of dbcustody writes."""
    return known_versions()[-1]


def known_versions() -> tuple[str, ...]:
    """Return every revision of the ledger, the newest last: its files are called after them, and follow each other in that order."""
    names = os.listdir(_folder() / "versions")  # noqa: PTH208 - a third of the time, and every run of a pipeline waits for it
    return tuple(sorted(name.partition("_")[0] for name in names if name[0].isdigit() and name.endswith(".py")))


def require_known(version: str | None) -> None:
    """Raise RefusedError (LedgerUnknown) when a newer dbcustody than this one has written the ledger."""
    if version is not None and version not in known_versions():
        raise RefusedError(
            f"ledger of migrations (schema {SCHEMA}): is of version {version}, and this version of dbcustody knows {newest_version()}; "
            "use the version that wrote it, or a newer one",
            reason=Reason.LEDGER_UNKNOWN,
        )


def upgrade(session: Session, *, to: str = "head") -> None:
    """Make the ledger in the session's database, or bring it up to date; one transaction, nothing happens when it is.

    Only while the session holds the lock of migrations: two at once would both make it. Raises RefusedError (LedgerUnknown, or
    PrivilegesMissing with the grant that helps).
    """
    version = read_version(session)
    require_known(version)
    if version is None and to == "head":
        _make(session)
    elif version != (newest_version() if to == "head" else to):
        _run(session, scripts(), to)


def _make(session: Session) -> None:
    """Make the whole of it at once."""
    words = (_folder() / _WHOLE).read_text(encoding="utf-8")
    try:
        with session.transaction():
            if session.execute(_IS_MISSING).fetchone() == (True,):
                session.execute(_SCHEMA_FIRST)
            session.execute(words.encode())
    except psycopg.Error as error:
        raise _explained(error) from error


def _run(session: Session, found: ScriptDirectory, to: str) -> None:
    """Let Alembic work in *session*, in one transaction; afterwards the session is what it was."""
    from alembic.operations import Operations  # noqa: PLC0415 - see the module's docstring
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415
    from sqlalchemy import create_engine  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415
    from sqlalchemy.pool import StaticPool  # noqa: PLC0415

    engine = create_engine("postgresql+psycopg://", creator=lambda: session, poolclass=StaticPool)
    session.autocommit = False
    try:
        with engine.connect() as connection, connection.begin():
            if connection.exec_driver_sql(_IS_MISSING.decode()).scalar_one():
                connection.exec_driver_sql(_SCHEMA_FIRST.decode())
            context = MigrationContext.configure(connection, opts=_options(found, to))
            with Operations.context(context):
                context.run_migrations()
    except DBAPIError as error:
        raise _explained(error.orig or error) from error
    finally:
        session.rollback()
        session.autocommit = True


def _options(found: ScriptDirectory, to: str) -> dict[str, Any]:
    """Return what Alembic is told: what its own command `upgrade` calls, and the table of its versions."""
    return {
        "fn": lambda revision, _: found._upgrade_revs(to, revision),  # noqa: SLF001 - what Alembic's own command calls
        "version_table": _TABLE,
        "version_table_schema": SCHEMA,
    }


def written_out() -> str:
    """Return the SQL that makes the ledger whole, in a schema that is there, as Alembic writes it (`alembic upgrade head --sql`)."""
    from alembic.operations import Operations  # noqa: PLC0415 - see the module's docstring
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415

    text = io.StringIO()
    options = _options(scripts(), "head") | {"as_sql": True, "output_buffer": text}
    context = MigrationContext.configure(dialect_name="postgresql", dialect_opts={"paramstyle": "named"}, opts=options)
    with Operations.context(context):
        context.run_migrations()
    return text.getvalue()


def _explained(error: BaseException) -> BaseException:
    if not isinstance(error, psycopg.Error):
        return error
    found = explain(error, "make the ledger of migrations", otherwise=Reason.MIGRATION_FAILED)
    if found.reason is Reason.PRIVILEGES_MISSING:
        hint = f"GRANT CREATE ON DATABASE ... TO the role, or CREATE SCHEMA {SCHEMA} AUTHORIZATION it"
        return RefusedError(f"{found.message}; {hint}", reason=found.reason)
    return found


def scripts() -> ScriptDirectory:
    """Return the files that make the ledger, as Alembic reads them."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see the module's docstring

    return ScriptDirectory(str(_folder()))


def _folder() -> Path:
    return _PACKAGED if _PACKAGED.is_dir() else _IN_A_CHECKOUT
