"""The throw-away server of a restore test, started by the very command of the pod's sidecar, in a folder instead of a pod."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

from dbcustody.adapters.postgres import PostgresTarget, connect
from dbcustody.api.policy import CaptureOptions, Level, Verification
from dbcustody.contract import MOUNT_ROOT, TEST_SUPERUSER, JobRequest, Verb
from dbcustody.plan.throwaway import DATA, SERVER, options_with_server, server_parts
from ground.postgres import server_folder
from ground.process import Daemon
from ground.scratch import scratch_folder
from tests.fakes.seen import database

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

NOBODY: Final = 65534


def sidecar() -> dict[str, Any]:
    """Return the container of the server as the operator writes it."""
    options = options_with_server(CaptureOptions(verification=Verification(level=Level.RESTORE)), database())
    request = JobRequest(verb=Verb.BACKUP, namespace="web", name="nightly", owner_uid="u", options=options)
    (container,) = server_parts(request)["initContainers"]
    return dict(container)


@dataclass
class ThrowAway:
    """One such server; a context manager. *path* stands instead of the server's programs; *lacks* is an extension that it has not."""

    major: int = 17
    path: str | None = None
    lacks: str | None = None

    def __enter__(self) -> Self:
        self.folder = scratch_folder("throwaway")
        self.folder.chmod(0o755)
        for name in (SERVER, DATA, "tmp"):
            (self.folder / name).mkdir()
            (self.folder / name).chmod(0o777)
        self._daemon = Daemon(self.folder, "postgres")
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Run the sidecar's command, with its folders below ours."""
        container = sidecar()
        command = [self._placed(word) for word in (*container["command"], *container["args"])]
        path = self.path if self.path is not None else f"{self._programs()}:{os.defpath}"
        self._daemon.start(command, environment={"PATH": path}, user=NOBODY)

    def stop(self) -> None:
        """End the server."""
        self._daemon.stop(first=signal.SIGQUIT)

    def _programs(self) -> Path:
        whole = server_folder(self.major)
        if self.lacks is None:
            return whole / "bin"
        poor = self.folder / "poor"
        shutil.copytree(whole, poor, symlinks=True)
        for path in poor.rglob(f"{self.lacks}*"):
            path.unlink()
        return poor / "bin"

    def _placed(self, word: str) -> str:
        """Return *word* with the pod's folders below ours; what this machine has of PostgreSQL is not looked for."""
        places = {"/tmp": "{}/tmp", MOUNT_ROOT: "{}", "/usr/lib/postgresql": "{}/none", "{}": str(self.folder)}
        for ours, here in places.items():
            word = word.replace(ours, here)
        return word

    @property
    def sockets(self) -> Path:
        """The folder that worker and server share."""
        return self.folder / SERVER

    @property
    def target(self) -> PostgresTarget:
        """The server as the worker sees it."""
        return PostgresTarget(
            host=str(self.sockets), port="5432", database="postgres", user=TEST_SUPERUSER, sslmode="disable"
        )

    @property
    def log(self) -> str:
        """What its container would have logged."""
        return self._daemon.log.read_text(errors="replace")

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of *statement*."""
        with connect(replace(self.target, application="test")) as session:
            return session.execute(statement.encode()).fetchall()

    @property
    def left(self) -> list[str]:
        """The databases and roles that a fresh server does not have."""
        return [
            name
            for (name,) in self.rows(
                "select datname::text from pg_database where datname not in ('postgres', 'template0', 'template1') union all "
                "select rolname::text from pg_roles where rolname !~ '^pg_' and rolname <> 'postgres'"
            )
        ]
