"""The page about the rules says what the rules do: each has an example in which it finds something."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from dbcustody.migration.lint import RULES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def maker() -> dict[str, Any]:
    """Return what writes the page."""
    return runpy.run_path(str(DOCS / "make_rules.py"))


def test_every_rule_has_an_example(maker: dict[str, Any]) -> None:
    """And there is none of a rule that is not there."""
    assert list(maker["EXAMPLES"]) == list(RULES)


def test_the_page_says_what_the_code_does(maker: dict[str, Any]) -> None:
    """Made again, it is the same: else run `python docs/make_rules.py`."""
    assert (DOCS / "migration-rules.md").read_text() == maker["text"]()
