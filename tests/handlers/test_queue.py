"""The queue: each key once at a time, named again while it is worked on it comes again, and failures pause."""

from __future__ import annotations

import asyncio
from unittest.mock import patch

import pytest

from dbcustody.handlers.queue import LONGEST_PAUSE_SECONDS, Queue


async def test_a_key_waits_once() -> None:
    """However often it is named, it is looked at once; others keep their order."""
    queue: Queue[str] = Queue()
    for key in ("a", "b", "a", "a"):
        queue.add(key)

    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == ["a", "b"]


async def test_a_key_that_is_worked_on_comes_again_afterwards() -> None:
    """News that come during the work are not lost, and no two workers have the same key."""
    queue: Queue[str] = Queue()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.add("a")

    assert (len(queue), queue.in_progress) == (0, 1)
    queue.done(key)
    assert (len(queue), queue.in_progress) == (1, 0)


async def test_failures_pause_longer_and_longer() -> None:
    """Half a second, doubled, at most half a minute; a success forgets them."""
    queue: Queue[str] = Queue()
    pauses = []
    for _ in range(9):
        queue.add("a")
        pauses.append(queue.done(await queue.get(), failed=True))
    queue.add("a")

    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert queue.done(await queue.get()) is None
    queue.add("a")
    assert queue.done(await queue.get(), failed=True) == 0.5
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


async def test_the_earlier_appointment_counts() -> None:
    """A later wish never postpones an earlier one, an earlier one is kept."""
    queue: Queue[str] = Queue()
    loop, kept = asyncio.get_running_loop(), []
    with patch.object(
        loop, "call_later", side_effect=lambda seconds, *_: kept.append(seconds) or _Handle(loop.time() + seconds)
    ):
        queue.add_after("a", 10)
        queue.add_after("a", 20)
        queue.add_after("a", 5)
        queue.add_after("a", -1)

    assert kept == [10, 5, 0]


async def test_when_a_key_is_due() -> None:
    """An appointment is told until it is kept; without one there is none."""
    queue: Queue[str] = Queue()
    queue.add_after("a", 30)
    queue.add_after("b", 0)
    await asyncio.sleep(0.01)
    due_seconds = queue.due_seconds("a")

    assert due_seconds is not None
    assert 29 < due_seconds <= 30
    assert queue.due_seconds("b") is None
    assert queue.due_seconds("c") is None


class _Handle:
    def __init__(self, when: float) -> None:
        self._when, self._is_cancelled = when, False

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        self._is_cancelled = True

    def cancelled(self) -> bool:
        return self._is_cancelled


async def test_an_appointment_is_kept() -> None:
    """What is due comes by itself."""
    queue: Queue[str] = Queue()
    queue.add_after("a", 0)

    assert await asyncio.wait_for(queue.get(), 5) == "a"


@pytest.mark.parametrize("failed", [True, False])
async def test_done_is_the_end_of_the_work(failed: bool) -> None:  # noqa: FBT001
    """Good or bad, the key is free again."""
    queue: Queue[str] = Queue()
    queue.add("a")
    queue.done(await queue.get(), failed=failed)

    assert queue.in_progress == 0
