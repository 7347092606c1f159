"""In a freeze window no restore begins; a plan is told, what runs goes on, and a person's word opens it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.api.condition import ConditionType
from dbcustody.errors import InvalidSpecError
from dbcustody.naming import ANNOTATION_OVERRIDE_FREEZE
from dbcustody.plan.freeze import MOST_WINDOWS, FreezeWindow, read_windows
from tests.fakes import seen
from tests.fakes.restore_plane import IS_PLANNED, IS_RESTORED, RestorePlane

OFFICE = FreezeWindow(schedule="0 8 * * 1-5", time_zone="Europe/Copenhagen", duration_seconds=36_000)
"""Monday to Friday from eight to six."""
NOW = seen.NOW
"""31 January 2026, 12:00 UTC, a Saturday."""
NAME = "WINDOWS"


def around(start: timedelta, duration: timedelta) -> FreezeWindow:
    """Return a window that begins *start* from now, on one day in the year."""
    begun = NOW + start
    schedule = f"{begun.minute} {begun.hour} {begun.day} {begun.month} *"
    return FreezeWindow(schedule=schedule, duration_seconds=int(duration.total_seconds()))


def planned(*windows: FreezeWindow, annotation: str | None = None) -> RestorePlane:
    """Return a plane on which the plan was told, among *windows*."""
    plane = RestorePlane()
    plane.around = replace(plane.around, freeze_windows=windows)
    if annotation is not None:
        metadata = replace(plane.request.metadata, annotations={ANNOTATION_OVERRIDE_FREEZE: annotation})
        plane.request = replace(plane.request, metadata=metadata)
    plane.steps(2)
    plane.ends(IS_PLANNED)
    plane.steps(2)
    return plane


@pytest.mark.parametrize(
    ("moment", "end"),
    [
        pytest.param("2026-02-02T06:59:59Z", None, id="before"),
        pytest.param("2026-02-02T07:00:00Z", "2026-02-02T17:00:00Z", id="in its first second"),
        pytest.param("2026-02-02T16:59:59Z", "2026-02-02T17:00:00Z", id="in its last second"),
        pytest.param("2026-02-02T17:00:00Z", None, id="when it ends"),
        pytest.param("2026-01-31T12:00:00Z", None, id="on a Saturday"),
        pytest.param("2026-07-06T06:00:00Z", "2026-07-06T16:00:00Z", id="by summer's clocks"),
    ],
)
def test_a_window_is_on_by_the_clocks_of_its_zone(moment: str, end: str | None) -> None:
    """From its slot on, for as long as it lasts; the end itself is outside."""
    found = OFFICE.end_of(datetime.fromisoformat(moment))
    assert found == (None if end is None else datetime.fromisoformat(end))


@given(
    start_seconds=st.integers(-4000, 4000).map(lambda one: one - one % 60),
    duration_seconds=st.integers(60, 3000),
)
def test_on_means_begun_and_not_over(start_seconds: int, duration_seconds: int) -> None:
    """Nothing else decides, whenever it begins and however long it lasts."""
    start, duration = timedelta(seconds=start_seconds), timedelta(seconds=duration_seconds)
    is_on = start <= timedelta() < start + duration
    found = around(start, duration).end_of(NOW)
    assert found == (NOW + start + duration if is_on else None)


def test_a_schedule_that_never_comes_holds_nothing_back() -> None:
    """The operator refuses to start with one; whatever is asked of it, it is not on."""
    assert FreezeWindow(schedule="0 0 30 2 *", duration_seconds=600).end_of(NOW) is None


def test_no_restore_begins_in_a_window() -> None:
    """The plan stands in status; no Job is started, and status says why, until when, and what opens it."""
    plane = planned(around(-timedelta(hours=1), timedelta(hours=3)))
    assert plane.verbs == ["plan-restore", "restore"]
    assert len(plane.started) == 1
    assert plane.request.status.plan is not None
    assert plane.word(ConditionType.READY) == ("False", "FreezeWindow")
    assert plane.word(ConditionType.SUCCEEDED) == ("Unknown", "FreezeWindow")
    assert plane.word(ConditionType.FINISHED) == ("False", "FreezeWindow")
    assert plane.word(ConditionType.STALLED) is None
    message = plane.message(ConditionType.READY)
    assert "'0 11 31 1 *' (Etc/UTC) is on until 2026-01-31T14:00:00Z" in message
    assert f"{ANNOTATION_OVERRIDE_FREEZE}=<why>" in message
    assert plane.look_again_seconds == 7200


def test_it_begins_by_itself_when_the_window_is_over() -> None:
    """No resource is touched."""
    plane = planned(around(-timedelta(hours=1), timedelta(hours=3)))
    plane.passes(plane.look_again_seconds or 0)
    plane.step()
    assert [str(plane.asked().verb), len(plane.started)] == ["restore", 2]
    plane.ends(IS_RESTORED)
    plane.step()
    assert plane.word(ConditionType.SUCCEEDED) == ("True", "Succeeded")


def test_of_several_windows_the_last_to_end_counts() -> None:
    """Those that are not on are nothing."""
    short, long = around(-timedelta(hours=1), timedelta(hours=2)), around(-timedelta(minutes=10), timedelta(hours=4))
    plane = planned(short, around(timedelta(hours=1), timedelta(days=1)), long)
    assert plane.look_again_seconds == 4 * 3600 - 600
    assert len(planned(around(timedelta(hours=1), timedelta(days=1))).started) == 2


@pytest.mark.parametrize(("word", "jobs"), [("the shop is down, ticket 42", 2), (" ", 1), ("", 1)])
def test_a_person_s_word_opens_it(word: str, jobs: int) -> None:
    """An annotation that gives no reason does not."""
    window = around(-timedelta(hours=1), timedelta(hours=3))
    assert len(planned(window, annotation=word).started) == jobs


def test_what_has_begun_goes_on() -> None:
    """A window that comes while the Job runs ends nothing; a Job that vanishes in it is asked for at the server."""
    window = around(timedelta(minutes=1), timedelta(hours=3))
    plane = planned(window)
    plane.runs()
    plane.step()
    plane.passes(120)
    plane.step()
    assert plane.word(ConditionType.SUCCEEDED) == ("Unknown", "Running")
    plane.jobs.pop(plane.name)
    plane.steps(2)
    assert plane.verbs[-1] == "settle-restore"
    assert str(plane.asked().verb) == "settle-restore"


def test_windows_are_read() -> None:
    """As the chart writes them; nothing said is none."""
    text = '[{"durationSeconds":36000,"schedule":"0 8 * * 1-5","timeZone":"Europe/Copenhagen"}]'
    assert read_windows(text, NAME) == (OFFICE,)
    assert read_windows('[{"schedule": "@daily", "durationSeconds": 60}]', NAME)[0].time_zone == "Etc/UTC"
    assert read_windows(" \n", NAME) == read_windows("[]", NAME) == ()


def window(**changes: object) -> str:
    """Return a list with one window as JSON."""
    return json.dumps([{"schedule": "0 8 * * *", "durationSeconds": 600, **changes}])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("8 to 6", "WINDOWS: is no JSON", id="no JSON"),
        pytest.param("{}", "WINDOWS: is dict; must be a list", id="no list"),
        pytest.param("[1]", r"WINDOWS\[0\]: is int; must be a mapping", id="no window"),
        pytest.param(window(schedule=None), r"WINDOWS\[0\].schedule: is missing", id="no schedule"),
        pytest.param(window(schedule="0 8 * *"), r"WINDOWS\[0\]: .*it has 4", id="four fields"),
        pytest.param(window(schedule="0 0 30 2 *"), r"WINDOWS\[0\].schedule: .* never comes", id="never"),
        pytest.param(window(timeZone="Mars/Base"), r"WINDOWS\[0\]: .*'Mars/Base' is no time zone", id="no zone"),
        pytest.param(window(durationSeconds=59), r"WINDOWS\[0\].durationSeconds: must be from 60", id="too short"),
        pytest.param(window(durationSeconds=2_678_401), "to 2678400", id="too long"),
        pytest.param(window(durationSeconds="1h"), "durationSeconds: is str", id="no number"),
        pytest.param(window(timezone="Etc/UTC"), r"WINDOWS\[0\].timezone: is unknown", id="a key that nobody reads"),
        pytest.param(json.dumps(json.loads(window()) * (MOST_WINDOWS + 1)), "has 51 windows", id="too many"),
    ],
)
def test_what_is_no_window_is_refused(text: str, complaint: str) -> None:
    """In the words of the setting, before anything is served."""
    with pytest.raises(InvalidSpecError, match=complaint):
        read_windows(text, NAME)


def test_the_moment_of_these_tests() -> None:
    """What the times above rest on."""
    assert datetime(2026, 1, 31, 12, tzinfo=UTC) == NOW
