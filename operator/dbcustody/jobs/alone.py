"""One statement by itself, outside of any transaction: it waits for older ones first, and the catalogue is asked what became of it."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.ledger import Ending, Step, add_step
from dbcustody.adapters.postgres.migrating import StatementFailedError, run_alone
from dbcustody.adapters.postgres.obstruction import find_older
from dbcustody.adapters.postgres.probing import clear, find
from dbcustody.errors import DbcustodyError, InterruptedRunError, RefusedError, UnavailableError
from dbcustody.jobs.desk import has_gone, limits_of, ran_by, require_invariants, write, write_with_print
from dbcustody.migration.ledger import State
from dbcustody.migration.nature import classify
from dbcustody.migration.patience import Limits, pause_seconds
from dbcustody.migration.reading import checksum
from dbcustody.migration.trace import Finding, Sought, trace_of
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.jobs.desk import Desk
    from dbcustody.migration.body import Body

OLD_SECONDS: Final = 1.0
"""A transaction that is older than this is waited for before a statement begins that would wait for it half done."""


def run_by_itself(desk: Desk, body: Body, attempt: int, ends: State, *, goes_on: bool) -> None:
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
            run_alone(desk.session, statement.text, ordinal=1, limits=_patient(limits_of(desk, body)))
    except StatementFailedError:
        if before is not Finding.DONE and find(desk.session, trace) is Finding.BROKEN:
            clear(desk.session, trace)
        raise
    try:
        with desk.lookout.cutting():
            require_invariants(desk.session, body)
    except RefusedError:
        write(desk, attempt, Ending(state=State.PARTIAL, done=1, reason="an invariant does not hold", actor=desk.actor))
        raise
    write_with_print(desk, attempt, Ending(state=ends, done=1, actor=desk.actor, ran=ran_by(body)))


def _patient(limits: Limits) -> Limits:
    """Return the limits of what waits for others by its nature and keeps nobody waiting: a short lock timeout would leave it half done."""
    return Limits(lock_timeout_milliseconds=0, statement_timeout_seconds=limits.statement_timeout_seconds)


def _wait_for_old_ones(desk: Desk, body: Body, attempt: int) -> None:
    """Wait until no older transaction is left that the statement would wait for once it has begun; raises when it does not begin."""
    for tried in count(1):
        older = find_older(desk.beside, seconds=OLD_SECONDS, stop=desk.stop)
        if not older:
            return
        desk.say(f"{body.file}: waits for {older[0]}")
        error: DbcustodyError | None = None
        if tried > desk.limits.lock_attempts:
            message = f"{body.file}: {older[0]} is still at work; end it, or run the migration later"
            error = UnavailableError(message, reason=Reason.LOCK_NOT_OBTAINED)
        elif has_gone(desk, older[0], pause_seconds(tried, desk.chance())):
            continue
        elif desk.stop.is_set():
            error = InterruptedRunError(f"{body.file}: was told to stop before it began")
        if error is not None:
            write(desk, attempt, Ending(state=State.FAILED, reason=error.reason.value, actor=desk.actor))
            raise error


def may_be_partial(body: Body) -> bool:
    """Return whether some of *body* may be in although it failed: code that commits within, and was not said to be repeatable."""
    if body.is_transactional or body.directives.idempotent is not None:
        return False
    return trace_of(body.statements[0].terms).sought is Sought.UNKNOWN
