"""How PostgreSQL's own parser (libpg_query) reads a text, and how terms are made of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from pglast import parser

from dbcustody.migration.statement import cut

if TYPE_CHECKING:
    from dbcustody.migration.statement import Terms

Lex = Callable[[str], list[str] | None]
Split = Callable[[str], list[str] | None]
MakeTerms = Callable[[str], tuple[str, ...]]
COMMENTS = {"SQL_COMMENT", "C_COMMENT"}


def lex(text: str) -> list[str] | None:
    """Return the tokens of *text* as PostgreSQL's lexer has them, or None where it refuses it."""
    try:
        tokens = parser.scan(text)
    except parser.ParseError:
        return None
    return [text[token.start : token.end + 1] for token in tokens if token.name not in COMMENTS]


def split(text: str) -> list[str] | None:
    """Return the statements of *text* as PostgreSQL's parser has them, from first token to last, or None where it refuses it."""
    try:
        slices = parser.split(text, only_slices=True)
    except parser.ParseError:
        return None
    return [bare(text[one]) for one in slices]


def bare(text: str) -> str:
    """Return *text* without white space and comments at both ends."""
    tokens = [token for token in parser.scan(text) if token.name not in COMMENTS]
    return text[tokens[0].start : tokens[-1].end + 1]


@pytest.fixture(scope="session")
def postgres_tokens() -> Lex:
    """Return PostgreSQL's lexer."""
    return lex


@pytest.fixture(scope="session")
def postgres_statements() -> Split:
    """Return PostgreSQL's parser."""
    return split


@pytest.fixture(scope="session")
def terms_of() -> MakeTerms:
    """Return a maker of the terms of one statement."""

    def make(text: str) -> Terms:
        found = cut(text)
        assert found.faults == ()
        (statement,) = found.statements
        return statement.terms

    return make
