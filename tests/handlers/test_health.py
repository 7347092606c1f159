"""Probes: a restart is asked for exactly when it may help."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, web

from dbcustody.adapters.kube import Exchange
from dbcustody.handlers.health import Health, application, keep_beating, serve
from dbcustody.handlers.startup import _counting
from dbcustody.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Clock:
    """A clock that is turned by hand."""

    time: float = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.time


def later(seconds: float, *, answered: bool = False, beaten: bool = False) -> Health:
    """Return the health *seconds* after everything was well, with what went on meanwhile."""
    clock = Clock()
    health = Health(clock)
    clock.time += seconds
    if answered:
        health.answered()
    if beaten:
        health.beat()
    return health


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        pytest.param(later(19), (), id="well"),
        pytest.param(later(21, answered=True), ("the event loop stands still",), id="stalled-loop"),
        pytest.param(later(59, beaten=True), (), id="api-is-away-for-a-while"),
        pytest.param(later(61, beaten=True), ("the API server has not answered",), id="api-is-away"),
        pytest.param(
            later(61), ("the event loop stands still", "the API server has not answered"), id="everything-is-still"
        ),
    ],
)
def test_complaints(health: Health, expected: tuple[str, ...]) -> None:
    """A stalled loop is seen after 20 s, a silent API server after a minute: one that is frozen for 20 s restarts nobody."""
    assert health.complaints() == expected


def test_a_deaf_watch_is_a_complaint_until_it_hears() -> None:
    """What listings find and the watch does not tell makes the process unhealthy; it heals when the watch tells again."""
    health = later(0)
    health.hears(is_deaf=True)
    deaf = health.complaints()
    health.hears(is_deaf=True)
    health.hears(is_deaf=False)

    assert deaf == ("the watch does not tell what happens",)
    assert health.complaints() == ()


def test_a_replica_that_waits_is_ready_and_a_leader_that_lists_is_not() -> None:
    """A roll-out must not hang on the replica that does not lead; a leader is ready when it knows everything."""
    health = later(0)
    waiting = health.unready()
    health.is_leading = True
    listing = health.unready()
    health.has_listed = True

    assert (waiting, listing, health.unready()) == ((), ("everything is still being listed",), ())


def test_the_lag_is_what_comes_on_top_of_a_beat() -> None:
    """A beat a second is no lag."""
    assert (later(1).loop_lag_seconds, later(4).loop_lag_seconds) == (0, 3)


async def test_the_loop_beats_as_long_as_it_turns() -> None:
    """The beat comes from the loop itself."""
    health = later(30)
    task = asyncio.create_task(keep_beating(health))
    await asyncio.sleep(0)
    task.cancel()

    assert health.complaints() == ()


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, ()), (403, ()), (0, ("the API server has not answered",)), (503, ("the API server has not answered",))],
)
def test_a_refusal_is_an_answer(status: int, expected: tuple[str, ...]) -> None:
    """An API server that says no is alive; one that says 503 or nothing is not."""
    health = later(61, beaten=True)
    _counting(health, Metrics())(Exchange("get", status, 0.1))

    assert health.complaints() == expected


@pytest.mark.parametrize(
    ("make", "path", "status", "text"),
    [
        pytest.param(lambda: later(0), "/healthz", 200, "ok\n", id="healthy"),
        pytest.param(
            lambda: later(61, beaten=True), "/healthz", 503, "the API server has not answered\n", id="unhealthy"
        ),
        pytest.param(lambda: later(0), "/readyz", 200, "ok\n", id="ready"),
        pytest.param(lambda: later(21, answered=True), "/readyz", 503, "the event loop stands still\n", id="unready"),
        pytest.param(lambda: later(0), "/metrics", 200, "all of them", id="metrics"),
        pytest.param(lambda: later(0), "/", 404, "404: Not Found", id="nothing-else"),
    ],
)
async def test_what_is_answered(make: Callable[[], Health], path: str, status: int, text: str) -> None:
    """The kubelet sees a status, a person sees why."""
    runner = await serve(application(make(), lambda: b"all of them"), "127.0.0.1", 0)
    try:
        host, port = runner.addresses[0][:2]
        async with ClientSession() as session, session.get(f"http://{host}:{port}{path}") as answer:
            assert (answer.status, await answer.text()) == (status, text)
    finally:
        await runner.cleanup()
    assert isinstance(runner, web.AppRunner)
