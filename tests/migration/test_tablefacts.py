"""The weight of a table, and the types that hold each other."""

from __future__ import annotations

import pytest

from dbcustody.migration.finding import Severity
from dbcustody.migration.relation import Relation
from dbcustody.migration.tablefacts import LARGE_BYTES, SMALL_BYTES, TableFacts, Weight, heaviest, keeps_rows, weigh

T, U = Relation("", "t"), Relation("s", "u")


@pytest.mark.parametrize(
    ("size_bytes", "severity", "said"),
    [
        (0, Severity.NOTE, "0 bytes"), (8192, Severity.NOTE, "8 KiB"), (SMALL_BYTES - 1, Severity.NOTE, "10 MiB"),
        (SMALL_BYTES, Severity.WARNING, "10 MiB"), (LARGE_BYTES - 1, Severity.WARNING, "100 MiB"),
        (LARGE_BYTES, Severity.ERROR, "100 MiB"), (3 * 2**30, Severity.ERROR, "3 GiB"),
    ],
)  # fmt: skip
def test_the_larger_the_heavier(size_bytes: int, severity: Severity, said: str) -> None:
    """Up to what one try for a lock lasts, and what an application bears."""
    weight = weigh(T, {T: TableFacts(size_bytes=size_bytes, rows=1234567)})
    assert weight == Weight(severity, f"t has about 1 234 567 rows in {said}")


def test_what_is_not_known_is_said() -> None:
    """Not looked at is heavy, not there yet is light, and never counted is told."""
    assert weigh(U, {}) == Weight(Severity.ERROR, "how large s.u is was not looked at")
    assert weigh(U, {U: None}) == Weight(Severity.NOTE, "s.u is not there yet")
    assert weigh(U, {U: TableFacts(size_bytes=1)}).words == "s.u has rows that were never counted in 1 bytes"


def test_the_heaviest_counts() -> None:
    """Of nothing, nobody knows."""
    facts = {T: TableFacts(size_bytes=0), U: TableFacts(size_bytes=LARGE_BYTES)}
    assert heaviest([T, U], facts) == weigh(U, facts)
    assert heaviest([], facts).severity is Severity.WARNING


@pytest.mark.parametrize(
    ("old", "new", "is_kept"),
    [
        ("integer", "integer", True), ("integer", "bigint", False), ("character varying(10)", "varchar(20)", True),
        ("character varying(10)", "varchar (10)", True), ("character varying(10)", "varchar(5)", False),
        ("character varying", "varchar(5)", False),
        ("text", "varchar", True), ("character varying(10)", "text", True), ("text", "varchar(9)", False), ("text", "json", False),
        ("numeric(10,2)", "numeric(12, 2)", True), ("numeric(10,2)", "numeric", True), ("numeric(10,2)", "decimal(12,3)", False),
        ("numeric(10,2)", "numeric(9,2)", False), ("numeric", "numeric(9,2)", False), ("numeric", "integer", False),
        ("date", "text", False),
    ],
)  # fmt: skip
def test_types_that_hold_each_other(old: str, new: str, is_kept: bool) -> None:  # noqa: FBT001 - a column of the table
    """As PostgreSQL decides whether it goes through the rows."""
    assert keeps_rows(old, new) is is_kept
