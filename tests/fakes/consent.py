"""A restore that `jane` asks for and somebody else has to agree to, and the Approvals that people write about it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.approval import Approvable, Approval, ApprovalSpec, Decision, RequestRef
from dbcustody.api.restore import WantedApproval
from dbcustody.naming import ANNOTATION_REQUESTED_BY
from tests.fakes import seen
from tests.fakes.restore_plane import IS_PLANNED, PLAN, PLANNED, RestorePlane, restore_request

if TYPE_CHECKING:
    from dbcustody.api.restore import RestoreRequest

JANE: Final = "jane"
IVAN: Final = "ivan"
OTHER: Final = "fedcba"
"""The hash of another plan."""
IS_PLANNED_OTHERWISE: Final = replace(IS_PLANNED, restore=replace(PLANNED, plan=replace(PLAN, hash=OTHER)))


def asking_request(requester: str | None = JANE) -> RestoreRequest:
    """Return a RestoreRequest that needs a second person, as the admission policies leave it; None: they were not there."""
    request = restore_request(approval=WantedApproval(required=True))
    annotations = {} if requester is None else {ANNOTATION_REQUESTED_BY: requester}
    found: RestoreRequest = seen.with_metadata(request, annotations=annotations)
    return found


def asking(requester: str | None = JANE, *, is_stamped: bool = True) -> RestorePlane:
    """Return a plane on which nothing was done yet."""
    plane = RestorePlane(request=asking_request(requester))
    plane.around = replace(plane.around, is_stamped=is_stamped)
    return plane


def waiting(plane: RestorePlane | None = None) -> RestorePlane:
    """Return a plane on which the plan was told."""
    plane = plane or asking()
    plane.steps(2)
    plane.ends(IS_PLANNED)
    plane.steps(2)
    return plane


def approval(
    name: str = "yes",
    *,
    approver: str | None = IVAN,
    plan_hash: str = PLAN.hash,
    decision: Decision = Decision.APPROVE,
    age: float = 60,
    **spec: Any,
) -> Approval:
    """Return an Approval of the request `again`, written *age* seconds ago, that was never looked at."""
    about = RequestRef(kind=Approvable.RESTORE_REQUEST, name="again")
    wanted = ApprovalSpec(request_ref=about, plan_hash=plan_hash, decision=decision, approver=approver, **spec)
    return Approval(metadata=seen.metadata(name, creation_timestamp=seen.ago(age)), spec=wanted)


def say(plane: RestorePlane, *approvals: Approval) -> None:
    """Have people write *approvals*, and the operator look twice."""
    plane.around = replace(plane.around, approvals=(*plane.around.approvals, *approvals))
    plane.steps(2)
