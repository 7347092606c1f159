"""The ledger's names: twelve digits, so that they sort, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.errors import InvalidSpecError
from dbcustody.repository.layout import parse_backup_key
from dbcustody.repository.ledger import (
    LARGEST_SEQUENCE,
    entry_sequence,
    ledger_checkpoint_key,
    ledger_entry_key,
    ledger_prefix,
)


@given(st.integers(1, LARGEST_SEQUENCE), st.integers(1, LARGEST_SEQUENCE))
def test_entries_sort_by_sequence(one: int, other: int) -> None:
    """The order of keys is the order of entries, and a key says its sequence."""
    first, second = ledger_entry_key("shop", one), ledger_entry_key("shop", other)
    assert (one < other) is (first < second)
    assert one == entry_sequence("shop", first)
    assert parse_backup_key(first) is None


def test_checkpoints_stand_beside_the_entries() -> None:
    """A checkpoint is no entry."""
    key = ledger_checkpoint_key("shop", 3)
    assert key == "shop/ledger/checkpoint-3.json"
    assert key.startswith(ledger_prefix("shop"))
    assert entry_sequence("shop", key) is None


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("other/ledger/000000000001.json", id="another custody"),
        pytest.param("shop/ledger/1.json", id="too few digits"),
        pytest.param("shop/ledger/000000000000.json", id="zero"),
        pytest.param("shop/ledger/000000000001.json\n", id="newline"),
    ],
)
def test_strangers_are_no_entries(key: str) -> None:
    """What could not have been built is no entry."""
    assert entry_sequence("shop", key) is None


@pytest.mark.parametrize("number", [pytest.param(0, id="zero"), pytest.param(10**12, id="thirteen digits")])
def test_numbers_stay_within_twelve_digits(number: int) -> None:
    """A number that would not sort is refused."""
    with pytest.raises(InvalidSpecError, match=f"has no number {number}"):
        ledger_entry_key("shop", number)
    with pytest.raises(InvalidSpecError, match=f"has no number {number}"):
        ledger_checkpoint_key("shop", number)
