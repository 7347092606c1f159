"""What may be right and deserves a second look: rights for everybody, extensions, values of an enum, code that no text tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.migration.finding import Finding, Recipe, Severity
from dbcustody.migration.statement import begins, holds
from dbcustody.migration.wording import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.migration.case import Case

RULES = {
    "grant-public": "GRANT ... TO PUBLIC: every role of the server has it, those of the future, too",
    "create-extension": "CREATE EXTENSION: code and rights that are the server's matter",
    "enum-value": "a value of an enum that may be used before it is committed",
    "unknown-effect": "DO, CALL, EXECUTE: the text does not tell what is locked and changed",
}


def habit_findings(case: Case) -> Iterator[Finding]:
    """Yield what about *case* deserves a second look."""
    terms = case.terms
    if begins(terms, "grant") and holds(terms, "to", "public"):
        what = "every role that can connect has it from then on"
        yield Finding(
            rule="grant-public",
            severity=Severity.WARNING,
            what=what,
            helps="grant it to a role that has it for a reason",
        )
    elif begins(terms, "create", "extension"):
        yield _extension(case)
    elif not case.step.effect.is_known:
        what = "what it locks, changes and loses, its text does not tell"
        yield Finding(
            rule="unknown-effect", severity=Severity.NOTE, what=what, helps="read it, or write plain statements"
        )


def _extension(case: Case) -> Finding:
    is_conditional = begins(case.terms, "create", "extension", "if", "not", "exists")
    changed = ("create", "extension", "if", "not", "exists", *case.terms[2:])
    return Finding(
        rule="create-extension",
        severity=Severity.NOTE if is_conditional else Severity.WARNING,
        what="it needs rights that a role of migrations seldom has, and elsewhere somebody has made it already",
        helps="let it be made where the server is set up, and say `-- dbcustody: requires NAME`; or let it pass where it is there",
        recipe=None if is_conditional else Recipe(migrations=(f"{write(changed)};\n",)),
    )
