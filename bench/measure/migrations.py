"""Migrations against Alembic and golang-migrate: what nobody waits for when nothing is pending, and what 500 small ones take.

The server does not wait for its disk (fsync off), so that what a tool does is not hidden behind what a disk does; what 500 small ones take
is measured on one that waits, too, as people have it. Nothing is held back: everybody has run once before, so that compiled files and pages
are there, and everybody's processes are started the same way. golang-migrate keeps one number; ours reads every row of its ledger and holds
each file against it.

The overhead of the ledger is that of the engine in this process, against the bare statements in transactions of their own in one session.
"""

from __future__ import annotations

import secrets
import tempfile
import time
import uuid
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres import PostgresTarget
from dbcustody.jobs.migration import MigrationOrder, migrate
from dbcustody.migration.script import SourceFile, read_scripts
from ground.golangmigrate import golang_migrate
from ground.postgres import PostgresServer
from measure.chain import LOGGED, Chain, statement
from measure.database import MAJOR
from measure.figure import Figure
from measure.turns import all_of, ratio_of, take_turns, two_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

REVISIONS: Final = 500
MOST_OVERHEAD_MILLISECONDS: Final = 3.0
_TOOLS: Final = ("ours", "alembic", "golang")
_ROUNDS: Final = 3
"""How many times as many rounds nothing pending is asked for: it takes moments, of which single ones are noisy."""


def measure(*, rounds: int) -> list[Figure]:
    """Return the seconds of each, and how they stand to each other."""
    golang_migrate()
    with two_cores(), _chain({"fsync": "on"}) as chain:
        durable = _pending(chain, rounds)
    with two_cores(), _chain({}) as chain:
        pending = _pending(chain, rounds)
        overhead = take_turns((lambda: _engine(chain), lambda: _bare(chain)), rounds=rounds)
        nothing = take_turns(
            (partial(_asked, chain, "status"), partial(_asked, chain, "deploy"), partial(_asked_alone, chain),
             *(partial(one, chain) for one in (_bare_session, _head, _version, _up))),
            rounds=rounds * _ROUNDS,
        )  # fmt: skip
    return [
        *_figures_of_nothing(nothing),
        *_figures_of_pending(pending, f"{REVISIONS} pending"),
        *_figures_of_pending(durable, f"{REVISIONS} pending, on a server that waits for its disk"),
        *_figures_of_overhead(overhead),
    ]


def _pending(chain: Chain, rounds: int) -> list[dict[str, float]]:
    return take_turns((lambda: _ours(chain), lambda: _alembic(chain), lambda: _golang(chain)), rounds=rounds)


@contextmanager
def _chain(more: dict[str, str]) -> Iterator[Chain]:
    settings = LOGGED | {"shared_buffers": "256MB"} | more
    with PostgresServer(MAJOR, settings=settings) as server, tempfile.TemporaryDirectory() as folder:
        chain = Chain(server, Path(folder))
        chain.write(range(1, REVISIONS + 1))
        yield chain


def _anew(chain: Chain, name: str) -> None:
    chain.server.execute(f"drop database if exists {name} with (force)", f"create database {name}", "checkpoint")


def _ours(chain: Chain) -> dict[str, float]:
    _anew(chain, "ours")
    taken = chain.ours("deploy")
    return {"ours": taken.whole, "ours_connected": taken.connected}


def _alembic(chain: Chain) -> dict[str, float]:
    _anew(chain, "alembic")
    taken = chain.alembic()
    return {"alembic": taken.whole, "alembic_connected": taken.connected}


def _golang(chain: Chain) -> dict[str, float]:
    _anew(chain, "golang")
    taken = chain.golang()
    return {"golang": taken.whole, "golang_connected": taken.connected}


def _asked(chain: Chain, verb: str) -> dict[str, float]:
    taken = chain.ours(verb)
    return {verb: taken.whole, f"{verb}_connected": taken.connected}


def _asked_alone(chain: Chain) -> dict[str, float]:
    """Ask for what golang-migrate knows, too: how far the history is, and not whether the schema of 500 tables is what it left."""
    taken = chain.ours("status", "--drift", "ignore")
    return {"alone": taken.whole, "alone_connected": taken.connected}


def _bare_session(chain: Chain) -> dict[str, float]:
    taken = chain.bare()
    return {"bare": taken.whole, "bare_connected": taken.connected}


def _head(chain: Chain) -> dict[str, float]:
    taken = chain.alembic()
    return {"alembic": taken.whole, "alembic_connected": taken.connected}


def _version(chain: Chain) -> dict[str, float]:
    taken = chain.golang("version")
    return {"version": taken.whole, "version_connected": taken.connected}


def _up(chain: Chain) -> dict[str, float]:
    taken = chain.golang()
    return {"up": taken.whole, "up_connected": taken.connected}


def _engine(chain: Chain) -> dict[str, float]:
    """Let the engine carry out one revision, which makes the ledger, and then all others; return the milliseconds of each of those."""
    _anew(chain, "engine")
    files = [
        SourceFile(name=path.name, content=path.read_bytes()) for path in sorted((chain.folder / "ours").iterdir())
    ]
    scripts = read_scripts(files).scripts
    migrate(_order(chain, scripts[:1]))
    begun = time.monotonic()
    migrate(_order(chain, scripts))
    return {"engine": 1000 * (time.monotonic() - begun) / (len(scripts) - 1)}


def _order(chain: Chain, scripts: tuple[object, ...]) -> MigrationOrder:
    server = chain.server
    target = PostgresTarget(
        host=server.host, port=str(server.port), database="engine", user="postgres", password=server.password, sslmode="disable"
    )  # fmt: skip
    return MigrationOrder(
        target=target, custody_id=f"bench.{secrets.token_hex(4)}", maintenance_database="postgres", scripts=scripts,  # type: ignore[arg-type]
        run=uuid.uuid4(), actor="bench", tool="bench",
    )  # fmt: skip


def _bare(chain: Chain) -> dict[str, float]:
    """Run the same statements in a transaction each; return the milliseconds of each."""
    _anew(chain, "bare")
    with chain.server.connect("bare", prepare_threshold=None) as session:
        begun = time.monotonic()
        for number in range(2, REVISIONS + 1):
            with session.transaction():
                session.execute(statement(number).encode())
        return {"bare": 1000 * (time.monotonic() - begun) / (REVISIONS - 1)}


def _figures_of_nothing(taken: list[dict[str, float]]) -> list[Figure]:
    said = {
        "status": "dbcustody migrate status",
        "alone": "dbcustody migrate status --drift ignore",
        "deploy": "dbcustody migrate deploy",
        "bare": "a session of psycopg that asks for nothing",
        "alembic": "alembic upgrade head",
        "version": "golang-migrate version",
        "up": "golang-migrate up",
    }
    before = f"nothing of {REVISIONS} pending"
    figures = [Figure(f"{before}, {words}, whole process", "s", all_of(taken, name)) for name, words in said.items()]
    figures += [
        Figure(f"{before}, {words}, from the first connection to the exit", "s", all_of(taken, f"{name}_connected"))
        for name, words in said.items()
    ]
    for ours, golangs in (("status", "version"), ("alone", "version"), ("deploy", "up")):
        figures += [
            Figure(f"{said[ours]} against alembic upgrade head, whole process", "ratio", ratio_of(taken, ours, "alembic"), 1.0),
            Figure(f"{said[ours]} against alembic upgrade head, from the first connection", "ratio",
                   ratio_of(taken, f"{ours}_connected", "alembic_connected"), 1.0),
            Figure(f"{said[ours]} against golang-migrate {golangs}, from the first connection", "ratio",
                   ratio_of(taken, f"{ours}_connected", f"{golangs}_connected"), 1.0),
        ]  # fmt: skip
    return figures


def _figures_of_pending(taken: list[dict[str, float]], before: str) -> list[Figure]:
    return [
        *(Figure(f"{before}, {name}, whole process", "s", all_of(taken, name)) for name in _TOOLS),
        *(Figure(f"{before}, {name}, from the first connection", "s", all_of(taken, f"{name}_connected")) for name in _TOOLS),
        Figure(f"{before}, against Alembic, whole process", "ratio", ratio_of(taken, "ours", "alembic"), 1.0),
        Figure(f"{before}, against Alembic, from the first connection", "ratio",
               ratio_of(taken, "ours_connected", "alembic_connected"), 1.0),
    ]  # fmt: skip


def _figures_of_overhead(taken: list[dict[str, float]]) -> list[Figure]:
    more = tuple(one["engine"] - one["bare"] for one in taken)
    return [
        Figure("one migration by the engine", "ms", all_of(taken, "engine")),
        Figure("its bare statement in a transaction", "ms", all_of(taken, "bare")),
        Figure("what is written down and looked after, for each", "ms", more, MOST_OVERHEAD_MILLISECONDS),
    ]
