"""What a database's schema is made of, as a value: named objects with normalised definitions, the same for the same DDL.

Without what changes while people work (rows, sizes, statistics, where sequences stand, child partitions), without what differs from one
installation to the next (owners, privileges, tablespaces, storage parameters, versions of extensions, comments), without what belongs
to an extension, and without the tables in which this and other tools write down migrations.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FOREIGN_LEDGERS: Final = frozenset(
    {"alembic_version", "_prisma_migrations", "flyway_schema_history", "schema_migrations", "atlas_schema_revisions"}
)
"""Tables in which other tools write down what they did; they come and go with those."""
OWN_SCHEMA: Final = "dbcustody"
_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_$]*(\(.*\))?", re.DOTALL)
"""What needs no quotes, whatever words a version of PostgreSQL reserves; the arguments of a function stand as the server writes them."""
_LITERAL: Final = r"'(?:[^']|'')*'::character varying(?:\(\d+\))?"
_CAST_ARRAY: Final = re.compile(rf"\(ARRAY\[({_LITERAL}(?:, {_LITERAL})*)\]\)::text\[\]")
_ELEMENT: Final = re.compile(_LITERAL)
VERBATIM: Final = frozenset({"body"})
"""Properties that the server keeps as they were written."""
COLUMN_ORDER: Final = "column order"


class Kind(StrEnum):
    """What an object is, in the words of PostgreSQL."""

    SCHEMA = "schema"
    EXTENSION = "extension"
    COLLATION = "collation"
    ENUM = "enum"
    DOMAIN = "domain"
    RANGE = "range"
    COMPOSITE = "composite type"
    BASE_TYPE = "base type"
    SEQUENCE = "sequence"
    TABLE = "table"
    FOREIGN_TABLE = "foreign table"
    VIEW = "view"
    MATERIALIZED_VIEW = "materialized view"
    COLUMN = "column"
    CONSTRAINT = "constraint"
    INDEX = "index"
    STATISTICS = "statistics"
    FUNCTION = "function"
    TRIGGER = "trigger"
    POLICY = "policy"
    RULE = "rule"
    EVENT_TRIGGER = "event trigger"


WORD_FOR_WORD_ON_ONE_MAJOR: Final = frozenset(
    {
        (Kind.VIEW, "definition"),
        (Kind.MATERIALIZED_VIEW, "definition"),
        (Kind.RULE, "definition"),
        (Kind.FUNCTION, "parsed body"),
    }
)
"""Queries that the server keeps parsed and writes anew: from 16 on without the names of tables where there is one, for example."""


class Key(NamedTuple):
    """Which object: what it is, and its schema, its name and, for a part of a table or type, the name of the part."""

    kind: Kind
    path: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}"

    @property
    def name(self) -> str:
        """Its qualified name, quoted where that is needed."""
        return ".".join(map(_quoted, self.path))

    @property
    def owner(self) -> tuple[str, ...]:
        """Schema and name of what it is or is a part of."""
        return self.path[:2]


def _quoted(name: str) -> str:
    if _PLAIN.fullmatch(name):
        return name
    return '"{}"'.format(name.replace('"', '""'))


Properties = Mapping[str, str]
Row = tuple[str, "Sequence[str]", Properties]
"""A kind, a path, and properties, as the server tells them."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Objects with their properties, in a fixed order; a property that is as it is by default is not among them."""

    objects: Mapping[Key, Properties]

    def without(self, exclude: Iterable[str]) -> Catalogue:
        """Return it without what matches one of the globs *exclude*; see `is_excluded`."""
        globs = tuple(exclude)
        if not globs:
            return self
        return Catalogue({key: found for key, found in self.objects.items() if not is_excluded(key, globs)})

    def across_majors(self) -> Catalogue:
        """Return it without the texts that one major of PostgreSQL writes otherwise than another."""
        return Catalogue(
            {
                key: {name: text for name, text in found.items() if (key.kind, name) not in WORD_FOR_WORD_ON_ONE_MAJOR}
                for key, found in self.objects.items()
            }
        )


def make_catalogue(rows: Iterable[Row], exclude: Sequence[str] = ()) -> Catalogue:
    """Return the catalogue of what a server told, normalised, without what is never part of it and what matches *exclude*."""
    found = {Key(Kind(kind), tuple(path)): _normalised(properties) for kind, path, properties in rows}
    ours = {key: found[key] for key in sorted(found) if not _is_bookkeeping(key)}
    return Catalogue(ours).without(exclude)


def is_excluded(key: Key, globs: Iterable[str]) -> bool:
    """Return whether one of *globs* matches the object, or what it is a part of.

    A glob is matched with `schema.object` (as `fnmatch` has it, cases differ, `*` matches dots, too), that of a schema with `schema.`: so
    `audit.*` is the schema audit with everything in it, and `*.tmp_*` whatever is called tmp_... in any schema.
    """
    names = {".".join(key.path), ".".join(key.owner)} if key.kind is not Kind.SCHEMA else {f"{key.path[0]}."}
    return any(fnmatchcase(name, glob) for glob in globs for name in names)


def to_text(catalogue: Catalogue) -> str:
    """Return the catalogue as text, which is the same for the same one: JSON, a list of kind, path and properties."""
    content = [(key.kind.value, key.path, properties) for key, properties in catalogue.objects.items()]
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def from_text(text: str) -> Catalogue:
    """Return what `to_text` wrote; raises ValueError for anything else."""
    content: Any = json.loads(text)
    try:
        return Catalogue({Key(Kind(kind), tuple(path)): dict(properties) for kind, path, properties in content})
    except TypeError as error:
        raise ValueError("not the text of a catalogue") from error


def counts(catalogue: Catalogue) -> dict[Kind, int]:
    """Return how many objects there are of each kind that there is one of."""
    kinds = sorted(key.kind for key in catalogue.objects)
    return {kind: len(tuple(same)) for kind, same in groupby(kinds)}


def _is_bookkeeping(key: Key) -> bool:
    return key.path[0] == OWN_SCHEMA or not FOREIGN_LEDGERS.isdisjoint(key.owner)


def _normalised(properties: Properties) -> dict[str, str]:
    return {name: text if name in VERBATIM else _settled(text) for name, text in properties.items()}


def _settled(text: str) -> str:
    """Return an expression as the server writes it once it has read it back.

    `x IN ('a', 'b')` of a varchar is kept as a cast of an array; dumped and restored it becomes an array of casts, and stays so.
    """
    if "(ARRAY[" not in text:
        return text
    return _CAST_ARRAY.sub(lambda found: f"ARRAY[{_ELEMENT.sub(_cast, found[1])}]", text)


def _cast(found: re.Match[str]) -> str:
    return f"({found[0]})::text"
