"""Which locks exclude each other: as the manual's table has it, by its own symmetry and by its rows that are easy to say."""

from __future__ import annotations

from dbcustody.migration.lock import Mode


def test_who_excludes_whom_is_mutual() -> None:
    """Whoever keeps another waiting waits for it, too."""
    pairs = {(one, other) for one in Mode for other in one.conflicting}
    assert pairs == {(other, one) for one, other in pairs}


def test_what_the_manual_says_in_words() -> None:
    """ACCESS EXCLUSIVE excludes all; readers are excluded by nothing else; SHARE goes with itself, and is what builds an index."""
    assert Mode.ACCESS_EXCLUSIVE.conflicting == tuple(Mode)
    assert Mode.ACCESS_SHARE.conflicting == (Mode.ACCESS_EXCLUSIVE,)
    assert [mode for mode in Mode if mode not in mode.conflicting] == [
        Mode.ACCESS_SHARE, Mode.ROW_SHARE, Mode.ROW_EXCLUSIVE, Mode.SHARE,
    ]  # fmt: skip
    assert sum(len(mode.conflicting) for mode in Mode) == 38
