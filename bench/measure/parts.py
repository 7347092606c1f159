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
from typing import TYPE_CHECKING, Any

from ground.postgres import PostgresServer
from ground.root import MAJORS, client_folder
from ground.s3 import S3Server
from measure.database import server_with

if TYPE_CHECKING:
    from collections.abc import Iterator

_BACKUP, _RESTORE = (Path(__file__).with_name(name) for name in ("child.py", "restorer.py"))


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
        told = self.store_backup(**wanted)
        self.empty("bench.shop/backups/")
        return told

    def store_backup(self, **wanted: Any) -> dict[str, Any]:
        """Take one backup in a process of its own, leave it where it lies, and return what was told."""
        told = self._run(_BACKUP, wanted)
        if told["reason"] != "Succeeded":
            raise RuntimeError(f"the backup ended with {told['reason']}: {told['message']}")
        return told

    def restore(self, database: str, **wanted: Any) -> dict[str, Any]:
        """Restore the backup that lies in the bucket into the new *database*, in a process of its own, and return what it told."""
        return self._run(_RESTORE, {"database": database, "row_counts": "Exact", "level": "Checksum", **wanted})

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

    def _run(self, program: Path, wanted: dict[str, Any]) -> dict[str, Any]:
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
            [sys.executable, str(program)],
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
