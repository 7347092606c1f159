"""Looking after a dump while it runs: it ends when told to, gives way when others wait behind it, and says how far it is."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import TYPE_CHECKING, Any, Final

from dbcustody.adapters.postgres.crowd import copied_bytes, find_waiter
from dbcustody.api.backup import Progress, Stage
from dbcustody.errors import UnavailableError
from dbcustody.jobs.quantity import size_text
from dbcustody.jobs.tools import check_stop
from dbcustody.plan.stream import percent_done
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from dbcustody.jobs.lockholder import LockHolder
    from dbcustody.jobs.sitting import Sitting
    from dbcustody.jobs.stream import Tally
    from dbcustody.jobs.tools import Tools
    from dbcustody.plan.stream import Portion

LOOK_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 0.2
_RATE_LOOKS: Final = 6


class Vigil:
    """Watches over futures until all are done."""

    def __init__(
        self,
        sitting: Sitting,
        tools: Tools,
        tally: Tally,
        *,
        holder: LockHolder,
        streams: Sequence[Sequence[Portion]],
        patience_seconds: int,
    ) -> None:
        """Prepare; *streams* are the tables that were dealt, *patience_seconds* is how long others may wait behind the dump (0: ever)."""
        self._sitting, self._tools, self._tally = sitting, tools, tally
        self._holder, self._streams = holder, streams
        self._patience_seconds = patience_seconds
        self._percent = 0
        self._looks: deque[tuple[float, int]] = deque(maxlen=_RATE_LOOKS)

    def watch(self, futures: Collection[Future[Any]]) -> None:
        """Return when all *futures* are done; raises the first error of one of them, or what ended the dump."""
        next_look = time.monotonic()
        pending: Collection[Future[Any]] = futures
        while pending:
            done, pending = wait(pending, timeout=_STOP_SECONDS, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            check_stop(self._tools)
            if pending and time.monotonic() >= next_look:
                self._look()
                next_look = time.monotonic() + LOOK_SECONDS

    def _look(self) -> None:
        self._holder.check()
        observer, applications = self._sitting.observer, [self._sitting.target.application]
        waiter = find_waiter(observer, applications)
        if waiter is not None and 0 < self._patience_seconds < waiter.seconds:
            raise UnavailableError(
                f"the dump was ended to let others pass: {waiter}, more than `cancelWhenBlockingSeconds` allows",
                reason=Reason.BLOCKING_OTHERS,
            )
        copying = copied_bytes(observer, applications)
        if copying:
            streams = self._streams or (self._holder.portions(),)
            self._percent = max(self._percent, percent_done(streams, copying))
        self._tools.report(self._progress())

    def _progress(self) -> Progress:
        stored = self._tally.passed_bytes
        self._looks.append((time.monotonic(), stored))
        (before, had), (now, has) = self._looks[0], self._looks[-1]
        rate = int((has - had) / (now - before)) if now > before else None
        shown = f" {size_text(rate)}/s" if rate else ""
        return Progress(
            stage=Stage.DUMPING,
            summary=f"{self._percent}% {size_text(stored)}{shown}",
            percent=self._percent,
            bytes=stored,
            bytes_per_second=rate,
            updated_time=self._tools.now(),
        )
