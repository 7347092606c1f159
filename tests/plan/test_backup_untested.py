"""A backup whose throw-away server does not start is taken without it: the test is lost, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.condition import ConditionType
from dbcustody.api.policy import Level, PolicyVerification, Verification
from dbcustody.contract import REQUEST_VARIABLE, Verb, load_request
from dbcustody.facts import RestoreTestFacts
from dbcustody.plan.actions import DeleteJob, StartJob
from dbcustody.plan.throwaway import IMAGE_PATIENCE
from dbcustody.reason import Reason
from tests.fakes.control_plane import ControlPlane, scheduled, started, words
from tests.fakes.seen import facts, pod, policy, result

RESTORE = Verification(level=Level.RESTORE)
NO_IMAGE = {"waiting_reason": "ImagePullBackOff", "waiting_message": "no such image", "lacks_server": True}


def manual() -> ControlPlane:
    """Return a control plane with a Backup that a person made, and that is to be restored."""
    return started(verification=RESTORE)


def nightly() -> ControlPlane:
    """Return a control plane with a Backup of the schedule that is to be restored, whose Job has a server."""
    plane = scheduled(has_server=True)
    ruled = policy(verification=PolicyVerification(level=Level.RESTORE))
    plane.seen = replace(plane.seen, policy=ruled)
    plane.reconcile()
    return plane


EVERY_RUN = pytest.mark.parametrize("begin", [manual, nightly], ids=["manual", "scheduled"])


def hang(plane: ControlPlane) -> str:
    """Let the Job's pod hang on its server's image for as long as is waited; return the Job's name."""
    name = plane.last_job.name
    plane.change(name, active=1, pods=(pod(**NO_IMAGE, created_time=plane.now),))
    plane.passes(IMAGE_PATIENCE.total_seconds())
    return name


def request_in(action: StartJob) -> Any:
    """Return the request that a Job is created with, and the containers beside its worker."""
    spec = action.manifest["spec"]["template"]["spec"]
    (text,) = (one["value"] for one in spec["containers"][0]["env"] if one["name"] == REQUEST_VARIABLE)
    return load_request(text), spec.get("initContainers")


@EVERY_RUN
def test_the_run_goes_on_without_its_server(begin: Any) -> None:
    """The Job that hangs goes, another one without a server takes the very same backup, and says that it is not restored."""
    plane = begin()
    hung = hang(plane)
    found = plane.reconcile()
    started_now = [action for action in found.actions if isinstance(action, StartJob)]
    request, beside = request_in(started_now[0])

    assert [action.name for action in found.actions if isinstance(action, DeleteJob)] == [hung]
    assert (request.verb, request.name, beside) == (Verb.BACKUP, plane.backup.metadata.name, None)
    assert "ImagePullBackOff: no such image" in request.untestable
    assert words(plane, ConditionType.SUCCEEDED) == ("Unknown", "TestServerUnavailable")

    answer = RestoreTestFacts(reason=Reason.TEST_SERVER_UNAVAILABLE, message=request.untestable)
    good = result(Verb.BACKUP, Reason.SUCCEEDED, backup=facts(restore_test=answer))
    plane.runs(plane.last_job.name)
    plane.reconcile()
    plane.ends(plane.last_job.name, good)
    plane.reconcile()
    assert words(plane, ConditionType.SUCCEEDED) == ("True", "Succeeded")
    assert words(plane, ConditionType.RESTORE_TESTED) == ("False", "TestServerUnavailable")


@EVERY_RUN
@pytest.mark.parametrize("writes", [1, 2], ids=["before-both", "before-the-new-job"])
def test_an_operator_that_dies_between_is_followed_by_one_that_goes_on(begin: Any, writes: int) -> None:
    """The next one finds the attempt written down and makes its Job, without a server too; the one that hangs does not stay."""
    plane = begin()
    hung = hang(plane)
    plane.reconcile(dies_after=writes)
    found = plane.reconcile()
    request, beside = request_in(next(action for action in found.actions if isinstance(action, StartJob)))

    assert "ImagePullBackOff: no such image" in request.untestable
    assert beside is None
    plane.ends(plane.last_job.name, result(Verb.BACKUP, Reason.SUCCEEDED, backup=facts()))
    plane.reconcile()
    plane.reconcile()
    assert words(plane, ConditionType.SUCCEEDED) == ("True", "Succeeded")
    assert hung not in plane.jobs


def test_a_job_that_only_its_storage_holds_up_is_left_alone() -> None:
    """Without parties nothing else can be started: the run waits as any other."""
    plane = manual()
    hang(plane)
    plane.seen = replace(plane.seen, storage=None)
    found = plane.reconcile()

    assert not found.actions
    assert words(plane, ConditionType.READY) == ("False", "ImageNotAvailable")


def test_why_is_told_in_general_when_the_status_says_something_else_by_then() -> None:
    """The operator died before it made the new Job, and its storage was away for a while: that there was a server before is still known."""
    plane = manual()
    hang(plane)
    plane.reconcile(dies_after=1)
    there = plane.seen.storage
    plane.seen = replace(plane.seen, storage=None)
    plane.jobs.clear()
    assert not plane.reconcile().actions
    plane.seen = replace(plane.seen, storage=there)
    request, beside = request_in(next(one for one in plane.reconcile().actions if isinstance(one, StartJob)))

    assert request.untestable == "the throw-away server of an earlier attempt did not start"
    assert beside is None
