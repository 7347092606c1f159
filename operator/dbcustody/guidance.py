"""What each reason means: its condition, the exit code of a Job, whether trying again can help without a person, and what a person can do.

`docs/reasons.md` is generated from this table.
"""

from __future__ import annotations

from dataclasses import dataclass

from dbcustody.reason import ExitCode, Reason


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
        "PrivilegesSufficient",
        "run the SQL in the message, or all of it in the Database's `status.missingGrants`",
        retries=True,
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
    Reason.RESTORE_TESTED: _good("RestoreTested"),
    Reason.RESTORE_VERIFIED: _good("RestoreVerified"),
    Reason.TEST_SERVER_UNAVAILABLE: _refused(
        "RestoreTested",
        "read the message: the backup itself is safe; correct `spec.verification.image` or its pull secret",
    ),
    Reason.SCRATCH_TOO_SMALL: _refused(
        "RestoreTested", "raise `spec.verification.scratch.sizeBytes`: the restored database did not fit"
    ),
    Reason.SOURCE_VERIFIED: _good("SourceVerified"),
    Reason.TARGET_SAFE: _good("TargetSafe"),
    Reason.RESTORED: _good("Restored"),
    Reason.ERASURES_REPLAYED: _good("ErasuresReplayed"),
    Reason.CHECKS_PASSED: _good("ChecksPassed"),
    Reason.SAFETY_BACKUP_TAKEN: _good("SafetyBackupTaken"),
    Reason.QUIESCED: _good("Quiesced"),
    Reason.SWAPPED: _good("Swapped"),
    Reason.WORKLOADS_RESUMED: _good("WorkloadsResumed"),
    Reason.PLAN_CHANGED: _refused("TargetSafe", "wait: the plan is made and told again", retries=True),
    Reason.BACKUP_NOT_GOOD: _refused("SourceVerified", "choose another backup: this one was never proven to be whole"),
    Reason.BACKUP_NOT_FOUND: _refused(
        "SourceVerified",
        "name a backup that the storage holds: `kubectl get backups.dbcustody.dev` or `dbcustody backups list` shows them",
    ),
    Reason.BACKUP_PARTIAL: _refused(
        "SourceVerified",
        "take a backup of the whole database and name that, or restore this one beside it: `mode: NewDatabase`",
    ),
    Reason.TARGET_EXISTS: _refused("TargetSafe", "choose another name: nothing that exists is ever written into"),
    Reason.ROLES_MISSING: _refused("TargetSafe", "create the roles, let them be created, or leave ownership out"),
    Reason.EXTENSIONS_MISSING: _refused("TargetSafe", "install the packages of the extensions on the target's server"),
    Reason.LOCALE_MISSING: _refused(
        "Restored",
        "install the locale on the server; a restore test can do with C (`spec.verification.localeFallback`)",
    ),
    Reason.RESTORE_FAILED: _refused("Restored", "read the message: it quotes pg_restore with values left out"),
    Reason.SERVER_FULL: _refused(
        "Succeeded",
        "make room on the database server, then ask again: its disk was full, and another try would fill it again",
    ),
    Reason.NOT_CONFIRMED: _refused(
        "TargetSafe",
        "see whether that database is meant, and write what the message says in `confirm` of a new request; it holds for one swap",
    ),
    Reason.ACKNOWLEDGEMENT_NEEDED: _refused(
        "TargetSafe", "read the plan's side effects, and name each kind in `acknowledge` of a new request"
    ),
    Reason.TARGET_IN_USE: _refused(
        "TargetSafe", "end what holds the database: finish prepared transactions, stop who reads its replication slots"
    ),
    Reason.SCALE_FORBIDDEN: _refused(
        "TargetSafe", "let the operator scale workloads in this namespace: the chart's `scaleNamespaces`", retries=True
    ),
    Reason.WORKLOAD_NOT_FOUND: _refused("TargetSafe", "correct `workloads` of the Database", retries=True),
    Reason.ALREADY_UNDONE: _refused(
        "TargetSafe", "file a request of another name: this one was carried out, and undone"
    ),
    Reason.NOTHING_TO_UNDO: _refused(
        "TargetSafe", "restore a backup instead: what this request would put back is not kept, or not any more"
    ),
    Reason.OLD_DATABASES_DROPPED: _good("OldDatabasesDropped"),
    Reason.OLD_DATABASE_LEFT: _refused(
        "OldDatabasesDropped",
        "drop the databases that the message names: `dbcustody restore --drop-old NAME`, with the database's URL in `DATABASE_URL`; or file"
        " their requests again, which find them, and drop them",
    ),
    Reason.SAFETY_BACKUP_FAILED: _refused(
        "SafetyBackupTaken", "look at the Backup that the message names, or decline it with `safetyBackup: false`"
    ),
    Reason.SESSIONS_HELD: _refused(
        "Quiesced",
        "end the sessions that the message names, or let the role: GRANT pg_signal_backend; nothing was changed",
    ),
    Reason.SWAP_FAILED: _refused("Swapped", "read the message: the database is what it was, and open"),
    Reason.WORKLOADS_STOPPED: _refused(
        "WorkloadsResumed", "scale the workloads in `status.workloads` by hand: the operator may not, or they are gone"
    ),
    Reason.CHECKS_FAILED: _refused(
        "ChecksPassed", "do not use it: what was restored differs from what was backed up, as the message says"
    ),
    Reason.ERASURES_PENDING: _refused(
        "ErasuresReplayed", "people were erased after the backup was taken: it would bring them back"
    ),
    Reason.SOURCE_RESOLVED: _good("SourceResolved"),
    Reason.SOURCE_NOT_FOUND: _unavailable(
        "SourceResolved",
        "create the ConfigMap that the message names, with the label dbcustody.dev/migration-source, or correct `spec.source.image`",
    ),
    Reason.PLANNED: _good("Planned"),
    Reason.APPLIED: _good("Applied"),
    Reason.DATABASE_AHEAD: _good(
        "Applied", "nothing to do if an older source came back on purpose; else deploy the one that has the rest"
    ),
    Reason.TARGET_UNREACHABLE: _refused(
        "Applied",
        "name a migration that there is; to undo what comes after it takes `policy.allowDowngrade: true`, and a way back of each",
    ),
    Reason.MIGRATION_FAILED: _refused(
        "Applied",
        "read the message: it names file, line and what the server refused; nothing of that file is in, so correct it",
    ),
    Reason.HISTORY_BROKEN: _refused(
        "Applied", "read the message: files and database differ, and for each difference it says what to do"
    ),
    Reason.HISTORY_FOREIGN: _refused(
        "Applied",
        "another tool has migrated this database: take its history over with `dbcustody migrate adopt`, which runs nothing",
    ),
    Reason.DRIFTED: _refused(
        "DriftFree",
        "somebody changed the schema by hand: take that back, write it as a migration and mark it as applied, "
        "or say that it is meant so: `dbcustody migrate status` shows each change and the commands",
    ),
    Reason.DRIFT_FREE: _good("DriftFree"),
    Reason.DRIFT_UNKNOWN: _good("DriftFree", "nothing to do: the next run takes a fingerprint to compare with"),
    Reason.LEDGER_UNKNOWN: _refused(
        "Planned", "use the version of dbcustody that wrote the ledger, or a newer one", retries=True
    ),
    Reason.NEEDS_RESOLUTION: _refused(
        "Applied", "look at what is in and what is not, as the message tells; finish or take back, and declare which"
    ),
    Reason.SOURCE_INVALID: _refused("Planned", "correct the files: the message names each fault with its line"),
    Reason.LINT_PASSED: _good("LintPassed"),
    Reason.LINT_FAILED: _refused(
        "LintPassed",
        "write it as `dbcustody migrate lint` shows, or waive the rule in the head of the file: `-- dbcustody: allow RULE because ...`",
    ),
    Reason.BACKUP_READY: _good("BackupReady"),
    Reason.BACKUP_PENDING: _good(
        "BackupReady", "wait, or take a backup by the policy that `gates.backup` names: it is noticed by itself"
    ),
    Reason.BACKUP_BEFORE_FAILED: _refused(
        "BackupReady",
        "look at the Backup that the message names; then write a new value into the annotation `dbcustody.dev/check-now`",
    ),
    Reason.PROMOTION_PROVEN: _good("PromotionProven"),
    Reason.PROMOTION_PENDING: _good(
        "PromotionProven", "have the same files carried out by the DatabaseMigration that `gates.promotion` names"
    ),
    Reason.IRREVERSIBLE: _refused(
        "Succeeded", "restore a backup, or write what undoes it as a new migration: the files know no way back"
    ),
    Reason.NOT_WRITABLE: _refused(
        "Planned", "give the address of the primary: what answers is a standby, or read-only", retries=True
    ),
    Reason.APPROVED: _good("Approved"),
    Reason.APPROVAL_PENDING: _good(
        "Approved",
        "somebody else than the requester reads `status.plan` and says yes or no: `kubectl dbcustody approve`, `deny`",
    ),
    Reason.APPROVAL_UNAVAILABLE: _refused(
        "Approved",
        "install the chart's admission policies (`policies.enabled`, Kubernetes 1.36 or newer), then file the request anew",
        retries=True,
    ),
    Reason.DENIED: _refused("Approved", "talk to the person who said no; another request can be filed"),
    Reason.EFFECTIVE: _good("Ready"),
    Reason.SUPERSEDED: _refused(
        "Ready", "nothing to do: file another Approval for the plan that the request tells now"
    ),
    Reason.REQUEST_NOT_FOUND: _refused(
        "Ready", "name a request that is there in `spec.requestRef`, with another Approval"
    ),
    Reason.APPROVER_IS_REQUESTER: _refused(
        "Ready", "have somebody else decide: nobody can agree to what he asked for himself"
    ),
    Reason.APPROVER_UNKNOWN: _refused(
        "Ready", "file another Approval once the chart's admission policies are there: they write down who decided"
    ),
    Reason.APPROVAL_NOT_REQUIRED: _refused(
        "Ready", "nothing to do: the request asks nobody; `spec.cancel` ends a restore"
    ),
    Reason.FREEZE_WINDOW: _unavailable(
        "Ready",
        "wait until the window is over; to begin in it, annotate the RestoreRequest with `dbcustody.dev/override-freeze` and a reason",
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
    Reason.DATA_DELETED: _good(
        "Uploaded", "nothing to do: delete the Backup when nobody needs it as a record; restore from another one"
    ),
    Reason.DATA_VANISHED: _refused(
        "Uploaded",
        "find out who took it out of the storage; once it is back it counts again, and if it was meant, delete the Backup",
        retries=True,
    ),
    Reason.DATA_LEFT_IN_STORAGE: _good("Ready", "delete the data in the storage by hand if it shall go"),
}
