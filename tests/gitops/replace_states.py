"""The states of a RestoreRequest that takes a database's place, or takes that back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.condition import ConditionType, no, yes
from dbcustody.api.meta import ObjectRef
from dbcustody.api.restore import WantedApproval
from dbcustody.contract import Verb
from dbcustody.naming import ANNOTATION_REQUESTED_BY
from dbcustody.reason import Reason
from tests.fakes.consent import JANE, waiting
from tests.fakes.replace_plane import (
    RUNNING,
    at_restore,
    at_safety,
    at_swap,
    backed_up,
    give_up,
    plane,
    pods_end,
    undone_by,
)
from tests.fakes.restore_plane import DROPPED, IS_READY, IS_SWAPPED, UNDO_PLANNED
from tests.fakes.seen import result, with_metadata
from tests.gitops.argocd import Body, Health
from tests.gitops.bodies import body_of
from tests.gitops.state import State
from tests.gitops.swap_life import ALWAYS_FROZEN

if TYPE_CHECKING:
    from dbcustody.contract import JobResult
    from tests.fakes.restore_plane import RestorePlane


def _replaced(plane: RestorePlane, answer: JobResult | None = None, **around: Any) -> Body:
    """Return a RestoreRequest that takes a place after its last Job told *answer*, if any, while *around* is so."""
    plane.around = replace(plane.around, **around)
    if answer is not None:
        plane.ends(answer)
    plane.steps(5)
    return body_of(plane.request)


def _refused(reason: Reason, message: str) -> Body:
    """Return a RestoreRequest that takes a place, whose plan was refused."""
    found = plane()
    found.steps(3)
    return _replaced(found, result(Verb.PLAN_RESTORE, reason, message))


def _without_safety() -> Body:
    found = at_safety()
    backed_up(
        found,
        no(ConditionType.SUCCEEDED, Reason.DUMP_FAILED, "pg_dump: 1"),
        yes(ConditionType.FINISHED, Reason.DUMP_FAILED),
    )
    return _replaced(found)


def _replace_waits_for_a_person() -> Body:
    found = plane(approval=WantedApproval(required=True))
    found.request = with_metadata(found.request, annotations={ANNOTATION_REQUESTED_BY: JANE})
    found.around = replace(found.around, is_stamped=True)
    return body_of(waiting(found).request)


def _undone() -> Body:
    found = plane(undo_of=ObjectRef(name="back"), safety_backup=False)
    found.around = replace(found.around, undone=undone_by())
    found.steps(3)
    found.ends(UNDO_PLANNED)
    found.steps(4)
    pods_end(found)
    found.steps(3)
    return _replaced(found, IS_SWAPPED)


def _dropped() -> Body:
    """Return a RestoreRequest whose old database was dropped in its time."""
    found = at_swap()
    _replaced(found, IS_SWAPPED)
    found.passes(90_000)
    found.steps(3)
    return _replaced(found, DROPPED)


def _cancelled_too_late() -> Body:
    """Return a RestoreRequest that somebody cancels when all is done, and the old database is kept."""
    found = at_swap()
    _replaced(found, IS_SWAPPED)
    found.request = with_metadata(found.request, generation=2)
    give_up(found, "cancel")
    return _replaced(found)


REPLACE_STATES: Final = (
    State(
        "RestoreRequest-not-confirmed",
        Health.DEGRADED,
        lambda: _refused(Reason.NOT_CONFIRMED, "`confirm` is for another server"),
    ),
    State(
        "RestoreRequest-acknowledgement-needed",
        Health.DEGRADED,
        lambda: _refused(Reason.ACKNOWLEDGEMENT_NEEDED, "replication slots: audit"),
    ),
    State("RestoreRequest-already-undone", Health.DEGRADED, lambda: _refused(Reason.ALREADY_UNDONE, "by undo")),
    State("RestoreRequest-safety-backup-failed", Health.DEGRADED, _without_safety),
    State("RestoreRequest-replace-waits-for-a-person", Health.SUSPENDED, _replace_waits_for_a_person),
    State(
        "RestoreRequest-frozen-before-the-swap",
        Health.SUSPENDED,
        lambda: _replaced(at_restore(), IS_READY, freeze_windows=ALWAYS_FROZEN),
    ),
    State(
        "RestoreRequest-may-not-scale",
        Health.PROGRESSING,
        lambda: _replaced(at_restore(), IS_READY, workloads=(replace(RUNNING, refusal="it may not be scaled"),)),
    ),
    State("RestoreRequest-workloads-being-stopped", Health.PROGRESSING, lambda: _replaced(at_restore(), IS_READY)),
    State("RestoreRequest-undone", Health.HEALTHY, _undone),
    State("RestoreRequest-old-database-dropped", Health.HEALTHY, _dropped),
    State("RestoreRequest-cancelled-too-late", Health.HEALTHY, _cancelled_too_late),
)
