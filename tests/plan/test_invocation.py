"""What a swap without a cluster is remembered by: readable, different each time, and with the time in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from dbcustody.plan.imprint import Imprint, Stage, kept, read_imprints, ready
from dbcustody.plan.invocation import LONGEST_KEEP, kept_times, mark_of_invocation, safety_name
from dbcustody.repository.layout import check_name
from tests.fakes.seen import NOW

ATTEMPT = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
MARK = mark_of_invocation(NOW, ATTEMPT)


def test_each_invocation_is_its_own() -> None:
    """And its mark comes back from the comments of databases."""
    assert MARK == "dbcustody restore 2026-01-31T12:00:00Z 0a1b2c3d4e5f"
    assert mark_of_invocation(NOW, ATTEMPT.replace("0a", "0b")) != MARK
    assert [one.mark for one in read_imprints(ready(7, MARK))] == [MARK]
    assert [one.mark for one in read_imprints(kept(NOW, NOW, MARK, None))] == [MARK]


def test_a_safety_backup_is_known_by_its_name() -> None:
    """Which may stand in a key."""
    assert check_name(safety_name(NOW, ATTEMPT)) == "before-restore-20260131t120000z-0a1b"


def test_since_when_a_database_is_kept() -> None:
    """Never later than it really is: whoever was erased since would come back with it."""
    until, other = NOW + timedelta(days=1), "RestoreRequest web/back 0123"
    (told,) = read_imprints(kept(NOW - timedelta(hours=1), until, other, None))
    untold = Imprint(mark=MARK, stage=Stage.KEPT, until=until.isoformat())
    assert kept_times(told) == (NOW - timedelta(hours=1), until)
    assert kept_times(untold) == (NOW, until)
    assert kept_times(replace(untold, mark=other)) == (until - LONGEST_KEEP, until)
    assert kept_times(replace(untold, until=None)) is None
