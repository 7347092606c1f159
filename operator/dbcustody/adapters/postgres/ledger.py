"""The rows of the ledger, read and added: intents in transactions of their own, outcomes in that of the work where there is one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from uuid import UUID

from dbcustody.adapters.postgres.failure import translated
from dbcustody.migration.ledger import Attempt, State
from dbcustody.migration.trace import Finding
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.session import Session

_OUTCOMES: Final = "dbcustody.attempt a left join dbcustody.outcome o on o.attempt = a.id"
_ATTEMPTS: Final = f"""
select distinct on (a.id) a.id, a.revision, a.name, coalesce(o.state, 'Started'), a.sha256, o.ended_at, a.allowed_out_of_order, o.reason,
       o.sqlstate
from {_OUTCOMES} order by a.id, o.id desc
"""  # noqa: S608 - words of our own
"""Of each attempt the last outcome; one join, for a history has hundreds of rows and nobody waits for it gladly."""
_UNSETTLED: Final = """
select a.id, a.run, a.name, a.direction, coalesce(s.statement, a.body), s.found_before
from dbcustody.attempt a left join dbcustody.step s on s.attempt = a.id and s.ordinal = 1
left join dbcustody.outcome o on o.attempt = a.id where o.id is null order by a.id
"""
_LAST: Final = """left join lateral (
    select p.state, p.done from dbcustody.outcome p where p.attempt = a.id order by p.id desc limit 1) o on true"""
_PARTIAL: Final = """
select a.name, a.direction, a.body, o.done from dbcustody.outcome o join dbcustody.attempt a on a.id = o.attempt
where o.state = 'Partial' and not exists (select from dbcustody.outcome n where n.attempt = o.attempt and n.id > o.id) and not exists (
    select from dbcustody.attempt l left join lateral (
        select p.state from dbcustody.outcome p where p.attempt = l.id order by p.id desc limit 1) p on true
    where l.revision = a.revision and l.id > a.id and p.state is distinct from 'Failed')
order by a.id
"""
"""What `migration.ledger.records` calls partial: an attempt that failed later changes nothing in that."""
_BEGIN: Final = """
with quickly as materialized (select pg_catalog.set_config('synchronous_commit', 'off', true))
insert into dbcustody.attempt
    (run, revision, name, direction, sha256, body, down_body, allowed_out_of_order, source_sha256, plan_sha256, approval, backup,
     tool, actor)
select %s::uuid, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s from quickly returning id
"""
"""Nobody waits until an intent is on the disk: the log is written in order, so that it is there before anything that comes of it
(manual, "Asynchronous Commit"). A server that crashes first has lost both, and nothing of it is in; a client that dies loses neither."""
_END: Final = """
insert into dbcustody.outcome (attempt, state, done, sqlstate, statement, object, reason, actor, ended_at, ran)
values (%s, %s, %s, %s, %s, %s, %s, %s, coalesce(%s, pg_catalog.clock_timestamp()), %s)
"""
_STEP: Final = """
insert into dbcustody.step (attempt, ordinal, sha256, nature, found_before, statement)
values (%s, %s, %s, %s, %s, %s) on conflict do nothing
"""


Said = tuple[bytes, tuple[object, ...]]
"""A statement, with `%s` for each of its values."""
TRIED: Final = "write down what is tried"


class Direction(StrEnum):
    """What was wanted of a migration."""

    UP = "Up"
    DOWN = "Down"
    MARK = "Mark"
    """Somebody declared where it stands; nothing ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is about to be tried, as it is written down before."""

    run: UUID
    revision: str
    name: str
    direction: Direction
    sha256: str
    """Of *body*."""
    body: str
    """What runs, whole: what is remembered of a migration must not depend on files that may be gone."""
    down_body: str | None = None
    is_allowed_out_of_order: bool = False
    source_sha256: str | None = None
    plan_sha256: str | None = None
    approval: str | None = None
    """Who agreed to that plan; None: nobody was asked."""
    backup: str | None = None
    """The verified backup that was there before; None: none was asked for."""
    tool: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What became of an attempt, as it is written down: names and codes, never a value."""

    state: State
    done: int = 0
    """How many of its statements are in because of it."""
    sqlstate: str | None = None
    statement: int | None = None
    """Which was refused, from 1; None: none was, or the end of the transaction."""
    object: str | None = None
    reason: str | None = None
    """Why somebody declared it, or how it was found out."""
    actor: str
    ended: datetime | None = None
    """When it ended, by another tool's word; None: now, by the server's clock."""
    ran: str | None = None
    """The SQL that ran, without values; None: the text of the attempt says it, or nothing ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """An attempt of which nothing says what became of it."""

    ordinal: int
    run: UUID
    name: str
    direction: Direction
    body: str
    """The SQL that was to run."""
    found_before: Finding | None
    """What the catalogue showed before its statement ran outside of a transaction; None: it did not run so, and nothing of it can be in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """A migration that is in in part."""

    name: str
    is_down: bool
    """Whether it was its way back that ran."""
    body: str
    done: int
    """How many of its statements came to their end."""


def read_attempts(session: Session) -> tuple[Attempt, ...]:
    """Return every attempt, oldest first, of a database that has a ledger."""
    with translated("read the ledger of migrations", otherwise=Reason.MIGRATION_FAILED):
        rows = session.execute(_ATTEMPTS.encode()).fetchall()
    return tuple(
        Attempt(
            ordinal=ordinal,
            revision=revision,
            name=name,
            state=State(state),
            checksum=sha256,
            finished=finished,
            was_allowed_out_of_order=allowed,
            reason=reason,
            sqlstate=sqlstate,
        )
        for ordinal, revision, name, state, sha256, finished, allowed, reason, sqlstate in rows
    )


def read_partial(session: Session) -> tuple[Partial, ...]:
    """Return the migrations that are in in part, oldest first; none where there is no ledger."""
    with translated("read the ledger of migrations", otherwise=Reason.MIGRATION_FAILED):
        if session.execute("select to_regclass('dbcustody.attempt') is not null").fetchone() != (True,):
            return ()
        rows = session.execute(_PARTIAL.encode()).fetchall()
    return tuple(
        Partial(name=name, is_down=direction == Direction.DOWN, body=body, done=done)
        for name, direction, body, done in rows
    )


def read_unsettled(session: Session) -> tuple[Unsettled, ...]:
    """Return the attempts without an outcome, oldest first."""
    with translated("read the ledger of migrations", otherwise=Reason.MIGRATION_FAILED):
        rows = session.execute(_UNSETTLED.encode()).fetchall()
    return tuple(
        Unsettled(
            ordinal=ordinal,
            run=run,
            name=name,
            direction=Direction(direction),
            body=body,
            found_before=None if before is None else Finding(before),
        )
        for ordinal, run, name, direction, body, before in rows
    )


def add_attempt(session: Session, intent: Intent) -> int:
    """Write down what is about to be tried; returns its place in the ledger."""
    with translated(TRIED, otherwise=Reason.MIGRATION_FAILED):
        rows = session.execute(*attempt_row(intent)).fetchall()
    return int(rows[0][0])


def attempt_row(intent: Intent) -> Said:
    """Return the statement that writes *intent* down and returns its place in the ledger, to be sent along with others."""
    return _BEGIN.encode(), (
        intent.run,
        intent.revision,
        intent.name,
        intent.direction.value,
        intent.sha256,
        intent.body,
        intent.down_body,
        intent.is_allowed_out_of_order,
        intent.source_sha256,
        intent.plan_sha256,
        intent.approval,
        intent.backup,
        intent.tool,
        intent.actor,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The only statement of an attempt, which is about to run by itself."""

    sha256: str
    nature: str
    before: Finding
    """What the catalogue shows of it."""
    statement: str | None = None
    """It itself, where the text of the attempt is no SQL."""


def add_step(session: Session, attempt: int, step: Step) -> None:
    """Write down that *step* of *attempt* is about to run."""
    values = (attempt, 1, step.sha256, step.nature, step.before.value, step.statement)
    with translated("write down which statement runs", otherwise=Reason.MIGRATION_FAILED):
        session.execute(_STEP.encode(), values)


def revision_of(session: Session, attempt: int) -> str:
    """Return the revision that *attempt* is of; raises what psycopg raises."""
    rows = session.execute("select revision from dbcustody.attempt where id = %s", (attempt,)).fetchall()
    return str(rows[0][0])


def add_outcome(session: Session, attempt: int, ending: Ending) -> None:
    """Write down what became of an attempt; in a transaction it counts when that is committed.

    Raises what psycopg raises: whoever runs it within the work's transaction must know which statement failed.
    """
    session.execute(*outcome_row(attempt, ending))


def outcome_row(attempt: int, ending: Ending) -> Said:
    """Return the statement that does so, to be sent along with others."""
    told = (ending.sqlstate, ending.statement, ending.object, ending.reason, ending.actor, ending.ended, ending.ran)
    return _END.encode(), (attempt, ending.state.value, ending.done, *told)
