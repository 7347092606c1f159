"""What is known of a backup that lies in the storage: as facts for status, and as facts beside its manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbcustody.api.backup import Artefact, TableTotals
from dbcustody.api.database import Server
from dbcustody.api.policy import Level
from dbcustody.facts import BackupFacts
from dbcustody.jobs.quantity import size_text
from dbcustody.jobs.stock import add_fact
from dbcustody.jobs.verification import Verified
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
    adopted: bool = False
    start_up_seconds: float | None = None


def facts_of(storage: OpenStorage, standing: Standing) -> BackupFacts:
    """Return what status says of a backup that lies in *storage*."""
    manifest, verified = standing.manifest, standing.verified
    level = verified.level if verified is not None else standing.verified_before
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
        start_time=manifest.started,
        finish_time=manifest.finished,
        tables=TableTotals(count=manifest.table_count, rows=manifest.row_count),
        not_captured=standing.not_captured,
        verified_level=level.value if level is not None else None,
        verification_message=verified.message if verified is not None else None,
        start_up_seconds=standing.start_up_seconds,
        encrypted=manifest.encryption is not None,
    )


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
    """Write down beside the manifest which level *standing*'s verification passed; nothing when none, or in a ReadOnly storage."""
    verified = standing.verified
    if verified is None or verified.level is None or storage.read_only:
        return
    said = fact.Verified(
        backup_id=standing.manifest.backup_id,
        manifest_sha256=standing.manifest_sha256,
        level=verified.level.value,
        time=now,
        rows=verified.rows,
    )
    add_fact(storage, standing.manifest.custody_id, said)
