"""What is noticed of one run of migrations beside its work, and told by the Job once it is over, however it ended."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dbcustody.adapters.postgres.migrating import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.api.migration_error import StatedError
    from dbcustody.facts import MigrationFacts
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

    has_begun: bool = False
    """Whether anything was tried: what is refused before that has waited for nobody."""
    refused: Refused | None = None
    """None: no statement ended it."""
    lock_wait_seconds: float = 0.0
    """How long it waited for those in its way: while a statement of it queued, and between two tries while it gave way to them."""
    lock_aborts: int = 0
    """How often a statement gave a lock up."""

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time that the block takes as waited for locks."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.lock_wait_seconds += time.monotonic() - begun

    def on(self, facts: MigrationFacts) -> MigrationFacts:
        """Return *facts* with what a run has waited; as they are where it tried nothing."""
        if not self.has_begun:
            return facts
        return replace(facts, lock_wait_seconds=round(self.lock_wait_seconds, 3), lock_aborts=self.lock_aborts)


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
