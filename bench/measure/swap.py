"""How long nobody is served while a database takes another's place: clients in a tight loop, from the last to the next write that succeeds.

Four clients connect, write a row and disconnect, over and over, as impatient applications do, beside one that stays connected. What the
longest time between two writes is when nothing happens is told beside it. PgBouncer lets clients wait meanwhile; how soon it tries again is
its own setting (`server_login_retry`, here 1 s; 15 s unless said). The swap is the code of the Job.
"""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import psycopg

from dbcustody.adapters.postgres import PostgresTarget, connect
from dbcustody.adapters.postgres.landing import comment_on, create_database
from dbcustody.adapters.postgres.surroundings import read_database
from dbcustody.adapters.postgres.swapping import read_places
from dbcustody.codec import decode
from dbcustody.jobs.swap import SwapOrder, swap
from dbcustody.jobs.tools import Tools
from dbcustody.plan.imprint import ready
from dbcustody.plan.replacement import confirmation, incoming_name, kept_name
from dbcustody.repository.catalogue import DatabaseFacts
from ground.pooler import Pooler
from ground.postgres import PostgresServer
from measure.database import server_with, size_bytes
from measure.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE_BYTES: Final = 1_000_000_000
MOST_SECONDS: Final = 2.0
_CLIENTS: Final = 4
_WRITES_BEFORE: Final = 40


@dataclass
class Crowd:
    """Clients of the database `shop` at *port*, and when each of their writes succeeded."""

    server: PostgresServer
    port: int
    served: list[float] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def work(self, *, stays: bool) -> None:
        """Write until told to stop; whoever loses the connection comes back at once."""
        while not self.stop.is_set():
            with suppress(psycopg.Error), self._connect() as session:
                while not self.stop.is_set():
                    session.execute("insert into public.visits default values")
                    self.served.append(time.monotonic())
                    if not stays:
                        break

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=self.server.host, port=self.port, user="postgres", password=self.server.password, dbname="shop",
            sslmode="disable", autocommit=True, connect_timeout=5, prepare_threshold=None,
        )  # fmt: skip

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let all clients work while the block lasts."""
        threads = [threading.Thread(target=self.work, kwargs={"stays": number == 0}) for number in range(_CLIENTS + 1)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()

    def wait(self, writes: int) -> None:
        """Wait until so many more writes succeeded."""
        wanted = len(self.served) + writes
        while len(self.served) < wanted:
            time.sleep(0.005)

    def longest_gap(self, since: float, until: float) -> float:
        """Return the longest time without a successful write."""
        times = sorted(one for one in self.served if since <= one <= until)
        return max(later - earlier for earlier, later in itertools.pairwise(times))


def measure(*, rounds: int) -> list[Figure]:
    """Return the seconds without service, for a small and a large database, and through a pooler."""
    gaps: dict[str, list[float]] = {"small": [], "large": [], "pooled": [], "idle": []}
    with server_with(LARGE_BYTES) as server:
        size = size_bytes(server)
        server.execute("create table public.visits (at timestamptz default now())", database="shop")
        for number in range(rounds):
            gaps["large"].append(_one(server, f"bench large {number}", gaps["idle"]))
        for number in range(rounds):
            gaps["small"].append(_one(server, f"bench small {number}", gaps["idle"]))
        with Pooler(server) as pooler:
            for number in range(rounds):
                gaps["pooled"].append(_one(server, f"bench pooled {number}", gaps["idle"], port=pooler.port))
    return [
        Figure("database size", "bytes", (float(size),)),
        Figure("longest time between two writes while nothing happens", "s", tuple(gaps["idle"]), judged="worst"),
        Figure("without service, 1 GB", "s", tuple(gaps["large"]), MOST_SECONDS, judged="worst"),
        Figure("without service, 8 MB", "s", tuple(gaps["small"]), MOST_SECONDS, judged="worst"),
        Figure("without service through PgBouncer, server_login_retry 1 s", "s", tuple(gaps["pooled"]), judged="worst"),
    ]


def _one(server: PostgresServer, mark: str, idle: list[float], *, port: int | None = None) -> float:
    """Swap the database once under the eyes of the crowd; return the longest gap. What was put away is dropped."""
    live = PostgresTarget(
        host=server.host,
        port=str(server.port),
        database="shop",
        user="postgres",
        password=server.password,
        sslmode="disable",
    )
    _make_waiting(live, mark)
    crowd = Crowd(server, port or server.port)
    order = SwapOrder(
        server=live.at("postgres"),
        live=live,
        database_name="shop",
        confirm=_confirmed(server),
        custody_id="bench.shop",
        mark=mark,
        keep_old_seconds=60,
        source="none",
    )
    with crowd.at_work():
        crowd.wait(_WRITES_BEFORE)
        begun = time.monotonic()
        crowd.wait(_WRITES_BEFORE)
        idle.append(crowd.longest_gap(begun, time.monotonic()))
        begun = time.monotonic()
        swap(order, _tools())
        crowd.wait(_WRITES_BEFORE)
        ended = time.monotonic()
    server.execute(f'drop database "{kept_name("shop", mark)}" with (force)')
    return crowd.longest_gap(begun - 1, ended)


def _confirmed(server: PostgresServer) -> str:
    """Return the text that confirms that what `shop` is now is replaced."""
    query = "select system_identifier::text, oid::bigint from pg_control_system(), pg_database where datname = 'shop'"
    ((identifier, oid),) = server.execute(query)
    return str(confirmation("shop", identifier, oid))


def _make_waiting(live: PostgresTarget, mark: str) -> None:
    """Make what takes the place: a database with the table that the clients write into."""
    name = incoming_name(mark)
    with connect(live.at("postgres")) as session, connect(live) as inside:
        facts = decode(DatabaseFacts, read_database(inside))
        place = next(one for one in read_places(session) if one.name == "shop")
        create_database(session, name, facts, remark="being made")
        with connect(live.at(name)) as waiting:
            waiting.execute("create table public.visits (at timestamptz default now())")
        comment_on(session, name, ready(place.oid, mark))


def _tools() -> Tools:
    def none(*_: Any) -> Any:
        raise NotImplementedError("a swap needs neither storage nor keys")

    return Tools(
        now=lambda: datetime.now(UTC), report=lambda _: None, stop=threading.Event(), attempt="bench", job_name="bench",
        target=none, store=none, keyring=none, clients=(),
    )  # fmt: skip
