"""A whole backup against bare pg_dump into a file: compressed, encrypted, uploaded and committed, on the same cores in the same minute."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ground.postgres import PostgresServer
from ground.root import MAJORS, client_folder
from ground.s3 import S3Server
from measure.database import MAJOR, server_with, size_bytes
from measure.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator


LEAST_BYTES: Final = 1_500_000_000
_CHILD: Final = Path(__file__).with_name("child.py")


@dataclass(frozen=True)
class Parts:
    """A server with the database, and an S3 server with a bucket."""

    postgres: PostgresServer
    s3: S3Server
    bucket: str
    key: str

    def back_up(self, **wanted: Any) -> dict[str, Any]:
        """Take one backup in a process of its own and return what it told; what it stored is removed again."""
        told = self._run(wanted)
        if told["reason"] != "Succeeded":
            raise RuntimeError(f"the backup ended with {told['reason']}: {told['message']}")
        with closing(self.s3.client()) as client:
            for key in self.s3.keys(self.bucket, "bench.shop/backups/"):
                client.delete_object(Bucket=self.bucket, Key=key)
        return told

    def dump(self) -> float:
        """Run bare pg_dump into a file; returns the seconds it took."""
        program = client_folder(MAJOR) / "pg_dump"
        with tempfile.TemporaryDirectory() as folder, (Path(folder) / "shop.pgc").open("wb") as file:
            started = time.monotonic()
            url = self.postgres.url("shop")
            subprocess.run(
                [program, "-Fc", "--compress=zstd:1"], check=True, stdout=file, env={**os.environ, **_variables(url)}
            )
            return time.monotonic() - started

    def _run(self, wanted: dict[str, Any]) -> dict[str, Any]:
        request = {
            "bucket": self.bucket,
            "endpoint": self.s3.url,
            "key": self.key,
            "clients": [str(client_folder(major)) for major in MAJORS],
            **wanted,
        }
        environment = {
            **os.environ,
            "BENCH_ACCESS_KEY": self.s3.access_key,
            "BENCH_SECRET_KEY": self.s3.secret_key,
            "BENCH_DATABASE_URL": self.postgres.url("shop") + "?sslmode=disable",
        }
        done = subprocess.run(
            [sys.executable, str(_CHILD)],
            input=json.dumps(request),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"the measured process failed: {done.stderr[-2000:]}")
        return dict(json.loads(done.stdout))


def _variables(url: str) -> dict[str, str]:
    """Return libpq's variables for *url*, so that the password stands in no argument."""
    rest = url.removeprefix("postgresql://")
    credentials, address = rest.rsplit("@", 1)
    (user, password), (host, database) = credentials.split(":", 1), address.split("/", 1)
    name, port = host.rsplit(":", 1)
    return {"PGUSER": user, "PGPASSWORD": password, "PGHOST": name, "PGPORT": port, "PGDATABASE": database}


@contextmanager
def parts_with(least_bytes: int) -> Iterator[Parts]:
    """Yield the parts of a measurement, the database filled and in memory."""
    with server_with(least_bytes) as postgres, S3Server() as s3:
        yield Parts(postgres, s3, s3.make_bucket("bench"), secrets.token_hex(32))


def measure(*, rounds: int) -> list[Figure]:
    """Return the ratios of throughput, the share of verification, and what a backup costs in seconds of the processors."""
    with parts_with(LEAST_BYTES) as parts:
        size = size_bytes(parts.postgres)
        parts.dump()
        taken = [_round(parts, number) for number in range(rounds)]
    return [
        Figure("database size", "bytes", (float(size),)),
        Figure("bare pg_dump -Fc zstd:1 to a file", "s", _all(taken, "bare")),
        Figure("backup without row counts, start-up left out", "s", _all(taken, "plain")),
        Figure("backup with row counts, start-up left out", "s", _all(taken, "counted")),
        Figure("start-up", "s", _all(taken, "start_up")),
        Figure("throughput without row counts against bare pg_dump", "ratio", _ratio(taken, "bare", "plain"), 0.90, "least"),
        Figure("throughput with row counts against bare pg_dump", "ratio", _ratio(taken, "bare", "counted"), 0.85, "least"),
        Figure("verification Checksum", "s", _all(taken, "checksum")),
        Figure("verification Read", "s", _all(taken, "read")),
        Figure("verification Read against the backup with row counts", "ratio", _ratio(taken, "read", "counted_whole"), 0.60, "most"),
        Figure("seconds of the processors in our process, with row counts and Read", "s", _all(taken, "cpu_ours")),
        Figure("seconds of the processors in pg_dump and pg_restore", "s", _all(taken, "cpu_clients")),
    ]  # fmt: skip


def _round(parts: Parts, number: int) -> dict[str, float]:
    """Measure everything once, in an order that changes from round to round."""
    found: dict[str, float] = {}
    steps = [lambda: _plain(parts), lambda: {"bare": parts.dump()}, lambda: _counted(parts)]
    for step in steps[number % 3 :] + steps[: number % 3]:
        found |= step()
    return found


def _plain(parts: Parts) -> dict[str, float]:
    told = parts.back_up(row_counts="None", level="Checksum")
    return {
        "plain": told["backup_seconds"] - told["start_up_seconds"],
        "start_up": told["start_up_seconds"],
        "checksum": told["verification_seconds"],
    }


def _counted(parts: Parts) -> dict[str, float]:
    told = parts.back_up(row_counts="Exact", level="Read")
    return {
        "counted": told["backup_seconds"] - told["start_up_seconds"],
        "counted_whole": told["backup_seconds"],
        "read": told["verification_seconds"],
        "cpu_ours": told["cpu_seconds"]["ours"],
        "cpu_clients": told["cpu_seconds"]["clients"],
    }


def _all(taken: list[dict[str, float]], name: str) -> tuple[float, ...]:
    return tuple(one[name] for one in taken)


def _ratio(taken: list[dict[str, float]], above: str, below: str) -> tuple[float, ...]:
    return tuple(one[above] / one[below] for one in taken)
