"""Columns that are added or changed: what goes through all rows for them, and how it is done beside everybody instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.migration.alteration import alteration_of
from dbcustody.migration.column_copy import retyped_by_copy
from dbcustody.migration.finding import Finding, Recipe, Severity
from dbcustody.migration.lock import Work
from dbcustody.migration.recipe import PARTITIONS, fill, hold_no_null, in_two
from dbcustody.migration.relation import is_name, name_of
from dbcustody.migration.statement import begins, holds
from dbcustody.migration.tablefacts import keeps_rows, weigh
from dbcustody.migration.wording import given_name, literal, quote, quote_relation, type_at, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.migration.case import Case, Change
    from dbcustody.migration.statement import Terms

RULES = {
    "set-not-null": "SET NOT NULL that reads all rows while nobody can read or write, since no validated CHECK proves it",
    "change-type": "ALTER COLUMN TYPE that writes all rows anew while nobody can read or write",
    "add-column-default": "ADD COLUMN with a value for each row (volatile default, serial, identity, stored): all rows are written anew",
    "add-column-required": "ADD COLUMN NOT NULL without a default, which fails as soon as there is a row",
    "add-column-checked": "ADD COLUMN with a CHECK, UNIQUE or REFERENCES of its own, for which all rows are read",
}
_CONSTRAINTS = "primary|unique|check|exclude|not|foreign|constraint"
_SERIALS = {
    "serial": "integer", "serial4": "integer", "bigserial": "bigint", "serial8": "bigint", "smallserial": "smallint", "serial2": "smallint",
}  # fmt: skip


def column_findings(case: Case) -> Iterator[Finding]:
    """Yield what is risky about the columns that *case* adds or changes."""
    for change in case.changes():
        form = change.form
        if begins(form, "alter", "?", "set", "not", "null"):
            yield _set_not_null(case, change)
        elif begins(form, "alter", "?", "type"):
            yield _retyped(case, change, form[3:])
        elif begins(form, "alter", "?", "set", "data", "type"):
            yield _retyped(case, change, form[5:])
        elif begins(form, "add", "?") and not begins(form, "add", _CONSTRAINTS) and is_name(form[1]):
            yield from _added(case, change)


def _set_not_null(case: Case, change: Change) -> Finding:
    column, weight = change.form[1], weigh(change.table, case.facts)
    if case.is_proven((change.table, name_of(column))):
        what = f"{change.table} is not read for it: a validated constraint proves that {name_of(column)} holds no null"
        return Finding(rule="set-not-null", severity=Severity.NOTE, what=what, helps="drop that constraint behind it")
    return Finding(
        rule="set-not-null",
        severity=weight.severity,
        what=f"nobody can read or write {change.table} while all rows are searched for nulls ({weight.words})",
        helps="let a CHECK prove it first, which is validated beside everybody",
        recipe=Recipe(migrations=hold_no_null(change.written, change.table.name, column)),
    )


def _retyped(case: Case, change: Change, behind: Terms) -> Finding:
    column, weight = change.form[1], weigh(change.table, case.facts)
    found = case.facts.get(change.table)
    old = found.columns.get(name_of(column), "") if found else ""
    new = type_at(behind)
    if old and "using" not in behind and keeps_rows(old, write(new)):
        what = f"{change.table} is not written anew for it: {write(new)} holds all of {old}"
        return Finding(rule="change-type", severity=Severity.NOTE, what=what, helps="nothing has to be done")
    return Finding(
        rule="change-type",
        severity=weight.severity,
        what=f"nobody can read or write {change.table} while all rows are written anew ({weight.words})",
        helps="add a column of the new type, keep it up by a trigger, fill it in batches, and let it take the place of the old one",
        recipe=retyped_by_copy(change, new, behind[behind.index("using") + 1 :] if "using" in behind else (column,)),
    )


def _added(case: Case, change: Change) -> Iterator[Finding]:
    work, weight = alteration_of(change.form).work, weigh(change.table, case.facts)
    column = change.form[1:]
    is_required = holds(column, "not", "null") and "default" not in column
    if work is Work.REWRITE:
        what = f"nobody can read or write {change.table} while all rows are written anew, each with a value of its own ({weight.words})"
        helps = "add the column empty, let new rows have their value, and fill the others in batches"
        yield Finding(
            rule="add-column-default", severity=weight.severity, what=what, helps=helps, recipe=_added_empty(change)
        )
    elif is_required:
        yield _required(case, change)
    elif work is Work.SCAN:
        what = f"nobody can read or write {change.table} while all rows are read for the constraint of the new column ({weight.words})"
        helps = "add the column alone, and its constraint as the rules add-foreign-key, add-check and add-unique show"
        yield Finding(
            rule="add-column-checked", severity=weight.severity, what=what, helps=helps, recipe=_checked_later(change)
        )


def _checked_later(change: Change) -> Recipe | None:
    """Return how the constraint of a new column is added behind it; None where it has several, or a name, or is an index."""
    name, table = change.form[1], change.written
    kind = type_at(change.form[2:])
    behind = change.form[2 + len(kind) :]
    at = next((at for at, term in enumerate(behind) if term in {"check", "references"}), len(behind))
    before, said = behind[:at], behind[at:]
    if not said or {"constraint", "unique", "primary"} & {*behind} or {"check", "references"} & {*said[1:]}:
        return None
    label, body = ("check", write(said)) if said[0] == "check" else ("fkey", f"foreign key ({name}) {write(said)}")
    constraint = quote(given_name(change.table.name, [name_of(name)], label))
    added = f"alter table {table} add column {name} {write((*kind, *before))};\n"
    return Recipe(migrations=(added, *in_two(table, constraint, body).migrations))


def _required(case: Case, change: Change) -> Finding:
    found = case.facts.get(change.table)
    is_empty = change.table in case.facts and (found is None or found.size_bytes == 0)
    name = change.form[1]
    return Finding(
        rule="add-column-required",
        severity=Severity.NOTE if is_empty else Severity.ERROR,
        what=f"PostgreSQL refuses it as soon as {change.table} has a row, which would be null ({weigh(change.table, case.facts).words})",
        helps="give it a default, which is not written to the rows; or add it without NOT NULL, fill it, and make it NOT NULL then",
        recipe=Recipe(
            migrations=(
                f"alter table {change.written} add column {name} {write(type_at(change.form[2:]))};\n",
                *hold_no_null(change.written, change.table.name, name),
            ),
            remark="fill it between the first and the second",
        ),
    )


def _added_empty(change: Change) -> Recipe | None:
    """Return how the column is added empty and filled; None where it is an identity, is stored, or has a constraint."""
    name, table = change.form[1], change.written
    kind = type_at(change.form[2:])
    behind = change.form[2 + len(kind) :]
    is_required = holds(behind, "not", "null")
    rest = tuple(term for term in behind if term not in {"not", "null"})
    if set(kind) & set(_SERIALS):
        return _serial(change, kind[0]) if not rest else None
    if not begins(rest, "default") or set(rest) & {
        "check",
        "unique",
        "primary",
        "references",
        "generated",
        "constraint",
    }:
        return None
    first = f"alter table {table} add column {name} {write(kind)};\nalter table {table} alter column {name} set {write(rest)};\n"
    return _filled(change, first, is_required=is_required)


def _serial(change: Change, kind: str) -> Recipe:
    name, table, column = change.form[1], change.written, name_of(change.form[1])
    sequence = quote_relation(change.table.schema, given_name(change.table.name, [column], "seq"))
    number = _SERIALS[kind]
    first = (
        f"create sequence {sequence} as {number};\nalter table {table} add column {name} {number};\n"
        f"alter table {table} alter column {name} set default nextval({literal(sequence)});\n"
        f"alter sequence {sequence} owned by {table}.{name};\n"
    )
    return _filled(change, first, is_required=True)


def _filled(change: Change, first: str, *, is_required: bool) -> Recipe:
    name, table = change.form[1], change.written
    proof = hold_no_null(table, change.table.name, name) if is_required else ()
    return Recipe(migrations=(first, fill(table, f"{name} = default", f"{name} is null"), *proof), remark=PARTITIONS)
