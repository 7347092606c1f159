"""A RestoreRequest at one moment: what was seen around it, and which backup and which server that makes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from dbcustody.api.approval import Approval
from dbcustody.api.backup import Attempt, Backup
from dbcustody.api.condition import ConditionStatus, ConditionType, find, is_true
from dbcustody.api.database import Database
from dbcustody.api.policy import BackupPolicy
from dbcustody.api.restore import Mode, RestoreProgress, RestoreRequest
from dbcustody.api.storage import BackupStorage
from dbcustody.contract import Verb
from dbcustody.guidance import GUIDANCE
from dbcustody.plan.freeze import FreezeWindow
from dbcustody.plan.observed import SeenJob
from dbcustody.plan.request import Missing, missing
from dbcustody.plan.workload import SeenWorkload
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.api.backup import Artefact
    from dbcustody.api.restore import RestoreRequestStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRestore:
    """What was seen around a RestoreRequest; None: it is not there, or the request does not name it."""

    image: str
    database: Database | None = None
    """On whose server the new database is made."""
    backup: Backup | None = None
    policy: BackupPolicy | None = None
    storage: BackupStorage | None = None
    """That the request, its policy or its Backup names."""
    source_database: Database | None = None
    """Of the policy: its custody is what the policy's backups lie under."""
    jobs: tuple[SeenJob, ...] = ()
    undone: RestoreRequest | None = None
    """Whose swap is to be taken back."""
    rivals: tuple[str, ...] = ()
    """Unfinished requests to take the same database's place that come first."""
    safety_policy: str | None = None
    """The BackupPolicy by which all of what is there now can be backed up; None: there is none."""
    partial_policies: tuple[str, ...] = ()
    """Those that could, and leave something out."""
    safety_backup: Backup | None = None
    workloads: tuple[SeenWorkload, ...] = ()
    is_namespace_going: bool = False
    prunes: tuple[str, ...] = ()
    """Jobs of retention that are under way at the storage."""
    freeze_windows: tuple[FreezeWindow, ...] = ()
    progress: RestoreProgress | None = None
    runs: int = 1
    """How many runs are watched, in the whole cluster."""
    approvals: tuple[Approval, ...] = ()
    """All those that name the request."""
    is_stamped: bool = False
    """Whether admission policies write down who asks and who approves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the backup lies, and which one is meant; see `contract.RestoreTerms`."""

    storage: BackupStorage
    custody_id: str
    backup_id: str | None = None
    policy: str | None = None
    before_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request can never be carried out."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class RestoreCase:
    """A RestoreRequest at one moment, with everything that the rules look at."""

    request: RestoreRequest
    seen: SeenRestore
    now: datetime

    @property
    def status(self) -> RestoreRequestStatus:
        """What was last said."""
        return self.request.status

    @property
    def attempt(self) -> Attempt | None:
        """The last attempt that was written down."""
        return self.status.attempts[-1] if self.status.attempts else None

    @property
    def verb(self) -> Verb | None:
        """What the last attempt does; None before the first."""
        return Verb(self.attempt.verb) if self.attempt is not None else None

    @property
    def job(self) -> SeenJob | None:
        """The Job of the last attempt, or None when it is not there."""
        name = self.attempt.job_name if self.attempt is not None else None
        return next((job for job in self.seen.jobs if job.name == name), None)

    @property
    def is_replace(self) -> bool:
        """Whether another database's place is to be taken."""
        return self.request.spec.mode is Mode.REPLACE

    @property
    def is_given_up(self) -> bool:
        """Whether it is not wanted any more: cancelled, or being deleted while our finalizer holds it."""
        return self.request.spec.cancel or self.request.metadata.is_being_deleted

    @property
    def origin(self) -> Origin | Missing | Refusal:
        """Where the backup lies; what is missing and may come; or why it never will do."""
        if self.request.spec.undo_of is not None:
            return _of_undone(self.request.spec.undo_of.name, self.seen)
        source = self.request.source
        if source.backup_ref is not None:
            return _of_backup(source.backup_ref.name, self.seen)
        if source.policy_ref is not None:
            found = _of_policy(source.policy_ref.name, self.seen, source.before_time)
        else:
            found = _of_storage(self.request, self.seen)
        return found

    def about_source(self, reason: Reason, message: str) -> str:
        """Return *message*, with which a Job ended for *reason*, and what the Backup itself says when the Job did not find its data.

        Only the Job may say that it is too late: it looks first whether this very request was carried out while the data was there.
        """
        loss = self.seen.backup.status.loss if self.seen.backup is not None else None
        if loss is None or reason is not Reason.BACKUP_NOT_FOUND:
            return message
        return f"{message}; {loss.message}; {GUIDANCE[reason].remedy}"


def _of_undone(name: str, seen: SeenRestore) -> Origin | Missing | Refusal:
    """Return where the ledger lies that says who was erased meanwhile: beside the backup that is taken back."""
    if seen.undone is None:
        return missing(Reason.NOTHING_TO_UNDO, "RestoreRequest", name)
    if not is_true(seen.undone.status.conditions, ConditionType.FINISHED):
        return Missing(reason=Reason.PENDING, message=f"RestoreRequest {name!r} is not finished")
    if seen.undone.status.old_database is None and not _was_taken_back(seen.undone):
        return Refusal(reason=Reason.NOTHING_TO_UNDO, message=f"RestoreRequest {name!r} put no database away")
    if seen.storage is None or seen.database is None:
        return missing(Reason.STORAGE_NOT_FOUND, "BackupStorage", None)
    return Origin(storage=seen.storage, custody_id=seen.database.custody_id)


def _was_taken_back(request: RestoreRequest) -> bool:
    """Return whether *request* found, filed again, that it was undone: then whoever undid it is to find that too, filed again."""
    said = find(request.status.conditions, ConditionType.SUCCEEDED)
    return said is not None and said.reason is Reason.ALREADY_UNDONE


def _of_backup(name: str, seen: SeenRestore) -> Origin | Missing | Refusal:
    backup = seen.backup
    if backup is None:
        return missing(Reason.BACKUP_NOT_FOUND, "Backup", name)
    if not is_true(backup.status.conditions, ConditionType.FINISHED):
        return Missing(reason=Reason.PENDING, message=f"Backup {name!r} is not finished")
    artefact = backup.status.artefact
    if artefact is None:
        return Refusal(reason=Reason.BACKUP_NOT_GOOD, message=f"Backup {name!r} failed: nothing lies in the storage")
    verified = find(backup.status.conditions, ConditionType.VERIFIED)
    if verified is not None and verified.status is ConditionStatus.FALSE:
        message = f"Backup {name!r} did not pass its verification: {verified.message}"
        return Refusal(reason=Reason.BACKUP_NOT_GOOD, message=message)
    return (
        missing(Reason.STORAGE_NOT_FOUND, "BackupStorage", backup.status.storage)
        if seen.storage is None
        else _where_it_lies(name, artefact, seen.storage)
    )


def _where_it_lies(name: str, artefact: Artefact, storage: BackupStorage) -> Origin | Missing:
    here = storage.status.location
    if here is not None and not artefact.lies_in(here):
        message = f"Backup {name!r} lies in {artefact.location}, and its storage is {here} now"
        return Missing(reason=Reason.STORAGE_NOT_READY, message=message)
    return Origin(storage=storage, custody_id=custody_of(artefact), backup_id=artefact.backup_id)


def custody_of(artefact: Artefact) -> str:
    """Return the custody under which *artefact* lies: the folder of its backups is called after it."""
    return artefact.location.removesuffix(f"/backups/{artefact.backup_id}").rpartition("/")[2]


def _of_policy(name: str, seen: SeenRestore, before_time: datetime | None) -> Origin | Missing:
    policy = seen.policy
    if policy is None:
        return missing(Reason.POLICY_NOT_FOUND, "BackupPolicy", name)
    if seen.source_database is None:
        return missing(Reason.DATABASE_NOT_FOUND, "Database", policy.spec.database_ref.name)
    if seen.storage is None:
        return missing(Reason.STORAGE_NOT_FOUND, "BackupStorage", policy.spec.storage_ref.name)
    custody_id = seen.source_database.custody_id
    return Origin(storage=seen.storage, custody_id=custody_id, policy=name, before_time=before_time)


def _of_storage(request: RestoreRequest, seen: SeenRestore) -> Origin | Missing:
    source = request.source
    if seen.storage is None:
        return missing(
            Reason.STORAGE_NOT_FOUND,
            "BackupStorage",
            source.storage_ref.name if source.storage_ref is not None else None,
        )
    return Origin(
        storage=seen.storage,
        custody_id=source.custody_id or "",
        backup_id=source.backup_id,
        before_time=source.before_time,
    )


def target_of(case: RestoreCase) -> Database | Missing:
    """Return on whose server the database is made, or that it is missing."""
    return case.seen.database or missing(
        Reason.DATABASE_NOT_FOUND, "Database", case.request.spec.target.database_ref.name
    )
