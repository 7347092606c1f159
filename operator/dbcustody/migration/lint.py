"""The risks of migrations: every rule put to every statement, weighed by what a server says of the tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Final

from dbcustody.migration import (
    column_rules,
    constraint_rules,
    habit_rules,
    index_rules,
    lock_rules,
    loss_rules,
    order_rules,
    python_rules,
    squawk,
    waiver,
)
from dbcustody.migration.case import Case
from dbcustody.migration.finding import Finding, Severity
from dbcustody.migration.forecast import Risk
from dbcustody.migration.outlook import Outlook, look_ahead, risk_of_body, unusable_values
from dbcustody.migration.proof import Proofs
from dbcustody.migration.relation import Relation
from dbcustody.migration.script import Script

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dbcustody.migration.directive import Waiver
    from dbcustody.migration.fault import Place
    from dbcustody.migration.tablefacts import Facts

_STATEMENT_RULES: Final = (
    constraint_rules.constraint_findings,
    column_rules.column_findings,
    index_rules.index_findings,
    loss_rules.loss_findings,
    lock_rules.lock_findings,
    habit_rules.habit_findings,
)
RULES: Final[Mapping[str, str]] = {
    **constraint_rules.RULES, **column_rules.RULES, **index_rules.RULES, **loss_rules.RULES, **lock_rules.RULES, **order_rules.RULES,
    **habit_rules.RULES, **python_rules.RULES, **squawk.RULES, **waiver.RULES,
}  # fmt: skip
"""Every rule, and what it finds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A migration, what it will do, and what is risky about it."""

    script: Script
    outlook: Outlook
    findings: tuple[Finding, ...]
    """In the order of their lines; those that are waived among them."""

    @property
    def risk(self) -> Risk:
        """That of its most dangerous step, or Caution where a finding asks for it, or where not all of it is known."""
        is_open = any(one.severity >= Severity.WARNING and one.waived is None for one in self.findings)
        return max(risk_of_body(self.script.up), self.outlook.risk, Risk.CAUTION if is_open else Risk.SAFE)


def judge(
    scripts: Sequence[Script],
    facts: Facts,
    *,
    others: Mapping[str, Sequence[Finding]] | None = None,
    waivers: Sequence[Waiver] = (),
) -> tuple[Judged, ...]:
    """Return *scripts*, judged in their order, with the ways forth alone: a way back is allowed to destroy.

    *facts* are what a server says of their tables; with none every table is taken to be large. *others* are the findings of other linters,
    by file; *waivers* are accepted in every file, beside those of its head, and need not be used.
    """
    proofs, orders = Proofs(), dict[str, tuple[Relation, ...]]()
    judged = []
    for script in scripts:
        outlook = look_ahead(script.up.statements)
        found = [
            *python_rules.python_findings(script.up),
            *_of_statements(outlook, facts, proofs),
            *_of_order(script, outlook, facts, orders),
        ]
        placed = [_placed(one, script) for one in (*found, *(others or {}).get(script.up.file, ()))]
        own = script.up.directives.waivers
        unused = [_placed(one, script) for one in waiver.idle(placed, own, RULES)]
        findings = waiver.waive(sorted((*placed, *unused), key=lambda one: one.line or 0), (*own, *waivers))
        judged.append(Judged(script=script, outlook=outlook, findings=findings))
        orders[script.up.file] = order_rules.locked_in_order(outlook) if script.up.is_transactional else ()
    return tuple(judged)


def _of_statements(outlook: Outlook, facts: Facts, proofs: Proofs) -> Iterator[Finding]:
    for number, step in enumerate(outlook.steps, 1):
        case = Case(step=step, facts=facts, proven=proofs.columns)
        yield from (replace(one, statement=number) for one in _of_case(case))
        proofs.take(case.terms)
    by_place: dict[Place | None, int] = {step.statement.place: number for number, step in enumerate(outlook.steps, 1)}
    for fault in unusable_values([step.statement for step in outlook.steps]):
        yield Finding(
            rule="enum-value",
            severity=Severity.WARNING,
            what="a literal may be the value that is added to an enum above, and is no value of it before the commit",
            helps=fault.helps,
            statement=by_place.get(fault.place),
        )


def _of_case(case: Case) -> tuple[Finding, ...]:
    found = tuple(chain.from_iterable(rule(case) for rule in _STATEMENT_RULES))
    if not found and lock_rules.is_slow_while_locked(case):
        return (lock_rules.slow_finding(case),)
    return found


def _of_order(
    script: Script, outlook: Outlook, facts: Facts, orders: Mapping[str, tuple[Relation, ...]]
) -> Iterator[Finding]:
    if script.up.is_transactional:
        yield from order_rules.order_findings(outlook, facts)
        yield from order_rules.crossed(order_rules.locked_in_order(outlook), orders)


def _placed(finding: Finding, script: Script) -> Finding:
    """Return *finding* with its file, and the line of its statement where it has none; what Python renders has no line in its file."""
    line = finding.line if not script.is_python else None
    if line is None and not script.is_python and finding.statement is not None:
        line = script.up.statements[finding.statement - 1].place.line
    return replace(finding, file=script.up.file, line=line)


def relations_of(scripts: Iterable[Script]) -> tuple[Relation, ...]:
    """Return every relation of which a server should be asked before *scripts* are judged, in the order of their names."""
    locks = (lock for script in scripts for lock in look_ahead(script.up.statements).locks)
    return tuple(sorted({lock.relation for lock in locks}))
