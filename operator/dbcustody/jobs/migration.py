"""Migrations are carried out one after the other, and each is written down before and after: who comes after a dead process knows.

What runs in a transaction is in exactly when its row in the ledger says so: both are committed together. Of what cannot run in one, the
intent is written down before, and the catalogue is asked what became of it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from dbcustody.adapters.postgres import MIGRATION_LOCKS, DatabaseLock, PostgresTarget, connect, translated
from dbcustody.adapters.postgres.bookkeeping import read_version, require_known, upgrade
from dbcustody.adapters.postgres.ledger import Direction, Intent, add_attempt, read_attempts
from dbcustody.adapters.postgres.lookout import Lookout
from dbcustody.adapters.postgres.migrating import end_run, open_runner
from dbcustody.errors import InterruptedRunError, RefusedError
from dbcustody.jobs.aftermath import settle
from dbcustody.jobs.mutation import Desk, carry_out
from dbcustody.migration.history import History, Kind, compare
from dbcustody.migration.ledger import State
from dbcustody.migration.patience import Limits
from dbcustody.migration.proposal import Proposal, propose
from dbcustody.migration.script import Script
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbcustody.adapters.postgres import Holder
    from dbcustody.adapters.postgres.session import Session

_UNFINISHED = frozenset({Kind.PARTIAL, Kind.UNSETTLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationOrder:
    """What is to be done, where, and how patiently."""

    target: PostgresTarget
    custody_id: str
    maintenance_database: str
    scripts: tuple[Script, ...]
    """Of a source without faults, in their order."""
    run: UUID
    """Nobody else's: the sessions of this run are known by it."""
    dead_run: UUID | None = None
    """A run whose process is known to be dead: whatever its sessions still do is ended."""
    actor: str
    tool: str
    limits: Limits = field(default_factory=Limits)
    allows_out_of_order: bool = False
    admitted: frozenset[str] | None = None
    """The names of the scripts that somebody has judged, and no other is run; None: all are."""
    agreed_hash: str | None = None
    """The plan that is to be carried out, and no other; None: whatever is pending."""
    source_digest: str | None = None
    """Of all files, for the ledger; None: nobody says."""
    lock_wait_seconds: float = 60.0
    stop: threading.Event = field(default_factory=threading.Event)
    say: Callable[[str], None] = lambda _: None
    chance: Callable[[], float] = random.random


def look(order: MigrationOrder) -> History:
    """Return how the database stands to the scripts; nothing is written and nobody waits for it."""
    with connect(order.target) as session:
        return looked(order, session)


def looked(order: MigrationOrder, session: Session) -> History:
    """Return the same, by a *session* that is there already."""
    version = read_version(session)
    require_known(version)
    attempts = () if version is None else read_attempts(session)
    return compare(order.scripts, attempts, allows_out_of_order=order.allows_out_of_order)


def migrate(order: MigrationOrder) -> History:
    """Carry out what is pending, and return how the database stands then.

    Raises RefusedError (HistoryBroken, NeedsResolution, PlanChanged, MigrationFailed, PoolerRefused, NotWritable, PrivilegesMissing,
    LedgerUnknown), UnavailableError (DatabaseBusy, LockNotObtained, ConnectionLost) or InterruptedRunError; what ran before stays.
    """
    with at_work(order) as desk:
        settle(desk)
        history = compared(order, desk)
        require_sound(history)
        _require_admitted(order, history)
        _require_agreed(order, history)
        _require_extensions(desk, history.pending)
        for script in history.pending:
            if order.stop.is_set():
                raise InterruptedRunError(f"{script.name}: was told to stop before it began")
            desk.say(f"{script.name}: runs")
            attempt = add_attempt(desk.session, intent_of(order, script, Direction.UP))
            carry_out(desk, script.up, attempt, State.APPLIED)
        return compared(order, desk)


def _require_admitted(order: MigrationOrder, history: History) -> None:
    """Raise RefusedError (PlanChanged) when something is pending that was not when the order was judged: somebody has undone it since."""
    names = {script.name for script in history.pending}
    if order.admitted is not None and (others := sorted(names - order.admitted)):
        raise RefusedError(
            f"{', '.join(others)}: pending since the plan was made; look at it again", reason=Reason.PLAN_CHANGED
        )


def proposal_of(order: MigrationOrder, history: History) -> Proposal:
    """Return what *history* has pending, as a plan."""
    return propose(history, order.limits, allows_out_of_order=order.allows_out_of_order)


def _require_agreed(order: MigrationOrder, history: History) -> None:
    """Raise RefusedError (PlanChanged) when not that is pending which was agreed to; asked under the lock, right before it runs."""
    if order.agreed_hash is None:
        return
    if (found := proposal_of(order, history).hash) != order.agreed_hash:
        message = f"the plan is {found} now, and {order.agreed_hash} was to be carried out; nothing was run"
        raise RefusedError(message, reason=Reason.PLAN_CHANGED)


def _require_extensions(desk: Desk, scripts: Sequence[Script]) -> None:
    """Raise RefusedError (ExtensionsMissing) unless every extension is there that the head of a script names."""
    wanted = {name for script in scripts for name in script.up.directives.requires}
    with translated("look at the extensions", otherwise=Reason.MIGRATION_FAILED):
        there = {row[0] for row in desk.session.execute("select extname::text from pg_catalog.pg_extension").fetchall()}
    if missing := sorted(wanted - there):
        raise RefusedError(
            f"extensions that are required and not there: {', '.join(missing)}; run CREATE EXTENSION first",
            reason=Reason.EXTENSIONS_MISSING,
        )


def obstacles_of(history: History) -> tuple[Reason, tuple[str, ...]] | None:
    """Return every difference that stands in the way, and what that is called; None: nothing does.

    A database that is only ahead of its source is sound.
    """
    if history.is_ahead or not history.differences:
        return None
    unfinished = any(one.kind in _UNFINISHED for one in history.differences)
    told = tuple(f"{one.kind.value}: {one}" for one in history.differences)
    return Reason.NEEDS_RESOLUTION if unfinished else Reason.HISTORY_BROKEN, told


def require_sound(history: History) -> None:
    """Raise RefusedError with every difference that stands in the way."""
    if (found := obstacles_of(history)) is not None:
        reason, told = found
        raise RefusedError("; ".join(told), reason=reason)


def settled(order: MigrationOrder) -> History:
    """Find out how every run ended of which nothing says it, and return how the database stands then; nothing is carried out.

    Raises as `migrate` does.
    """
    with at_work(order) as desk:
        settle(desk)
        return compared(order, desk)


@contextmanager
def at_work(order: MigrationOrder) -> Iterator[Desk]:
    """Yield a desk whose session holds the lock of migrations, in a database whose ledger is up to date."""
    with open_runner(order.target, order.run) as session, connect(order.target) as beside:
        if order.dead_run is not None:
            end_run(beside, order.dead_run)
        lock = DatabaseLock(session, custody_id=order.custody_id, maintenance_database=order.maintenance_database)
        with lock:
            lock.acquire(
                MIGRATION_LOCKS,
                wait_seconds=order.lock_wait_seconds,
                stop=order.stop,
                waiting=lambda holder: order.say(_waiting(holder)),
            )
            upgrade(session)
            with Lookout(session, beside, order.stop) as lookout:
                yield Desk(
                    session=session,
                    beside=beside,
                    lookout=lookout,
                    limits=order.limits,
                    actor=order.actor,
                    stop=order.stop,
                    say=order.say,
                    chance=order.chance,
                )


def _waiting(holder: Holder | None) -> str:
    return f"waits for the database lock, which {holder or 'somebody who just let go'} holds"


def compared(order: MigrationOrder, desk: Desk) -> History:
    """Return how the database stands to the scripts now."""
    return compare(order.scripts, read_attempts(desk.session), allows_out_of_order=order.allows_out_of_order)


def intent_of(order: MigrationOrder, script: Script, direction: Direction) -> Intent:
    """Return what is written down before *script* is carried out in *direction*."""
    body = script.down if direction is Direction.DOWN and script.down is not None else script.up
    return Intent(
        run=order.run,
        revision=script.revision,
        name=script.name,
        direction=direction,
        sha256=body.checksum,
        body=body.text,
        down_body=script.down.text if script.down is not None else None,
        is_allowed_out_of_order=order.allows_out_of_order,
        source_sha256=order.source_digest,
        plan_sha256=order.agreed_hash,
        tool=order.tool,
        actor=order.actor,
    )
