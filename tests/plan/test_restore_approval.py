"""A restore that needs a second person: it is planned, waits, and is carried out only by the yes of somebody else to that very plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbcustody.api.approval import Approval, Decision
from dbcustody.api.condition import ConditionType
from dbcustody.contract import Verb
from dbcustody.plan.actions import Count
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.consent import IS_PLANNED_OTHERWISE, IVAN, JANE, OTHER, approval, asking, say, waiting
from tests.fakes.restore_plane import IS_PLANNED, IS_RESTORED, PLAN, RestorePlane, at_restore

APPROVED = ConditionType.APPROVED
CHANGED = seen.result(Verb.RESTORE, Reason.PLAN_CHANGED, "the plan is another one now")
NO = approval("no", decision=Decision.DENY, reason="wrong day")


def planned_anew(plane: RestorePlane) -> RestorePlane:
    """Let the restore find another plan, and that one be told."""
    plane.ends(CHANGED)
    plane.steps(2)
    assert plane.word(APPROVED) == ("Unknown", "PlanChanged")
    plane.ends(IS_PLANNED_OTHERWISE)
    plane.steps(3)
    return plane


def test_who_does_not_ask_is_not_made_to_wait() -> None:
    """Without the wish nothing is said of approvals, whatever lies there."""
    plane = RestorePlane()
    plane.around = replace(plane.around, approvals=(NO,), is_stamped=True)
    at_restore(plane)
    assert plane.verbs == ["plan-restore", "restore"]
    assert plane.word(APPROVED) is None


def test_the_plan_is_told_and_waits() -> None:
    """No Job runs, the status tells what is awaited, and it is written once."""
    plane = waiting()
    before = plane.request.status
    plane.passes(86_400)
    plane.steps(3)

    assert plane.request.status == before
    assert (plane.verbs, len(plane.started)) == (["plan-restore"], 1)
    assert plane.word(APPROVED) == ("Unknown", "ApprovalPending")
    assert plane.word(ConditionType.READY) == plane.word(ConditionType.SUCCEEDED) == ("Unknown", "ApprovalPending")
    assert plane.word(ConditionType.RECONCILING) == ("True", "ApprovalPending")
    assert plane.word(ConditionType.TARGET_SAFE) == ("True", "TargetSafe")
    assert plane.message(APPROVED) == "somebody else than jane must agree to plan abcdef"
    assert (before.plan, before.progress.waiting_for if before.progress else "") == (PLAN, "the yes of a second person")
    assert sum(isinstance(action, Count) for action in plane.actions) == 1


@pytest.mark.parametrize("gone", ["job", "pod"])
def test_the_job_that_planned_is_not_needed_any_more(gone: str) -> None:
    """A person may take days: nodes are drained meanwhile."""
    plane = waiting()
    name = plane.name
    if gone == "job":
        plane.jobs.clear()
    else:
        plane.jobs[name] = replace(plane.jobs[name], pods=())
    plane.steps(2)
    assert plane.word(APPROVED) == ("Unknown", "ApprovalPending")
    say(plane, approval())
    assert plane.verbs == ["plan-restore", "restore"]


def test_somebody_else_s_yes_lets_that_plan_be_carried_out() -> None:
    """Once, and who it was stands in status to the end."""
    plane = waiting()
    say(plane, approval(reason="looked at"))
    assert plane.verbs == ["plan-restore", "restore"]
    assert plane.asked().restore.plan_hash == PLAN.hash
    assert plane.word(APPROVED) == ("True", "Approved")
    assert plane.message(APPROVED) == "ivan agreed to plan abcdef (Approval yes): looked at"
    plane.ends(IS_RESTORED)
    plane.steps(2)
    assert plane.word(ConditionType.SUCCEEDED) == ("True", "Succeeded")
    assert plane.word(APPROVED) == ("True", "Approved")
    assert sum(isinstance(action, Count) for action in plane.actions) == 2


@pytest.mark.parametrize("with_a_yes", [True, False])
def test_a_no_ends_the_request(*, with_a_yes: bool) -> None:
    """Whoever else says yes."""
    plane = waiting()
    say(plane, NO, *((approval(),) if with_a_yes else ()))
    assert plane.verbs == ["plan-restore"]
    for kind in (APPROVED, ConditionType.SUCCEEDED, ConditionType.READY, ConditionType.RESTORED):
        assert plane.word(kind) == ("False", "Denied")
    assert plane.word(ConditionType.FINISHED) == plane.word(ConditionType.STALLED) == ("True", "Denied")
    assert plane.message(APPROVED) == "ivan refused plan abcdef (Approval no): wrong day"
    assert plane.request.status.plan == PLAN


BAD = [
    pytest.param(approval(approver=JANE), "jane asked for it", id="the-requester"),
    pytest.param(approval(approver=None), "no admission policy wrote down who decided", id="nobody-knows-who"),
    pytest.param(approval(plan_hash=OTHER), "it is about plan fedcba, and the plan is abcdef", id="another-plan"),
    pytest.param(approval(age=3600), "it is not younger than the request", id="an-earlier-request"),
    pytest.param(approval(approver=JANE, decision=Decision.DENY), "jane asked for it", id="the-requester-s-no"),
]


@pytest.mark.parametrize(("one", "why"), BAD)
def test_who_does_not_count_is_told(one: Approval, why: str) -> None:
    """It goes on waiting, and says which Approval is of no effect and why."""
    plane = waiting()
    say(plane, one)
    assert plane.verbs == ["plan-restore"]
    assert plane.word(APPROVED) == ("Unknown", "ApprovalPending")
    assert f"; of no effect: yes: {why}" in plane.message(APPROVED)


def test_another_plan_needs_another_yes() -> None:
    """What was agreed to does not hold for what is told after the server changed."""
    plane = waiting()
    say(plane, approval())
    planned_anew(plane)
    assert plane.verbs == ["plan-restore", "restore", "plan-restore"]
    assert plane.word(APPROVED) == ("Unknown", "ApprovalPending")
    say(plane, approval("again", plan_hash=OTHER))
    assert plane.verbs[-1] == "restore"
    assert plane.asked().restore.plan_hash == OTHER


def test_the_same_plan_told_again_is_still_agreed_to() -> None:
    """And one that was refused meanwhile is over at once, its Job counted."""
    plane = waiting()
    say(plane, approval())
    plane.ends(CHANGED)
    plane.steps(2)
    plane.ends(IS_PLANNED)
    plane.steps(2)
    assert plane.verbs[-2:] == ["plan-restore", "restore"]
    plane.ends(CHANGED)
    plane.steps(2)
    plane.ends(IS_PLANNED)
    say(plane, NO)
    assert plane.word(ConditionType.SUCCEEDED) == ("False", "Denied")
    assert sum(isinstance(action, Count) for action in plane.actions) == 3


@pytest.mark.parametrize(
    ("plane", "helps"),
    [
        pytest.param(asking(is_stamped=False), "`policies.enabled`", id="no-policies"),
        pytest.param(asking(None), "file it anew", id="older-than-the-policies"),
    ],
)
def test_where_nobody_can_be_believed_nothing_is_done(plane: RestorePlane, helps: str) -> None:
    """The plan is told, the request is held up, and no Approval helps."""
    waiting(plane)
    say(plane, approval(), NO)
    assert plane.verbs == ["plan-restore"]
    assert plane.word(APPROVED) == ("Unknown", "ApprovalUnavailable")
    assert plane.word(ConditionType.READY) == ("False", "ApprovalUnavailable")
    assert plane.word(ConditionType.FINISHED) == ("False", "ApprovalUnavailable")
    assert helps in plane.message(APPROVED)
    plane.around = replace(plane.around, is_stamped=True)
    plane.steps(2)
    is_known = plane.request.metadata.annotations != {}
    assert plane.word(ConditionType.FINISHED) == (("True", "Denied") if is_known else ("False", "ApprovalUnavailable"))


def test_what_is_cancelled_is_not_awaited_any_more() -> None:
    """Nobody is asked for a yes to what is over."""
    plane = waiting()
    plane.request = replace(plane.request, spec=replace(plane.request.spec, cancel=True))
    plane.step()
    assert plane.word(ConditionType.SUCCEEDED) == ("False", "Cancelled")
    assert plane.word(APPROVED) == ("False", "Cancelled")
    assert plane.message(APPROVED) == "nobody had agreed when it ended"


def test_a_yes_is_told_although_something_else_is_missing() -> None:
    """The storage went away while a person thought about it; when it is back, the restore begins without asking again."""
    plane = waiting()
    there = plane.around
    plane.around = replace(there, storage=None)
    say(plane, approval())
    assert plane.word(APPROVED) == ("True", "Approved")
    assert plane.word(ConditionType.READY) == ("False", "StorageNotFound")
    plane.around = replace(there, approvals=(approval(),))
    plane.steps(2)
    assert plane.verbs == ["plan-restore", "restore"]


def bad_approvals() -> st.SearchStrategy[Approval]:
    """Return Approvals of every kind that must not count for the plan `abcdef` of jane's request."""
    by_anybody = st.sampled_from([IVAN, JANE, "", None])
    ages = st.integers(0, 7200)
    decisions = st.sampled_from(Decision)
    anything = st.builds(
        approval,
        st.sampled_from("abc"),
        approver=by_anybody,
        plan_hash=st.sampled_from(["abcdef", OTHER, "0"]),
        age=ages,
    )
    other_plan = st.builds(
        approval, st.sampled_from("abc"), plan_hash=st.sampled_from([OTHER, "0"]), decision=decisions
    )
    return anything.filter(is_bad) | other_plan


def is_bad(one: Approval) -> bool:
    """Return whether *one* must not count, in other words than those of the code."""
    created = one.metadata.creation_timestamp
    assert created is not None
    is_old = created <= seen.NOW - timedelta(hours=1)
    return one.spec.approver in {JANE, None} or one.spec.plan_hash != "abcdef" or is_old


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(bad_approvals(), max_size=4), max_size=6))
def test_no_sequence_of_approvals_that_do_not_count_lets_a_restore_begin(days: list[list[Approval]]) -> None:
    """By the requester, by nobody, for other plans, for earlier requests: come and go as they may."""
    plane = waiting()
    for day in days:
        plane.around = replace(plane.around, approvals=tuple(day))
        plane.passes(86_400)
        plane.steps(3)
        assert plane.verbs == ["plan-restore"]
        assert plane.word(APPROVED) == ("Unknown", "ApprovalPending")
    say(plane, approval("at-last"))
    assert plane.verbs == ["plan-restore", "restore"]
