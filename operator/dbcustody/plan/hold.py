"""When a Backup's legal hold is written into the storage or released there, and what is said of it meanwhile.

The resource alone would not do: another cluster's retention does not know it, and it goes when its namespace goes. Until the hold stands
in the storage, retention is told of it by name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.backup import BackupStatus, HoldState, StoredHold
from dbcustody.api.condition import Condition, ConditionType, find, no, yes
from dbcustody.api.meta import Kind, reference_to
from dbcustody.api.storage import AccessMode
from dbcustody.contract import Verb
from dbcustody.naming import ANNOTATION_CHECK_NOW
from dbcustody.plan.actions import Action
from dbcustody.plan.examination import Examination, examine, tidy
from dbcustody.plan.job_lifecycle import LONGEST_BACKOFF_SECONDS
from dbcustody.plan.manifest import job_manifest
from dbcustody.plan.request import Missing, hold_work
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.api.backup import Backup
    from dbcustody.facts import HoldFacts
    from dbcustody.plan.backup_case import Case
    from dbcustody.plan.examination import Examined
    from dbcustody.plan.request import Parties

_IN_PLACE: Final = "the hold stands in the storage, beside the backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """The status with how the hold stands, what is said of it, and what is to be done."""

    status: BackupStatus
    said: tuple[Condition, ...] = ()
    actions: tuple[Action, ...] = ()
    look_again_seconds: float | None = None


def is_settled(backup: Backup) -> bool:
    """Return whether the storage says of *backup*'s hold what the resource says, as far as that is possible, and no Job works on it."""
    stand = backup.status.hold or StoredHold()
    if backup.status.artefact is None or stand.state is HoldState.GONE:
        return stand.job_ref is None
    return stand.job_ref is None and stand.state is _wanted(backup)


def plan_hold(case: Case) -> Holding:
    """Return the next step for the hold of a Backup that is finished."""
    jobs = [job for job in case.seen.jobs if job.verb is Verb.HOLD]
    if is_settled(case.backup):
        return Holding(status=case.status, said=_conditions_of(case, None), actions=tidy(jobs, None))
    obstacle = _obstacle(case)
    if isinstance(obstacle, tuple):
        return Holding(status=case.status, said=_conditions_of(case, obstacle), actions=tidy(jobs, None))
    examined = examine(
        _examination_of(case),
        jobs,
        case.now,
        manifest=lambda name: _job(case, obstacle, name),
        what="the hold is being written into the storage",
    )
    after = _after(case, examined)
    moved = replace(case, backup=replace(case.backup, status=after))
    return Holding(
        status=after,
        said=_conditions_of(moved, examined.trouble),
        actions=examined.actions,
        look_again_seconds=examined.look_again_seconds,
    )


def _wanted(backup: Backup) -> HoldState:
    return HoldState.RELEASED if backup.spec.legal_hold is None else HoldState.PLACED


def _obstacle(case: Case) -> Parties | tuple[Reason, str]:
    """Return who takes part, or why nothing can be written where the backup lies; it goes on by itself when that is gone."""
    found = case.parties
    if isinstance(found, Missing):
        return found.reason, found.message
    elsewhere = case.elsewhere(found)
    if elsewhere is not None:
        return Reason.HOLD_PENDING, elsewhere
    if found.storage.spec.access_mode is AccessMode.READ_ONLY:
        return Reason.STORAGE_READ_ONLY, f"BackupStorage {found.storage.metadata.name!r} is ReadOnly"
    return found


def _examination_of(case: Case) -> Examination:
    metadata, stand = case.backup.metadata, case.status.hold or StoredHold()
    return Examination(
        metadata=metadata,
        verb=Verb.HOLD,
        interval_seconds=int(LONGEST_BACKOFF_SECONDS),
        conditions=(),
        observed_generation=case.status.observed_generation,
        judged_generation=metadata.generation,
        last_time=stand.ended_time if stand.failures else None,
        failures=stand.failures,
        check_now=metadata.annotations.get(ANNOTATION_CHECK_NOW),
        ordinal=stand.ordinal,
        job_ref=stand.job_ref,
    )


def _job(case: Case, parties: Parties, name: str) -> dict[str, Any]:
    work = hold_work(case.backup, parties, image=case.seen.image)
    return job_manifest(work, name=name, owner=reference_to(Kind.BACKUP, case.backup.metadata))


def _after(case: Case, examined: Examined) -> BackupStatus:
    """Return the status after a look: from the moment in which a Job is written down, only its answer says how the hold stands."""
    exam, before = examined.exam, case.status.hold or StoredHold()
    stand = replace(
        before,
        state=HoldState.PENDING if exam.job_ref is not None else before.state,
        failures=exam.failures,
        ended_time=exam.last_time,
        job_ref=exam.job_ref,
        ordinal=exam.ordinal,
    )
    facts = examined.verdict.result.hold if examined.verdict is not None and examined.verdict.result else None
    return replace(case.status, hold=stand if facts is None else _with_facts(stand, facts))


def _with_facts(stand: StoredHold, facts: HoldFacts) -> StoredHold:
    if facts.gone:
        return replace(stand, state=HoldState.GONE, others=0)
    return replace(stand, state=HoldState.PLACED if facts.placed else HoldState.RELEASED, others=facts.others)


def _conditions_of(case: Case, trouble: tuple[Reason, str] | None) -> tuple[Condition, ...]:
    """Return what is said of the hold: True while the storage keeps the backup for it; nothing when none was ever asked for."""
    stand, wanted = case.status.hold, _wanted(case.backup)
    if case.status.artefact is None or (stand is None and wanted is HoldState.RELEASED):
        return ()
    stand = stand or StoredHold()
    if stand.state is HoldState.GONE and wanted is HoldState.PLACED:
        return (no(ConditionType.HELD, Reason.NOTHING_TO_HOLD, "the storage holds no such backup any more"),)
    if is_settled(case.backup):
        return (_settled(stand),)
    if wanted is HoldState.PLACED:
        return (no(ConditionType.HELD, *(trouble or _still(case, "`spec.legalHold` stands in the resource alone"))),)
    return (yes(ConditionType.HELD, *(trouble or _still(case, "the hold is being released"))),)


def _settled(stand: StoredHold) -> Condition:
    others = f"{stand.others} holds of others stand in the storage" if stand.others else ""
    if stand.state is HoldState.PLACED:
        return yes(ConditionType.HELD, Reason.HOLD_PLACED, f"{_IN_PLACE}; {others}" if others else _IN_PLACE)
    say = yes if others else no
    return say(ConditionType.HELD, Reason.HOLD_PLACED if others else Reason.HOLD_RELEASED, others)


def _still(case: Case, what: str) -> tuple[Reason, str]:
    """Return what is said while nothing new is known: between a Job that failed and the next one, what that one said."""
    before, stand = find(case.status.conditions, ConditionType.HELD), case.status.hold or StoredHold()
    is_about_this = before is not None and before.observed_generation == case.backup.metadata.generation
    if before is not None and is_about_this and stand.failures:
        return before.reason, before.message
    return Reason.HOLD_PENDING, f"{what}; a Job writes it into the storage"
