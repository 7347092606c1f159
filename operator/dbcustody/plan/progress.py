"""How far a run is, from the framed records on its standard output; what was cut or mixed up on the way is left aside."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from dbcustody.api.backup import BackupStatus, Progress, Stage
from dbcustody.api.migration import MigrationProgress
from dbcustody.api.restore import RestoreProgress, RestoreRequestStatus
from dbcustody.codec import decode
from dbcustody.contract import MIGRATING, RESTORING, AnyProgress, RecordKind, Verb, unframe
from dbcustody.errors import InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from dbcustody.contract import JobResult, Record

LIVELY: Final = timedelta(seconds=30)
"""How long after its start a run is looked at every second."""
LIVELY_SECONDS: Final = 1.0
CALM_SECONDS: Final = 5.0
RAREST_SECONDS: Final = 50.0
"""However many runs there are, each is looked at within the minute in which status must tell the truth."""
MOST_LOOKS_PER_SECOND: Final = 20.0
"""What an operator spends at most on watching runs, whose logs it reads; `bench/measure/fleet.py` has a thousand of them, without logs."""
TAIL_LINES: Final = 20
SUMMARY_LENGTH: Final = 256
WAITING_FOR_LENGTH: Final = 1024
LARGEST_COUNT: Final = 2**31 - 1
"""The bound of the CRD for what is counted one by one."""
LARGEST_NUMBER: Final = 2**53 - 1
"""The largest whole number that JSON carries safely everywhere; the bound of the CRD."""


def read_progress(log: str, verb: Verb = Verb.BACKUP) -> AnyProgress | None:
    """Return the last progress that *log* of a Job that does *verb* tells, or None when it tells none."""
    told: type[AnyProgress] = RestoreProgress if verb in RESTORING else Progress
    told = MigrationProgress if verb in MIGRATING else told
    found = [record for record in _records(log) if record.kind is RecordKind.PROGRESS]
    for record in reversed(found):
        try:
            return _bounded(decode(told, record.data))
        except InvalidSpecError:
            continue
    return None


def read_result(log: str) -> str | None:
    """Return the text of the last whole result that *log* holds, as a termination message would have it; None when there is none."""
    found = [record for record in _records(log) if record.kind is RecordKind.RESULT]
    return json.dumps(found[-1].data) if found else None


def _bounded(progress: AnyProgress) -> AnyProgress:
    """Return *progress* within what the CRD allows: a status that the API server refuses would hold up the Backup for ever."""
    if isinstance(progress, MigrationProgress):
        return replace(progress, summary=progress.summary[:WAITING_FOR_LENGTH])
    said = progress.waiting_for
    return replace(
        progress,
        summary=progress.summary[:SUMMARY_LENGTH],
        percent=within(progress.percent, 100),
        bytes=within(progress.bytes, LARGEST_NUMBER),
        bytes_per_second=within(progress.bytes_per_second, LARGEST_NUMBER),
        waiting_for=said[:WAITING_FOR_LENGTH] if said is not None else None,
        repeated_requests=within(progress.repeated_requests, LARGEST_COUNT),
    )


Status = TypeVar("Status", BackupStatus, RestoreRequestStatus)


def with_repeats(status: Status, result: JobResult | None) -> Status:
    """Return *status* with what one more Job had to send to the storage again; *result* None, or one that does not tell, adds nothing."""
    told = result.repeated_requests if result is not None else None
    if told is None:
        return status
    return replace(status, repeated_requests=within((status.repeated_requests or 0) + max(0, told), LARGEST_COUNT))


def within(number: int | None, most: int) -> int | None:
    """Return *number*, or the nearer end of 0 to *most* when it lies outside; None stays None."""
    return None if number is None else min(max(number, 0), most)


def _records(log: str) -> Iterator[Record]:
    """Yield the sound records of *log*; a frame of a kind that is not known yet comes from a newer Job, and is passed over."""
    for line in log.splitlines():
        record = unframe(line)
        if record is not None:
            yield record


def interval_seconds(started: datetime | None, now: datetime, *, runs: int = 1) -> float:
    """Return how long to wait before a run that began at *started*, one of *runs*, is looked at again: the more, the less often."""
    alone = LIVELY_SECONDS if started is not None and now - started < LIVELY else CALM_SECONDS
    return max(alone, min(runs / MOST_LOOKS_PER_SECOND, RAREST_SECONDS))


def waiting(message: str, now: datetime) -> Progress:
    """Return what a run shows that waits for *message*."""
    return Progress(stage=Stage.WAITING, summary="Waiting", waiting_for=message[:WAITING_FOR_LENGTH], updated_time=now)
