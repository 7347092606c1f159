"""A RestoreRequest that takes a database's place, or takes that back, through its life; and what is really so on the server meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.condition import ConditionType, is_true, no, yes
from dbcustody.api.meta import ObjectRef
from dbcustody.api.restore import WantedApproval
from dbcustody.contract import JobResult, Verb
from dbcustody.facts import RestoreFacts
from dbcustody.naming import ANNOTATION_REQUESTED_BY, LABEL_VERB
from dbcustody.plan.freeze import FreezeWindow
from dbcustody.reason import ExitCode, Reason
from tests.fakes import seen
from tests.fakes.consent import IS_PLANNED_OTHERWISE, JANE, OTHER, approval
from tests.fakes.control_plane import NEVER
from tests.fakes.replace_plane import NOT_DONE, RUNNING, SUCCEEDED, WEB, backed_up, plane, pods_end, undone_by
from tests.fakes.restore_plane import (
    DROPPED,
    IS_PLANNED,
    IS_READY,
    IS_SWAPPED,
    OLD,
    UNDO_PLANNED,
    RestorePlane,
)

if TYPE_CHECKING:
    from dbcustody.plan.observed import SeenJob

ALWAYS_FROZEN: Final = (FreezeWindow(schedule="* * * * *", duration_seconds=120),)
BACKUP_FAILED: Final = (
    yes(ConditionType.FINISHED, Reason.DUMP_FAILED),
    no(ConditionType.SUCCEEDED, Reason.DUMP_FAILED, "pg_dump: 1"),
)
ADOPTED: Final = seen.result(
    Verb.PLAN_RESTORE, Reason.ADOPTED, restore=RestoreFacts(is_handed_over=True, old_database=OLD)
)
IN_PLACE: Final = replace(IS_SWAPPED, verb=Verb.SETTLE_RESTORE)


def _refused(verb: Verb, *reasons: Reason) -> list[JobResult | None]:
    return [seen.result(verb, reason, "so it was found") for reason in reasons]


_UNPLANNED: Final = _refused(
    Verb.PLAN_RESTORE,
    Reason.NOT_CONFIRMED,
    Reason.ACKNOWLEDGEMENT_NEEDED,
    Reason.TARGET_IN_USE,
    Reason.ALREADY_UNDONE,
    Reason.HOST_UNREACHABLE,
)
_UNRESTORED: Final = _refused(
    Verb.RESTORE,
    Reason.CHECKS_FAILED,
    Reason.PLAN_CHANGED,
    Reason.PLAN_CHANGED,
    Reason.CONNECTION_LOST,
    Reason.TIMED_OUT,
)
_NOT_SWAPPED: Final = [
    *_refused(Verb.SWAP, Reason.SESSIONS_HELD, Reason.ERASURES_PENDING, Reason.INTERRUPTED),
    replace(seen.result(Verb.SWAP, Reason.SWAPPED), exit_code=ExitCode.DONE),
    None,
]
_NO_ANSWER: Final = [*_refused(Verb.SETTLE_RESTORE, Reason.HOST_UNREACHABLE), None]
_NOT_DROPPED: Final = [*_refused(Verb.DROP_REPLACED, Reason.CONNECTION_LOST, Reason.TARGET_IN_USE), None]


@dataclass
class SwapLife:
    """A request, and whether the database that it asks for has the name."""

    plane: RestorePlane = field(default_factory=plane)
    is_in_place: bool = False
    was_in_place: bool = False
    """Whether it was so before the request was filed: it is the same wish as one that was deleted."""
    unseen_swaps: int = 0
    """How many Jobs that swap were gone before an operator had looked: what it wrote down is as if it had died before it made them."""

    def asks(self, *, is_undo: bool, needs_person: bool, safety_backup: bool, was_in_place: bool) -> None:
        """Let a person file it."""
        wanted: dict[str, Any] = {"safety_backup": safety_backup, "approval": WantedApproval(required=needs_person)}
        if is_undo:
            wanted["undo_of"] = ObjectRef(name="back")
        self.plane = plane(**wanted)
        self.plane.request = seen.with_metadata(self.plane.request, annotations={ANNOTATION_REQUESTED_BY: JANE})
        self.around(undone=undone_by() if is_undo else None, is_stamped=True)
        self.is_in_place = self.was_in_place = was_in_place

    def around(self, **values: Any) -> None:
        """Let something else be around it."""
        self.plane.around = replace(self.plane.around, **values)

    @property
    def is_gone(self) -> bool:
        """Whether it was deleted, and nothing holds it."""
        about = self.plane.request.metadata
        return about.is_being_deleted and not about.finalizers

    @property
    def is_over(self) -> bool:
        """Whether it says so."""
        return is_true(self.plane.request.status.conditions, ConditionType.FINISHED)

    @property
    def at_work(self) -> SeenJob | None:
        """The last attempt's Job, if it is there and has not ended."""
        attempts = self.plane.request.status.attempts
        job = self.plane.jobs.get(attempts[-1].job_name) if attempts else None
        return job if job is not None and not job.is_finished else None

    @property
    def swaps(self) -> int:
        """How many Jobs that swap were made, but for those that are made again in their own name because nobody had seen them."""
        made = sum(1 for one in self.plane.started if one["metadata"]["labels"][LABEL_VERB] == Verb.SWAP.value)
        return made - self.unseen_swaps

    def looks(self, *, dies_after: int = NEVER, is_just_done: bool = False) -> None:
        """Let an operator look once; *is_just_done*: if it ends a swap, that had just been done."""
        if self.is_gone:
            return
        before = self.at_work
        self.plane.step(dies_after=dies_after)
        if before is not None and before.name not in self.plane.jobs:
            self.is_in_place |= before.verb is Verb.SWAP and is_just_done

    def vanishes(self, *, is_just_done: bool) -> None:
        """Let somebody delete the last Job."""
        job, seen_job = self.plane.jobs.pop(self.plane.name), self.plane.request.status.job_ref
        self.is_in_place |= job.verb is Verb.SWAP and is_just_done
        self.unseen_swaps += job.verb is Verb.SWAP and (seen_job is None or seen_job.name != job.name)

    def endings(self) -> list[JobResult | None]:
        """Return what the last Job may truthfully end with; None: without a word. The first one is the good end."""
        job = self.at_work
        assert job is not None
        planned = [UNDO_PLANNED] if self.plane.request.spec.undo_of is not None else [IS_PLANNED, IS_PLANNED_OTHERWISE]
        return {
            Verb.PLAN_RESTORE: [ADOPTED, None] if self.is_in_place else [*planned, *_UNPLANNED, None],
            Verb.RESTORE: [IS_READY, *_UNRESTORED, None],
            Verb.SWAP: [IS_SWAPPED, *_NOT_SWAPPED],
            Verb.SETTLE_RESTORE: [IN_PLACE if self.is_in_place else NOT_DONE, *_NO_ANSWER],
            Verb.DROP_REPLACED: [DROPPED, *_NOT_DROPPED],
        }[job.verb]

    def ends(self, answer: JobResult | None, *, is_just_done: bool = False) -> None:
        """Let the last Job end with *answer*; *is_just_done*: if it swaps, and says nothing, that was done."""
        job = self.at_work
        assert job is not None
        swapped = answer is IS_SWAPPED or (answer is None and is_just_done)
        self.is_in_place |= job.verb is Verb.SWAP and swapped
        self.plane.ends(answer)

    def goes_well(self) -> None:
        """Let what everybody waits for just now come about."""
        if self.at_work is not None:
            self.ends(self.endings()[0])
        if self.plane.around.safety_backup is not None:
            backed_up(self.plane, *SUCCEEDED)
        pods_end(self.plane)
        self.plane.passes(1)

    def is_helped(self) -> None:
        """Let everything be there, and everybody agree."""
        replicas = {one.name: one.replicas for one in self.plane.around.workloads}.get(WEB.name)
        web = RUNNING if replicas is None else replace(RUNNING, replicas=replicas, running=replicas)
        self.around(
            database=seen.database(workloads=(WEB,)),
            storage=seen.storage(),
            safety_policy="nightly",
            workloads=(web,),
            rivals=(),
            freeze_windows=(),
            approvals=(approval("now"), approval("then", plan_hash=OTHER)),
            is_stamped=True,
        )
