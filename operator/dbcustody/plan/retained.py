"""What a finished Backup says of its data from then on: which rules of retention want it and until when, or that it is gone.

Retention tells its policy, and the Backup reads it there whenever it is looked at: a word that was lost on the way is read again. That the
run succeeded stays true of the run, so that no tool takes the Backup for broken, or makes it again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dbcustody.api.backup import Progress, Stage
from dbcustody.api.condition import ConditionType, find, no, yes
from dbcustody.codec import format_time
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.api.backup import BackupStatus
    from dbcustody.api.condition import Condition
    from dbcustody.api.policy import BackupPolicy
    from dbcustody.plan.backup_case import Case

_SUMMARIES: Final = {Reason.DATA_DELETED: "Data deleted", Reason.DATA_VANISHED: "Data vanished"}
_WORDS: Final = {
    Reason.DATA_DELETED: "its data is deleted, as retention of BackupPolicy {name!r} told at {time}",
    Reason.DATA_VANISHED: "its data vanished without a tombstone, as retention of BackupPolicy {name!r} found at {time}",
}


def with_retention(case: Case, status: BackupStatus) -> BackupStatus:
    """Return *status* with the policy's reasons to keep the backup, and until when; without a plan that knows it, as it was."""
    plan_ = case.seen.policy.status.plan if case.seen.policy is not None else ()
    entry = next((one for one in plan_ if one.name == case.backup.metadata.name), None)
    if entry is None:
        return status
    because = entry.because if entry.keep else ()
    return replace(status, retained_because=because, expires_time=entry.expires_time)


def with_data(case: Case, status: BackupStatus) -> tuple[BackupStatus, tuple[Condition, ...]]:
    """Return *status* with what retention says of the data, and what is to be said when that is news: it is gone, or there again."""
    before, policy = case.status.loss, case.seen.policy
    if policy is None or case.status.artefact is None:
        return with_retention(case, status), ()
    found = _loss(case, policy)
    if before is not None and (before.reason is Reason.DATA_DELETED or found in {None, before.reason}):
        return _came_back(case, status) if _is_back(case, policy) else (status, ())
    return (with_retention(case, status), ()) if found is None else _lost(case, policy, status, found)


def _loss(case: Case, policy: BackupPolicy) -> Reason | None:
    """Return why the data is gone, as retention of *policy* told since the run was over; None: it said nothing of the kind."""
    name, told, over = case.backup.metadata.name, policy.status.pruned_time, case.status.finish_time
    if told is None or over is None or told < over:
        return None
    if name in policy.status.deleted:
        return Reason.DATA_DELETED
    return Reason.DATA_VANISHED if name in policy.status.vanished else None


def _is_back(case: Case, policy: BackupPolicy) -> bool:
    """Return whether what vanished was put back: retention decided about it again. What was deleted never comes back."""
    loss = case.status.loss
    has_vanished = loss is not None and loss.reason is Reason.DATA_VANISHED
    is_planned = any(one.name == case.backup.metadata.name for one in policy.status.plan)
    return has_vanished and is_planned and case.backup.metadata.name not in policy.status.vanished


def _lost(
    case: Case, policy: BackupPolicy, status: BackupStatus, reason: Reason
) -> tuple[BackupStatus, tuple[Condition, ...]]:
    told = policy.status.pruned_time
    assert told is not None  # noqa: S101 - it is later than the end of the run
    message = _WORDS[reason].format(name=policy.metadata.name, time=format_time(told))
    gone = replace(_with_summary(case, status, _SUMMARIES[reason]), retained_because=(), expires_time=None)
    return gone, (no(ConditionType.UPLOADED, reason, message),)


def _came_back(case: Case, status: BackupStatus) -> tuple[BackupStatus, tuple[Condition, ...]]:
    artefact, verdict = case.status.artefact, find(case.status.conditions, ConditionType.SUCCEEDED)
    assert artefact is not None  # noqa: S101 - without one nothing could vanish
    summary = "Done" if verdict is None or verdict.is_true else verdict.reason.value
    back = with_retention(case, _with_summary(case, status, summary))
    return back, (yes(ConditionType.UPLOADED, Reason.UPLOADED, artefact.location),)


def _with_summary(case: Case, status: BackupStatus, summary: str) -> BackupStatus:
    """Return *status* with what the progress column shows."""
    last = status.progress or Progress(stage=Stage.DONE, summary="")
    return replace(status, progress=replace(last, summary=summary, updated_time=case.now))
