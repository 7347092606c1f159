"""What is done for a Backup that a CronJob already runs, and for one that is applied again: nothing runs twice."""

from __future__ import annotations

import pytest

from dbcustody.api.condition import ConditionType
from dbcustody.contract import Verb, load_request
from dbcustody.plan.actions import MarkJob, StartJob
from dbcustody.reason import Reason
from tests.fakes.control_plane import ControlPlane, scheduled, started, words
from tests.fakes.seen import (
    ago,
    backup,
    facts,
    result,
    with_metadata,
)

GOOD = result(Verb.BACKUP, Reason.SUCCEEDED, "3 tables, 40 rows, 1000 B stored", backup=facts())
DENIED = result(Verb.BACKUP, Reason.STORAGE_DENIED, "put s3://backups: AccessDenied")


@pytest.mark.parametrize("by_hand", [pytest.param(False, id="by-the-clock"), pytest.param(True, id="by-hand")])
def test_the_job_of_a_cron_job_is_the_backup(by_hand: bool) -> None:  # noqa: FBT001
    """Nothing is started: the Job is written down as the attempt, marked, followed, and its answer is the verdict."""
    plane = scheduled(by_hand=by_hand)
    name = plane.backup.metadata.name
    first = plane.reconcile()
    plane.runs(name)
    plane.reconcile()
    plane.ends(name, GOOD)
    plane.reconcile()

    assert plane.started == []
    assert first.look_again_seconds == 0.0
    assert [MarkJob(name, name, plane.backup.metadata.uid)] == [one for one in plane.done if isinstance(one, MarkJob)]
    assert words(plane, ConditionType.SUCCEEDED) == ("True", "Succeeded")
    assert (plane.status.scheduled_time is None) is by_hand


def test_a_scheduled_run_began_when_its_job_did() -> None:
    """The start is the Job's, not the moment at which an operator noticed it; before it starts, its creation counts."""
    plane = scheduled(start_time=ago(300))
    plane.reconcile()
    young = scheduled(age=7)
    young.reconcile()

    assert (ago(300), ago(7)) == (plane.status.start_time, young.status.start_time)


def test_a_scheduled_backup_that_is_re_created_runs_nothing_again() -> None:
    """Without its Job only the storage is asked; no Job that takes a backup is ever made for it."""
    plane = scheduled()
    plane.jobs.clear()
    for _ in range(4):
        plane.reconcile()

    assert [verb for verb, _ in plane.started] == [Verb.SETTLE]
    assert words(plane, ConditionType.SUCCEEDED) == ("Unknown", "Settling")


def test_a_manual_backup_that_is_re_created_asks_for_the_same_name() -> None:
    """The Job of the new object has another name of its own, and asks for the old backup's: the storage lets it adopt."""
    first = started()
    again = ControlPlane(with_metadata(backup(), uid="uid-of-another"))
    again.reconcile()
    requests = [load_request(_request_of(plane)) for plane in (first, again)]

    assert first.started != again.started
    assert {"monday"} == {request.name for request in requests}
    assert {"team.shop"} == {request.custody_id for request in requests}


def _request_of(plane: ControlPlane) -> str:
    (manifest,) = [one.manifest for one in plane.done if isinstance(one, StartJob)]
    text: str = manifest["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"]
    return text
