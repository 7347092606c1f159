"""What migrations would do is found out before anything is run: their risks, weighed by the tables of the database that they are for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.inspection import read_server
from dbcustody.adapters.postgres.tablefacts import read_facts
from dbcustody.adapters.squawk import ask_squawk, find_squawk
from dbcustody.errors import RefusedError
from dbcustody.jobs.migration import MigrationOrder, look
from dbcustody.jobs.revision import previewed
from dbcustody.migration.history import History
from dbcustody.migration.lint import judge, relations_of
from dbcustody.migration.planned import MigrationPlan, Policy, make_plan
from dbcustody.migration.squawk import missing, read_report
from dbcustody.migration.tablefacts import Facts
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    history = look(order)
    pending = tuple(previewed(script, metadata=order.metadata) for script in history.pending)
    with connect(order.target) as session:
        facts = read_facts(session, relations_of(pending))
        major = read_server(session).major_version
    held = replace(policy, allows_out_of_order=order.allows_out_of_order)
    plan = plan_of(pending, facts, held, major=major)
    return Foresight(history=history, plan=plan, facts=facts)


def plan_of(scripts: Sequence[Script], facts: Facts, policy: Policy, *, major: int | None) -> MigrationPlan:
    """Return the plan of *scripts*, with what squawk finds for a server of *major* (None: not known).

    Those in Python are judged by what they render, as far as they were previewed.
    """
    program = find_squawk()
    others = {script.up.file: _by_squawk(script, program, major) for script in scripts}
    return make_plan(judge(scripts, facts, others=others, waivers=policy.waivers), policy, None)


def _by_squawk(script: Script, program: str | None, major: int | None) -> tuple[Finding, ...]:
    """Return what squawk finds in *script*; that it could not look is a finding, too."""
    if not script.up.statements:
        return ()
    report = ask_squawk(script.up.sql, program=program, major=major, in_transaction=script.up.is_transactional)
    if report.why_not:
        return (missing(report.why_not),)
    try:
        return read_report(report.text, script.up)
    except ValueError:
        return (missing("its report is not understood"),)


def require_passed(plan: MigrationPlan) -> None:
    """Raise RefusedError (LintFailed) with every finding for which the policy of *plan* refuses it."""
    if refusals := plan.refusals:
        raise RefusedError("; ".join(map(str, refusals)), reason=Reason.LINT_FAILED)
