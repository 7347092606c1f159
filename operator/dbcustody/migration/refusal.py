"""What a migration may not say, with what helps: the transaction, the session and the server are not its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.migration.fault import Fault
from dbcustody.migration.setting import OWNED, owned_settings
from dbcustody.migration.statement import begins, reads_stdin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.migration.statement import Statement, Terms

_TRANSACTION: Final = (
    "take it out: the runner opens one transaction per migration and ends it together with the ledger's row"
)
_NAMELESS: Final = "name it: when the run is cut short, the catalogue is asked by that name what became of it"
_SERVER: Final = "do it by hand, or where the server is set up: a migration changes one database"
_BEGINNINGS: Final = (
    (("begin|commit|end|rollback|abort|savepoint|release",), _TRANSACTION),
    (("start|prepare", "transaction"), _TRANSACTION),
    (("create|drop", "database"), _SERVER),
    (("alter", "system"), _SERVER),
    (("discard", "all"), "take it out: it would give the runner's lock away"),
)
_CALLS: Final = {"pg_advisory_unlock_all": "unlock what was locked: the runner's own lock is among all"}


def refusals(statement: Statement) -> Iterator[Fault]:
    """Yield why *statement* may not stand in a migration; nothing when it may."""
    for what, helps in _refused(statement.terms):
        yield Fault(what=what, helps=helps, place=statement.place)


def _refused(terms: Terms) -> Iterator[tuple[str, str]]:
    for words, helps in _BEGINNINGS:
        if begins(terms, *words):
            yield f"{' '.join(terms[: len(words)]).upper()} is not a migration's to say", helps
    if begins(terms, "create", "index", "concurrently", "on") or begins(
        terms, "create", "unique", "index", "concurrently", "on"
    ):
        yield "CREATE INDEX CONCURRENTLY without a name for the index", _NAMELESS
    for setting in owned_settings(terms):
        yield f"{setting.name} is set by the runner", OWNED[setting.name]
    if reads_stdin(terms):
        yield (
            "COPY FROM STDIN reads rows that the server is not sent",
            "write them as INSERT; bulk data belongs into a seed",
        )
    elif begins(terms, "copy") and "stdout" in terms:
        yield "COPY TO STDOUT sends rows that nobody reads", "take it out"
    yield from ((f"{term} is not a migration's to call", _CALLS[term]) for term in terms if term in _CALLS)
