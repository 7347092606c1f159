"""Migrations are carried out one after the other, and each is written down before and after: who comes after a dead process knows.

What runs in a transaction is in exactly when its row in the ledger says so: both are committed together. Of what cannot run in one, the
intent is written down before, and the catalogue is asked what became of it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import UUID

from dbcustody.adapters.postgres import MIGRATION_LOCKS, DatabaseLock, PostgresTarget, connect, translated
from dbcustody.adapters.postgres.alembic_version import VersionTable, read_heads
from dbcustody.adapters.postgres.bookkeeping import read_version, require_known, upgrade
from dbcustody.adapters.postgres.ledger import Direction, Intent, read_attempts, read_partial
from dbcustody.adapters.postgres.lookout import Lookout
from dbcustody.adapters.postgres.migrating import end_earlier, forget, open_runner
from dbcustody.api.migration import FailOn, OnDrift
from dbcustody.errors import DbcustodyError, InterruptedRunError, RefusedError
from dbcustody.jobs import heritage
from dbcustody.jobs.aftermath import settle
from dbcustody.jobs.declaration import write_declared
from dbcustody.jobs.desk import Desk
from dbcustody.jobs.likeness import require_alike, take_fingerprint, take_patiently, write_print
from dbcustody.jobs.mirroring import Mirror
from dbcustody.jobs.mutation import begin, carry_out
from dbcustody.jobs.revision import runnable
from dbcustody.jobs.tally import Tally
from dbcustody.migration.aim import Declaration, aim_at, as_declared, contradicted, undeclared
from dbcustody.migration.alembic_history import parents_of, with_alembic
from dbcustody.migration.directive import Waiver
from dbcustody.migration.drift import Likeness, Moment
from dbcustody.migration.history import History, compare
from dbcustody.migration.ledger import State
from dbcustody.migration.patience import Limits
from dbcustody.migration.planned import Policy, Prospect, plan_hash
from dbcustody.migration.script import Script
from dbcustody.migration.statedplan import obstacles_of
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dbcustody.adapters.postgres import Holder
    from dbcustody.adapters.postgres.session import Session
    from dbcustody.migration.drift import Drift, Taken
    from dbcustody.migration.ledger import Attempt


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
    owner: str | None = None
    """Whose run it is, in eight letters, where never two of them go on at once: what sessions of another one still do is ended.

    None: whoever else migrates is waited for.
    """
    actor: str
    tool: str
    limits: Limits = field(default_factory=Limits)
    allows_out_of_order: bool = False
    fail_on: FailOn = FailOn.ERROR
    waivers: tuple[Waiver, ...] = ()
    """Of rules, in every file."""
    accepts_heritage: bool = False
    """Whether it runs although another tool has migrated this database, and its history was not taken over."""
    drift: OnDrift = OnDrift.FAIL
    """What it means that the database is not what its ledger says."""
    exclude: tuple[str, ...] = ()
    """Globs of what is no part of the schema's fingerprint; see `migration.catalogue.is_excluded`."""
    accepted_fingerprint: str | None = None
    """A schema with this one is meant as it is; None: none is."""
    aim: str | None = None
    """The migration that is to be the last one in; see `migration.aim.aim_at`."""
    may_go_back: bool = False
    """Whether migrations may be undone to come to *aim*."""
    declarations: tuple[Declaration, ...] = ()
    """What is to be written down before anything runs, where the ledger does not have it yet."""
    admitted: frozenset[str] | None = None
    """The names of the scripts that somebody has judged, and no other is run; None: all are."""
    agreed_hash: str | None = None
    """The plan that is to be carried out, and no other; None: whatever is pending."""
    approval: str | None = None
    """Who agreed to it, for the ledger; None: nobody was asked."""
    backup: str | None = None
    """Which backup was there before, for the ledger; None: none was asked for."""
    source_digest: str | None = None
    """Of all files, for the ledger; None: nobody says."""
    is_alembic: bool = False
    """Whether the scripts are a folder of Alembic's, whose table of versions is kept in step even where it is not there yet."""
    version_table: VersionTable = field(default_factory=VersionTable)
    metadata: str | None = None
    """Where the MetaData is by which revisions in Python name constraints, `package.module:Base.metadata`; None: nowhere."""
    lock_wait_seconds: float = 60.0
    stop: threading.Event = field(default_factory=threading.Event)
    say: Callable[[str], None] = lambda _: None
    chance: Callable[[], float] = random.random
    tally: Tally = field(default_factory=Tally)
    """What is noticed of the run beside its work, for whoever asked for it."""

    @property
    def policy(self) -> Policy:
        """What is let pass: a part of every plan."""
        return Policy(
            fail_on=self.fail_on,
            waivers=self.waivers,
            allows_out_of_order=self.allows_out_of_order,
            limits=self.limits,
            drift=self.drift,
            exclude=self.exclude,
        )


def refuses_drift(order: MigrationOrder, drift: Drift) -> bool:
    """Return whether *order* runs nothing in a database that stands so."""
    has_drifted = drift.likeness is Likeness.DRIFTED and drift.found != order.accepted_fingerprint
    return has_drifted and order.drift is OnDrift.FAIL


def look(order: MigrationOrder) -> History:
    """Return how the database stands to the scripts; nothing is written and nobody waits for it."""
    with connect(order.target) as session:
        return looked(order, session)


def looked(order: MigrationOrder, session: Session) -> History:
    """Return the same, by a *session* that is there already."""
    return survey(order, session).history


def survey(order: MigrationOrder, session: Session) -> Prospect:
    """Return how the database of *session* stands to the scripts, and where it is to be brought; nothing is written."""
    version = read_version(session)
    require_known(version)
    return _prospect(order, session, () if version is None else read_attempts(session))


def _prospect(order: MigrationOrder, session: Session, attempts: Sequence[Attempt]) -> Prospect:
    """Return the same of a database whose ledger has *attempts*: as it will be once what is declared stands in it."""
    said = order.declarations
    declared = undeclared(said, order.scripts, attempts) if said else ()
    rows = as_declared(declared, order.scripts, attempts)
    history = compare(order.scripts, rows, allows_out_of_order=order.allows_out_of_order)
    history = with_alembic(history, heads_of(order, session), order.scripts)
    aim = aim_at(order.aim, order.scripts, history, may_go_back=order.may_go_back)
    wrong = contradicted(said, order.scripts, attempts) if said else ()
    return Prospect(history=history, aim=replace(aim, declared=declared, obstacles=(*wrong, *aim.obstacles)))


def heads_of(order: MigrationOrder, session: Session) -> tuple[str, ...] | None:
    """Return what Alembic's table says of the scripts; None: there is none, or it is of something else.

    In a folder of ours that has Python in it, it is of the scripts when it knows nothing but them: another application may have one, too.
    """
    if not order.is_alembic and not any(script.is_python for script in order.scripts):
        return None
    heads = read_heads(session, order.version_table)
    known = {script.revision for script in order.scripts}
    return heads if order.is_alembic or (heads and known.issuperset(heads)) else None


def heritage_of(order: MigrationOrder, history: History) -> tuple[str, ...]:
    """Return what another tool has carried out and nobody took over, where that stands against what *history* has pending."""
    if not history.pending or order.accepts_heritage:
        return ()
    with connect(order.target) as session:
        return find_heritage_of(order, session, history)


def find_heritage_of(order: MigrationOrder, session: Session, history: History) -> tuple[str, ...]:
    """Return the same as *session* finds it."""
    return () if order.accepts_heritage else heritage.find_heritage(session, history.pending)


def migrate(order: MigrationOrder) -> History:
    """Carry out what is pending, and return how the database stands then.

    Raises RefusedError (HistoryBroken, HistoryForeign, SourceInvalid, NeedsResolution, PlanChanged, Drifted, MigrationFailed,
    PoolerRefused, NotWritable, PrivilegesMissing, LedgerUnknown), UnavailableError (DatabaseBusy, LockNotObtained, SchemaChanged,
    ConnectionLost) or InterruptedRunError; what ran before stays.
    """
    with at_work(order) as desk:
        settle(desk)
        attempts = read_attempts(desk.session)
        prospect = _prospect(order, desk.session, attempts)
        _require_fit(order, desk, prospect)
        aim = prospect.aim
        now = None if aim.is_reached else take_fingerprint(desk.session, order.exclude)
        _require_agreed(order, prospect, now)
        accepted = order.accepted_fingerprint
        require_alike(desk, order.drift, runs=bool(aim.forth or aim.back), now=now, accepted=accepted)
        for said in aim.declared:
            script = next(one for one in order.scripts if one.name == said.name)
            write_declared(desk, said, intent_of(order, script, Direction.MARK), read_attempts(desk.session))
        carry(order, desk, aim.back, Direction.DOWN)
        carry(order, desk, aim.forth, Direction.UP)
        return compared(order, desk)


def _require_fit(order: MigrationOrder, desk: Desk, prospect: Prospect) -> None:
    """Raise RefusedError with what stands against bringing the database where it is to be."""
    forth = prospect.aim.forth
    require_sound(prospect.history)
    if prospect.aim.obstacles:
        raise RefusedError("; ".join(prospect.aim.obstacles), reason=Reason.TARGET_UNREACHABLE)
    if not order.accepts_heritage:
        heritage.require_none(desk.session, forth)
    require_runnable(forth)
    _require_admitted(order, forth)
    _require_extensions(desk, forth)


def carry(order: MigrationOrder, desk: Desk, scripts: Sequence[Script], direction: Direction) -> None:
    """Carry *scripts* out, or undo them, one after the other; raises as `carry_out`, and what ran before stays.

    What the schema is then is written down with the last of them, or when one fails.
    """
    is_up, count = direction is Direction.UP, len(scripts)
    ways = [(script, script.up if is_up else script.down) for script in scripts]
    bodies = [runnable(body, metadata=order.metadata) for _, body in ways if body is not None]
    together = [body.is_transactional for body in bodies]
    for number, (script, body) in enumerate(zip(scripts, bodies, strict=True), start=1):
        # what may stay in in part is told by what it changed since, so that a fingerprint stands right before it
        goes_on = number < count and together[number]
        with _print_left(desk, is_needed=number > 1 and body.is_transactional and together[number - 2]):
            if order.stop.is_set():
                raise InterruptedRunError(
                    f"{script.name}: was told to stop before it {'began' if is_up else 'was undone'}"
                )
            desk.say(f"{script.name}: {'runs' if is_up else 'is undone'}")
            attempt = begin(desk, body, intent_of(order, script, direction))
            ends = State.APPLIED if is_up else State.ROLLED_BACK
            carry_out(desk, body, attempt, ends, goes_on=goes_on)


@contextmanager
def _print_left(desk: Desk, *, is_needed: bool) -> Iterator[None]:
    """Write down what those before have made of the schema when the block fails; where that cannot be done, the next run does."""
    try:
        yield
    except DbcustodyError:
        if is_needed and not desk.session.closed:
            forget(desk.session)
            with suppress(DbcustodyError):
                if not read_partial(desk.session):
                    write_print(desk, take_patiently(desk), Moment.AFTER)
        raise


def require_runnable(scripts: Sequence[Script]) -> None:
    """Raise RefusedError (SourceInvalid) with every fault of *scripts* that are about to run."""
    if faults := [str(fault) for script in scripts for fault in script.faults]:
        raise RefusedError(f"{'; '.join(faults)}; nothing was run", reason=Reason.SOURCE_INVALID)


def _require_admitted(order: MigrationOrder, scripts: Sequence[Script]) -> None:
    """Raise RefusedError (PlanChanged) when something is pending that was not when the order was judged: somebody has undone it since."""
    names = {script.name for script in scripts}
    if order.admitted is not None and (others := sorted(names - order.admitted)):
        raise RefusedError(
            f"{', '.join(others)}: pending since the plan was made; look at it again", reason=Reason.PLAN_CHANGED
        )


def _require_agreed(order: MigrationOrder, prospect: Prospect, now: Taken | None) -> None:
    """Raise RefusedError (PlanChanged) when not that is to run which was agreed to; asked under the lock, right before it runs."""
    if order.agreed_hash is None:
        return
    fingerprint = now.fingerprint if now is not None and order.drift is not OnDrift.IGNORE else None
    if (found := plan_hash(replace(prospect, fingerprint=fingerprint), order.policy)) != order.agreed_hash:
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
    with open_runner(order.target, order.run, order.owner) as session, connect(order.target) as beside:
        if order.owner is not None and (ended := end_earlier(beside, order.run, order.owner)):
            order.say(f"ended what an earlier run had left at work: sessions: {ended}")
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
                desk = Desk(
                    session=session,
                    beside=beside,
                    lookout=lookout,
                    limits=order.limits,
                    actor=order.actor,
                    stop=order.stop,
                    say=order.say,
                    chance=order.chance,
                    exclude=order.exclude,
                    mirror=_mirror(order, session),
                    metadata=order.metadata,
                    tally=order.tally,
                )
                try:
                    yield desk
                finally:
                    order.tally.lock_wait_seconds += lookout.waited_seconds


def _mirror(order: MigrationOrder, session: Session) -> Mirror | None:
    if not order.is_alembic and heads_of(order, session) is None:
        return None
    return Mirror(table=order.version_table, parents=parents_of(order.scripts))


def _waiting(holder: Holder | None) -> str:
    return f"waits for the database lock, which {holder or 'somebody who just let go'} holds"


def compared(order: MigrationOrder, desk: Desk) -> History:
    """Return how the database stands to the scripts now."""
    return _prospect(order, desk.session, read_attempts(desk.session)).history


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
        approval=order.approval,
        backup=order.backup,
        tool=order.tool,
        actor=order.actor,
    )
