"""A gate in the middle of a dump: the server itself stops a COPY at one table until it is let on.

The table is an extension's configuration table, whose rows pg_dump takes with a WHERE clause, and the clause asks the gate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from ground.process import wait_until

if TYPE_CHECKING:
    from types import TracebackType

    from ground.postgres import PostgresServer

_LOCK: Final = 4711
_INSTALLED: Final = (
    (
        "create function public.hold() returns bool language plpgsql as $$ begin"
        f" while not pg_try_advisory_lock_shared({_LOCK}) loop perform pg_sleep(0.05); end loop;"
        f" perform pg_advisory_unlock_shared({_LOCK}); return true; end $$"
    ),
    "create table public.gated (n int)",
    "insert into public.gated values (1)",
    "alter extension plpgsql add table public.gated",
    (
        "update pg_extension set extconfig = array['public.gated'::regclass::oid], extcondition = array['WHERE public.hold()']"
        " where extname = 'plpgsql'"
    ),
)
_AT_THE_GATE: Final = """
select client_port from pg_stat_activity
where application_name like 'dbcustody backup%' and state = 'active' and query ilike 'copy%hold()%'
"""


class Gate:
    """A context manager: closed while its block runs, unless `open` is called before its end."""

    def __init__(self, server: PostgresServer, database: str = "shop") -> None:
        self._server, self._database = server, database
        if not server.execute("select 1 from pg_proc where proname = 'hold'", database=database):
            server.execute(*_INSTALLED, database=database)

    def __enter__(self) -> Self:
        self._keeper = self._server.connect(self._database)
        self._keeper.execute(f"select pg_advisory_lock({_LOCK})".encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open()

    def open(self) -> None:
        """Let everybody on."""
        self._keeper.close()

    @property
    def is_reached(self) -> bool:
        """Whether a dump stands at the gate in the middle of a COPY."""
        return bool(self.ports)

    @property
    def ports(self) -> list[int]:
        """The ports of this machine from which those came that stand at the gate: they tell which processes these are."""
        return [port for (port,) in self._server.execute(_AT_THE_GATE)]

    def wait_reached(self) -> None:
        """Wait until a dump stands at the gate."""
        assert wait_until(lambda: self.is_reached, 60), "no dump came to the gate"
