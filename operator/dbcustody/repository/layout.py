"""The names of all objects in a storage: one grammar to build them and to recognise them.

Keys are relative to the storage's prefix. What the grammar does not know is nobody's to delete.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from dbcustody.errors import InvalidSpecError

MARKER_KEY: Final = "dbcustody.json"
SCHEMA_OBJECT: Final = "schema.pgc"
REST_OBJECT: Final = "data-000.pgc"
CATALOGUE_OBJECT: Final = "catalogue.json"
MANIFEST_OBJECT: Final = "manifest.json"

_CUSTODY_ID = re.compile(r"^[a-z0-9]([a-z0-9._-]{0,126}[a-z0-9])?$")
_NAME = re.compile(r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")
_KEY_ID = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")
_BACKUP_ID = re.compile(r"^\d{8}T\d{6}Z-[a-z0-9-]{1,32}$")
_ATTEMPT = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_DATA_OBJECT = re.compile(r"^data-\d{3}\.pgc(\.\d{3})?$")
_KEY_OBJECT = re.compile(r"^key\.(?P<key_id>[A-Za-z0-9._-]{1,63})\.json$")
_FACT_OBJECT = re.compile(r"^(?P<kind>tombstone|verified|hold|release)(\.(?P<number>\d{1,6}))?\.json$")
_RESERVED = frozenset({".", ".."})


class FactKind(StrEnum):
    """What may be said of a backup after its commit."""

    TOMBSTONE = "tombstone"
    VERIFIED = "verified"
    HOLD = "hold"
    RELEASE = "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupKey:
    """What a key below `<custody id>/backups/` says; *attempt* None means: beside the attempts."""

    custody_id: str
    backup_id: str
    attempt: str | None
    object_name: str

    @property
    def is_manifest(self) -> bool:
        """Whether the key is the commit itself."""
        return self.attempt is None and self.object_name == MANIFEST_OBJECT

    @property
    def fact(self) -> FactKind | None:
        """The kind of later fact that the key holds, or None."""
        match = _FACT_OBJECT.match(self.object_name) if self.attempt is None else None
        return FactKind(match["kind"]) if match else None


def check_custody_id(custody_id: str) -> str:
    """Return *custody_id* when it may stand in a key; raises InvalidSpecError otherwise."""
    return _checked(_CUSTODY_ID, custody_id, "custodyId", "lower-case letters, digits, '.', '_', '-', at most 128")


def check_name(name: str) -> str:
    """Return the resource's *name* when it may stand in a key; raises InvalidSpecError otherwise."""
    return _checked(_NAME, name, "name", "lower-case letters, digits, '.', '-', at most 63")


def check_key_id(key_id: str) -> str:
    """Return *key_id* when it may stand in a key; raises InvalidSpecError otherwise."""
    return _checked(_KEY_ID, key_id, "key id", "letters, digits, '.', '_', '-', at most 63")


def make_backup_id(name: str, moment: datetime) -> str:
    """Return the id of a backup named *name* that began at *moment*: sorts by time, cannot collide for two names."""
    check_name(name)
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    front = re.sub(r"[^a-z0-9]+", "-", name)[:20].strip("-")
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}-{front}-{digest}"


def backup_time(backup_id: str) -> datetime:
    """Return when the backup of *backup_id* began, in UTC."""
    return datetime.strptime(backup_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def storage_key_key(key_id: str) -> str:
    """Return the key of the storage key as wrapped for *key_id*."""
    return f"storage-key.{check_key_id(key_id)}.json"


def custody_key(custody_id: str) -> str:
    """Return the key of the custody's birth certificate."""
    return f"{check_custody_id(custody_id)}/custody.json"


def name_key(custody_id: str, name: str) -> str:
    """Return the key of the claim that *name* stands for one backup id."""
    return f"{check_custody_id(custody_id)}/names/{check_name(name)}.json"


def names_prefix(custody_id: str) -> str:
    """Return the prefix of every claim of a custody."""
    return f"{check_custody_id(custody_id)}/names/"


def backups_prefix(custody_id: str) -> str:
    """Return the prefix of everything that a custody's backups consist of."""
    return f"{check_custody_id(custody_id)}/backups/"


def backup_prefix(custody_id: str, backup_id: str) -> str:
    """Return the prefix of one backup."""
    return f"{backups_prefix(custody_id)}{_checked(_BACKUP_ID, backup_id, 'backup id', 'a sortable time and a name')}/"


def attempt_prefix(custody_id: str, backup_id: str, attempt: str) -> str:
    """Return the prefix of what one attempt wrote."""
    return f"{backup_prefix(custody_id, backup_id)}{_checked(_ATTEMPT, attempt, 'attempt', 'a UUID')}/"


def manifest_key(custody_id: str, backup_id: str) -> str:
    """Return the key whose presence is the commit of a backup."""
    return f"{backup_prefix(custody_id, backup_id)}{MANIFEST_OBJECT}"


def fact_key(custody_id: str, backup_id: str, kind: FactKind, number: int = 0) -> str:
    """Return the key of a later fact; tombstones have no number, the others count from 1."""
    suffix = "" if kind is FactKind.TOMBSTONE else f".{number}"
    return f"{backup_prefix(custody_id, backup_id)}{kind.value}{suffix}.json"


def data_key_object(key_id: str) -> str:
    """Return the object name, within an attempt, of the data key as wrapped for *key_id*."""
    return f"key.{check_key_id(key_id)}.json"


def data_object(stream: int, part: int = 0) -> str:
    """Return the object name of a data stream; part 0 is the first, the others are to be concatenated behind it."""
    return f"data-{stream:03d}.pgc" + (f".{part:03d}" if part else "")


def key_id_of(object_name: str) -> str | None:
    """Return the key id that a wrapped data key's object name carries, or None when it is another object."""
    match = _KEY_OBJECT.match(object_name)
    return match["key_id"] if match else None


def parse_backup_key(key: str) -> BackupKey | None:
    """Return what *key* says when it lies below some custody's `backups/` and fits the grammar, else None."""
    match key.split("/"):
        case [custody_id, "backups", backup_id, name] if _fits(custody_id, backup_id) and _is_beside(name):
            return BackupKey(custody_id=custody_id, backup_id=backup_id, attempt=None, object_name=name)
        case [custody_id, "backups", backup_id, attempt, name] if (
            _fits(custody_id, backup_id) and _ATTEMPT.match(attempt) and _is_within(name)
        ):
            return BackupKey(custody_id=custody_id, backup_id=backup_id, attempt=attempt, object_name=name)
    return None


def _fits(custody_id: str, backup_id: str) -> bool:
    return _CUSTODY_ID.match(custody_id) is not None and _BACKUP_ID.match(backup_id) is not None


def _is_beside(name: str) -> bool:
    return name == MANIFEST_OBJECT or _FACT_OBJECT.match(name) is not None


def _is_within(name: str) -> bool:
    fixed = (SCHEMA_OBJECT, CATALOGUE_OBJECT)
    return name in fixed or _DATA_OBJECT.match(name) is not None or _KEY_OBJECT.match(name) is not None


def _checked(grammar: re.Pattern[str], text: str, what: str, allowed: str) -> str:
    if grammar.match(text) is None or text in _RESERVED or ".." in text:
        raise InvalidSpecError(f"{what}: {text[:80]!r} cannot stand in a storage key; must be {allowed}")
    return text
