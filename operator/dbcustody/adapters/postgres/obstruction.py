"""Who is in a migration's way: looked at from a session beside it while it waits, and waited for between two tries.

A statement that queues for a lock makes everybody queue behind it; who is in the way is asked while it does, for afterwards nobody knows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.failure import translated
from dbcustody.adapters.postgres.probing import locked_tables
from dbcustody.reason import Reason

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.migration.lock import Lock

LOOK_SECONDS: Final = 0.05
"""Several looks in the shortest wait for a lock that is of use, 500 ms by default; one that comes too late finds nobody."""
WAIT_LOOK_SECONDS: Final = 0.25
_DEADLOCK: Final = (
    "select extract(epoch from pg_catalog.current_setting('deadlock_timeout')::pg_catalog.interval)::float8"
)
SERVER_PROCESS: Final = "a process of the server"
_WHO: Final = """
with {more} transactions as materialized (
    select l.pid, min(l.virtualtransaction) as name from pg_locks l
    where l.locktype = 'virtualxid' and l.granted and l.virtualxid = l.virtualtransaction group by l.pid)
select a.pid, coalesce(a.application_name, ''), coalesce(a.state, ''),
       coalesce(a.backend_type, case when a.usesysid is null then 'a process of the server' else '' end), t.name,
       extract(epoch from clock_timestamp() - a.xact_start)::float8, coalesce(a.query, '') ilike '%%(to prevent wraparound)%%', {relation}
from pg_stat_activity a left join transactions t on t.pid = a.pid where {condition} order by a.xact_start nulls last
"""
"""A role that may not read everybody's statistics sees no times and no kinds, but all locks: each transaction holds one on its own name."""
_BLOCKERS: Final = _WHO.format(
    more="",
    relation="(select l.relation::bigint from pg_locks l where l.pid = %s and not l.granted and l.relation is not null limit 1)",
    condition="a.pid = any(pg_blocking_pids(%s))",
)
_OLDER: Final = _WHO.format(
    more="",
    relation="null::bigint",
    condition="""a.datid = (select oid from pg_database where datname = current_database()) and a.pid <> pg_backend_pid()
  and case when a.backend_type is null then a.usesysid is not null and t.name is not null
      else a.backend_type = 'client backend' and a.xact_start < clock_timestamp() - %s * interval '1 second'
           and (a.backend_xmin is not null or a.pid in (
               select l.pid from pg_locks l where l.locktype = 'relation' and l.granted and l.relation = any(%s::oid[])
               and l.database = (select oid from pg_database where datname = current_database()))) end""",
)
_BUILDERS: Final = _WHO.format(
    more="""found as materialized (
    select l.pid, l.relation from pg_locks l
    where l.locktype = 'relation' and l.granted and l.relation = any(%s::oid[])
    and l.database = (select oid from pg_database where datname = current_database())
    and l.mode in ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')),""",
    relation="(select l.relation::bigint from found l where l.pid = a.pid limit 1)",
    condition="a.pid <> pg_backend_pid() and a.usesysid is not null and a.pid in (select pid from found)",
)
"""Not autovacuum, which belongs to no role, builds nothing, and gives way."""
_OCCUPANTS: Final = _WHO.format(
    more="""found as materialized (
    select l.pid, l.relation from unnest(%s::oid[], %s::text[]) as wanted(relation, modes)
    join pg_locks l on l.relation = wanted.relation and l.mode = any(string_to_array(wanted.modes, ' '))
    where l.locktype = 'relation' and l.granted
    and l.database = (select oid from pg_database where datname = current_database())),""",
    relation="(select l.relation::bigint from found l where l.pid = a.pid limit 1)",
    condition="""a.pid <> pg_backend_pid() and a.pid in (select pid from found)
  and (a.usesysid is not null or a.query ilike '%%(to prevent wraparound)%%')
  and (a.xact_start is null or a.xact_start < clock_timestamp() - %s * interval '1 second')""",
)
"""Not a plain autovacuum: it gives way, to who waits long enough."""
_FAMILY: Final = """
with recursive family as (
    select %s::oid as relation union select i.inhrelid from family f join pg_inherits i on i.inhparent = f.relation)
select relation::bigint from family
"""
"""With partitions and children, which are locked with their parent."""
_PREPARED: Final = """
select distinct on (p.prepared, p.gid) 0, 'prepared transaction ' || p.gid, 'prepared', '', 'prepared ' || p.transaction,
       extract(epoch from clock_timestamp() - p.prepared)::float8, false, l.relation::bigint
from pg_prepared_xacts p join pg_locks t on t.pid is null and t.locktype = 'transactionid' and t.transactionid = p.transaction
    join pg_locks l on l.pid is null and l.virtualtransaction = t.virtualtransaction
where p.database = current_database() and l.locktype = 'relation' and {condition} order by p.prepared, p.gid
"""
"""No process has it (manual, PREPARE TRANSACTION): it keeps its locks until somebody ends it by its name."""
_PREPARED_BLOCKERS: Final = _PREPARED.format(
    condition="""0 = any(pg_blocking_pids(%s))
  and l.relation in (select w.relation from pg_locks w where w.pid = %s and not w.granted)"""
)
_PREPARED_OCCUPANTS: Final = _PREPARED.format(
    condition="""(l.relation, l.mode) in (
    select wanted.relation, unnest(string_to_array(wanted.modes, ' ')) from unnest(%s::oid[], %s::text[]) as wanted(relation, modes))
  and p.prepared < clock_timestamp() - %s * interval '1 second'"""
)
_PREPARED_OLDER: Final = _PREPARED.format(
    condition="""l.database = (select oid from pg_database where datname = current_database()) and l.relation = any(%s::oid[])
  and p.prepared < clock_timestamp() - %s * interval '1 second'"""
)
_STILL: Final = """
select 1 where (%s::text is null
    or exists (select from pg_locks l where l.pid = %s and l.locktype = 'virtualxid' and l.granted and l.virtualtransaction = %s)
    or exists (select from pg_prepared_xacts p where 'prepared ' || p.transaction = %s))
  and (%s::oid is null or exists (
    select from pg_locks l where l.pid is not distinct from nullif(%s, 0) and l.granted and l.relation = %s::oid
    and l.database = (select oid from pg_database where datname = current_database())))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """A session that is in the way, since when its transaction goes on."""

    pid: int
    """0: of no process; a prepared transaction."""
    application: str
    state: str
    kind: str
    age_seconds: float | None
    """None: it has no transaction, or this role may not see since when."""
    transaction: str | None = field(compare=False, repr=False)
    """The name of its transaction, by which it is told from the next one of the same session. None: it has none."""
    is_wraparound_vacuum: bool = False
    """An autovacuum that does not give way."""
    relation: int | None = field(default=None, compare=False, repr=False)
    """The OID of the table of this database whose lock was waited for; None: not a table's, or nobody waited."""

    @property
    def gives_way(self) -> bool:
        """Whether it ends as soon as somebody has waited for it as long as `deadlock_timeout` (manual, "Automatic Vacuuming").

        An autovacuum does; of a process of the server of which the role may not see more, it is worth a try.
        """
        return self.kind in {"autovacuum worker", SERVER_PROCESS} and not self.is_wraparound_vacuum

    def __str__(self) -> str:
        """Return it for people."""
        who = "autovacuum to prevent wraparound" if self.is_wraparound_vacuum else self.application or self.kind
        age = "age unknown" if self.age_seconds is None else f"{self.age_seconds:.0f} s old"
        if not self.pid:
            return f"{who} (its transaction {age})"
        return f"{who or 'a session'} (pid {self.pid}, {self.state or 'at work'}, its transaction {age})"


@dataclass(slots=True)
class Watch:
    """What was seen in the way of one session so far."""

    seen: tuple[Blocker, ...] = ()


def find_blockers(session: Session, pid: int) -> tuple[Blocker, ...]:
    """Return who is in the way of backend *pid* now, whose transaction is oldest first."""
    with translated("look who is in the way", otherwise=Reason.CONNECTION_LOST):
        rows = session.execute(_BLOCKERS.encode(), (pid, pid)).fetchall()
        rows = rows or session.execute(_PREPARED_BLOCKERS.encode(), (pid, pid)).fetchall()
    return tuple(map(_blocker, rows))


def find_older(
    session: Session, *, seconds: float, stop: threading.Event, needed: Sequence[int] = (), tables: Sequence[int] = ()
) -> tuple[Blocker, ...]:
    """Return who in this database is older than *seconds* and has a snapshot, or a lock on one of *tables* (OIDs).

    CREATE INDEX CONCURRENTLY and its kin wait for the first, DROP INDEX CONCURRENTLY for whoever has touched its table. Prepared
    transactions, which have no snapshot, count where they have a lock on one of *needed* or *tables*.
    Where the role of *session* may not see times, whatever transaction is there now and still is after *seconds* is one of them, with
    snapshot or without. It is not waited for once *stop* is set; then all of those count.
    """

    def look() -> tuple[Blocker, ...]:
        with translated("look for old transactions", otherwise=Reason.CONNECTION_LOST):
            rows = session.execute(_PREPARED_OLDER.encode(), ([*needed, *tables], seconds)).fetchall()
            rows += session.execute(_OLDER.encode(), (seconds, list(tables))).fetchall()
        return tuple(map(_blocker, rows))

    return _lasting(look, seconds, stop)


def _lasting(look: Callable[[], tuple[Blocker, ...]], seconds: float, stop: threading.Event) -> tuple[Blocker, ...]:
    """Return whom a *look* finds, of those without a time only who is found *seconds* later, too, in the same transaction."""
    found = look()
    if all(one.age_seconds is not None for one in found) or stop.wait(seconds):
        return found
    before = {(one.pid, one.transaction) for one in found}
    return tuple(one for one in look() if one.age_seconds is not None or (one.pid, one.transaction) in before)


def find_builders(session: Session, tables: Sequence[int]) -> tuple[Blocker, ...]:
    """Return who may be building an index on one of *tables* (OIDs) now, other than *session*: whoever holds a lock as that needs.

    An index that is being built is as invalid as one whose building was broken off.
    """
    with translated("look who builds an index", otherwise=Reason.CONNECTION_LOST):
        return tuple(_blocker(row) for row in session.execute(_BUILDERS.encode(), (list(tables),)).fetchall())


def find_occupants(
    session: Session, locks: Sequence[Lock], *, beside: Session, seconds: float, stop: threading.Event
) -> tuple[Blocker, ...]:
    """Return who has what keeps *locks* from being had, in a transaction older than *seconds*; names are found as *session* does.

    Asked *beside* it. Where the role may not see times, they are found out as by `find_older`.
    """
    named = locked_tables(session, locks)
    with translated("look which tables are meant", otherwise=Reason.CONNECTION_LOST):
        wanted = [
            (oid, " ".join(one.label for one in mode.conflicting))
            for parent, mode in named
            for (oid,) in beside.execute(_FAMILY.encode(), (parent,)).fetchall()
        ]
    values = ([oid for oid, _ in wanted], [modes for _, modes in wanted], seconds)

    def look() -> tuple[Blocker, ...]:
        with translated("look who has the tables", otherwise=Reason.CONNECTION_LOST):
            rows = beside.execute(_PREPARED_OCCUPANTS.encode(), values).fetchall()
            rows += beside.execute(_OCCUPANTS.encode(), values).fetchall()
        return tuple(one for one in map(_blocker, rows) if one.pid != session.info.backend_pid)

    return _lasting(look, seconds, stop) if wanted else ()


def deadlock_timeout_seconds(session: Session) -> float:
    """Return how long somebody has to wait for a lock before the server looks who is in his way."""
    with translated("ask the server for its settings", otherwise=Reason.CONNECTION_LOST):
        row = session.execute(_DEADLOCK).fetchone()
    return float(row[0]) if row is not None else 1.0


def wait_for(session: Session, blocker: Blocker, *, seconds: float, stop: threading.Event) -> bool:
    """Wait until *blocker* is out of the way, for at most *seconds* or until *stop* is set; returns whether it is.

    It is when its transaction is over, or has let go of the table (ROLLBACK TO SAVEPOINT does). Of one of which neither is known, nobody
    can say; all that time is waited for.
    """
    if blocker.transaction is None and blocker.relation is None:
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
    transaction, relation = blocker.transaction, blocker.relation
    return (transaction, blocker.pid, transaction, transaction, relation, blocker.pid, relation)


def _blocker(row: tuple[object, ...]) -> Blocker:
    pid, application, state, kind, transaction, age, is_vacuum, relation = row
    return Blocker(
        pid=int(str(pid)),
        application=str(application),
        state=str(state),
        kind=str(kind),
        age_seconds=None if age is None else float(str(age)),
        transaction=None if transaction is None else str(transaction),
        is_wraparound_vacuum=bool(is_vacuum),
        relation=None if relation is None else int(str(relation)),
    )
