"""A database `till` that is replaced by hand: what it says, whether it lets anybody in, and what else is on its server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ground.postgres import PostgresServer

LOCK_CLASS: Final = 0x64626375
"""Of our advisory locks."""
_STATE: Final = (
    "select datname, datallowconn from pg_database "
    "where not datistemplate and datname not in ('postgres', 'shop', 'slow') order by datname"
)


_CONFIRM: Final = (
    "select 'till@' || system_identifier || '/' || d.oid from pg_control_system(), pg_database d where datname = 'till'"
)


def confirmation(server: PostgresServer) -> str:
    """Return the text that confirms that what `till` is now is replaced."""
    ((text,),) = server.execute(_CONFIRM)
    return str(text)


def databases(server: PostgresServer) -> dict[str, bool]:
    """Return whether each database lets others in, but for those of other tests."""
    return {name: bool(is_open) for name, is_open in server.execute(_STATE)}


def others(server: PostgresServer) -> dict[str, bool]:
    """Return the same without `till`."""
    return {name: is_open for name, is_open in databases(server).items() if name != "till"}


def is_open(server: PostgresServer) -> bool:
    """Return whether `till` lets others in."""
    return databases(server)["till"]


def words(server: PostgresServer, database: str = "till") -> list[str]:
    """Return what the rows say; raises when the database lets nobody in."""
    return [word for (word,) in server.execute("select word from said", database=database)]
