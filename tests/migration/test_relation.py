"""Names of relations and modes of locks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dbcustody.migration.effect import strongest
from dbcustody.migration.lock import Lock, Mode
from dbcustody.migration.relation import Relation, is_name, name_of, read_relation, read_relations
from dbcustody.migration.statement import terms_of
from dbcustody.migration.token import read_tokens

if TYPE_CHECKING:
    from dbcustody.migration.statement import Terms


def terms(text: str) -> Terms:
    """Return the terms of *text*, which need be no statement."""
    return terms_of(read_tokens(text))


@pytest.mark.parametrize(
    ("text", "names", "rest"),
    [
        ("Orders", ["orders"], ()),
        ('only Sales."Old Orders" * , if exists b cascade', ["sales.Old Orders", "b"], ("cascade",)),
        ("concurrently if not exists a on b", ["a"], ("on", "b")),
        ("a, ", ["a"], ()),
        ("a.", ["a"], (".",)),
        ("é, _b", ["é", "_b"], ()),
        ("(select 1)", [], ("(", "select", "1", ")")),
        ("only", ["only"], ()),
        ("", [], ()),
    ],
)
def test_lists_of_relations(text: str, names: list[str], rest: Terms) -> None:
    """ONLY, IF EXISTS and the star are no part of a name, unless nothing else could be."""
    found = read_relations(terms(text))
    assert ([str(relation) for relation in found.relations], found.rest) == (names, rest)


def test_one_relation() -> None:
    """The list behind it is left alone."""
    assert read_relation(terms("a.b, c")) == ((Relation("a", "b"),), (",", "c"))
    assert read_relation(terms("(a)")) == ((), ("(", "a", ")"))


def test_names() -> None:
    """Quotes are taken off, and two within stand for one."""
    assert [name_of(term) for term in ("a", '"A""b"')] == ["a", 'A"b']
    assert [is_name(term) for term in ("a", '"A"', "_", "é", "(", "1", "'a'", "")] == [True] * 4 + [False] * 4


def test_modes() -> None:
    """They are called as in pg_locks, and keep waiting whom the manual says."""
    assert [mode.label for mode in (Mode.ACCESS_SHARE, Mode.SHARE_ROW_EXCLUSIVE)] == [
        "AccessShareLock",
        "ShareRowExclusiveLock",
    ]
    assert [mode for mode in Mode if not mode.stops_writers] == [
        Mode.ACCESS_SHARE, Mode.ROW_SHARE, Mode.ROW_EXCLUSIVE, Mode.SHARE_UPDATE_EXCLUSIVE
    ]  # fmt: skip
    assert [mode for mode in Mode if mode.stops_readers] == [Mode.ACCESS_EXCLUSIVE]


def test_the_strongest_lock_counts() -> None:
    """One for each relation, in the order in which they come."""
    a, b = Relation("", "a"), Relation("s", "a")
    locks = [Lock(b, Mode.SHARE), Lock(a, Mode.ROW_SHARE), Lock(b, Mode.ACCESS_SHARE), Lock(a, Mode.EXCLUSIVE)]
    assert strongest(locks) == (Lock(b, Mode.SHARE), Lock(a, Mode.EXCLUSIVE))
