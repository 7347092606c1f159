"""What a script will do, statement by statement: what a plan shows of it before anything is run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dbcustody.migration.effect import Effect, strongest
from dbcustody.migration.fault import Fault
from dbcustody.migration.forecast import Risk, forecast, risk_of
from dbcustody.migration.lock import Work
from dbcustody.migration.nature import Nature, classify
from dbcustody.migration.relation import read_relation
from dbcustody.migration.statement import Statement, begins
from dbcustody.migration.token import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbcustody.migration.body import Body
    from dbcustody.migration.lock import Lock
    from dbcustody.migration.relation import Relation


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One statement, and what is expected of it."""

    statement: Statement
    nature: Nature
    effect: Effect
    risk: Risk

    @property
    def is_irreversible(self) -> bool:
        """Whether no statement brings back what was before."""
        return self.effect.is_irreversible or bool(self.effect.destroys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The steps of a script."""

    steps: tuple[Step, ...]

    @property
    def risk(self) -> Risk:
        """That of the most dangerous step."""
        return max((step.risk for step in self.steps), default=Risk.SAFE)

    @property
    def locks(self) -> tuple[Lock, ...]:
        """The strongest lock on each relation that was there before; a transaction holds it to its end."""
        return strongest(lock for step in self.steps for lock in step.effect.locks)

    @property
    def work(self) -> Work:
        """The most that a step goes through."""
        return max((step.effect.work for step in self.steps), default=Work.CATALOGUE)

    @property
    def point_of_no_return(self) -> int | None:
        """The number, from 1, of the first step that no statement undoes; None: there is none."""
        return next((number for number, step in enumerate(self.steps, 1) if step.is_irreversible), None)


def look_ahead(statements: Sequence[Statement]) -> Outlook:
    """Return what *statements* will do one after the other; what one of them makes, a later one may lock and destroy without harm."""
    made: set[Relation] = set()
    steps = []
    for statement in statements:
        step = _step(statement, made)
        made.update(step.effect.creates)
        steps.append(step)
    return Outlook(steps=tuple(steps))


def jamming(statements: Sequence[Statement]) -> tuple[Lock, ...]:
    """Return the locks of *statements* on relations that were there before, for which those who write wait, and who reads, perhaps."""
    return tuple(lock for lock in look_ahead(statements).locks if lock.mode.stops_writers)


def risk_of_body(body: Body) -> Risk:
    """Return that of the statements of *body*, as far as they are known; at least Caution where they may not be all."""
    return max(look_ahead(body.statements).risk, Risk.CAUTION if body.is_python else Risk.SAFE)


def _step(statement: Statement, made: set[Relation]) -> Step:
    nature, effect = classify(statement.terms).nature, forecast(statement.terms)
    others = tuple(lock for lock in effect.locks if lock.relation not in made)
    if effect.locks and not others:
        own = replace(effect, locks=(), destroys=(), is_irreversible=False)
        return Step(statement=statement, nature=nature, effect=own, risk=Risk.SAFE)
    return Step(
        statement=statement, nature=nature, effect=replace(effect, locks=others), risk=risk_of(statement.terms, effect)
    )


def unusable_values(statements: Sequence[Statement]) -> Iterator[Fault]:
    """Yield where a literal is that of a value which an earlier statement adds to an enum: PostgreSQL has it usable after the commit.

    A literal may mean something else, so this is a warning and refuses nothing. A type that is made in the same transaction is exempt.
    """
    made: set[str] = set()
    added: dict[str, str] = {}
    for statement in statements:
        terms = statement.terms
        for token in statement.tokens:
            if token.kind is Kind.STRING and token.text in added:
                what = f"{token.text} may be the value that is added to {added[token.text]} above, and is no value before the commit"
                yield Fault(what=what, helps="use it in the next migration", place=statement.place)
        if begins(terms, "create", "type"):
            made.update(map(str, read_relation(terms[2:]).relations))
        elif begins(terms, "alter", "type") and "value" in terms:
            literal = next(term for term in (*terms[terms.index("value") :], "'") if term.startswith("'"))
            added.update((literal, name) for name in map(str, read_relation(terms[2:]).relations) if name not in made)
