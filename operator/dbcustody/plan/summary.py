"""The summary of a resource in the words that kubectl, Argo CD and Flux understand: Ready, and while true Reconciling or Stalled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.api.condition import ABSENT_UNLESS_TRUE, ConditionStatus, ConditionType, find, no, unknown, yes
from dbcustody.guidance import GUIDANCE
from dbcustody.plan.job_lifecycle import Stand
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.api.condition import Condition
    from dbcustody.plan.job_lifecycle import Verdict


def starting_conditions(before: Sequence[Condition], *, is_new_spec: bool, what: str) -> tuple[Condition, ...]:
    """Return what is said when an examination starts: a routine one is not worth a word."""
    if not is_new_spec:
        return carried(before)
    return (
        unknown(ConditionType.READY, Reason.PENDING, what),
        yes(ConditionType.RECONCILING, Reason.PENDING, what),
    )


def waiting_conditions(before: Sequence[Condition], verdict: Verdict) -> tuple[Condition, ...]:
    """Return what is said while the Job goes on: nothing new unless something keeps it from running."""
    if verdict.stand is not Stand.BLOCKED:
        return carried(before)
    return (
        no(ConditionType.READY, verdict.reason, verdict.message),
        yes(ConditionType.RECONCILING, verdict.reason, verdict.message),
    )


def failed_conditions(reason: Reason, message: str) -> tuple[Condition, ...]:
    """Return the summary of a failure: Stalled when a person has to act, Reconciling when trying again may help."""
    needs_person = GUIDANCE[reason].exit_code in {ExitCode.REFUSED, ExitCode.BUG}
    summary = ConditionType.STALLED if needs_person else ConditionType.RECONCILING
    return (no(ConditionType.READY, reason, message), yes(summary, reason, message))


def suspended_conditions(before: Sequence[Condition]) -> tuple[Condition, ...]:
    """Return what is said of a suspended resource: the last verdict stands, and nothing is under way.

    One that is not ready is Stalled too: only a person's edit brings it on, and whoever waits for it would wait for ever.
    """
    ready = find(before, ConditionType.READY)
    message = "nothing is examined while `spec.suspend` is true"
    if ready is not None and ready.is_true:
        return (yes(ConditionType.READY, Reason.SUSPENDED, message),)
    say = unknown if ready is None or ready.status is ConditionStatus.UNKNOWN else no
    return (say(ConditionType.READY, Reason.SUSPENDED, message), yes(ConditionType.STALLED, Reason.SUSPENDED, message))


def carried(before: Sequence[Condition]) -> tuple[Condition, ...]:
    """Return the abnormal conditions as they stood, so that they do not flicker."""
    return tuple(condition for condition in before if condition.type in ABSENT_UNLESS_TRUE)


def refused_conditions(reason: Reason, message: str) -> tuple[Condition, ...]:
    """Return what is said when the API server refuses what the plan wanted: it is tried again, and may be allowed then."""
    return (no(ConditionType.READY, reason, message), yes(ConditionType.RECONCILING, reason, message))
