"""What is noticed of one run of migrations beside its work, and told by the Job once it is over, however it ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dbcustody.adapters.postgres.migrating import Refusal

if TYPE_CHECKING:
    from dbcustody.api.migration_error import StatedError
    from dbcustody.migration.history import History


@dataclass(frozen=True, slots=True)
class Refused:
    """The statement that ended a run: which attempt of the ledger it was of, where it stands, and what the server said."""

    attempt: int
    file: str
    line: int | None
    refusal: Refusal


@dataclass(slots=True)
class Tally:
    """One for each run; it grows while that goes on."""

    refused: Refused | None = None
    """None: no statement ended it."""


def told_by(tally: Tally, kept: StatedError | None, history: History) -> StatedError | None:
    """Return what the ledger of *history* has *kept* of the error of the last attempt, with all that this very run knows of it.

    None: the last attempt has none.
    """
    refused = tally.refused
    if kept is None or refused is None or history.recent[-1].ordinal != refused.attempt:
        return kept
    refusal = refused.refusal
    return replace(
        kept,
        statement_number=refusal.ordinal or None,
        line=refused.line,
        file=refused.file,
        schema=refusal.schema,
        table=refusal.table,
        column=refusal.column,
        constraint=refusal.constraint,
        message=refusal.message,
    )
