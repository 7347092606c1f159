"""Who is in a migration's way: looked at from a session beside it while it waits, and waited for between two tries.

A statement that queues for a lock makes everybody queue behind it; who is in the way is asked while it does, for afterwards nobody knows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.failure import translated
from dbcustody.reason import Reason

if TYPE_CHECKING:
    import threading

    from dbcustody.adapters.postgres.session import Session

LOOK_SECONDS: Final = 0.05
"""Several looks in the shortest wait for a lock that is of use, 500 ms by default; one that comes too late finds nobody."""
WAIT_LOOK_SECONDS: Final = 0.25
_BLOCKERS: Final = """
select a.pid, coalesce(a.application_name, ''), coalesce(a.state, ''), coalesce(a.backend_type, ''), a.xact_start,
       coalesce(extract(epoch from clock_timestamp() - a.xact_start), 0)::float8, coalesce(a.query, '') ilike '%%(to prevent wraparound)%%',
       (select l.relation::bigint from pg_locks l where l.pid = %s and not l.granted and l.relation is not null limit 1)
from pg_stat_activity a where a.pid = any(pg_blocking_pids(%s)) order by a.xact_start nulls last
"""
_STILL: Final = """
select 1 from pg_stat_activity a
where a.pid = %s and a.xact_start is not distinct from %s
  and case when %s::oid is null then a.xact_start is not null else exists (
    select 1 from pg_locks l where l.pid = a.pid and l.granted and l.relation = %s::oid
    and l.database = (select oid from pg_database where datname = current_database())) end
"""
"""A role that may not read everybody's statistics sees no times, and all locks."""
_OLDER: Final = """
select a.pid, coalesce(a.application_name, ''), coalesce(a.state, ''), coalesce(a.backend_type, ''), a.xact_start,
       coalesce(extract(epoch from clock_timestamp() - a.xact_start), 0)::float8, false, null::bigint
from pg_stat_activity a
where a.datid = (select oid from pg_database where datname = current_database()) and a.pid <> pg_backend_pid()
  and a.backend_xmin is not null and a.xact_start < clock_timestamp() - %s * interval '1 second' and a.backend_type = 'client backend'
order by a.xact_start
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """A session that is in the way, since when its transaction goes on."""

    pid: int
    application: str
    state: str
    kind: str
    age_seconds: float
    begun: object = field(compare=False, repr=False)
    """When its transaction began, as the server said it; tells it from the next one of the same session. None: we may not know."""
    is_wraparound_vacuum: bool = False
    """An autovacuum that does not give way."""
    relation: int | None = field(default=None, compare=False, repr=False)
    """The OID of the table of this database whose lock was waited for; None: not a table's, or nobody waited."""

    def __str__(self) -> str:
        """Return it for people."""
        who = "autovacuum to prevent wraparound" if self.is_wraparound_vacuum else self.application or self.kind
        return f"{who} (pid {self.pid}, {self.state or 'at work'}, its transaction {self.age_seconds:.0f} s old)"


@dataclass(slots=True)
class Watch:
    """What was seen in the way of one session so far."""

    seen: tuple[Blocker, ...] = ()


def find_blockers(session: Session, pid: int) -> tuple[Blocker, ...]:
    """Return who is in the way of backend *pid* now, whose transaction is oldest first."""
    with translated("look who is in the way", otherwise=Reason.CONNECTION_LOST):
        return tuple(_blocker(row) for row in session.execute(_BLOCKERS.encode(), (pid, pid)).fetchall())


def find_older(session: Session, *, seconds: float) -> tuple[Blocker, ...]:
    """Return the sessions of this database with a snapshot older than *seconds*: CREATE INDEX CONCURRENTLY and its kin wait for them."""
    with translated("look for old transactions", otherwise=Reason.CONNECTION_LOST):
        return tuple(_blocker(row) for row in session.execute(_OLDER.encode(), (seconds,)).fetchall())


def wait_for(session: Session, blocker: Blocker, *, seconds: float, stop: threading.Event) -> bool:
    """Wait until *blocker* is out of the way, for at most *seconds* or until *stop* is set; returns whether it is.

    It is when its transaction is over, or has let go of the table (ROLLBACK TO SAVEPOINT does). Of one of which neither is known, nobody
    can say; all that time is waited for.
    """
    if blocker.begun is None and blocker.relation is None:
        return not stop.wait(seconds)
    deadline = time.monotonic() + seconds
    while True:
        with translated("look whether it is still in the way", otherwise=Reason.CONNECTION_LOST):
            row = session.execute(_STILL.encode(), _asked(blocker)).fetchone()
        if row is None:
            return True
        if time.monotonic() >= deadline or stop.wait(WAIT_LOOK_SECONDS):
            return False


def _asked(blocker: Blocker) -> tuple[object, ...]:
    return (blocker.pid, blocker.begun, blocker.relation, blocker.relation)


def _blocker(row: tuple[object, ...]) -> Blocker:
    pid, application, state, kind, begun, age, is_vacuum, relation = row
    return Blocker(
        pid=int(str(pid)),
        application=str(application),
        state=str(state),
        kind=str(kind),
        age_seconds=float(str(age)),
        begun=begun,
        is_wraparound_vacuum=bool(is_vacuum),
        relation=None if relation is None else int(str(relation)),
    )
