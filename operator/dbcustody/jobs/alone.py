"""One statement by itself, outside of any transaction: it waits for older ones first, and the catalogue is asked what became of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.ledger import Ending, Step, add_step
from dbcustody.adapters.postgres.likening import is_built_alike
from dbcustody.adapters.postgres.migrating import StatementFailedError, run_alone
from dbcustody.adapters.postgres.probing import find, find_remnants, locked_tables
from dbcustody.errors import DbcustodyError, RefusedError
from dbcustody.jobs.desk import (
    limits_of,
    nothing_run,
    ran_by,
    require_invariants,
    write,
    write_with_print,
)
from dbcustody.jobs.remnants import (
    clear_away,
    require_going_on,
    told,
    wait_for_builders,
    wait_for_older,
)
from dbcustody.migration.ledger import State
from dbcustody.migration.nature import classify, commits_in_steps
from dbcustody.migration.outlook import look_ahead
from dbcustody.migration.patience import Limits
from dbcustody.migration.reading import checksum
from dbcustody.migration.rehearsal import rehearsal
from dbcustody.migration.token import Kind
from dbcustody.migration.trace import Finding, Sought, trace_of
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbcustody.adapters.postgres.migrating import Refusal
    from dbcustody.adapters.postgres.probing import Remnant
    from dbcustody.jobs.desk import Desk
    from dbcustody.migration.body import Body
    from dbcustody.migration.trace import Trace

_OF_THE_TEXT: Final = "42"
"""The class of SQLSTATE: syntax error, or access rule violation."""


def run_by_itself(desk: Desk, body: Body, attempt: int, ends: State, *, goes_on: bool) -> None:
    """Run the only statement of *body*; what it leaves when it fails is cleared away, and what was left of one before it, too.

    To be told to stop cuts it short, and nothing after it. Raises as `jobs.mutation.carry_out`; what it did is written down, but for the
    refusal of the statement itself.
    """
    del goes_on  # it takes long anyway, and nothing takes it back
    (statement,) = body.statements
    trace = trace_of(statement.terms)
    with nothing_run(desk, attempt, write):
        wait_for_builders(desk, body.file, trace)
        before = find(desk.session, trace)
        stood = find_remnants(desk.session, trace)
        _require_same(desk, body, trace, before)
    step = Step(
        sha256=checksum(statement.text),
        nature=classify(statement.terms).nature.value,
        before=before,
        statement=statement.text if body.is_python else None,
    )
    add_step(desk.session, attempt, step)
    with nothing_run(desk, attempt, write_with_print):
        kept = _make_room(desk, body, trace, stood)
        needed = [table for table, _ in locked_tables(desk.session, look_ahead(body.statements).locks)]
        wait_for_older(desk, body.file, needed=needed)
        require_going_on(desk, body.file)
    try:
        with desk.lookout.cutting():
            run_alone(desk.session, statement.text, ordinal=1, limits=_patient(limits_of(desk, body)))
    except StatementFailedError as failed:
        with _still_told(desk, body, attempt, failed):
            is_finished = before is not Finding.DONE and _is_finished(desk, body, trace, kept)
        if not is_finished:
            raise
    _require_done(desk, body, attempt, trace)
    _end(desk, body, attempt, ends)


def _require_same(desk: Desk, body: Body, trace: Trace, before: Finding) -> None:
    """Raise RefusedError (MigrationFailed) when a whole index has the name already, IF NOT EXISTS would take it, and it is another."""
    (statement,) = body.statements
    words = rehearsal(statement)
    if before is not Finding.DONE or trace.sought is not Sought.INDEX or not words:
        return
    is_same = is_built_alike(desk.session, trace, words, limits_of(desk, body))
    if is_same is None:
        desk.say(
            f"{body.file}: the index {trace.relation} is there; that it is the wanted one could not be made sure of"
        )
    if is_same is False:
        helps = "drop it first, or give the new one another name; nothing was run"
        message = f"{body.file}: line {statement.place.line}: an index {trace.relation} is there, and not as it is wanted: {helps}"
        raise RefusedError(message, reason=Reason.MIGRATION_FAILED)


def _make_room(desk: Desk, body: Body, trace: Trace, stood: Sequence[Remnant]) -> frozenset[int]:
    """Clear away an index of the wanted name that is invalid; returns which others that *stood* are none of its business (OIDs)."""
    if not stood:
        return frozenset()
    if trace.sought is Sought.NO_TWIN:
        desk.say(f"{body.file}: {told(stood)}")
        return frozenset(one.index for one in stood)
    desk.say(
        f"{body.file}: the index {stood[0]} is invalid, its building was broken off; it is cleared away and built anew"
    )
    require_going_on(desk, body.file)
    clear_away(desk, body.file, trace)
    return frozenset()


def _is_finished(desk: Desk, body: Body, trace: Trace, kept: frozenset[int]) -> bool:
    """Clear away what a refused statement left, except *kept* (OIDs); returns whether that finished it, as it does a detachment."""
    if find(desk.session, trace) is Finding.BROKEN:
        clear_away(desk, body.file, trace, but=kept)
        return trace.sought is Sought.DETACHED and find(desk.session, trace) is Finding.DONE
    return False


@contextmanager
def _still_told(desk: Desk, body: Body, attempt: int, failed: StatementFailedError) -> Iterator[None]:
    """Let errors of the block, which clears away behind the statement that *failed*, tell of that, too, which came before them.

    An index of the wanted name is cleared away by whichever run comes next, so that what the server said is written down. Of anything
    else nothing is: that run takes what is left for that of this one only as long as nothing says what became of it.
    """
    try:
        yield
    except DbcustodyError as error:
        refusal = failed.refusal
        if trace_of(body.statements[0].terms).sought is Sought.INDEX and not desk.session.closed:
            ending = Ending(
                state=State.FAILED,
                sqlstate=refusal.sqlstate,
                statement=refusal.ordinal,
                object=refusal.object,
                reason=error.reason.value,
                actor=desk.actor,
            )
            write_with_print(desk, attempt, ending)
        line = body.statements[0].place.line
        message = f"{error.message}; before that, line {line} had failed: {failed.message}"
        raise type(error)(message, reason=error.reason) from failed


def _require_done(desk: Desk, body: Body, attempt: int, trace: Trace) -> None:
    """Raise RefusedError (MigrationFailed) unless the catalogue has what the server took: IF NOT EXISTS takes whatever has the name."""
    if trace.sought is not Sought.INDEX or (found := find(desk.session, trace)) is Finding.DONE:
        return
    helps = (
        "it is invalid: somebody else builds it, or has broken that off; run the migration again"
        if found is Finding.BROKEN
        else "that name is not one of a whole index of this table; give the index another name, or drop what has it"
    )
    write_with_print(desk, attempt, Ending(state=State.FAILED, reason=Reason.MIGRATION_FAILED.value, actor=desk.actor))
    message = f"{body.file}: line {body.statements[0].place.line}: the index {trace.relation} was not built: {helps}"
    raise RefusedError(message, reason=Reason.MIGRATION_FAILED)


def _end(desk: Desk, body: Body, attempt: int, ends: State) -> None:
    """Write down that all of it is in, once its invariants hold."""
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


def may_be_partial(body: Body) -> bool:
    """Return whether some of *body* may be in when its run ended within: code that commits, and was not said to be repeatable."""
    if body.is_transactional or body.directives.idempotent is not None:
        return False
    return trace_of(body.statements[0].terms).sought is Sought.UNKNOWN


def is_partial_if_refused(body: Body, refusal: Refusal) -> bool:
    """Return whether some of *body* may be in although the server refused it, as *refusal* says.

    Not where it did not even understand the statement: nothing has begun then. That is sure of an error of its text (class 42) at a place
    within it that is in no literal. The code of a DO is a literal, and one that it hands on may have been found wrong after a commit; the
    server tells the place of either in the same way.
    """
    if not may_be_partial(body):
        return False
    (statement,) = body.statements
    if not commits_in_steps(statement.terms):
        return False
    at = refusal.position
    if at is None or not refusal.sqlstate.startswith(_OF_THE_TEXT):
        return True
    return any(one.kind is Kind.STRING and one.start <= at + statement.start < one.end for one in statement.tokens)
