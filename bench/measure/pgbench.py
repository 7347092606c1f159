"""What the users of a database notice of its backup: pgbench's throughput while one runs, against that while bare pg_dump runs.

Both dump the same database, the shop with pgbench's own tables in it, at their defaults: one stream, zstd at level 1, and ours counts rows.
The window is the same number of seconds and begins for both when rows begin to be copied; a dump that ends within it makes the measurement
fail. Before each window the tables are vacuumed, a checkpoint is made and written to the disk, for whoever comes after much writing would
pay for it; autovacuum is off. A window beforehand is thrown away: the first in a new database is slower than all that follow.

A backup runs in a pod, seldom beside the server: the server has a core, and pgbench shares the other with the dump and where that goes. So
what is judged is what the server has to do more. How it is when both have to share both cores is told. A dump that goes slower disturbs
less: how fast ours goes, the section `backup` tells.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ground.cache import run
from ground.pgbench import pgbench
from ground.process import wait_until
from measure.contender import dump_to_file
from measure.database import server_with, size_bytes
from measure.figure import Figure
from measure.parts import storage_beside
from measure.turns import all_of, ratio_of, take_turns, two_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ground.postgres import PostgresServer
    from measure.parts import Parts

LEAST_BYTES: Final = 1_900_000_000
LEAST: Final = 0.95
WINDOW_SECONDS: Final = 12
_SCALE: Final = 20
_CLIENTS: Final = 4
_PATIENCE_SECONDS: Final = 60
_GAP_SECONDS: Final = 0.5
_COPYING: Final = "select count(*) from pg_stat_progress_copy where command = 'COPY TO'"


def measure(*, rounds: int) -> list[Figure]:
    """Return the throughputs and their ratio."""
    program = pgbench()
    with two_cores(), server_with(LEAST_BYTES, autovacuum="off") as postgres:
        with storage_beside(postgres) as parts:
            run([program, "-i", "-q", "-s", str(_SCALE)], environment=parts.variables())
            size = size_bytes(postgres)
            dump_to_file(parts)
            together = _take(parts, program, rounds)
        with _server_apart(postgres), storage_beside(postgres) as parts:
            apart = _take(parts, program, rounds)
    return [
        Figure("database size", "bytes", (float(size),)),
        *_figures(apart, "server on a core of its own", LEAST),
        *_figures(together, "everything on both cores", None),
    ]


def _take(parts: Parts, program: Path, rounds: int) -> list[dict[str, float]]:
    _pgbench(parts, program)
    _settle(parts)
    alone = {"alone": _pgbench(parts, program)}
    steps = (
        lambda: {"bare": _beside(parts, program, dump_to_file)},
        lambda: {"ours": _beside(parts, program, _back_up)},
    )
    return [one | alone for one in take_turns(steps, rounds=rounds)]


def _figures(taken: list[dict[str, float]], where: str, bar: float | None) -> list[Figure]:
    return [
        Figure(f"pgbench alone, {where}", "tps", all_of(taken[:1], "alone")),
        Figure(f"pgbench beside bare pg_dump, {where}", "tps", all_of(taken, "bare")),
        Figure(f"pgbench beside a backup, {where}", "tps", all_of(taken, "ours")),
        Figure(f"beside a backup against beside bare pg_dump, {where}", "ratio", ratio_of(taken, "ours", "bare"), bar, "least"),
    ]  # fmt: skip


def _back_up(parts: Parts) -> dict[str, Any]:
    return parts.back_up(row_counts="Exact", level="Checksum")


def _settle(parts: Parts) -> None:
    """Write what the window before left in the server and in the kernel, or the next would be slowed by it."""
    parts.postgres.execute("vacuum analyze", "checkpoint", database="shop")
    os.sync()


def _beside(parts: Parts, program: Path, dump: Callable[[Parts], object]) -> float:
    """Return pgbench's throughput while *dump* copies rows; raises when that ended too early."""
    _settle(parts)
    with ThreadPoolExecutor(1) as pool:
        dumping = pool.submit(dump, parts)
        _wait_until_copying(parts, dumping)
        found = _pgbench(parts, program)
        if not _goes_on_copying(parts):
            raise RuntimeError(
                f"the dump copied for less than {WINDOW_SECONDS} s: the database is too small for this machine"
            )
        dumping.result()
    return found


def _pgbench(parts: Parts, program: Path) -> float:
    """Return the transactions per second of one window; pgbench vacuums nothing, for that would wait for the dump's locks."""
    clients = ["-c", str(_CLIENTS), "-j", "1", "-M", "prepared"]
    said = run([program, "-n", *clients, "-T", str(WINDOW_SECONDS)], environment=parts.variables())
    found = re.search(r"^tps = ([\d.]+)", said, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"pgbench told no throughput: {said[-500:]}")
    return float(found[1])


def _wait_until_copying(parts: Parts, dumping: Future[object]) -> None:
    wait_until(lambda: _is_copying(parts) or dumping.done(), _PATIENCE_SECONDS, pause_seconds=0.02)
    if not _goes_on_copying(parts):
        raise RuntimeError("the dump did not come to copy rows")


def _goes_on_copying(parts: Parts) -> bool:
    """Return whether rows are copied now or in a moment: between two tables none are."""
    return wait_until(lambda: _is_copying(parts), _GAP_SECONDS, pause_seconds=0.01)


def _is_copying(parts: Parts) -> bool:
    return bool(parts.postgres.execute(_COPYING)[0][0])


@contextmanager
def _server_apart(postgres: PostgresServer) -> Iterator[None]:
    """Give the sessions of the server one of the two cores, and what is started in the block the other."""
    both, postmaster = sorted(os.sched_getaffinity(0)), (postgres.data / "postmaster.pid").read_text().split()[0]
    os.sched_setaffinity(int(postmaster), both[:1])
    os.sched_setaffinity(0, both[1:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, both)
