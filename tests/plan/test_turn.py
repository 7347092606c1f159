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


def test_indexes_become_parts_one_at_a_time(shelf: Shelf) -> None:
    """In one tree; behind checks of the whole, ahead of its keys, and never waiting for a trigger."""
    check, single = shelf.add("CHECK CONSTRAINT", "c", 1), shelf.add("CONSTRAINT", "k", 3)
    trigger = shelf.add("TRIGGER", "root t", 1)
    first, second = shelf.add("INDEX ATTACH", "a", 2, 3, single), shelf.add("INDEX ATTACH", "b", 1, 2, check)
    aside = shelf.add("INDEX ATTACH", "c", 4, 7)
    key, index = shelf.add("FK CONSTRAINT", "f", 3, 4), shelf.add("INDEX", "i", 1)
    entries = {one.id: one.also_needs for one in in_turns(shelf.contents).entries}
    assert (entries[check], entries[single], entries[trigger], entries[index]) == ((2, 3), (), (2, 3), ())
    assert (entries[first], entries[second], entries[aside]) == ((check,), (first,), ())
    assert entries[key] == (7, second, aside)


def test_trees_that_share_a_table_are_one(shelf: Shelf) -> None:
    """An heir of several parents."""
    shelf.add("TABLE", "both", 1, 4)
    one, other = shelf.add("INDEX ATTACH", "a", 2, 3), shelf.add("INDEX ATTACH", "b", 4, 7)
    entries = {one.id: one.also_needs for one in in_turns(shelf.contents).entries}
    assert (entries[one], entries[other]) == ((), (one,))


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
