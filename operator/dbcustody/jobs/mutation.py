"""One migration is carried out: in one transaction, tried for short moments until its locks are free, or as one statement by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.fingerprint import add_print
from dbcustody.adapters.postgres.ledger import Ending, add_attempt, outcome_row
from dbcustody.adapters.postgres.migrating import StatementFailedError, forget, run_together, start_attempt
from dbcustody.adapters.postgres.obstruction import Blocker, deadlock_timeout_seconds, find_occupants
from dbcustody.errors import DbcustodyError, InterruptedRunError, RefusedError, UnavailableError
from dbcustody.jobs.alone import is_partial_if_refused, run_by_itself
from dbcustody.jobs.desk import (
    has_gone,
    let_pass,
    limits_of,
    nothing_run,
    ran_by,
    require_invariants,
    write,
    write_with_print,
)
from dbcustody.jobs.likeness import take_fingerprint
from dbcustody.jobs.mirroring import write_down
from dbcustody.jobs.remnants import OLD_SECONDS
from dbcustody.jobs.tally import Refused
from dbcustody.migration.body import Body
from dbcustody.migration.drift import Moment
from dbcustody.migration.ledger import State
from dbcustody.migration.outlook import jamming
from dbcustody.migration.patience import pause_seconds
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.ledger import Intent
    from dbcustody.adapters.postgres.revising import Record
    from dbcustody.adapters.postgres.session import Session
    from dbcustody.jobs.desk import Desk

_CANCELLED: Final = "57014"
_MARGIN_MILLISECONDS: Final = 500
"""How long an autovacuum may take to end after the server has told it to."""
_MOST_MILLISECONDS: Final = 3000
_HELPS: Final = {"25001": "; make it a migration of its own, with `-- dbcustody: transaction off` in its head"}
"""What helps, by SQLSTATE, where the text of a file does not tell that a statement is refused in a transaction."""


def begin(desk: Desk, body: Body, intent: Intent) -> int:
    """Write down that *body* is tried, in a session in which nothing of what ran before is left; returns its place in the ledger.

    Where it will keep others waiting, whoever has been on the table for longer than it waits for a lock is let pass first, so that nobody
    queues behind it for nothing. Raises as `desk.let_pass`.
    """
    locks = jamming(body.statements) if body.is_transactional else ()
    desk.tally.has_begun = True
    if body.is_transactional and _is_sql(body) and not locks:
        return start_attempt(desk.session, intent, limits_of(desk, body))
    forget(desk.session)
    attempt = add_attempt(desk.session, intent)
    with nothing_run(desk, attempt, write):
        seconds = max(OLD_SECONDS, desk.limits.lock_timeout_milliseconds / 1000)
        let_pass(
            desk, body.file, find_occupants(desk.session, locks, beside=desk.beside, seconds=seconds, stop=desk.stop)
        )
    return attempt


def carry_out(desk: Desk, body: Body, attempt: int, ends: State, *, goes_on: bool = False) -> None:
    """Run *body*, of which *attempt* was begun by `begin`, and write down that it came to *ends*, and what the schema is then.

    When it *goes_on* at once with what runs in one transaction, the latter is left to that.

    Raises RefusedError (MigrationFailed) with file, line and the server's word, UnavailableError (LockNotObtained) naming who was in the
    way, InterruptedRunError; then nothing of it is in, which is written down, too. Raises UnavailableError (ConnectionLost) when only the
    next run can know.
    """
    together = _together if _is_sql(body) else _by_python
    run = together if body.is_transactional else run_by_itself
    tried, trying, has_outlasted = 1, desk, False
    while True:
        try:
            with desk.lookout.on_duty() as watch:
                run(trying, body, attempt, ends, goes_on=goes_on)
        except StatementFailedError as error:
            failure = _Failure(body, attempt, error, watch.seen)
            outlasting = None if has_outlasted else _outlasting(desk, failure, tried)
            trying, has_outlasted = outlasting or desk, has_outlasted or outlasting is not None
            tried = 1 + (tried if outlasting else _give_way_or_up(desk, failure, tried))
        else:
            return


def _outlasting(desk: Desk, failure: _Failure, tried: int) -> Desk | None:
    """Return *desk* with the patience by which an autovacuum, that alone was in the way, gives way; None: it was not so, or is too late.

    The server ends it once somebody has waited for `deadlock_timeout`, which a short wait for a lock never does; where that is long, all
    others would wait as long.
    """
    is_worth_it = bool(failure.seen) and all(one.gives_way for one in failure.seen)
    if not failure.error.refusal.is_lock or not is_worth_it or tried >= desk.limits.lock_attempts or desk.stop.is_set():
        return None
    milliseconds = ceil(1000 * deadlock_timeout_seconds(desk.beside)) + _MARGIN_MILLISECONDS
    if milliseconds > _MOST_MILLISECONDS:
        return None
    desk.tally.lock_aborts += 1
    desk.say(f"{failure.body.file}: waits until {failure.seen[0]} gives way")
    longest = max(desk.limits.lock_timeout_milliseconds, milliseconds)
    return replace(desk, limits=replace(desk.limits, lock_timeout_milliseconds=longest))


@dataclass(frozen=True, slots=True)
class _Failure:
    """A statement that was refused, and who was in the way."""

    body: Body
    attempt: int
    error: StatementFailedError
    seen: tuple[Blocker, ...]

    @property
    def place(self) -> str:
        """File and line, for people."""
        return self.body.file if self.line is None else f"{self.body.file}: line {self.line}"

    @property
    def line(self) -> int | None:
        """That of the file; None: it was refused at the end of the transaction, or by no line of a Python file."""
        ordinal, position = self.error.refusal.ordinal, self.error.refusal.position
        if self.body.is_python:
            return self.error.refusal.line
        if not ordinal:
            return None
        statement = self.body.statements[ordinal - 1]
        return statement.place.line + statement.text[: position or 0].count("\n")


def _is_sql(body: Body) -> bool:
    """Return whether statements are sent, and no function is called."""
    return bool(body.statements) or not body.is_python


def _together(desk: Desk, body: Body, attempt: int, ends: State, *, goes_on: bool) -> None:
    texts = [statement.text for statement in body.statements]
    ending = Ending(state=ends, done=len(texts), actor=desk.actor, ran=ran_by(body))

    def looks(session: Session) -> None:
        require_invariants(session, body)
        if desk.mirror is not None:
            write_down(session, attempt, ending, desk.mirror)
        _leave_print(desk, session, goes_on=goes_on)

    has_to_look = desk.mirror is not None or not goes_on or bool(body.directives.invariants)
    with nothing_run(desk, attempt, write), desk.lookout.cutting():
        run_together(
            desk.session,
            texts,
            limits=limits_of(desk, body),
            looks=looks if has_to_look else None,
            last=None if desk.mirror is not None else outcome_row(attempt, ending),
            goes_on=goes_on,
        )


def _by_python(desk: Desk, body: Body, attempt: int, ends: State, *, goes_on: bool) -> None:
    """Call the function of *body* in one transaction; what it ran is written down with its outcome."""
    from dbcustody.adapters.postgres.revising import CommittedWithinError, run_revision  # noqa: PLC0415 - SQL needs it not

    def then(session: Session, ran: Record) -> None:
        require_invariants(session, body)
        ending = Ending(state=ends, done=ran.count, actor=desk.actor, ran=ran.text)
        write_down(session, attempt, ending, desk.mirror)
        _leave_print(desk, session, goes_on=goes_on)

    try:
        with desk.lookout.cutting():
            run_revision(desk.session, body, limits=limits_of(desk, body), then=then, metadata=desk.metadata)
    except StatementFailedError:
        raise
    except DbcustodyError as error:
        if not desk.session.closed:
            state = State.PARTIAL if isinstance(error, CommittedWithinError) else State.FAILED
            write(desk, attempt, Ending(state=state, reason=error.reason.value, actor=desk.actor))
        raise


def _leave_print(desk: Desk, session: Session, *, goes_on: bool) -> None:
    """Write down what the schema is, in the transaction that made it so, unless that is left to what comes next."""
    if not goes_on:
        add_print(session, take_fingerprint(session, desk.exclude), moment=Moment.AFTER, actor=desk.actor)


def _give_way_or_up(desk: Desk, failure: _Failure, tried: int) -> int:
    """Let others pass and return the number of the try that is over, or write down that it failed and raise.

    As long as the one who was in the way stays, no statement is sent to queue behind him, and everybody else behind it: that counts as a
    try that was in vain.
    """
    refusal = failure.error.refusal
    if desk.stop.is_set() and refusal.sqlstate == _CANCELLED:
        _give_up(desk, failure, InterruptedRunError(f"{failure.place}: was told to stop; nothing of it is in"))
    if not refusal.is_lock:
        message = f"{failure.place}: {failure.error.message}{_HELPS.get(refusal.sqlstate, '')}"
        _give_up(desk, failure, RefusedError(message, reason=Reason.MIGRATION_FAILED))
    desk.tally.lock_aborts += 1
    while not _has_passed(desk, failure, tried):
        tried += 1
    return tried


def _has_passed(desk: Desk, failure: _Failure, tried: int) -> bool:
    """Wait behind the try number *tried*; returns whether another is worth it, and raises when there is none, or it is to stop."""
    who = str(failure.seen[0]) if failure.seen else "somebody who just let go"
    if tried >= desk.limits.lock_attempts:
        message = f"{failure.place}: no lock after {tried} tries; in the way: {who}"
        _give_up(desk, failure, UnavailableError(message, reason=Reason.LOCK_NOT_OBTAINED))
    desk.say(f"{failure.body.file}: gives way to {who}, try {tried} of {desk.limits.lock_attempts}")
    has_passed = has_gone(desk, next(iter(failure.seen), None), pause_seconds(tried, desk.chance()))
    if desk.stop.is_set():
        _give_up(desk, failure, InterruptedRunError(f"{failure.place}: was told to stop; nothing of it is in"))
    return has_passed


def _give_up(desk: Desk, failure: _Failure, error: DbcustodyError) -> None:
    """Write down that nothing of it is in, or that some may be, and raise *error*."""
    refusal = failure.error.refusal
    desk.tally.refused = Refused(failure.attempt, failure.body.file, failure.line, refusal)
    state = State.PARTIAL if is_partial_if_refused(failure.body, refusal) else State.FAILED
    ending = Ending(
        state=state,
        done=0,
        sqlstate=refusal.sqlstate,
        statement=refusal.ordinal or None,
        object=refusal.object,
        reason=error.reason.value,
        actor=desk.actor,
    )
    if state is State.FAILED and not failure.body.is_transactional:
        write_with_print(desk, failure.attempt, ending)
    else:
        write(desk, failure.attempt, ending)
    raise error
