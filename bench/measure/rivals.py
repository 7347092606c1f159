"""A backup with the defaults against two pipes that people have in their crontabs, into the same bucket, on the same two cores.

`pg_dump | gzip | openssl enc | upload`: plain SQL, gzip at its own level 6, AES-256 in counter mode with a key derived by PBKDF2, and
boto3's `upload_fileobj` with its own settings. `pg_dump | restic backup --stdin`: plain SQL, restic with its own settings, which compress
and encrypt, into a new repository each time, whose making is not counted: that is a first backup. A second of the same data finds every
piece there already and uploads nothing; how long that takes is told too.

Neither counts rows or notices a pg_dump that failed. Ours is whole: from the start of Python to the commit, rows counted, one stream. What
it would be with two streams is told.
"""

from __future__ import annotations

import secrets
import tempfile
from typing import TYPE_CHECKING, Final

from ground.cache import run
from ground.package import require
from ground.restic import restic
from measure.contender import pg_dump, run_piped, stream_up
from measure.database import size_bytes
from measure.figure import Figure
from measure.parts import parts_with
from measure.turns import all_of, ratio_of, take_turns, two_cores

if TYPE_CHECKING:
    from pathlib import Path

    from measure.parts import Parts

LEAST_BYTES: Final = 1_500_000_000
LEAST_AGAINST_GZIP: Final = 3.0
LEAST_AGAINST_RESTIC: Final = 1.5


def measure(*, rounds: int) -> list[Figure]:
    """Return how many times as fast as each rival a backup is."""
    require(["openssl"])
    program = restic()
    with two_cores(), parts_with(LEAST_BYTES) as parts:
        size = size_bytes(parts.postgres)
        _ours(parts, "warm", 1)
        steps = (
            lambda: _ours(parts, "ours", 1),
            lambda: _gzip(parts),
            lambda: _ours(parts, "ours_parallel", 2),
            lambda: _restic(parts, program),
        )
        taken = take_turns(steps, rounds=rounds)
    against_gzip, against_restic = ratio_of(taken, "gzip", "ours"), ratio_of(taken, "restic", "ours")
    return [
        Figure("database size", "bytes", (float(size),)),
        Figure("backup, from the start of the process to the commit", "s", all_of(taken, "ours")),
        Figure("the same with parallelism 2", "s", all_of(taken, "ours_parallel")),
        Figure("pg_dump | gzip | openssl enc | upload", "s", all_of(taken, "gzip")),
        Figure("pg_dump | restic backup --stdin, a new repository", "s", all_of(taken, "restic")),
        Figure("pg_dump | restic backup --stdin, once more", "s", all_of(taken, "restic_again")),
        Figure("times as fast as gzip and openssl", "ratio", against_gzip, LEAST_AGAINST_GZIP, "least"),
        Figure("times as fast as gzip and openssl, parallelism 2", "ratio", ratio_of(taken, "gzip", "ours_parallel")),
        Figure("times as fast as restic", "ratio", against_restic, LEAST_AGAINST_RESTIC, "least"),
        Figure("times as fast as restic, parallelism 2", "ratio", ratio_of(taken, "restic", "ours_parallel")),
        Figure("times as fast as restic once more", "ratio", ratio_of(taken, "restic_again", "ours")),
    ]


def _ours(parts: Parts, name: str, parallelism: int) -> dict[str, float]:
    told = parts.back_up(parallelism=parallelism, row_counts="Exact", level="Checksum")
    return {name: told["waited_seconds"]}


def _gzip(parts: Parts) -> dict[str, float]:
    cipher = ["openssl", "enc", "-aes-256-ctr", "-pbkdf2", "-pass", "env:BENCH_PASSPHRASE"]
    commands = [pg_dump("-Fp"), ["gzip"], cipher]
    return {"gzip": stream_up(parts, commands, {"BENCH_PASSPHRASE": secrets.token_urlsafe(24)})}


def _restic(parts: Parts, program: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as cache:
        environment = {
            **parts.variables(),
            "RESTIC_REPOSITORY": f"s3:{parts.s3.url}/{parts.bucket}/restic",
            "RESTIC_PASSWORD": secrets.token_urlsafe(24),
            "RESTIC_CACHE_DIR": cache,
            "AWS_ACCESS_KEY_ID": parts.s3.access_key,
            "AWS_SECRET_ACCESS_KEY": parts.s3.secret_key,
        }
        run([program, "init", "--quiet"], environment=environment)
        commands: list[list[str]] = [
            pg_dump("-Fp"),
            [str(program), "backup", "--quiet", "--stdin", "--stdin-filename", "shop.sql"],
        ]
        found = {name: run_piped(commands, environment) for name in ("restic", "restic_again")}
    parts.empty("restic/")
    return found
