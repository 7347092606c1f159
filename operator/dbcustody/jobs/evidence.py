"""What is known of a backup that lies in the storage: as facts for status, and as facts beside its manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbcustody.api.backup import Artefact, BackupScope, TableTotals
from dbcustody.api.database import Server
from dbcustody.api.policy import Level
from dbcustody.facts import BackupFacts, RestoreTestFacts
from dbcustody.jobs.quantity import size_text
from dbcustody.jobs.stock import add_fact
from dbcustody.jobs.trial import Trial
from dbcustody.jobs.verification import Verified
from dbcustody.reason import Reason
from dbcustody.repository import fact
from dbcustody.repository.layout import backup_prefix
from dbcustody.repository.manifest import Manifest

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.jobs.custody import OpenStorage


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A committed backup, and how it stands: everything that is known beside its manifest."""

    manifest: Manifest
    manifest_sha256: str
    key_ids: tuple[str, ...] = ()
    not_captured: tuple[str, ...] = ()
    verified: Verified | None = None
    """Of a verification just now; None: there was none."""
    verified_before: Level | None = None
    """The highest level for which a fact stands in the storage."""
    trial: Trial | None = None
    """Of a restore test just now; None: there was none."""
    adopted: bool = False
    start_up_seconds: float | None = None

    @property
    def reached(self) -> Level | None:
        """The level that it is known to have passed; what was found just now counts before what was found earlier."""
        return self.verified.level if self.verified is not None else self.verified_before


def facts_of(storage: OpenStorage, standing: Standing) -> BackupFacts:
    """Return what status says of a backup that lies in *storage*."""
    manifest, verified, level = standing.manifest, standing.verified, standing.reached
    return BackupFacts(
        name=manifest.name,
        artefact=Artefact(
            location=f"{storage.store.location}/{backup_prefix(manifest.custody_id, manifest.backup_id)}".rstrip("/"),
            backup_id=manifest.backup_id,
            attempt=manifest.attempt,
            manifest_sha256=standing.manifest_sha256,
            stored_bytes=manifest.stored_bytes,
            logical_bytes=manifest.logical_bytes,
            stored=size_text(manifest.stored_bytes),
            key_ids=standing.key_ids,
        ),
        adopted=standing.adopted,
        server=_server(manifest),
        tool=manifest.tool,
        snapshot_time=manifest.snapshot,
        lsn=manifest.server.lsn_before,
        start_time=manifest.started,
        finish_time=manifest.finished,
        tables=TableTotals(count=manifest.table_count, rows=manifest.row_count),
        scope=BackupScope.WHOLE if manifest.is_whole else BackupScope.PARTIAL,
        not_captured=standing.not_captured,
        verified_level=level.value if level is not None else None,
        verification_message=verified.message if verified is not None else None,
        restore_test=_restore_test(standing),
        start_up_seconds=standing.start_up_seconds,
        encrypted=manifest.encryption is not None,
    )


def _restore_test(standing: Standing) -> RestoreTestFacts | None:
    trial = standing.trial
    if trial is not None:
        return RestoreTestFacts(reason=trial.reason, message=trial.message, seconds=trial.seconds)
    if standing.verified_before is Level.RESTORE:
        return RestoreTestFacts(reason=Reason.RESTORE_TESTED, message="was restored before, compared and equal")
    return None


def _server(manifest: Manifest) -> Server:
    server = manifest.server
    return Server(
        version=server.version,
        major_version=server.major_version,
        system_identifier=server.system_identifier,
        timeline=server.timeline,
        in_recovery=server.in_recovery,
    )


def record_verified(storage: OpenStorage, standing: Standing, now: datetime) -> None:
    """Write down beside the manifest which level *standing*'s verification passed; nothing when none, or in a ReadOnly storage.

    With level Restore stands level Read, unless it did before: older versions know no higher one.
    """
    verified, before = standing.verified, standing.verified_before
    if verified is None or verified.level is None or storage.read_only:
        return
    was_read = before is not None and before.reaches(Level.READ)
    is_more = verified.level is Level.RESTORE and not was_read
    for level in (Level.READ, Level.RESTORE) if is_more else (verified.level,):
        said = fact.Verified(
            backup_id=standing.manifest.backup_id,
            manifest_sha256=standing.manifest_sha256,
            level=level.value,
            time=now,
            rows=verified.rows,
        )
        add_fact(storage, standing.manifest.custody_id, said)
