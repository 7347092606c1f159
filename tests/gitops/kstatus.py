"""What kstatus, and so Flux without expressions, makes of a resource, and what `kubectl wait` does: the rules in our own words."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class KStatus(StrEnum):
    """The words of kstatus."""

    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    CURRENT = "Current"
    TERMINATING = "Terminating"


def kstatus_of(body: Mapping[str, Any]) -> KStatus:
    """Return what kstatus says: deletion, generations, Reconciling and Stalled in the order in which they stand, then Ready."""
    about, status = body["metadata"], body.get("status", {})
    if about.get("deletionTimestamp"):
        return KStatus.TERMINATING
    if status.get("observedGeneration", about["generation"]) != about["generation"]:
        return KStatus.IN_PROGRESS
    conditions = status.get("conditions", [])
    abnormal = {"Reconciling": KStatus.IN_PROGRESS, "Stalled": KStatus.FAILED}
    for one in conditions:
        if one["type"] in abnormal and one["status"] == "True":
            return abnormal[one["type"]]
    ready = [one["status"] for one in conditions if one["type"] == "Ready"]
    return KStatus.CURRENT if ready in ([], ["True"]) else KStatus.IN_PROGRESS


def waited(body: Mapping[str, Any], kind: str) -> bool:
    """Return whether `kubectl wait --for=condition=KIND` is over: it believes no condition of an older generation."""
    status = body.get("status", {})
    for one in status.get("conditions", []):
        if one["type"] == kind:
            seen = one.get("observedGeneration", status.get("observedGeneration"))
            return one["status"] == "True" and (seen is None or seen >= body["metadata"]["generation"])
    return False
