"""Requests that are sent again: counted, told of, and bounded for everything that one store does, which is one run of a Job.

botocore repeats a single request a few times (its standard mode: pauses that double and are drawn by lot, and a quota per client). Uploads
of a part, downloads and conditional puts outlive more than that, here, by the same rules. Both kinds are counted together, and when they
outnumber the answered requests by what the settings spare, no more are sent: a store that is down is not helped by being asked harder.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

import stamina
import structlog

from dbcustody.adapters.objectstore.interface import Repeats
from dbcustody.adapters.objectstore.s3error import TOO_MANY_REQUESTS, cause_text
from dbcustody.errors import DbcustodyError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")
_log = structlog.get_logger()
_NO_SUCCESS: Final = 300
_SERVER_ERROR: Final = 500
_QUICK: Final = {"wait_initial": 0.05, "wait_max": 1.0, "wait_jitter": 0.1}
_CALM: Final = {"wait_initial": 0.2, "wait_max": 5.0, "wait_jitter": 1.0}
_QUICK_ATTEMPTS: Final = 8


class RepeatBudget:
    """Counts for one client; may be used from any thread. *spare* is how many repeats are borne with beside one per answered request."""

    def __init__(self, spare: int) -> None:
        self._spare = spare
        self._lock = threading.Lock()
        self._answered = 0
        self._repeats = Repeats()
        self._because = ""
        """Of the last attempt that failed; of several at once, whichever was last."""

    @property
    def repeats(self) -> Repeats:
        """What was sent again so far."""
        return self._repeats

    @property
    def is_spent(self) -> bool:
        """Whether nothing may be sent again until more requests were answered."""
        return self._repeats.count >= self._spare + self._answered

    def watch(self, client: Any) -> None:
        """Count what *client* repeats by itself, too."""
        client.meta.events.register("needs-retry.s3", self._hear, unique_id="dbcustody-repeats")

    def quickly(self, send: Callable[[], Answer], *, when: Callable[[BaseException], bool]) -> Answer:
        """Return what *send* returns, sending again a few times after an error for which *when* is true: for a race that is soon over."""
        return self._send(send, when, attempts=_QUICK_ATTEMPTS, timeout=None, **_QUICK)

    def patiently(self, send: Callable[[], Answer], *, when: Callable[[BaseException], bool], seconds: float) -> Answer:
        """Return what *send* returns, sending again for *seconds* after an error for which *when* is true."""
        return self._send(send, when, attempts=None, timeout=seconds, **_CALM)

    def _send(self, send: Callable[[], Answer], when: Callable[[BaseException], bool], **pauses: Any) -> Answer:
        because = ""

        def may_repeat(error: Exception) -> bool:
            nonlocal because
            because = cause_text(error)
            return when(error) and not self.is_spent

        try:
            for attempt in stamina.retry_context(on=may_repeat, **pauses):
                with attempt:
                    if attempt.num > 1:
                        self._note(because)
                    return send()
        except UnavailableError as error:
            if when(error) and self.is_spent:
                raise self._told(error) from error
            raise
        raise AssertionError("stamina leaves its loop by a result or an error")  # pragma: no cover

    def _told(self, error: DbcustodyError) -> UnavailableError:
        """Return *error* with why it was not tried again."""
        return UnavailableError(
            f"{error.message}; {self._repeats.count} requests were repeated in this run and only {self._answered} answered: given up",
            reason=error.reason,
        )

    def _hear(
        self,
        *,
        response: tuple[Any, dict[str, Any]] | None,
        attempts: int,
        caught_exception: Exception | None,
        **_: Any,
    ) -> None:
        """Take in what became of one attempt at a request; botocore asks everybody who listens whether it is to be repeated."""
        status = response[0].status_code if response is not None else _SERVER_ERROR
        if attempts > 1:
            self._note(self._because)
        if status >= _NO_SUCCESS:
            self._because = _code(response) or type(caught_exception).__name__
        if status < _SERVER_ERROR and status != TOO_MANY_REQUESTS:
            with self._lock:
                self._answered += 1

    def _note(self, because: str) -> None:
        """Count one repeat, and tell of it while they are few; many are told of ever more rarely."""
        with self._lock:
            count = self._repeats.count + 1
            self._repeats = Repeats(count=count, because=because, last_monotonic=time.monotonic())
        if count & (count - 1) == 0:
            _log.warning("storage request repeated", because=because, repeated=count)


def _code(response: tuple[Any, dict[str, Any]] | None) -> str:
    """Return the store's own word for its refusal, or the number of its status."""
    if response is None:
        return ""
    return str(response[1].get("Error", {}).get("Code") or response[0].status_code)
