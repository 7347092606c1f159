"""BackupStorage: where artefacts lie, and which keys close them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dbcustody.api.condition import Condition
from dbcustody.api.job_template import JobTemplate
from dbcustody.api.meta import Metadata, ObjectRef, SecretKeyRef, read_metadata
from dbcustody.codec import decode

if TYPE_CHECKING:
    from collections.abc import Mapping


class AddressingStyle(StrEnum):
    """How a bucket's name stands in the URL."""

    AUTO = "Auto"
    PATH = "Path"
    VIRTUAL = "Virtual"


class Checksums(StrEnum):
    """When S3's own checksums are sent and asked for; some stores do not know the newer ones."""

    WHEN_SUPPORTED = "WhenSupported"
    WHEN_REQUIRED = "WhenRequired"


class AccessMode(StrEnum):
    """Whether we may write."""

    READ_WRITE = "ReadWrite"
    READ_ONLY = "ReadOnly"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3:
    """A bucket of any S3-compatible store; without credentials the ambient ones are used."""

    bucket: str
    prefix: str = ""
    region: str | None = None
    endpoint: str | None = None
    addressing_style: AddressingStyle = AddressingStyle.AUTO
    credentials_secret_ref: ObjectRef | None = None
    ca_secret_ref: SecretKeyRef | None = None
    checksums: Checksums = Checksums.WHEN_SUPPORTED
    max_parts: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A PersistentVolumeClaim."""

    claim_name: str
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encryption:
    """Which keyring closes what is written, and which of its keys is used from now on."""

    keyring_secret_ref: ObjectRef
    active_key_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupStorageSpec:
    """What is wanted; exactly one of *s3* and *volume* is given (CEL)."""

    s3: S3 | None = None
    volume: Volume | None = None
    encryption: Encryption | None = None
    acknowledge_unencrypted: bool = False
    access_mode: AccessMode = AccessMode.READ_WRITE
    probe_interval_seconds: int = 3600
    import_backups: bool = False
    job: JobTemplate | None = None
    suspend: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the conformance self-test found; None means: not tested or not known."""

    conditional_put: bool | None = None
    conditional_complete: bool | None = None
    range_get: bool | None = None
    delete: bool | None = None
    versioning: bool | None = None
    object_lock: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """What hangs on one key."""

    id: str
    backups: int
    """How many backups it opens."""
    needed_by: int = 0
    """How many backups no other key of the keyring opens."""
    in_keyring: bool | None = None
    """None: an older version counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBackup:
    """A backup that lies in a storage, by the name under which it was taken."""

    custody_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReWrap:
    """How the closing of older backups for the active key stands."""

    waiting: int = 0
    """How many backups the active key does not open yet, and another key of the keyring does."""
    failures: int = 0
    ended_time: datetime | None = None
    """Of the last Job."""
    job_ref: ObjectRef | None = None
    ordinal: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupStorageStatus:
    """What was found; None means: not known yet."""

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    kind: str | None = None
    location: str | None = None
    encrypted: bool | None = None
    storage_id: str | None = None
    sharing: str | None = None
    capabilities: Capabilities | None = None
    keys: tuple[KeyUse, ...] = ()
    unopened: int | None = None
    """How many backups no key of the keyring opens."""
    re_wrap: ReWrap | None = None
    backups: int | None = None
    used_bytes: int | None = None
    probed_time: datetime | None = None
    probe_failures: int = 0
    check_now: str | None = None
    job_ref: ObjectRef | None = None
    ordinal: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupStorage:
    """The resource."""

    metadata: Metadata
    spec: BackupStorageSpec
    status: BackupStorageStatus = field(default_factory=BackupStorageStatus)

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> BackupStorage:
        """Return the resource that the Kubernetes object *body* describes; raises InvalidSpecError with the field's path."""
        return cls(
            metadata=read_metadata(body),
            spec=decode(BackupStorageSpec, body["spec"], "spec"),
            status=decode(BackupStorageStatus, body.get("status") or {}, "status"),
        )
