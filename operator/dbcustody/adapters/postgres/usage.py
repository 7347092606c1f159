"""How much disk a server of our own takes: its databases and its log, as far as a superuser may ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dbcustody.adapters.postgres.failure import translated
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.session import Session

_USAGE: Final = """
select (select coalesce(sum(pg_database_size(oid)), 0) from pg_database)::bigint
     + (select coalesce(sum(size), 0) from pg_ls_waldir())::bigint
"""


def read_usage(session: Session) -> int:
    """Return the bytes that all databases and the write-ahead log take; a database that is just being dropped may raise."""
    with translated("ask for the server's size", otherwise=Reason.CONNECTION_LOST):
        row: Any = session.execute(_USAGE.encode()).fetchone()
    return int(row[0])


def read_version(session: Session) -> str:
    """Return the server's version without what its packager calls it."""
    with translated("ask for the server's version", otherwise=Reason.CONNECTION_LOST):
        row: Any = session.execute("select split_part(current_setting('server_version'), ' ', 1)").fetchone()
    return str(row[0])
