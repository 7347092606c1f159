"""Where a restore asks for a second person: between the plan that is told and the Job that carries it out.

An attempt that planned and waits for a person is marked by its reason, so that its Job and its pod may go meanwhile.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbcustody.api.condition import Condition, ConditionStatus, ConditionType, find, merge, no, unknown
from dbcustody.contract import Verb
from dbcustody.plan.approval import SeenRequest, question_of
from dbcustody.plan.gate import Gate, judge_gate
from dbcustody.plan.summary import carried
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.api.restore import RestoreRequest, RestoreRequestStatus
    from dbcustody.plan.restore_case import RestoreCase

AWAITED = "the yes of a second person"


def gate(case: RestoreCase, status: RestoreRequestStatus) -> Gate:
    """Return whether the plan in *status* may be carried out now."""
    seen = seen_request(replace(case.request, status=status), is_stamped=case.seen.is_stamped)
    return judge_gate(seen.question, case.seen.approvals)


def seen_request(request: RestoreRequest, *, is_stamped: bool) -> SeenRequest:
    """Return *request* as Approvals, and whoever counts them, look at it."""
    stated = request.status.plan
    question = question_of(
        request.metadata,
        is_required=request.spec.approval.required,
        is_stamped=is_stamped,
        plan_hash=stated.hash if stated is not None else None,
    )
    return SeenRequest(question=question, conditions=request.status.conditions)


def is_asked(case: RestoreCase) -> bool:
    """Return whether the last attempt's plan stands in status and waits for a person."""
    attempt = case.attempt
    return case.verb is Verb.PLAN_RESTORE and attempt is not None and attempt.reason == Reason.APPROVAL_PENDING


def asked(status: RestoreRequestStatus) -> RestoreRequestStatus:
    """Return *status* with the mark that the plan of its last attempt waits for a person."""
    last = replace(status.attempts[-1], reason=Reason.APPROVAL_PENDING.value)
    return replace(status, attempts=(*status.attempts[:-1], last), job_ref=None)


def told(case: RestoreCase, found: Gate) -> RestoreCase:
    """Return *case* as if what *found* says stood in status, so that it is said too when something else holds the restore up."""
    status, generation = case.status, case.request.metadata.generation
    conditions = merge(
        status.conditions, (*carried(status.conditions), *found.conditions), generation=generation, now=case.now
    )
    return replace(case, request=replace(case.request, status=replace(status, conditions=conditions)))


def planned_anew(case: RestoreCase) -> tuple[Condition, ...]:
    """Return what is said of an approval when its plan does not hold any more."""
    if find(case.status.conditions, ConditionType.APPROVED) is None:
        return ()
    return (unknown(ConditionType.APPROVED, Reason.PLAN_CHANGED, "it was for a plan that does not hold any more"),)


def never_answered(case: RestoreCase, reason: Reason) -> tuple[Condition, ...]:
    """Return what is said of an approval that was awaited when the request ended for *reason*."""
    said = find(case.status.conditions, ConditionType.APPROVED)
    if reason is Reason.DENIED or said is None or said.status is not ConditionStatus.UNKNOWN:
        return ()
    return (no(ConditionType.APPROVED, reason, "nobody had agreed when it ended"),)
