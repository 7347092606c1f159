"""Tokens: those of PostgreSQL's own lexer, in every text that it takes, and a place for what does not end."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dbcustody.migration.fault import Place
from dbcustody.migration.token import Kind, Token, UnterminatedError, read_tokens

if TYPE_CHECKING:
    from collections.abc import Callable

PIECES = (
    "select", "from", "e", "E", "u", "U&", "b", "x", "N", "a$b", "é", "名", "_", "$", "$$", "$t$", "$T$", "$1", "1", "12", "1.5",
    ".5", "1.", "..",
    "1e5", "1e", "0x1F", "0b1", "0o7", "1_000", "+", "-", "*", "/", "=", "<", ">", "~", "!", "@", "#", "^", "&", "|", "`", "?",
    "%", "::", ":=",
    ":", ";", ",", "(", ")", "[", "]", "{", "\\", "'", "''", '"', '""', "'a'", "E'a\\'b'", "U&'x'", 'U&"y"', "B'01'", "X'1F'", '"q"',
    " ", "\t", "\n", "\r", "\f", "--", "--c\n", "-- it's\n", "/*", "*/", "/* x */", "/* /* */ */", "'a' -- c\n 'b'",
)  # fmt: skip
SOUP = st.lists(st.sampled_from(PIECES), max_size=10).map("".join)
WRITING = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


def test_what_a_token_is() -> None:
    """Kind, text and place; a keyword is known by its small letters, and a quoted name is none."""
    found = list(read_tokens("""SELECT "From", 'it''s', $1, 1.5e3 <> a::int -- end\n"""))
    assert [(token.kind, token.text) for token in found] == [
        (Kind.WORD, "SELECT"), (Kind.QUOTED, '"From"'), (Kind.MARK, ","), (Kind.STRING, "'it''s'"), (Kind.MARK, ","),
        (Kind.PARAMETER, "$1"),
        (Kind.MARK, ","), (Kind.NUMBER, "1.5e3"), (Kind.OPERATOR, "<>"), (Kind.WORD, "a"), (Kind.MARK, "::"), (Kind.WORD, "int"),
    ]  # fmt: skip
    assert [found[0].word, found[1].word, found[0].end] == ["select", "", 6]


def test_only_ascii_is_folded() -> None:
    """The Kelvin sign is no k: PostgreSQL would not take it for the keyword, either."""
    assert Token(Kind.WORD, "ROLLBAC\u212a", 0).word == "rollbac\u212a"


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        pytest.param("E'a' -- c\n\t'b\\'c;'", "E'a' -- c\n\t'b\\'c;'", id="escapes-go-on-in-the-next-piece"),
        pytest.param("'a\\' ';'", "'a\\'", id="no-escape-without-E"),
        pytest.param("$a$ $b$ ; $b$ $A$ $a$", "$a$ $b$ ; $b$ $A$ $a$", id="tags-are-exact"),
        pytest.param("B'0''1'", "B'0'", id="no-doubled-quote-in-bits"),
        pytest.param("'a' /* c */\n 'b'", "'a'", id="no-going-on-past-a-block-comment"),
    ],
)
def test_literals(text: str, literal: str, postgres_tokens: Callable[[str], list[str] | None]) -> None:
    """They begin and end where PostgreSQL says."""
    found = [token.text for token in read_tokens(text)]
    assert found[0] == literal
    assert found == postgres_tokens(text)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("select\n 'a", Place(2, 2), "a literal begins here and does not end; close it by '"),
        ("E'a\\'", Place(1, 1), "a literal begins here"),
        ('select "a', Place(1, 8), "a quoted name or literal begins here and does not end; close the quotes"),
        ("U&'a", Place(1, 1), "a quoted name or literal begins here"),
        ("select 1 /* /* */", Place(1, 10), "a comment begins here and does not end; close it by */"),
        ("é; $tag$ $Tag$", Place(1, 4), "a dollar-quoted literal begins here and does not end; repeat its tag"),
    ],
)  # fmt: skip
def test_what_does_not_end(text: str, place: Place, message: str) -> None:
    """It is told where it begins, and what would end it."""
    with pytest.raises(UnterminatedError) as caught:
        list(read_tokens(text))
    assert caught.value.fault.place == place
    assert message in str(caught.value)


@settings(max_examples=800)
@given(text=SOUP)
@example(text="E'a'\n'b\\'")
@example(text="1..2")
@example(text="a=--c\n-1")
@example(text="@-- -+")
def test_every_text_has_the_tokens_of_postgresql(text: str, postgres_tokens: Callable[[str], list[str] | None]) -> None:
    """Whatever PostgreSQL's lexer takes, ours cuts in the same way; nothing more can be asked, since it refuses more than we do."""
    wanted = postgres_tokens(text)
    if wanted is not None:
        assert [token.text for token in read_tokens(text)] == wanted


@settings(max_examples=300)
@given(text=WRITING)
def test_tokens_are_pieces_of_the_text(text: str) -> None:
    """Each token stands where it says, behind the one before it."""
    tokens: list[Token] = []
    with contextlib.suppress(UnterminatedError):
        tokens.extend(read_tokens(text))
    assert all(text[token.start : token.end] == token.text != "" for token in tokens)
    assert all(before.end <= after.start for before, after in pairwise(tokens))


@settings(max_examples=300)
@given(literal=WRITING, tag=st.sampled_from(["", "t", "_1", "é"]))
def test_quoting_is_read_back(literal: str, tag: str) -> None:
    """A text in quotes is one token, whatever it is."""
    quoted = ["'" + literal.replace("'", "''") + "'", '"' + literal.replace('"', '""') + '"']
    if f"${tag}$" not in literal and not literal.endswith("$") and f"${tag}" not in literal:
        quoted.append(f"${tag}${literal}${tag}$")
    for text in quoted:
        assert [token.text for token in read_tokens(f" {text} ;")] == [text, ";"]
