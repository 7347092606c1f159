"""What a dead run left: attempts of which nothing says what became of them are settled before anything else is done.

Whoever settles holds the lock that the dead one held, so nothing of it is at work any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.failure import translated
from dbcustody.adapters.postgres.ledger import Direction, Ending, Unsettled, read_unsettled
from dbcustody.adapters.postgres.probing import find, find_remnants
from dbcustody.jobs.alone import may_be_partial
from dbcustody.jobs.likeness import take_patiently, write_print
from dbcustody.jobs.mirroring import write_down
from dbcustody.jobs.remnants import clear_away, require_going_on, told, wait_for_builders
from dbcustody.migration.body import read_body
from dbcustody.migration.drift import Moment
from dbcustody.migration.ledger import State
from dbcustody.migration.trace import Finding, Sought, trace_of
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.jobs.desk import Desk

_DONE: Final = {Direction.UP: State.APPLIED, Direction.DOWN: State.ROLLED_BACK}
_BEFORE_COMMIT: Final = "its run ended before the commit"
_WITHIN: Final = "its run ended within the statement"


def settle(desk: Desk) -> None:
    """Write down what became of every attempt of which nothing says it; what was broken off is cleared away, or finished.

    Raises as `jobs.remnants.clear_away`; what it could not clear away is settled by the next run.
    """
    for attempt in read_unsettled(desk.session):
        state, why = _judge(desk, attempt)
        desk.say(f"{attempt.name}: {why}")
        ending = Ending(state=state, done=int(state in _DONE.values()), reason=why, actor=desk.actor)
        has_acted = attempt.found_before is not None and state is not State.PARTIAL
        taken = take_patiently(desk) if has_acted else None
        doing = translated("write down what became of it", otherwise=Reason.MIGRATION_FAILED)
        with doing, desk.session.transaction():
            write_down(desk.session, attempt.ordinal, ending, desk.mirror)
            if has_acted:
                write_print(desk, taken, Moment.AFTER)


def _judge(desk: Desk, attempt: Unsettled) -> tuple[State, str]:
    """Return what became of *attempt*, and how that is known."""
    if attempt.found_before is None:
        return State.FAILED, _BEFORE_COMMIT
    body = read_body(attempt.name, attempt.body.encode(), is_down=attempt.direction is Direction.DOWN).body
    if body is None or may_be_partial(body):
        return State.PARTIAL, "its run ended while it was at work, and nothing in the catalogue shows how far it came"
    trace = trace_of(body.statements[0].terms)
    wait_for_builders(desk, attempt.name, trace)
    found = find(desk.session, trace)
    if found is Finding.BROKEN and trace.sought is Sought.NO_TWIN and attempt.found_before is Finding.BROKEN:
        return State.FAILED, f"{_WITHIN}; {told(find_remnants(desk.session, trace))}"
    left = found is Finding.BROKEN
    if left:
        require_going_on(desk, attempt.name)
        clear_away(desk, attempt.name, trace)
        found = find(desk.session, trace)
    if found is Finding.DONE and attempt.found_before is not Finding.DONE:
        return _DONE[attempt.direction], "its run ended after the statement: the catalogue has all of it"
    return State.FAILED, f"{_WITHIN}: {'what was left is cleared away' if left else 'nothing of it is left'}"
