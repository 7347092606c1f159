"""What a RestoreRequest says while it waits, and how it is cancelled; and which wishes are the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbcustody.api.condition import ConditionType
from dbcustody.api.meta import ObjectRef
from dbcustody.api.restore import (
    MissingRoles,
    OwnerMapping,
    Patterns,
    RestoreProgress,
    RestoreStage,
    RestoreTarget,
    SideEffect,
)
from dbcustody.contract import Verb
from dbcustody.plan.actions import Count, DeleteJob
from dbcustody.plan.restore_work import mark_of
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.restore_plane import IS_PLANNED, IS_RESTORED, SETTLED, RestorePlane, at_restore, restore_request


@pytest.mark.parametrize("moment", ["new", "planning", "written-down", "restoring", "restored", "settling"])
def test_cancel_leaves_nothing_behind(moment: str) -> None:
    """What runs is ended; after a restore had begun the server is asked; what was handed over already stays."""
    plane = RestorePlane()
    if moment != "new":
        plane.steps(2)
    if moment not in {"new", "planning"}:
        plane.ends(IS_PLANNED)
        plane.steps(1 if moment == "written-down" else 2)
    if moment == "restored":
        plane.ends(IS_RESTORED)
    if moment == "settling":
        plane.ends(None)
        plane.steps(2)
    if moment == "restoring":
        plane.runs()
    plane.request = replace(plane.request, spec=replace(plane.request.spec, cancel=True))
    plane.step()
    if moment == "restoring":
        assert plane.word(ConditionType.READY) == ("Unknown", "Cancelled")
    plane.steps(3)
    if plane.verbs[-1:] == ["settle-restore"]:
        plane.ends(SETTLED)
        plane.step()

    wanted = {"restored": ("True", "Succeeded"), "settling": ("False", "JobLost")}
    assert plane.word(ConditionType.SUCCEEDED) == wanted.get(moment, ("False", "Cancelled"))
    assert plane.word(ConditionType.FINISHED) is not None
    assert all(job.is_finished for job in plane.jobs.values())


def test_a_job_that_is_going_is_not_deleted_twice() -> None:
    """Foreground deletion takes as long as the worker needs to take away what it made."""
    plane = at_restore()
    plane.runs()
    going = plane.jobs[plane.name]
    plane.jobs[plane.name] = seen.with_metadata(going, deletion_timestamp=seen.NOW)
    plane.request = replace(plane.request, spec=replace(plane.request.spec, cancel=True))
    plane.steps(2)
    assert [action for action in plane.actions if isinstance(action, DeleteJob)] == []


def test_nothing_is_begun_for_a_request_that_is_being_deleted() -> None:
    """Kubernetes takes its Jobs away one by one; none is taken for lost, and none comes back."""
    plane = at_restore()
    plane.runs()
    plane.step()
    plane.request = seen.with_metadata(plane.request, deletion_timestamp=seen.NOW)
    plane.jobs.clear()
    before, status = len(plane.started), plane.request.status
    plane.steps(3)
    assert (len(plane.started), plane.request.status) == (before, status)


def test_a_plan_is_counted_once_however_long_its_storage_is_away() -> None:
    """The metrics tell of Jobs, and not of looks at them."""
    plane = RestorePlane()
    plane.steps(2)
    plane.ends(IS_PLANNED)
    there = plane.around
    plane.around = replace(there, storage=None)
    plane.steps(3)
    plane.around = there
    plane.steps(3)
    assert sum(isinstance(action, Count) for action in plane.actions) == 1


@pytest.mark.parametrize(
    ("stage", "reason", "ready"),
    [
        pytest.param("young", Reason.PENDING, "Unknown", id="pod-is-being-started"),
        pytest.param("works", Reason.RUNNING, "Unknown", id="pod-works"),
        pytest.param("no-pod", Reason.POD_NOT_CREATED, "False", id="no-pod-after-15-s"),
    ],
)
def test_what_is_said_on_the_way(stage: str, reason: Reason, ready: str) -> None:
    """Until it is over a request is Reconciling, not Finished, and Succeeded is not known."""
    plane = at_restore()
    if stage == "works":
        plane.runs()
        told = RestoreProgress(stage=RestoreStage.LOADING, summary="42%", percent=42)
        plane.around = replace(plane.around, progress=told)
    if stage == "no-pod":
        plane.passes(16)
    plane.step()
    assert plane.word(ConditionType.READY) == (ready, reason)
    assert plane.word(ConditionType.SUCCEEDED) == ("Unknown", reason)
    assert plane.word(ConditionType.RECONCILING) == ("True", reason)
    assert plane.word(ConditionType.FINISHED) == ("False", reason)
    progress = plane.request.status.progress
    assert progress is not None
    assert progress.stage is (RestoreStage.LOADING if stage == "works" else RestoreStage.WAITING)
    plane.passes(5)
    plane.step()
    assert plane.request.status.progress == progress


def test_a_restore_waits_for_a_retention_that_does_not_know_of_it() -> None:
    """A prune that was started before could delete what is about to be read; those that come later are told."""
    plane = RestorePlane()
    plane.steps(2)
    plane.ends(IS_PLANNED)
    plane.around = replace(plane.around, prunes=("nightly-prune",))
    plane.steps(3)
    assert len(plane.started) == 1
    assert "nightly-prune" in plane.message(ConditionType.READY)
    plane.around = replace(plane.around, prunes=())
    plane.step()
    assert plane.asked().verb is Verb.RESTORE


@pytest.mark.parametrize("what", ["database", "storage"])
@pytest.mark.parametrize("moment", ["new", "planned", "settling"])
def test_what_is_missing_is_waited_for(what: str, moment: str) -> None:
    """References may come later, in any order, and go for a while; the storage is not needed to ask the server."""
    plane = RestorePlane()
    missing = replace(plane.around, **{what: None})
    there = plane.around
    if moment == "new":
        plane.around = missing
    elif moment == "planned":
        plane.steps(2)
        plane.ends(IS_PLANNED)
        plane.step()
        plane.around = missing
    else:
        plane = at_restore()
        plane.ends(None)
        plane.step()
        plane.around = missing
    before = len(plane.started)
    plane.steps(2)
    if (what, moment) != ("storage", "settling"):
        reason = "DatabaseNotFound" if what == "database" else "StorageNotFound"
        assert plane.word(ConditionType.READY) == ("False", reason)
        assert len(plane.started) == before
    plane.around = there
    plane.steps(2)
    assert len(plane.started) == before + 1


def test_repeats_of_all_jobs_are_added_up() -> None:
    """A sick storage is told of, also when the restore went well."""
    plane = RestorePlane()
    plane.steps(2)
    plane.ends(replace(IS_PLANNED, repeated_requests=2))
    plane.steps(2)
    plane.ends(replace(IS_RESTORED, repeated_requests=3))
    plane.step()
    assert plane.request.status.repeated_requests == 5


def test_the_same_wish_has_the_same_mark() -> None:
    """Uid, cancel and parallelism do not make another wish; source, target and what becomes of roles do."""
    wish = restore_request()
    again = seen.with_metadata(restore_request(cancel=True, parallelism=8), uid="other")
    others = [
        restore_request(missing_roles=MissingRoles.CREATE),
        restore_request(target=RestoreTarget(database_ref=ObjectRef(name="shop"), database="other")),
        restore_request("other"),
        restore_request(tables=Patterns(include=("a",))),
        restore_request(schemas=Patterns(include=("a",))),
        restore_request(owner_map=(OwnerMapping(from_="a", to="b"),)),
        restore_request(acknowledge=(SideEffect.SKIPPED_OBJECTS,)),
    ]
    assert mark_of(wish) == mark_of(again)
    assert mark_of(wish).startswith("RestoreRequest team/again ")
    assert len({mark_of(one) for one in (wish, *others)}) == 8
