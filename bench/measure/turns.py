"""Rounds: every contender once in each, on two cores, in an order that changes, so that no one always has the warm seat."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CORES: Final = 2


def take_turns(steps: Sequence[Callable[[], dict[str, float]]], *, rounds: int) -> list[dict[str, float]]:
    """Return what all *steps* found in each round; every other round goes backwards, so that no one always follows the same other.

    What one contender left to be written to the disk is written before the next begins, so that nobody pays for another.
    """
    taken = []
    for number in range(rounds):
        first, found = number % len(steps), dict[str, float]()
        turned = (*steps[first:], *steps[:first]) if len(steps) > 2 else steps
        for step in reversed(turned) if number % 2 else turned:
            os.sync()
            found |= step()
        taken.append(found)
    return taken


def all_of(taken: Sequence[dict[str, float]], name: str) -> tuple[float, ...]:
    """Return *name* of every round."""
    return tuple(one[name] for one in taken)


def ratio_of(taken: Sequence[dict[str, float]], above: str, below: str) -> tuple[float, ...]:
    """Return how *above* stands to *below* in every round."""
    return tuple(one[above] / one[below] for one in taken)


@contextmanager
def two_cores() -> Iterator[None]:
    """Keep this process, and every server and contender that it starts, on the same two cores, however many the machine has."""
    before = os.sched_getaffinity(0)
    if len(before) < CORES:
        raise RuntimeError(f"{len(before)} core: parallel work is measured on {CORES}")
    os.sched_setaffinity(0, sorted(before)[:CORES])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
