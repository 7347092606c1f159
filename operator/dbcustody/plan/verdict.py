"""Whether what was asked for came to its good end: the question of everybody who waits, a person or a script."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from dbcustody.api.glance import ONE_SHOT
from dbcustody.guidance import GUIDANCE, Guidance
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.api.glance import Glance, Said


class End(Enum):
    """How it stands."""

    GOOD = "good"
    FAILED = "failed"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it stands, and why."""

    end: End
    reason: str = ""
    message: str = ""


def judge(resource: Glance | None) -> Verdict:
    """Return whether *resource* (None: not there) came to its good end, failed for good, or may still do either.

    What is done once is judged by its end, which no later edit changes; anything else by what was said of the spec that stands there now.
    """
    if resource is None:
        return Verdict(End.PENDING, message="is not there")
    if resource.kind in ONE_SHOT and resource.is_true("Finished"):
        return _verdict(End.GOOD if resource.is_true("Succeeded") else End.FAILED, resource.said("Succeeded"))
    if not resource.is_current:
        return Verdict(End.PENDING, Reason.PENDING.value, "the operator has not looked at this generation yet")
    if resource.is_true("Stalled"):
        return _verdict(End.FAILED, resource.said("Stalled"))
    is_good = resource.kind not in ONE_SHOT and resource.is_true("Ready")
    return _verdict(End.GOOD if is_good else End.PENDING, resource.said("Ready"))


def guidance_of(reason: str) -> Guidance | None:
    """Return what is known of *reason*, or None when a newer operator said it."""
    try:
        return GUIDANCE[Reason(reason)]
    except ValueError:
        return None


def remedy_of(reason: str) -> str:
    """Return what helps against *reason*; empty when nothing has to be done, or nothing is known."""
    guidance = guidance_of(reason)
    return "" if guidance is None or guidance.remedy.startswith("nothing to do") else guidance.remedy


def _verdict(end: End, said: Said | None) -> Verdict:
    return Verdict(end) if said is None else Verdict(end, said.reason, said.message)
