"""One migration is carried out: in one transaction, tried for short moments until its locks are free, or as one statement by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from math import ceil
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.failure import translated
from dbcustody.adapters.postgres.fingerprint import add_print
from dbcustody.adapters.postgres.ledger import Ending, Step, add_attempt, add_step, outcome_row
from dbcustody.adapters.postgres.lookout import Lookout
from dbcustody.adapters.postgres.migrating import StatementFailedError, forget, run_alone, run_together, start_attempt
from dbcustody.adapters.postgres.obstruction import Blocker, find_older, wait_for
from dbcustody.adapters.postgres.probing import clear, find
from dbcustody.adapters.postgres.session import Session
from dbcustody.errors import DbcustodyError, InterruptedRunError, RefusedError, UnavailableError
from dbcustody.jobs.likeness import take_fingerprint, take_patiently, write_print
from dbcustody.jobs.mirroring import Mirror, write_down
from dbcustody.jobs.tally import Refused, Tally
from dbcustody.migration.body import Body
from dbcustody.migration.drift import Moment
from dbcustody.migration.ledger import State
from dbcustody.migration.nature import classify
from dbcustody.migration.patience import Limits, pause_seconds
from dbcustody.migration.reading import checksum
from dbcustody.migration.trace import Finding, Sought, trace_of
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.ledger import Intent
    from dbcustody.adapters.postgres.revising import Record

OLD_SECONDS: Final = 1.0
"""A transaction that is older than this is waited for before a statement begins that would wait for it half done."""
_CANCELLED: Final = "57014"
_HELPS: Final = {"25001": "; make it a migration of its own, with `-- dbcustody: transaction off` in its head"}
"""What helps, by SQLSTATE, where the text of a file does not tell that a statement is refused in a transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a migration is carried out with."""

    session: Session
    """Where it runs; it holds the lock of migrations."""
    beside: Session
    """Where it is looked at meanwhile."""
    lookout: Lookout
    """Who does so while a statement runs."""
    limits: Limits
    actor: str
    stop: threading.Event
    say: Callable[[str], None]
    """Told what goes on, for people."""
    chance: Callable[[], float]
    """A random number from 0 to 1."""
    exclude: tuple[str, ...] = ()
    """Globs of what is no part of the schema's fingerprint."""
    mirror: Mirror | None = None
    """What keeps Alembic's own table in step; None: there is none to be kept."""
    metadata: str | None = None
    """Where the MetaData is by which revisions in Python name constraints; None: they name them themselves."""
    tally: Tally = field(default_factory=Tally)
    """What is noticed of the run beside its work."""


def begin(desk: Desk, body: Body, intent: Intent) -> int:
    """Write down that *body* is tried, in a session in which nothing of what ran before is left; returns its place in the ledger."""
    if body.is_transactional and _is_sql(body):
        return start_attempt(desk.session, intent, _limits(desk, body))
    forget(desk.session)
    return add_attempt(desk.session, intent)


def carry_out(desk: Desk, body: Body, attempt: int, ends: State, *, goes_on: bool = False) -> None:
    """Run *body*, of which *attempt* was begun by `begin`, and write down that it came to *ends*, and what the schema is then.

    When it *goes_on* at once with what runs in one transaction, the latter is left to that.

    Raises RefusedError (MigrationFailed) with file, line and the server's word, UnavailableError (LockNotObtained) naming who was in the
    way, InterruptedRunError; then nothing of it is in, which is written down, too. Raises UnavailableError (ConnectionLost) when only the
    next run can know.
    """
    together = _together if _is_sql(body) else _by_python
    run = together if body.is_transactional else _alone
    tried = 1
    while True:
        try:
            with desk.lookout.on_duty() as watch:
                run(desk, body, attempt, ends, goes_on=goes_on)
        except StatementFailedError as error:
            tried = 1 + _give_way_or_up(desk, _Failure(body, attempt, error, watch.seen), tried)
        else:
            return


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
    ending = Ending(state=ends, done=len(texts), actor=desk.actor, ran=_ran(body))

    def looks(session: Session) -> None:
        _require_invariants(session, body)
        if desk.mirror is not None:
            write_down(session, attempt, ending, desk.mirror)
        _leave_print(desk, session, goes_on=goes_on)

    has_to_look = desk.mirror is not None or not goes_on or bool(body.directives.invariants)
    try:
        with desk.lookout.cutting():
            run_together(
                desk.session,
                texts,
                limits=_limits(desk, body),
                looks=looks if has_to_look else None,
                last=None if desk.mirror is not None else outcome_row(attempt, ending),
                goes_on=goes_on,
            )
    except StatementFailedError:
        raise
    except DbcustodyError as error:
        if not desk.session.closed:
            _write(desk, attempt, Ending(state=State.FAILED, reason=error.reason.value, actor=desk.actor))
        raise


def _by_python(desk: Desk, body: Body, attempt: int, ends: State, *, goes_on: bool) -> None:
    """Call the function of *body* in one transaction; what it ran is written down with its outcome."""
    from dbcustody.adapters.postgres.revising import CommittedWithinError, run_revision  # noqa: PLC0415 - SQL needs it not

    def then(session: Session, ran: Record) -> None:
        _require_invariants(session, body)
        ending = Ending(state=ends, done=ran.count, actor=desk.actor, ran=ran.text)
        write_down(session, attempt, ending, desk.mirror)
        _leave_print(desk, session, goes_on=goes_on)

    try:
        with desk.lookout.cutting():
            run_revision(desk.session, body, limits=_limits(desk, body), then=then, metadata=desk.metadata)
    except StatementFailedError:
        raise
    except DbcustodyError as error:
        if not desk.session.closed:
            state = State.PARTIAL if isinstance(error, CommittedWithinError) else State.FAILED
            _write(desk, attempt, Ending(state=state, reason=error.reason.value, actor=desk.actor))
        raise


def _leave_print(desk: Desk, session: Session, *, goes_on: bool) -> None:
    """Write down what the schema is, in the transaction that made it so, unless that is left to what comes next."""
    if not goes_on:
        add_print(session, take_fingerprint(session, desk.exclude), moment=Moment.AFTER, actor=desk.actor)


def _ran(body: Body) -> str | None:
    """Return the SQL of *body* where its text is none."""
    return "".join(f"{statement.text};\n" for statement in body.statements) if body.is_python else None


def _require_invariants(session: Session, body: Body) -> None:
    """Raise RefusedError unless every query that the head of *body* names returns true."""
    for number, query in enumerate(body.directives.invariants, start=1):
        with translated(f"{body.file}: invariant {number}", otherwise=Reason.MIGRATION_FAILED):
            row = session.execute(query.encode()).fetchone()
        if row != (True,):
            raise RefusedError(
                f"{body.file}: invariant {number} does not hold once it has run; it must return true",
                reason=Reason.MIGRATION_FAILED,
            )


def _limits(desk: Desk, body: Body) -> Limits:
    """Return the limits of *body*, which may name a budget of its own."""
    budget = body.directives.budget_seconds
    return desk.limits if budget is None else replace(desk.limits, statement_timeout_seconds=ceil(budget))


def _alone(desk: Desk, body: Body, attempt: int, ends: State, *, goes_on: bool) -> None:
    """Run the only statement; what it leaves when it fails is cleared away. To be told to stop cuts it short, and nothing after it."""
    del goes_on  # it takes long anyway, and nothing takes it back
    (statement,) = body.statements
    trace = trace_of(statement.terms)
    _wait_for_old_ones(desk, body, attempt)
    before = find(desk.session, trace)
    step = Step(
        sha256=checksum(statement.text),
        nature=classify(statement.terms).nature.value,
        before=before,
        statement=statement.text if body.is_python else None,
    )
    add_step(desk.session, attempt, step)
    try:
        with desk.lookout.cutting():
            run_alone(desk.session, statement.text, ordinal=1, limits=_patient(_limits(desk, body)))
    except StatementFailedError:
        if before is not Finding.DONE and find(desk.session, trace) is Finding.BROKEN:
            clear(desk.session, trace)
        raise
    try:
        with desk.lookout.cutting():
            _require_invariants(desk.session, body)
    except RefusedError:
        _write(
            desk, attempt, Ending(state=State.PARTIAL, done=1, reason="an invariant does not hold", actor=desk.actor)
        )
        raise
    _write_with_print(desk, attempt, Ending(state=ends, done=1, actor=desk.actor, ran=_ran(body)))


def _patient(limits: Limits) -> Limits:
    """Return the limits of what waits for others by its nature and keeps nobody waiting: a short lock timeout would leave it half done."""
    return Limits(lock_timeout_milliseconds=0, statement_timeout_seconds=limits.statement_timeout_seconds)


def _wait_for_old_ones(desk: Desk, body: Body, attempt: int) -> None:
    """Wait until no older transaction is left that the statement would wait for once it has begun; raises when it does not begin."""
    for tried in count(1):
        older = find_older(desk.beside, seconds=OLD_SECONDS)
        if not older:
            return
        desk.say(f"{body.file}: waits for {older[0]}")
        error: DbcustodyError | None = None
        if tried > desk.limits.lock_attempts:
            message = f"{body.file}: {older[0]} is still at work; end it, or run the migration later"
            error = UnavailableError(message, reason=Reason.LOCK_NOT_OBTAINED)
        elif _has_gone(desk, older[0], pause_seconds(tried, desk.chance())):
            continue
        elif desk.stop.is_set():
            error = InterruptedRunError(f"{body.file}: was told to stop before it began")
        if error is not None:
            _write(desk, attempt, Ending(state=State.FAILED, reason=error.reason.value, actor=desk.actor))
            raise error


def _has_gone(desk: Desk, blocker: Blocker | None, pause_seconds: float) -> bool:
    """Wait until *blocker* is out of the way, for at most *pause_seconds*, and return whether it is; None: for all that time."""
    with desk.tally.waiting():
        if blocker is not None:
            return wait_for(desk.beside, blocker, seconds=pause_seconds, stop=desk.stop)
        return not desk.stop.wait(pause_seconds)


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
    has_passed = _has_gone(desk, next(iter(failure.seen), None), pause_seconds(tried, desk.chance()))
    if desk.stop.is_set():
        _give_up(desk, failure, InterruptedRunError(f"{failure.place}: was told to stop; nothing of it is in"))
    return has_passed


def _give_up(desk: Desk, failure: _Failure, error: DbcustodyError) -> None:
    """Write down that nothing of it is in, or that some may be, and raise *error*."""
    refusal = failure.error.refusal
    desk.tally.refused = Refused(failure.attempt, failure.body.file, failure.line, refusal)
    state = State.PARTIAL if may_be_partial(failure.body) else State.FAILED
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
        _write_with_print(desk, failure.attempt, ending)
    else:
        _write(desk, failure.attempt, ending)
    raise error


def may_be_partial(body: Body) -> bool:
    """Return whether some of *body* may be in although it failed: code that commits within, and was not said to be repeatable."""
    if body.is_transactional or body.directives.idempotent is not None:
        return False
    return trace_of(body.statements[0].terms).sought is Sought.UNKNOWN


def _write_with_print(desk: Desk, attempt: int, ending: Ending) -> None:
    """Write down what became of a statement that ran by itself, and the schema after it: what it did before it failed is its own doing."""
    taken = take_patiently(desk)
    with desk.session.transaction():
        _write(desk, attempt, ending)
        write_print(desk, taken, Moment.AFTER)


def _write(desk: Desk, attempt: int, ending: Ending) -> None:
    with translated("write down what became of it", otherwise=Reason.MIGRATION_FAILED), desk.session.transaction():
        write_down(desk.session, attempt, ending, desk.mirror)
