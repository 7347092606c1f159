"""What becomes of an Approval is said on it: it had its effect, or why it has none; nothing is done for one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.approval import Approval, Decision
from dbcustody.api.condition import ConditionType, find
from dbcustody.plan.approval import Given, SeenRequest, Waiting, answer, plan, question_of
from dbcustody.plan.restore_approval import seen_request
from tests.fakes import seen
from tests.fakes.consent import IVAN, JANE, OTHER, approval, asking, say, waiting
from tests.fakes.restore_plane import RestorePlane, at_restore

NO = approval("no", decision=Decision.DENY)


def request_of(plane: RestorePlane) -> SeenRequest:
    """Return the plane's request as Approvals look at it."""
    return seen_request(plane.request, is_stamped=plane.around.is_stamped)


def judged(one: Approval, request: SeenRequest | None) -> Approval:
    """Return *one* with what is said of it."""
    found = plan(one, request, seen.NOW)
    assert found.actions == ()
    assert found.status is not None
    return replace(one, status=found.status)


def words(one: Approval) -> dict[str, tuple[str, str]]:
    """Return what is said of *one*."""
    return {said.type.value: (said.status.value, said.reason.value) for said in one.status.conditions}


def message(one: Approval) -> str:
    """Return the message of Ready."""
    said = find(one.status.conditions, ConditionType.READY)
    assert said is not None
    return said.message


def idle(reason: str) -> dict[str, tuple[str, str]]:
    """Return what is said of an Approval without effect."""
    return {"Ready": ("False", reason), "Stalled": ("True", reason)}


def agreed() -> RestorePlane:
    """Return a plane whose restore was agreed to."""
    plane = waiting()
    say(plane, approval())
    return plane


def refused() -> RestorePlane:
    """Return a plane whose restore was refused."""
    plane = waiting()
    say(plane, NO)
    return plane


def test_a_yes_and_a_no_had_their_effect() -> None:
    """Only once the request says so itself; before that it is being looked at."""
    plane = waiting()
    fresh = judged(approval(), request_of(plane))
    assert words(fresh) == {"Ready": ("Unknown", "Pending"), "Reconciling": ("True", "Pending")}
    assert words(judged(fresh, request_of(agreed()))) == {"Ready": ("True", "Effective")}
    assert message(judged(NO, request_of(refused()))) == "ivan refused plan abcdef (Approval no)"
    assert words(judged(NO, request_of(refused()))) == {"Ready": ("True", "Effective")}
    assert judged(fresh, None).status.observed_generation == 1


@pytest.mark.parametrize(
    ("one", "plane", "reason"),
    [
        pytest.param(approval(), refused(), "Superseded", id="a-yes-beside-a-no"),
        pytest.param(NO, agreed(), "Superseded", id="a-no-after-the-yes"),
        pytest.param(approval(plan_hash=OTHER), waiting(), "Superseded", id="another-plan"),
        pytest.param(approval(), asking(), "Superseded", id="no-plan-yet"),
        pytest.param(approval(age=3601), waiting(), "Superseded", id="an-earlier-request"),
        pytest.param(approval(approver=JANE), waiting(), "ApproverIsRequester", id="the-requester"),
        pytest.param(approval(approver=None), waiting(), "ApproverUnknown", id="not-written-down"),
        pytest.param(approval(), waiting(asking(is_stamped=False)), "ApproverUnknown", id="no-policies"),
        pytest.param(approval(), at_restore(), "ApprovalNotRequired", id="nobody-is-asked"),
        pytest.param(approval(), None, "RequestNotFound", id="no-request"),
    ],
)
def test_what_has_no_effect_says_why(one: Approval, plane: RestorePlane | None, reason: str) -> None:
    """Stalled, because nothing will ever change it."""
    assert words(judged(one, request_of(plane) if plane is not None else None)) == idle(reason)


def test_a_request_that_ended_otherwise_was_decided_by_nobody() -> None:
    """Cancelled is no no of somebody's."""
    plane = waiting()
    plane.request = replace(plane.request, spec=replace(plane.request.spec, cancel=True))
    plane.step()
    late = judged(NO, request_of(plane))
    assert words(late) == idle("Superseded")
    assert message(late) == "it was decided before: nobody had agreed when it ended"


def test_what_had_its_effect_keeps_saying_so() -> None:
    """When the request is gone, or another one has its name; while it is there, what holds now is said."""
    done = judged(approval(), request_of(agreed()))
    assert judged(done, None) == done
    later = agreed()
    later.request = seen.with_metadata(later.request, creation_timestamp=seen.NOW)
    assert judged(done, request_of(later)) == done
    assert words(judged(done, request_of(waiting()))) == {
        "Ready": ("Unknown", "Pending"),
        "Reconciling": ("True", "Pending"),
    }


def question(**values: Any) -> Any:
    """Return jane's question about plan abcdef."""
    metadata = seen.metadata("again", annotations={"dbcustody.dev/requested-by": JANE})
    asked = question_of(metadata, is_required=True, is_stamped=True, plan_hash="abcdef")
    return replace(asked, **values)


def test_times_that_are_not_known_are_not_believed() -> None:
    """In doubt nobody has agreed."""
    timeless = seen.with_metadata(approval(), creation_timestamp=None)
    assert isinstance(answer(question(), [approval()]), Given)
    assert isinstance(answer(question(), [timeless]), Waiting)
    assert isinstance(answer(question(asked_time=None), [approval()]), Waiting)
    assert isinstance(answer(question(asked_time=approval().metadata.creation_timestamp), [approval()]), Waiting)


def test_an_empty_name_is_nobody_s() -> None:
    """An annotation without a value names no requester."""
    metadata = seen.metadata("again", annotations={"dbcustody.dev/requested-by": ""})
    assert question_of(metadata, is_required=True, is_stamped=True, plan_hash=None).requester is None


def test_a_long_list_of_useless_approvals_is_cut() -> None:
    """Three are named, and how many there are besides."""
    found = answer(question(), [approval(name, approver=JANE) for name in "abcde"])
    assert isinstance(found, Waiting)
    assert found.message.endswith(
        "of no effect: a: jane asked for it; b: jane asked for it; c: jane asked for it and 2 more"
    )


def test_names_are_compared_to_the_letter() -> None:
    """Kubernetes tells users apart by case."""
    assert isinstance(answer(question(), [approval(approver="Jane")]), Given)
    assert isinstance(answer(question(requester=IVAN), [approval()]), Waiting)
