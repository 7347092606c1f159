"""Whose folder of migrations it is, and what of it is left out: told, never passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

from dbcustody.cli import migrate_options
from dbcustody.cli.folder import read_layout
from dbcustody.errors import RefusedError
from dbcustody.migration.layout import Tool
from dbcustody.migration.tree import FORMS
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, *paths: str, text: str = "select 1;\n") -> None:
    """Write files."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def test_the_choices_are_those_that_are_understood() -> None:
    """They are written twice, so that nothing is loaded for them."""
    assert migrate_options.FORMS == FORMS

    @click.command()
    @migrate_options.folder
    def command() -> None: ...

    assert sorted(option.name or "" for option in command.params) == ["folder", "form", "metadata", "version_table"]


def test_our_own_folder_is_read_as_ours(tmp_path: Path) -> None:
    """Also when it is empty, or has ways back, which look like another tool's."""
    assert read_layout(tmp_path, "auto") is None
    write(tmp_path, "20260101_120000_a.sql", "20260101_120000_a.down.sql")
    assert read_layout(tmp_path, "auto") is None
    assert read_layout(tmp_path, "sql") is None


def test_a_folder_of_two_is_told_apart_by_a_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not the chosen tool's is left out, which is said."""
    write(tmp_path, "20260101_120000_a.sql", "old/V1__a.sql")
    with pytest.raises(RefusedError) as error:
        read_layout(tmp_path, "auto")
    asked = capsys.readouterr().err
    layout = read_layout(tmp_path, "flyway")

    assert error.value.reason is Reason.SOURCE_INVALID
    assert "20260101_120000_a.sql: is named as a migration of dbcustody, and other files as Flyway names them" in asked
    assert layout is not None
    assert ([one.name for one in layout.migrations], layout.tool) == (["V1__a"], Tool.FLYWAY)
    assert "note: 20260101_120000_a.sql: is no versioned migration of Flyway's" in capsys.readouterr().err


def test_texts_for_people_and_hidden_files_are_nobodys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of many others the first are named, and the rest counted."""
    write(
        tmp_path,
        "1_a/migration.sql",
        "README.md",
        ".DS_Store",
        "1_a/.keep",
        *(f"other{number:02}.txt" for number in range(12)),
    )
    layout = read_layout(tmp_path, "auto")
    told = capsys.readouterr().err.splitlines()

    assert layout is not None
    assert layout.tool is Tool.PRISMA
    assert (len(told), told[0], told[-1]) == (
        11,
        "note: other00.txt: is none of Prisma's",
        "note: 2 more files are left out",
    )


def test_every_fault_of_the_folder_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing of it is read further."""
    write(tmp_path, "V1__a.sql", "V1_0__b.sql", "V2_c.sql")
    with pytest.raises(RefusedError) as error:
        read_layout(tmp_path, "auto")
    told = capsys.readouterr().err
    assert "2 faults in" in error.value.message
    assert ("V2_c.sql: is not named" in told, "is of version 1, and so is" in told) == (True, True)
