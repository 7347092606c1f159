"""What is read of the objects of Kubernetes: exactly what judgement needs, from bodies as the API server writes them."""

from __future__ import annotations

from typing import Any

import pytest

from dbcustody.contract import REQUEST_VARIABLE, Verb, digest_of
from dbcustody.naming import LABEL_POLICY, LABEL_VERB
from dbcustody.plan.observed import (
    ANNOTATION_BACKUP_UID,
    ANNOTATION_MANIFEST,
    BY_HAND,
    SCHEDULED_TIMESTAMP,
    SeenClaim,
    SeenCronJob,
    SeenJob,
    SeenPod,
)
from tests.fakes.seen import NOW

TIME = "2026-01-31T12:00:00Z"
WAITING = {"waiting": {"reason": "PodInitializing"}}
PULLING = {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}


def pod_body(state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    """Return a pod as Kubernetes writes it, with the *state* of its container."""
    containers = {} if state is None else {"containerStatuses": [{"name": "job", "state": state}]}
    return {
        "metadata": {"name": "pod", "uid": "uid-pod", "creationTimestamp": TIME},
        "status": {"phase": "Running", **containers, **status},
    }


def job_body(*, conditions: Any = (), request: str | None = "{}", spec: Any = None, **status: Any) -> dict[str, Any]:
    """Return a Job as Kubernetes writes it."""
    env = [{"name": "HOME", "value": "/tmp"}]
    env += [] if request is None else [{"name": REQUEST_VARIABLE, "value": request}]
    template = {"spec": {"containers": [{"name": "job", "env": env}]}}
    return {
        "metadata": {
            "name": "monday-1",
            "namespace": "team",
            "uid": "uid-job",
            "creationTimestamp": TIME,
            "labels": {LABEL_VERB: "backup", LABEL_POLICY: "nightly"},
            "ownerReferences": [
                {"apiVersion": "dbcustody.dev/v1", "kind": "Backup", "name": "monday", "uid": "uid-monday"}
            ],
        },
        "spec": {"template": template, **(spec or {})},
        "status": {"conditions": list(conditions), **status},
    }


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({"metadata": {"name": "pod", "uid": "u"}}, {"phase": "Pending", "created_time": None}, id="bare"),
        pytest.param(
            pod_body(WAITING, initContainerStatuses=[{"name": "test-server", "state": PULLING}]),
            {"waiting_reason": "ErrImagePull", "waiting_message": "no such image", "lacks_server": True},
            id="server-has-no-image",
        ),
        pytest.param(
            pod_body(
                WAITING, initContainerStatuses=[{"name": "test-server", "started": True, "state": {"running": {}}}]
            ),
            {"waiting_reason": "PodInitializing", "lacks_server": False},
            id="server-runs",
        ),
        pytest.param(
            pod_body({"running": {}}, initContainerStatuses=[{"name": "test-server", "state": PULLING}]),
            {"waiting_reason": "", "lacks_server": False, "is_running": True},
            id="server-failed-later",
        ),
        pytest.param(
            pod_body(
                WAITING,
                initContainerStatuses=[
                    {"name": "copier", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
                    {"name": "source", "state": {"terminated": {"exitCode": 1, "message": "cp: can't stat 'a'\n  b"}}},
                ],
            ),
            {"lacks_source": "cp: can't stat 'a' b", "lacks_server": False},
            id="files-are-not-in-the-image",
        ),
        pytest.param(
            pod_body(
                WAITING,
                initContainerStatuses=[
                    {"name": "source", "state": {"terminated": {"exitCode": 128, "reason": "StartError"}}}
                ],
            ),
            {"lacks_source": "StartError 128"},
            id="image-of-another-processor",
        ),
        pytest.param(
            pod_body(WAITING, initContainerStatuses=[{"name": "source", "state": {"terminated": {"exitCode": 137}}}]),
            {"lacks_source": "exit code 137"},
            id="copying-was-killed",
        ),
        pytest.param(
            pod_body(
                {"terminated": {"exitCode": 0, "finishedAt": TIME}},
                initContainerStatuses=[{"name": "test-server", "state": {"terminated": {"exitCode": 1}}}],
            ),
            {"lacks_source": ""},
            id="a-server-ends-as-it-likes",
        ),
        pytest.param(pod_body(), {"phase": "Running", "created_time": NOW, "unscheduled": None}, id="no-container-yet"),
        pytest.param(pod_body({"running": {"startedAt": TIME}}), {"is_running": True}, id="running"),
        pytest.param(
            pod_body({"running": {"startedAt": TIME}}, phase="Failed", reason="NodeLost"),
            {"is_running": False, "reason": "NodeLost", "ended_time": None},
            id="told-as-running-on-a-lost-node",
        ),
        pytest.param(
            pod_body({"waiting": {"reason": "ErrImagePull", "message": "not found"}}),
            {"waiting_reason": "ErrImagePull", "waiting_message": "not found", "is_running": False},
            id="waiting",
        ),
        pytest.param(
            pod_body(
                {"terminated": {"exitCode": 20, "reason": "Error", "message": "{}", "finishedAt": TIME}}, message="gone"
            ),
            {"exit_code": 20, "ended_reason": "Error", "ended_message": "{}", "ended_time": NOW, "message": "gone"},
            id="ended",
        ),
        pytest.param(
            pod_body(conditions=[{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]),
            {"unscheduled": "0/1 nodes"},
            id="not-scheduled",
        ),
        pytest.param(
            pod_body(conditions=[{"type": "PodScheduled", "status": "False"}]),
            {"unscheduled": ""},
            id="not-scheduled-and-nobody-says-why",
        ),
        pytest.param(
            pod_body(conditions=[{"type": "PodScheduled", "status": "True"}]), {"unscheduled": None}, id="scheduled"
        ),
        pytest.param(
            pod_body(conditions=[{"type": "DisruptionTarget", "status": "True"}]),
            {"is_disrupted": True},
            id="disrupted",
        ),
        pytest.param(
            pod_body(conditions=[{"type": "DisruptionTarget", "status": "False"}]), {"is_disrupted": False}, id="spared"
        ),
    ],
)
def test_what_a_pod_says(body: dict[str, Any], expected: dict[str, Any]) -> None:
    """Phase, container state and conditions become plain values; what is absent is empty."""
    seen = SeenPod.from_body(body)

    assert expected == {name: getattr(seen, name) for name in expected}


def outcome(kind: str, status: str = "True", **more: str) -> dict[str, str]:
    """Return a condition of a Job."""
    return {"type": kind, "status": status, "lastTransitionTime": TIME, **more}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(job_body(), {"outcome": None, "is_finished": False, "finish_time": None}, id="goes-on"),
        pytest.param(
            job_body(active=1, ready=1, startTime=TIME), {"active": 1, "ready": 1, "start_time": NOW}, id="works"
        ),
        pytest.param(
            job_body(conditions=[outcome("Complete")], completionTime=TIME),
            {"outcome": "Complete", "is_finished": True, "finish_time": NOW},
            id="complete",
        ),
        pytest.param(
            job_body(conditions=[outcome("Failed", reason="DeadlineExceeded", message="too long")]),
            {
                "outcome": "Failed",
                "outcome_reason": "DeadlineExceeded",
                "outcome_message": "too long",
                "finish_time": NOW,
            },
            id="failed",
        ),
        pytest.param(job_body(conditions=[outcome("Failed", "False")]), {"is_finished": False}, id="not-failed"),
        pytest.param(
            job_body(conditions=[outcome("FailureTarget"), outcome("SuccessCriteriaMet"), outcome("Suspended")]),
            {"is_finished": False},
            id="about-to-end-is-not-the-end",
        ),
        pytest.param(job_body(spec={"suspend": True}), {"is_suspended": True}, id="suspended"),
        pytest.param(job_body(spec={"ttlSecondsAfterFinished": 0}), {"has_ttl": True}, id="may-go-at-once"),
        pytest.param(job_body(), {"has_ttl": False, "is_suspended": False}, id="may-not-go"),
        pytest.param(job_body(request='{"a":1}'), {"request_sha256": digest_of('{"a":1}')}, id="request"),
        pytest.param(job_body(request=None), {"request_sha256": digest_of("")}, id="no-request"),
        pytest.param(
            {"metadata": job_body()["metadata"]},
            {"request_sha256": digest_of(""), "outcome": None, "active": 0},
            id="bare",
        ),
    ],
)
def test_what_a_job_says(body: dict[str, Any], expected: dict[str, Any]) -> None:
    """Only Complete and Failed are an end; whatever is absent has its plain default."""
    seen = SeenJob.from_body(body)

    assert expected == {name: getattr(seen, name) for name in expected}


def test_what_a_job_is_known_by() -> None:
    """Name, verb, policy, creation and owner are read from its metadata."""
    seen = SeenJob.from_body(job_body())

    assert (seen.name, seen.verb, seen.policy_name, seen.created_time) == ("monday-1", Verb.BACKUP, "nightly", NOW)
    assert seen.belongs_to("uid-monday")
    assert not seen.belongs_to("uid-of-another")


@pytest.mark.parametrize("verb", [None, "levitate"], ids=["absent", "unknown"])
def test_a_job_that_is_not_ours_is_refused(verb: str | None) -> None:
    """Without one of our verbs it is none of our Jobs."""
    body = job_body()
    body["metadata"]["labels"] = {} if verb is None else {LABEL_VERB: verb}

    with pytest.raises((KeyError, ValueError)):
        SeenJob.from_body(body)


@pytest.mark.parametrize(
    ("annotations", "slot", "is_by_hand"),
    [
        pytest.param({SCHEDULED_TIMESTAMP: TIME}, NOW, False, id="by-the-clock"),
        pytest.param({BY_HAND: "manual"}, None, True, id="by-kubectl"),
        pytest.param({BY_HAND: "manual", SCHEDULED_TIMESTAMP: TIME}, NOW, True, id="copied-from-a-scheduled-one"),
        pytest.param({}, None, True, id="by-some-other-tool"),
    ],
)
def test_who_started_a_job(annotations: dict[str, str], slot: Any, is_by_hand: bool) -> None:  # noqa: FBT001
    """A slot without the mark of a hand is the CronJob controller's; everything else is a person's."""
    body = job_body()
    body["metadata"]["annotations"] = annotations
    seen = SeenJob.from_body(body)

    assert (seen.scheduled_time, seen.is_by_hand) == (slot, is_by_hand)
    assert seen.backup_uid is None


def test_the_mark_of_a_record_is_read() -> None:
    """A recorded Job knows its Backup."""
    body = job_body()
    body["metadata"]["annotations"] = {ANNOTATION_BACKUP_UID: "uid-b"}

    assert SeenJob.from_body(body).backup_uid == "uid-b"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            {
                "metadata": {"name": "c", "annotations": {ANNOTATION_MANIFEST: "abc"}},
                "spec": {"suspend": True},
                "status": {"lastScheduleTime": TIME},
            },
            ("abc", True, NOW),
            id="whole",
        ),
        pytest.param({"metadata": {"name": "c"}}, ("", False, None), id="bare"),
    ],
)
def test_what_a_cron_job_says(body: dict[str, Any], expected: tuple[Any, ...]) -> None:
    """The digest of what was applied, whether it rests, and when it last fired."""
    seen = SeenCronJob.from_body(body)

    assert expected == (seen.manifest_hash, seen.is_suspended, seen.last_schedule_time)


def test_a_claim_says_nothing_unless_asked() -> None:
    """Without access modes nothing is known of the claim."""
    assert SeenClaim().access_modes == ()
