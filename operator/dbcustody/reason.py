"""Every reason that dbcustody ever gives, in one place.

A reason is API: people write alerts and scripts against it. Each one belongs to one condition, carries the exit code a Job ends with,
says whether trying again can help without a person, and what a person can do. `docs/reasons.md` is generated from this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """How a Job's process ends; `podFailurePolicy` retries 20 alone."""

    DONE = 0
    REFUSED = 10
    UNAVAILABLE = 20
    BUG = 30


class Reason(StrEnum):
    """The closed list of reasons, as they stand in conditions, Events, metrics and results."""

    # progress and success
    PENDING = "Pending"
    RUNNING = "Running"
    RETRYING = "Retrying"
    SETTLING = "Settling"
    READY = "Ready"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    ADOPTED = "Adopted"
    CONNECTED = "Connected"
    PRIVILEGES_SUFFICIENT = "PrivilegesSufficient"
    VERSION_SUPPORTED = "VersionSupported"
    STORAGE_REACHABLE = "StorageReachable"
    ENCRYPTION_READY = "EncryptionReady"
    NOT_ENCRYPTED = "NotEncrypted"
    KEYS_CURRENT = "KeysCurrent"
    RE_WRAPPING = "ReWrapping"
    CONFORMANT = "Conformant"
    SCHEDULE_ACCEPTED = "ScheduleAccepted"
    RECOVERY_POINT_CURRENT = "RecoveryPointCurrent"
    RETENTION_ENFORCED = "RetentionEnforced"
    CONTINUITY_PROVEN = "ContinuityProven"
    CAPTURED = "Captured"
    UPLOADED = "Uploaded"
    VERIFIED = "Verified"
    NOT_REQUESTED = "NotRequested"
    HOLD_PENDING = "HoldPending"
    HOLD_PLACED = "HoldPlaced"
    HOLD_RELEASED = "HoldReleased"
    # what a resource refers to
    INVALID_SPEC = "InvalidSpec"
    DATABASE_NOT_FOUND = "DatabaseNotFound"
    STORAGE_NOT_FOUND = "StorageNotFound"
    POLICY_NOT_FOUND = "PolicyNotFound"
    STORAGE_NOT_READY = "StorageNotReady"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a password
    SECRET_KEY_MISSING = "SecretKeyMissing"  # noqa: S105 - a reason, not a password
    CONVENTION_UNKNOWN = "ConventionUnknown"
    SCHEDULE_INVALID = "ScheduleInvalid"
    SCHEDULE_NEVER_FIRES = "ScheduleNeverFires"
    # the database
    HOST_UNREACHABLE = "HostUnreachable"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    DATABASE_MISSING = "DatabaseMissing"
    TLS_FAILED = "TLSFailed"
    POOLER_REFUSED = "PoolerRefused"
    VERSION_UNSUPPORTED = "VersionUnsupported"
    PRIVILEGES_MISSING = "PrivilegesMissing"
    CONNECTION_LOST = "ConnectionLost"
    LOCK_NOT_OBTAINED = "LockNotObtained"
    BLOCKING_OTHERS = "BlockingOthers"
    RECOVERY_CONFLICT = "RecoveryConflict"
    SCHEMA_CHANGED = "SchemaChanged"
    DATA_CORRUPTION = "DataCorruption"
    DATABASE_BUSY = "DatabaseBusy"
    DUMP_FAILED = "DumpFailed"
    # the storage
    STORAGE_UNREACHABLE = "StorageUnreachable"
    STORAGE_DENIED = "StorageDenied"
    BUCKET_NOT_FOUND = "BucketNotFound"
    STORAGE_FULL = "StorageFull"
    NOT_CONFORMANT = "NotConformant"
    STORAGE_READ_ONLY = "StorageReadOnly"
    CUSTODY_CONFLICT = "CustodyConflict"
    COMMIT_CONFLICT = "CommitConflict"
    FORMAT_UNKNOWN = "FormatUnknown"
    # keys and proof
    KEY_INVALID = "KeyInvalid"
    KEY_MISSING = "KeyMissing"
    KEY_MISMATCH = "KeyMismatch"
    VERIFICATION_FAILED = "VerificationFailed"
    ARCHIVE_DAMAGED = "ArchiveDamaged"
    CONTINUITY_UNPROVEN = "ContinuityUnproven"
    # the restore
    SOURCE_VERIFIED = "SourceVerified"
    TARGET_SAFE = "TargetSafe"
    RESTORED = "Restored"
    ERASURES_REPLAYED = "ErasuresReplayed"
    CHECKS_PASSED = "ChecksPassed"
    PLAN_CHANGED = "PlanChanged"
    BACKUP_NOT_GOOD = "BackupNotGood"
    BACKUP_NOT_FOUND = "BackupNotFound"
    TARGET_EXISTS = "TargetExists"
    ROLES_MISSING = "RolesMissing"
    EXTENSIONS_MISSING = "ExtensionsMissing"
    ACKNOWLEDGEMENT_NEEDED = "AcknowledgementNeeded"
    RESTORE_FAILED = "RestoreFailed"
    CHECKS_FAILED = "ChecksFailed"
    ERASURES_PENDING = "ErasuresPending"
    # the Job
    POD_NOT_CREATED = "PodNotCreated"
    POD_NOT_SCHEDULED = "PodNotScheduled"
    IMAGE_NOT_AVAILABLE = "ImageNotAvailable"
    JOB_LOST = "JobLost"
    JOB_DELETED = "JobDeleted"
    OUT_OF_MEMORY = "OutOfMemory"
    EVICTED = "Evicted"
    NODE_LOST = "NodeLost"
    INTERRUPTED = "Interrupted"
    TIMED_OUT = "TimedOut"
    CANCELLED = "Cancelled"
    NAME_TAKEN = "NameTaken"
    CONTRACT_UNKNOWN = "ContractUnknown"
    INTERNAL_ERROR = "InternalError"
    # schedule and retention
    MISSED = "Missed"
    SKIPPED = "Skipped"
    RECOVERY_POINT_MISSED = "RecoveryPointMissed"
    NO_BACKUP_YET = "NoBackupYet"
    RETENTION_FROZEN = "RetentionFrozen"
    RETENTION_NEEDS_CONFIRMATION = "RetentionNeedsConfirmation"
    DELETION_FAILED = "DeletionFailed"
    HELD = "Held"
    NOTHING_TO_HOLD = "NothingToHold"
    DATA_LEFT_IN_STORAGE = "DataLeftInStorage"


@dataclass(frozen=True, slots=True)
class Guidance:
    """What a reason means for the condition, the Job and the person."""

    condition: str
    exit_code: ExitCode
    retries: bool
    remedy: str


def _good(condition: str, remedy: str = "nothing to do") -> Guidance:
    return Guidance(condition, ExitCode.DONE, retries=False, remedy=remedy)


def _refused(condition: str, remedy: str, *, retries: bool = False) -> Guidance:
    return Guidance(condition, ExitCode.REFUSED, retries=retries, remedy=remedy)


def _unavailable(condition: str, remedy: str) -> Guidance:
    return Guidance(condition, ExitCode.UNAVAILABLE, retries=True, remedy=remedy)


GUIDANCE: dict[Reason, Guidance] = {
    Reason.PENDING: _good("Ready", "wait: nothing was tried yet"),
    Reason.RUNNING: _good("Succeeded", "watch with `kubectl get backups.dbcustody.dev -w`"),
    Reason.RETRYING: _unavailable("Succeeded", "wait, or read the message: it names the last error"),
    Reason.SETTLING: _good("Succeeded", "wait: the storage is asked what became of the run"),
    Reason.READY: _good("Ready"),
    Reason.SUSPENDED: _good("Ready", "set `spec.suspend: false` to go on"),
    Reason.SUCCEEDED: _good("Succeeded"),
    Reason.ADOPTED: _good("Succeeded", "nothing to do: the storage already held the backup of this name"),
    Reason.CONNECTED: _good("Connected"),
    Reason.PRIVILEGES_SUFFICIENT: _good("PrivilegesSufficient"),
    Reason.VERSION_SUPPORTED: _good("VersionSupported"),
    Reason.STORAGE_REACHABLE: _good("StorageReachable"),
    Reason.ENCRYPTION_READY: _good("EncryptionReady"),
    Reason.NOT_ENCRYPTED: _good("EncryptionReady", "set `spec.encryption` to encrypt what is written from now on"),
    Reason.KEYS_CURRENT: _good("KeysCurrent", "nothing to do: keys other than the active one can be taken out"),
    Reason.RE_WRAPPING: _good("KeysCurrent", "keep the old keys until the active key opens every backup"),
    Reason.CONFORMANT: _good("ConformancePassed"),
    Reason.SCHEDULE_ACCEPTED: _good("ScheduleAccepted"),
    Reason.RECOVERY_POINT_CURRENT: _good("RecoveryPointCurrent"),
    Reason.RETENTION_ENFORCED: _good("RetentionEnforced"),
    Reason.CONTINUITY_PROVEN: _good("ContinuityProven"),
    Reason.CAPTURED: _good("Captured"),
    Reason.UPLOADED: _good("Uploaded"),
    Reason.VERIFIED: _good("Verified"),
    Reason.NOT_REQUESTED: _good("Verified", "choose a higher `spec.verification.level` in the policy"),
    Reason.HOLD_PENDING: _good("Held", "wait: a Job writes the hold, or its release, into the storage"),
    Reason.HOLD_PLACED: _good("Held", "take out `spec.legalHold` to release it"),
    Reason.HOLD_RELEASED: _good("Held"),
    Reason.INVALID_SPEC: _refused("Ready", "correct the field that the message names"),
    Reason.DATABASE_NOT_FOUND: _refused("Ready", "create the Database that `spec.databaseRef` names", retries=True),
    Reason.STORAGE_NOT_FOUND: _refused("Ready", "create the BackupStorage that `spec.storageRef` names", retries=True),
    Reason.POLICY_NOT_FOUND: _refused("Ready", "create the BackupPolicy that `spec.policyRef` names", retries=True),
    Reason.STORAGE_NOT_READY: _refused("Ready", "look at the BackupStorage's conditions", retries=True),
    Reason.SECRET_NOT_FOUND: _unavailable("Ready", "create the Secret that the message names, in the same namespace"),
    Reason.SECRET_KEY_MISSING: _unavailable("Ready", "add the key that the message names to the Secret"),
    Reason.CONVENTION_UNKNOWN: _refused(
        "Connected", "name the keys of the Secret in `spec.connection.keyMap`", retries=True
    ),
    Reason.SCHEDULE_INVALID: _refused(
        "ScheduleAccepted", "correct `spec.schedule` or `spec.timeZone`: the message quotes the API server"
    ),
    Reason.SCHEDULE_NEVER_FIRES: _refused("ScheduleAccepted", "correct `spec.schedule`: no date fits it"),
    Reason.HOST_UNREACHABLE: _unavailable("Connected", "check host, port and network policies"),
    Reason.AUTHENTICATION_FAILED: _refused(
        "Connected", "correct user or password in the Secret; it is picked up by itself", retries=True
    ),
    Reason.DATABASE_MISSING: _refused("Connected", "correct the database's name", retries=True),
    Reason.TLS_FAILED: _refused(
        "Connected", "correct `spec.connection.tls`: the certificate's issuer or host name does not fit", retries=True
    ),
    Reason.POOLER_REFUSED: _refused(
        "Connected",
        "give the address of the server itself: a transaction pooler cannot hold a snapshot or a lock",
        retries=True,
    ),
    Reason.VERSION_UNSUPPORTED: _refused(
        "VersionSupported", "use an image whose clients are as new as the server", retries=True
    ),
    Reason.PRIVILEGES_MISSING: _refused(
        "PrivilegesSufficient", "run the SQL in the Database's `status.missingGrants`", retries=True
    ),
    Reason.CONNECTION_LOST: _unavailable("Succeeded", "wait: it is tried again; look at the server's log if it stays"),
    Reason.LOCK_NOT_OBTAINED: _unavailable(
        "Succeeded", "wait, or raise `spec.lockWaitSeconds`; the message names what held the lock"
    ),
    Reason.BLOCKING_OTHERS: _unavailable(
        "Succeeded", "run the dump at a quieter time, or raise `spec.cancelWhenBlockingSeconds`"
    ),
    Reason.RECOVERY_CONFLICT: _unavailable(
        "Succeeded", "raise `max_standby_streaming_delay` on the standby, or dump from the primary"
    ),
    Reason.SCHEMA_CHANGED: _unavailable("Succeeded", "wait: a table changed under the dump; it is tried again"),
    Reason.DATA_CORRUPTION: _refused(
        "Succeeded",
        "the server cannot read its own data: repair it; retention deletes nothing until a newer backup is good",
    ),
    Reason.DATABASE_BUSY: _unavailable("Succeeded", "wait: another dump or a migration holds the database"),
    Reason.DUMP_FAILED: _refused("Succeeded", "read the message: it quotes pg_dump with values left out"),
    Reason.STORAGE_UNREACHABLE: _unavailable(
        "StorageReachable",
        "check endpoint, CA and network policies; with `RequestTimeTooSkewed` our clock, with `SlowDown` the provider's request limits",
    ),
    Reason.STORAGE_DENIED: _refused(
        "StorageReachable", "correct the credentials or their rights; they are picked up by themselves", retries=True
    ),
    Reason.BUCKET_NOT_FOUND: _refused(
        "StorageReachable", "correct `bucket`, `region` or `endpoint`, or create the bucket", retries=True
    ),
    Reason.STORAGE_FULL: _unavailable("StorageReachable", "free space or enlarge the volume"),
    Reason.NOT_CONFORMANT: _refused(
        "ConformancePassed",
        "use a storage with conditional puts: without them two runs could overwrite each other",
        retries=True,
    ),
    Reason.STORAGE_READ_ONLY: _refused("Ready", "set `spec.accessMode: ReadWrite` on the BackupStorage", retries=True),
    Reason.CUSTODY_CONFLICT: _refused(
        "Succeeded", "another owner's backups lie under this custody id: choose another `spec.custodyId`"
    ),
    Reason.COMMIT_CONFLICT: _refused("Succeeded", "nothing to do: another attempt of the same backup was committed"),
    Reason.FORMAT_UNKNOWN: _refused("StorageReachable", "use a newer dbcustody: the storage was written by one"),
    Reason.KEY_INVALID: _refused(
        "EncryptionReady", "make the key exactly 32 random bytes: `head -c 32 /dev/urandom`", retries=True
    ),
    Reason.KEY_MISSING: _refused(
        "EncryptionReady", "put the key that the message names back into the keyring Secret", retries=True
    ),
    Reason.KEY_MISMATCH: _refused(
        "EncryptionReady",
        "the key of this id is not the one that wrote the storage: put the right one back",
        retries=True,
    ),
    Reason.VERIFICATION_FAILED: _refused("Verified", "take a new backup; this one is kept but never counted as good"),
    Reason.ARCHIVE_DAMAGED: _refused(
        "Verified", "take a new backup and examine the storage: what was read is not what was written"
    ),
    Reason.CONTINUITY_UNPROVEN: _refused(
        "ContinuityProven",
        "find out who removed or replaced a backup in the storage; if it was meant, delete the Backups that the message names",
        retries=True,
    ),
    Reason.SOURCE_VERIFIED: _good("SourceVerified"),
    Reason.TARGET_SAFE: _good("TargetSafe"),
    Reason.RESTORED: _good("Restored"),
    Reason.ERASURES_REPLAYED: _good("ErasuresReplayed"),
    Reason.CHECKS_PASSED: _good("ChecksPassed"),
    Reason.PLAN_CHANGED: _refused("TargetSafe", "wait: the plan is made and told again", retries=True),
    Reason.BACKUP_NOT_GOOD: _refused("SourceVerified", "choose another backup: this one was never proven to be whole"),
    Reason.BACKUP_NOT_FOUND: _refused(
        "SourceVerified",
        "name a backup that the storage holds: `kubectl get backups.dbcustody.dev` or `dbcustody backups list` shows them",
    ),
    Reason.TARGET_EXISTS: _refused("TargetSafe", "choose another name: nothing that exists is ever written into"),
    Reason.ROLES_MISSING: _refused("TargetSafe", "create the roles, let them be created, or leave ownership out"),
    Reason.EXTENSIONS_MISSING: _refused("TargetSafe", "install the packages of the extensions on the target's server"),
    Reason.ACKNOWLEDGEMENT_NEEDED: _refused(
        "TargetSafe", "read `status.plan`, and name in `acknowledge` of a new request what the message asks for"
    ),
    Reason.RESTORE_FAILED: _refused("Restored", "read the message: it quotes pg_restore with values left out"),
    Reason.CHECKS_FAILED: _refused(
        "ChecksPassed", "do not use it: what was restored differs from what was backed up, as the message says"
    ),
    Reason.ERASURES_PENDING: _refused(
        "ErasuresReplayed", "people were erased after the backup was taken: it would bring them back"
    ),
    Reason.POD_NOT_CREATED: _unavailable(
        "Ready", "read the message: it quotes the quota, the policy or the missing ServiceAccount"
    ),
    Reason.POD_NOT_SCHEDULED: _unavailable("Ready", "read the message: it quotes the scheduler"),
    Reason.IMAGE_NOT_AVAILABLE: _unavailable("Ready", "check the image's name and the pull secrets in `spec.job`"),
    Reason.JOB_LOST: _unavailable("Succeeded", "start a new backup: the run left no result and nothing in the storage"),
    Reason.JOB_DELETED: _refused("Succeeded", "start a new backup if the Job was deleted by mistake"),
    Reason.OUT_OF_MEMORY: _unavailable("Succeeded", "raise `spec.job.resources.limits.memory`"),
    Reason.EVICTED: _unavailable("Succeeded", "nothing to do if the next run succeeds; else look at the node"),
    Reason.NODE_LOST: _unavailable(
        "Succeeded", "bring the node back, or delete its Node object; the next run goes to another node"
    ),
    Reason.INTERRUPTED: _unavailable("Succeeded", "nothing to do: the run was stopped from outside and is tried again"),
    Reason.TIMED_OUT: _refused("Succeeded", "raise `spec.timeoutSeconds`, or find out what made the run slow"),
    Reason.CANCELLED: _refused("Succeeded", "nothing to do: it was cancelled"),
    Reason.NAME_TAKEN: _refused("Ready", "delete or rename the object of the same name that is not ours"),
    Reason.CONTRACT_UNKNOWN: _refused("Succeeded", "update the operator and its Jobs to versions that know each other"),
    Reason.INTERNAL_ERROR: Guidance("Succeeded", ExitCode.BUG, retries=False, remedy="report it with the Job's log"),
    Reason.MISSED: _refused(
        "RecoveryPointCurrent", "find out why no run started: the policy's `status.missed` lists the slots"
    ),
    Reason.SKIPPED: _refused(
        "Succeeded", "nothing to do if the next run succeeds: this one waited too long for its turn"
    ),
    Reason.RECOVERY_POINT_MISSED: _refused(
        "RecoveryPointCurrent", "look at the newest Backups of the policy", retries=True
    ),
    Reason.NO_BACKUP_YET: _refused(
        "RecoveryPointCurrent", "wait for the first run, or start one by hand", retries=True
    ),
    Reason.RETENTION_FROZEN: _refused(
        "RetentionEnforced", "nothing is deleted until a newer backup is good", retries=True
    ),
    Reason.RETENTION_NEEDS_CONFIRMATION: _refused(
        "RetentionEnforced",
        "confirm with the annotation `dbcustody.dev/confirm-prune` that the message quotes",
        retries=True,
    ),
    Reason.DELETION_FAILED: _unavailable("RetentionEnforced", "give the credentials the right to delete objects"),
    Reason.HELD: _good("RetentionEnforced", "nothing to do: an object lock or a hold keeps the data"),
    Reason.NOTHING_TO_HOLD: _refused("Held", "nothing helps: the storage holds no such backup any more"),
    Reason.DATA_LEFT_IN_STORAGE: _good("Ready", "delete the data in the storage by hand if it shall go"),
}
