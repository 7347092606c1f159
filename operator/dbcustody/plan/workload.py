"""The workloads of a Database around a swap: stopped by the scale subresource, and started again on every path.

How many replicas each had stands in status before anything is scaled, so whoever goes on, also after a crash, knows what to put back.
Whether nobody is in the database is not judged here: other controllers scale back as they like, and the server refuses them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dbcustody.api.database import Workload, WorkloadKind
from dbcustody.api.restore import StoppedWorkload
from dbcustody.plan.actions import ScaleWorkload
from dbcustody.plan.request import Missing
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenWorkload:
    """A workload as its scale subresource shows it; *replicas* None: it is not there."""

    kind: WorkloadKind
    name: str
    replicas: int | None = None
    running: int = 0
    refusal: str | None = None
    """What the API server says to scaling it; None: it may be done."""


def find_hindrance(wanted: Iterable[Workload], seen: Iterable[SeenWorkload]) -> Missing | None:
    """Return why one of *wanted* could not be stopped and started again, or None."""
    known = {(one.kind, one.name): one for one in seen}
    for workload in wanted:
        found = known.get((workload.kind, workload.name))
        what = f"{workload.kind.value} {workload.name}"
        if found is None or (found.replicas is None and found.refusal is None):
            return Missing(reason=Reason.WORKLOAD_NOT_FOUND, message=f"{what}: does not exist in this namespace")
        if found.refusal is not None:
            return Missing(reason=Reason.SCALE_FORBIDDEN, message=f"{what}: {found.refusal}")
    return None


def remember(wanted: Iterable[Workload], seen: Iterable[SeenWorkload]) -> tuple[StoppedWorkload, ...]:
    """Return *wanted* as they are to be put back."""
    known = {(one.kind, one.name): one.replicas or 0 for one in seen}
    return tuple(
        StoppedWorkload(kind=one.kind, name=one.name, replicas=known.get((one.kind, one.name), 0)) for one in wanted
    )


def stopping(stopped: Iterable[StoppedWorkload], seen: Iterable[SeenWorkload]) -> tuple[ScaleWorkload, ...]:
    """Return what has to be scaled to nothing."""
    known = {(one.kind, one.name): one for one in seen}
    return tuple(
        ScaleWorkload(one.kind, one.name, 0)
        for one in stopped
        if (found := known.get((one.kind, one.name))) is not None and found.replicas
    )


def are_gone(stopped: Iterable[StoppedWorkload], seen: Iterable[SeenWorkload]) -> bool:
    """Return whether no pod of them is left."""
    names = {(one.kind, one.name) for one in stopped}
    return not any(one.replicas or one.running for one in seen if (one.kind, one.name) in names)


def resumed(stopped: Iterable[StoppedWorkload], seen: Iterable[SeenWorkload]) -> tuple[StoppedWorkload, ...]:
    """Return *stopped* with those marked that have replicas again, had none, or are not there any more."""
    known = {(one.kind, one.name): one.replicas for one in seen}
    return tuple(
        replace(one, resumed=one.resumed or one.replicas == 0 or known.get((one.kind, one.name), 0) != 0)
        for one in stopped
    )


def resuming(stopped: Iterable[StoppedWorkload]) -> tuple[ScaleWorkload, ...]:
    """Return what has to be scaled back."""
    return tuple(ScaleWorkload(one.kind, one.name, one.replicas) for one in stopped if not one.resumed)
