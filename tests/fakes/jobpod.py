"""A Job's process as a pod runs it: mounts in a folder, the request in the environment, an exit code and a termination message."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from dbcustody.api.meta import ObjectRef
from dbcustody.api.policy import Algorithm, Compression
from dbcustody.api.storage import S3, AddressingStyle, BackupStorageSpec
from dbcustody.contract import (
    ATTEMPT_VARIABLE,
    JOB_NAME_VARIABLE,
    REQUEST_VARIABLE,
    JobRequest,
    JobResult,
    dump_request,
    load_result,
)
from dbcustody.jobs.mounts import CLIENTS_VARIABLE
from ground.root import client_folder
from tests.fakes.custodian import ENCRYPTION, KEY

if TYPE_CHECKING:
    from types import TracebackType

    from ground.postgres import PostgresServer
    from ground.s3 import S3Server
    from tests.fakes.custodian import Custodian

_LAUNCH: Final = """
import os, sys
from pathlib import Path
from dbcustody.jobs.runner import Surroundings, main
folder = Path(sys.argv[1])
exec(sys.argv[3])
sys.exit(main(sys.argv[2], os.environ, Surroundings(mount_root=folder / "mounts", termination_file=folder / "termination")))
"""


@dataclass
class JobPod:
    """One process; a context manager that leaves none behind. *mounts* are the Secrets' contents by mount and key."""

    folder: Path
    request: JobRequest
    mounts: Mapping[str, Mapping[str, str]]
    variables: Mapping[str, str] = field(default_factory=dict)
    """More of the environment."""
    volume: Path | None = None
    """The folder that is mounted as the storage's volume; None: there is none."""
    prelude: str = ""
    """What Python does before the work begins."""

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        for mount, files in self.mounts.items():
            (self.folder / "mounts" / mount).mkdir(parents=True)
            for name, content in files.items():
                (self.folder / "mounts" / mount / name).write_text(content)
        (self.folder / "mounts" / "keyring").mkdir(parents=True)
        (self.folder / "mounts" / "keyring" / "k1").write_bytes(KEY)
        if self.volume is not None:
            (self.folder / "mounts" / "volume").symlink_to(self.volume)
        environment = {
            "PATH": os.defpath,
            REQUEST_VARIABLE: dump_request(self.request),
            ATTEMPT_VARIABLE: str(uuid.uuid4()),
            JOB_NAME_VARIABLE: "shop-nightly-29472000",
            CLIENTS_VARIABLE: f"{client_folder(17)}:{client_folder(18)}",
            **({"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}),
            **self.variables,
        }
        with (self.folder / "out").open("wb") as out, (self.folder / "err").open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _LAUNCH, str(self.folder), self.request.verb.value, self.prelude],
                env=environment,
                stdout=out,
                stderr=err,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End the process as the kernel does: without a word."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        """Ask the process to end, as Kubernetes does."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout_seconds: float = 60) -> int:
        """Return the exit code."""
        return self.process.wait(timeout_seconds)

    @property
    def result(self) -> JobResult:
        """What stands in the termination message."""
        return load_result((self.folder / "termination").read_text())

    @property
    def said(self) -> str:
        """Everything on standard output and standard error, and the termination message."""
        return "".join(
            path.read_text(errors="replace")
            for path in (self.folder / "out", self.folder / "err", self.folder / "termination")
            if path.exists()
        )


def connection_of(server: PostgresServer) -> dict[str, str]:
    """Return the Secret that opens the shop on *server*."""
    return {
        "host": server.host, "port": str(server.port), "user": "postgres", "password": server.password, "database": "shop",
        "sslmode": "disable",
    }  # fmt: skip


def pod_into_bucket(
    folder: Path,
    custodian: Custodian,
    s3: S3Server,
    *,
    bucket: str,
    endpoint: str,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> JobPod:
    """Return a Job's process, yet to be started: *custodian*'s backup, uncompressed, into a *bucket* of *s3* by way of *endpoint*."""
    place = S3(
        bucket=bucket,
        endpoint=endpoint,
        addressing_style=AddressingStyle.PATH,
        credentials_secret_ref=ObjectRef(name="s3"),
    )
    request = custodian.request(compression=Compression(algorithm=Algorithm.NONE))
    request = replace(request, storage=BackupStorageSpec(s3=place, encryption=ENCRYPTION))
    credentials = {"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key}
    mounts = {"connection": connection_of(custodian.server), "s3-credentials": credentials}
    return JobPod(folder, request, mounts, variables)
