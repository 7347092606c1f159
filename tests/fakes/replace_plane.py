"""A RestoreRequest that takes a database's place, brought to the point that a test is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dbcustody.api.backup import BackupScope
from dbcustody.api.condition import ConditionType, merge, yes
from dbcustody.api.database import Workload, WorkloadKind
from dbcustody.contract import Verb
from dbcustody.facts import RestoreFacts
from dbcustody.plan.actions import ScaleWorkload
from dbcustody.plan.restore_case import SeenRestore
from dbcustody.plan.workload import SeenWorkload
from dbcustody.reason import ExitCode, Reason
from tests.fakes import seen
from tests.fakes.restore_plane import IS_PLANNED, IS_READY, OLD, UNDO_PLANNED, RestorePlane, replace_request

WEB = Workload(kind=WorkloadKind.DEPLOYMENT, name="web")
RUNNING = SeenWorkload(kind=WEB.kind, name=WEB.name, replicas=3, running=3)


def plane(**spec: Any) -> RestorePlane:
    """Return a plane with a request of mode Replace, a policy, and a workload of three replicas."""
    around = SeenRestore(
        image=seen.IMAGE,
        database=seen.database(workloads=(WEB,)),
        storage=seen.storage(),
        safety_policy="nightly",
        workloads=(RUNNING,),
    )
    return RestorePlane(request=replace_request(**spec), around=around)


def backed_up(plane: RestorePlane, *said: Any, scope: BackupScope | None = BackupScope.WHOLE) -> None:
    """Let the safety backup, of *scope*, be over, as *said*."""
    backup = plane.around.safety_backup
    assert backup is not None
    conditions = merge((), said, generation=1, now=plane.now)
    plane.around = replace(plane.around, safety_backup=seen.with_status(backup, conditions=conditions, scope=scope))


SUCCEEDED = (yes(ConditionType.FINISHED, Reason.SUCCEEDED), yes(ConditionType.SUCCEEDED, Reason.SUCCEEDED))


def undone_by(**status: Any) -> Any:
    """Return the request that is undone, which is over."""
    conditions = merge((), SUCCEEDED, generation=1, now=seen.NOW)
    return seen.with_status(replace_request("back"), **({"conditions": conditions, "old_database": OLD} | status))


REFUSED = seen.result(Verb.SWAP, Reason.SESSIONS_HELD, "held by postgres (psql, pid 7)")
NOT_DONE = replace(
    seen.result(Verb.SETTLE_RESTORE, Reason.JOB_LOST, "shop: is what it was, and open", restore=RestoreFacts()),
    exit_code=ExitCode.DONE,
)


def stuck(plane: RestorePlane) -> RestorePlane:
    """Return *plane* with workloads that nobody may scale back."""
    plane.around = replace(
        plane.around, workloads=tuple(replace(one, replicas=0, running=0) for one in plane.around.workloads)
    )
    do = plane._do
    plane._do = lambda action: None if isinstance(action, ScaleWorkload) else do(action)  # type: ignore[method-assign]
    return plane


def pods_end(plane: RestorePlane) -> None:
    """Let the pods of scaled workloads end."""
    gone = tuple(replace(one, running=one.replicas or 0) for one in plane.around.workloads)
    plane.around = replace(plane.around, workloads=gone)


def at_safety(**spec: Any) -> RestorePlane:
    """Return a plane on which the safety backup is being taken."""
    found = plane(**spec)
    found.steps(3)
    found.ends(UNDO_PLANNED if "undo_of" in spec else IS_PLANNED)
    found.steps(4)
    return found


def at_restore(**spec: Any) -> RestorePlane:
    """Return a plane on which the restore's Job is there."""
    found = at_safety(**spec)
    if spec.get("safety_backup", True):
        backed_up(found, *SUCCEEDED)
    found.steps(4)
    return found


def at_swap(**spec: Any) -> RestorePlane:
    """Return a plane on which the swap's Job is there."""
    found = at_restore(**spec)
    found.ends(IS_READY)
    found.steps(4)
    pods_end(found)
    found.steps(3)
    return found


def replicas(plane: RestorePlane) -> int | None:
    """Return how many replicas the workload is to have."""
    return plane.around.workloads[0].replicas


def give_up(found: RestorePlane, how: str) -> None:
    """Cancel the request, or delete it."""
    if how == "cancel":
        found.request = replace(found.request, spec=replace(found.request.spec, cancel=True))
        return
    metadata = replace(found.request.metadata, deletion_timestamp=found.now)
    found.request = replace(found.request, metadata=metadata)
