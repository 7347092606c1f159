"""The plan of a DatabaseMigration as people read it: the SQL of its files beside what status tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.api.migration import Way
from dbcustody.migration.history import compare
from dbcustody.migration.lint import judge
from dbcustody.migration.planned import held_locks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dbcustody.api.migration import StatedFinding, StatedMigrationPlan
    from dbcustody.api.migration_error import StatedError
    from dbcustody.migration.body import Body
    from dbcustody.migration.finding import Finding
    from dbcustody.migration.lint import Judged
    from dbcustody.migration.script import Script

    Recipes = Mapping[tuple[str, str, int | None], Finding]


def plan_lines(plan: StatedMigrationPlan, source: Iterable[Script] | None, *, pending: int) -> Iterator[str]:
    """Yield what *plan* will do, a line each: of each migration its locks, its SQL, what is risky, and SQL that does the same safely.

    *source* is what its files hold as they are now; None: they are not at hand. How many migrations are *pending* is told where the plan
    has no room for all.
    """
    scripts = {script.name: script for script in source or ()}
    judged = {one.script.name: one for one in judge(compare(tuple(scripts.values()), ()).pending, {})}
    is_back = plan.way is Way.BACK
    for one in plan.migrations:
        words = f"{', irreversible' if one.irreversible else ''}{', is undone' if is_back else ''}"
        yield f"{one.name}: {one.risk.value}{words}"
        if one.name not in scripts:
            yield from () if source is None else ("  its file is not in the source any more",)
        elif is_back:
            yield from _what_undoes(scripts[one.name])
        else:
            yield from _what_runs(judged[one.name], scripts[one.name])
        file = scripts[one.name].up.file if one.name in scripts else f"{one.name}.sql"
        yield from _risks(plan, file, _recipes(judged.values()))
    if (more := pending - len(plan.migrations)) > 0 and not is_back:
        yield f"and {more} more"
    yield from (f"in the way: {one.reason}: {one.message}" for one in plan.obstacles)


def _recipes(judged: Iterable[Judged]) -> Recipes:
    return {(one.file, one.rule, one.line): one for each in judged for one in each.findings}


def _what_runs(judged: Judged, script: Script) -> Iterator[str]:
    for held in held_locks(judged):
        lock = held.lock
        yield f"  {lock.mode.label} on {lock.relation} {held.words}: {lock.mode.harm}"
    yield from _sql_of(script.up)


def _what_undoes(script: Script) -> Iterator[str]:
    if script.down is None:
        yield "  it has no way back in the source any more"
    else:
        yield from _sql_of(script.down)


def _sql_of(body: Body) -> Iterator[str]:
    """Yield its statements; of code in Python its text."""
    texts = [body.text] if body.is_python else [f"{statement.text};" for statement in body.statements]
    yield from (f"    {line}" for text in texts for line in text.splitlines())


def _risks(plan: StatedMigrationPlan, file: str, recipes: Recipes) -> Iterator[str]:
    for one in plan.findings:
        if one.migration == file:
            yield f"  {finding_line(one)}"
            found = recipes.get((one.migration, one.rule, one.line))
            if found is not None and found.recipe is not None and not one.waived:
                yield from (f"      {line}" for line in str(found.recipe).splitlines())


def finding_line(finding: StatedFinding) -> str:
    """Return *finding* in one line."""
    place = f"line {finding.line}: " if finding.line is not None else ""
    waived = " (waived)" if finding.waived else ""
    return f"{place}{finding.severity.value} {finding.rule}: {finding.message}{waived}"


def error_line(error: StatedError) -> str:
    """Return *error* in one line: where, what the server said, its code, and what it was about."""
    line = f"line {error.line}" if error.line is not None else None
    statement = f"statement {error.statement_number}" if error.statement_number is not None else None
    place = ", ".join(filter(None, (line, statement)))
    said = filter(None, (error.file or error.revision, place, error.message))
    kind = "table" if error.table else "schema"
    named = (
        (kind, ".".join(filter(None, (error.schema, error.table)))),
        ("column", error.column),
        ("constraint", error.constraint),
    )
    about = (f"{what} {name}" for what, name in named if name)
    return f"{': '.join(said)} ({', '.join((f'SQLSTATE {error.sqlstate}', *about))})"
