"""A Docker engine of our own for the length of a build: it builds images, runs nothing, and touches neither network nor other engines."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ground.cache import GroundError, cache_folder, locked, run
from ground.package import require
from ground.process import Daemon
from ground.stray import mounts_below

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_RUN: Final = Path("/run/dbcustody-docker")


class Engine:
    """The running engine."""

    def docker(self, *words: str | Path) -> str:
        """Run a docker command and return its output; raises GroundError when it fails."""
        # The classic builder: Debian's engine has no BuildKit front end beside it.
        return run(
            ["docker", *words], environment={"DOCKER_HOST": f"unix://{_RUN}/docker.sock", "DOCKER_BUILDKIT": "0"}
        )

    def references(self, repository: str) -> list[str]:
        """Return the engine's images of *repository*, the newest first."""
        return self.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository).split()

    def build(self, context: Path, reference: str, arguments: Mapping[str, str]) -> None:
        """Build the Dockerfile in *context*, without a network: everything comes from the context and the base."""
        words = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        self.docker("build", "--network=none", "--force-rm", "--tag", reference, *words, context)


@contextmanager
def engine() -> Iterator[Engine]:
    """Start the engine with its layers in the cache, and stop it at the end; one at a time on this machine."""
    require(["dockerd", "docker"])
    folder = cache_folder() / "docker"
    folder.mkdir(exist_ok=True)
    with locked(folder / "engine.lock"):
        daemon = Daemon(folder, "dockerd")
        _stop(daemon)  # one that a killed process left behind
        daemon.log.unlink(missing_ok=True)
        daemon.start(_command(folder))
        try:
            daemon.wait_ready(_answers, 60)
            yield Engine()
        finally:
            _stop(daemon)


def _command(folder: Path) -> Sequence[str | Path]:
    network = ("--iptables=false", "--ip6tables=false", "--bridge=none")
    folders = (f"--data-root={folder}/data", f"--exec-root={_RUN}/exec", f"--pidfile={_RUN}/pid")
    return ["dockerd", *network, *folders, f"--host=unix://{_RUN}/docker.sock"]


def _answers() -> bool:
    environment = {**os.environ, "DOCKER_HOST": f"unix://{_RUN}/docker.sock"}
    return subprocess.run(["docker", "version"], env=environment, capture_output=True, check=False).returncode == 0


def _stop(daemon: Daemon) -> None:
    """Stop the engine, and its containerd where it did not live to do that itself."""
    daemon.stop(patience_seconds=20)
    pid_file = _RUN / "exec/containerd/containerd.pid"
    if pid_file.exists():
        pid = pid_file.read_text().strip()
        if pid and f"{_RUN}/" in _command_line(pid):
            raise GroundError(f"the Docker engine's containerd (process {pid}) outlived it; end it and try again")
    for mount in mounts_below(_RUN, daemon.folder):
        subprocess.run(["umount", "-l", mount], capture_output=True, check=False)
    shutil.rmtree(_RUN, ignore_errors=True)


def _command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
