"""Names of files: the convention, and what a set of names can have wrong."""

from __future__ import annotations

import pytest

from dbcustody.migration.fault import Fault
from dbcustody.migration.filename import CONVENTION, Filename, naming_faults, parse_filename


def name(text: str) -> Filename:
    """Return the good name that *text* is."""
    found = parse_filename(text)
    assert isinstance(found, Filename)
    return found


@pytest.mark.parametrize(
    ("text", "revision", "slug", "is_down"),
    [
        ("20260131_020000_add_users.sql", "20260131_020000", "add_users", False),
        ("20260131_020000_add_users.down.sql", "20260131_020000", "add_users", True),
        ("20240229_235959_2nd.sql", "20240229_235959", "2nd", False),
        ("20260131_020000_" + "a" * 200 + ".sql", "20260131_020000", "a" * 200, False),
    ],
)
def test_good_names(text: str, revision: str, slug: str, *, is_down: bool) -> None:
    """They are read, and written as they were."""
    found = name(text)
    assert found == Filename(revision=revision, slug=slug, is_down=is_down)
    assert (str(found), found.stem) == (text, f"{revision}_{slug}")


@pytest.mark.parametrize(
    "text",
    [
        "add_users.sql", "20260131_add_users.sql", "20260131_020000.sql", "20260131_020000_.sql", "20260131_020000_add__users.sql",
        "20260131_020000_add_users_.sql", "20260131_020000_Add.sql", "20260131_020000_add-users.sql", "20260131_020000_add users.sql",
        "20260131T020000_add.sql", "20260131_020000_add.SQL", "20260131_020000_add.up.sql", "20260131_020000_add.pyc",
            "20260131_020000_add.down.py", "README.md",
        "", ".sql",
        "a/20260131_020000_add.sql", "20260131_020000_ädd.sql", "٢٠٢٦٠١٣١_٠٢٠٠٠٠_add.sql", "20260131_020000_add.sql\n",
    ],
)  # fmt: skip
def test_names_against_the_convention(text: str) -> None:
    """The convention is told, whatever it is."""
    found = parse_filename(text)
    assert isinstance(found, Fault)
    assert (found.file, found.what) == (text, "is not named as a migration")
    assert CONVENTION in found.helps


@pytest.mark.parametrize(
    "text",
    [
        "20260230_020000_a.sql",
        "20261301_020000_a.sql",
        "20260131_240000_a.sql",
        "20260131_020060_a.sql",
        "00000101_000000_a.sql",
    ],
)
def test_times_that_are_not(text: str) -> None:
    """The calendar is asked."""
    found = parse_filename(text)
    assert isinstance(found, Fault)
    assert found.what == f"there is no time {text[:15]}"


def test_a_name_without_end() -> None:
    """It is refused, and not shown in full."""
    found = parse_filename("20260131_020000_" + "a" * 201 + ".sql")
    assert isinstance(found, Fault)
    assert (found.what, len(found.file)) == ("has a name of 201 characters", 120)


def test_names_that_do_not_go_together() -> None:
    """Each fault of the set is told, and none hides another."""
    names = [
        name("20260101_000000_a.sql"), name("20260101_000000_a.down.sql"), name("20260102_000000_b.sql"), name("20260102_000000_c.sql"),
        name("20260103_000000_d.down.sql"), name("20260101_000000_a.sql"), name("20260102_000000_b.down.sql"),
    ]  # fmt: skip
    assert [str(fault) for fault in naming_faults(names)] == [
        "20260101_000000_a.sql: is given 2 times; keep one of them; sources that are merged must not overlap",
        "20260102_000000_b.sql: is of the same second as 20260102_000000_c.sql; give one that is not applied yet a later second",
        "20260102_000000_c.sql: is of the same second as 20260102_000000_b.sql; give one that is not applied yet a later second",
        "20260103_000000_d.down.sql: is the way back from 20260103_000000_d.sql, which is not there; add that file, or take this one out",
    ]


def test_good_names_have_no_fault() -> None:
    """Both directions, one after the other."""
    names = [name("20260102_000000_b.sql"), name("20260101_000000_a.down.sql"), name("20260101_000000_a.sql")]
    assert list(naming_faults(names)) == []
    assert list(naming_faults([])) == []
