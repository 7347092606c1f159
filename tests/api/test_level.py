"""Levels of verification: each one holds those before it."""

from __future__ import annotations

import pytest

from dbcustody.api.policy import Level, highest_level


def test_a_level_holds_those_before_it() -> None:
    """What was restored was read, and what was read was compared; never the other way round."""
    assert Level.RESTORE.passed == (Level.CHECKSUM, Level.READ, Level.RESTORE)
    assert Level.CHECKSUM.passed == (Level.CHECKSUM,)
    assert [(one.value, least.value) for one in Level for least in Level if not one.reaches(least)] == [
        ("Checksum", "Read"),
        ("Checksum", "Restore"),
        ("Read", "Restore"),
    ]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param([], None, id="nothing"),
        pytest.param(["Tomorrow"], None, id="of-a-newer-version"),
        pytest.param(["Checksum", "Tomorrow"], Level.CHECKSUM, id="what-is-known"),
        pytest.param(["Restore", "Read"], Level.RESTORE, id="the-highest"),
    ],
)
def test_the_highest_of_several(names: list[str], expected: Level | None) -> None:
    """Facts of several levels may stand beside one manifest."""
    assert highest_level(names) is expected
