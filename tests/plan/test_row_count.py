"""Rows are compared table by table, and below a hash-partitioned table in one sum."""

from __future__ import annotations

from dbcustody.plan.row_count import find_row_differences

ROOTS = {("public", "p0"): ("public", "p"), ("public", "p1"): ("public", "p")}


def test_equal_rows_are_equal() -> None:
    """Also none at all."""
    rows = {("public", "a"): 3, ("public", "b"): 0}
    assert list(find_row_differences(rows, rows, {})) == []


def test_each_table_that_differs_is_named() -> None:
    """With what it has and what it should have; one that is not there has none."""
    wanted = {("public", "a"): 3, ("sales", "b"): 4, ("public", "c"): 5}
    found = {("public", "a"): 3, ("sales", "b"): 3}
    assert list(find_row_differences(wanted, found, {})) == [
        "sales.b has 3 rows instead of 4",
        "public.c has 0 rows instead of 5",
    ]


def test_rows_may_move_between_hash_partitions_and_none_may_be_lost() -> None:
    """The sum of the partitions is what counts."""
    wanted = {("public", "p0"): 50, ("public", "p1"): 0}
    assert list(find_row_differences(wanted, {("public", "p0"): 25, ("public", "p1"): 25}, ROOTS)) == []
    assert list(find_row_differences(wanted, {("public", "p0"): 25, ("public", "p1"): 24}, ROOTS)) == [
        "public.p has 49 rows instead of 50"
    ]


def test_rows_may_not_move_between_other_tables() -> None:
    """Two tables whose rows were exchanged are two differences."""
    wanted, found = {("public", "a"): 1, ("public", "b"): 2}, {("public", "a"): 2, ("public", "b"): 1}
    assert len(list(find_row_differences(wanted, found, ROOTS))) == 2
