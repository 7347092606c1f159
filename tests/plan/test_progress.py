"""What is read from a Job's log: the last thing it told, within bounds, and nothing that was damaged on the way."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.api.backup import Progress, Stage
from dbcustody.api.migration import MigrationProgress, MigrationStage
from dbcustody.contract import Record, RecordKind, Verb, frame, load_result, progress_record, result_record
from dbcustody.plan.backup_case import WORTH_HEARING
from dbcustody.plan.progress import (
    CALM_SECONDS,
    LARGEST_COUNT,
    LARGEST_NUMBER,
    LIVELY,
    LIVELY_SECONDS,
    RAREST_SECONDS,
    interval_seconds,
    read_progress,
    read_result,
    waiting,
)
from dbcustody.reason import Reason
from tests.fakes.seen import NOW, facts, progress, result

EARLY = frame(progress_record(1, progress(percent=10)))
LATE = frame(progress_record(2, progress(percent=20)))
FOREIGN = frame(Record(number=3, kind=RecordKind.PROGRESS, data={"stage": "Levitating", "summary": "?"}))
GOOD = result(Verb.BACKUP, Reason.SUCCEEDED, backup=facts())
RESULT = frame(result_record(4, GOOD))


@pytest.mark.parametrize(
    ("lines", "percent"),
    [
        pytest.param([EARLY, LATE], 20, id="the-last-one"),
        pytest.param([EARLY, LATE[:-3]], 10, id="a-cut-line-is-left-aside"),
        pytest.param([EARLY, LATE.replace("20", "99")], 10, id="a-changed-line-is-left-aside"),
        pytest.param([EARLY, "pg_dump: warning: circular foreign keys"], 10, id="ordinary-lines-are-passed-over"),
        pytest.param([EARLY, FOREIGN], 10, id="a-stage-that-only-a-newer-job-knows"),
        pytest.param([LATE, RESULT], 20, id="the-result-is-no-progress"),
        pytest.param([RESULT], None, id="none-told"),
        pytest.param([FOREIGN], None, id="none-understood"),
        pytest.param([], None, id="empty"),
    ],
)
def test_the_last_sound_progress_counts(lines: list[str], percent: int | None) -> None:
    """Whatever else stands in the log, the newest progress that is whole and understood is read."""
    found = read_progress("\n".join(lines))

    assert percent == (found.percent if found is not None else None)


@pytest.mark.parametrize(
    ("line", "is_read"),
    [
        pytest.param(frame(Record(number=1, kind=RecordKind.PROGRESS, data={})), False, id="empty-record"),
        pytest.param(EARLY.replace("progress", "telemetry"), False, id="kind-of-a-newer-job"),
        pytest.param("", False, id="no-line"),
        pytest.param(EARLY, True, id="sound"),
    ],
)
def test_a_line_is_read_or_left_aside_and_never_an_error(line: str, is_read: bool) -> None:  # noqa: FBT001
    """A log is not trusted to be what it should be."""
    assert is_read is (read_progress(line) is not None)


def test_a_frame_whose_number_is_none_is_left_aside() -> None:
    """A record with a sound digest over nonsense does not stop the operator."""
    prefix, _, kind, _, body = EARLY.split(" ", 4)
    nonsense = _signed(prefix, "one", kind, body)

    assert read_progress(f"{EARLY}\n{nonsense}") == progress(percent=10)


def _signed(prefix: str, number: str, kind: str, body: str) -> str:
    from dbcustody.contract import _digest  # noqa: PLC0415 - to forge what nobody would frame

    return f"{prefix} {number} {kind} {_digest(number, kind, body)} {body}"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        pytest.param({"percent": 104}, {"percent": 100}, id="more-than-everything"),
        pytest.param({"percent": -1}, {"percent": 0}, id="less-than-nothing"),
        pytest.param({"bytes": 2**60}, {"bytes": LARGEST_NUMBER}, id="bytes"),
        pytest.param({"bytes_per_second": -5}, {"bytes_per_second": 0}, id="rate"),
        pytest.param({"summary": "x" * 300}, {"summary": "x" * 256}, id="summary"),
        pytest.param({"waiting_for": "x" * 2000}, {"waiting_for": "x" * 1024}, id="waiting-for"),
        pytest.param({"repeated_requests": 2**40}, {"repeated_requests": LARGEST_COUNT}, id="repeats"),
        pytest.param({"repeated_requests": 0}, {"repeated_requests": 0}, id="no-repeats"),
        pytest.param(
            {"percent": None}, {"percent": None, "waiting_for": None, "repeated_requests": None}, id="not-told"
        ),
    ],
)
def test_what_a_job_tells_is_brought_within_the_crds_bounds(told: dict[str, Any], shown: dict[str, Any]) -> None:
    """A status that the API server refuses would hold up the Backup for ever."""
    found = read_progress(frame(progress_record(1, progress(**told))))

    assert shown == {name: getattr(found, name) for name in shown}


@given(st.text(max_size=200))
def test_no_log_is_an_error(log: str) -> None:
    """Any text is a log, and one without our frames tells nothing."""
    assert read_progress(log) is None
    assert read_result(log) is None


@given(st.integers(min_value=0, max_value=len(LATE) - 1))
def test_no_part_of_a_frame_is_taken_for_the_whole(length: int) -> None:
    """A line that was cut anywhere is not read."""
    assert read_progress(LATE[:length]) is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([EARLY, RESULT], GOOD, id="told"),
        pytest.param([RESULT, EARLY], GOOD, id="told-earlier"),
        pytest.param([EARLY, RESULT[:-1]], None, id="cut"),
        pytest.param([EARLY], None, id="not-told"),
    ],
)
def test_the_result_in_the_log_reads_like_a_termination_message(lines: list[str], expected: object) -> None:
    """What the log holds is the same text in the same contract."""
    text = read_result("\n".join(lines))

    assert expected == (load_result(text) if text is not None else None)
    assert text is None or json.loads(text)["contract"] == 1


@pytest.mark.parametrize(
    ("started", "runs", "seconds"),
    [
        pytest.param(None, 1, CALM_SECONDS, id="not-started"),
        pytest.param(NOW, 1, LIVELY_SECONDS, id="just-started"),
        pytest.param(NOW - LIVELY + timedelta(seconds=1), 20, LIVELY_SECONDS, id="after-29-s"),
        pytest.param(NOW - LIVELY, 100, CALM_SECONDS, id="after-30-s"),
        pytest.param(NOW, 40, 2.0, id="many-just-started"),
        pytest.param(NOW - LIVELY, 1000, 50.0, id="a-thousand"),
        pytest.param(NOW, 100_000, RAREST_SECONDS, id="never-more-rarely"),
    ],
)
def test_how_often_a_run_is_looked_at(started: Any, runs: int, seconds: float) -> None:
    """Every second for 30 s, then every 5 s, as long as there are not so many that watching them becomes the work."""
    assert seconds == interval_seconds(started, NOW, runs=runs)


def test_every_run_is_heard_while_it_is_worth_hearing() -> None:
    """What counts as unheard must be longer than the longest pause between two looks."""
    assert WORTH_HEARING.total_seconds() > RAREST_SECONDS


def test_what_is_awaited_stands_in_the_progress() -> None:
    """The text is cut to what the CRD takes."""
    expected = Progress(stage=Stage.WAITING, summary="Waiting", waiting_for="x" * 1024, updated_time=NOW)

    assert expected == waiting("x" * 5000, NOW)


def test_a_migration_tells_which_one_and_who_is_in_its_way() -> None:
    """Within the CRD's bounds."""
    told = MigrationProgress(stage=MigrationStage.WAITING, summary="x" * 5000, updated_time=NOW)
    log = frame(progress_record(1, told))
    found = read_progress(log, Verb.MIGRATE)
    assert isinstance(found, MigrationProgress)
    assert (found.stage, len(found.summary), found.updated_time) == (MigrationStage.WAITING, 1024, NOW)
