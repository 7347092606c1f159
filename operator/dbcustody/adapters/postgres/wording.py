"""PostgreSQL's words as SQLAlchemy writes them, for people to read and for every major that is supported."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGDDLCompiler
from sqlalchemy.types import UserDefinedType


class _Compiler(PGDDLCompiler):
    """Leaves out NULLS DISTINCT, which is what holds anyhow, and which PostgreSQL 14 does not know."""

    def define_unique_constraint_distinct(self, constraint: Any, **kw: Any) -> Any:
        _leave_to_server(constraint)
        return super().define_unique_constraint_distinct(constraint, **kw)  # type: ignore[no-untyped-call]

    def visit_create_index(self, create: Any, *words: Any, **kw: Any) -> Any:
        _leave_to_server(create.element)
        return super().visit_create_index(create, *words, **kw)  # type: ignore[no-untyped-call]


def _leave_to_server(unique: Any) -> None:
    options = unique.dialect_options["postgresql"]
    if options["nulls_not_distinct"] is False:
        options["nulls_not_distinct"] = None


class Verbatim(UserDefinedType[Any]):
    """A type by the words that the server has for it."""

    cache_ok = True

    def __init__(self, words: str) -> None:
        self.words = words

    def get_col_spec(self, **_: Any) -> str:
        """Return its words."""
        return self.words


DIALECT: Final[Any] = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
"""One whose texts need no doubled percent signs."""
DIALECT.ddl_compiler = _Compiler


def quoted(name: str) -> str:
    """Return *name* with quotes around it where it needs them."""
    found: str = DIALECT.identifier_preparer.quote(name)
    return found


def literal(words: str) -> str:
    """Return *words* as a literal of SQL."""
    return "'{}'".format(words.replace("'", "''"))
