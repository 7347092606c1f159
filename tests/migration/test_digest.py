"""A source is known by the bytes of its files."""

from __future__ import annotations

import pytest

from dbcustody.migration.digest import file_digest, is_migration, source_digest


def test_the_digest_of_a_source_is_of_names_and_bytes() -> None:
    """In whatever order, and a name that comes twice is not once."""
    one, two = ("a.sql", file_digest(b"1")), ("b.sql", file_digest(b"2"))
    assert source_digest([one, two]) == source_digest([two, one])
    others = [[one], [one, one], [("b.sql", one[1]), two], []]
    assert len({source_digest(files) for files in (*others, [one, two])}) == 5


@pytest.mark.parametrize(("name", "expected"), [("a.sql", True), ("README.md", False), (".hidden.sql", False)])
def test_what_is_for_others_is_no_migration(name: str, *, expected: bool) -> None:
    """A source may explain itself."""
    assert is_migration(name) is expected
