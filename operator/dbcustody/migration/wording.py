"""SQL written from the terms of a statement, for recipes: the names of whoever wrote it, and those that PostgreSQL would give."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from dbcustody.migration.relation import is_name, name_of, read_relation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbcustody.migration.statement import Terms

LONGEST_IDENTIFIER_BYTES: Final = 63
_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_]*")
RESERVED: Final = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "authorization",
        "binary",
        "both",
        "case",
        "cast",
        "check",
        "collate",
        "collation",
        "column",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "grant",
        "group",
        "having",
        "ilike",
        "in",
        "initially",
        "inner",
        "intersect",
        "into",
        "is",
        "isnull",
        "join",
        "lateral",
        "leading",
        "left",
        "like",
        "limit",
        "localtime",
        "localtimestamp",
        "natural",
        "not",
        "notnull",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "outer",
        "overlaps",
        "placing",
        "primary",
        "references",
        "returning",
        "right",
        "select",
        "session_user",
        "similar",
        "some",
        "symmetric",
        "system_user",
        "table",
        "tablesample",
        "then",
        "to",
        "trailing",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
    ]
)
"""What needs quotes to be a name, in any of PostgreSQL 14 to 18 (manual, "SQL Key Words")."""
_APART: Final = frozenset(
    {"check", "unique", "key", "in", "and", "or", "not", "on", "values", "using", "exists", "over", "filter", "as", "include"}
    | {"with", "where", "then", "when", "else", "case", "from", "to", "set", "select", "default", "exclude", "between", "reindex"}
)  # fmt: skip
"""Words that a parenthesis stands behind without belonging to them, as those of a function's arguments or of a type do."""
_GLUED: Final = frozenset({".", "::", "[", "]"})
_TYPE_ENDS: Final = frozenset(
    {"constraint", "not", "null", "check", "unique", "primary", "references", "generated", "default", "storage", "using", "compression"}
)  # fmt: skip


def write(terms: Sequence[str]) -> str:
    """Return *terms* as SQL on one line."""
    text = ""
    for before, term in zip(("", *terms), terms, strict=False):
        is_call = term == "(" and is_name(before) and before not in _APART
        is_glued = not text or is_call or term in {",", ")", *_GLUED} or before in {"(", ".", "::", "["}
        text += term if is_glued else f" {term}"
    return text


def quote(name: str) -> str:
    """Return the *name* of the catalogue as SQL writes it."""
    return name if _PLAIN.fullmatch(name) and name not in RESERVED else '"' + name.replace('"', '""') + '"'


def quote_relation(schema: str, name: str) -> str:
    """Return the relation *name* as SQL writes it; *schema* is empty where the search path decides."""
    return f"{quote(schema)}.{quote(name)}" if schema else quote(name)


def literal(text: str) -> str:
    """Return *text* as a literal."""
    return "'" + text.replace("'", "''") + "'"


def given_name(table: str, columns: Sequence[str], label: str) -> str:
    """Return what PostgreSQL calls a constraint or index that is given no name (makeObjectName in indexcmds.c), if nothing is so called."""
    first, second = table, "_".join(columns)
    rest = len(label) + 1 + bool(second)
    while len(first.encode()) + len(second.encode()) + rest > LONGEST_IDENTIFIER_BYTES:
        first, second = (first[:-1], second) if len(first.encode()) > len(second.encode()) else (first, second[:-1])
    return "_".join(part for part in (first, second, label) if part)


def named_at(terms: Terms) -> str:
    """Return the relation that *terms* begin with as it is written, schema included; empty where there is none."""
    read = read_relation(terms)
    if not read.relations:
        return ""
    behind = len(terms) - len(read.rest)
    return "".join(terms[behind - (3 if read.relations[0].schema else 1) : behind])


def within(terms: Terms) -> Terms:
    """Return what stands in the first parentheses of *terms*, others in it included; nothing where none open."""
    if "(" not in terms:
        return ()
    start, depth = terms.index("(") + 1, 1
    for at in range(start, len(terms)):
        depth += (terms[at] == "(") - (terms[at] == ")")
        if depth == 0:
            return terms[start:at]
    return terms[start:]


def names_within(terms: Terms) -> tuple[str, ...]:
    """Return the names of the list in the first parentheses of *terms*, without quotes."""
    return tuple(name_of(part[0]) for part in parted(within(terms)) if part)


def parted(terms: Terms) -> Iterator[Terms]:
    """Yield what the commas of *terms* part that stand in no parentheses; one part at least, which may be empty."""
    depth, start = 0, 0
    for at, term in enumerate(terms):
        depth += (term in {"(", "["}) - (term in {")", "]"})
        if term == "," and depth == 0:
            yield terms[start:at]
            start = at + 1
    yield terms[start:]


def type_at(terms: Terms) -> Terms:
    """Return the type that *terms* begin with, its collation included."""
    return tuple(takewhile(lambda term: term not in _TYPE_ENDS, terms))


def is_outside(terms: Terms, word: str) -> bool:
    """Return whether *word* stands in *terms* and in no parentheses."""
    depth = 0
    for term in terms:
        depth += (term == "(") - (term == ")")
        if term == word and depth == 0:
            return True
    return False
