"""What others wait while an `ALTER TABLE` is wanted on a table that somebody reads for ten seconds: by plain psql, and by us.

pgbench looks up rows of that table (`-S`) with 200 clients, of which each asks as often as it can be served at the rate of 1000 a second
in all, so that the two cores of the machine are not the limit. A report has read a row of it, and its transaction goes on for ten seconds
after the contender's process has been started. It was there for two seconds by then, and once more it has only just begun, when we have to
try before we know that it stays.

*Blocked-query-seconds* are counted as somebody would who looks: every 20 ms, how many of pgbench's sessions wait for a lock
(`wait_event_type = 'Lock'` in pg_stat_activity), times the time since the look before. Nothing of pgbench's own makes them wait for each
other's locks. Looked at from before the ALTER is begun until it is done and nobody waits any more.

psql runs as it is, without a lock_timeout. Ours is the command line with its defaults.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ground.cache import run
from ground.pgbench import pgbench
from ground.postgres import PostgresServer
from ground.process import wait_until
from ground.root import client_folder
from measure.database import MAJOR
from measure.figure import Figure
from measure.turns import all_of, ratio_of, take_turns, two_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

CLIENTS: Final = 200
RATE: Final = 1000
READER_SECONDS: Final = 10.0
OLD_SECONDS: Final = 2.0
LEAST: Final = 10.0
_LOOK_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 120.0
_PGBENCHS: Final = "select count(*) from pg_stat_activity where application_name = 'pgbench'"
_BLOCKED: Final = f"{_PGBENCHS} and wait_event_type = 'Lock'"


def measure(*, rounds: int) -> list[Figure]:
    """Return the blocked-query-seconds of both, and how many times less ours are."""
    with two_cores(), _server() as server, _crowd(server):
        steps = (lambda: _psql(server), lambda: _ours(server, "ours", OLD_SECONDS), lambda: _ours(server, "young", 0.0))
        taken = take_turns(steps, rounds=rounds)
    who = f"{CLIENTS} pgbench clients, a reader of {READER_SECONDS:.0f} s"
    return [
        Figure(f"blocked by psql without lock_timeout, {who}", "query seconds", all_of(taken, "psql")),
        Figure(f"blocked by dbcustody migrate deploy, {who}", "query seconds", all_of(taken, "ours")),
        Figure("how many times less", "ratio", ratio_of(taken, "psql", "ours"), LEAST, "least"),
        Figure(
            "blocked by dbcustody migrate deploy, the reader has just begun", "query seconds", all_of(taken, "young")
        ),
        Figure(
            "how many times less, the reader has just begun", "ratio", ratio_of(taken, "psql", "young"), LEAST, "least"
        ),
        Figure("psql, from the start of the process until the column is there", "s", all_of(taken, "psql_seconds")),
        Figure(
            "dbcustody, from the start of the process until the column is there", "s", all_of(taken, "ours_seconds")
        ),
        Figure("most of pgbench's sessions that waited at once, psql", "sessions", all_of(taken, "psql_most")),
        Figure("most of pgbench's sessions that waited at once, dbcustody", "sessions", all_of(taken, "ours_most")),
    ]


@contextmanager
def _server() -> Iterator[PostgresServer]:
    settings = {"max_connections": str(CLIENTS + 30), "shared_buffers": "256MB", "autovacuum": "off"}
    with PostgresServer(MAJOR, settings=settings) as server:
        server.execute("create database shop")
        run([pgbench(), "-i", "-q", "-s", "2"], environment=_variables(server))
        yield server


def _variables(server: PostgresServer) -> dict[str, str]:
    return {
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": "postgres",
        "PGPASSWORD": server.password,
        "PGDATABASE": "shop",
    }


@contextmanager
def _crowd(server: PostgresServer) -> Iterator[None]:
    """Let pgbench work while the block lasts; raises RuntimeError when it does not come to it."""
    words = [pgbench(), "-n", "-S", "-c", str(CLIENTS), "-j", "2", "-R", str(RATE), "-T", "86400"]
    with subprocess.Popen(
        words, env={**os.environ, **_variables(server)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as crowd:
        try:
            if not wait_until(lambda: server.execute(_PGBENCHS) == [(CLIENTS,)], _PATIENCE_SECONDS):
                raise RuntimeError(f"pgbench did not come to have {CLIENTS} clients")
            yield
        finally:
            crowd.terminate()


@dataclass
class _Harm:
    """What others waited."""

    seconds: float = 0.0
    most: int = 0


@contextmanager
def _counted(server: PostgresServer) -> Iterator[_Harm]:
    """Count while the block lasts, and until nobody waits any more."""
    harm, over = _Harm(), threading.Event()

    def count() -> None:
        with server.connect("shop") as session:
            before, blocked = time.monotonic(), 0
            while blocked or not over.wait(_LOOK_SECONDS):
                blocked = _number(session, _BLOCKED)
                now = time.monotonic()
                harm.seconds += blocked * (now - before)
                harm.most, before = max(harm.most, blocked), now

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield harm
    finally:
        over.set()
        thread.join()


def _number(session: psycopg.Connection, query: str) -> int:
    row = session.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def _reading(server: PostgresServer, before_seconds: float) -> Iterator[None]:
    """Hold the table as a report does, for so long after the block has begun, and for *before_seconds* before it."""
    begun = threading.Event()

    def read() -> None:
        with server.connect("shop", application_name="report") as report:
            report.execute("begin")
            report.execute("select * from pgbench_accounts limit 1")
            time.sleep(before_seconds)
            begun.set()
            time.sleep(READER_SECONDS)
            report.execute("commit")

    thread = threading.Thread(target=read)
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        thread.join()


@dataclass(frozen=True)
class _Contender:
    """Who wants the ALTER, and how."""

    name: str
    words: Sequence[str | Path]
    variables: dict[str, str]


def _take(server: PostgresServer, contender: _Contender, before_seconds: float) -> dict[str, float]:
    name, more = contender.name, contender.variables
    with _counted(server) as harm:
        with _reading(server, before_seconds):
            began = time.monotonic()
            done = subprocess.run(
                [str(word) for word in contender.words],
                env={**os.environ, **more},
                capture_output=True,
                text=True,
                check=False,
            )
            seconds = time.monotonic() - began
        if done.returncode:
            raise RuntimeError(f"{name}: exit status {done.returncode}: {done.stderr[-1000:]}")
    there = server.execute(
        "select count(*) from pg_attribute where attname = 'extra' and not attisdropped", database="shop"
    )
    if there != [(1,)]:
        raise RuntimeError(f"{name}: has not made the column")
    _undo(server)
    return {name: harm.seconds, f"{name}_seconds": seconds, f"{name}_most": float(harm.most)}


def _undo(server: PostgresServer) -> None:
    server.execute(
        "alter table pgbench_accounts drop column extra", "drop schema if exists dbcustody cascade", database="shop"
    )


def _psql(server: PostgresServer) -> dict[str, float]:
    words = [client_folder(MAJOR) / "psql", "-X", "-q", "-c", "alter table pgbench_accounts add column extra int"]
    return _take(server, _Contender("psql", words, _variables(server)), OLD_SECONDS)


def _ours(server: PostgresServer, name: str, before_seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "20260101_000000_extra.sql").write_text("alter table pgbench_accounts add column extra int;\n")
        words = [sys.executable, "-m", "dbcustody", "migrate", "deploy", "--dir", folder]
        contender = _Contender(name, words, {"DATABASE_URL": f"{server.url('shop')}?sslmode=disable"})
        return _take(server, contender, before_seconds)
