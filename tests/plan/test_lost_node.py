"""A node that does not answer: said while Kubernetes waits for it, and concluded from once Kubernetes has given its pods up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.condition import ConditionType, find
from dbcustody.api.meta import ObjectRef
from dbcustody.contract import Verb
from dbcustody.facts import BackupFacts
from dbcustody.plan.actions import DeleteJob
from dbcustody.plan.examination import tidy
from dbcustody.plan.job_lifecycle import Stand, is_given_up, judge
from dbcustody.plan.observed import SeenPod
from dbcustody.reason import Reason
from tests.fakes.control_plane import ControlPlane, settled
from tests.fakes.seen import NOW, ago, backup, job, pod, running

if TYPE_CHECKING:
    from dbcustody.plan.observed import SeenJob

UNHEARD = pod(is_running=True, phase="Running", is_unheard=True, node="n2")
GIVEN_UP = pod(is_running=True, phase="Running", is_unheard=True, node="n2", is_going=True)


def pod_body(*, phase: str = "Running", going: bool = False, **conditions: str) -> dict[str, Any]:
    """Return a pod on node n2 with these conditions."""
    metadata: dict[str, Any] = {"name": "pod", "uid": "u"}
    if going:
        metadata["deletionTimestamp"] = "2026-01-31T12:00:00Z"
    said = [{"type": kind, "status": status} for kind, status in conditions.items()]
    status = {
        "phase": phase,
        "conditions": said,
        "containerStatuses": [{"name": "job", "state": {"running": {}}}],
    }
    return {"metadata": metadata, "spec": {"nodeName": "n2"}, "status": status}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(pod_body(Ready="False", ContainersReady="True"), (True, False), id="ready-was-taken-away"),
        pytest.param(pod_body(Ready="False", ContainersReady="True", going=True), (True, True), id="and-given-up"),
        pytest.param(pod_body(Ready="False", ContainersReady="False"), (False, False), id="the-kubelet-says-so"),
        pytest.param(pod_body(Ready="True", ContainersReady="True", going=True), (False, True), id="ends-as-told"),
        pytest.param(pod_body(), (False, False), id="nothing-was-said"),
        pytest.param(pod_body(Ready="False", ContainersReady="True", phase="Failed"), (False, False), id="is-over"),
    ],
)
def test_who_spoke_last_is_seen(body: dict[str, Any], expected: tuple[bool, bool]) -> None:
    """The node controller takes Ready away and leaves what the kubelet said of the containers."""
    seen = SeenPod.from_body(body)

    assert (seen.is_unheard, seen.is_going) == expected
    assert seen.node == "n2"


@pytest.mark.parametrize(
    ("seen", "stand", "reason"),
    [
        pytest.param(job("j", pods=(UNHEARD,)), Stand.BLOCKED, Reason.NODE_LOST, id="unheard"),
        pytest.param(job("j", pods=(GIVEN_UP,)), Stand.LOST, Reason.NODE_LOST, id="given-up"),
        pytest.param(
            job("j", pods=(pod(is_running=True, created_time=ago(1)), pod(is_unheard=True, is_going=True, created_time=ago(9)))),
            Stand.RUNNING,
            Reason.RUNNING,
            id="another-pod-took-over",
        ),
    ],
)  # fmt: skip
def test_how_a_job_on_a_lost_node_stands(seen: SeenJob, stand: Stand, reason: Reason) -> None:
    """Held up while the node may come back, lost once its pod was given up; only the newest pod counts."""
    verdict = judge(seen, NOW)

    assert (verdict.stand, verdict.reason) == (stand, reason)
    if reason is Reason.NODE_LOST:
        assert verdict.message.startswith("node n2 does not answer, and what pod pod does there is unknown")


def test_a_job_without_a_pod_is_on_no_lost_node() -> None:
    """Nobody gave it up."""
    assert not is_given_up(job("j"))


def test_a_backup_on_a_lost_node_is_settled_and_its_job_is_not_waited_for() -> None:
    """First it says what it waits for; then the storage decides, with the node as the reason; the Job goes before its pod does."""
    plane = ControlPlane(backup())
    plane.reconcile()
    first = plane.last_job.name
    plane.runs(first)
    plane.reconcile()
    plane.change(first, ready=0, pods=(UNHEARD,))
    plane.reconcile()
    ready = find(plane.status.conditions, ConditionType.READY)
    plane.change(first, pods=(GIVEN_UP,))
    plane.reconcile()
    plane.ends(plane.last_job.name, settled(BackupFacts(name="monday")))
    plane.reconcile()
    plane.reconcile()
    succeeded = find(plane.status.conditions, ConditionType.SUCCEEDED)

    assert ready is not None
    assert (ready.status.value, ready.reason) == ("False", Reason.NODE_LOST)
    assert [verb for verb, _ in plane.started] == [Verb.BACKUP, Verb.SETTLE]
    assert succeeded is not None
    assert (succeeded.status.value, succeeded.reason) == ("False", Reason.NODE_LOST)
    assert succeeded.message.endswith("Kubernetes gave it up; nothing was committed to the storage")
    assert [one for one in plane.done if isinstance(one, DeleteJob)] == [
        DeleteJob(first, f"uid-{first}-0", waits_for_pods=False)
    ]


def test_only_a_job_that_was_given_up_is_not_waited_for() -> None:
    """A pod that can be heard of ends before its Job does."""
    jobs = [running("alive"), job("lost", pods=(GIVEN_UP,)), job("unheard", pods=(UNHEARD,))]

    assert tidy(jobs, ObjectRef(name="current")) == (
        DeleteJob("alive", "uid-alive"),
        DeleteJob("lost", "uid-lost", waits_for_pods=False),
        DeleteJob("unheard", "uid-unheard"),
    )
