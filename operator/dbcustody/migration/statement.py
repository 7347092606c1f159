"""The statements of a script, cut exactly where PostgreSQL would cut them: at each `;` that belongs to no statement.

Two kinds of statement have a `;` within (gram.y): the body of a routine between BEGIN ATOMIC and END, and the actions of a rule in
parentheses. An END closes a body exactly when it follows a `;` or ATOMIC, because every statement in there ends with one; that of a CASE,
or a column of that name, never does. What is no SQL at all, but of psql, is a fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from dbcustody.migration.fault import MOST_FAULTS, Fault, Lines, Place
from dbcustody.migration.token import Token, UnterminatedError, lowered, read_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Terms = tuple[str, ...]
"""What a statement consists of: keywords and plain names in small letters, everything else as it is written, quotes included."""

_LONGEST_MAKING: Final = len(("create", "or", "replace", "function"))
_LONGEST_NAME: Final = 40
_END_OF_DATA: Final = re.compile(r"^\\\.[ \t\r]*$", re.MULTILINE)
_PSQL_HELP: Final = {
    "i": "write the statements of that file here, or as a migration of its own",
    "ir": "write the statements of that file here, or as a migration of its own",
    "include": "write the statements of that file here, or as a migration of its own",
    "copy": "write the rows as INSERT; bulk data belongs into a seed",
    "c": "a migration runs in one database, the one that the resource names",
    "connect": "a migration runs in one database, the one that the resource names",
    "set": "psql's variables are not known here; write the value where it is used",
    "gset": "psql's variables are not known here; write the value where it is used",
    "gexec": "use a DO block with EXECUTE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement as it is written, from its first token to its last, without the `;`."""

    text: str
    start: int
    """Offset of its first character in the script."""
    place: Place
    tokens: tuple[Token, ...]
    terms: Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What a script was cut into, and what is wrong with it; with faults the statements may not be all."""

    statements: tuple[Statement, ...]
    faults: tuple[Fault, ...]


def begins(terms: Sequence[str], *words: str) -> bool:
    """Return whether the first of *terms* are *words*; `a|b` stands for either, `?` for any one."""
    return stands_at(terms, 0, *words)


def holds(terms: Sequence[str], *words: str) -> bool:
    """Return whether *words* follow each other somewhere in *terms*."""
    return any(stands_at(terms, at, *words) for at in range(len(terms)))


def stands_at(terms: Sequence[str], at: int, *words: str) -> bool:
    """Return whether *words* stand in *terms* from the index *at* on; nothing is copied, since a statement may have a million terms."""
    if len(terms) - at < len(words):
        return False
    for offset, word in enumerate(words):
        term = terms[at + offset]
        if word not in (term, "?") and ("|" not in word or term not in word.split("|")):
            return False
    return True


def cut(text: str) -> Cut:
    """Return the statements of *text* and all faults of its outer form."""
    cutter = _Cutter(text)
    at: int | None = 0
    try:
        while at is not None:
            at = cutter.read_from(at)
    except UnterminatedError as error:
        cutter.faults.append(error.fault)
    return Cut(statements=tuple(cutter.statements), faults=tuple(cutter.faults))


class _Cutter:
    def __init__(self, text: str) -> None:
        self.text = text
        self.statements: list[Statement] = []
        self.faults: list[Fault] = []
        self._lines = Lines(text)
        self._tokens: list[Token] = []
        self._openers: list[Token] = []  # parentheses, and the BEGINs of bodies, that are not closed yet
        self._inner = 0  # where, among the tokens, the innermost statement begins
        self._brackets = 0  # how many are open: a slice of an array is the one place for a ':'

    def read_from(self, start: int) -> int | None:
        """Take the tokens from *start* on; returns where to go on behind what is no SQL, or None at the end."""
        for token in read_tokens(self.text, start):
            if token.text == "\\":
                return self._skip_command(token)
            if token.text == ";" and self._is_border(token):
                behind = self._finish(token.end)
                if behind is not None:
                    return behind
            else:
                self._take(token)
        self._end()
        return None

    def _take(self, token: Token) -> None:
        previous = self._tokens[-1].text if self._tokens else ""
        self._tokens.append(token)
        match token.text:
            case "(":
                self._openers.append(token)
            case ")":
                self._close_parenthesis(token)
            case "[" | "]":
                self._brackets += 1 if token.text == "[" else -1
            case ":" if self._brackets <= 0:
                self._blame(token, "a ':' that no '[' stands before is a variable of psql", _PSQL_HELP["set"])
            case _ if token.word == "atomic" and self._opens_body(previous):
                self._openers.append(self._tokens[-2])
                self._inner = len(self._tokens)
            case _ if token.word == "end" and self._is_in_body and lowered(previous) in {";", "atomic"}:
                self._openers.pop()

    @property
    def _is_in_body(self) -> bool:
        return bool(self._openers) and self._openers[-1].word == "begin"

    @property
    def _is_in_parentheses(self) -> bool:
        return bool(self._openers) and not self._is_in_body

    def _opens_body(self, previous: str) -> bool:
        """Return whether an ATOMIC behind *previous* opens a body; within parentheses it is the type of an argument named begin."""
        return lowered(previous) == "begin" and not self._is_in_parentheses and self._made in {"function", "procedure"}

    @property
    def _made(self) -> str:
        """What the innermost statement creates; empty when it creates nothing."""
        return made_by(terms_of(self._tokens[self._inner : self._inner + _LONGEST_MAKING]))

    def _close_parenthesis(self, token: Token) -> None:
        if self._is_in_parentheses:
            self._openers.pop()
        else:
            self._blame(token, "a ')' that no '(' belongs to", "take it out, or add the '('")

    def _is_border(self, token: Token) -> bool:
        """Return whether the `;` ends the statement; one within parentheses that are not a rule's does so by mistake."""
        if self._is_in_body:
            self._inner = len(self._tokens) + 1
        elif self._is_in_parentheses and self._made != "rule":
            self._blame(
                self._openers[-1], f"a '(' that is not closed before the ';' of line {self._line(token)}", "add the ')'"
            )
            self._openers.clear()
        return not self._openers

    def _finish(self, behind: int) -> int | None:
        """Keep what stands before a `;`; returns where to go on when rows for COPY stand behind it, else None."""
        self._keep()
        if not self.statements or not reads_stdin(self.statements[-1].terms):
            return None
        data = _END_OF_DATA.search(self.text, behind)
        return data.end() if data else None

    def _end(self) -> None:
        opener = self._openers[-1] if self._openers else None
        if opener is not None and opener.text == "(":
            self._blame(opener, "a '(' that is not closed", "add the ')'")
        elif opener is not None:
            helps = "write a ';' behind each statement of the body, and END behind the last"
            self._blame(opener, "a BEGIN ATOMIC without its END", helps)
        self._openers.clear()
        self._keep()

    def _keep(self) -> None:
        if self._tokens:
            first, last = self._tokens[0], self._tokens[-1]
            self.statements.append(
                Statement(
                    text=self.text[first.start : last.end],
                    start=first.start,
                    place=self._lines.place(first.start),
                    tokens=tuple(self._tokens),
                    terms=terms_of(self._tokens),
                )
            )
        self._tokens = []
        self._inner = self._brackets = 0

    def _skip_command(self, token: Token) -> int:
        """Note a command of psql; returns the end of its line."""
        end = self.text.find("\n", token.start)
        line = self.text[token.start : end if end >= 0 else len(self.text)]
        name = line[1:].split(maxsplit=1)[0] if line[1:].strip() else ""
        helps = _PSQL_HELP.get(name, "take it out: the server is sent SQL, and psql is not there")
        self._blame(token, f"\\{name[:_LONGEST_NAME]} is a command of psql", helps)
        return token.start + len(line)

    def _blame(self, token: Token, what: str, helps: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(what=what, helps=helps, place=self._lines.place(token.start)))

    def _line(self, token: Token) -> int:
        return self._lines.place(token.start).line


def terms_of(tokens: Iterable[Token]) -> Terms:
    """Return *tokens* as terms."""
    return tuple(token.word or token.text for token in tokens)


def made_by(terms: Sequence[str]) -> str:
    """Return what a statement of *terms* creates (`function`, `rule`, ...), or nothing when it does not begin with CREATE."""
    rest = terms[3:] if begins(terms, "create", "or", "replace") else terms[1:]
    return rest[0] if rest and begins(terms, "create") else ""


def reads_stdin(terms: Sequence[str]) -> bool:
    """Return whether a statement of *terms* is a COPY whose rows come from the client."""
    return begins(terms, "copy") and any(pair == ("from", "stdin") for pair in pairwise(terms))
