"""What is lost, overwritten or no longer found: columns, tables, rows, names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.migration.column_copy import renamed_by_copy
from dbcustody.migration.finding import Finding, Recipe, Severity
from dbcustody.migration.recipe import PARTITIONS, fill
from dbcustody.migration.relation import name_of, read_relation
from dbcustody.migration.statement import begins
from dbcustody.migration.tablefacts import weigh
from dbcustody.migration.wording import is_outside, named_at, parted, quote, quote_relation, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.migration.case import Case, Change
    from dbcustody.migration.statement import Terms

RULES = {
    "drop-column": "DROP COLUMN: its values are lost, and whatever still reads it fails",
    "drop-table": "DROP TABLE or SEQUENCE: what is in it is lost, and whatever still reads it fails",
    "drop-cascade": "CASCADE: what depends on the thing goes with it, and is not named",
    "drop-owned": "DROP OWNED: everything that a role owns is lost",
    "truncate": "TRUNCATE: all rows are lost, and whoever reads waits",
    "delete-all": "DELETE without WHERE: all rows are lost",
    "update-all": "UPDATE without WHERE: all rows are locked and written in one transaction",
    "rename-column": "RENAME COLUMN: an application that is running finds it no longer",
    "rename-table": "RENAME or SET SCHEMA of a table or view: an application that is running finds it no longer",
}
_WAIT = "deploy what does not use it any more before the second"


def loss_findings(case: Case) -> Iterator[Finding]:
    """Yield what *case* loses, overwrites or renames."""
    for change in case.changes():
        yield from _changed(case, change)
    terms = case.terms
    if begins(terms, "drop", "table|sequence") and case.relations:
        yield _dropped(case)
    if terms[-1] == "cascade" and begins(terms, "drop|truncate|alter") and case.step.effect.destroys:
        yield _cascade(case)
    if begins(terms, "drop", "owned"):
        what = "everything that the role owns in this database is lost, and none of it is named here"
        yield Finding(rule="drop-owned", severity=Severity.ERROR, what=what, helps="drop what is meant, by its name")
    elif begins(terms, "truncate") and case.relations:
        what = f"all rows are lost, and until the end of the transaction nobody can read ({case.weight.words})"
        helps = "take a backup first, and waive it: `-- dbcustody: allow truncate because ...`"
        yield Finding(rule="truncate", severity=case.unless_new(Severity.ERROR), what=what, helps=helps)
    elif begins(terms, "update|delete") and case.relations and not is_outside(terms, "where"):
        yield _all_rows(case)
    elif begins(terms, "alter", "view|materialized|foreign") and _renames(terms):
        yield _renamed(case, "rename-table", "what is running does not find it under its old name any more", None)


def _changed(case: Case, change: Change) -> Iterator[Finding]:
    form = change.form
    if begins(form, "drop", "?") and not begins(form, "drop", "constraint"):
        yield _dropped_column(case, change)
    elif begins(form, "rename", "constraint"):
        return
    elif begins(form, "rename", "to", "?") or begins(form, "set", "schema", "?"):
        yield _renamed(
            case, "rename-table", f"what is running does not find {change.table} any more", _kept_as_view(change)
        )
    elif begins(form, "rename"):
        helps = "add a column of the new name, keep both alike by a trigger while both versions run, and drop the old one later"
        what = f"what is running finds a column of {change.table} no longer"
        yield _renamed(case, "rename-column", what, _kept_alike(case, change), helps=helps)


def _kept_alike(case: Case, change: Change) -> Recipe | None:
    """Return how both names are in use for a while; None where nobody knows the type of the column."""
    found, form = case.facts.get(change.table), change.form
    kind = found.columns.get(name_of(form[-3])) if found and begins(form[-2:], "to", "?") else None
    return renamed_by_copy(change, form[-1], kind) if kind else None


def _dropped_column(case: Case, change: Change) -> Finding:
    column = change.form[1]
    drop = f"alter table {change.written} {write(('drop', 'column', *change.form[1:]))};\n"
    return Finding(
        rule="drop-column",
        severity=case.unless_new(Severity.ERROR),
        what=f"the values of {column} in {change.table} are lost, and a version of the application that still reads it fails",
        helps="let rows do without it first; when no running version knows it any more, drop it with a waiver",
        recipe=Recipe(
            migrations=(
                f"alter table {change.written} alter column {column} drop not null;\n",
                f"-- dbcustody: allow drop-column because no running version uses it\n{drop}",
            ),
            remark=_WAIT,
        ),
    )


def _dropped(case: Case) -> Finding:
    is_one = len(case.relations) == 1 and "," not in case.terms
    return Finding(
        rule="drop-table",
        severity=case.unless_new(Severity.ERROR),
        what=f"{', '.join(map(str, case.relations))}: lost with all that is in it ({case.weight.words})",
        helps="rename it first, and drop it with a waiver when nobody has missed it",
        recipe=_put_aside(case) if is_one else None,
    )


def _put_aside(case: Case) -> Recipe:
    kind, relation, is_cascade = case.terms[1], case.relations[0], case.terms[-1] == "cascade"
    away = f"{relation.name}_dropped"
    rename = f"alter {kind} {named_at(case.terms[2:])} rename to {quote(away)};\n"
    more = "-- dbcustody: allow drop-cascade because nobody uses what depends on it\n" if is_cascade else ""
    drop = f"drop {kind} {quote_relation(relation.schema, away)}{' cascade' if is_cascade else ''};\n"
    return Recipe(
        migrations=(
            f"-- dbcustody: allow rename-table because it is dropped when nobody has missed it\n{rename}",
            f"-- dbcustody: allow drop-table because nobody has missed it\n{more}{drop}",
        ),
        remark="let some days pass before the second: until then renaming it back is enough",
    )


def _cascade(case: Case) -> Finding:
    what = "what depends on it goes, too: views, foreign keys and columns that are not named here"
    helps = "name what is to go, in statements of their own, and leave CASCADE out"
    return Finding(rule="drop-cascade", severity=case.unless_new(Severity.ERROR), what=what, helps=helps)


def _all_rows(case: Case) -> Finding:
    terms = case.terms
    weight = weigh(case.relations[0], case.facts)
    if begins(terms, "delete"):
        what = f"all rows of {case.relations[0]} are lost ({weight.words})"
        helps = "say which rows; if all are meant, TRUNCATE does it at once, with a backup before it and a waiver"
        return Finding(rule="delete-all", severity=case.unless_new(Severity.ERROR), what=what, helps=helps)
    what = f"all rows are written anew in one transaction; whoever changes one waits, and the table doubles in size ({weight.words})"
    return Finding(
        rule="update-all",
        severity=weight.severity,
        what=what,
        helps="go through it in batches, each in a transaction of its own",
        recipe=_batched(terms[1:]),
    )


def _batched(behind: Terms) -> Recipe | None:
    """Return how an UPDATE goes in batches; None where one that is cut short and run again would do something else."""
    read = read_relation(behind)
    if not begins(read.rest, "set") or set(read.rest) & {"from", "returning"}:
        return None
    pairs = list(parted(read.rest[1:]))
    names = {pair[0] for pair in pairs if pair}
    if any(not begins(pair, "?", "=", "?") or set(pair[2:]) & {*names, "default", "select"} for pair in pairs):
        return None
    where = " or ".join(f"{write(pair[:1])} is distinct from ({write(pair[2:])})" for pair in pairs)
    return Recipe(migrations=(fill(named_at(behind), ", ".join(map(write, pairs)), where),), remark=PARTITIONS)


def _renamed(
    case: Case,
    rule: str,
    what: str,
    recipe: Recipe | None,
    *,
    helps: str = "leave a view of the old name behind until nobody asks for it",
) -> Finding:
    return Finding(rule=rule, severity=case.unless_new(Severity.ERROR), what=what, helps=helps, recipe=recipe)


def _kept_as_view(change: Change) -> Recipe:
    """Return how the old name stays in use, as a view that can be written to, until nobody needs it."""
    table, name = change.table, name_of(change.form[2])
    is_moved = begins(change.form, "set")
    moved = quote_relation(name if is_moved else table.schema, table.name if is_moved else name)
    rename = f"alter table {change.written} {write(change.form)};\n"
    view = f"create view {change.written} as select * from {moved};\n"  # noqa: S608 - shown to its author, and run by nobody here
    return Recipe(
        migrations=(
            f"-- dbcustody: allow rename-table because a view of the old name stays\n{rename}{view}",
            f"drop view {change.written};\n",
        ),
        remark=f"grant on the view what was granted on the table; {_WAIT}",
    )


def _renames(terms: Terms) -> bool:
    return "rename" in terms or ("set" in terms and "schema" in terms)
