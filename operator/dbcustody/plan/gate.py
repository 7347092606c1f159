"""Whether a told plan may be carried out, by what a second person said of it: the same for every kind that asks for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbcustody.api.condition import Condition, ConditionType, unknown, yes
from dbcustody.plan.approval import Denied, Given, Unavailable, Waiting, answer
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.api.approval import Approval
    from dbcustody.plan.approval import Question


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether the plan that stands in status may be carried out: *is_open*, *is_shut* for good, or neither: it is waited."""

    reason: Reason
    message: str
    is_open: bool = False
    is_shut: bool = False
    conditions: tuple[Condition, ...] = ()


def judge_gate(question: Question, approvals: Sequence[Approval]) -> Gate:
    """Return whether the plan that *question* is about may be carried out now."""
    match answer(question, approvals):
        case Given(message):
            said = (yes(ConditionType.APPROVED, Reason.APPROVED, message),)
            return Gate(Reason.APPROVED, message, is_open=True, conditions=said)
        case Denied(message):
            return Gate(Reason.DENIED, message, is_shut=True)
        case Waiting(message):
            said = (unknown(ConditionType.APPROVED, Reason.APPROVAL_PENDING, message),)
            return Gate(Reason.APPROVAL_PENDING, message, conditions=said)
        case Unavailable(message):
            said = (unknown(ConditionType.APPROVED, Reason.APPROVAL_UNAVAILABLE, message),)
            return Gate(Reason.APPROVAL_UNAVAILABLE, message, conditions=said)
        case _:
            return Gate(Reason.APPROVAL_NOT_REQUIRED, "nobody is asked", is_open=True)
