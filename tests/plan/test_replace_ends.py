"""A RestoreRequest that takes a database's place and does not get there, or is not wanted any more: everything is put back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.api.condition import ConditionType
from dbcustody.contract import Verb
from dbcustody.naming import FINALIZER
from dbcustody.plan.actions import CreateBackup, SetFinalizers, Tell
from dbcustody.plan.restore_step import RESUMING_PATIENCE
from dbcustody.reason import ExitCode, Reason
from tests.fakes import seen
from tests.fakes.replace_plane import (
    NOT_DONE,
    REFUSED,
    SUCCEEDED,
    at_restore,
    at_safety,
    at_swap,
    backed_up,
    give_up,
    plane,
    pods_end,
    replicas,
    stuck,
)
from tests.fakes.restore_plane import (
    IS_PLANNED,
    IS_READY,
    IS_SWAPPED,
    SETTLED,
    RestorePlane,
)


@pytest.mark.parametrize("was_swapped", [True, False])
@pytest.mark.parametrize(
    "ending", [REFUSED, None, replace(REFUSED, exit_code=ExitCode.DONE)], ids=["refused", "lost", "odd"]
)
def test_a_swap_without_success_is_asked_for(ending: Any, *, was_swapped: bool) -> None:
    """Whatever became of its Job: the server knows, and the workloads come back either way."""
    found = at_swap()
    found.ends(ending)
    found.steps(3)
    assert (found.verbs[-1], replicas(found)) == ("settle-restore", 0)
    found.ends(replace(IS_SWAPPED, verb=Verb.SETTLE_RESTORE) if was_swapped else NOT_DONE)
    found.steps(3)
    assert (found.word(ConditionType.FINISHED) or ("",))[0] == "True"
    assert found.word(ConditionType.SWAPPED) == (
        ("True", "Swapped") if was_swapped else ("False", REFUSED.reason if ending is REFUSED else "JobLost")
    )
    assert (replicas(found), found.word(ConditionType.WORKLOADS_RESUMED)) == (3, ("True", "WorkloadsResumed"))


def before_the_swap() -> RestorePlane:
    """Return a plane on which the swap is written down, and its Job is what the operator makes next."""
    found = at_restore()
    found.ends(IS_READY)
    found.steps(4)
    pods_end(found)
    while found.verbs[-1] != "swap":
        found.step()
    return found


def test_a_swap_whose_job_nobody_saw_is_begun_again_in_its_own_name() -> None:
    """To whoever looks it is as if the operator had died before it made the Job; the Job adopts a swap that was done already."""
    died, deleted = before_the_swap(), before_the_swap()
    died.step(dies_after=1)
    deleted.step()
    deleted.jobs.pop(deleted.name)
    assert (deleted.request.status, deleted.jobs) == (died.request.status, died.jobs)

    first = deleted.started[-1]
    deleted.step()
    assert (deleted.started[-1], deleted.verbs.count("swap")) == (first, 1)


def test_a_swap_whose_job_was_seen_and_deleted_is_asked_for_and_not_begun_again() -> None:
    """Even if that was the moment after it was made."""
    found = before_the_swap()
    found.steps(2)
    found.jobs.pop(found.name)
    before = len(found.started)
    found.steps(3)
    assert found.verbs[-2:] == ["swap", "settle-restore"]
    assert found.request.status.attempts[-2].reason == "JobDeleted"
    assert len(found.started) == before + 1


def test_workloads_that_cannot_come_back_are_named() -> None:
    """After ten minutes the verdict is said all the same."""
    found = stuck(at_swap())
    found.ends(IS_SWAPPED)
    found.steps(2)
    assert found.word(ConditionType.FINISHED) == ("False", "Running")
    found.passes(RESUMING_PATIENCE.total_seconds() + 1)
    found.steps(2)
    assert found.word(ConditionType.SUCCEEDED) == ("True", "Succeeded")
    assert found.word(ConditionType.WORKLOADS_RESUMED) == ("False", "WorkloadsStopped")
    assert found.word(ConditionType.READY) == found.word(ConditionType.WORKLOADS_RESUMED)
    assert "Deployment web (3)" in found.message(ConditionType.WORKLOADS_RESUMED)


@pytest.mark.parametrize("how", ["cancel", "delete"])
@pytest.mark.parametrize("at", [at_safety, at_restore, at_swap])
def test_given_up_at_any_point(at: Any, how: str) -> None:
    """What runs is ended, the server is asked, the workloads are back; a deletion is let go only then."""
    found = at()
    give_up(found, how)
    found.steps(4)
    if at is not at_safety:
        assert found.verbs[-1] == "settle-restore"
        assert FINALIZER in found.request.metadata.finalizers
        found.ends(NOT_DONE)
        found.steps(4)
    assert found.word(ConditionType.SUCCEEDED) == ("False", "Cancelled")
    assert (replicas(found), found.request.metadata.finalizers) == (3, ())


def test_given_up_between_two_jobs() -> None:
    """What waits to take the place is dropped too."""
    found = at_restore()
    found.ends(IS_READY)
    found.step()
    give_up(found, "cancel")
    found.steps(3)
    assert found.verbs[-1] == "settle-restore"


def test_given_up_too_late() -> None:
    """A swap that was done is told as done."""
    found = at_swap()
    found.ends(IS_SWAPPED)
    give_up(found, "cancel")
    found.steps(4)
    assert found.word(ConditionType.SUCCEEDED) == ("True", "Succeeded")


def test_deleted_with_its_namespace() -> None:
    """No Job can be made there any more: it is let go at once, with an Event, and workloads are scaled back as far as there are any."""
    found = at_swap()
    give_up(found, "delete")
    found.around = replace(found.around, is_namespace_going=True)
    found.steps(2)
    assert (found.request.metadata.finalizers, replicas(found)) == ((), 3)
    assert [one.reason for one in found.actions if isinstance(one, Tell)][:1] == [Reason.DATA_LEFT_IN_STORAGE]
    assert not [one for one in found.actions if isinstance(one, SetFinalizers)][-1].finalizers


def test_the_plan_may_be_another_in_the_end() -> None:
    """Then it is told again; the safety backup is not taken twice."""
    found = at_restore()
    found.ends(seen.result(Verb.RESTORE, Reason.PLAN_CHANGED, "the plan is another"))
    found.steps(3)
    found.ends(IS_PLANNED)
    found.steps(4)
    assert found.verbs == ["plan-restore", "restore", "plan-restore", "restore"]
    assert len([one for one in found.actions if isinstance(one, CreateBackup)]) == 1


STEPS = ("step", "end", "lose", "pods", "back", "fail", "cancel", "delete", "wait", "settle")


@given(st.lists(st.sampled_from(STEPS), max_size=40))
def test_whatever_happens_workloads_come_back(steps: list[str]) -> None:
    """In any order of events: what is over has its workloads back, a request under way keeps its finalizer, and no Job is made twice."""
    found = plane()
    for one in steps:
        _happen(found, one)
    for _ in range(6):
        found.steps(5)
        if found.jobs and (job := found.jobs.get(found.name)) is not None and not job.is_finished:
            found.ends(
                {"swap": IS_SWAPPED, "restore": IS_READY, "plan-restore": IS_PLANNED}.get(job.verb.value, SETTLED)
            )
        pods_end(found)
        if found.around.safety_backup is not None:
            backed_up(found, *SUCCEEDED)
    found.steps(5)
    assert (found.word(ConditionType.FINISHED) or ("",))[0] == "True"
    assert replicas(found) == 3
    assert found.request.metadata.finalizers == ()
    names = [one["metadata"]["name"] for one in found.started]
    assert len(names) == len(set(names))


def _happen(found: RestorePlane, what: str) -> None:
    job = found.jobs.get(found.name) if found.request.status.attempts else None
    match what:
        case "step":
            found.step()
        case "end" if job is not None and not job.is_finished:
            found.ends(
                {"swap": IS_SWAPPED, "restore": IS_READY, "plan-restore": IS_PLANNED}.get(job.verb.value, SETTLED)
            )
        case "lose" if job is not None and not job.is_finished:
            found.ends(None)
        case "fail" if job is not None and not job.is_finished:
            found.ends(replace(REFUSED, verb=job.verb))
        case "pods":
            pods_end(found)
        case "back" if found.around.safety_backup is not None:
            backed_up(found, *SUCCEEDED)
        case "cancel" | "delete" if found.request.metadata.finalizers:
            give_up(found, what)
        case "wait":
            found.now += timedelta(seconds=30)
        case _:
            pass
