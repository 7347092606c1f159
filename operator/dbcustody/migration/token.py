"""The tokens of PostgreSQL's SQL, so that a text can be cut where the server would cut it, and nowhere else.

The rules are those of PostgreSQL 14 to 18 (src/backend/parser/scan.l; manual, chapter "Lexical Structure"), with
`standard_conforming_strings` on: a migration that turns it off is refused. What PostgreSQL itself rejects may pass here
(`123abc`, `""`): the server says it better. tests/migration holds this lexer to PostgreSQL's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dbcustody.migration.fault import Fault, Lines

if TYPE_CHECKING:
    from collections.abc import Iterator


class Kind(StrEnum):
    """What a token is."""

    WORD = "word"
    """A keyword or a name without quotes."""
    QUOTED = "quoted"
    """A name in double quotes, also U&"..."."""
    STRING = "string"
    """A literal, in whichever quotes, with the pieces that continue it on later lines."""
    NUMBER = "number"
    PARAMETER = "parameter"
    OPERATOR = "operator"
    MARK = "mark"
    """Punctuation, and every character that PostgreSQL knows no use for."""


@dataclass(frozen=True, slots=True)
class Token:
    """What stands between two places of a text; white space and comments are none."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        """The offset of the first character behind it."""
        return self.start + len(self.text)

    @property
    def word(self) -> str:
        """The keyword that it may be, in lower case; empty when it is something else."""
        return lowered(self.text) if self.kind is Kind.WORD else ""


class UnterminatedError(ValueError):
    """A literal, name or comment that begins and does not end."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


_BLANK: Final = re.compile(r"(?:[ \t\n\r\f\v]|--[^\n\r]*+)*+")
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")
# A literal goes on behind white space with a line end in it, comments included, and keeps the rules of its first piece.
_CONTINUED: Final = r"(?:(?:[ \t\f\v]|--[^\n\r]*+)*+[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*+[\n\r])*+'{piece})*+"
_PLAIN: Final = r"(?:[^']++|'')*+'"
_ESCAPED: Final = r"(?:[^'\\]++|''|\\[\s\S])*+'"
_BITS: Final = r"[^']*+'"
_LETTER: Final = r"[A-Za-z_\x80-\U0010ffff]"
_TOKEN: Final = re.compile(
    rf"""
      (?P<escaped>[eE]'{_ESCAPED}{_CONTINUED.replace("{piece}", _ESCAPED)})
    | (?P<bits>[bBxX]'{_BITS}{_CONTINUED.replace("{piece}", _BITS)})
    | (?P<string>(?:[uU]&)?'{_PLAIN}{_CONTINUED.replace("{piece}", _PLAIN)})
    | (?P<quoted>(?:[uU]&)?"(?:[^"]++|"")*+")
    | (?P<dollar>\$(?P<tag>(?:{_LETTER}(?:{_LETTER}|[0-9])*+)?)\$[\s\S]*?\$(?P=tag)\$)
    | (?P<open>(?:[eEbBxX]|[uU]&)?'|(?:[uU]&)?"|\$(?:{_LETTER}(?:{_LETTER}|[0-9])*+)?\$)
    | (?P<word>{_LETTER}(?:{_LETTER}|[0-9$])*+)
    | (?P<parameter>\$[0-9]++)
    | (?P<number>0[xX](?:_?[0-9A-Fa-f])++|0[oO](?:_?[0-7])++|0[bB](?:_?[01])++
        |(?:[0-9](?:_?[0-9])*+(?:\.(?!\.)(?:[0-9](?:_?[0-9])*+)?)?|\.[0-9](?:_?[0-9])*+)(?:[eE][+-]?[0-9](?:_?[0-9])*+)?)
    | (?P<operator>[~!@\#^&|`?+\-*/%<>=]++)
    | (?P<mark>::|:=|\.\.|[\s\S])
    """,
    re.VERBOSE,
)
_KINDS: Final = {
    "escaped": Kind.STRING,
    "bits": Kind.STRING,
    "string": Kind.STRING,
    "dollar": Kind.STRING,
    "quoted": Kind.QUOTED,
    "word": Kind.WORD,
    "parameter": Kind.PARAMETER,
    "number": Kind.NUMBER,
    "operator": Kind.OPERATOR,
    "mark": Kind.MARK,
}
_SIGN_KEEPERS: Final = frozenset("~!@#^&|`?%")
_CAPITALS: Final = {capital: capital + 32 for capital in range(ord("A"), ord("Z") + 1)}


def lowered(name: str) -> str:
    """Return *name* as PostgreSQL folds it in UTF-8: ASCII letters alone become small ones."""
    return name.translate(_CAPITALS)


def read_tokens(text: str, start: int = 0) -> Iterator[Token]:
    """Yield the tokens of *text* from the offset *start* on, in order; raises UnterminatedError where one does not end."""
    at = _skip_blank(text, start)
    while at < len(text):
        token = _token_at(text, at)
        yield token
        at = _skip_blank(text, token.end)


def _token_at(text: str, start: int) -> Token:
    match = _TOKEN.match(text, start)
    kind = _KINDS.get(match.lastgroup or "") if match else None
    if match is None or kind is None:
        raise _unterminated(text, start)
    return Token(kind, _operator(match[0]) if kind is Kind.OPERATOR else match[0], start)


def _operator(run: str) -> str:
    """Return the operator that *run* begins with: a comment ends it, and a sign behind it is one of its own in most cases (scan.l)."""
    edges = [edge for edge in (run.find("--"), run.find("/*")) if edge > 0]
    found = run[: min(edges, default=len(run))]
    if not set(found[:-1]) & _SIGN_KEEPERS:
        found = found[0] + found[1:].rstrip("+-")
    return found


def _skip_blank(text: str, start: int) -> int:
    """Return the offset of the first character from *start* on that is neither white space nor within a comment."""
    at = _end_of_blank(text, start)
    while text.startswith("/*", at):
        at = _end_of_blank(text, end_of_comment(text, at))
    return at


def _end_of_blank(text: str, start: int) -> int:
    match = _BLANK.match(text, start)
    return match.end() if match else start


def end_of_comment(text: str, start: int) -> int:
    """Return the offset behind the comment that begins at *start*; comments nest. Raises UnterminatedError where it does not end."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    raise _unterminated(text, start)


def _unterminated(text: str, start: int) -> UnterminatedError:
    what, helps = _unterminated_words(text[start : start + 2])
    return UnterminatedError(
        Fault(what=f"{what} begins here and does not end", helps=helps, place=Lines(text).place(start))
    )


def _unterminated_words(front: str) -> tuple[str, str]:
    match front:
        case "/*":
            return "a comment", "close it by */; comments nest, each /* needs one"
        case _ if front.startswith("$"):
            return "a dollar-quoted literal", "repeat its tag at the end, in the same letters"
        case _ if '"' in front or front in {"U&", "u&"}:
            return "a quoted name or literal", "close the quotes; a quote within them is written twice"
    return "a literal", "close it by '; a quote within it is written twice"
