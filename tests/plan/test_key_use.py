"""Which backup needs which key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.api.storage import KeyUse
from dbcustody.plan.key_use import MOST_KEYS, ClosedAttempt, judge_keys


def closed(backup_id: str, *key_ids: str, attempt: str = "a") -> ClosedAttempt:
    """Return a backup that is closed for *key_ids*."""
    return ClosedAttempt(custody_id="shop", backup_id=backup_id, attempt=attempt, key_ids=frozenset(key_ids))


@pytest.mark.parametrize(
    ("backups", "ring", "uses", "waiting", "unopened"),
    [
        pytest.param([], ["k1"], {"k1": (0, 0, True)}, [], 0, id="nothing-there"),
        pytest.param([("b1", "k1")], ["k1"], {"k1": (1, 1, True)}, [], 0, id="one-key"),
        pytest.param(
            [("b1", "k1"), ("b2", "k2")],
            ["k1", "k2"],
            {"k1": (1, 1, True), "k2": (1, 1, True)},
            ["b1"],
            0,
            id="active-key-changed",
        ),
        pytest.param(
            [("b1", "k1", "k2"), ("b2", "k2")],
            ["k1", "k2"],
            {"k1": (1, 0, True), "k2": (2, 1, True)},
            [],
            0,
            id="re-wrapped-and-the-old-key-not-needed",
        ),
        pytest.param(
            [("b1", "k1", "k2"), ("b2", "k1")],
            ["k2"],
            {"k1": (2, 1, False), "k2": (1, 1, True)},
            [],
            1,
            id="key-taken-out-too-early",
        ),
        pytest.param([("b1", "k1")], [], {"k1": (1, 1, False)}, [], 1, id="no-keyring"),
    ],
)
def test_what_hangs_on_each_key(
    backups: list[tuple[str, ...]],
    ring: list[str],
    uses: dict[str, tuple[int, int, bool]],
    waiting: list[str],
    *,
    unopened: int,
) -> None:
    """Each key is told with what it opens, what needs it, and whether it is there; the last of the keyring is the active one."""
    found = judge_keys([closed(*one) for one in backups], key_ids=ring, active_key_id=ring[-1] if ring else None)

    assert {one.id: (one.backups, one.needed_by, one.in_keyring) for one in found.keys} == uses
    assert ([one.place[1] for one in found.waiting], found.unopened) == (waiting, unopened)


def test_attempts_of_one_backup_are_one_backup() -> None:
    """Where nobody knows which attempt counts, each is looked at, and the backup is counted once."""
    found = judge_keys([closed("b1", "k1"), closed("b1", "k1", attempt="b")], key_ids=["k1"], active_key_id="k1")

    assert found.keys == (KeyUse(id="k1", backups=1, needed_by=1, in_keyring=True),)


def test_status_has_room_for_the_weightiest() -> None:
    """Of very many keys those stand in status that backups need."""
    many = [closed(f"b{number}", f"k{number:03}", "all") for number in range(300)]
    found = judge_keys([*many, closed("last", "needed")], key_ids=["all", "needed"], active_key_id="all")

    assert len(found.keys) == MOST_KEYS
    assert {"all", "needed"} < {one.id for one in found.keys}
    assert [one.id for one in found.keys] == sorted(one.id for one in found.keys)


ids = st.sampled_from(["k1", "k2", "k3"])


@given(st.lists(st.frozensets(ids, min_size=1), max_size=8), st.frozensets(ids, min_size=1), st.data())
def test_a_key_that_is_not_needed_can_go(
    backups: list[frozenset[str]], ring: frozenset[str], data: st.DataObject
) -> None:
    """Taking out a key leaves exactly as many more backups without a key as it was needed by."""
    attempts = [closed(f"b{number}", *keys) for number, keys in enumerate(backups)]
    gone = data.draw(st.sampled_from(sorted(ring)))
    before = judge_keys(attempts, key_ids=ring, active_key_id=gone)
    after = judge_keys(attempts, key_ids=ring - {gone}, active_key_id=None)
    (use,) = [one for one in before.keys if one.id == gone]

    assert after.unopened == before.unopened + use.needed_by
