"""What a migration is carried out with, and what every way of carrying one out needs: limits, patience, and a word in the ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from math import ceil
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.failure import translated
from dbcustody.adapters.postgres.ledger import Ending
from dbcustody.adapters.postgres.lookout import Lookout
from dbcustody.adapters.postgres.migrating import StatementFailedError
from dbcustody.adapters.postgres.obstruction import wait_for
from dbcustody.adapters.postgres.session import Session
from dbcustody.errors import DbcustodyError, InterruptedRunError, RefusedError, UnavailableError
from dbcustody.jobs.likeness import take_patiently, write_print
from dbcustody.jobs.mirroring import Mirror, write_down
from dbcustody.jobs.tally import Tally
from dbcustody.migration.drift import Moment
from dbcustody.migration.ledger import State
from dbcustody.migration.patience import Limits, pause_seconds
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbcustody.adapters.postgres.obstruction import Blocker
    from dbcustody.migration.body import Body


_UNSEEN: Final = (
    "a role with pg_read_all_stats sees whether that has a snapshot, without which nobody has to wait for it"
)


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


def limits_of(desk: Desk, body: Body) -> Limits:
    """Return the limits of *body*, which may name a budget of its own."""
    budget = body.directives.budget_seconds
    return desk.limits if budget is None else replace(desk.limits, statement_timeout_seconds=ceil(budget))


def ran_by(body: Body) -> str | None:
    """Return the SQL of *body* where its text is none."""
    return "".join(f"{statement.text};\n" for statement in body.statements) if body.is_python else None


def require_invariants(session: Session, body: Body) -> None:
    """Raise RefusedError unless every query that the head of *body* names returns true."""
    for number, query in enumerate(body.directives.invariants, start=1):
        with translated(f"{body.file}: invariant {number}", otherwise=Reason.MIGRATION_FAILED):
            row = session.execute(query.encode()).fetchone()
        if row != (True,):
            raise RefusedError(
                f"{body.file}: invariant {number} does not hold once it has run; it must return true",
                reason=Reason.MIGRATION_FAILED,
            )


def has_gone(desk: Desk, blocker: Blocker | None, pause_seconds: float) -> bool:
    """Wait until *blocker* is out of the way, for at most *pause_seconds*, and return whether it is; None: for all that time."""
    with desk.tally.waiting():
        if blocker is not None:
            return wait_for(desk.beside, blocker, seconds=pause_seconds, stop=desk.stop)
        return not desk.stop.wait(pause_seconds)


@contextmanager
def nothing_run(desk: Desk, attempt: int, writes: Callable[[Desk, int, Ending], None]) -> Iterator[None]:
    """Write down by *writes* that nothing of *attempt* is in when the block raises one of our errors.

    The refusal of a statement is left to whoever knows whether it is tried again.
    """
    try:
        yield
    except StatementFailedError:
        raise
    except DbcustodyError as error:
        if not desk.session.closed:
            writes(desk, attempt, Ending(state=State.FAILED, reason=error.reason.value, actor=desk.actor))
        raise


def wait_until_none(desk: Desk, what: str, look: Callable[[], Sequence[Blocker]]) -> None:
    """Wait until *look* finds nobody any more who is in the way of *what*, which has not begun.

    Raises UnavailableError (LockNotObtained) naming who stays, InterruptedRunError when told to stop.
    """
    for tried in count(1):
        found = look()
        if not found:
            return
        desk.say(f"{what}: waits for {found[0]}")
        if tried > desk.limits.lock_attempts:
            helps = "" if found[0].age_seconds is not None else f"; {_UNSEEN}"
            message = f"{what}: {found[0]} is still at work; end it, or run the migration later{helps}"
            raise UnavailableError(message, reason=Reason.LOCK_NOT_OBTAINED)
        if not has_gone(desk, found[0], pause_seconds(tried, desk.chance())) and desk.stop.is_set():
            raise InterruptedRunError(f"{what}: was told to stop before it began")


def let_pass(desk: Desk, what: str, found: Sequence[Blocker]) -> None:
    """Wait until each of *found*, who were in the way of *what* when it was looked, is not any more; others may be by then.

    Raises as `wait_until_none`; only for who stays the patience is used up.
    """
    tried = 0
    for one in found:
        is_gone = False
        while not is_gone:
            tried += 1
            desk.say(f"{what}: gives way to {one}")
            is_gone = has_gone(desk, one, pause_seconds(tried, desk.chance()))
            if desk.stop.is_set():
                raise InterruptedRunError(f"{what}: was told to stop before it began")
            if not is_gone and tried >= desk.limits.lock_attempts:
                message = f"{what}: {one} is still at work; end it, or run the migration later"
                raise UnavailableError(message, reason=Reason.LOCK_NOT_OBTAINED)


def write_with_print(desk: Desk, attempt: int, ending: Ending) -> None:
    """Write down what became of a statement that ran by itself, and the schema after it: what it did before it failed is its own doing."""
    taken = take_patiently(desk)
    with desk.session.transaction():
        write(desk, attempt, ending)
        write_print(desk, taken, Moment.AFTER)


def write(desk: Desk, attempt: int, ending: Ending) -> None:
    """Write down what became of an attempt, which is committed at once."""
    with translated("write down what became of it", otherwise=Reason.MIGRATION_FAILED), desk.session.transaction():
        write_down(desk.session, attempt, ending, desk.mirror)
