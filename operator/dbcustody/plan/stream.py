"""How the tables of a dump are dealt over parallel streams, and how far such a dump is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Portion:
    """A table as far as dealing is concerned."""

    key: int
    size_bytes: int


def deal(portions: Sequence[Portion], hands: int) -> tuple[tuple[Portion, ...], ...]:
    """Return *portions* dealt over at most *hands* streams, none of them empty, each in the order given.

    The largest goes first, always to the stream that has least (longest processing time first; Graham, 1969: never more than 4/3 of the
    best). A table without a byte still costs a little, so that thousands of empty ones are spread too.
    """
    loads = [0] * min(hands, len(portions))
    dealt: list[set[int]] = [set() for _ in loads]
    for portion in sorted(portions, key=lambda one: (-one.size_bytes, one.key)):
        hand = min(range(len(loads)), key=lambda index: (loads[index], index))
        loads[hand] += max(portion.size_bytes, 1)
        dealt[hand].add(portion.key)
    return tuple(tuple(portion for portion in portions if portion.key in keys) for keys in dealt)


def percent_done(streams: Sequence[Sequence[Portion]], copying: Mapping[int, int]) -> int:
    """Return how much of *streams* has passed, 0 to 99: each dumps its tables in their order, and *copying* says how far it is in which.

    Text is longer or shorter than a table's pages, so a table counts at most as much as its pages; the rest of an estimate is patience.
    A stream in which nothing is copied has not begun, or is over: it counts as nothing, and the caller keeps the highest figure.
    """
    whole = sum(portion.size_bytes for stream in streams for portion in stream)
    done = sum(_passed(stream, copying) for stream in streams)
    return min(99, 100 * done // whole) if whole else 0


def _passed(stream: Sequence[Portion], copying: Mapping[int, int]) -> int:
    before = 0
    for portion in stream:
        if portion.key in copying:
            return before + min(portion.size_bytes, copying[portion.key])
        before += portion.size_bytes
    return 0
