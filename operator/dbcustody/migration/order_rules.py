"""What the statements of a file do to each other: locks that are held while the next one works, and in which order they are taken."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from dbcustody.migration.finding import Finding, Severity
from dbcustody.migration.lock import Mode, Work
from dbcustody.migration.recipe import one_file_each
from dbcustody.migration.statement import begins
from dbcustody.migration.tablefacts import heaviest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dbcustody.migration.outlook import Outlook, Step
    from dbcustody.migration.relation import Relation
    from dbcustody.migration.tablefacts import Facts

RULES = {
    "many-strong-locks": "a file that keeps readers from several tables at once",
    "lock-upgrade": "a statement that needs a stronger lock on a table than an earlier one of its file: two who do that end each other",
    "work-while-locked": "work on rows behind a statement that stops others: they wait for all of it",
    "lock-order": "files that lock the same tables in different orders: whoever is between them may deadlock",
}


def order_findings(outlook: Outlook, facts: Facts) -> Iterator[Finding]:
    """Yield what the statements of a file that runs in one transaction do to each other."""
    yield from _many(outlook)
    yield from _upgrades(outlook)
    yield from _work(outlook, facts)


def _texts(outlook: Outlook) -> list[str]:
    return [step.statement.text for step in outlook.steps]


def _many(outlook: Outlook) -> Iterator[Finding]:
    held = [lock.relation for lock in outlook.locks if lock.mode.stops_readers]
    lone = [{lock.relation for lock in step.effect.locks if lock.mode.stops_readers} for step in outlook.steps]
    if len(held) > 1 and sum(map(bool, lone)) > 1:
        what = f"nobody can read {', '.join(map(str, held))} until the last of them was had and all is done"
        can_part = max(map(len, lone)) == 1
        yield Finding(
            rule="many-strong-locks",
            severity=Severity.WARNING,
            what=what,
            helps="make each table a file of its own" if can_part else "name fewer tables in one statement",
            recipe=one_file_each(_texts(outlook)) if can_part else None,
        )


def _upgrades(outlook: Outlook) -> Iterator[Finding]:
    held: dict[Relation, Mode] = {}
    for number, step in enumerate(outlook.steps, 1):
        for lock in step.effect.locks:
            before = held.get(lock.relation, lock.mode)
            if before < lock.mode and lock.mode > Mode.SHARE:
                what = f"{lock.relation} is locked more strictly than before, while others who use it wait for this transaction"
                helps = "make them files of their own, or take the strongest lock first"
                recipe = one_file_each(_texts(outlook))
                yield Finding(
                    rule="lock-upgrade",
                    severity=Severity.WARNING,
                    what=what,
                    helps=helps,
                    statement=number,
                    recipe=recipe,
                )
            held[lock.relation] = max(before, lock.mode)


def _work(outlook: Outlook, facts: Facts) -> Iterator[Finding]:
    stopped: list[Relation] = []
    for number, step in enumerate(outlook.steps, 1):
        if stopped and _takes_long(step):
            weight = heaviest((lock.relation for lock in step.effect.locks), facts)
            who = ", ".join(dict.fromkeys(map(str, stopped)))
            yield Finding(
                rule="work-while-locked",
                severity=weight.severity,
                what=f"whoever writes to {who} waits until this is done, too ({weight.words})",
                helps="make them files of their own: the lock ends with the first",
                statement=number,
                recipe=one_file_each(_texts(outlook)),
            )
        stopped += [lock.relation for lock in step.effect.locks if lock.mode.stops_writers]


def _takes_long(step: Step) -> bool:
    """Return whether *step* goes through rows that are not in its own text."""
    terms = step.statement.terms
    is_selected = begins(terms, "update|delete|merge|with|select") or (begins(terms, "insert") and "select" in terms)
    return bool(step.effect.locks) and (step.effect.work > Work.ROWS or is_selected)


def locked_in_order(outlook: Outlook) -> tuple[Relation, ...]:
    """Return what a file stops others from writing to, in the order in which it does."""
    locks = (lock.relation for step in outlook.steps for lock in step.effect.locks if lock.mode.stops_writers)
    return tuple(dict.fromkeys(locks))


def crossed(own: Sequence[Relation], others: Mapping[str, Sequence[Relation]]) -> Iterator[Finding]:
    """Yield the first pair of *own* that one of *others*, by their files, locks the other way round."""
    for file, order in others.items():
        for first, second in combinations(own, 2):
            if first in order and second in order and order.index(second) < order.index(first):
                what = f"locks {first} before {second}, and {file} locks {second} before {first}"
                helps = "lock them in one order everywhere, or make each table a file of its own"
                yield Finding(rule="lock-order", severity=Severity.WARNING, what=what, helps=helps)
                break
