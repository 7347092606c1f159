"""The demo's servers: a PostgreSQL with the shop in it and an S3 server, from what is there soonest."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from ground.cache import REPOSITORY, GroundError, cache_folder, run, say
from ground.certificate import Authority
from ground.postgres import VERSIONS, PostgresServer
from ground.root import client_folder
from ground.s3 import VERSION, S3Server
from ground.scratch import scratch_folder

if TYPE_CHECKING:
    from ground.kubernetes import Cluster

MAJOR: Final = 17
CUSTOMERS: Final = 70_000
BUCKET: Final = "backups"
_DEBIAN: Final = Path("/usr/lib/postgresql")
_IN_A_HURRY: Final = {
    "max_wal_size": "4GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "maintenance_work_mem": "128MB",
}
"""The shop is loaded once, in one transaction, which needs no log, and nobody needs it after the demo."""


@dataclass(frozen=True)
class Programs:
    """Where a PostgreSQL server and its clients are on this machine."""

    server: Path
    clients: Path
    whose: str


def find_programs() -> Programs:
    """Return the PostgreSQL that is there soonest: ours when it is in the cache, else this machine's, else Debian's, installed now."""
    ours = cache_folder() / f"postgres-{VERSIONS[MAJOR]}"
    if ours.exists() and any(cache_folder().glob(f"clients-*/{MAJOR}")):
        return Programs(ours / "bin", client_folder(MAJOR), f"PostgreSQL {VERSIONS[MAJOR]} of the test ground")
    folder = _newest_of_machine()
    if folder is None:
        say("installing PostgreSQL (first time only, about a minute)")
        quiet = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        run(["apt-get", "update", "-qq"], environment=quiet)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "postgresql"], environment=quiet)
        folder = _newest_of_machine()
    if folder is None:
        raise GroundError(f"no PostgreSQL server below {_DEBIAN}, and the package postgresql brought none")
    return Programs(folder, folder, f"PostgreSQL {folder.parent.name} of this machine")


def _newest_of_machine() -> Path | None:
    found = [path.parent for path in _DEBIAN.glob("*/bin/initdb") if (path.parent / "pg_dump").exists()]
    return max(found, key=lambda folder: int(folder.parent.name), default=None)


def has_s3() -> bool:
    """Return whether the S3 server is built already."""
    return (cache_folder() / f"bin/versitygw-{VERSION}").exists()


@dataclass
class Servers:
    """What the story plays on; a context manager that stops everything unless it is told to `keep`."""

    programs: Programs
    keep: bool = False
    s3: list[S3Server] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack, repr=False)

    def __enter__(self) -> Self:
        self.folder = scratch_folder("demo")
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        self.authority = Authority(self.folder / "authority", "demo")
        certificate = self.authority.issue("postgres", "postgres", names=["127.0.0.1", "postgres.shop.svc"])
        self.postgres = PostgresServer(
            MAJOR, settings=dict(_IN_A_HURRY), tls=certificate, programs=self.programs.server
        )
        self._stack.enter_context(self.postgres)

    def __exit__(self, *details: object) -> None:
        if self.keep:
            return
        self._stack.close()
        run(["rm", "-rf", self.folder])

    def start_s3(self, cluster: Cluster | None = None) -> S3Server:
        """Return a new S3 server with an empty bucket: with TLS on the cluster's side of this machine, or plain for this machine alone."""
        if cluster is None:
            server = S3Server()
        else:
            host = cluster.network.machine_address
            certificate = self.authority.issue("s3", "s3", names=[host, "s3.storage.svc"])
            server = S3Server(host=host, tls=certificate, ca=self.authority.path)
        self._stack.enter_context(server)
        self.s3.append(server)
        server.make_bucket(BUCKET)
        return server

    def load_shop(self) -> None:
        """Fill the database `shop`, owned by the role of the same name."""
        self.postgres.execute(
            f"create role shop login password '{self.postgres.password}'", "create database shop owner shop"
        )
        command: list[str | Path] = [
            self.programs.clients / "psql",
            "-X",
            "-q",
            "-1",
            "-v",
            "ON_ERROR_STOP=1",
            "-v",
            f"customers={CUSTOMERS}",
        ]
        done = subprocess.run(
            [*command, "-f", REPOSITORY / "e2e/demo/shop.sql"],
            env={"PATH": "/usr/bin:/bin", **self.libpq},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise GroundError(f"loading the shop: {done.stderr[-1000:]}")

    @property
    def libpq(self) -> dict[str, str]:
        """What libpq's programs need to reach the shop."""
        server = self.postgres
        return {
            "PGHOST": server.host,
            "PGPORT": str(server.port),
            "PGDATABASE": "shop",
            "PGUSER": "shop",
            "PGPASSWORD": server.password,
        }

    def open_to(self, cluster: Cluster) -> None:
        """Let the PostgreSQL server also listen where the cluster's pods can reach it."""
        addresses = f"{self.postgres.host},{cluster.network.machine_address}"
        self.postgres.execute(f"alter system set listen_addresses = '{addresses}'")
        self.postgres.stop()
        self.postgres.start()
