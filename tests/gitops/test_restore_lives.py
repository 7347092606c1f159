"""Thousands of random lives of a RestoreRequest, and at every moment of them what Argo CD, Flux, kstatus and `kubectl wait` would say."""

# ruff: noqa: D401 - a rule tells what happens in the world, not what to do

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dbcustody.api.approval import Decision
from dbcustody.api.condition import ConditionStatus, ConditionType, find, is_true
from dbcustody.contract import JobResult, Verb
from dbcustody.facts import RestoreFacts
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.consent import IS_PLANNED_OTHERWISE, IVAN, JANE, OTHER, approval, asking
from tests.fakes.restore_plane import IS_PLANNED, IS_RESTORED, SETTLED, RestorePlane
from tests.gitops.bodies import body_of
from tests.gitops.kstatus import waited
from tests.gitops.tools import Answer, answers

ADOPTED: Final = seen.result(Verb.PLAN_RESTORE, Reason.ADOPTED, restore=RestoreFacts(is_handed_over=True))
FOUND: Final = seen.result(Verb.SETTLE_RESTORE, Reason.RESTORED, restore=RestoreFacts(is_handed_over=True))
PLANS: Final = (IS_PLANNED, IS_PLANNED_OTHERWISE)
ANSWERS: Final[dict[Verb, list[JobResult | None]]] = {
    Verb.PLAN_RESTORE: [*PLANS, *PLANS, ADOPTED, seen.result(Verb.PLAN_RESTORE, Reason.ROLES_MISSING), None],
    Verb.RESTORE: [
        IS_RESTORED,
        seen.result(Verb.RESTORE, Reason.CHECKS_FAILED),
        seen.result(Verb.RESTORE, Reason.PLAN_CHANGED),
        seen.result(Verb.RESTORE, Reason.CONNECTION_LOST),
        seen.result(Verb.RESTORE, Reason.TIMED_OUT),
        None,
    ],
    Verb.SETTLE_RESTORE: [SETTLED, FOUND, seen.result(Verb.SETTLE_RESTORE, Reason.HOST_UNREACHABLE), None],
}
"""What a Job of each kind may end with; None: without a word."""


class Watched(RuleBasedStateMachine):
    """The life of a request: Jobs run, end, vanish, references come and go, somebody cancels, the operator looks or does not."""

    def __init__(self) -> None:
        super().__init__()
        self.plane = RestorePlane()
        self.is_handed_over = False

    @initialize(requester=st.sampled_from([None, JANE]), is_stamped=st.sampled_from([True, True, False]))
    def somebody_asks(self, requester: str | None, *, is_stamped: bool) -> None:
        """Half of the requests need a second person; None: this one does not."""
        if requester is not None:
            self.plane = asking(requester, is_stamped=is_stamped)

    @rule()
    def operator_looks(self) -> None:
        """One step; a restore that needs a second person begins only when one agreed to that plan, and none refused it."""
        before = self.plane.verbs
        self.plane.step()
        began = len(self.plane.verbs) > len(before) and self.plane.verbs[-1] == Verb.RESTORE
        if began and self.plane.request.spec.approval.required:
            assert self.plane.around.is_stamped
            assert self._decisions_that_count() == {Decision.APPROVE}

    def _decisions_that_count(self) -> set[Decision]:
        """Return what people other than the requester said of the plan that is told."""
        told = self.plane.request.status.plan
        return {
            one.spec.decision
            for one in self.plane.around.approvals
            if told is not None and one.spec.plan_hash == told.hash and one.spec.approver == IVAN
        }

    @rule(
        approver=st.sampled_from([IVAN, IVAN, JANE, None]),
        plan_hash=st.sampled_from(["abcdef", OTHER, "0"]),
        decision=st.sampled_from([Decision.APPROVE, Decision.APPROVE, Decision.DENY]),
    )
    def person_decides(self, approver: str | None, plan_hash: str, decision: Decision) -> None:
        """Of any plan, in any name."""
        one = approval(
            f"a{len(self.plane.around.approvals)}", approver=approver, plan_hash=plan_hash, decision=decision
        )
        self.plane.around = replace(self.plane.around, approvals=(*self.plane.around.approvals, one))

    @rule()
    def approvals_are_deleted(self) -> None:
        """All of them."""
        self.plane.around = replace(self.plane.around, approvals=())

    @rule(seconds=st.sampled_from([1, 16, 400]))
    def time_passes(self, seconds: int) -> None:
        """Nobody does anything."""
        self.plane.passes(seconds)

    @precondition(lambda self: self.at_work)
    @rule()
    def pod_runs(self) -> None:
        """The last Job's pod works."""
        self.plane.runs()

    @precondition(lambda self: self.at_work)
    @rule(data=st.data())
    def job_ends(self, data: st.DataObject) -> None:
        """The last Job ends, as its kind may."""
        verb = self.plane.jobs[self.plane.name].verb
        answer = data.draw(st.sampled_from(ANSWERS[verb]))
        self.plane.ends(answer)
        self.is_handed_over |= answer is not None and answer.restore is not None and answer.restore.is_handed_over

    @precondition(lambda self: self.at_work)
    @rule()
    def job_vanishes(self) -> None:
        """Somebody deletes it."""
        self.plane.jobs.pop(self.plane.name)

    @rule(is_there=st.booleans())
    def storage_comes_or_goes(self, *, is_there: bool) -> None:
        """References are applied in any order."""
        self.plane.around = replace(self.plane.around, storage=seen.storage() if is_there else None)

    @precondition(lambda self: not self.plane.request.spec.cancel)
    @rule()
    def person_cancels(self) -> None:
        """A new generation."""
        one = seen.with_metadata(self.plane.request, generation=2)
        self.plane.request = replace(one, spec=replace(one.spec, cancel=True))

    @invariant()
    def tools_tell_the_truth(self) -> None:
        """Success only of what was handed over, failure only of what is over; everything else goes on, or waits for a person."""
        request = self.plane.request
        is_over = is_true(request.status.conditions, ConditionType.FINISHED)
        is_good = is_true(request.status.conditions, ConditionType.SUCCEEDED)
        is_seen = request.status.observed_generation == request.metadata.generation
        assert not is_good or self.is_handed_over
        verdict = Answer.DONE if is_good else Answer.FAILED
        expected = verdict if is_over and is_seen else Answer.WAITS

        asked = find(request.status.conditions, ConditionType.APPROVED)
        is_asked = asked is not None and asked.status is ConditionStatus.UNKNOWN
        for_a_person = Answer.PERSON if is_asked and is_seen and not is_over else expected

        body = body_of(request)
        assert answers(body) == (for_a_person, expected, expected)
        assert waited(body, "Finished") is (expected is not Answer.WAITS)
        assert waited(body, "Succeeded") is (expected is Answer.DONE)

    def teardown(self) -> None:
        """Nobody waits for ever: once the references are there, somebody agreed and Jobs end, all tools know the end."""
        said = (approval("now"), approval("then", plan_hash=OTHER))
        self.plane.around = replace(self.plane.around, storage=seen.storage(), approvals=said, is_stamped=True)
        for _ in range(60):
            self.plane.step()
            if self.at_work:
                last = {Verb.PLAN_RESTORE: IS_PLANNED, Verb.RESTORE: IS_RESTORED, Verb.SETTLE_RESTORE: FOUND}
                self.plane.ends(last[self.plane.jobs[self.plane.name].verb])
                self.is_handed_over = True
            self.plane.passes(400)
        assert is_true(self.plane.request.status.conditions, ConditionType.FINISHED)
        self.tools_tell_the_truth()

    @property
    def at_work(self) -> bool:
        """Whether the last attempt's Job is there and has not ended."""
        attempts = self.plane.request.status.attempts
        job = self.plane.jobs.get(attempts[-1].job_name) if attempts else None
        return job is not None and not job.is_finished


TestWatched = Watched.TestCase
TestWatched.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
