"""Enumerations and domains: which a database and a model have, and what makes the first have those of the second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.named_types import CreateDomainType, CreateEnumType
from sqlalchemy.types import ARRAY, TypeEngine

from dbcustody.adapters.postgres.wording import DIALECT, Verbatim, literal, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection, MetaData

PUBLIC: Final = "public"
TYPES: Final = "types"
"""Where a model that was read keeps the types of its database, those of no column, too."""
_OF_EXTENSIONS: Final = """
select n.nspname::text, t.typname::text from pg_type t join pg_namespace n on n.oid = t.typnamespace
where exists (select from pg_depend d where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e')
"""
Type = postgresql.ENUM | postgresql.DOMAIN
Named = tuple[str, str]
"""A schema and a name."""
Types = dict[Named, Type]


def types_there(connection: Connection, schemas: Iterable[str]) -> Types:
    """Return the enumerations and domains of the database, by schema and name."""
    dialect: Any = inspect(connection)
    wanted = frozenset(schemas)
    left_out = {(row[0], row[1]) for row in connection.exec_driver_sql(_OF_EXTENSIONS)}
    enums: Types = {
        (one["schema"], one["name"]): postgresql.ENUM(*one["labels"], name=one["name"], schema=_foreign(one))
        for one in dialect.get_enums(schema="*")
    }
    domains: Types = {(one["schema"], one["name"]): _domain(one) for one in dialect.get_domains(schema="*")}
    return {name: kind for name, kind in {**enums, **domains}.items() if name[0] in wanted and name not in left_out}


def _foreign(found: Any) -> str | None:
    return None if found["schema"] == PUBLIC else str(found["schema"])


def _domain(found: Any) -> postgresql.DOMAIN:
    """Return the domain that was *found*, with all of its checks as one."""
    checks = [one["check"] for one in found["constraints"]]
    return postgresql.DOMAIN(
        found["name"],
        Verbatim(found["type"]),
        schema=_foreign(found),
        not_null=not found["nullable"],
        default=text(found["default"]) if found["default"] else None,
        check=text(" AND ".join(f"({check})" for check in checks)) if checks else None,
    )


def types_of(model: MetaData) -> Types:
    """Return the enumerations and domains that the columns of *model* are of, or that it was read with, by schema and name."""
    found: Types = dict(model.info.get(TYPES, {}))
    for table in model.sorted_tables:
        for column in table.columns:
            kind = _bare(column.type)
            if isinstance(kind, (postgresql.ENUM, postgresql.DOMAIN)):
                found.setdefault((kind.schema or PUBLIC, str(kind.name)), kind)
    return found


def _bare(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return *kind* as PostgreSQL has it, that of its elements where it is of arrays."""
    if isinstance(kind, ARRAY):
        return _bare(kind.item_type)
    found: TypeEngine[Any] = kind.dialect_impl(DIALECT)
    return found


def type_steps(before: Types, after: Types) -> Iterator[str]:
    """Yield what makes the types of *after* out of those of *before*: new ones, and new values of old ones."""
    for name, kind in after.items():
        if name not in before:
            yield creating(kind)
    for name, added in added_values(before, after):
        yield from (f"ALTER TYPE {_name(name)} ADD VALUE {place}" for place in added)


def added_values(before: Types, after: Types) -> Iterator[tuple[Named, tuple[str, ...]]]:
    """Yield each enumeration that lacks values, with their places, as they are to be written."""
    for name, kind in after.items():
        old = before.get(name)
        if isinstance(old, postgresql.ENUM) and isinstance(kind, postgresql.ENUM):
            places, earlier = [], None
            for label in kind.enums:
                if label not in old.enums:
                    first = f" BEFORE {literal(old.enums[0])}" if old.enums else ""
                    places.append(literal(label) + (f" AFTER {literal(earlier)}" if earlier is not None else first))
                earlier = label
            yield from [(name, tuple(places))] if places else []


def creating(kind: Type) -> str:
    """Return the statement that makes *kind*."""
    creates: Any = CreateEnumType if isinstance(kind, postgresql.ENUM) else CreateDomainType
    return str(creates(kind).compile(dialect=DIALECT))


def dropping(name: Named, kind: Type) -> str:
    """Return the statement that drops *kind*, which is called *name*."""
    return f"DROP {'TYPE' if isinstance(kind, postgresql.ENUM) else 'DOMAIN'} {_name(name)}"


def _name(name: Named) -> str:
    schema, own = name
    return quoted(own) if schema == PUBLIC else f"{quoted(schema)}.{quoted(own)}"
