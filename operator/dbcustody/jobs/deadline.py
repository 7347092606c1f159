"""The time that a run may work: a clock that stands still while the run waits for its turn, and sets the stop event when it runs out.

Work that does not listen (a call into a dead network) is given up after a grace: a result of our own is worth more than SIGKILL.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Self

from dbcustody.api.backup import Stage
from dbcustody.api.restore import RestoreStage

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.contract import AnyProgress

GRACE_SECONDS: Final = 20.0
"""Kubernetes waits 30 s between SIGTERM and SIGKILL unless told otherwise."""
_TICK_SECONDS: Final = 0.5
_WAITING: Final = frozenset({Stage.WAITING, RestoreStage.WAITING})


class Deadline:
    """A context manager; *stop* is set once *seconds* of work are over, and *overdue* called when that is not heeded for a grace."""

    def __init__(
        self,
        seconds: float,
        stop: threading.Event,
        *,
        overdue: Callable[[], None] = lambda: None,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.seconds = seconds
        self._stop = stop
        self._overdue = overdue
        self._grace_seconds = grace_seconds
        self._passed = threading.Event()
        self._ended = threading.Event()
        self._waiting = False
        self._thread = threading.Thread(target=self._count, name="deadline", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def has_passed(self) -> bool:
        """Whether it was this deadline that ended the work."""
        return self._passed.is_set()

    def watching(self, report: Callable[[AnyProgress], None]) -> Callable[[AnyProgress], None]:
        """Return *report* such that the clock stands still from a progress of stage Waiting to the next of another stage."""

        def observed(progress: AnyProgress) -> None:
            self._waiting = progress.stage in _WAITING
            report(progress)

        return observed

    def _count(self) -> None:
        left, before = self.seconds, time.monotonic()
        while not self._stop.is_set():
            if self._ended.wait(min(_TICK_SECONDS, max(left, 0.0))):
                return
            now = time.monotonic()
            left -= 0.0 if self._waiting else now - before
            before = now
            if left <= 0 and not self._stop.is_set():
                self._passed.set()
                self._stop.set()
        if not self._ended.wait(self._grace_seconds):
            self._overdue()
