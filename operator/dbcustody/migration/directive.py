"""What the head of a migration says of it, in comments: `-- dbcustody: <word> <value>`, before the first statement.

Every directive loosens or declares something; one that is misspelt must not do so unnoticed, so an unknown one is a fault, and so is
one below the first statement.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from dbcustody.migration.fault import Fault, Lines
from dbcustody.migration.statement import begins, cut
from dbcustody.migration.token import Kind, UnterminatedError, end_of_comment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dbcustody.migration.statement import Statement


class Phase(StrEnum):
    """Which step of a change in several steps a migration is."""

    EXPAND = "expand"
    CONTRACT = "contract"
    DATA = "data"


MOST_BUDGET_SECONDS: Final = 604_800
"""As in `policy.statementTimeoutSeconds`; PostgreSQL counts milliseconds in 32 bits (manual, `statement_timeout`)."""


class Span(StrEnum):
    """How long a migration may take where no budget is named."""

    SHORT = "short"
    LONG = "long"


@dataclass(frozen=True, slots=True)
class Waiver:
    """A finding of *rule* that the author has accepted, and why."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Directives:
    """What a head says; None and nothing where it is silent."""

    revision: str | None = None
    down_revisions: tuple[str, ...] | None = None
    """The revisions that must be in before; empty for a first one; None: the file before this one."""
    transaction: bool | None = None
    span: Span | None = None
    budget_seconds: float | None = None
    idempotent: str | None = None
    """Why the code that it runs may be run again after it was cut short."""
    waivers: tuple[Waiver, ...] = ()
    phase: Phase | None = None
    invariants: tuple[str, ...] = ()
    """Queries that must return true once it is applied."""
    requires: tuple[str, ...] = ()
    """Extensions that must be there before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The directives of a file, and what is wrong with them."""

    directives: Directives
    faults: tuple[Fault, ...]


LONGEST_REVISION: Final = 32
"""Characters; Alembic keeps a revision in a VARCHAR(32)."""
_REVISION: Final = re.compile(rf"[A-Za-z0-9_]{{1,{LONGEST_REVISION}}}")
_RULE: Final = re.compile(r"(?P<rule>[a-z][a-z0-9-]*) because (?P<reason>\S.*)")
_BECAUSE: Final = re.compile(r"because (?P<reason>\S.*)")
_BUDGET: Final = re.compile(r"(?P<count>[1-9][0-9]{0,8}) ?(?P<unit>ms|s|min|h)")
_EXTENSION: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_SAID: Final = re.compile(r"--[ \t]*dbcustody[ \t]*:(?P<said>[^\n\r]*)", re.IGNORECASE)
_COMMENT: Final = re.compile(r"/\*|--[^\n\r]*+")
_SHOWN: Final = 60


class _RefusedError(ValueError):
    """A value that a directive cannot have; the text says what it can."""


def read_head(text: str, statements: Sequence[Statement]) -> Head:
    """Return what the comments before the first of *statements* say, and every fault; *statements* are those of *text*."""
    first = statements[0].start if statements else len(text)
    lines = Lines(text)
    values: dict[str, list[Any]] = {}
    faults = [
        Fault(
            what="a directive stands below the head",
            helps="write it above the first statement, where it is seen",
            place=lines.place(offset),
        )
        for offset in _misplaced(text, first, statements)
    ]
    for offset, said in _said(text, first):
        word, _, value = said.strip().partition(" ")
        fault = _take(word, value.strip(), values)
        if fault is not None:
            faults.append(replace(fault, place=lines.place(offset)))
    return Head(directives=_directives(values), faults=tuple(faults))


def _take(word: str, value: str, values: dict[str, list[Any]]) -> Fault | None:
    """Add what *word* says to *values*; returns what is wrong with it, or None."""
    parse = _WORDS.get(word)
    if parse is None:
        return Fault(what=f"there is no directive {word[:_SHOWN]!r}", helps=_suggestion(word))
    if word in values and word not in _REPEATED:
        return Fault(what=f"{word} is said twice", helps="say it once")
    try:
        values.setdefault(word, []).append(parse(value))
    except _RefusedError as error:
        return Fault(what=f"{word} cannot be {value[:_SHOWN]!r}", helps=f"must be {error}")
    return None


def _directives(values: Mapping[str, list[Any]]) -> Directives:
    given: dict[str, Any] = {}
    for word, found in values.items():
        if found:
            given[_FIELDS[word]] = tuple(found) if word in _REPEATED else found[0]
    return Directives(**given)


def _suggestion(word: str) -> str:
    near = get_close_matches(word, _WORDS, n=1)
    return f"is {near[0]!r} meant" if near else f"there are {', '.join(_WORDS)}"


def _said(text: str, end: int) -> Iterator[tuple[int, str]]:
    """Yield what the directives before *end* say, with their offsets; one that is commented out says nothing."""
    at = 0
    while (match := _COMMENT.search(text, at, end)) is not None:
        said = _SAID.match(match[0])
        if said is not None:
            yield match.start(), said["said"]
        at = match.end() if match[0] != "/*" else _behind_comment(text, match.start())


def _behind_comment(text: str, start: int) -> int:
    """Return the offset behind a comment; one that does not end is a fault of the statements, and is told there."""
    try:
        return end_of_comment(text, start)
    except UnterminatedError:
        return len(text)


def _misplaced(text: str, first: int, statements: Sequence[Statement]) -> Iterator[int]:
    """Yield where something that looks like a directive stands from *first* on, but in a literal it is not one."""
    literals = [
        token for statement in statements for token in statement.tokens if token.kind in {Kind.STRING, Kind.QUOTED}
    ]
    starts = [literal.start for literal in literals]
    for match in _SAID.finditer(text, first):
        before = bisect_right(starts, match.start())
        if before == 0 or literals[before - 1].end <= match.start():
            yield match.start()


def _revision(value: str) -> str:
    if not _REVISION.fullmatch(value):
        raise _RefusedError(f"letters, digits and '_', at most {LONGEST_REVISION}")
    return value


def _revisions(value: str) -> tuple[str, ...]:
    return () if value == "none" else tuple(_revision(one.strip()) for one in value.split(","))


def _switch(value: str) -> bool:
    if value not in {"on", "off"}:
        raise _RefusedError("on or off")
    return value == "on"


def _choice(kind: type[Phase | Span]) -> Callable[[str], Phase | Span]:
    def parse(value: str) -> Phase | Span:
        try:
            return kind(value)
        except ValueError as error:
            raise _RefusedError(" or ".join(kind)) from error

    return parse


def _budget(value: str) -> float:
    match = _BUDGET.fullmatch(value)
    if match is None:
        raise _RefusedError("a number with ms, s, min or h, such as 30min")
    seconds: float = int(match["count"]) * _SECONDS[match["unit"]]
    if seconds > MOST_BUDGET_SECONDS:
        raise _RefusedError("at most a week, 168h")
    return seconds


def _reason(value: str) -> str:
    match = _BECAUSE.fullmatch(value)
    if match is None:
        raise _RefusedError("'because' and the reason")
    return match["reason"]


def _waiver(value: str) -> Waiver:
    match = _RULE.fullmatch(value)
    if match is None:
        raise _RefusedError("the name of a rule, 'because' and the reason")
    return Waiver(match["rule"], match["reason"])


def _invariant(value: str) -> str:
    found = cut(value)
    if found.faults or len(found.statements) != 1 or not begins(found.statements[0].terms, "select|with|values|table"):
        raise _RefusedError("one query that returns true")
    return found.statements[0].text


def _extension(value: str) -> str:
    if not _EXTENSION.fullmatch(value):
        raise _RefusedError("the name of one extension")
    return value


_WORDS: Final[Mapping[str, Callable[[str], Any]]] = {
    "revision": _revision,
    "down-revision": _revisions,
    "transaction": _switch,
    "class": _choice(Span),
    "budget": _budget,
    "idempotent": _reason,
    "allow": _waiver,
    "phase": _choice(Phase),
    "invariant": _invariant,
    "requires": _extension,
}
"""Every directive, and what its value becomes."""
_REPEATED: Final = frozenset({"allow", "invariant", "requires"})
_FIELDS: Final[Mapping[str, str]] = {
    "revision": "revision",
    "down-revision": "down_revisions",
    "transaction": "transaction",
    "class": "span",
    "budget": "budget_seconds",
    "idempotent": "idempotent",
    "allow": "waivers",
    "phase": "phase",
    "invariant": "invariants",
    "requires": "requires",
}
