"""The manifest: written last, by exactly one attempt; its presence is the commit of a backup.

It is clear text: ids, sizes, digests, times and versions, never the name of a role, a table or a column.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from dbcustody.api.backup import Origin, Tool
from dbcustody.errors import DamagedError, RefusedError
from dbcustody.reason import Reason
from dbcustody.repository.canonical import canonical, parse, sha256_hex

FORMAT: Final = 1
ENCRYPTION_ALGORITHM: Final = "AES-256-GCM-STREAM"


class Scope(StrEnum):
    """Whether everything was asked for; Partial backups fill no retention slot."""

    FULL = "Full"
    PARTIAL = "Partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object of a backup; *sha256* is of what is stored, *chunks* 0 means: not encrypted."""

    name: str
    bytes: int
    plaintext_bytes: int
    sha256: str
    chunks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """The server at the time of the snapshot; None means: not allowed to know."""

    version: str
    major_version: int
    system_identifier: str | None = None
    timeline: int | None = None
    lsn_before: str | None = None
    lsn_after: str | None = None
    in_recovery: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What one backup consists of."""

    format: int = FORMAT
    storage_id: str
    custody_id: str
    backup_id: str
    attempt: str
    name: str
    policy: str | None = None
    origin: Origin
    scope: Scope
    server: ServerFacts
    tool: Tool
    client: Tool
    started: datetime
    snapshot: datetime
    finished: datetime
    compression: str
    objects: tuple[StoredObject, ...]
    encryption: str | None = None
    table_count: int
    row_count: int | None = None
    ledger_watermark: int = 0
    generation: int
    previous_manifest_sha256: str | None = None
    mac: str | None = None

    @property
    def stored_bytes(self) -> int:
        """The size of all objects as they are stored."""
        return sum(item.bytes for item in self.objects)

    @property
    def logical_bytes(self) -> int:
        """The size of all objects before encryption."""
        return sum(item.plaintext_bytes for item in self.objects)

    def object_named(self, name: str) -> StoredObject | None:
        """Return the object of *name*, or None when the backup has none."""
        return next((item for item in self.objects if item.name == name), None)


def authenticated_text(manifest: Manifest) -> bytes:
    """Return the bytes over which the manifest's MAC is computed: its canonical form without the MAC."""
    return canonical(replace(manifest, mac=None))


def write_manifest(manifest: Manifest) -> bytes:
    """Return the bytes that are stored."""
    return canonical(manifest)


def manifest_digest(data: bytes) -> str:
    """Return the SHA-256 by which later manifests, tombstones and status name the manifest stored as *data*."""
    return sha256_hex(data)


def read_manifest(data: bytes, key: str) -> Manifest:
    """Return the manifest stored as *data* under *key*.

    Raises DamagedError when it is not one or is not in canonical form, RefusedError (FormatUnknown) when a newer version wrote it.
    """
    manifest = parse(Manifest, data, key)
    if manifest.format != FORMAT:
        raise RefusedError(
            f"{key}: has format {manifest.format}; this version reads {FORMAT}", reason=Reason.FORMAT_UNKNOWN
        )
    if write_manifest(manifest) != data:
        raise DamagedError(f"{key}: is not in canonical form; somebody rewrote it")
    return manifest
