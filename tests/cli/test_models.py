"""Models by the name of the object that holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from dbcustody.cli.models import load_models
from dbcustody.errors import InvalidSpecError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a module of its own."""
    (tmp_path / "own_models.py").write_text(
        "import sqlalchemy as sa\nm = sa.MetaData()\nclass Base:\n    metadata = m\n"
    )
    (tmp_path / "own_broken.py").write_text("raise ValueError('no')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize("reference", ["own_models:m", "own_models:Base.metadata", "own_models:Base"])
def test_the_metadata_is_found(reference: str) -> None:
    """By itself, or by what has it."""
    assert isinstance(load_models(reference), sa.MetaData)


@pytest.mark.parametrize(
    ("reference", "word"),
    [
        ("own_models", "must be like package.module:Base.metadata"),
        ("own_models:", "must be like"),
        ("own_models:sa.Table", "must be the MetaData"),
        ("own_models:Base.none", "there is no none in Base"),
        ("own_broken:m", "own_broken cannot be imported: ValueError: no"),
        ("own_nowhere:m", "own_nowhere cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_is_wrong_is_told(reference: str, word: str) -> None:
    """With what it must be."""
    with pytest.raises(InvalidSpecError) as error:
        load_models(reference)
    assert word in error.value.message


def test_what_they_print_stands_not_in_the_answer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output may be read by a program."""
    (tmp_path / "own_loud.py").write_text("import sqlalchemy as sa\nprint('loud')\nm = sa.MetaData()\n")
    load_models("own_loud:m")
    assert capfd.readouterr() == ("", "loud\n")
