"""What a Backup says once it is over: in the words of the architecture, from the facts alone.

Captured: the manifest was read back. Good: Captured and every checksum fits. Verified: every archive was read. Succeeded: Good, and the
level that was due. Silence, or a storage that knows nothing, is failure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbcustody.api.backup import Progress, Stage
from dbcustody.api.condition import ConditionType, no, unknown, yes
from dbcustody.api.policy import Level
from dbcustody.reason import GUIDANCE, ExitCode, Reason

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.api.backup import BackupStatus
    from dbcustody.api.condition import Condition
    from dbcustody.contract import BackupFacts, JobResult

_WORDS = {Level.READ: "every archive was read to its end", Level.CHECKSUM: "every byte was read back"}


def succeeded(result: JobResult) -> bool:
    """Return whether *result* says that the backup lies in the storage, is good, and passed the level that was due."""
    has_artefact = result.backup is not None and result.backup.artefact is not None
    return result.exit_code is ExitCode.DONE and has_artefact


def outcome_conditions(
    facts: BackupFacts | None, *, is_good: bool, level: Level, reason: Reason, message: str
) -> tuple[Condition, ...]:
    """Return every condition of a Backup that is over; *reason* and *message* are of its end, good or bad."""
    summary = (
        yes(ConditionType.READY, reason, message),
        yes(ConditionType.SUCCEEDED, reason, message),
    )
    if not is_good:
        summary = (no(ConditionType.READY, reason, message), no(ConditionType.SUCCEEDED, reason, message))
    stalled = () if is_good else (yes(ConditionType.STALLED, reason, message),)
    finished = yes(ConditionType.FINISHED, reason, message)
    return (*summary, finished, *stalled, *_steps(facts, is_good=is_good, level=level, reason=reason))


def _steps(facts: BackupFacts | None, *, is_good: bool, level: Level, reason: Reason) -> tuple[Condition, ...]:
    if facts is None or facts.artefact is None:
        return (
            no(ConditionType.CAPTURED, reason),
            no(ConditionType.UPLOADED, reason),
            unknown(ConditionType.VERIFIED, reason, "was not reached"),
        )
    return (
        yes(ConditionType.CAPTURED, Reason.CAPTURED, "the manifest was read back"),
        yes(ConditionType.UPLOADED, Reason.UPLOADED, facts.artefact.location),
        _verified(facts, is_good=is_good, level=level, reason=reason),
    )


def _verified(facts: BackupFacts, *, is_good: bool, level: Level, reason: Reason) -> Condition:
    """Return the condition Verified: true at level Read only, and never known of a level that nobody asked for."""
    if facts.verified_level == Level.READ:
        return yes(ConditionType.VERIFIED, Reason.VERIFIED, _WORDS[Level.READ])
    if is_good and level is Level.CHECKSUM:
        return unknown(ConditionType.VERIFIED, Reason.NOT_REQUESTED, _WORDS[Level.CHECKSUM])
    because = reason if GUIDANCE[reason].condition == ConditionType.VERIFIED else Reason.VERIFICATION_FAILED
    return no(ConditionType.VERIFIED, because, facts.verification_message or "the verification did not pass")


def with_facts(status: BackupStatus, facts: BackupFacts | None) -> BackupStatus:
    """Return *status* with what is known of the backup."""
    if facts is None:
        return status
    start, finish = facts.start_time or status.start_time, facts.finish_time
    return replace(
        status,
        artefact=facts.artefact,
        server=facts.server,
        tool=facts.tool,
        snapshot_time=facts.snapshot_time,
        start_time=start,
        finish_time=finish or status.finish_time,
        tables=facts.tables,
        not_captured=facts.not_captured,
    )


def closed(status: BackupStatus, *, is_good: bool, reason: Reason, now: datetime) -> BackupStatus:
    """Return *status* with the times of a run that is over, and with what the progress column shows from now on."""
    finish = status.finish_time or now
    start = status.start_time
    last = status.progress or Progress(stage=Stage.WAITING, summary="")
    progress = (
        replace(last, stage=Stage.DONE, summary="Done", percent=100, waiting_for=None, bytes_per_second=None)
        if is_good
        else replace(last, summary=reason.value, waiting_for=None, bytes_per_second=None)
    )
    return replace(
        status,
        finish_time=finish,
        duration_seconds=max(0, int((finish - start).total_seconds())) if start is not None else None,
        progress=replace(progress, updated_time=now),
        job_ref=None,
    )
