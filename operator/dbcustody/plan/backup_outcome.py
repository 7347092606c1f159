"""What a Backup says once it is over: in the words of the architecture, from the facts alone.

Captured: the manifest was read back. Good: Captured and every checksum fits. Verified: every archive was read. RestoreTested: it was
restored and compared. Succeeded: Good, and the level that was due, where a test that could not be made asks for no more than Verified.
Silence, or a storage that knows nothing, is failure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dbcustody.api.backup import Progress, Stage
from dbcustody.api.condition import ConditionType, no, unknown, yes
from dbcustody.api.policy import Level
from dbcustody.guidance import GUIDANCE
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.api.backup import BackupStatus
    from dbcustody.api.condition import Condition
    from dbcustody.contract import JobResult
    from dbcustody.facts import BackupFacts

_CONDITIONS_OF_A_DATABASE: Final = frozenset(
    {ConditionType.CONNECTED, ConditionType.PRIVILEGES_SUFFICIENT, ConditionType.VERSION_SUPPORTED}
)
_REASONS_OF_A_DUMP: Final = frozenset(
    {
        Reason.BLOCKING_OTHERS,
        Reason.CUSTODY_CONFLICT,
        Reason.DATABASE_BUSY,
        Reason.DATA_CORRUPTION,
        Reason.DUMP_FAILED,
        Reason.LOCK_NOT_OBTAINED,
        Reason.NAME_TAKEN,
        Reason.RECOVERY_CONFLICT,
        Reason.SCHEMA_CHANGED,
        Reason.SKIPPED,
    }
)
_REASONS_OF_A_LATE_END: Final = frozenset(
    {Reason.ARCHIVE_DAMAGED, Reason.COMMIT_CONFLICT, Reason.TIMED_OUT, Reason.VERIFICATION_FAILED}
)
MOST_NOT_CAPTURED: Final = 1000
NOT_CAPTURED_LENGTH: Final = 1024
_WORDS: Final = {Level.READ: "every archive was read to its end", Level.CHECKSUM: "every byte was read back"}
_READ: Final = frozenset(level.value for level in Level if level.reaches(Level.READ))


def succeeded(result: JobResult) -> bool:
    """Return whether *result* says that the backup lies in the storage, is good, and passed the level that was due."""
    facts = result.backup
    is_proven = facts is not None and facts.artefact is not None and facts.verified_level is not None
    return result.exit_code is ExitCode.DONE and is_proven


def decides(result: JobResult, *, may_be_committed: bool) -> bool:
    """Return whether the backup's own *result* says all that is needed; where it does not, the storage has to be asked.

    Done without the proof of it says too little, and so does an answer that lost its facts on the way. A failure without facts is
    believed when nothing can have been committed before it: *may_be_committed* tells what is known of that, and some reasons come late.
    """
    if result.exit_code is ExitCode.DONE:
        return succeeded(result)
    if result.backup is not None:
        return True
    if not result.complete or result.reason in _REASONS_OF_A_LATE_END:
        return False
    return not may_be_committed or _comes_before_a_commit(result.reason)


def _comes_before_a_commit(reason: Reason) -> bool:
    """Return whether a run that ends with *reason* has looked into the storage, found no backup there, and written no manifest."""
    return reason in _REASONS_OF_A_DUMP or GUIDANCE[reason].condition in _CONDITIONS_OF_A_DATABASE


def outcome_conditions(
    facts: BackupFacts | None, *, is_good: bool, reason: Reason, message: str
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
    return (*summary, finished, *stalled, *_steps(facts, is_good=is_good, reason=reason))


def _steps(facts: BackupFacts | None, *, is_good: bool, reason: Reason) -> tuple[Condition, ...]:
    if facts is None or facts.artefact is None:
        return (
            no(ConditionType.CAPTURED, reason),
            no(ConditionType.UPLOADED, reason),
            unknown(ConditionType.VERIFIED, reason, "was not reached"),
        )
    return (
        yes(ConditionType.CAPTURED, Reason.CAPTURED, "the manifest was read back"),
        yes(ConditionType.UPLOADED, Reason.UPLOADED, facts.artefact.location),
        _verified(facts, is_good=is_good, reason=reason),
        *_restore_tested(facts),
    )


def _verified(facts: BackupFacts, *, is_good: bool, reason: Reason) -> Condition:
    """Return the condition Verified: true from level Read on, and never known of a level that nobody asked for.

    What was asked for is the Job's matter: a policy may have changed its mind, or be gone, since the run began.
    """
    if facts.verified_level in _READ:
        return yes(ConditionType.VERIFIED, Reason.VERIFIED, _WORDS[Level.READ])
    if is_good:
        return unknown(ConditionType.VERIFIED, Reason.NOT_REQUESTED, _WORDS[Level.CHECKSUM])
    because = reason if GUIDANCE[reason].condition == ConditionType.VERIFIED else Reason.VERIFICATION_FAILED
    return no(ConditionType.VERIFIED, because, facts.verification_message or "the verification did not pass")


def _restore_tested(facts: BackupFacts) -> tuple[Condition, ...]:
    """Return the condition RestoreTested; none where nobody asked for a test. What hindered one is no word against the backup."""
    test = facts.restore_test
    if test is None:
        return ()
    say = {Reason.RESTORE_TESTED: yes, Reason.NOT_REQUESTED: unknown}.get(test.reason, no)
    return (say(ConditionType.RESTORE_TESTED, test.reason, test.message),)


def with_facts(status: BackupStatus, facts: BackupFacts | None) -> BackupStatus:
    """Return *status* with what is known of the backup, within the bounds of the CRD."""
    if facts is None:
        return status
    start, finish = facts.start_time or status.start_time, facts.finish_time
    return replace(
        status,
        artefact=facts.artefact,
        server=facts.server,
        tool=facts.tool,
        snapshot_time=facts.snapshot_time,
        lsn=facts.lsn,
        start_time=start,
        finish_time=finish or status.finish_time,
        tables=facts.tables,
        scope=facts.scope,
        restore_seconds=facts.restore_test.seconds if facts.restore_test is not None else None,
        not_captured=tuple(one[:NOT_CAPTURED_LENGTH] for one in facts.not_captured[:MOST_NOT_CAPTURED]),
    )


def closed(status: BackupStatus, *, is_good: bool, reason: Reason, ended: datetime, now: datetime) -> BackupStatus:
    """Return *status* with the times of a run that is over, and with what the progress column shows from now on.

    *ended* is when its last Job did: an operator that was away must not make a run look longer, or let it live longer.
    """
    finish = status.finish_time or ended
    start = status.start_time
    last = status.progress or Progress(stage=Stage.WAITING, summary="")
    last = replace(last, waiting_for=None, bytes_per_second=None, repeated_requests=None)
    progress = (
        replace(last, stage=Stage.DONE, summary="Done", percent=100) if is_good else replace(last, summary=reason.value)
    )
    return replace(
        status,
        finish_time=finish,
        duration_seconds=max(0, int((finish - start).total_seconds())) if start is not None else None,
        progress=replace(progress, updated_time=now),
        job_ref=None,
    )
