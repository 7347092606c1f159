"""When a policy's retention is carried out, and what is said of it. What is deleted is decided by the Job, where the truth is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from dbcustody.api.condition import Condition, ConditionType, find, is_true, no, yes
from dbcustody.api.meta import Kind, ObjectRef, reference_to
from dbcustody.api.policy import BackupPolicyStatus
from dbcustody.api.storage import AccessMode
from dbcustody.contract import KnownBackup, Verb
from dbcustody.naming import ANNOTATION_CONFIRM_PRUNE, child_name, named
from dbcustody.plan.actions import Action, DeleteBackup, LetJobGo, StartJob
from dbcustody.plan.examination import counted
from dbcustody.plan.job_lifecycle import Stand, deletion_of, judge
from dbcustody.plan.manifest import job_manifest
from dbcustody.plan.observed import SeenJob
from dbcustody.plan.recovery_point import Run, newest_begun, newest_good
from dbcustody.plan.request import Parties, prune_work
from dbcustody.plan.summary import carried
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from dbcustody.api.policy import BackupPolicy
    from dbcustody.api.restore import RestoreRequest
    from dbcustody.facts import PruneFacts
    from dbcustody.plan.job_lifecycle import Verdict

EVERY: Final = timedelta(days=1)
AGAIN_AFTER_FAILURE: Final = timedelta(minutes=5)
GONE_AFTER_SECONDS: Final = 3600
MOST_ENTRIES: Final = 100
"""Of retention's plan in status; the whole is in the Job's log."""
MOST_KNOWN: Final = 50
"""How many backups a Job is asked to miss; each is a hundred bytes of its request."""
MOST_HELD: Final = 200
"""How many held backups a Job is told by name; what the storage holds itself needs not be told."""
_NAMED: Final = 3
"""How many backups a message names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What became of retention: the status as it is to be, what is said, and what is to be done."""

    status: BackupPolicyStatus
    said: tuple[Condition, ...] = ()
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPruning:
    """What was seen of retention's Jobs, and of what they work on."""

    image: str
    jobs: tuple[SeenJob, ...]
    runs: tuple[Run, ...]
    live_attempts: tuple[str, ...]
    spared: tuple[str, ...] = ()
    """Backups that restores read, or that the way back from one leads over."""


def plan_pruning(policy: BackupPolicy, parties: Parties, seen: SeenPruning, now: datetime) -> Pruned:
    """Return the next step of *policy*'s retention at *now*."""
    status = policy.status
    job = next((one for one in seen.jobs if status.job_ref is not None and one.name == status.job_ref.name), None)
    if job is not None:
        return _look_at(policy, parties, job, seen, now=now)
    if status.job_ref is not None:
        return _start(policy, parties, seen, status.job_ref.name, status)
    if (frozen := _frozen(seen.runs)) is not None:
        return Pruned(status=status, said=(frozen,))
    newest = newest_good(_as_taken(seen.runs))
    if newest is None or not _is_due(policy, parties, newest, now):
        return Pruned(status=status)
    ordinal = status.ordinal + 1
    name = child_name(policy.metadata.name, policy.metadata.uid, Verb.PRUNE.value, str(ordinal))
    started = replace(status, ordinal=ordinal, job_ref=ObjectRef(name=name), prune_after=newest.name)
    return _start(policy, parties, seen, name, started)


def refused_retention(before: Sequence[Condition], reason: Reason, message: str) -> tuple[Condition, ...]:
    """Return what is said when the API server refuses retention's Job: that is no matter of the schedule, and leaves Ready alone."""
    return (*carried(before), no(ConditionType.RETENTION_ENFORCED, reason, message))


def _start(  # noqa: PLR0917 - what, for whom, under which name
    policy: BackupPolicy, parties: Parties, seen: SeenPruning, name: str, status: BackupPolicyStatus
) -> Pruned:
    work = prune_work(
        policy,
        parties,
        live_attempts=seen.live_attempts,
        held_names=_held_names(seen),
        known_backups=known_backups(parties, seen.runs),
        image=seen.image,
    )
    manifest = job_manifest(work, name=name, owner=reference_to(Kind.BACKUP_POLICY, policy.metadata))
    return Pruned(status=status, actions=(StartJob(manifest),))


def spared_by(request: RestoreRequest, *, reads_here: bool) -> tuple[str, ...]:
    """Return the backups, by name, that retention leaves alone because of *request*; *reads_here*: the one it restores lies at the storage.

    While the request is under way, and as long as what it replaced can be put back: what it restores, and what it had backed up before.
    The latter is named wherever it lies, for its name is nobody else's in the namespace.
    """
    status = request.status
    if is_true(status.conditions, ConditionType.FINISHED) and not status.keeps_old:
        return ()
    read = (status.backup.name,) if status.backup is not None and reads_here else ()
    return (*read, status.safety_backup.name) if status.safety_backup is not None else read


def known_backups(parties: Parties, runs: Sequence[Run]) -> tuple[KnownBackup, ...]:
    """Return the newest good backups of *runs* that lie where the storage is now: what lies elsewhere cannot be missed there.

    What is missed already comes first: it is asked for until it is back, or its Backup is deleted.
    """
    folder = _folder(parties)
    here = [run for run in _as_taken(runs) if run.is_good and run.manifest_sha256 and run.location.startswith(folder)]
    newest = sorted(here, key=lambda run: (run.loss is not None, str(run.data_time), run.name), reverse=True)
    return tuple(KnownBackup(name=run.name, manifest_sha256=run.manifest_sha256) for run in newest[:MOST_KNOWN])


def _folder(parties: Parties) -> str:
    """Return below what the backups of the database lie in the storage."""
    return f"{parties.storage.status.location}/{parties.database.custody_id}/"


def _as_taken(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return *runs* with those whose data vanished as the good ones that they were: it may be put back."""
    return tuple(replace(run, is_good=True) if run.loss is Reason.DATA_VANISHED else run for run in runs)


def _is_due(policy: BackupPolicy, parties: Parties, newest: Run, now: datetime) -> bool:
    """Return whether retention is to be carried out: after each good backup, daily, after a failure, and when a person confirmed."""
    status = policy.status
    if policy.spec.suspend or parties.storage.spec.access_mode is AccessMode.READ_ONLY:
        return False
    if status.pruned_time is None or status.prune_after != newest.name or _is_confirmed(policy):
        return True
    enforced = find(status.conditions, ConditionType.RETENTION_ENFORCED)
    is_settled = enforced is None or enforced.is_true or _waits_for_person(enforced)
    return now - status.pruned_time >= (EVERY if is_settled else AGAIN_AFTER_FAILURE)


def _met_corruption(runs: Sequence[Run]) -> Run | None:
    """Return the last run when the server could not read its own data in it: older backups may be all that is left of that."""
    last = newest_begun([run for run in runs if run.is_finished])
    return last if last is not None and not last.is_good and last.reason == Reason.DATA_CORRUPTION else None


def _frozen(runs: Sequence[Run]) -> Condition | None:
    """Return why nothing at all may be deleted now; None: something may."""
    corrupt, pending = _met_corruption(runs), sum(run.is_held and not run.is_hold_placed for run in runs)
    if corrupt is not None:
        message = (
            f"Backup {corrupt.name!r} ended with {corrupt.reason}: nothing is deleted until a newer backup is good"
        )
    elif pending > MOST_HELD:
        message = f"{pending} legal holds do not stand in the storage yet: nothing is deleted until they do"
    else:
        return None
    return no(ConditionType.RETENTION_ENFORCED, Reason.RETENTION_FROZEN, message)


def _held_names(seen: SeenPruning) -> tuple[str, ...]:
    """Return the backups that a Job is told to leave alone: those that are to be spared, and the held ones.

    Of the held ones first those come of which the storage does not know yet.
    """
    held = sorted((run for run in seen.runs if run.is_held), key=lambda run: (run.is_hold_placed, run.name))
    return (*seen.spared, *(run.name for run in held[:MOST_HELD] if run.name not in seen.spared))


def _waits_for_person(enforced: Condition) -> bool:
    return enforced.reason in {
        Reason.RETENTION_NEEDS_CONFIRMATION,
        Reason.RETENTION_FROZEN,
        Reason.CONTINUITY_UNPROVEN,
    }


def _is_confirmed(policy: BackupPolicy) -> bool:
    """Return whether a person confirmed the very plan that waits for it."""
    enforced = find(policy.status.conditions, ConditionType.RETENTION_ENFORCED)
    waits = enforced is not None and enforced.reason is Reason.RETENTION_NEEDS_CONFIRMATION
    confirmed = policy.metadata.annotations.get(ANNOTATION_CONFIRM_PRUNE)
    return waits and confirmed is not None and confirmed == policy.status.prune_hash


def _look_at(policy: BackupPolicy, parties: Parties, job: SeenJob, seen: SeenPruning, *, now: datetime) -> Pruned:
    verdict = judge(job, now)
    if verdict.stand is Stand.BLOCKED:
        return Pruned(status=policy.status, said=(_not_enforced(verdict),))
    if verdict.stand not in {Stand.ANSWERED, Stand.LOST}:
        return Pruned(status=policy.status)
    result = verdict.result
    facts = result.prune if result is not None else None
    is_good = result is not None and result.exit_code is ExitCode.DONE
    said = yes(ConditionType.RETENTION_ENFORCED, verdict.reason, verdict.message) if is_good else _not_enforced(verdict)
    status = replace(policy.status, job_ref=None, pruned_time=now)
    if facts is not None:
        status = replace(_with_facts(status, facts), deleted=_without_data(facts, parties, seen.runs))
    rest = LetJobGo(job.name, GONE_AFTER_SECONDS) if job.is_finished else deletion_of(job)
    actions = (*counted(result), rest, *_forget(facts, seen.runs))
    return Pruned(status=status, said=(said, *_continuity(facts)), actions=actions)


def _continuity(facts: PruneFacts | None) -> tuple[Condition, ...]:
    """Return whether everything that was ever seen in the storage is there or accounted for; nothing when nobody looked."""
    if facts is None:
        return ()
    parts = []
    if facts.vanished:
        parts.append(f"{named(facts.vanished, _NAMED)} vanished without a tombstone")
    if facts.breaks:
        parts.append(f"the chain of manifests is broken before {named(facts.breaks, _NAMED)}")
    if parts:
        return (no(ConditionType.CONTINUITY_PROVEN, Reason.CONTINUITY_UNPROVEN, "; ".join(parts)),)
    return (yes(ConditionType.CONTINUITY_PROVEN, Reason.CONTINUITY_PROVEN),)


def _not_enforced(verdict: Verdict) -> Condition:
    return no(ConditionType.RETENTION_ENFORCED, verdict.reason, verdict.message)


def _with_facts(status: BackupPolicyStatus, facts: PruneFacts) -> BackupPolicyStatus:
    return replace(
        status,
        retained=facts.retained,
        plan=facts.plan[:MOST_ENTRIES],
        prune_hash=facts.plan_hash or None,
        vanished=facts.vanished[:MOST_KNOWN],
    )


def _without_data(facts: PruneFacts, parties: Parties, runs: Sequence[Run]) -> tuple[str, ...]:
    """Return people's Backups whose data is deleted, and which do not say so yet; those that do not fit in are told by the next prune."""
    deleted, folder = set(facts.deleted), _folder(parties)
    found = (run for run in runs if run.name in deleted and not run.is_ours and run.location.startswith(folder))
    return tuple(run.name for run in found if run.loss is not Reason.DATA_DELETED)[:MOST_KNOWN]


def _forget(facts: PruneFacts | None, runs: Sequence[Run]) -> tuple[Action, ...]:
    """Return what removes the Backup objects that we made for data which is gone; people's own stay, and say it themselves."""
    gone = set(facts.deleted) if facts is not None else set()
    return tuple(DeleteBackup(run.name, run.uid) for run in runs if run.is_ours and run.name in gone)
