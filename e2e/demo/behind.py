"""What goes on behind the first act: Kubernetes is fetched and built where it is missing, the image is made, and a cluster comes up.

It runs in processes of its own and says where it stands; whoever stops the demo stops it too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from ground.cache import REPOSITORY, GroundError, cache_folder
from ground.image import application_image
from ground.kubernetes import Cluster
from ground.process import wait_until

if TYPE_CHECKING:
    from demo.narration import Narrator
    from ground.image import Image

_BEAT_SECONDS: Final = 10.0
_LINES_TOLD: Final = 8


class Behind:
    """A cluster with our image on its node, in the making; a context manager that takes everything down unless it is told to `keep`."""

    def __init__(self, name: str) -> None:
        self.is_first_time = not (cache_folder() / "ready-with-cluster").exists()
        self.keep = False
        self._cluster = Cluster(name)
        self._entered = False
        self._image: Image | None = None
        self._lines: list[str] = []
        self._error: BaseException | None = None
        self._setup: subprocess.Popen[str] | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="behind")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        if self._setup is not None:
            _stop(self._setup)
        self._thread.join()
        if self._entered and not self.keep:
            self._cluster.stop()

    def wait(self, narrator: Narrator) -> tuple[Cluster, Image]:
        """Return the cluster and the image once they are there, telling meanwhile how far they are; raises what went wrong."""
        told, beat = max(0, len(self._lines) - _LINES_TOLD), time.monotonic()
        while self._thread.is_alive():
            if len(self._lines) > told:
                narrator.say(self._lines[told])
                told, beat = told + 1, time.monotonic()
                continue
            if time.monotonic() - beat > _BEAT_SECONDS:
                narrator.say(f"... still at it after {narrator.seconds:.0f} s")
                beat = time.monotonic()
            self._thread.join(0.2)
        if self._error is not None:
            raise self._error
        if self._image is None:
            raise GroundError("the cluster was not started")
        return self._cluster, self._image

    def _work(self) -> None:
        try:
            self._prepare()
            if self._closing:
                return
            image = application_image()
            self._cluster.__enter__()
            self._entered = True
            self._cluster.load(image.archive)
            self._image = image
        except BaseException as error:  # noqa: BLE001 - told where it is waited for
            self._error = error

    def _prepare(self) -> None:
        """Install and build in a process group of its own, at low priority: the first act has the word."""
        self._setup = subprocess.Popen(
            ["nice", "-n", "10", sys.executable, "-m", "ground", "setup"],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "e2e")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        for line in self._setup.stdout or ():
            self._lines.append(line.rstrip())
        if self._setup.wait() != 0 and not self._closing:
            raise GroundError("the set-up failed: " + "\n".join(self._lines[-20:]))


def _stop(process: subprocess.Popen[str]) -> None:
    """Interrupt a process group, as Ctrl-C would, and kill what does not listen."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
        if not wait_until(lambda: process.poll() is not None, 20):
            os.killpg(process.pid, signal.SIGKILL)
