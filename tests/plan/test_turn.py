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


def test_trigger_of_a_partition_comes_after_that_of_its_table(shelf: Shelf) -> None:
    """Which makes it; before that it cannot be disabled, and afterwards it would be enabled with all others."""
    whole, other = shelf.add("TRIGGER", "root t", 1), shelf.add("TRIGGER", "root x", 1)
    branch = shelf.add("TRIGGER", "branch t", 2)
    leaf = shelf.add("TRIGGER", "leaf t", 3)
    entries = {one.id: one.also_needs for one in in_turns(shelf.contents).entries}
    assert (entries[whole], entries[other]) == ((2, 3), (2, 3))
    assert (entries[branch], entries[leaf]) == ((3, whole), (whole, branch))


def test_names_with_blanks_are_told_apart_by_their_tables() -> None:
    """A trigger may be called as the end of a table's name; one that needs several tables belongs to the one that it is listed by."""
    shelf = Shelf()
    for name in ("a", "a b"):
        shelf.add("TABLE", name)
    shelf.add("TABLE ATTACH", "a b", 1, 2)
    whole = shelf.add("TRIGGER", "a t", 1, 99)
    own = shelf.add("TRIGGER", "a b t", 2)
    strange = shelf.add("TRIGGER", "a b", 1, schema="other")
    entries = {one.id: one.also_needs for one in in_turns(shelf.contents).entries}
    assert (entries[whole], entries[own], entries[strange]) == ((2,), (whole,), (2,))


def test_tables_that_need_each_other_have_an_end() -> None:
    """No archive of pg_dump has that; one that does is not followed round and round."""
    shelf = Shelf()
    shelf.add("TABLE", "a", 2)
    shelf.add("TABLE", "b", 1)
    assert added(shelf, "TRIGGER", 1) == (2,)
