"""Thousands of random lives of a RestoreRequest that takes a database's place, or takes that back, and what every tool says meanwhile."""

# ruff: noqa: D401 - a rule tells what happens in the world, not what to do

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dbcustody.api.approval import Decision
from dbcustody.api.condition import ConditionStatus, ConditionType, find, is_true, merge, yes
from dbcustody.naming import FINALIZER
from dbcustody.plan.restore import plan
from dbcustody.plan.summary import refused_conditions
from dbcustody.reason import Reason
from tests.fakes import restore_plane, seen
from tests.fakes.consent import IVAN, JANE, OTHER, approval
from tests.fakes.control_plane import NEVER
from tests.fakes.replace_plane import RUNNING, SUCCEEDED, WEB, backed_up, pods_end, replicas
from tests.fakes.restore_plane import PLAN
from tests.gitops.bodies import body_of
from tests.gitops.kstatus import waited
from tests.gitops.swap_life import ALWAYS_FROZEN, BACKUP_FAILED, SwapLife
from tests.gitops.tools import Answer, answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.api.restore import RestoreRequestStatus

OFTEN = st.sampled_from([True, True, True, False])
A_DAY_SECONDS = 90_000


class Replaced(RuleBasedStateMachine):
    """The life of a request: what stands in its way comes and goes, Jobs end as they may, operators die, people change their minds."""

    def __init__(self) -> None:
        super().__init__()
        self.life = SwapLife()

    @initialize(
        is_undo=st.booleans(),
        needs_person=st.booleans(),
        safety_backup=OFTEN,
        is_new=OFTEN,
        good_steps=st.integers(0, 20),
    )
    def somebody_asks(
        self, *, is_undo: bool, needs_person: bool, safety_backup: bool, is_new: bool, good_steps: int
    ) -> None:
        """It may have come a good way already before anything happens to it."""
        self.life.asks(is_undo=is_undo, needs_person=needs_person, safety_backup=safety_backup, was_in_place=not is_new)
        self.all_goes_well(good_steps)

    @rule(steps=st.integers(1, 6))
    def all_goes_well(self, steps: int) -> None:
        """For a while."""
        for _ in range(steps):
            self.life.looks()
            self.tools_tell_the_truth()
            self.life.goes_well()
            self.tools_tell_the_truth()

    @rule(dies_after=st.sampled_from([NEVER, NEVER, NEVER, NEVER, 0, 1, 2, 3]), is_just_done=st.booleans())
    def operator_looks(self, dies_after: int, *, is_just_done: bool) -> None:
        """And may be killed on the way; the next one finds what it wrote."""
        self.life.looks(dies_after=dies_after, is_just_done=is_just_done)

    @rule(seconds=st.sampled_from([1, 16, 130, 700, A_DAY_SECONDS]))
    def time_passes(self, seconds: int) -> None:
        """Nobody does anything."""
        self.life.plane.passes(seconds)

    @precondition(lambda self: self.life.at_work is not None)
    @rule(data=st.data(), is_just_done=st.booleans())
    def job_ends(self, data: st.DataObject, *, is_just_done: bool) -> None:
        """As its kind may, or without a word."""
        self.life.ends(data.draw(st.sampled_from(self.life.endings())), is_just_done=is_just_done)

    @precondition(lambda self: self.life.at_work is not None)
    @rule(is_just_done=st.booleans())
    def job_vanishes(self, *, is_just_done: bool) -> None:
        """Somebody deletes it, perhaps when the swap was just done."""
        self.life.vanishes(is_just_done=is_just_done)

    @precondition(lambda self: self.life.plane.around.safety_backup is not None)
    @rule(said=st.sampled_from([SUCCEEDED, SUCCEEDED, BACKUP_FAILED, None]))
    def safety_backup_ends(self, said: Any) -> None:
        """Well or not; None: somebody deletes it."""
        if said is None:
            self.life.around(safety_backup=None)
        else:
            backed_up(self.life.plane, *said)

    @rule()
    def pods_of_workloads_end(self) -> None:
        """Or are there again."""
        pods_end(self.life.plane)

    @rule(what=st.sampled_from(["there", "there", "not there", "forbidden"]))
    def workload_is(self, what: str) -> None:
        """Another controller has it, and rights come and go; how many replicas are wanted is the operator's to say alone."""
        wanted = replicas(self.life.plane)
        there = RUNNING if wanted is None else replace(RUNNING, replicas=wanted, running=wanted)
        found = {
            "there": there,
            "not there": replace(there, replicas=None),
            "forbidden": replace(there, refusal="it may not be scaled"),
        }
        if self.life.plane.request.status.workloads:
            found["not there"] = there  # one that is gone while it is stopped has nothing to come back to
        self.life.around(workloads=(found[what],))

    @rule(
        name=st.sampled_from(["database", "storage", "safety_policy", "rivals", "freeze_windows", "is_stamped"]),
        is_so=OFTEN,
    )
    def something_is_in_the_way(self, name: str, *, is_so: bool) -> None:
        """Or not any more."""
        good: dict[str, Any] = {
            "database": seen.database(workloads=(WEB,)),
            "storage": seen.storage(),
            "safety_policy": "nightly",
            "rivals": (),
            "freeze_windows": (),
            "is_stamped": True,
        }
        bad: dict[str, Any] = {"rivals": ("first",), "freeze_windows": ALWAYS_FROZEN, "is_stamped": False}
        self.life.around(**{name: good[name] if is_so else bad.get(name)})

    @rule(
        approver=st.sampled_from([IVAN, IVAN, JANE, None]),
        plan_hash=st.sampled_from([PLAN.hash, PLAN.hash, OTHER]),
        decision=st.sampled_from([Decision.APPROVE, Decision.APPROVE, Decision.DENY]),
    )
    def person_decides(self, approver: str | None, plan_hash: str, decision: Decision) -> None:
        """Of any plan, in any name."""
        before = self.life.plane.around.approvals
        one = approval(f"a{len(before)}", approver=approver, plan_hash=plan_hash, decision=decision)
        self.life.around(approvals=(*before, one))

    @rule()
    def approvals_are_deleted(self) -> None:
        """All of them."""
        self.life.around(approvals=())

    @precondition(lambda self: not self.life.is_over)
    @rule()
    def api_server_refuses(self) -> None:
        """What was to be done is refused, which is said."""
        request = self.life.plane.request
        said = refused_conditions(Reason.NAME_TAKEN, "exists and belongs to somebody else")
        generation = request.metadata.generation
        if request.status.observed_generation == generation:
            now = merge(request.status.conditions, said, generation=generation, now=self.life.plane.now)
            self.life.plane.request = seen.with_status(request, conditions=now)

    @precondition(lambda self: not self.life.plane.request.spec.cancel)
    @rule()
    def person_cancels(self) -> None:
        """At any time, also when it is over: a new generation."""
        one = seen.with_metadata(self.life.plane.request, generation=self.life.plane.request.metadata.generation + 1)
        self.life.plane.request = replace(one, spec=replace(one.spec, cancel=True))

    @precondition(lambda self: not self.life.plane.request.metadata.is_being_deleted)
    @rule(is_namespace_going=st.sampled_from([False, False, True]), is_meant=st.sampled_from([False, False, True]))
    def person_deletes(self, *, is_namespace_going: bool, is_meant: bool) -> None:
        """It, or its namespace; its generation moves on, too."""
        if is_meant:
            about = self.life.plane.request.metadata
            going = {"deletion_timestamp": self.life.plane.now, "generation": about.generation + 1}
            self.life.plane.request = seen.with_metadata(self.life.plane.request, **going)
            self.life.around(is_namespace_going=is_namespace_going)

    @invariant()
    def tools_tell_the_truth(self) -> None:
        """Success only of what has the name, failure only of what is over; all else goes on, or waits for a person."""
        request = self.life.plane.request
        expected, for_argo = self._expected()
        is_going = request.metadata.is_being_deleted
        body = body_of(request)
        found = answers(body)
        wanted = (Answer.WAITS if is_going else for_argo, expected, Answer.WAITS if is_going else expected)
        assert found == wanted, (found, wanted, request.status.conditions)
        is_seen = request.status.observed_generation == request.metadata.generation
        assert waited(body, "Finished") is (self.life.is_over and is_seen)
        assert waited(body, "Succeeded") is (self._is_good and is_seen)

    def _expected(self) -> tuple[Answer, Answer]:
        """Return what whoever waits is to be told, and what Argo CD is to show besides."""
        request = self.life.plane.request
        if request.status.observed_generation != request.metadata.generation:
            return Answer.WAITS, Answer.WAITS
        if self.life.is_over:
            end = (
                Answer.DONE
                if self._is_good and not self._says(ConditionType.WORKLOADS_RESUMED, "False")
                else Answer.FAILED
            )
            return end, end
        return Answer.WAITS, Answer.PERSON if self._says(ConditionType.APPROVED, "Unknown") else Answer.WAITS

    @invariant()
    def what_is_said_is_so(self) -> None:
        """The end is the server's, whatever was lost on the way; and no swap is tried twice."""
        assert self.life.swaps <= 1
        assert not self._is_good or self.life.is_in_place
        is_lost = self.life.is_over and not self._is_good
        assert not (is_lost and self.life.is_in_place) or self.life.was_in_place
        assert not self._says(ConditionType.WORKLOADS_RESUMED, "True") or replicas(self.life.plane) != 0

    @invariant()
    def a_person_is_waited_for_as_long_as_one_is_needed(self) -> None:
        """That is said, of nothing else, and nothing is swapped before somebody agreed."""
        request = self.life.plane.request
        is_told = self._says(ConditionType.APPROVED, "Unknown")
        is_asked = any(one.reason == Reason.APPROVAL_PENDING for one in request.status.attempts[-1:])
        assert is_told or not is_asked or self.life.is_over
        assert not is_told or request.spec.approval.required
        assert not (self.life.swaps and request.spec.approval.required) or self._says(ConditionType.APPROVED, "True")

    @invariant()
    def the_column_of_what_is_over_stays(self) -> None:
        """Also while the old database is dropped."""
        progress = self.life.plane.request.status.progress
        assert not self._is_good or (progress is not None and progress.summary == "Done")

    def _says(self, kind: ConditionType, status: str) -> bool:
        found = find(self.life.plane.request.status.conditions, kind)
        return found is not None and found.status is ConditionStatus(status)

    @property
    def _is_good(self) -> bool:
        return is_true(self.life.plane.request.status.conditions, ConditionType.SUCCEEDED)

    def teardown(self) -> None:
        """Nobody waits for ever: once everything is there and everybody agrees, all tools know the end, also after the old one is gone."""
        for _ in range(60):
            if self.life.is_over or self.life.is_gone:
                break
            self.life.is_helped()
            self.life.looks()
            self.life.goes_well()
            self.life.plane.passes(400)
        self.life.looks()
        self._check_the_end()
        self.life.plane.passes(A_DAY_SECONDS)
        for _ in range(12):
            self.life.is_helped()
            self.life.looks()
            self.life.goes_well()
            self.life.plane.passes(4000)
        self._check_the_end()
        old = self.life.plane.request.status.old_database
        is_kept = old is not None and old.dropped_time is None
        assert not is_kept or self.life.plane.request.metadata.is_being_deleted

    def _check_the_end(self) -> None:
        self.tools_tell_the_truth()
        self.what_is_said_is_so()
        self.the_column_of_what_is_over_stays()
        if self.life.is_gone:
            return
        assert self.life.is_over
        assert FINALIZER not in self.life.plane.request.metadata.finalizers
        assert answers(body_of(self.life.plane.request))[0] in {Answer.DONE, Answer.FAILED}


TestReplaced = Replaced.TestCase
TestReplaced.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.parametrize("is_just_done", [True, False])
def test_a_swap_whose_job_vanishes_before_anybody_looks_comes_to_its_end(*, is_just_done: bool) -> None:
    """Its Job is made again in its own name, and adopts a swap that is done; deleted once it was seen, the server is asked."""
    life = SwapLife()
    life.asks(is_undo=False, needs_person=False, safety_backup=True, was_in_place=False)
    while not life.swaps:
        life.goes_well()
        life.looks()
    life.vanishes(is_just_done=is_just_done)
    life.looks()
    assert (life.swaps, life.unseen_swaps, life.plane.verbs.count("swap")) == (1, 1, 1)
    life.looks()
    life.vanishes(is_just_done=False)
    for _ in range(6):
        life.looks()
        life.goes_well()
    assert (life.swaps, life.is_over) == (1, True)
    assert is_true(life.plane.request.status.conditions, ConditionType.SUCCEEDED) is is_just_done


def _early(status: RestoreRequestStatus) -> RestoreRequestStatus:
    """Success is said as soon as the data is restored, before the swap."""
    if not status.attempts or status.attempts[-1].reason != Reason.RESTORED:
        return status
    said = [
        yes(kind, Reason.SUCCEEDED) for kind in (ConditionType.READY, ConditionType.FINISHED, ConditionType.SUCCEEDED)
    ]
    return replace(
        status, conditions=merge(status.conditions, said, generation=status.observed_generation, now=seen.NOW)
    )


def _hanging(status: RestoreRequestStatus) -> RestoreRequestStatus:
    """A failure goes on being worked at."""
    conditions = tuple(one for one in status.conditions if one.type is not ConditionType.STALLED)
    return replace(status, conditions=conditions)


def _impatient(status: RestoreRequestStatus) -> RestoreRequestStatus:
    """Nobody is told that a person is waited for."""
    conditions = tuple(one for one in status.conditions if one.type is not ConditionType.APPROVED)
    return replace(status, conditions=conditions)


def _of_yesterday(status: RestoreRequestStatus) -> RestoreRequestStatus:
    """What is over does not look at a later generation."""
    return replace(status, observed_generation=1) if is_true(status.conditions, ConditionType.FINISHED) else status


@pytest.mark.parametrize("lie", [_early, _hanging, _impatient, _of_yesterday])
def test_a_plan_that_lies_is_found_out(
    lie: Callable[[RestoreRequestStatus], RestoreRequestStatus], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lives above are long and many enough to meet each of these."""

    def lying(*seen_now: Any) -> Any:
        found = plan(*seen_now)
        return replace(found, status=lie(found.status)) if found.status is not None else found

    monkeypatch.setattr(restore_plane, "plan", lying)
    found = settings(TestReplaced.settings, phases=(Phase.generate,), derandomize=True, database=None)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Replaced, settings=found)
