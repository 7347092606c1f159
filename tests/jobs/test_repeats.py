"""What a run says of its storages' repeats: one number for all of them, the newest cause, and who is waited for."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from dbcustody.adapters.objectstore import Repeats
from dbcustody.api.backup import Progress, Stage
from dbcustody.contract import Verb
from dbcustody.jobs.repeats import RECENT_SECONDS, Witness
from dbcustody.jobs.tools import Tools
from dbcustody.jobs.verdict import give
from dbcustody.reason import Reason

Seen = tuple[int, str, float]
"""How many requests a storage had to be sent again, why the last one was, and how many seconds ago."""
NONE: Seen = (0, "", 0)
SOME: tuple[Seen, ...] = ((2, "SlowDown", 5), NONE, (1000, "InternalError", 9))


def witness_of(*each: Seen) -> Witness:
    """Return who saw a run open a storage for each of *each*."""
    at = time.monotonic()
    stores: Any = iter(
        [
            SimpleNamespace(repeats=Repeats(count=n, because=why, last_monotonic=at - ago if n else None))
            for n, why, ago in each
        ]
    )
    witness = Witness()
    tools: Any = Tools(
        now=lambda: datetime.now(UTC), report=lambda _: None, stop=threading.Event(), attempt="a", job_name="j",
        target=lambda _: None, store=lambda: next(stores), keyring=lambda: None, clients=(),  # type: ignore[arg-type,return-value]
    )  # fmt: skip
    watched = witness.watching(tools)
    for _ in each:
        watched.store()
    return witness


@pytest.mark.parametrize(
    ("each", "count", "message"),
    [
        pytest.param((), None, "stored", id="no-storage-was-opened"),
        pytest.param((NONE,), 0, "stored", id="none"),
        pytest.param(((1, "503", 0),), 1, "stored; 1 storage request was repeated (last: 503)", id="one"),
        pytest.param(SOME, 1002, "stored; 1 002 storage requests were repeated (last: SlowDown)", id="several-stores"),
    ],
)
def test_result_counts_what_all_storages_of_the_run_repeated(
    each: tuple[Seen, ...], count: int | None, message: str
) -> None:
    """One number and one sentence, whatever was opened; no word where there was nothing."""
    result = witness_of(*each).concluded(give(Verb.BACKUP, Reason.SUCCEEDED, "stored"))

    assert (result.repeated_requests, result.message) == (count, message)


@pytest.mark.parametrize(
    ("each", "before", "count", "waits"),
    [
        pytest.param((), None, None, None, id="no-storage-was-opened"),
        pytest.param((NONE,), None, 0, None, id="none"),
        pytest.param(
            SOME, None, 1002, "the storage: 1 002 storage requests were repeated (last: SlowDown)", id="just-now"
        ),
        pytest.param(SOME, "somebody", 1002, "somebody", id="waits-for-somebody-else"),
        pytest.param(((3, "503", RECENT_SECONDS + 1),), None, 3, None, id="some-time-ago"),
    ],
)
def test_progress_counts_and_says_who_is_waited_for(
    each: tuple[Seen, ...], before: str | None, count: int | None, waits: str | None
) -> None:
    """The number stays once it stands; the storage is waited for only while it makes the run wait."""
    said: list[Progress] = []
    witness_of(*each).reporting(said.append)(Progress(stage=Stage.DUMPING, summary="", waiting_for=before))

    assert (said[0].repeated_requests, said[0].waiting_for) == (count, waits)
