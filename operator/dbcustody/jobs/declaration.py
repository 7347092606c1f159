"""What a person found out is written into the ledger, held against what the schema was like whenever just these migrations were in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.adapters.postgres.failure import translated
from dbcustody.adapters.postgres.fingerprint import read_prints
from dbcustody.adapters.postgres.ledger import Ending, add_attempt
from dbcustody.errors import RefusedError
from dbcustody.jobs.likeness import drift_from, take_fingerprint, write_print
from dbcustody.jobs.mirroring import write_down
from dbcustody.migration.drift import Moment, known_fingerprint, present_revisions
from dbcustody.migration.ledger import State
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.adapters.postgres.ledger import Intent
    from dbcustody.jobs.desk import Desk
    from dbcustody.migration.aim import Declaration
    from dbcustody.migration.drift import Taken
    from dbcustody.migration.ledger import Attempt


def write_declared(
    desk: Desk, said: Declaration, intent: Intent, attempts: Sequence[Attempt], *, is_forced: bool = False
) -> None:
    """Write down *said* by *intent*, in a database whose ledger has *attempts*; nothing runs.

    Raises RefusedError (Drifted) unless *is_forced*, when the ledger knows what the schema was like with just these migrations in, and it
    is not like that.
    """
    taken = take_fingerprint(desk.session, desk.exclude)
    if not is_forced:
        others = present_revisions(attempts) - {intent.revision}
        present = others | {intent.revision} if said.state is State.RESOLVED_APPLIED else others
        _require_proven(desk, said.name, known_fingerprint(attempts, read_prints(desk.session), present, taken), taken)
    with translated("write down what was declared", otherwise=Reason.MIGRATION_FAILED), desk.session.transaction():
        attempt = add_attempt(desk.session, intent)
        write_down(desk.session, attempt, Ending(state=said.state, reason=said.reason, actor=desk.actor), desk.mirror)
        write_print(desk, taken, Moment.AFTER)


def _require_proven(desk: Desk, name: str, known: str | None, taken: Taken) -> None:
    """Say whether the schema proves what is declared; raises RefusedError (Drifted) when it proves the contrary."""
    if known is None:
        desk.say(f"{name}: what the schema is like then is not known, so nothing was compared")
        return
    if known == taken.fingerprint:
        desk.say(f"{name}: the schema is what it was when just these migrations were in")
        return
    drift = drift_from(desk.session, taken)
    told = drift.told if drift.expected == known else ""
    raise RefusedError(
        f"{name}: the schema is {taken.fingerprint}, and was {known} when just these migrations were in"
        f"{f' ({told})' if told else ''}; put it right first, or say --force, if it is meant so",
        reason=Reason.DRIFTED,
    )
