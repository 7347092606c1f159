"""When the keys of older backups are closed for the active key too, and what is said of how keys and backups fit each other.

A probe counts; what it counted as waiting is the work, and the Job that does it counts again at its end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.condition import Condition, ConditionType, find, no, yes
from dbcustody.api.meta import Kind, reference_to
from dbcustody.api.storage import AccessMode, BackupStorageStatus, ReWrap
from dbcustody.contract import Verb
from dbcustody.naming import ANNOTATION_CHECK_NOW, named
from dbcustody.plan.actions import Action
from dbcustody.plan.examination import Examination, examine, tidy
from dbcustody.plan.manifest import job_manifest
from dbcustody.plan.request import storage_work
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from dbcustody.api.storage import BackupStorage
    from dbcustody.facts import ProbeFacts, ReWrapFacts
    from dbcustody.plan.observed import SeenJob

RE_WRAP_SECONDS: Final = 3600
_NAMED: Final = 5
"""How many missing keys a message names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReWrapped:
    """The status with how the re-wrap stands, what is said of the keys, and what is to be done."""

    status: BackupStorageStatus
    said: tuple[Condition, ...] = ()
    actions: tuple[Action, ...] = ()
    look_again_seconds: float | None = None


def plan_re_wrap(
    storage: BackupStorage, status: BackupStorageStatus, jobs: Sequence[SeenJob], now: datetime, *, image: str
) -> ReWrapped:
    """Return the next step; *status* is what is known after the probe was looked at, *jobs* are those of this verb."""
    stand = status.re_wrap or ReWrap()
    if stand.job_ref is None and not _is_wanted(storage, status):
        return ReWrapped(status=status, said=_conditions_of(storage, status, None), actions=tidy(jobs, None))
    examined = examine(
        _examination_of(storage, stand),
        jobs,
        now,
        manifest=lambda name: re_wrap_job(storage, name, image=image),
        what="older backups are being closed for the active key",
    )
    exam, verdict = examined.exam, examined.verdict
    facts = verdict.result.re_wrap if verdict is not None and verdict.result is not None else None
    after = status if facts is None else counted(status, facts)
    stand = replace(
        after.re_wrap or ReWrap(),
        failures=exam.failures,
        ended_time=exam.last_time,
        job_ref=exam.job_ref,
        ordinal=exam.ordinal,
    )
    after = replace(after, re_wrap=stand)
    return ReWrapped(
        status=after,
        said=_conditions_of(storage, after, examined.trouble),
        actions=examined.actions,
        look_again_seconds=examined.look_again_seconds,
    )


def re_wrap_job(storage: BackupStorage, name: str, *, image: str) -> dict[str, Any]:
    """Return the Job *name* that closes older backups of *storage* for its active key."""
    work = storage_work(Verb.RE_WRAP, storage, image=image, timeout_seconds=RE_WRAP_SECONDS)
    return job_manifest(work, name=name, owner=reference_to(Kind.BACKUP_STORAGE, storage.metadata))


def _is_wanted(storage: BackupStorage, status: BackupStorageStatus) -> bool:
    """Return whether a good probe of this very spec counted backups that wait, or the last Job had trouble, and we may write."""
    stand, may_write = status.re_wrap, storage.spec.access_mode is AccessMode.READ_WRITE
    has_work = stand is not None and (stand.waiting > 0 or stand.failures > 0)
    return has_work and may_write and _is_counted(storage, status)


def _is_counted(storage: BackupStorage, status: BackupStorageStatus) -> bool:
    """Return whether what stands in *status* was counted for this very spec: before that, the counts are about another active key."""
    ready = find(status.conditions, ConditionType.ENCRYPTION_READY)
    return ready is not None and ready.is_true and ready.observed_generation == storage.metadata.generation


def _examination_of(storage: BackupStorage, stand: ReWrap) -> Examination:
    generation = storage.metadata.generation
    return Examination(
        metadata=storage.metadata,
        verb=Verb.RE_WRAP,
        interval_seconds=storage.spec.probe_interval_seconds,
        conditions=(),
        observed_generation=storage.status.observed_generation,
        judged_generation=generation,
        suspend=storage.spec.suspend,
        # After a good one the next is due as soon as a probe counts new work.
        last_time=stand.ended_time if stand.failures else None,
        failures=stand.failures,
        check_now=storage.metadata.annotations.get(ANNOTATION_CHECK_NOW),
        ordinal=stand.ordinal,
        job_ref=stand.job_ref,
    )


def counted(status: BackupStorageStatus, facts: ProbeFacts | ReWrapFacts) -> BackupStorageStatus:
    """Return *status* with what *facts* say of the keys."""
    stand = status.re_wrap
    if facts.unwrapped or stand is not None:
        stand = replace(stand or ReWrap(), waiting=facts.unwrapped)
    return replace(status, keys=facts.keys, unopened=facts.unopened, re_wrap=stand)


def _conditions_of(
    storage: BackupStorage, status: BackupStorageStatus, trouble: tuple[Reason, str] | None
) -> tuple[Condition, ...]:
    """Return what is said of the keys: nothing new before they were counted, nor of a storage that never had any."""
    before = find(status.conditions, ConditionType.KEYS_CURRENT)
    if status.unopened is None or not _is_counted(storage, status):
        return ()
    if status.unopened:
        return (no(ConditionType.KEYS_CURRENT, Reason.KEY_MISSING, _missing_keys(status)),)
    if storage.spec.encryption is None:
        return () if before is None else (yes(ConditionType.KEYS_CURRENT, Reason.NOT_ENCRYPTED),)
    if trouble is not None:
        return (no(ConditionType.KEYS_CURRENT, *trouble),)
    stand = status.re_wrap or ReWrap()
    return (_progress(storage, stand) if not stand.failures else _still_troubled(before),)


def _still_troubled(before: Condition | None) -> Condition:
    """Return what is said between a Job that failed and the next one: what that one said, unless it was of something else."""
    if before is not None and not before.is_true and before.reason is not Reason.KEY_MISSING:
        return before
    return no(
        ConditionType.KEYS_CURRENT,
        Reason.RE_WRAPPING,
        "the Job that looks after older backups failed and is tried again",
    )


def _progress(storage: BackupStorage, stand: ReWrap) -> Condition:
    """Return what is said while nothing is wrong."""
    encryption = storage.spec.encryption
    active = encryption.active_key_id if encryption is not None else ""
    if not stand.waiting:
        return yes(
            ConditionType.KEYS_CURRENT, Reason.KEYS_CURRENT, f"{active} opens every backup; no other key is needed"
        )
    is_read_only = storage.spec.access_mode is AccessMode.READ_ONLY
    rest = "the storage is ReadOnly, so that nobody closes them" if is_read_only else "they are being closed for it"
    message = f"{stand.waiting} backups are not opened by {active} yet: {rest}; keep the keys that open them"
    return no(ConditionType.KEYS_CURRENT, Reason.RE_WRAPPING, message)


def _missing_keys(status: BackupStorageStatus) -> str:
    missing = [f"{use.id} ({use.needed_by})" for use in status.keys if use.needed_by and not use.in_keyring]
    told = named(missing, _NAMED, rest="more keys")
    return (
        f"{status.unopened} backups are opened by no key of the keyring, but by {told}: put that back, or delete them"
    )
