"""The two ways back: migrations are undone by what their authors wrote for it, and what a person found out is declared.

Nothing is ever undone because a file is gone; only what somebody names is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.adapters.postgres.ledger import Direction, read_attempts, read_partial
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.jobs.aftermath import settle
from dbcustody.jobs.declaration import write_declared
from dbcustody.jobs.likeness import drift_from, require_alike, take_fingerprint, write_print
from dbcustody.jobs.migration import at_work, carry, compared, intent_of, require_sound
from dbcustody.migration.aim import Declaration, settles_repeat
from dbcustody.migration.drift import Drift, Likeness, Moment
from dbcustody.migration.history import Kind
from dbcustody.migration.ledger import Standing, State, records
from dbcustody.migration.target import choice_of, find_target
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.jobs.desk import Desk
    from dbcustody.jobs.migration import MigrationOrder
    from dbcustody.migration.history import History
    from dbcustody.migration.script import Script

_DECLARED = {State.RESOLVED_APPLIED: Standing.IN, State.RESOLVED_ROLLED_BACK: Standing.OUT}


def to_undo(order: MigrationOrder, history: History, target: str | None) -> tuple[Script, ...]:
    """Return the scripts that have to be undone, newest first, so that the migration *target* is the last that is in; None: none is.

    It is named as `migration.target` says. Raises InvalidSpecError when it is not in, RefusedError (Irreversible) naming every one that
    has no way back, before anything is done.
    """
    later = history.applied[_place(history, target) + 1 :] if target is not None else history.applied
    by_name = {script.name: script for script in order.scripts}
    stuck = [name for name in later if name not in by_name or by_name[name].down is None]
    if stuck:
        raise RefusedError(
            f"no way back from {', '.join(stuck)}: there is no .down.sql, or its downgrade is empty; "
            "restore a backup, or write what undoes it as a new migration",
            reason=Reason.IRREVERSIBLE,
        )
    undone = tuple(by_name[name] for name in reversed(later))
    if faults := [str(fault) for script in undone for fault in script.down_faults]:
        raise RefusedError(f"{'; '.join(faults)}; nothing was undone", reason=Reason.SOURCE_INVALID)
    return undone


def _place(history: History, target: str) -> int:
    known = dict(zip(history.applied, history.present, strict=True))
    name = find_target(target, known)
    if name is None:
        raise InvalidSpecError(f"migration {target}: is not in the database; {choice_of(target, known)}")
    return history.applied.index(name)


def roll_back(order: MigrationOrder, target: str | None, *, agreed: Sequence[str] | None = None) -> History:
    """Undo what came after the migration *target* (None: everything), newest first, and return how the database stands then.

    *agreed* are the names of what somebody was shown, in the order in which it is undone; None: nobody was shown anything. Raises
    RefusedError (PlanChanged) when anything else would be undone by now, and as `jobs.migration.migrate` and `to_undo` do; what was undone
    before a failure stays undone.
    """
    with at_work(order) as desk:
        settle(desk)
        history = compared(order, desk)
        require_sound(history)
        undone = to_undo(order, history, target)
        _require_agreed(undone, agreed)
        require_alike(desk, order.drift, runs=bool(undone))
        carry(order, desk, undone, Direction.DOWN)
        return compared(order, desk)


def _require_agreed(undone: Sequence[Script], agreed: Sequence[str] | None) -> None:
    """Raise RefusedError (PlanChanged) unless just that is to be undone, in that order, which was agreed to; asked under the lock."""
    names = [script.name for script in undone]
    if agreed is not None and names != list(agreed):
        message = (
            f"{', '.join(names) or 'nothing'} would be undone now, and {', '.join(agreed)} was agreed to; "
            "nothing was undone: look at it again"
        )
        raise RefusedError(message, reason=Reason.PLAN_CHANGED)


def declare(order: MigrationOrder, name: str, state: State, reason: str, *, is_forced: bool = False) -> History:
    """Write down that a person found the migration *name* to be in or out, and why; nothing runs.

    Raises InvalidSpecError when there is no such migration, or it stands so already (but one that was applied twice may be said to be in);
    RefusedError (Drifted) unless *is_forced*, when the ledger knows what the schema was like with just these migrations in, and it is not
    like that.
    """
    script = next((one for one in order.scripts if one.name == name), None)
    if script is None:
        raise InvalidSpecError(f"migration {name}: is not among the files; name one of them, without its ending")
    with at_work(order) as desk:
        settle(desk)
        attempts = read_attempts(desk.session)
        record = records(attempts).get(script.revision)
        standing = Standing.OUT if record is None else record.standing
        if standing is _DECLARED[state] and not settles_repeat(state, script.revision, attempts):
            raise InvalidSpecError(
                f"migration {name}: is {'in' if standing is Standing.IN else 'not in'} already, as the ledger has it"
            )
        if state is State.RESOLVED_ROLLED_BACK and standing is Standing.IN and not _is_taken_back(order, desk, name):
            raise InvalidSpecError(f"migration {name}: is applied; `dbcustody migrate rollback` undoes it")
        said = Declaration(name=name, state=state, reason=reason)
        write_declared(desk, said, intent_of(order, script, Direction.MARK), attempts, is_forced=is_forced)
        return compared(order, desk)


def _is_taken_back(order: MigrationOrder, desk: Desk, name: str) -> bool:
    """Return whether Alembic's own table says that *name* is not in any more: somebody has undone it by Alembic."""
    return any(one.kind is Kind.TAKEN_BACK and one.name == name for one in compared(order, desk).differences)


def accept_drift(order: MigrationOrder, wanted: str, reason: str) -> Drift:
    """Write down that the schema whose fingerprint is *wanted* is meant as it is, and why; returns how it stood before. Nothing runs.

    Raises RefusedError: NeedsResolution while a migration is in in part, Drifted when the schema is another by now; InvalidSpecError when
    it has not drifted.
    """
    with at_work(order) as desk:
        settle(desk)
        partial = [one.name for one in read_partial(desk.session)]
        if partial:
            message = f"{', '.join(partial)}: in in part; `dbcustody migrate resolve` says what became of it"
            raise RefusedError(message, reason=Reason.NEEDS_RESOLUTION)
        taken = take_fingerprint(desk.session, desk.exclude)
        if taken.fingerprint != wanted:
            message = f"the schema is {taken.fingerprint} now, and {wanted} was to be accepted; look at it again"
            raise RefusedError(message, reason=Reason.DRIFTED)
        drift = drift_from(desk.session, taken)
        if drift.likeness is Likeness.SAME:
            raise InvalidSpecError(f"{wanted}: is what the ledger says already; there is nothing to accept")
        write_print(desk, taken, Moment.ACCEPTED, reason)
        return drift
