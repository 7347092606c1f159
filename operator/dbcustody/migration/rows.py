"""What statements about rows do: SELECT, INSERT, UPDATE, DELETE, MERGE, COPY, also in the parts of a WITH."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.migration.effect import Effect, locked, strongest
from dbcustody.migration.lock import Mode, Work
from dbcustody.migration.relation import Relation, read_relation
from dbcustody.migration.statement import begins, holds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.migration.lock import Lock
    from dbcustody.migration.statement import Terms

_WRITES: Final = (("insert", "into"), ("update",), ("delete", "from"), ("merge", "into"))
_FROM_WITHIN: Final = frozenset({"extract", "substring", "trim", "overlay"})
"""Functions with a FROM between their arguments."""
_LIST_ENDS: Final = frozenset(
    {
        "where",
        "group",
        "having",
        "window",
        "order",
        "limit",
        "offset",
        "fetch",
        "for",
        "union",
        "intersect",
        "except",
        "returning",
        "set",
        "when",
    }
)
_ROW_LOCKS: Final = (("for", "update|share"), ("for", "no", "key", "update"), ("for", "key", "share"))


def rows_effect(terms: Terms) -> Effect:
    """Return what a statement of *terms* does that reads or changes rows."""
    written = dict(_written(terms))
    read = reads(terms)
    is_locking = any(holds(terms, *words) for words in _ROW_LOCKS)
    return Effect(
        locks=strongest((*locked(written, Mode.ROW_EXCLUSIVE), *_relocked(read, is_locking=is_locking))),
        work=Work.ROWS,
        destroys=tuple(what for what in written.values() if what),
    )


def copy_effect(terms: Terms) -> Effect:
    """Return what a COPY does."""
    relations, rest = read_relation(terms[1:])
    is_in = "from" in rest
    return Effect(locks=locked(relations, Mode.ROW_EXCLUSIVE if is_in else Mode.ACCESS_SHARE), work=Work.ROWS)


def reads(terms: Terms) -> tuple[Lock, ...]:
    """Return the locks of what is read behind FROM and JOIN; the names that a WITH gives to its parts are no relations."""
    parts = {term for at, term in enumerate(terms) if begins(terms[at + 1 :], "as", "(|materialized|not")}
    found = [relation for relation in _sources(terms) if relation.schema or relation.name not in parts]
    return strongest(locked(found, Mode.ACCESS_SHARE))


def _relocked(read: tuple[Lock, ...], *, is_locking: bool) -> tuple[Lock, ...]:
    return locked([lock.relation for lock in read], Mode.ROW_SHARE) if is_locking else read


def _sources(terms: Terms) -> Iterator[Relation]:
    for at, term in enumerate(terms):
        if term == "join" or (term == "table" and at == 0):
            yield from _source(terms[at + 1 :])
        elif term in {"from", "using"} and not _is_word_of_expression(terms[:at]):
            for rest in _listed(terms[at + 1 :]):
                yield from _source(rest)


def _listed(terms: Terms) -> Iterator[Terms]:
    """Yield the terms from each item of the list on that *terms* begin with, as far as the list goes."""
    depth = 0
    yield terms
    for at, term in enumerate(terms):
        depth += (term == "(") - (term == ")")
        if depth < 0 or (depth == 0 and term in _LIST_ENDS):
            return
        if depth == 0 and term == ",":
            yield terms[at + 1 :]


def _source(terms: Terms) -> Iterator[Relation]:
    if not _is_call(terms):
        yield from read_relation(terms).relations


def _is_word_of_expression(before: Terms) -> bool:
    """Return whether a FROM behind *before* belongs to IS DISTINCT FROM, or to a function such as extract(day from ...)."""
    if begins(before[-1:], "distinct"):
        return True
    depth = 0
    for at in range(len(before) - 1, 0, -1):
        depth += (before[at] == ")") - (before[at] == "(")
        if depth < 0:
            return before[at - 1] in _FROM_WITHIN
    return False


def _is_call(terms: Terms) -> bool:
    """Return whether a function stands where a relation could."""
    behind = read_relation(terms).rest
    return begins(behind, "(") or begins(terms, "lateral")


def _written(terms: Terms) -> Iterator[tuple[Relation, str]]:
    """Yield each relation whose rows are changed, and what is lost by it: nothing where rows are only added."""
    for at in range(len(terms)):
        if at and terms[at - 1] not in {"(", ")"}:
            continue
        for words in _WRITES:
            if begins(terms[at:], *words):
                yield from _changed(words[0], terms[at + len(words) :])


def _changed(verb: str, rest: Terms) -> Iterator[tuple[Relation, str]]:
    relations, behind = read_relation(rest)
    lost = {"update": "values of rows of {}", "delete": "rows of {}"}.get(verb, "")
    if verb == "merge":
        lost = "rows or values of {}" if {"update", "delete"} & set(behind) else ""
    elif verb == "insert" and holds(behind, "do", "update"):
        lost = "values of rows of {}"
    yield from ((relation, lost.format(relation)) for relation in relations)
