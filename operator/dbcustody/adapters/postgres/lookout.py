"""One who looks out for a runner while its statements run: who is in their way, and whether they are to end.

One thread for a whole run: many migrations take a few milliseconds, and to start threads for each would take longer than some of them.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Self

from dbcustody.adapters.postgres.cancellation import cancel
from dbcustody.adapters.postgres.obstruction import LOOK_SECONDS, Watch, find_blockers
from dbcustody.errors import DbcustodyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from dbcustody.adapters.postgres.session import Session

_CANCEL_SECONDS: Final = 0.2
"""How often a statement is asked to end: one request may come between two statements, and hit none."""


class Lookout:
    """Looks, in the session *beside*, after what *session* does while it is on duty; a context manager."""

    def __init__(self, session: Session, beside: Session, stop: threading.Event) -> None:
        self._session, self._beside, self._stop = session, beside, stop
        self._over, self._looking = threading.Event(), threading.Lock()
        self._watch: Watch | None = None
        self._cuts = False
        self._since = self._looked = self._next_cancel = 0.0
        self.waited_seconds = 0.0
        """How long somebody was in the way while it was on duty, as exact as it looks often."""

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._work, name="lookout", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @contextmanager
    def on_duty(self) -> Iterator[Watch]:
        """Look for what is in the way until the block ends.

        What was seen last in the way is told afterwards; what cannot be seen is not told: the work does not fail because of it.
        """
        watch = Watch()
        with self._looking:
            self._watch, self._since = watch, time.monotonic()
            self._looked = self._since
        try:
            yield watch
        finally:
            with self._looking:
                self._watch = None

    @contextmanager
    def cutting(self) -> Iterator[None]:
        """While on duty, cancel each statement (SQLSTATE 57014) once it is to stop, until the block ends.

        Then no request to cancel is under way that could hit what comes next.
        """
        with self._looking:
            self._cuts = True
        try:
            yield
        finally:
            with self._looking:
                self._cuts = False

    def _work(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            with self._looking:
                if self._watch is not None:
                    self._look(self._watch)

    def _look(self, watch: Watch) -> None:
        if time.monotonic() - self._since < LOOK_SECONDS:
            return  # whatever is over in a moment has nobody in its way
        if self._cuts and self._stop.is_set() and time.monotonic() >= self._next_cancel:
            self._next_cancel = time.monotonic() + _CANCEL_SECONDS
            cancel(self._session)
        before, self._looked = self._looked, time.monotonic()
        with suppress(DbcustodyError):
            if seen := find_blockers(self._beside, self._session.info.backend_pid):
                watch.seen = seen
                self.waited_seconds += self._looked - before
