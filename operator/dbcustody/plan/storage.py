"""What is to be done for a BackupStorage, and what is to be said of it: judged only from what was seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.condition import ConditionType, find, merge, no, unknown, yes
from dbcustody.api.database import Database
from dbcustody.api.meta import Kind, reference_to
from dbcustody.contract import Verb
from dbcustody.guidance import GUIDANCE
from dbcustody.plan.actions import Plan
from dbcustody.plan.examination import Examination, examine, tidy
from dbcustody.plan.importing import plan_import
from dbcustody.plan.manifest import job_manifest
from dbcustody.plan.observed import SeenClaim, SeenJob
from dbcustody.plan.request import ANY_NODE, storage_work
from dbcustody.plan.rewrap import counted, plan_re_wrap
from dbcustody.plan.summary import failed_conditions
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from dbcustody.api.condition import Condition
    from dbcustody.api.storage import BackupStorage, BackupStorageStatus
    from dbcustody.facts import ProbeFacts
    from dbcustody.plan.job_lifecycle import Verdict

PROBE_SECONDS: Final = 300
ONE_POD: Final = "ReadWriteOncePod"
ORDER: Final = (ConditionType.STORAGE_REACHABLE, ConditionType.CONFORMANCE_PASSED, ConditionType.ENCRYPTION_READY)
"""In the order in which a probe reaches them."""
ALIKE: Final = {ConditionType.CONNECTED.value: ConditionType.STORAGE_REACHABLE.value}
"""What is said of a connection (a certificate that does not fit) is said of the way to the storage here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenStorage:
    """What was seen around a BackupStorage."""

    image: str
    jobs: tuple[SeenJob, ...] = ()
    claim: SeenClaim | None = None
    """The PersistentVolumeClaim of a volume; None for a bucket, or when there is none of that name."""
    newest_backup_time: datetime | None = None
    """When the last backup that lies there was finished; None: none is known."""
    databases: tuple[Database, ...] = ()
    """Of the namespace."""
    backup_names: frozenset[str] = frozenset()
    """Of the namespace's Backups; looked at only where backups are imported."""

    def jobs_of(self, verb: Verb) -> tuple[SeenJob, ...]:
        """Return the Jobs that do *verb*."""
        return tuple(job for job in self.jobs if job.verb is verb)


def plan(storage: BackupStorage, seen: SeenStorage, now: datetime) -> Plan[BackupStorageStatus]:
    """Return the next step for *storage* at *now*."""
    if storage.metadata.is_being_deleted:
        return Plan(status=storage.status)
    if (refused := _refuse_claim(storage, seen)) is not None:
        # Without a time of the last probe, one is due as soon as the claim is another.
        status = replace(_stated(storage, seen, refused, now), probed_time=None, job_ref=None)
        return Plan(status=status, actions=tidy(seen.jobs, None))
    examined = examine(
        _examination_of(storage, seen),
        seen.jobs_of(Verb.PROBE),
        now,
        manifest=lambda name: probe_job(storage, name, image=seen.image),
        what="the storage is being probed",
    )
    exam, verdict = examined.exam, examined.verdict
    said = examined.said if verdict is None else _conditions_of(storage, verdict)
    facts = verdict.result.probe if verdict is not None and verdict.result is not None else None
    probed = replace(
        _with_facts(_stated(storage, seen, said, now), facts),
        probed_time=exam.last_time,
        probe_failures=exam.failures,
        check_now=exam.check_now,
        job_ref=exam.job_ref,
        ordinal=exam.ordinal,
    )
    found = facts.found if facts is not None else ()
    imports = plan_import(storage, found, databases=seen.databases, known=seen.backup_names)
    re_wrapped = plan_re_wrap(storage, probed, seen.jobs_of(Verb.RE_WRAP), now, image=seen.image)
    said = (*said, *re_wrapped.said)
    conditions = merge(storage.status.conditions, said, generation=storage.metadata.generation, now=now)
    return Plan(
        status=replace(re_wrapped.status, conditions=conditions),
        actions=(*examined.actions, *re_wrapped.actions, *imports),
        look_again_seconds=_sooner(examined.look_again_seconds, re_wrapped.look_again_seconds),
    )


def _sooner(*pauses_seconds: float | None) -> float | None:
    return min((pause for pause in pauses_seconds if pause is not None), default=None)


def probe_job(storage: BackupStorage, name: str, *, image: str) -> dict[str, Any]:
    """Return the Job *name* that probes *storage*."""
    work = storage_work(Verb.PROBE, storage, image=image, timeout_seconds=PROBE_SECONDS)
    return job_manifest(work, name=name, owner=reference_to(Kind.BACKUP_STORAGE, storage.metadata))


def _refuse_claim(storage: BackupStorage, seen: SeenStorage) -> tuple[Condition, ...] | None:
    """Refuse a claim for one pod alone: it could not be probed while a backup runs, nor shared by two dumps."""
    volume = storage.spec.volume
    if volume is None or seen.claim is None or ONE_POD not in seen.claim.access_modes:
        return None
    return failed_conditions(
        Reason.INVALID_SPEC,
        f"spec.volume.claimName: {volume.claim_name!r} is {ONE_POD}; must be ReadWriteOnce or ReadWriteMany",
    )


def _stated(
    storage: BackupStorage, seen: SeenStorage, said: tuple[Condition, ...], now: datetime
) -> BackupStorageStatus:
    """Return the status with what needs no probe: what kind of storage it is, and who may share it."""
    generation, spec = storage.metadata.generation, storage.spec
    return replace(
        storage.status,
        observed_generation=generation,
        conditions=merge(storage.status.conditions, said, generation=generation, now=now),
        kind="S3" if spec.s3 is not None else "Volume",
        encrypted=spec.encryption is not None,
        sharing=_sharing(storage, seen),
    )


def _sharing(storage: BackupStorage, seen: SeenStorage) -> str | None:
    """Return who may use the storage at once: any pod, or pods of one node; None while the claim is not there."""
    if storage.spec.volume is None:
        return ANY_NODE
    if seen.claim is None:
        return None
    return ANY_NODE if "ReadWriteMany" in seen.claim.access_modes else "OneNode"


def _examination_of(storage: BackupStorage, seen: SeenStorage) -> Examination:
    status = storage.status
    reachable = find(status.conditions, ConditionType.STORAGE_REACHABLE)
    return Examination(
        metadata=storage.metadata,
        verb=Verb.PROBE,
        interval_seconds=storage.spec.probe_interval_seconds,
        conditions=status.conditions,
        observed_generation=status.observed_generation,
        judged_generation=reachable.observed_generation if reachable is not None else None,
        suspend=storage.spec.suspend,
        last_time=status.probed_time,
        changed_time=seen.newest_backup_time,
        failures=status.probe_failures,
        check_now=status.check_now,
        ordinal=status.ordinal,
        job_ref=status.job_ref,
    )


def _with_facts(status: BackupStorageStatus, facts: ProbeFacts | None) -> BackupStorageStatus:
    """Return *status* with what the probe found; what an unsuccessful one could not see stays as it was."""
    if facts is None:
        return status
    located = replace(status, location=facts.location)
    if facts.storage_id is None:
        return located
    return replace(
        counted(located, facts),
        storage_id=facts.storage_id,
        capabilities=facts.capabilities,
        backups=facts.backups,
        used_bytes=facts.used_bytes,
    )


def _conditions_of(storage: BackupStorage, verdict: Verdict) -> tuple[Condition, ...]:
    """Return what a probe that ended says; only a condition that was reached is judged."""
    reason, message = verdict.reason, verdict.message
    if verdict.result is not None and verdict.result.exit_code is ExitCode.DONE:
        return (yes(ConditionType.READY, Reason.READY, message), *_all_good(storage, message))
    return (*failed_conditions(reason, message), *_steps(storage, reason, message))


def _all_good(storage: BackupStorage, message: str) -> tuple[Condition, ...]:
    encryption = Reason.ENCRYPTION_READY if storage.spec.encryption is not None else Reason.NOT_ENCRYPTED
    return (
        yes(ConditionType.STORAGE_REACHABLE, Reason.STORAGE_REACHABLE, message),
        yes(ConditionType.CONFORMANCE_PASSED, Reason.CONFORMANT),
        yes(ConditionType.ENCRYPTION_READY, encryption),
    )


def _steps(storage: BackupStorage, reason: Reason, message: str) -> tuple[Condition, ...]:
    """Return the conditions up to the failing one as true, that one as false, those behind it as unknown."""
    judged = ALIKE.get(GUIDANCE[reason].condition, GUIDANCE[reason].condition)
    place = next((at for at, kind in enumerate(ORDER) if kind == judged), None)
    if place is None:
        return tuple(unknown(kind, reason, message) for kind in ORDER)
    good = {condition.type: condition for condition in _all_good(storage, "")}
    return tuple(
        good[kind]
        if at < place
        else no(kind, reason, message)
        if at == place
        else unknown(kind, reason, "was not reached")
        for at, kind in enumerate(ORDER)
    )
