"""What migrations would do is found out before anything is run: their risks, weighed by the tables of the database that they are for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.inspection import read_server
from dbcustody.adapters.postgres.tablefacts import read_facts
from dbcustody.adapters.squawk import ask_together, find_squawk
from dbcustody.errors import RefusedError
from dbcustody.jobs.migration import MigrationOrder, looked
from dbcustody.migration.history import History
from dbcustody.migration.lint import judge, relations_of
from dbcustody.migration.planned import MigrationPlan, Policy, make_plan
from dbcustody.migration.squawk import missing, read_report
from dbcustody.migration.tablefacts import Facts
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.adapters.squawk import Report
    from dbcustody.migration.body import Body
    from dbcustody.migration.finding import Finding
    from dbcustody.migration.script import Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """How a database stands to its scripts, the plan of what is pending, and what the server said of its tables."""

    history: History
    plan: MigrationPlan
    facts: Facts


def foresee(order: MigrationOrder, policy: Policy) -> Foresight:
    """Return what *order* would do under *policy*; nothing is written. Raises as `look` and `read_facts` do."""
    with connect(order.target) as session:
        history = looked(order, session)
        facts = read_facts(session, relations_of(history.pending))
        major = read_server(session).major_version
    held = replace(policy, allows_out_of_order=order.allows_out_of_order)
    plan = plan_of(history.pending, facts, held, major=major)
    return Foresight(history=history, plan=plan, facts=facts)


def plan_of(scripts: Sequence[Script], facts: Facts, policy: Policy, *, major: int | None) -> MigrationPlan:
    """Return the plan of *scripts*, with what squawk finds for a server of *major* (None: not known)."""
    others: dict[str, tuple[Finding, ...]] = {}
    for in_transaction in (True, False):
        bodies = [script.up for script in scripts if script.up.is_transactional is in_transaction]
        others |= _by_squawk(bodies, major, in_transaction=in_transaction)
    return make_plan(judge(scripts, facts, others=others, waivers=policy.waivers), policy, None)


def _by_squawk(bodies: Sequence[Body], major: int | None, *, in_transaction: bool) -> dict[str, tuple[Finding, ...]]:
    """Return what squawk finds in *bodies*, by their files."""
    texts = [body.text for body in bodies]
    reports = ask_together(texts, program=find_squawk(), major=major, in_transaction=in_transaction)
    return {body.file: _read(report, body) for body, report in zip(bodies, reports, strict=True)}


def _read(report: Report, body: Body) -> tuple[Finding, ...]:
    """Return what *report* says of *body*; that squawk could not look is a finding, too."""
    if report.why_not:
        return (missing(report.why_not),)
    try:
        return read_report(report.text, body)
    except ValueError:
        return (missing("its report is not understood"),)


def require_passed(plan: MigrationPlan) -> None:
    """Raise RefusedError (LintFailed) with every finding for which the policy of *plan* refuses it."""
    if refusals := plan.refusals:
        raise RefusedError("; ".join(map(str, refusals)), reason=Reason.LINT_FAILED)
