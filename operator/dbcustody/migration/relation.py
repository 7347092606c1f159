"""The names of relations in statements, as they are written: whether they exist, and in which schema, only the server knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from dbcustody.migration.statement import begins

if TYPE_CHECKING:
    from dbcustody.migration.statement import Terms


@dataclass(frozen=True, slots=True, order=True)
class Relation:
    """A table, view, index or sequence; *schema* is empty where the search path decides."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


class Read(NamedTuple):
    """The relations that were read, and the terms that stand behind them."""

    relations: tuple[Relation, ...]
    rest: Terms


def read_relations(terms: Terms) -> Read:
    """Return the relations of the list that *terms* begin with, past ONLY, IF EXISTS and the like; none where there is no name."""
    found: list[Relation] = []
    rest = _behind_noise(terms)
    while (relation := _read_one(rest)) is not None:
        found.append(relation)
        rest = rest[_width(rest) :]
        rest = rest[1:] if begins(rest, "*") else rest
        if not begins(rest, ","):
            break
        rest = _behind_noise(rest[1:])
    return Read(tuple(found), rest)


def read_relation(terms: Terms) -> Read:
    """Return the one relation that *terms* begin with, as `read_relations`, but go no further than its name."""
    rest = _behind_noise(terms)
    relation = _read_one(rest)
    return Read((relation,), rest[_width(rest) :]) if relation else Read((), rest)


def name_of(term: str) -> str:
    """Return the name that *term* stands for: without its quotes, as the catalogue has it."""
    return term[1:-1].replace('""', '"') if term.startswith('"') else term


def is_name(term: str) -> bool:
    """Return whether *term* may be a name; a keyword may, too: who asks knows that a name must stand there."""
    return term[:1] in {'"', "_"} or term[:1].isalpha() or term[:1] > "\x7f"


def _read_one(terms: Terms) -> Relation | None:
    if not terms or not is_name(terms[0]):
        return None
    if _width(terms) > 1:
        return Relation(name_of(terms[0]), name_of(terms[2]))
    return Relation("", name_of(terms[0]))


def _width(terms: Terms) -> int:
    """Return how many terms the name at the head of *terms* has; a third part would be a database's, and no table is in another one."""
    return 3 if begins(terms[1:], ".") and len(terms) > 2 else 1  # noqa: PLR2004 - schema, dot, name


def _behind_noise(terms: Terms) -> Terms:
    for words in (("concurrently",), ("if", "not", "exists"), ("if", "exists"), ("only",)):
        terms = terms[len(words) :] if begins(terms, *words) and len(terms) > len(words) else terms
    return terms
