"""How a Job stands, from everything that Kubernetes can say of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.contract import JobResult, Verb
from dbcustody.plan.job_lifecycle import Stand, backoff_seconds, judge, lacks_pod, needs_log, newest_result
from dbcustody.reason import Reason
from tests.fakes.seen import NOW, ago, answered, facts, job, pod, result, running, silent, text_of

if TYPE_CHECKING:
    from dbcustody.plan.observed import SeenJob, SeenPod

GOOD = result(Verb.BACKUP, Reason.SUCCEEDED, "done", backup=facts())
SHORT = replace(GOOD, backup=None, complete=False)


@pytest.mark.parametrize(
    ("seen", "stand", "reason"),
    [
        pytest.param(job("j", age=3), Stand.STARTING, Reason.PENDING, id="young-without-a-pod"),
        pytest.param(job("j", age=16), Stand.BLOCKED, Reason.POD_NOT_CREATED, id="no-pod-after-15-s"),
        pytest.param(job("j", age=16, active=1), Stand.STARTING, Reason.PENDING, id="a-pod-that-was-not-listed-yet"),
        pytest.param(job("j", pods=(pod(),)), Stand.STARTING, Reason.PENDING, id="pod-is-being-started"),
        pytest.param(running("j"), Stand.RUNNING, Reason.RUNNING, id="pod-runs"),
        pytest.param(job("j", ready=1), Stand.RUNNING, Reason.RUNNING, id="ready-though-the-pod-was-not-listed"),
        pytest.param(
            job("j", pods=(pod(unscheduled="0/1 nodes"),)),
            Stand.BLOCKED,
            Reason.POD_NOT_SCHEDULED,
            id="never-scheduled",
        ),
        pytest.param(
            job("j", pods=(pod(waiting_reason="ErrImagePull"),)),
            Stand.BLOCKED,
            Reason.IMAGE_NOT_AVAILABLE,
            id="image-missing",
        ),
        pytest.param(
            job("j", pods=(pod(waiting_reason="CrashLoopBackOff", lacks_server=True),)),
            Stand.BLOCKED,
            Reason.POD_NOT_CREATED,
            id="server-cannot-be-run",
        ),
        pytest.param(
            job("j", pods=(pod(waiting_reason="CreateContainerConfigError"),)),
            Stand.BLOCKED,
            Reason.POD_NOT_CREATED,
            id="container-refused",
        ),
        pytest.param(
            job("j", pods=(pod(waiting_reason="ErrImagePull", created_time=ago(90)), pod(is_running=True))),
            Stand.RUNNING,
            Reason.RUNNING,
            id="only-the-newest-pod-counts",
        ),
        pytest.param(answered("j", GOOD), Stand.ANSWERED, Reason.SUCCEEDED, id="result"),
        pytest.param(silent("j"), Stand.LOST, Reason.JOB_LOST, id="silence-is-not-success"),
        pytest.param(
            silent("j", outcome="Complete"), Stand.LOST, Reason.JOB_LOST, id="complete-without-a-result-is-no-success"
        ),
        pytest.param(
            silent("j", outcome_reason="DeadlineExceeded"), Stand.LOST, Reason.TIMED_OUT, id="deadline-exceeded"
        ),
        pytest.param(
            silent("j", pods=(pod(ended_reason="OOMKilled", exit_code=137),)),
            Stand.LOST,
            Reason.OUT_OF_MEMORY,
            id="out-of-memory",
        ),
        pytest.param(silent("j", pods=(pod(reason="Evicted"),)), Stand.LOST, Reason.EVICTED, id="evicted"),
        pytest.param(silent("j", pods=(pod(is_disrupted=True),)), Stand.LOST, Reason.EVICTED, id="disrupted"),
        pytest.param(
            silent("j", pods=(pod(lacks_source="cp: no"),)),
            Stand.LOST,
            Reason.SOURCE_NOT_FOUND,
            id="image-without-files",
        ),
        pytest.param(
            replace(answered("j", GOOD), request_sha256="1" * 64),
            Stand.LOST,
            Reason.JOB_LOST,
            id="answer-to-another-request",
        ),
    ],
)
def test_where_a_job_stands(seen: SeenJob, stand: Stand, reason: Reason) -> None:
    """Each state of the world has exactly one verdict."""
    verdict = judge(seen, NOW)

    assert (stand, reason) == (verdict.stand, verdict.reason)


HOST = result(Verb.BACKUP, Reason.HOST_UNREACHABLE, "no route")
BUG = result(Verb.BACKUP, Reason.INTERNAL_ERROR, "KeyError")


def ended(answer: JobResult | None, *, created: float = 60, end: float = 50) -> SeenPod:
    """Return a pod that ended with *answer*, or in silence."""
    text = text_of(answer) if answer is not None else ""
    return pod(created_time=ago(created), ended_time=ago(end), ended_message=text, exit_code=20)


@pytest.mark.parametrize(
    ("seen", "stand", "reason"),
    [
        pytest.param(job("j", is_suspended=True, age=99), Stand.BLOCKED, Reason.SUSPENDED, id="suspended"),
        pytest.param(silent("j", is_suspended=True), Stand.LOST, Reason.JOB_LOST, id="suspended-and-over"),
        pytest.param(job("j", pods=(ended(HOST),)), Stand.BLOCKED, Reason.RETRYING, id="is-tried-again"),
        pytest.param(job("j", pods=(ended(BUG),)), Stand.RUNNING, Reason.RUNNING, id="is-about-to-be-concluded"),
        pytest.param(job("j", pods=(ended(None),)), Stand.RUNNING, Reason.RUNNING, id="ended-in-silence-just-now"),
        pytest.param(
            job("j", pods=(ended(HOST), pod(created_time=ago(5)))),
            Stand.STARTING,
            Reason.PENDING,
            id="the-next-pod-starts",
        ),
        pytest.param(
            silent("j", pods=(ended(HOST), ended(None, created=40, end=30))),
            Stand.LOST,
            Reason.JOB_LOST,
            id="an-earlier-pods-answer-is-not-the-last-ones",
        ),
        pytest.param(
            silent("j", pods=(ended(HOST), pod(created_time=ago(40), reason="Evicted"))),
            Stand.LOST,
            Reason.EVICTED,
            id="the-last-pod-never-ended-properly",
        ),
    ],
)
def test_where_a_job_with_several_pods_stands(seen: SeenJob, stand: Stand, reason: Reason) -> None:
    """The newest pod alone speaks for its Job, and what is suspended is not said to be broken."""
    verdict = judge(seen, NOW)

    assert (verdict.stand, verdict.reason) == (stand, reason)


def test_what_is_tried_again_tells_the_last_error() -> None:
    """While Kubernetes pauses, the message names what failed."""
    assert judge(job("j", pods=(ended(HOST),)), NOW).message == "HostUnreachable: no route; it is tried again"


def test_a_short_answer_of_the_last_pod_is_not_replaced_by_a_whole_one_of_an_earlier_pod() -> None:
    """A success without room for its facts must not become the failure of the pod before it."""
    found = newest_result(silent("j", pods=(ended(HOST), ended(SHORT, created=40, end=30))))

    assert found is not None
    assert (found.reason, found.complete) == (Reason.SUCCEEDED, False)


def test_the_log_still_answers_when_the_pods_are_gone() -> None:
    """A whole result that was read once is remembered, though the pod that gave it was deleted since."""
    assert judge(silent("j", log_result=text_of(GOOD)), NOW).stand is Stand.ANSWERED


def test_events_say_why_there_is_no_pod() -> None:
    """The newest Event's text becomes the message, because only there stands what the quota or the policy said."""
    seen = job("j", age=20, warnings=("pods is forbidden: exceeded quota", "older"))

    assert judge(seen, NOW).message == "pods is forbidden: exceeded quota"


def test_a_loss_tells_what_is_known() -> None:
    """What Kubernetes knows of the end stands in the message: the Job's word, the exit, the pod's word."""
    seen = silent(
        "j",
        outcome_message="Job has reached the specified backoff limit",
        pods=(pod(ended_reason="Error", exit_code=137, message="node was low on memory"),),
    )

    assert judge(seen, NOW).message == (
        "Job j ended without a result; Job has reached the specified backoff limit; "
        "its pod ended with Error 137; node was low on memory"
    )


def test_the_last_pod_answers() -> None:
    """When pods were retried, the last answer counts, not the first."""
    first = pod(ended_message=text_of(result(Verb.BACKUP, Reason.HOST_UNREACHABLE)), ended_time=ago(60))
    last = pod(ended_message=text_of(GOOD), ended_time=ago(5))

    assert newest_result(silent("j", pods=(last, first))) == replace(GOOD, request_sha256="0" * 64)


@pytest.mark.parametrize(
    ("log_result", "complete"),
    [
        pytest.param(None, False, id="short-one-if-nothing-else"),
        pytest.param(text_of(GOOD), True, id="whole-one-from-the-log"),
    ],
)
def test_the_log_has_what_the_message_had_no_room_for(log_result: str | None, complete: bool) -> None:  # noqa: FBT001
    """A termination message without facts is completed from the log."""
    seen = replace(answered("j", SHORT), log_result=log_result)
    found = newest_result(seen)

    assert found is not None
    assert complete is found.complete


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(answered("j", GOOD), False, id="whole-message"),
        pytest.param(answered("j", SHORT), True, id="short-message"),
        pytest.param(silent("j", pods=(pod(ended_message="oops", ended_time=ago(1)),)), True, id="no-message"),
        pytest.param(silent("j"), False, id="no-pod"),
        pytest.param(silent("j", pods=(pod(reason="Evicted"),)), False, id="a-pod-that-never-ended"),
        pytest.param(running("j"), False, id="not-over"),
    ],
)
def test_when_the_log_is_read(seen: SeenJob, expected: bool) -> None:  # noqa: FBT001
    """The log is read only for a finished Job whose message holds no whole result."""
    assert expected is (needs_log(seen) is not None)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({"age": 16}, True, id="old"),
        pytest.param({"age": 3}, False, id="young"),
        pytest.param({"age": 16, "active": 1}, False, id="has-one"),
        pytest.param({"age": 16, "outcome": "Failed"}, False, id="over"),
        pytest.param({"age": 16, "is_suspended": True}, False, id="may-have-none"),
    ],
)
def test_when_a_pod_is_missed(values: dict[str, Any], expected: bool) -> None:  # noqa: FBT001
    """Events are read after 15 s without a pod, and not before."""
    assert expected is lacks_pod(job("j", **values), NOW)


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 5), (1, 5), (2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 300), (1000, 300)],
)
def test_pauses_grow_up_to_five_minutes(failures: int, seconds: float) -> None:
    """5 s, doubled each time, at most 5 min."""
    assert seconds == backoff_seconds(failures)


def test_a_loss_without_a_pod_tells_what_the_job_says() -> None:
    """Where no pod is left, the Job's own word has to do."""
    assert judge(silent("j", outcome_message="too long"), NOW).message == "Job j ended without a result; too long"


def test_a_job_without_a_known_age_is_not_missed() -> None:
    """What has no creation time is not called late."""
    seen = job("j")

    assert not lacks_pod(replace(seen, metadata=replace(seen.metadata, creation_timestamp=None)), NOW)


def test_a_foreign_contract_is_no_answer() -> None:
    """A message of a contract that is not understood counts as silence: the storage is asked instead."""
    text = json.dumps({"contract": 99, "requestSha256": "0" * 64})

    assert judge(silent("j", pods=(pod(ended_message=text, ended_time=ago(1)),)), NOW).stand is Stand.LOST
