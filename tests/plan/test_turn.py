"""Which definitions need more than they say: those that reach into a tree of tables."""

from __future__ import annotations

import pytest

from dbcustody.plan.turn import in_turns
from tests.fakes.heads import Shelf


@pytest.fixture
def shelf() -> Shelf:
    """Return the contents of two levels of partitions, an heir, and a table that has nobody below it."""
    shelf = Shelf()
    for name in ("root", "branch", "leaf", "other"):
        shelf.add("TABLE", name)
    shelf.add("TABLE ATTACH", "branch", 1, 2)
    shelf.add("TABLE ATTACH", "leaf", 2, 3)
    shelf.add("TABLE", "heir", 4)
    return shelf


def added(shelf: Shelf, kind: str, *needs: int) -> tuple[int, ...]:
    """Return what one more entry needs besides."""
    number = shelf.add(kind, "it", *needs)
    return next(one.also_needs for one in in_turns(shelf.contents).entries if one.id == number)


@pytest.mark.parametrize("kind", ["CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT", "TRIGGER"])
def test_what_reaches_into_a_tree_needs_all_of_it(shelf: Shelf, kind: str) -> None:
    """At every depth, and each table once; partitions and heirs alike."""
    assert added(shelf, kind, 1) == (2, 3)
    assert added(shelf, kind, 2, 99) == (3,)
    assert added(shelf, kind, 1, 2, 4) == (3, 7)


def test_what_reaches_nowhere_needs_nothing_more(shelf: Shelf) -> None:
    """Keys of two partitions stay side by side, and so do the indexes of all."""
    assert [added(shelf, "CONSTRAINT", 3), added(shelf, "INDEX", 1), added(shelf, "INDEX ATTACH", 1, 2)] == [()] * 3


def test_tables_that_need_each_other_have_an_end() -> None:
    """No archive of pg_dump has that; one that does is not followed round and round."""
    shelf = Shelf()
    shelf.add("TABLE", "a", 2)
    shelf.add("TABLE", "b", 1)
    assert added(shelf, "TRIGGER", 1) == (2,)
