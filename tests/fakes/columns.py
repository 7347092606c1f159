"""The columns that `kubectl get` shows of each kind, as the design wants them: name, type, path, and 1 where only `-o wide` shows it."""

from __future__ import annotations

from dbcustody.api.meta import Kind

READY, SUCCEEDED, VERIFIED, APPROVED = (
    f'.status.conditions[?(@.type=="{kind}")]' for kind in ("Ready", "Succeeded", "Verified", "Approved")
)
RECOVERY_POINT = '.status.conditions[?(@.type=="RecoveryPointCurrent")].status'
AGE = ("Age", "date", ".metadata.creationTimestamp", 0)
COLUMNS = {
    Kind.DATABASE: [
        ("Ready", "string", f"{READY}.status", 0),
        ("Host", "string", ".status.endpoint", 0),
        ("Database", "string", ".status.database", 0),
        ("Version", "string", ".status.server.version", 0),
        ("Size", "integer", ".status.server.sizeBytes", 1),
        ("Last-Backup", "date", ".status.lastBackup.time", 0),
        ("Reason", "string", f"{READY}.reason", 1),
        AGE,
    ],
    Kind.BACKUP_STORAGE: [
        ("Ready", "string", f"{READY}.status", 0),
        ("Kind", "string", ".status.kind", 0),
        ("Location", "string", ".status.location", 0),
        ("Encrypted", "boolean", ".status.encrypted", 0),
        ("Backups", "integer", ".status.backups", 0),
        ("Reason", "string", f"{READY}.reason", 1),
        AGE,
    ],
    Kind.BACKUP_POLICY: [
        ("Ready", "string", f"{READY}.status", 0),
        ("Database", "string", ".spec.databaseRef.name", 0),
        ("Schedule", "string", ".spec.schedule", 0),
        ("Suspend", "boolean", ".spec.suspend", 0),
        ("Last-OK", "date", ".status.lastSuccess.time", 0),
        ("Next", "string", ".status.nextScheduleTime", 0),
        ("Recovery-Point", "string", RECOVERY_POINT, 0),
        ("Kept", "integer", ".status.retained.count", 1),
        ("Store", "string", ".spec.storageRef.name", 1),
        AGE,
    ],
    Kind.BACKUP: [
        ("Succeeded", "string", f"{SUCCEEDED}.status", 0),
        ("Database", "string", ".status.database", 0),
        ("Progress", "string", ".status.progress.summary", 0),
        ("Size", "string", ".status.artefact.stored", 0),
        ("Verified", "string", f"{VERIFIED}.status", 0),
        ("Expires", "string", ".status.expiresTime", 0),
        ("Policy", "string", ".spec.policyRef.name", 1),
        ("Duration", "integer", ".status.durationSeconds", 1),
        ("Scope", "string", ".status.scope", 1),
        ("Location", "string", ".status.artefact.location", 1),
        ("Reason", "string", f"{SUCCEEDED}.reason", 1),
        AGE,
    ],
    Kind.RESTORE_REQUEST: [
        ("Succeeded", "string", f"{SUCCEEDED}.status", 0),
        ("Source", "string", ".status.source", 0),
        ("Target", "string", ".status.target", 0),
        ("Mode", "string", ".spec.mode", 0),
        ("Progress", "string", ".status.progress.summary", 0),
        ("Approved", "string", f"{APPROVED}.status", 0),
        ("Duration", "integer", ".status.durationSeconds", 1),
        ("Reason", "string", f"{SUCCEEDED}.reason", 1),
        AGE,
    ],
    Kind.APPROVAL: [
        ("Request", "string", ".spec.requestRef.name", 0),
        ("Decision", "string", ".spec.decision", 0),
        ("Approver", "string", ".spec.approver", 0),
        ("Ready", "string", f"{READY}.status", 0),
        ("Reason", "string", f"{READY}.reason", 1),
        AGE,
    ],
    Kind.DATABASE_MIGRATION: [
        ("Ready", "string", f"{READY}.status", 0),
        ("Database", "string", ".spec.databaseRef.name", 0),
        ("Current", "string", ".status.currentRevision", 0),
        ("Pending", "integer", ".status.pending", 0),
        ("Risk", "string", ".status.plan.risk", 0),
        ("Approved", "string", f"{APPROVED}.status", 0),
        ("Reason", "string", f"{READY}.reason", 1),
        ("Progress", "string", ".status.progress.summary", 1),
        ("Plan", "string", ".status.plan.hash", 1),
        AGE,
    ],
}
"""Times that lie ahead are strings: a column of type `date` shows how long ago something was."""
