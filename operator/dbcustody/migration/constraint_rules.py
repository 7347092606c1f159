"""Constraints that are added: whoever checks or indexes all rows while others wait could have done so beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.migration.finding import Finding, Recipe
from dbcustody.migration.recipe import in_two
from dbcustody.migration.relation import read_relation
from dbcustody.migration.statement import begins
from dbcustody.migration.tablefacts import heaviest
from dbcustody.migration.wording import given_name, names_within, quote, within, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.migration.case import Case, Change
    from dbcustody.migration.statement import Terms

RULES = {
    "add-foreign-key": "ADD FOREIGN KEY that checks all rows while nobody can write to either table",
    "add-check": "ADD CHECK (or NOT NULL) that checks all rows while nobody can read or write",
    "add-unique": "ADD UNIQUE, PRIMARY KEY or EXCLUDE that builds its index while nobody can read or write",
}
_DEFERRED = "deferrable|initially|not"


def constraint_findings(case: Case) -> Iterator[Finding]:
    """Yield what is risky about the constraints that *case* adds."""
    for change in case.changes():
        if begins(change.form, "add", "constraint") and len(change.form) > 3:  # noqa: PLR2004 - a name, and a constraint behind it
            yield from _judged(case, change, change.form[2], change.form[3:])
        elif begins(change.form, "add"):
            yield from _judged(case, change, "", change.form[1:])


def _judged(case: Case, change: Change, name: str, body: Terms) -> Iterator[Finding]:
    is_ready = body[-2:] == ("not", "valid") or ("using" in body and "index" in body[body.index("using") :][1:2])
    if is_ready:
        return
    if begins(body, "foreign", "key"):
        yield _foreign_key(case, change, name, body)
    elif begins(body, "check") or begins(body, "not", "null"):
        yield _check(case, change, name, body)
    elif begins(body, "unique|primary|exclude"):
        yield _unique(case, change, name, body)


def _foreign_key(case: Case, change: Change, name: str, body: Terms) -> Finding:
    other = read_relation(body[body.index("references") + 1 :]).relations if "references" in body else ()
    weight = heaviest((change.table, *other), case.facts)
    chosen = name or quote(given_name(change.table.name, names_within(body), "fkey"))
    return Finding(
        rule="add-foreign-key",
        severity=weight.severity,
        what=f"nobody can write to {change.table} and {' and '.join(map(str, other)) or 'the other table'} while all rows are checked"
        f" ({weight.words})",
        helps="add it NOT VALID, which checks new rows only, and validate it in the next migration, beside everybody",
        recipe=in_two(change.written, chosen, write(body)),
    )


def _check(case: Case, change: Change, name: str, body: Terms) -> Finding:
    weight = heaviest([change.table], case.facts)
    label = "check" if begins(body, "check") else "not_null"
    chosen = name or quote(given_name(change.table.name, [] if label == "check" else body[2:3], label))
    return Finding(
        rule="add-check",
        severity=weight.severity,
        what=f"nobody can read or write {change.table} while all rows are checked ({weight.words})",
        helps="add it NOT VALID, which checks new rows only, and validate it in the next migration, beside everybody",
        recipe=in_two(change.written, chosen, write(body)),
    )


def _unique(case: Case, change: Change, name: str, body: Terms) -> Finding:
    weight = heaviest([change.table], case.facts)
    is_exclusion = begins(body, "exclude")
    words = "its index is built" + (
        ", and PostgreSQL cannot build one of an EXCLUDE beside them" if is_exclusion else ""
    )
    return Finding(
        rule="add-unique",
        severity=weight.severity,
        what=f"nobody can read or write {change.table} while {words} ({weight.words})",
        helps="do it while nobody works"
        if is_exclusion
        else "build the index beside everybody, and make it a constraint then",
        recipe=None if is_exclusion else _by_index(change, name, body),
    )


def _by_index(change: Change, name: str, body: Terms) -> Recipe | None:
    """Return how the index is built first; None where the constraint has more to it than columns."""
    is_primary = begins(body, "primary")
    kind, rest = ("primary key", body[2:]) if is_primary else ("unique", body[1:])
    columns = within(rest)
    behind = rest[len(columns) + 2 :]
    if not begins(rest, "(") or (behind and not begins(behind, _DEFERRED)):
        return None
    given = given_name(change.table.name, [] if is_primary else names_within(rest), "pkey" if is_primary else "key")
    chosen = name or quote(given)
    more = f" {write(behind)}" if behind else ""
    return Recipe(
        migrations=(
            f"create unique index concurrently {chosen} on {change.written} ({write(columns)});\n",
            f"alter table {change.written} add constraint {chosen} {kind} using index {chosen}{more};\n",
        ),
        remark="make its columns NOT NULL before, as the rule set-not-null shows, or all rows are read for that"
        if is_primary
        else "",
    )
