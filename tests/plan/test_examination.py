"""Databases and storages are examined alike: when, by which Job, and what follows from its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.condition import Condition, ConditionType
from dbcustody.api.meta import ObjectRef
from dbcustody.contract import Verb
from dbcustody.naming import ANNOTATION_CHECK_NOW
from dbcustody.plan.actions import Action, Count, DeleteJob, LetJobGo, StartJob
from dbcustody.plan.examination import Examination, Examined, Step, decide, examine, next_job_name, tidy
from dbcustody.plan.job_lifecycle import Stand
from dbcustody.reason import Reason
from tests.fakes.seen import NOW, ago, answered, condition, job, metadata, result, running, silent

if TYPE_CHECKING:
    from dbcustody.plan.observed import SeenJob

READY = condition(ConditionType.READY, "True", Reason.READY)
STALLED = condition(ConditionType.STALLED, "True", Reason.AUTHENTICATION_FAILED)
GOOD = result(Verb.INSPECT, Reason.CONNECTED, "fine")
BAD = result(Verb.INSPECT, Reason.AUTHENTICATION_FAILED, "the password is wrong")


def exam(*, annotations: dict[str, str] | None = None, generation: int = 1, **values: Any) -> Examination:
    """Return an examination that was concluded a minute ago, is about the spec of now, and is due in an hour."""
    defaults: dict[str, Any] = {
        "metadata": metadata(generation=generation, annotations=annotations or {}),
        "verb": Verb.INSPECT,
        "interval_seconds": 3600,
        "conditions": (READY,),
        "observed_generation": 1,
        "judged_generation": 1,
        "last_time": ago(60),
        "ordinal": 1,
    }
    return Examination(**(defaults | values))


NEW = exam(last_time=None, judged_generation=None, observed_generation=-1, ordinal=0, conditions=())
RUNNING = exam(job_ref=ObjectRef(name="j"))


def look(one: Examination, *jobs: SeenJob, now: datetime = NOW) -> Examined:
    """Return what comes of a look at *one*."""
    return examine(one, jobs, now, manifest=lambda name: {"name": name}, what="it is being examined")


def started(actions: tuple[Action, ...]) -> list[Any]:
    """Return the names of the Jobs that *actions* start."""
    return [action.manifest["name"] for action in actions if isinstance(action, StartJob)]


@pytest.mark.parametrize(
    ("one", "now", "step"),
    [
        pytest.param(NEW, NOW, Step.START, id="at-first-sight"),
        pytest.param(exam(), NOW, Step.REST, id="not-due"),
        pytest.param(exam(), ago(-3540), Step.START, id="after-the-interval"),
        pytest.param(exam(generation=2), NOW, Step.START, id="new-spec"),
        pytest.param(exam(annotations={ANNOTATION_CHECK_NOW: "a"}), NOW, Step.START, id="a-person-asks"),
        pytest.param(exam(annotations={ANNOTATION_CHECK_NOW: "a"}, check_now="a"), NOW, Step.REST, id="asked-before"),
        pytest.param(exam(suspend=True, generation=2), NOW, Step.REST, id="suspended"),
        pytest.param(exam(last_time=ago(300), changed_time=ago(61)), NOW, Step.START, id="a-minute-after-a-change"),
        pytest.param(exam(last_time=ago(300), changed_time=ago(59)), NOW, Step.REST, id="a-change-settles-first"),
        pytest.param(exam(last_time=ago(299), changed_time=ago(200)), NOW, Step.REST, id="changes-do-not-hurry"),
        pytest.param(exam(last_time=ago(301), changed_time=ago(350)), NOW, Step.START, id="it-may-have-been-missed"),
        pytest.param(exam(last_time=ago(301), changed_time=ago(361)), NOW, Step.REST, id="a-change-was-counted"),
        pytest.param(
            exam(failures=9, last_time=ago(299), changed_time=ago(99)), NOW, Step.REST, id="no-change-hurries-failure"
        ),
        pytest.param(exam(outdated_time=ago(60)), NOW, Step.START, id="what-is-told-is-of-before"),
        pytest.param(exam(outdated_time=ago(61)), NOW, Step.REST, id="what-is-told-is-of-since"),
        pytest.param(exam(last_time=None, outdated_time=ago(9)), NOW, Step.START, id="nothing-was-told-yet"),
        pytest.param(
            exam(failures=9, last_time=ago(299), outdated_time=ago(9)), NOW, Step.REST, id="no-news-hurry-failure"
        ),
        pytest.param(exam(failures=1, last_time=ago(4)), NOW, Step.REST, id="5-s-are-not-over"),
        pytest.param(exam(failures=1, last_time=ago(5)), NOW, Step.START, id="5-s-are-over"),
        pytest.param(exam(failures=3, last_time=ago(19)), NOW, Step.REST, id="20-s-are-not-over"),
        pytest.param(exam(failures=9, last_time=ago(299)), NOW, Step.REST, id="5-min-are-not-over"),
        pytest.param(exam(failures=9, last_time=ago(300)), NOW, Step.START, id="5-min-are-over"),
        pytest.param(
            exam(failures=9, last_time=ago(60), interval_seconds=60), NOW, Step.START, id="never-above-interval"
        ),
    ],
)
def test_when_it_is_examined(one: Examination, now: datetime, step: Step) -> None:
    """Due at first sight, for a new spec, when asked, after the interval, and with pauses from 5 s to 5 min while it fails."""
    assert decide(one, None, now).step is step


def test_the_next_look_is_when_it_is_due() -> None:
    """A rest says until when: a corrected Secret is found by trying, not by an event."""
    assert look(exam()).look_again_seconds == 3540
    assert look(exam(failures=2, last_time=ago(4))).look_again_seconds == 6
    assert look(exam(suspend=True, last_time=ago(10**6))).look_again_seconds is None


def test_a_start_is_written_down_with_its_job() -> None:
    """Status names the Job and its ordinal, so that the next operator finds it; what was asked is noted."""
    one = exam(annotations={ANNOTATION_CHECK_NOW: "noon"})
    found = look(one)

    assert found.exam.job_ref == ObjectRef(name=next_job_name(one))
    assert (found.exam.ordinal, found.exam.check_now) == (2, "noon")
    assert started(found.actions) == [next_job_name(one)]


def test_names_differ_by_ordinal_verb_and_owner() -> None:
    """Equal wishes have equal names, others have others."""
    one = exam()
    others = [replace(one, ordinal=2), replace(one, verb=Verb.PROBE), replace(one, metadata=metadata(uid="another"))]

    assert next_job_name(one) == next_job_name(exam())
    assert len({next_job_name(other) for other in [one, *others]}) == 4


def test_a_routine_start_is_not_worth_a_word() -> None:
    """Ready does not flicker every hour; only a new spec is said to be looked at, and what was abnormal stays so meanwhile."""
    routine, new = look(exam(conditions=(READY, STALLED), last_time=ago(4000))), look(NEW)

    assert routine.said == (STALLED,)
    assert [(one.type, one.status) for one in new.said] == [
        (ConditionType.READY, "Unknown"),
        (ConditionType.RECONCILING, "True"),
    ]


@pytest.mark.parametrize(
    ("answer", "failures", "seconds"),
    [
        pytest.param(GOOD, 0, 600, id="good"),
        pytest.param(BAD, 4, 3600, id="bad"),
    ],
)
def test_an_end_is_recorded(answer: Any, failures: int, seconds: int) -> None:
    """The result is counted, the Job may go, failures in a row are counted and forgotten with a success."""
    found = look(replace(RUNNING, failures=3), answered("j", answer))

    assert (found.exam.job_ref, found.exam.last_time, found.exam.failures) == (None, NOW, failures)
    assert found.verdict is not None
    assert found.verdict.reason is answer.reason
    counts = [action.result.reason for action in found.actions if isinstance(action, Count)]
    assert counts == [answer.reason]
    assert LetJobGo("j", seconds) in found.actions


def test_an_end_without_a_result_is_a_failure() -> None:
    """Silence counts as a failure and is not counted as a result."""
    found = look(RUNNING, silent("j", Verb.INSPECT))

    assert (found.exam.failures, found.exam.last_time) == (1, NOW)
    assert found.verdict is not None
    assert (found.verdict.stand, found.verdict.result) == (Stand.LOST, None)
    assert found.actions == (LetJobGo("j", 3600),)


@pytest.mark.parametrize(
    ("seen", "said", "again"),
    [
        pytest.param(job("j", Verb.INSPECT, age=3), (), 15.0, id="starting"),
        pytest.param(running("j", Verb.INSPECT), (), None, id="running"),
        pytest.param(
            job("j", Verb.INSPECT, age=16, warnings=("exceeded quota",)),
            (Reason.POD_NOT_CREATED, Reason.POD_NOT_CREATED),
            None,
            id="held-up",
        ),
    ],
)
def test_while_the_job_goes_on(seen: SeenJob, said: tuple[Reason, ...], again: float | None) -> None:
    """Nothing is said unless something keeps the Job from running."""
    found = look(RUNNING, seen)

    assert tuple(one.reason for one in found.said) == said
    assert (found.exam, found.look_again_seconds, found.actions) == (RUNNING, again, ())


def test_a_new_spec_abandons_the_running_job() -> None:
    """Its answer would be about yesterday: the Job is deleted, and the next look starts another."""
    one = replace(RUNNING, metadata=metadata(generation=2))
    found = look(one, running("j", Verb.INSPECT))
    afterwards = look(replace(found.exam, observed_generation=2))

    assert found.exam.job_ref is None
    assert found.actions == (DeleteJob("j", "uid-j"),)
    assert started(afterwards.actions) == [next_job_name(one)]


@pytest.mark.parametrize("is_over", [False, True])
def test_an_answer_from_before_a_change_is_no_answer(*, is_over: bool) -> None:
    """What was looked at may have been the database of before: that look is given up, and the next one begins at once."""
    one = replace(RUNNING, last_time=ago(60), outdated_time=ago(4))
    found = look(one, answered("j", GOOD) if is_over else running("j", Verb.INSPECT))

    assert (found.verdict, found.exam.job_ref, found.exam.last_time) == (None, None, RUNNING.last_time)
    assert found.actions == ((LetJobGo("j", 600),) if is_over else (DeleteJob("j", "uid-j"),))
    assert started(look(found.exam).actions) == [next_job_name(one)]
    assert look(replace(one, outdated_time=ago(5)), answered("j", GOOD)).verdict is not None


def test_an_answer_about_an_older_spec_is_no_answer() -> None:
    """A Job that ended before the edit was seen says nothing about the new spec: it may go, and another one starts."""
    one = replace(RUNNING, metadata=metadata(generation=2))
    found = look(one, answered("j", GOOD))

    assert (found.verdict, found.exam.job_ref, found.exam.last_time) == (None, None, RUNNING.last_time)
    assert found.actions == (LetJobGo("j", 600),)
    assert decide(replace(found.exam, observed_generation=2), None, NOW).step is Step.START


def test_an_edit_takes_the_verdict_back_at_once() -> None:
    """The look that abandons the older spec's Job says already that nobody has looked at the new one."""
    found = look(replace(RUNNING, metadata=metadata(generation=2)), running("j", Verb.INSPECT))

    assert [(one.type, one.status, one.reason) for one in found.said] == [
        (ConditionType.READY, "Unknown", Reason.PENDING),
        (ConditionType.RECONCILING, "True", Reason.PENDING),
    ]


def test_suspending_abandons_the_running_job() -> None:
    """Nothing runs while suspended, and the last verdict stays."""
    found = look(replace(RUNNING, suspend=True, metadata=metadata(generation=2)), running("j", Verb.INSPECT))
    resting = look(exam(suspend=True))

    assert (found.exam.job_ref, found.actions) == (None, (DeleteJob("j", "uid-j"),))
    assert found.said == resting.said
    assert [(one.type, one.status, one.reason) for one in resting.said] == [
        (ConditionType.READY, "True", Reason.SUSPENDED)
    ]


def test_suspending_still_hears_the_end() -> None:
    """A Job that has ended is concluded, also while suspended."""
    assert look(replace(RUNNING, suspend=True), answered("j", GOOD)).verdict is not None


def test_a_job_that_was_only_written_down_is_created() -> None:
    """The operator stopped between status and Job, or somebody deleted the Job: the very same is made."""
    found = look(RUNNING)

    assert (started(found.actions), found.exam) == (["j"], RUNNING)


def test_a_written_job_of_an_older_spec_is_not_created_any_more() -> None:
    """What was written down for yesterday's spec is replaced by a Job for today's."""
    one = replace(RUNNING, metadata=metadata(generation=2))

    assert started(look(one).actions) == [next_job_name(one)]


def test_jobs_that_status_does_not_name_are_cleared_away() -> None:
    """Strays are stopped, what has ended may go, what goes already or was released is left alone."""
    going = running("going")
    going = replace(going, metadata=replace(going.metadata, deletion_timestamp=NOW))
    jobs = (running("stray"), silent("over"), silent("released", has_ttl=True), going, running("current"))

    assert tidy(jobs, ObjectRef(name="current")) == (LetJobGo("over", 600), DeleteJob("stray", "uid-stray"))
    assert DeleteJob("current", "uid-current") in tidy(jobs, None)


def test_a_corrected_secret_is_found_within_five_minutes() -> None:
    """However often it failed before: a password corrected at any moment is tried within 5 min, without touching anything."""
    one, now, pauses = NEW, NOW, []
    for _ in range(12):
        found = look(one, now=now)
        assert started(found.actions)
        ended = look(replace(found.exam, observed_generation=1, judged_generation=1), _ended(found), now=now)
        one = replace(ended.exam, observed_generation=1, judged_generation=1)
        again = look(one, now=now).look_again_seconds
        assert again is not None
        pauses.append(again)
        now += timedelta(seconds=again)

    assert pauses == [5, 10, 20, 40, 80, 160, *[300] * 6]


def _ended(found: Examined) -> SeenJob:
    assert found.exam.job_ref is not None
    return answered(found.exam.job_ref.name, BAD)


def test_abnormal_conditions_are_carried_while_resting() -> None:
    """A resource that failed stays Stalled until its next examination says otherwise."""
    said: tuple[Condition, ...] = look(exam(conditions=(READY, STALLED))).said

    assert said == (STALLED,)
