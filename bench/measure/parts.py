"""What every comparison is made of: a server with the shop, an S3 server, and a whole backup in a process of its own.

Whoever is compared with us gets the same server, the same cores and the same disk.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ground.postgres import PostgresServer
from ground.root import MAJORS, client_folder
from ground.s3 import S3Server
from measure.database import server_with

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHILD: Final = Path(__file__).with_name("child.py")


@dataclass(frozen=True)
class Parts:
    """A server with the database, and an S3 server with a bucket."""

    postgres: PostgresServer
    s3: S3Server
    bucket: str
    key: str

    def back_up(self, **wanted: Any) -> dict[str, Any]:
        """Take one backup in a process of its own and return what it told; what it stored in the bucket is removed again.

        It goes into the bucket, or into the folder *volume*, which is the caller's to remove.
        """
        told = self._run(wanted)
        if told["reason"] != "Succeeded":
            raise RuntimeError(f"the backup ended with {told['reason']}: {told['message']}")
        self.empty("bench.shop/backups/")
        return told

    def empty(self, prefix: str) -> None:
        """Remove what lies in the bucket below *prefix*."""
        with closing(self.s3.client()) as client:
            for key in self.s3.keys(self.bucket, prefix):
                client.delete_object(Bucket=self.bucket, Key=key)

    def variables(self) -> dict[str, str]:
        """Return libpq's variables for the database, so that the password stands in no argument."""
        server = self.postgres
        return {
            "PGHOST": server.host,
            "PGPORT": str(server.port),
            "PGUSER": "postgres",
            "PGPASSWORD": server.password,
            "PGDATABASE": "shop",
        }

    def _run(self, wanted: dict[str, Any]) -> dict[str, Any]:
        request = {
            "bucket": self.bucket,
            "endpoint": self.s3.url,
            "key": self.key,
            "clients": [str(client_folder(major)) for major in MAJORS],
            "asked": time.monotonic(),
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


@contextmanager
def parts_with(least_bytes: int) -> Iterator[Parts]:
    """Yield the parts of a measurement, the database filled and in memory."""
    with server_with(least_bytes) as postgres, storage_beside(postgres) as parts:
        yield parts


@contextmanager
def storage_beside(postgres: PostgresServer) -> Iterator[Parts]:
    """Yield *postgres*, whose database `shop` is filled, with an S3 server beside it."""
    with S3Server() as s3:
        yield Parts(postgres, s3, s3.make_bucket("bench"), secrets.token_hex(32))
