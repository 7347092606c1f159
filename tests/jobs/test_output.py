"""What a Job says on its way: numbered records, at most one progress a second, the beginning of each stage always."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

from dbcustody.api.backup import Progress, Stage
from dbcustody.contract import JobResult, RecordKind, Verb, load_result, unframe
from dbcustody.jobs import output as module
from dbcustody.jobs.output import Output
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

RESULT = JobResult(verb=Verb.BACKUP, exit_code=ExitCode.DONE, reason=Reason.SUCCEEDED)


def progress(stage: Stage, percent: int) -> Progress:
    """Return a progress."""
    return Progress(stage=stage, summary="x", percent=percent)


def test_progress_is_told_once_a_second(tmp_path: Path) -> None:
    """A thousand reports of one stage within a moment are one record; a new stage is told at once."""
    stream = io.StringIO()
    output = Output(stream, tmp_path / "log")
    for percent in range(1000):
        output.report(progress(Stage.DUMPING, percent))
    output.report(progress(Stage.VERIFYING, 0))
    output.conclude(RESULT)

    records = [unframe(line) for line in stream.getvalue().splitlines()]

    assert all(record is not None for record in records)
    assert [(record.number, record.kind) for record in records if record] == [
        (1, RecordKind.PROGRESS),
        (2, RecordKind.PROGRESS),
        (3, RecordKind.RESULT),
    ]


def test_progress_goes_on_after_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as the pause is over, the same stage is told again."""
    monkeypatch.setattr(module, "PROGRESS_SECONDS", 0.0)
    stream = io.StringIO()
    output = Output(stream, tmp_path / "log")
    for percent in range(3):
        output.report(progress(Stage.DUMPING, percent))

    assert len(stream.getvalue().splitlines()) == 3


def test_records_of_many_threads_stay_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports from many threads are numbered without a gap, and no line is torn."""
    monkeypatch.setattr(module, "PROGRESS_SECONDS", 0.0)
    stream = io.StringIO()
    output = Output(stream, tmp_path / "log")

    def work() -> None:
        for number in range(50):
            output.report(progress(Stage.DUMPING, number))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    records = [unframe(line) for line in stream.getvalue().splitlines()]

    assert [record.number if record else None for record in records] == list(range(1, 201))


def test_result_is_told_where_one_place_is_closed(tmp_path: Path) -> None:
    """A termination file that cannot be written, or a stream that is closed, does not keep the result from the other."""
    stream = io.StringIO()
    Output(stream, tmp_path / "nowhere" / "log").conclude(RESULT)
    closed = io.StringIO()
    closed.close()
    Output(closed, tmp_path / "log").conclude(RESULT)

    assert len(stream.getvalue().splitlines()) == 1
    assert load_result((tmp_path / "log").read_text()) == RESULT
