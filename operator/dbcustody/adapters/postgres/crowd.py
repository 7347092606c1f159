"""Who waits behind us, and how far our COPYs are: looked at from a session beside the dump.

A dump holds ACCESS SHARE locks for as long as it takes; a DDL statement queues behind it, and then everybody queues behind that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.failure import translated
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.adapters.postgres.session import Session

_WAITING: Final = """
with ours as (
    select array_agg(pid) as pids from pg_stat_activity
    where usename = session_user and datname = current_database() and application_name = any(%s)
), waiting as materialized (
    select a.pid from pg_stat_activity a cross join ours
    where a.pid <> all(ours.pids) and pg_blocking_pids(a.pid) && ours.pids
)
select l.pid, l.mode, coalesce(l.relation::regclass::text, l.locktype),
       coalesce(extract(epoch from clock_timestamp() - l.waitstart), 0)::float8
from waiting w
cross join lateral (select * from pg_locks l where l.pid = w.pid and not l.granted offset 0) l
order by l.waitstart nulls last
limit 1
"""
"""Sessions are asked first and locks only of those who wait: a dump of thousands of tables holds as many locks, in each of its sessions."""
_COPYING: Final = """
select c.relid::bigint, c.bytes_processed
from pg_stat_progress_copy c
join pg_stat_activity a on a.pid = c.pid
where c.datname = current_database() and a.usename = session_user and a.application_name = any(%s)
"""
_LOADING: Final = """
select format('%I.%I', n.nspname, r.relname)
from pg_stat_progress_copy c join pg_class r on r.oid = c.relid join pg_namespace n on n.oid = r.relnamespace
where c.datname = current_database() order by c.bytes_processed desc, 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """The session that has waited longest for a lock that one of ours holds."""

    pid: int
    mode: str
    what: str
    seconds: float

    def __str__(self) -> str:
        """Return it for people."""
        return f"pid {self.pid} has waited {self.seconds:.0f} s for {self.mode} on {self.what}"


def find_waiter(session: Session, applications: Sequence[str]) -> Waiter | None:
    """Return who waits longest behind our sessions, which call themselves *applications*; None when nobody does.

    Waiting behind a DDL statement that waits behind us is not counted itself: its first cause is. `pg_blocking_pids` knows locks on
    virtual transactions too, so that CREATE INDEX CONCURRENTLY is seen.
    """
    with translated("look who waits behind the dump", otherwise=Reason.CONNECTION_LOST):
        row = session.execute(_WAITING, (list(applications),)).fetchone()
    return None if row is None else Waiter(pid=row[0], mode=row[1], what=row[2], seconds=row[3])


def copied_bytes(session: Session, applications: Sequence[str]) -> dict[int, int]:
    """Return the tables (by OID) that our sessions copy just now, and how many bytes of each have passed."""
    with translated("look how far the dump is", otherwise=Reason.CONNECTION_LOST):
        return dict(session.execute(_COPYING, (list(applications),)).fetchall())


def loading_tables(session: Session) -> tuple[str, ...]:
    """Return the tables, by their quoted names, that rows are copied into just now, that with most of them first; nobody else is in it."""
    with translated("look which tables are loaded", otherwise=Reason.CONNECTION_LOST):
        return tuple(name for (name,) in session.execute(_LOADING).fetchall())
