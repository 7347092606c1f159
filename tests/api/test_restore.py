"""A restore's progress says the same on the wire as it does here."""

from __future__ import annotations

from datetime import UTC, datetime

from dbcustody.api.restore import RestoreProgress, RestoreStage
from dbcustody.codec import decode, encode


def test_progress_survives_the_wire() -> None:
    """Stage, figures and time come back; what is not known is left out."""
    progress = RestoreProgress(
        stage=RestoreStage.LOADING, summary="7%", percent=7, bytes=70, updated_time=datetime(2026, 1, 1, tzinfo=UTC)
    )
    wire = encode(progress)
    assert wire == {
        "stage": "Loading",
        "summary": "7%",
        "percent": 7,
        "bytes": 70,
        "updatedTime": "2026-01-01T00:00:00Z",
    }
    assert decode(RestoreProgress, wire) == progress
