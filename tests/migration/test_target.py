"""Which migration is named: by its name or its revision, in full, and what is said of anything else."""

from __future__ import annotations

import pytest

from dbcustody.migration.target import choice_of, find_target

KNOWN = {
    "20260101_000000_a": "20260101_000000",
    "ae1027a6acf_add_people": "ae1027a6acf",
    "ae99c5d1e2f_add_age": "ae99c5d1e2f",
    "V2__more": "2",
    "2": "3",
}
"""Of several tools, and one whose name is the revision of another."""


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("20260101_000000_a", "20260101_000000_a"),
        ("20260101_000000", "20260101_000000_a"),
        ("ae1027a6acf", "ae1027a6acf_add_people"),
        ("3", "2"),
        ("2", "2"),
    ],
)
def test_a_name_or_a_revision_names_one(target: str, name: str) -> None:
    """A name is a name first."""
    assert find_target(target, KNOWN) == name


@pytest.mark.parametrize("target", ["", "ae", "ae1027a6acf_", "20260101", "20260101_000000_A", "nowhere"])
def test_a_beginning_names_none(target: str) -> None:
    """Nor does anything else."""
    assert find_target(target, KNOWN) is None


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("ae", "name one in full, or by its revision: ae1027a6acf_add_people, ae99c5d1e2f_add_age"),
        ("ae1", "name one in full, or by its revision: ae1027a6acf_add_people"),
        ("V2", "name one in full, or by its revision: V2__more"),
        (
            "nowhere",
            "name one in full, or by its revision: 2, V2__more, ae99c5d1e2f_add_age, ae1027a6acf_add_people, 20260101_000000_a",
        ),
    ],
)
def test_what_may_have_been_meant_is_told(target: str, words: str) -> None:
    """What begins so; or else the last ones, the newest first."""
    assert choice_of(target, KNOWN) == words


def test_of_many_some_are_told() -> None:
    """And of none, that there is none."""
    many = {f"name{number}": str(number) for number in range(9)}
    assert choice_of("x", many) == "name one in full, or by its revision: name8, name7, name6, name5, name4 and 4 more"
    assert choice_of("x", {}) == "there is none"
