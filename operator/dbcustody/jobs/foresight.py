"""What migrations would do is found out before anything is run: their risks, weighed by the tables of the database that they are for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.inspection import read_server
from dbcustody.adapters.postgres.tablefacts import read_facts
from dbcustody.adapters.squawk import ask_together, find_squawk
from dbcustody.api.migration import OnDrift
from dbcustody.errors import RefusedError, UnavailableError
from dbcustody.jobs.checkup import PASSING
from dbcustody.jobs.likeness import drift_of
from dbcustody.jobs.migration import MigrationOrder, find_heritage_of, require_runnable, survey
from dbcustody.jobs.revision import previewed
from dbcustody.migration.drift import Drift
from dbcustody.migration.history import History, compare
from dbcustody.migration.lint import judge, relations_of
from dbcustody.migration.planned import MigrationPlan, Prospect, make_plan
from dbcustody.migration.squawk import missing, read_report
from dbcustody.migration.tablefacts import Facts
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.adapters.squawk import Report
    from dbcustody.migration.body import Body
    from dbcustody.migration.finding import Finding
    from dbcustody.migration.planned import Policy
    from dbcustody.migration.script import Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """How a database stands to its scripts, the plan of what is pending, and what the server said of its tables."""

    history: History
    plan: MigrationPlan
    facts: Facts
    heritage: tuple[str, ...] = ()
    """What another tool has carried out and nobody took over: what is pending may be in."""
    drift: Drift | None = None
    """How the schema stands to its history; None: it was not looked at, or could not be."""


def foresee(order: MigrationOrder, *, looks_always: bool = False) -> Foresight:
    """Return what *order* would do; nothing is written.

    Whether the schema is still what its history says is looked at only where something is to run, or *looks_always*. Raises as `survey` and
    `read_facts` do, and RefusedError (SourceInvalid) when something pending is not fit to run, unless another tool may have run it.
    """
    with connect(order.target) as session:
        prospect = survey(order, session)
        forth = prospect.aim.forth
        heritage = find_heritage_of(order, session, prospect.history)
        if not heritage:
            require_runnable(forth)
        forth = tuple(previewed(script, metadata=order.metadata) for script in forth)
        facts = read_facts(session, relations_of(forth)) if forth else {}
        major = read_server(session).major_version if forth else None
        drift = _drift(order, session) if looks_always or not prospect.aim.is_reached else None
    prospect = replace(prospect, aim=replace(prospect.aim, forth=forth))
    if drift is not None and not prospect.aim.is_reached:
        prospect = replace(prospect, fingerprint=drift.found)
    plan = _plan(prospect, facts, order.policy, major)
    return Foresight(history=prospect.history, plan=plan, facts=facts, heritage=heritage, drift=drift)


def _drift(order: MigrationOrder, session: Session) -> Drift | None:
    """Return how the schema stands to its history; None: nobody asks, or somebody keeps it from being read."""
    if order.drift is OnDrift.IGNORE:
        return None
    try:
        return drift_of(session, order.exclude)
    except UnavailableError as error:
        if error.reason not in PASSING:
            raise
        return None


def plan_of(scripts: Sequence[Script], policy: Policy) -> MigrationPlan:
    """Return the plan of *scripts* for a database that nobody has asked: nothing is in, and every table is taken to be large.

    Those in Python are judged by what they render, as far as they were previewed.
    """
    return _plan(Prospect.forth(compare(scripts, ())), {}, policy, None)


def _plan(prospect: Prospect, facts: Facts, policy: Policy, major: int | None) -> MigrationPlan:
    """Return the plan of *prospect*, with what squawk finds for a server of *major* (None: not known)."""
    forth = prospect.aim.forth
    others: dict[str, tuple[Finding, ...]] = {}
    for in_transaction in (True, False):
        bodies = [script.up for script in forth if script.up.is_transactional is in_transaction]
        others |= _by_squawk(bodies, major, in_transaction=in_transaction)
    return make_plan(judge(forth, facts, others=others, waivers=policy.waivers), prospect, policy)


def _by_squawk(bodies: Sequence[Body], major: int | None, *, in_transaction: bool) -> dict[str, tuple[Finding, ...]]:
    """Return what squawk finds in *bodies*, by their files."""
    bodies = [body for body in bodies if body.statements]
    texts, program = [body.sql for body in bodies], find_squawk() if bodies else None
    reports = ask_together(texts, program=program, major=major, in_transaction=in_transaction)
    is_installed = program is not None
    return {
        body.file: _read(report, body, is_installed=is_installed) for body, report in zip(bodies, reports, strict=True)
    }


def _read(report: Report, body: Body, *, is_installed: bool) -> tuple[Finding, ...]:
    """Return what *report* says of *body*; that squawk could not look is a finding, too."""
    if report.why_not:
        return (missing(report.why_not, is_installed=is_installed),)
    try:
        return read_report(report.text, body)
    except ValueError:
        return (missing("its report is not understood"),)


def require_passed(plan: MigrationPlan) -> None:
    """Raise RefusedError (LintFailed) with every finding for which the policy of *plan* refuses it."""
    if refusals := plan.refusals:
        raise RefusedError("; ".join(map(str, refusals)), reason=Reason.LINT_FAILED)
