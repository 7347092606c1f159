"""One direction of a migration: the statements of a file, how they are to be run, and everything that is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dbcustody.migration.directive import Directives, read_head
from dbcustody.migration.fault import MOST_FAULTS, Fault
from dbcustody.migration.nature import Nature, classify
from dbcustody.migration.reading import checksum, read_text
from dbcustody.migration.refusal import refusals
from dbcustody.migration.relation import name_of
from dbcustody.migration.statement import Statement, cut, stands_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbcustody.migration.statement import Terms

OUR_SCHEMA: Final = "dbcustody"
"""Where the ledger lies."""
_FARTHEST_WORD: Final = len(("schema", "if", "not", "exists"))
_UP_ONLY: Final = ("revision", "down_revisions", "phase", "requires")
_ALONE: Final = "move it to a migration of its own, and what stands before and behind it to one earlier and one later"


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a file says; *text* is what its checksum, its statements and the ledger are of."""

    file: str
    text: str
    checksum: str
    statements: tuple[Statement, ...]
    directives: Directives
    is_transactional: bool
    """Whether all of it runs in one transaction; otherwise it is one statement, run by itself."""
    function: str | None = None
    """The function that is called, of a file in Python; its statements are known only where somebody rendered them. None: it is SQL."""
    is_mixed: bool = False
    """Whether a function leaves its transaction and does something else besides, so that it can be neither run nor undone as a whole."""

    preview: str = ""
    """The SQL that a file in Python renders without a database, which its statements are of; empty: none, or nobody has rendered it."""
    unseen: str = ""
    """Why that is not all of it, so far as it is known; empty: nothing stopped it."""

    @property
    def is_python(self) -> bool:
        """Whether it is somebody's code, which decides as it runs."""
        return self.function is not None

    @property
    def sql(self) -> str:
        """The text that its statements are of."""
        return self.preview if self.is_python else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBody:
    """A body and its faults; *body* is None where the file holds no text, and not to be run while there are any."""

    body: Body | None
    faults: tuple[Fault, ...]


def read_body(file: str, content: bytes, *, is_down: bool) -> ReadBody:
    """Return what the *file* of *content* says, and everything that is wrong with it."""
    text = read_text(content)
    if isinstance(text, Fault):
        return ReadBody(body=None, faults=(replace(text, file=file),))
    found = cut(text)
    head = read_head(text, found.statements)
    body = Body(
        file=file,
        text=text,
        checksum=checksum(text),
        statements=found.statements,
        directives=head.directives,
        is_transactional=_is_transactional(found.statements, head.directives),
    )
    emptiness = [] if found.faults or found.statements else [_emptiness(is_down=is_down)]
    faults = [*found.faults, *head.faults, *emptiness, *_content_faults(body, is_down=is_down)]
    return ReadBody(body=body, faults=tuple(replace(fault, file=file) for fault in faults[:MOST_FAULTS]))


def _is_transactional(statements: Sequence[Statement], directives: Directives) -> bool:
    if directives.transaction is not None:
        return directives.transaction
    return all(classify(statement.terms).nature is Nature.TRANSACTIONAL for statement in statements)


def _content_faults(body: Body, *, is_down: bool) -> Iterator[Fault]:
    if is_down:
        yield from _misdirected(body.directives)
    for statement in body.statements:
        yield from refusals(statement)
        yield from trespasses(statement)
    if body.directives.transaction:
        yield from _unfit_for_transaction(body.statements)
    else:
        yield from _undeclared(body)
        yield from _not_alone(body)


def _emptiness(*, is_down: bool) -> Fault:
    if is_down:
        helps = "delete it: a migration without a way back is shown as irreversible, an empty one would only claim to undo it"
        return Fault(what="holds no statement", helps=helps)
    return Fault(what="holds no statement", helps="write one, or delete the file")


def _misdirected(directives: Directives) -> Iterator[Fault]:
    for name in _UP_ONLY:
        if getattr(directives, name):
            word = name.replace("down_revisions", "down-revision")
            yield Fault(what=f"{word} is said on the way back", helps="say it in the file of the way forth")


def trespasses(statement: Statement) -> Iterator[Fault]:
    """Yield that *statement* touches the schema of the ledger; nothing where it does not."""
    terms = statement.terms
    if any(name_of(term) == OUR_SCHEMA and _is_schema(terms, at) for at, term in enumerate(terms)):
        what = f"touches the schema {OUR_SCHEMA}, where the ledger of all migrations lies"
        yield Fault(
            what=what, helps="take it out; `dbcustody migrate resolve` changes the ledger", place=statement.place
        )


def _is_schema(terms: Terms, at: int) -> bool:
    """Return whether the name at the index *at* is that of a schema: before a dot and behind none, or behind the word."""
    before = terms[max(at - _FARTHEST_WORD, 0) : at]
    return (stands_at(terms, at + 1, ".") and before[-1:] != (".",)) or "schema" in before


def _unfit_for_transaction(statements: Sequence[Statement]) -> Iterator[Fault]:
    for statement in statements:
        classified = classify(statement.terms)
        if classified.nature is Nature.NON_TRANSACTIONAL:
            helps = "take out `-- dbcustody: transaction on`"
            yield Fault(what=f"{classified.name} cannot run in a transaction", helps=helps, place=statement.place)


def _undeclared(body: Body) -> Iterator[Fault]:
    """Code that may commit can stop half-way; whoever writes it says that it may be run again, or that it commits nothing."""
    for statement in body.statements:
        classified = classify(statement.terms)
        if classified.nature is Nature.MAY_COMMIT and body.directives.idempotent is None:
            yield Fault(
                what=f"{classified.name} may commit within, so that a failure would leave a part of it done",
                helps="say `-- dbcustody: transaction on` when it does not, or `-- dbcustody: idempotent because ...` if it may run again",
                place=statement.place,
            )


def _not_alone(body: Body) -> Iterator[Fault]:
    """Yield what runs outside of a transaction and has company, which nothing takes back when it fails."""
    if len(body.statements) < 2:  # noqa: PLR2004 - one is alone
        return
    if body.directives.transaction is False:
        yield Fault(
            what=f"is to run {len(body.statements)} statements without a transaction, and could stop between them",
            helps="make each a migration of its own, or take out `-- dbcustody: transaction off`",
        )
        return
    for statement in body.statements:
        classified = classify(statement.terms)
        if classified.nature is not Nature.TRANSACTIONAL:
            yield Fault(
                what=f"{classified.name} runs outside of a transaction, and must stand alone",
                helps=_ALONE,
                place=statement.place,
            )
