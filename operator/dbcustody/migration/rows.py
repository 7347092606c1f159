"""What statements about rows do: SELECT, INSERT, UPDATE, DELETE, MERGE, COPY, also in the parts of a WITH."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbcustody.migration.effect import Effect, locked, strongest
from dbcustody.migration.lock import Mode, Work
from dbcustody.migration.relation import Relation, read_relation
from dbcustody.migration.statement import begins, holds, stands_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.migration.lock import Lock
    from dbcustody.migration.statement import Terms

_WRITES: Final = (("insert", "into"), ("update",), ("delete", "from"), ("merge", "into"))
_FROM_WITHIN: Final = frozenset({"extract", "substring", "trim", "overlay"})
"""Functions with a FROM between their arguments."""
_LONGEST_SOURCE: Final = len(("only", "schema", ".", "name", "("))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What is done to the rows of one relation; to overwrite values cannot be undone, and is what a change of data is for."""

    relation: Relation
    loses_rows: bool
    overwrites: bool


def rows_effect(terms: Terms) -> Effect:
    """Return what a statement of *terms* does that reads or changes rows."""
    changes = tuple(_changes(terms))
    is_locking = any(holds(terms, *words) for words in _ROW_LOCKS)
    written = locked([change.relation for change in changes], Mode.ROW_EXCLUSIVE)
    return Effect(
        locks=strongest((*written, *_relocked(reads(terms), is_locking=is_locking))),
        work=Work.ROWS,
        destroys=tuple(f"rows of {change.relation}" for change in changes if change.loses_rows),
        is_irreversible=any(change.overwrites for change in changes),
    )


def copy_effect(terms: Terms) -> Effect:
    """Return what a COPY does."""
    relations, rest = read_relation(terms[1:])
    is_in = "from" in rest
    return Effect(locks=locked(relations, Mode.ROW_EXCLUSIVE if is_in else Mode.ACCESS_SHARE), work=Work.ROWS)


def reads(terms: Terms) -> tuple[Lock, ...]:
    """Return the locks of what is read behind FROM and JOIN; the names that a WITH gives to its parts are no relations."""
    parts = {term for at, term in enumerate(terms) if stands_at(terms, at + 1, "as", "(|materialized|not")}
    found = [relation for relation in _sources(terms) if relation.schema or relation.name not in parts]
    return strongest(locked(found, Mode.ACCESS_SHARE))


def _relocked(read: tuple[Lock, ...], *, is_locking: bool) -> tuple[Lock, ...]:
    return locked([lock.relation for lock in read], Mode.ROW_SHARE) if is_locking else read


def _sources(terms: Terms) -> Iterator[Relation]:
    """Yield what stands where a relation is read: behind JOIN, and in the list behind FROM or USING, up to where the list ends."""
    before = [""]  # what stands before each parenthesis that is open
    is_listing = [False]  # whether a list runs at that depth
    for at, term in enumerate(terms):
        if term == "(":
            before.append(terms[at - 1] if at else "")
            is_listing.append(False)
        elif term == ")" and len(before) > 1:
            before.pop()
            is_listing.pop()
        elif term in _LIST_ENDS:
            is_listing[-1] = False
        elif term in {"from", "using"} and before[-1] not in _FROM_WITHIN and terms[at - 1] != "distinct":
            is_listing[-1] = True
            yield from _source(terms, at + 1)
        elif term == "join" or (term == "," and is_listing[-1]) or (term == "table" and at == 0):
            yield from _source(terms, at + 1)


def _source(terms: Terms, at: int) -> Iterator[Relation]:
    """Yield the relation at the index *at*, unless a function or a query stands there."""
    relations, rest = read_relation(terms[at : at + _LONGEST_SOURCE])
    if not begins(rest, "(") and not stands_at(terms, at, "lateral"):
        yield from relations


def _changes(terms: Terms) -> Iterator[_Change]:
    for at in range(len(terms)):
        if at and terms[at - 1] not in {"(", ")"}:
            continue
        for words in _WRITES:
            if stands_at(terms, at, *words):
                yield from _change(words[0], terms[at + len(words) :])


def _change(verb: str, rest: Terms) -> Iterator[_Change]:
    relations, behind = read_relation(rest)
    is_merge = verb == "merge"
    loses_rows = verb == "delete" or (is_merge and holds(behind, "then", "delete"))
    overwrites = verb == "update" or (is_merge and holds(behind, "then", "update")) or holds(behind, "do", "update")
    yield from (_Change(relation=relation, loses_rows=loses_rows, overwrites=overwrites) for relation in relations)
