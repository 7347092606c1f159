"""The rows of the ledger, read and added: intents in transactions of their own, outcomes in that of the work where there is one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from uuid import UUID

from dbcustody.adapters.postgres.failure import translated
from dbcustody.migration.ledger import Attempt, State
from dbcustody.migration.trace import Finding
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.session import Session

_LAST: Final = (
    "left join lateral (select * from dbcustody.outcome o where o.attempt = a.id order by o.id desc limit 1) o on true"
)
_ATTEMPTS: Final = f"""
select a.id, a.revision, a.name, coalesce(o.state, 'Started'), a.sha256, o.ended_at, a.allowed_out_of_order
from dbcustody.attempt a {_LAST} order by a.id
"""  # noqa: S608 - words of our own
_UNSETTLED: Final = f"""
select a.id, a.run, a.name, a.direction, coalesce(s.statement, a.body), s.found_before
from dbcustody.attempt a left join dbcustody.step s on s.attempt = a.id and s.ordinal = 1 {_LAST} where o.id is null order by a.id
"""  # noqa: S608 - words of our own
_BEGIN: Final = """
insert into dbcustody.attempt
    (run, revision, name, direction, sha256, body, down_body, allowed_out_of_order, source_sha256, plan_sha256, tool, actor)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning id
"""
_END: Final = """
insert into dbcustody.outcome (attempt, state, done, sqlstate, object, reason, actor, ran) values (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_STEP: Final = """
insert into dbcustody.step (attempt, ordinal, sha256, nature, found_before, statement)
values (%s, %s, %s, %s, %s, %s) on conflict do nothing
"""


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
    tool: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What became of an attempt, as it is written down: names and codes, never a value."""

    state: State
    done: int = 0
    """How many of its statements are in because of it."""
    sqlstate: str | None = None
    object: str | None = None
    reason: str | None = None
    """Why somebody declared it, or how it was found out."""
    actor: str
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
        )
        for ordinal, revision, name, state, sha256, finished, allowed in rows
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
    values = (
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
        intent.tool,
        intent.actor,
    )
    with translated("write down what is tried", otherwise=Reason.MIGRATION_FAILED):
        rows = session.execute(_BEGIN.encode(), values).fetchall()
    return int(rows[0][0])


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
    told = (ending.sqlstate, ending.object, ending.reason, ending.actor, ending.ran)
    session.execute(_END.encode(), (attempt, ending.state.value, ending.done, *told))
