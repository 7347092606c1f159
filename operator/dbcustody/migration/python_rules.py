"""The risks of a revision in Python, beyond those of the SQL that it renders: nobody can tell beforehand what code will do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.migration.finding import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.migration.body import Body

RULES: Final = {
    "python-revision": "a file in Python: what it renders without a database is shown, and may not be all that it does",
    "python-unseen": "a file in Python that cannot be rendered without a database: what it does is not known, or not all of it",
    "python-commits": "a file in Python that commits in its middle by `autocommit_block()`, which is refused",
}
SPLIT: Final = (
    "cut it into revisions: what comes before the block, one for each statement in it "
    "(`with op.get_context().autocommit_block():` around one call, and nothing else in the function), and what comes behind it"
)


def python_findings(body: Body) -> Iterator[Finding]:
    """Yield what is risky about the Python *body* as such; nothing for SQL."""
    if not body.is_python:
        return
    if body.is_mixed:
        what = "it commits in its middle: a failure behind that would leave one half of it in"
        yield Finding(rule="python-commits", severity=Severity.ERROR, what=what, helps=SPLIT)
    if body.unseen:
        what = f"what it does cannot be told without a database, or not all of it: {body.unseen}"
        helps = "read it, and try it on a copy of the database"
        yield Finding(rule="python-unseen", severity=Severity.WARNING, what=what, helps=helps)
    else:
        what = "it decides as it runs: the SQL that is shown is what it renders without a database"
        helps = "read it where it asks the database for something"
        yield Finding(rule="python-revision", severity=Severity.NOTE, what=what, helps=helps)
