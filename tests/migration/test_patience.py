"""Pauses between tries grow, and end growing at a minute."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dbcustody.migration.patience import pause_seconds


def test_they_double_up_to_a_minute() -> None:
    """From a second on; without chance in it."""
    assert [pause_seconds(tried, 0.5) for tried in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_chance_is_a_fifth(tried: int, chance: float) -> None:
    """In either direction, and never more."""
    middle = pause_seconds(tried, 0.5)
    assert middle * 0.8 - 1e-9 <= pause_seconds(tried, chance) <= middle * 1.2 + 1e-9
