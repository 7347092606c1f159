"""What every resource has: its kind, its metadata, references to others."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dbcustody.codec import decode
from dbcustody.naming import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """The kinds of our group that act now."""

    DATABASE = "Database"
    BACKUP_STORAGE = "BackupStorage"
    BACKUP_POLICY = "BackupPolicy"
    BACKUP = "Backup"
    RESTORE_REQUEST = "RestoreRequest"
    APPROVAL = "Approval"
    DATABASE_MIGRATION = "DatabaseMigration"

    @property
    def plural(self) -> str:
        """The name of the kind in URLs and in `kubectl get`."""
        return {"BackupPolicy": "backuppolicies"}.get(self.value, f"{self.value.lower()}s")

    @property
    def short_name(self) -> str:
        """The unusual short name that no other operator uses."""
        return _SHORT_NAMES[self]


_SHORT_NAMES = {
    Kind.DATABASE: "pgdb",
    Kind.BACKUP_STORAGE: "pgstore",
    Kind.BACKUP_POLICY: "pgbp",
    Kind.BACKUP: "pgbak",
    Kind.RESTORE_REQUEST: "pgrst",
    Kind.APPROVAL: "pgok",
    Kind.DATABASE_MIGRATION: "pgmig",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRef:
    """The name of an object in the same namespace."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretKeyRef:
    """One key of a Secret in the same namespace."""

    name: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerReference:
    """Who owns an object, as Kubernetes records it."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The part of `metadata` that judgement reads."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()

    @property
    def is_being_deleted(self) -> bool:
        """Whether deletion was asked for."""
        return self.deletion_timestamp is not None


def read_metadata(body: Mapping[str, Any]) -> Metadata:
    """Return the metadata of the Kubernetes object *body*."""
    return decode(Metadata, body["metadata"], "metadata")


def reference_to(kind: Kind, metadata: Metadata) -> dict[str, Any]:
    """Return the controller's owner reference that a child of the object carries, so that deletion cascades."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind.value,
        "name": metadata.name,
        "uid": metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
