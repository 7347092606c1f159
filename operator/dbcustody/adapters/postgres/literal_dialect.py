"""SQLAlchemy for revisions that were written for psycopg2, as most are: parameters are sent as literals, and the server finds their types.

psycopg 3 sends them beside the statement with the types of Python, and SQLAlchemy casts them. So `UPDATE dag SET runs = '0'` of an integer
column, which Airflow ships, would be refused (https://www.psycopg.org/psycopg3/docs/basic/from_pg2.html#server-side-binding).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, types
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGCompiler_psycopg, PGDialect_psycopg
from sqlalchemy.pool import StaticPool

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from dbcustody.adapters.postgres.session import Session

_NAME: Final = "dbcustody_literal"
_BARE: Final = frozenset(
    {types.String, types.Integer, types.DateTime, types.Date, types.Time, types.Interval, types.Enum}
)
"""What psycopg2's dialect does not cast either; arrays, ranges and JSON it does."""


class LiteralCompiler(PGCompiler_psycopg):
    """Writes parameters without a cast where the server finds their type by itself."""

    def render_bind_cast(self, type_: Any, dbapi_type: Any, sqltext: str) -> str:
        """Return *sqltext*, cast unless it is a parameter of a plain type."""
        if sqltext.startswith("%(") and dbapi_type._type_affinity in _BARE:  # noqa: SLF001 - as the method that it takes the place of
            return sqltext
        return str(super().render_bind_cast(type_, dbapi_type, sqltext))  # type: ignore[no-untyped-call]


class LiteralDialect(PGDialect_psycopg):
    """PostgreSQL by psycopg 3, with the statements of psycopg2."""

    supports_statement_cache = True
    statement_compiler = LiteralCompiler


registry.register(f"postgresql.{_NAME}", __name__, LiteralDialect.__name__)


def make_engine(session: Session) -> Engine:
    """Return an engine that knows no other connection than *session*, whose cursors must be psycopg's ClientCursor meanwhile."""
    return create_engine(f"postgresql+{_NAME}://", creator=lambda: session, poolclass=StaticPool)
