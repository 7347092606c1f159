"""What probes and Prometheus ask: whether the loop turns, the API answers and the watch hears, and all metrics.

Liveness fails only for what a restart mends: a loop that stands still, an API that has not answered for long, a watch that is deaf.
A replica that waits for the leadership is healthy and ready.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LOOP_BEAT_SECONDS: Final = 1.0
LONGEST_LOOP_SILENCE_SECONDS: Final = 20.0
LONGEST_API_SILENCE_SECONDS: Final = 60.0
CONTENT_TYPE: Final = "text/plain"


class Health:
    """Remembers when what was last seen alive, by the monotonic clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.beaten_at = clock()
        self.answered_at = clock()
        self.is_leading = False
        self.has_listed = False
        self.deaf_since: float | None = None

    def beat(self) -> None:
        """Say that the loop turns."""
        self.beaten_at = self._clock()

    def answered(self) -> None:
        """Say that the API server answered."""
        self.answered_at = self._clock()

    def hears(self, *, is_deaf: bool) -> None:
        """Say whether a listing found what the watch had not told."""
        self.deaf_since = (self.deaf_since or self._clock()) if is_deaf else None

    @property
    def loop_lag_seconds(self) -> float:
        """How much later than planned the loop's last beat was."""
        return max(0.0, self._clock() - self.beaten_at - LOOP_BEAT_SECONDS)

    def complaints(self) -> tuple[str, ...]:
        """Return what is wrong and a restart may mend."""
        found = []
        if self._clock() - self.beaten_at > LONGEST_LOOP_SILENCE_SECONDS:
            found.append("the event loop stands still")
        if self._clock() - self.answered_at > LONGEST_API_SILENCE_SECONDS:
            found.append("the API server has not answered")
        if self.deaf_since is not None:
            found.append("the watch does not tell what happens")
        return tuple(found)

    def unready(self) -> tuple[str, ...]:
        """Return what keeps the process from doing its work; a leader is ready once it has listed everything."""
        waiting = ("everything is still being listed",) if self.is_leading and not self.has_listed else ()
        return (*self.complaints(), *waiting)


async def keep_beating(health: Health) -> None:
    """Beat for ever."""
    while True:
        health.beat()
        await asyncio.sleep(LOOP_BEAT_SECONDS)


def application(health: Health, metrics: Callable[[], bytes]) -> web.Application:
    """Return the application that answers `/healthz`, `/readyz` and `/metrics`."""
    app = web.Application()
    app.router.add_get("/healthz", _answering(health.complaints))
    app.router.add_get("/readyz", _answering(health.unready))

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app.router.add_get("/metrics", show_metrics)
    return app


def _answering(complaints: Callable[[], tuple[str, ...]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        found = complaints()
        return web.Response(text="\n".join(found or ("ok",)) + "\n", status=503 if found else 200)

    return answer


async def serve(app: web.Application, host: str, port: int) -> web.AppRunner:
    """Serve *app* and return the runner, whose `cleanup` ends it."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
