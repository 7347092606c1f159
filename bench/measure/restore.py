"""A restore of an encrypted backup out of a bucket against bare `pg_restore -j2` of a local file, into a new database of the same server.

The file is what bare pg_dump -Fc makes of the same database, with the same compression, in the page cache. Bare pg_restore has done its
work when indexes and constraints stand; ours collects statistics after that, counts every row and hands the database over: the bar is held
against the part that both do, and what the rest costs is told.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ground.root import client_folder
from measure.contender import COMPRESSION, pg_dump
from measure.database import MAJOR, size_bytes
from measure.figure import Figure
from measure.parts import parts_with
from measure.turns import all_of, ratio_of, take_turns, two_cores

if TYPE_CHECKING:
    from measure.parts import Parts

LEAST_BYTES: Final = 1_000_000_000
LEAST: Final = 0.85
MOST_BYTES: Final = 160 * 1024 * 1024


def measure(*, rounds: int) -> list[Figure]:
    """Return the ratio of throughput, the whole time, and the peak memory of our own process."""
    with two_cores(), parts_with(LEAST_BYTES) as parts, tempfile.TemporaryDirectory() as folder:
        size, file = size_bytes(parts.postgres), Path(folder) / "shop.pgc"
        variables = {**os.environ, **parts.variables()}
        subprocess.run(pg_dump("-Fc", COMPRESSION, "-f", file), check=True, env=variables)
        parts.store_backup(row_counts="Exact", level="Checksum", parallelism=2)
        _bare(parts, file)
        taken = take_turns((lambda: _ours(parts), lambda: {"bare": _bare(parts, file)}), rounds=rounds)
    return [
        Figure("database size", "bytes", (float(size),)),
        Figure("bare pg_restore -j2 of a local file", "s", all_of(taken, "bare")),
        Figure("restore from a bucket, to the last index", "s", all_of(taken, "loaded")),
        Figure("the same with statistics, every row counted, and handed over", "s", all_of(taken, "whole")),
        Figure("throughput to the last index against bare pg_restore -j2", "ratio", ratio_of(taken, "bare", "loaded"), LEAST, "least"),
        Figure("throughput of the whole against bare pg_restore -j2", "ratio", ratio_of(taken, "bare", "whole")),
        Figure("peak RSS of our process", "bytes", all_of(taken, "rss"), float(MOST_BYTES), "most", "worst"),
    ]  # fmt: skip


def _ours(parts: Parts) -> dict[str, float]:
    told = parts.restore("ours", parallelism=2)
    parts.postgres.execute("drop database ours", "checkpoint")
    return {"loaded": told["loaded_seconds"], "whole": told["restore_seconds"], "rss": float(told["peak_rss_bytes"])}


def _bare(parts: Parts, file: Path) -> float:
    parts.postgres.execute("create database bare template template0")
    command = [client_folder(MAJOR) / "pg_restore", "--exit-on-error", "-j2", "-d", "bare", file]
    started = time.monotonic()
    subprocess.run(command, check=True, env={**os.environ, **parts.variables()})
    seconds = time.monotonic() - started
    parts.postgres.execute("drop database bare", "checkpoint")
    return seconds
