"""What hangs on a live database and does not come along when another one takes its place.

Slots and subscriptions belong to the database by OID, cron jobs by name, user mappings hold secrets that a backup may not have: each is
named before anything is touched, with names alone, never what is in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.failure import translated
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.session import Session

_MOST: Final = 20
"""Names of one kind; who has more sees the first ones."""
_SLOTS: Final = "select slot_name::text, plugin::text = 'pgoutput', active from pg_replication_slots where database = %s order by slot_name"
_PREPARED: Final = "select count(*) from pg_prepared_xacts where database = %s"
_SUBSCRIPTIONS: Final = (
    "select subname::text from pg_subscription s join pg_database d on d.oid = s.subdbid where d.datname = %s "
    "order by subname"
)
_SERVERS: Final = "select srvname::text from pg_foreign_server order by srvname"
_HAS_CRON: Final = "select to_regclass('cron.job') is not null and has_table_privilege('cron.job', 'select')"
_CRON: Final = "select coalesce(jobname, 'job ' || jobid) from cron.job where database = %s order by jobid"


def read_slots(session: Session, database: str) -> tuple[tuple[str, bool, bool], ...]:
    """Return the logical replication slots of *database*: name, whether PostgreSQL's own subscribers read it, whether it is in use."""
    with translated("look at the replication slots", otherwise=Reason.CONNECTION_LOST):
        return tuple(session.execute(_SLOTS, (database,)).fetchall())


def count_prepared(session: Session, database: str) -> int:
    """Return how many transactions of *database* are prepared and wait for their second phase."""
    with translated("look at the prepared transactions", otherwise=Reason.CONNECTION_LOST):
        row = session.execute(_PREPARED, (database,)).fetchone()
    return 0 if row is None else int(row[0])


def read_subscriptions(session: Session, database: str) -> tuple[str, ...]:
    """Return the names of the subscriptions of *database*."""
    return _names(session, _SUBSCRIPTIONS, (database,))


def read_foreign_servers(session: Session) -> tuple[str, ...]:
    """Return the names of the foreign servers in the database of *session*."""
    return _names(session, _SERVERS, ())


def read_cron_jobs(session: Session, database: str) -> tuple[str, ...]:
    """Return the names of the jobs that pg_cron, as far as it lives in the database of *session*, runs in *database*."""
    with translated("look for pg_cron", otherwise=Reason.CONNECTION_LOST):
        row = session.execute(_HAS_CRON.encode()).fetchone()
    return _names(session, _CRON, (database,)) if row == (True,) else ()


def _names(session: Session, query: str, values: tuple[str, ...]) -> tuple[str, ...]:
    with translated("look at what hangs on the database", otherwise=Reason.CONNECTION_LOST):
        return tuple(name for (name,) in session.execute(query.encode(), values).fetchmany(_MOST))
