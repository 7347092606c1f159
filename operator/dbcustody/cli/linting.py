"""`dbcustody migrate plan` and `lint`: what migrations would do and what is risky about it, before anything is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dbcustody.cli.answer import answer, answering
from dbcustody.cli.drifting import drift_as_json, drift_lines, is_refused
from dbcustody.cli.ending import Exit, complain
from dbcustody.cli.folder import read_folder
from dbcustody.cli.migrating import Wish, differences_as_json, order_of, standing_of
from dbcustody.errors import InvalidSpecError
from dbcustody.jobs.foresight import foresee, plan_of
from dbcustody.jobs.migration import require_runnable
from dbcustody.jobs.revision import previewed
from dbcustody.migration.drift import Likeness
from dbcustody.migration.planned import Policy, held_locks
from dbcustody.migration.tablefacts import weigh

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dbcustody.migration.finding import Finding
    from dbcustody.migration.history import History
    from dbcustody.migration.lint import Judged
    from dbcustody.migration.planned import MigrationPlan, Point
    from dbcustody.migration.script import Script
    from dbcustody.migration.tablefacts import Facts

_NAMES_A_DATABASE = ("DATABASE_URL", "PGDATABASE")


def plan(environ: Mapping[str, str], wish: Wish, *, as_json: bool) -> int:
    """Show what is pending: its SQL, its locks, its risks, and the hash of it all; writes nothing. Returns the exit code."""
    return answering(lambda: _plan(environ, wish, as_json=as_json), as_json=as_json)


def _plan(environ: Mapping[str, str], wish: Wish, *, as_json: bool) -> int:
    foreseen = foresee(order_of(environ, wish))
    _note(foreseen.heritage)
    if as_json:
        content = _plan_as_json(foreseen.plan, foreseen.history, foreseen.facts)
        answer(content | {"drift": drift_as_json(foreseen.drift)}, as_json=True)
    else:
        drift = foreseen.drift
        drifted = drift_lines(drift) if drift is not None and drift.likeness is Likeness.DRIFTED else ()
        click.echo("\n".join([*_plan_as_text(foreseen.plan, foreseen.history, foreseen.facts), *drifted]))
    standing = standing_of(foreseen.history)
    if standing not in {Exit.DONE, Exit.PENDING}:
        return standing
    if foreseen.plan.refusals:
        return Exit.NEEDS_CONFIRMATION
    return Exit.DRIFT if is_refused(foreseen.drift, wish.drift) else standing


def lint(environ: Mapping[str, str], wish: Wish, *, since: str | None, is_offline: bool, as_json: bool) -> int:
    """Show what is risky about migrations; returns the exit code.

    With a database in the environment those that are pending there, weighed by its tables; else those of the folder, after *since*.
    """
    has_database = any(environ.get(name, "").strip() for name in _NAMES_A_DATABASE) and not is_offline

    def work() -> int:
        judged = _judge_pending(environ, wish, since) if has_database else _judge_folder(wish, since)
        content = {"weighed": has_database, "findings": [_finding_as_json(one) for one in judged.findings]}
        answer(content, *_lint_as_text(judged, has_database=has_database), as_json=as_json)
        return Exit.NEEDS_CONFIRMATION if judged.refusals else Exit.DONE

    return answering(work, as_json=as_json)


def _judge_pending(environ: Mapping[str, str], wish: Wish, since: str | None) -> MigrationPlan:
    if since is not None:
        raise InvalidSpecError(
            "--since: is for a folder alone; a database is named, which tells what is pending: say --offline, too"
        )
    foreseen = foresee(order_of(environ, wish))
    _note([*foreseen.heritage, *map(str, foreseen.history.differences)])
    return foreseen.plan


def _judge_folder(wish: Wish, since: str | None) -> MigrationPlan:
    scripts = _after(read_folder(wish.folder, wish.form).scripts, since)
    require_runnable(scripts)
    previews = [previewed(one, metadata=wish.metadata) for one in scripts]
    return plan_of(previews, Policy(fail_on=wish.fail_on))


def _note(lines: Sequence[str]) -> None:
    for line in lines:
        complain(line, kind="note")


def _after(scripts: Sequence[Script], since: str | None) -> Sequence[Script]:
    if since is None:
        return scripts
    names = [script.name for script in scripts]
    if since not in names:
        raise InvalidSpecError(f"--since: there is no migration {since}")
    return scripts[names.index(since) + 1 :]


def _plan_as_text(plan: MigrationPlan, history: History, facts: Facts) -> Iterator[str]:
    for judged in plan.judged:
        yield f"{judged.script.name}: {judged.risk.label}"
        for held in held_locks(judged):
            lock = held.lock
            weight = weigh(lock.relation, facts).words
            yield f"  {lock.mode.label} on {lock.relation} {held.words}: {lock.mode.harm}; {weight}"
        for statement in judged.script.up.statements:
            yield from (f"    {line}" for line in f"{statement.text};".splitlines())
        for finding in judged.findings:
            yield from (f"  {line}" for line in _finding_lines(finding))
    yield from (f"{one.kind.value}: {one}" for one in history.differences)
    if not plan.judged:
        yield "nothing is pending"
        return
    yield f"risk: {plan.risk.label}; {_point_as_text(plan.point_of_no_return)}"
    yield f"plan: {plan.hash}"


def _point_as_text(point: Point | None) -> str:
    if point is None:
        return "every statement can be undone by another"
    lost = f" ({', '.join(point.why)})" if point.why else ""
    return f"no way back from {point.file}, line {point.line}{lost}"


def _lint_as_text(plan: MigrationPlan, *, has_database: bool) -> Iterator[str]:
    for finding in plan.findings:
        yield from _finding_lines(finding)
    count, refused = len(plan.findings), len(plan.refusals)
    how = "weighed by the database" if has_database else "no database was asked, so every table is taken to be large"
    yield f"{len(plan.judged)} migrations, {count} findings, {refused} of them refused; {how}"


def _finding_lines(finding: Finding) -> Iterator[str]:
    yield str(finding)
    if finding.recipe is not None and finding.waived is None:
        yield from (f"    {line}" for line in str(finding.recipe).splitlines())


def _plan_as_json(plan: MigrationPlan, history: History, facts: Facts) -> dict[str, Any]:
    return {
        "hash": plan.hash,
        "risk": plan.risk.label,
        "irreversible": _point_as_json(plan.point_of_no_return),
        "refused": len(plan.refusals),
        "migrations": [_judged_as_json(one, facts) for one in plan.judged],
        "differences": differences_as_json(history.differences),
    }


def _point_as_json(point: Point | None) -> dict[str, Any] | None:
    if point is None:
        return None
    return {"file": point.file, "line": point.line, "statement": point.statement, "lost": list(point.why)}


def _judged_as_json(judged: Judged, facts: Facts) -> dict[str, Any]:
    script = judged.script
    return {
        "migration": script.name,
        "checksum": script.checksum,
        "risk": judged.risk.label,
        "hasWayBack": script.down is not None,
        "isPython": script.is_python,
        "isTransactional": script.up.is_transactional,
        "statements": [statement.text for statement in script.up.statements],
        "locks": [
            {
                "relation": str(held.lock.relation),
                "mode": held.lock.mode.label,
                "work": held.work.name.capitalize(),
                "held": held.words,
                "rows": found.rows if (found := facts.get(held.lock.relation)) else None,
                "sizeBytes": found.size_bytes if found else None,
            }
            for held in held_locks(judged)
        ],
        "findings": [_finding_as_json(one) for one in judged.findings],
    }


def _finding_as_json(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.label,
        "file": finding.file,
        "line": finding.line,
        "statement": finding.statement,
        "what": finding.what,
        "helps": finding.helps,
        "recipe": list(finding.recipe.migrations) if finding.recipe else [],
        "remark": finding.recipe.remark if finding.recipe else "",
        "waived": finding.waived,
    }
