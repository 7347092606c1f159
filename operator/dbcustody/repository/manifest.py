"""The manifest: written last, by exactly one attempt; its presence is the commit of a backup.

It is clear text: ids, sizes, digests, times and versions, never the name of a role, a table or a column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dbcustody.api.backup import Origin, Tool
from dbcustody.errors import DamagedError, InvalidSpecError, RefusedError
from dbcustody.reason import Reason
from dbcustody.repository.binding import Place
from dbcustody.repository.canonical import canonical, parse_exactly, sha256_hex
from dbcustody.repository.layout import (
    check_attempt,
    check_backup_id,
    check_custody_id,
    check_name,
    check_storage_id,
    is_content,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT: Final = 1
ENCRYPTION_ALGORITHM: Final = "AES-256-GCM-STREAM"
_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST_NUMBER = 2**63 - 1


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
    def place(self) -> Place:
        """To what the keys of this backup are bound."""
        return Place(
            storage_id=self.storage_id, custody_id=self.custody_id, backup_id=self.backup_id, attempt=self.attempt
        )

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the database was to be left out."""
        return self.scope is Scope.FULL

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

    Raises DamagedError when it is not one, is not in canonical form, or says what no manifest can say (a name that is none of ours, a
    negative size); RefusedError (FormatUnknown) when a newer version wrote it.
    """
    manifest = parse_exactly(Manifest, data, key)
    if manifest.encryption not in {None, ENCRYPTION_ALGORITHM}:
        raise RefusedError(
            f"{key}: is encrypted in a way that this version of dbcustody does not know", reason=Reason.FORMAT_UNKNOWN
        )
    for fault in _faults(manifest):
        raise DamagedError(f"{key}: {fault}")
    return manifest


def _faults(manifest: Manifest) -> Iterator[str]:
    """Yield what is wrong; a manifest in a storage without encryption may come from anybody, and its names become keys."""
    yield from _wrong_ids(manifest)
    names = [item.name for item in manifest.objects]
    if len(set(names)) != len(names):
        yield "objects: one name stands there twice"
    for item in manifest.objects:
        yield from _wrong_object(item)
    yield from _wrong_numbers(manifest)
    if (manifest.encryption is None) is not (manifest.mac is None):
        yield "mac: must be there exactly when the backup is encrypted"
    for digest in (manifest.mac, manifest.previous_manifest_sha256):
        if digest is not None and not _HEX_SHA256.fullmatch(digest):
            yield "mac, previousManifestSha256: must be 64 hex digits"


def _wrong_ids(manifest: Manifest) -> Iterator[str]:
    try:
        check_storage_id(manifest.storage_id)
        check_custody_id(manifest.custody_id)
        check_backup_id(manifest.backup_id)
        check_attempt(manifest.attempt)
        check_name(manifest.name)
    except InvalidSpecError as error:
        yield error.message


def _wrong_object(item: StoredObject) -> Iterator[str]:
    if not is_content(item.name):
        yield f"objects: {item.name[:80]!r} is no object of a backup"
    if not _HEX_SHA256.fullmatch(item.sha256):
        yield f"objects: sha256 of {item.name[:80]!r} must be 64 hex digits"
    if not all(0 <= number <= _LARGEST_NUMBER for number in (item.bytes, item.plaintext_bytes, item.chunks)):
        yield f"objects: sizes of {item.name[:80]!r} must not be negative"


def _wrong_numbers(manifest: Manifest) -> Iterator[str]:
    numbers = (manifest.table_count, manifest.row_count or 0, manifest.ledger_watermark, manifest.generation - 1)
    if not all(0 <= number <= _LARGEST_NUMBER for number in numbers):
        yield "tableCount, rowCount, ledgerWatermark must not be negative, generation counts from 1"
