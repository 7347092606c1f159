"""Requests of Jobs that work on a database's custody in a storage, or on a whole storage: who takes part, and what exactly is asked."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.backup import Origin
from dbcustody.api.database import Database
from dbcustody.api.meta import Kind
from dbcustody.api.policy import BackupPolicy, CaptureOptions
from dbcustody.api.storage import BackupStorage
from dbcustody.contract import JobRequest, KnownBackup, Verb
from dbcustody.naming import ANNOTATION_CONFIRM_PRUNE, LABEL_DATABASE, LABEL_STORAGE
from dbcustody.plan.manifest import Work
from dbcustody.plan.throwaway import options_with_server
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.api.backup import Backup

SETTLE_SECONDS: Final = 600
PRUNE_SECONDS: Final = 3600
ANY_NODE: Final = "AnyNode"
"""What `status.sharing` of a storage says that pods of several nodes may use at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Who takes part in the custody: what is copied, where it lies, and by which policy (None: by nobody's)."""

    database: Database
    storage: BackupStorage
    policy: BackupPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What a resource refers to and is not there."""

    reason: Reason
    message: str


def parties_of(
    *, database: Database | None, storage: BackupStorage | None, policy: BackupPolicy | None, names: PartyNames
) -> Parties | Missing:
    """Return who takes part, or the first of them that is missing; a policy that was deleted is no obstacle once names are known."""
    if names.policy is not None and policy is None and (names.database is None or names.storage is None):
        return missing(Reason.POLICY_NOT_FOUND, "BackupPolicy", names.policy)
    if database is None:
        return missing(Reason.DATABASE_NOT_FOUND, "Database", names.database)
    if storage is None:
        return missing(Reason.STORAGE_NOT_FOUND, "BackupStorage", names.storage)
    return Parties(database=database, storage=storage, policy=policy)


def missing(reason: Reason, kind: str, name: str | None) -> Missing:
    """Return that the *kind* called *name* (None: nobody says how) is not there."""
    return Missing(reason=reason, message=f"{kind} {name or ''!r}: does not exist in this namespace")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyNames:
    """The names under which a Backup's parties are looked for."""

    database: str | None
    storage: str | None
    policy: str | None


def names_for(backup: Backup, policy: BackupPolicy | None) -> PartyNames:
    """Return where to look for *backup*'s parties: what it says itself, where its run went, its labels, its policy.

    The labels of a run that a CronJob started tell where it went; its policy may name another storage by now. Those of a Backup that a
    person made are the person's: they count only when the policy is gone.
    """
    spec, labels = backup.spec, backup.metadata.labels
    said = PartyNames(
        database=spec.database_ref.name if spec.database_ref is not None else None,
        storage=spec.storage_ref.name if spec.storage_ref is not None else None,
        policy=spec.policy_ref.name if spec.policy_ref is not None else None,
    )
    remembered = replace(said, database=labels.get(LABEL_DATABASE), storage=labels.get(LABEL_STORAGE))
    ruled = said if policy is None else _names_in(policy)
    second, third = (ruled, remembered) if spec.origin is Origin.MANUAL else (remembered, ruled)
    run = backup.status
    begun = replace(said, database=run.database, storage=run.storage) if run.attempts else said
    return replace(
        said,
        database=said.database or begun.database or second.database or third.database,
        storage=said.storage or begun.storage or second.storage or third.storage,
    )


def _names_in(policy: BackupPolicy) -> PartyNames:
    spec = policy.spec
    return PartyNames(database=spec.database_ref.name, storage=spec.storage_ref.name, policy=policy.metadata.name)


def options_of(spec: CaptureOptions) -> CaptureOptions:
    """Return only the capture options of *spec*, which may be a policy's or a Backup's."""
    chosen: dict[str, Any] = {field.name: getattr(spec, field.name) for field in fields(CaptureOptions)}
    return CaptureOptions(**chosen)


def options_for(backup: Backup, parties: Parties) -> CaptureOptions:
    """Return how *backup* is taken: as its policy says when it names one, else as it says itself."""
    is_ruled = backup.spec.policy_ref is not None and parties.policy is not None
    spec = parties.policy.spec if is_ruled and parties.policy is not None else backup.spec
    return options_with_server(options_of(spec), parties.database)


def _every_nth(backup: Backup, parties: Parties) -> int:
    """Return of how many backups one is restored; a backup that a person asks for is always restored."""
    if backup.spec.origin is not Origin.SCHEDULED or parties.policy is None:
        return 1
    return parties.policy.spec.verification.every_nth or 1


def backup_work(backup: Backup, parties: Parties, *, image: str, untestable: str | None = None) -> Work:
    """Return the work that takes *backup*; *untestable* says why no server for a restore test can stand beside it (None: one can)."""
    options = options_for(backup, parties)
    request = replace(_request(Verb.BACKUP, backup, parties), untestable=untestable)
    return replace(
        _work_for(backup, parties, image=image),
        request=replace(request, options=options, timeout_seconds=options.timeout_seconds),
        waiting_seconds=options.starting_deadline_seconds,
    )


def settle_work(backup: Backup, parties: Parties, *, image: str) -> Work:
    """Return the work that finds out what became of an attempt of *backup* that left no result."""
    options = options_for(backup, parties)
    request = _request(Verb.SETTLE, backup, parties)
    return replace(
        _small_work_for(backup, parties, image=image),
        request=replace(request, options=options, timeout_seconds=max(SETTLE_SECONDS, options.timeout_seconds)),
    )


def hold_work(backup: Backup, parties: Parties, *, image: str) -> Work:
    """Return the work that writes *backup*'s legal hold into the storage, or releases it; what fails is tried again by the operator."""
    request = replace(
        _request(Verb.HOLD, backup, parties), hold=backup.spec.legal_hold is not None, timeout_seconds=SETTLE_SECONDS
    )
    return replace(_small_work_for(backup, parties, image=image), request=request, retries=0)


def removal_work(backup: Backup, parties: Parties, *, image: str) -> Work:
    """Return the work that deletes *backup*'s data: a prune without retention is about the one backup that it names."""
    request = _request(Verb.PRUNE, backup, parties)
    return replace(
        _small_work_for(backup, parties, image=image),
        request=replace(request, retention=None, timeout_seconds=PRUNE_SECONDS),
    )


def scheduled_work(policy: BackupPolicy, parties: Parties, *, image: str) -> Work:
    """Return the work of *policy*'s CronJob; it names no backup, because each bears the name of its Job."""
    options = options_with_server(options_of(policy.spec), parties.database)
    request = replace(
        _policy_request(Verb.BACKUP, policy, parties),
        name="",
        options=options,
        every_nth=policy.spec.verification.every_nth or 1,
        timeout_seconds=options.timeout_seconds,
    )
    work = _policy_work(policy, parties, request, image=image)
    return replace(work, waiting_seconds=options.starting_deadline_seconds)


def prune_work(
    policy: BackupPolicy,
    parties: Parties,
    *,
    live_attempts: tuple[str, ...],
    image: str,
    held_names: tuple[str, ...] = (),
    known_backups: tuple[KnownBackup, ...] = (),
) -> Work:
    """Return the work that carries out *policy*'s retention; *live_attempts* are pods that may still write, *held_names* stay.

    *known_backups* must still be there.
    """
    request = replace(
        _policy_request(Verb.PRUNE, policy, parties),
        options=options_of(policy.spec),
        retention=policy.spec.retention,
        time_zone=policy.spec.time_zone,
        confirm_prune=policy.metadata.annotations.get(ANNOTATION_CONFIRM_PRUNE),
        held_names=held_names,
        known_backups=known_backups,
        live_attempts=live_attempts,
        timeout_seconds=PRUNE_SECONDS,
    )
    return _policy_work(policy, parties, request, image=image)


def storage_work(verb: Verb, storage: BackupStorage, *, image: str, timeout_seconds: int) -> Work:
    """Return the work that does *verb* on the whole of *storage*; what fails is tried again by the operator, not by Kubernetes."""
    name = storage.metadata.name
    request = JobRequest(
        verb=verb,
        namespace=storage.metadata.namespace,
        name=name,
        owner_uid=storage.metadata.uid,
        storage_name=name,
        storage=replace(storage.spec, job=None),
        timeout_seconds=timeout_seconds,
    )
    return Work(
        request=request,
        image=image,
        owner_kind=Kind.BACKUP_STORAGE,
        owner_name=name,
        templates=(storage.spec.job,),
        is_tied=is_tied(storage),
        retries=0,
    )


def _request(verb: Verb, backup: Backup, parties: Parties) -> JobRequest:
    return JobRequest(
        verb=verb,
        namespace=backup.metadata.namespace,
        name=backup.metadata.name,
        owner_uid=backup.metadata.uid,
        custody_id=parties.database.custody_id,
        database_name=parties.database.metadata.name,
        database=replace(parties.database.spec, job=None),
        storage_name=parties.storage.metadata.name,
        storage=replace(parties.storage.spec, job=None),
        policy_name=backup.spec.policy_ref.name if backup.spec.policy_ref is not None else None,
        every_nth=_every_nth(backup, parties),
    )


def _policy_request(verb: Verb, policy: BackupPolicy, parties: Parties) -> JobRequest:
    return JobRequest(
        verb=verb,
        namespace=policy.metadata.namespace,
        name=policy.metadata.name,
        owner_uid=policy.metadata.uid,
        custody_id=parties.database.custody_id,
        database_name=parties.database.metadata.name,
        database=replace(parties.database.spec, job=None),
        storage_name=parties.storage.metadata.name,
        storage=replace(parties.storage.spec, job=None),
        policy_name=policy.metadata.name,
    )


def _work_for(backup: Backup, parties: Parties, *, image: str) -> Work:
    policy_job = parties.policy.spec.job if parties.policy is not None else None
    return Work(
        request=_request(Verb.BACKUP, backup, parties),
        image=image,
        owner_kind=Kind.BACKUP,
        owner_name=backup.metadata.name,
        backup_name=backup.metadata.name,
        templates=(parties.database.spec.job, parties.storage.spec.job, policy_job, backup.spec.job),
        is_tied=is_tied(parties.storage),
    )


def _small_work_for(backup: Backup, parties: Parties, *, image: str) -> Work:
    """Return the work without what people said about a dump's memory: what killed the dump must not kill who asks for its remains."""
    work = _work_for(backup, parties, image=image)
    templates = (replace(one, resources=None) if one is not None else None for one in work.templates)
    return replace(work, templates=tuple(templates))


def _policy_work(policy: BackupPolicy, parties: Parties, request: JobRequest, *, image: str) -> Work:
    return Work(
        request=request,
        image=image,
        owner_kind=Kind.BACKUP_POLICY,
        owner_name=policy.metadata.name,
        templates=(parties.database.spec.job, parties.storage.spec.job, policy.spec.job),
        is_tied=is_tied(parties.storage),
    )


def is_tied(storage: BackupStorage) -> bool:
    """Return whether only one node at a time may use *storage*, or nobody knows yet."""
    return storage.status.sharing != ANY_NODE
