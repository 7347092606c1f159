"""Indexes: building, dropping and rebuilding them beside everybody, and a condition that hides a broken one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.migration.finding import Finding, Recipe, Severity
from dbcustody.migration.statement import begins
from dbcustody.migration.wording import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.migration.case import Case
    from dbcustody.migration.statement import Terms

RULES = {
    "create-index": "CREATE INDEX without CONCURRENTLY: nobody can write while it is built",
    "drop-index": "DROP INDEX without CONCURRENTLY: whoever comes behind it waits as long as it does",
    "reindex": "REINDEX without CONCURRENTLY: nobody can write while it is built anew",
    "index-if-not-exists": "IF NOT EXISTS on an index that is built CONCURRENTLY: one whose building was broken off counts as there",
}
_LEFT_OUT = ("if", "not", "exists")


def index_findings(case: Case) -> Iterator[Finding]:
    """Yield what is risky about the indexes that *case* makes, drops or builds anew."""
    terms = case.terms
    if begins(terms, "create", "index") or begins(terms, "create", "unique", "index"):
        yield from _created(case, 2 if begins(terms, "create", "index") else 3)
    elif begins(terms, "drop", "index") and not begins(terms, "drop", "index", "concurrently") and case.relations:
        yield _dropped(case)
    elif begins(terms, "reindex") and "concurrently" not in terms and case.relations:
        yield _rebuilt(case)


def _created(case: Case, behind: int) -> Iterator[Finding]:
    """Yield what is risky about a CREATE INDEX whose words end before the index *behind*."""
    terms = case.terms
    is_concurrent = begins(terms[behind:], "concurrently")
    if is_concurrent and "exists" in terms[behind : behind + 4]:
        yield _hidden(terms)
    elif not is_concurrent and case.relations:
        what = f"nobody can write while the index is built ({case.weight.words})"
        yield Finding(
            rule="create-index",
            severity=case.weight.severity,
            what=what,
            helps="build it beside everybody, in a file of its own",
            recipe=_alone((*terms[:behind], "concurrently", *_bare(terms[behind:]))),
        )


def _hidden(terms: Terms) -> Finding:
    return Finding(
        rule="index-if-not-exists",
        severity=Severity.WARNING,
        what="an index of that name whose building was broken off is invalid, and passes for one that is there",
        helps="take IF NOT EXISTS out: what a broken run left is found and cleared away by `deploy`",
        recipe=_alone(_bare(terms)),
    )


def _dropped(case: Case) -> Finding:
    terms = case.terms
    return Finding(
        rule="drop-index",
        severity=case.unless_new(Severity.WARNING),
        what="while it waits for whoever uses the table, everybody waits behind it, readers included",
        helps="drop it beside everybody, in a file of its own",
        recipe=_alone((*terms[:2], "concurrently", *terms[2:]))
        if "," not in terms and "cascade" not in terms
        else None,
    )


def _rebuilt(case: Case) -> Finding:
    terms = case.terms
    at = next(at for at, term in enumerate(terms) if term in {"table", "index"})
    return Finding(
        rule="reindex",
        severity=case.weight.severity,
        what=f"nobody can write while it is built anew ({case.weight.words})",
        helps="build it anew beside everybody, in a file of its own",
        recipe=_alone((*terms[: at + 1], "concurrently", *terms[at + 1 :])),
    )


def _bare(terms: Terms) -> Terms:
    """Return *terms* without IF NOT EXISTS."""
    for at in range(len(terms) - 2):
        if terms[at : at + 3] == _LEFT_OUT:
            return terms[:at] + terms[at + 3 :]
    return terms


def _alone(terms: Terms) -> Recipe:
    return Recipe(migrations=(f"{write(terms)};\n",))
