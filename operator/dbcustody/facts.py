"""What Jobs find: one dataclass for each kind of work. A result carries exactly the facts of its verb.

Beside the contract, because these are what grows: a new verb brings new facts, and the way they travel stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dbcustody.api.backup import Artefact, BackupScope, TableTotals, Tool
from dbcustody.api.database import Copy, Server
from dbcustody.api.migration import StatedAttempt, StatedDrift, StatedMigrationPlan
from dbcustody.api.migration_error import StatedError
from dbcustody.api.policy import PlanEntry, Retained
from dbcustody.api.restore import ChosenBackup, OldDatabase, RestoreChecks, StatedPlan
from dbcustody.api.storage import Capabilities, FoundBackup, KeyUse
from dbcustody.reason import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionFacts:
    """What an inspection found."""

    endpoint: str
    database: str
    convention: str
    server: Server
    missing_grants: tuple[str, ...] = ()
    client_major_version: int | None = None
    oid: int | None = None
    """None: an older Job does not tell."""
    copies: tuple[Copy, ...] = ()
    """What restores of ours made or put away on the server, the first ones by name."""
    more_copies: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFacts:
    """What a probe of a storage found."""

    location: str
    encrypted: bool
    storage_id: str | None = None
    capabilities: Capabilities | None = None
    keys: tuple[KeyUse, ...] = ()
    unwrapped: int = 0
    """Backups that the active key does not open, and another key of the keyring does."""
    unopened: int = 0
    """Backups that no key of the keyring opens."""
    backups: int = 0
    used_bytes: int = 0
    found: tuple[FoundBackup, ...] = ()
    """The newest ones, newest first; told only where they are to be imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReWrapFacts:
    """How the keys stand after a re-wrap."""

    wrapped: int
    """Backups that the active key opens now and did not before."""
    failed: int = 0
    """Backups of which a wrapped key is damaged, or is not of the key that its name says."""
    unwrapped: int = 0
    unopened: int = 0
    keys: tuple[KeyUse, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreTestFacts:
    """What came of a restore test; the reason NotRequested: this run's turn it was not."""

    reason: Reason
    message: str
    seconds: int | None = None
    """From the first byte read to the last check passed; None: it did not pass, or nobody measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFacts:
    """What a backup (or the settling of one) found in the storage; *artefact* None means: nothing was committed."""

    name: str
    artefact: Artefact | None = None
    adopted: bool = False
    server: Server | None = None
    tool: Tool | None = None
    snapshot_time: datetime | None = None
    lsn: str | None = None
    start_time: datetime | None = None
    finish_time: datetime | None = None
    tables: TableTotals | None = None
    scope: BackupScope | None = None
    not_captured: tuple[str, ...] = ()
    verified_level: str | None = None
    """`Checksum`, `Read` or `Restore` when that level passed; None when it failed or was not reached."""
    verification_message: str | None = None
    restore_test: RestoreTestFacts | None = None
    """None: nobody asked for one."""
    start_up_seconds: float | None = None
    encrypted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneFacts:
    """What retention decided and what became of it."""

    retained: Retained
    plan: tuple[PlanEntry, ...] = ()
    plan_hash: str = ""
    deleted: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    swept_objects: int = 0
    swept_uploads: int = 0
    vanished: tuple[str, ...] = ()
    """Names of backups that were known and are not there, without a tombstone."""
    breaks: tuple[str, ...] = ()
    """Names of backups whose predecessor in the chain of manifests is neither there nor accounted for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldFacts:
    """How the hold of one resource stands in the storage now."""

    placed: bool
    others: int = 0
    """Open holds that others placed."""
    gone: bool = False
    """Whether there is no such backup, or it was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreFacts:
    """What a restore, its planning, or the settling of one found."""

    backup: ChosenBackup | None = None
    plan: StatedPlan | None = None
    is_handed_over: bool = False
    """Whether the database stands there, checked and open."""
    checks: RestoreChecks | None = None
    """None: this run did not compare; what is handed over was compared before."""
    unknown_settings: tuple[str, ...] = ()
    is_ready: bool = False
    """Whether the database is complete and compared, and waits, shut, to take another's place."""
    old_database: OldDatabase | None = None
    """What was put away for it; None: nothing, or it was dropped."""
    oid: int | None = None
    """Of the database that took another's place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationFacts:
    """How a database stands to a source of migrations, by its ledger."""

    source_digest: str
    applied: int
    pending: int
    plan: StatedMigrationPlan
    current: str | None = None
    """The migration that came in last; None: none ever did."""
    history: tuple[StatedAttempt, ...] = ()
    """The last attempts, oldest first."""
    drift: StatedDrift | None = None
    """How the schema stands to its history; None: nobody looked, or could."""
    unsettled: bool = False
    """Whether a run ended, or goes on, of which the ledger does not say how it ended."""
    last_error: StatedError | None = None
    """What the server said when the last attempt failed; None: it did not, or an older Job does not tell."""
    lock_wait_seconds: float | None = None
    """How long this run waited for locks on tables, giving way to others included; None: it carried nothing out, or is older than that."""
    lock_aborts: int | None = None
    """How often a statement of it gave a lock up, to be tried again; None likewise."""
