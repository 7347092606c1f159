"""What has to be looked at: each key once at a time, however often it was named, with pauses after failures and appointments for later."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0

K = TypeVar("K", bound="Hashable")


class Queue(Generic[K]):
    """Keys in the order in which they came; a key that is being worked on comes again afterwards when it was named meanwhile."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[K] = asyncio.Queue()
        self._named: set[K] = set()
        self._worked_on: set[K] = set()
        self._again: set[K] = set()
        self._appointments: dict[K, asyncio.TimerHandle] = {}
        self._failures: defaultdict[K, int] = defaultdict(int)

    def __len__(self) -> int:
        return self._waiting.qsize()

    @property
    def in_progress(self) -> int:
        """How many keys are being worked on."""
        return len(self._worked_on)

    def add(self, key: K) -> None:
        """Have *key* looked at as soon as possible."""
        if key in self._worked_on:
            self._again.add(key)
        elif key not in self._named:
            self._named.add(key)
            self._waiting.put_nowait(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Have *key* looked at after *seconds*, unless it is due earlier anyway."""
        loop = asyncio.get_running_loop()
        appointed = self._appointments.get(key)
        if appointed is not None and not appointed.cancelled() and appointed.when() <= loop.time() + seconds:
            return
        if appointed is not None:
            appointed.cancel()
        self._appointments[key] = loop.call_later(max(seconds, 0.0), self._keep_appointment, key)

    def due_seconds(self, key: K) -> float | None:
        """Return in how many seconds *key* has its appointment, or None when it has none."""
        appointed = self._appointments.get(key)
        return None if appointed is None else appointed.when() - asyncio.get_running_loop().time()

    async def get(self) -> K:
        """Return the next key; `done` must follow."""
        key = await self._waiting.get()
        self._named.discard(key)
        self._worked_on.add(key)
        return key

    def done(self, key: K, *, failed: bool = False) -> float | None:
        """Say that the work on *key* is over; returns the pause in seconds when it failed and comes again by itself."""
        self._worked_on.discard(key)
        pause: float | None = None
        if failed:
            self._failures[key] += 1
            pause = min(FIRST_PAUSE_SECONDS * 2.0 ** (self._failures[key] - 1), LONGEST_PAUSE_SECONDS)
            self.add_after(key, pause)
        else:
            self._failures.pop(key, None)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        return pause

    def _keep_appointment(self, key: K) -> None:
        self._appointments.pop(key, None)
        self.add(key)
