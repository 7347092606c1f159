"""What a machine writes for people: the text of a migration, and marks where something is lost."""

from __future__ import annotations

import pytest

from dbcustody.migration.body import read_body
from dbcustody.migration.draft import brief, losses, write_script

DROP = "ALTER TABLE people DROP COLUMN age"


def test_the_text_is_a_migration() -> None:
    """Each statement with its semicolon, and a mark before what loses data; the lexer of migrations reads the same statements."""
    text = write_script(["CREATE TABLE t (\n    id int\n)", DROP], title="two\nthings")
    assert text == f"-- two things\n\nCREATE TABLE t (\n    id int\n);\n\n-- loses data: {DROP}\n{DROP};\n"
    read = read_body("20260101_000000_a.sql", text.encode(), is_down=False)
    assert read.body is not None
    assert ([one.text for one in read.body.statements], read.faults) == (["CREATE TABLE t (\n    id int\n)", DROP], ())


def test_nothing_to_write_is_a_title_alone() -> None:
    """For somebody to go on."""
    assert write_script([], title="by hand") == "-- by hand\n"


@pytest.mark.parametrize(
    ("statement", "is_lost"),
    [
        (DROP, True),
        ("DROP TABLE people", True),
        ("DROP INDEX ix_people", False),
        ("DROP TYPE mood", False),
        ("ALTER TABLE people ADD COLUMN age int", False),
        ("CREATE TABLE people (id int)", False),
        ("ALTER TYPE mood ADD VALUE 'sad' AFTER 'ok'", False),
    ],
)
def test_what_loses_data_is_known(statement: str, *, is_lost: bool) -> None:
    """What can be made again from nothing but text is no loss."""
    assert losses([statement]) == ((statement,) if is_lost else ())


def test_a_long_statement_is_shown_in_brief() -> None:
    """On one line."""
    assert brief("select\n  1") == "select 1"
    assert (len(brief("x" * 1000)), brief("x" * 1000)[-1]) == (100, "…")
