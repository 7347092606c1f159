"""A source is known by the bytes of its files."""

from __future__ import annotations

import pytest

from dbcustody.migration.digest import file_digest, is_migration, source_digest
from dbcustody.migration.layout import LaidFile, digest_of


def test_the_digest_of_a_source_is_of_names_and_bytes() -> None:
    """In whatever order, and a name that comes twice is not once."""
    one, two = ("a.sql", file_digest(b"1")), ("b.sql", file_digest(b"2"))
    assert source_digest([one, two]) == source_digest([two, one])
    others = [[one], [one, one], [("b.sql", one[1]), two], []]
    assert len({source_digest(files) for files in (*others, [one, two])}) == 5


def test_of_files_below_a_folder_the_whole_path_counts() -> None:
    """In the folder of another tool all files have one name."""
    first, second = (LaidFile(path=f"{one}/migration.sql", content=b"1") for one in ("a", "b"))
    assert digest_of([first]) == source_digest([("a/migration.sql", file_digest(b"1"))])
    assert digest_of([first]) != digest_of([second])


@pytest.mark.parametrize(("name", "expected"), [("a.sql", True), ("README.md", False), (".hidden.sql", False)])
def test_what_is_for_others_is_no_migration(name: str, *, expected: bool) -> None:
    """A source may explain itself."""
    assert is_migration(name) is expected
