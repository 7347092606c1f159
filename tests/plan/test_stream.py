"""Tables dealt over streams: nothing is lost, nothing is dealt twice, and no stream has much more than another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.plan.stream import Portion, deal, percent_done

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = st.lists(st.integers(0, 2**40), max_size=60)
HANDS = st.integers(1, 12)


def portions_of(sizes: Sequence[int]) -> list[Portion]:
    """Return portions with these sizes, whose keys tell their places."""
    return [Portion(key, size) for key, size in enumerate(sizes)]


@given(sizes=SIZES, hands=HANDS)
def test_every_portion_is_dealt_once(sizes: list[int], hands: int) -> None:
    """All portions are dealt, each to one stream, in the order given; no stream is empty, and there are no more than asked for."""
    portions = portions_of(sizes)
    streams = deal(portions, hands)
    assert sorted((one for stream in streams for one in stream), key=lambda one: one.key) == portions
    assert all(stream and [one.key for one in stream] == sorted(one.key for one in stream) for stream in streams)
    assert len(streams) == min(hands, len(portions))


@given(sizes=SIZES, hands=HANDS)
def test_streams_are_even(sizes: list[int], hands: int) -> None:
    """The fullest stream has at most 4/3 of what cannot be bettered: the mean, the largest portion, or two that must share a stream."""
    weights = sorted((max(size, 1) for size in sizes), reverse=True)
    streams = deal(portions_of(sizes), hands)
    fullest = max((sum(max(one.size_bytes, 1) for one in stream) for stream in streams), default=0)
    shared = weights[hands - 1] + weights[hands] if len(weights) > hands else 0
    least = max(-(-sum(weights) // hands), weights[0] if weights else 0, shared)
    assert 3 * fullest <= 4 * least


def test_empty_tables_are_spread() -> None:
    """A thousand tables without a byte do not all go to one stream: each still costs a round trip."""
    assert [len(stream) for stream in deal(portions_of([0] * 1000), 4)] == [250] * 4


def test_equal_input_is_dealt_equally() -> None:
    """Dealing depends on nothing but its input: two tables of one size go by their keys."""
    assert deal(portions_of([5, 5, 5]), 2) == deal(portions_of([5, 5, 5]), 2)
    assert deal(portions_of([5, 5, 5]), 2) == ((Portion(0, 5), Portion(2, 5)), (Portion(1, 5),))


@pytest.mark.parametrize(
    ("copying", "percent"),
    [
        pytest.param({}, 0, id="nothing-yet"),
        pytest.param({0: 0}, 0, id="begun"),
        pytest.param({0: 50}, 12, id="half-of-the-first"),
        pytest.param({0: 5000}, 25, id="text-longer-than-pages"),
        pytest.param({1: 100, 2: 100}, 75, id="both-streams"),
        pytest.param({1: 200, 2: 100}, 99, id="never-all-before-the-end"),
        pytest.param({77: 100}, 0, id="a-table-of-somebody-else"),
    ],
)
def test_percent_follows_the_copies(copying: dict[int, int], percent: int) -> None:
    """What a stream has behind it is every table before the one that it copies, and as much of that as its pages allow."""
    streams = ([Portion(0, 100), Portion(1, 200)], [Portion(2, 100)])
    assert percent_done(streams, copying) == percent


@given(sizes=SIZES, hands=HANDS, copying=st.dictionaries(st.integers(0, 60), st.integers(0, 2**50)))
def test_percent_stays_within_bounds(sizes: list[int], hands: int, copying: dict[int, int]) -> None:
    """Whatever the server says, the figure is one of 0 to 99."""
    assert 0 <= percent_done(deal(portions_of(sizes), hands), copying) <= 99


def test_nothing_to_dump() -> None:
    """A database without a byte has no percentage but nought."""
    assert deal([], 3) == ()
    assert percent_done((), {}) == 0
    assert percent_done(([Portion(0, 0)],), {0: 5}) == 0
