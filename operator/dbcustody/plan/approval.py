"""A second person's yes: whether it is needed, given, refused or awaited, and what became of each Approval.

Only what admission policies wrote down is believed, only somebody else than the requester counts, and only for the very plan that was
told for this very request. In doubt nobody has agreed. Nothing here knows what kind of request it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from dbcustody.api.approval import ApprovalStatus, Decision
from dbcustody.api.condition import Condition, ConditionStatus, ConditionType, find, is_true, merge, no, unknown, yes
from dbcustody.naming import ANNOTATION_REQUESTED_BY, named
from dbcustody.plan.actions import Plan
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.api.approval import Approval
    from dbcustody.api.meta import Metadata

NAMES_TOLD: Final = 3
UNSTAMPED: Final = (
    "a second person is required, and the operator was not installed with the admission policies that write down who asks and who"
    " approves: install the chart with `policies.enabled` on Kubernetes 1.36 or newer"
)
NO_REQUESTER: Final = (
    "a second person is required, and nobody wrote down who asked, because the request is older than the admission policies:"
    " file it anew"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a second person, by one request, for one plan."""

    is_required: bool
    is_stamped: bool
    """Whether admission policies write down requesters and approvers."""
    requester: str | None
    asked_time: datetime | None
    """When the request was created: what was said before that was said of another request."""
    plan_hash: str | None
    """None: no plan was told yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRequest:
    """A request as its Approvals look at it."""

    question: Question
    conditions: tuple[Condition, ...] = ()
    is_lasting: bool = False
    """Whether it makes plan after plan: an Approval that had its effect on one of them is not undone by the next one."""


@dataclass(frozen=True, slots=True)
class NotNeeded:
    """Nobody is asked."""


@dataclass(frozen=True, slots=True)
class Given:
    """Somebody else agreed to this plan."""

    message: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nobody who counts has said anything of this plan."""

    message: str


@dataclass(frozen=True, slots=True)
class Denied:
    """Somebody else refused this plan."""

    message: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nobody can be believed, so that nobody is asked and nothing is done."""

    message: str


Answer = NotNeeded | Given | Waiting | Denied | Unavailable


@dataclass(frozen=True, slots=True)
class Void:
    """Why an Approval does not count."""

    reason: Reason
    message: str


def question_of(request: Metadata, *, is_required: bool, is_stamped: bool, plan_hash: str | None) -> Question:
    """Return what the request of that metadata asks of a second person."""
    return Question(
        is_required=is_required,
        is_stamped=is_stamped,
        requester=request.annotations.get(ANNOTATION_REQUESTED_BY) or None,
        asked_time=request.creation_timestamp,
        plan_hash=plan_hash,
    )


def answer(question: Question, approvals: Sequence[Approval]) -> Answer:
    """Return what *approvals* (all those that name the request) come to; one no outweighs any number of yeses."""
    if not question.is_required:
        return NotNeeded()
    if not question.is_stamped:
        return Unavailable(UNSTAMPED)
    if question.requester is None:
        return Unavailable(NO_REQUESTER)
    found = [(one, void(question, one)) for one in approvals]
    valid = [one for one, why in found if why is None]
    for decision, kind in ((Decision.DENY, Denied), (Decision.APPROVE, Given)):
        decided = next((one for one in valid if one.spec.decision is decision), None)
        if decided is not None:
            return kind(_said(decided))
    wanted = f"somebody else than {question.requester} must agree to plan {question.plan_hash}"
    idle = [f"{one.metadata.name}: {why.message}" for one, why in found if why is not None]
    return Waiting(f"{wanted}; of no effect: {named(idle, NAMES_TOLD, separator='; ')}" if idle else wanted)


def void(question: Question, approval: Approval) -> Void | None:
    """Return why *approval* says nothing about *question*; None: it counts."""
    spec = approval.spec
    if not question.is_stamped or spec.approver is None:
        return Void(Reason.APPROVER_UNKNOWN, "no admission policy wrote down who decided")
    if spec.approver == question.requester:
        return Void(Reason.APPROVER_IS_REQUESTER, f"{spec.approver} asked for it")
    if not _is_later(approval, question):
        return Void(Reason.SUPERSEDED, "it is not younger than the request: an earlier one of the same name was meant")
    if spec.plan_hash != question.plan_hash:
        told = "no plan is told" if question.plan_hash is None else f"the plan is {question.plan_hash}"
        return Void(Reason.SUPERSEDED, f"it is about plan {spec.plan_hash}, and {told}")
    return None


def _is_later(approval: Approval, question: Question) -> bool:
    """Return whether *approval* can have been about this very request: a plan takes seconds, so that the same second is too early."""
    said, asked = approval.metadata.creation_timestamp, question.asked_time
    return said is not None and asked is not None and said > asked


def _said(approval: Approval) -> str:
    spec = approval.spec
    verb = "agreed to" if spec.decision is Decision.APPROVE else "refused"
    why = f": {spec.reason}" if spec.reason else ""
    return f"{spec.approver} {verb} plan {spec.plan_hash} (Approval {approval.metadata.name}){why}"


def plan(approval: Approval, request: SeenRequest | None, now: datetime) -> Plan[ApprovalStatus]:
    """Return what is to be said of *approval*; *request* None: there is none of that name. Nothing is ever done for one."""
    if is_true(approval.status.conditions, ConditionType.READY) and _is_of_the_past(approval, request):
        return Plan(status=approval.status)
    generation = approval.metadata.generation
    conditions = merge(approval.status.conditions, _word(approval, request), generation=generation, now=now)
    return Plan(status=replace(approval.status, conditions=conditions, observed_generation=generation))


def _is_of_the_past(approval: Approval, request: SeenRequest | None) -> bool:
    """Return whether the request that *approval* had its effect on is gone, has moved on, or another one has its name."""
    if request is None or not _is_later(approval, request.question):
        return True
    return request.is_lasting and approval.spec.plan_hash != request.question.plan_hash


def _word(approval: Approval, request: SeenRequest | None) -> tuple[Condition, ...]:
    spec = approval.spec
    if request is None:
        place = f"{spec.request_ref.kind.value} {spec.request_ref.name!r}"
        return _idle(Reason.REQUEST_NOT_FOUND, f"{place} is not there in this namespace")
    if not request.question.is_required:
        return _idle(Reason.APPROVAL_NOT_REQUIRED, "the request asks nobody: its `spec.approval.required` is not true")
    why = void(request.question, approval)
    if why is not None:
        return _idle(why.reason, why.message)
    said = find(request.conditions, ConditionType.APPROVED)
    wanted = ConditionStatus.TRUE if spec.decision is Decision.APPROVE else ConditionStatus.FALSE
    if said is None or said.status is ConditionStatus.UNKNOWN:
        message = "the request has not been looked at since"
        return (
            unknown(ConditionType.READY, Reason.PENDING, message),
            yes(ConditionType.RECONCILING, Reason.PENDING, message),
        )
    if said.status is wanted and said.reason in {Reason.APPROVED, Reason.DENIED}:
        return (yes(ConditionType.READY, Reason.EFFECTIVE, _said(approval)),)
    return _idle(Reason.SUPERSEDED, f"it was decided before: {said.message}")


def _idle(reason: Reason, message: str) -> tuple[Condition, ...]:
    """Return the words for an Approval of no effect: it is never changed, so that nothing but another one helps."""
    return no(ConditionType.READY, reason, message), yes(ConditionType.STALLED, reason, message)
