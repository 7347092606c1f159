"""The names of all objects in a storage: one grammar to build them and to recognise them.

Keys are relative to the storage's prefix. A key is recognised exactly when it could have been built here; what the grammar does not know is
nobody's to delete.
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
WHOLE_OBJECT: Final = "whole.pgc"
"""The one archive of a backup that was not cut: schema, rows and all."""
SCHEMA_OBJECT: Final = "schema.pgc"
CATALOGUE_OBJECT: Final = "catalogue.json"
MANIFEST_OBJECT: Final = "manifest.json"

_STORAGE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_CUSTODY_ID = re.compile(r"(?!.*\.\.)[a-z0-9]([a-z0-9._-]{0,126}[a-z0-9])?")
_NAME = re.compile(r"(?!.*\.\.)[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_KEY_ID = re.compile(r"(?!.*\.\.)[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_BACKUP_ID = re.compile(r"(?P<time>[0-9]{8}T[0-9]{6}Z)-[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_ATTEMPT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ROWS_OBJECT = re.compile(r"(?P<archive>(whole|data-[0-9]{3})\.pgc)(\.(?P<part>(?!000)[0-9]{3}))?")
_KEY_OBJECT = re.compile(r"key\.(?P<key_id>.+)\.json")
_FACT_OBJECT = re.compile(r"(?P<kind>tombstone|verified|hold|release)(\.(?P<number>[1-9][0-9]{0,5}))?\.json")
_BACKUP_TIME = "%Y%m%dT%H%M%SZ"
_LARGEST_STREAM = 999
_LARGEST_NUMBER = 999_999


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
        match = _FACT_OBJECT.fullmatch(self.object_name) if self.attempt is None else None
        return FactKind(match["kind"]) if match else None

    @property
    def number(self) -> int:
        """The number of the fact that the key holds; 0 for everything that has none."""
        match = _FACT_OBJECT.fullmatch(self.object_name) if self.attempt is None else None
        return int(match["number"] or 0) if match else 0


def check_storage_id(storage_id: str) -> str:
    """Return *storage_id* when it is one; raises InvalidSpecError otherwise."""
    return _checked(_STORAGE_ID, storage_id, "storageId", "letters, digits, '.', '_', '-', at most 63")


def check_custody_id(custody_id: str) -> str:
    """Return *custody_id* when it may stand in a key; raises InvalidSpecError otherwise."""
    return _checked(_CUSTODY_ID, custody_id, "custodyId", "lower-case letters, digits, '.', '_', '-', at most 128")


def check_name(name: str) -> str:
    """Return the resource's *name* when it may stand in a key; raises InvalidSpecError otherwise."""
    return _checked(_NAME, name, "name", "lower-case letters, digits, '.', '-', at most 63")


def check_key_id(key_id: str) -> str:
    """Return *key_id* when it may stand in a key; raises InvalidSpecError otherwise."""
    return _checked(_KEY_ID, key_id, "key id", "letters, digits, '.', '_', '-', at most 63")


def check_attempt(attempt: str) -> str:
    """Return *attempt* when it may stand in a key; raises InvalidSpecError otherwise."""
    return _checked(_ATTEMPT, attempt, "attempt", "a UUID in lower case")


def check_backup_id(backup_id: str) -> str:
    """Return *backup_id* when it may stand in a key; raises InvalidSpecError otherwise."""
    backup_time(_checked(_BACKUP_ID, backup_id, "backup id", "a time as 20260131T020000Z, '-', and a name"))
    return backup_id


def make_backup_id(name: str, moment: datetime) -> str:
    """Return the id of a backup named *name* that began at *moment* (aware): sorts by time, cannot collide for two names."""
    if moment.tzinfo is None:
        raise InvalidSpecError(f"backup id of {name[:80]!r}: its time has no zone; must be an aware time")
    digest = name_digest(check_name(name))
    front = re.sub(r"[^a-z0-9]+", "-", name)[:20].strip("-")
    return check_backup_id(f"{moment.astimezone(UTC).strftime(_BACKUP_TIME)}-{front}-{digest}")


def name_digest(name: str) -> str:
    """Return the digest of a backup's *name* that its id ends with."""
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def digest_in(backup_id: str) -> str:
    """Return the digest that *backup_id* ends with."""
    return backup_id.rpartition("-")[2]


def parse_name_key(key: str) -> tuple[str, str] | None:
    """Return custody id and name when *key* is of a claim, else None."""
    match key.split("/"):
        case [custody_id, "names", file] if _CUSTODY_ID.fullmatch(custody_id) and file.endswith(".json"):
            name = file.removesuffix(".json")
            return (custody_id, name) if _NAME.fullmatch(name) else None
    return None


def backup_time(backup_id: str) -> datetime:
    """Return when the backup of *backup_id* began, in UTC; raises InvalidSpecError when it says no time."""
    try:
        return datetime.strptime(backup_id.partition("-")[0], _BACKUP_TIME).replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidSpecError(f"backup id: {backup_id[:80]!r} does not begin with a time") from error


def storage_key_key(key_id: str) -> str:
    """Return the key of the storage key as wrapped for *key_id*."""
    return f"storage-key.{check_key_id(key_id)}.json"


def custody_key(custody_id: str) -> str:
    """Return the key of the custody's birth certificate."""
    return f"{check_custody_id(custody_id)}/custody.json"


def custody_of(key: str) -> str | None:
    """Return the custody id whose birth certificate *key* is, or None when it is another key."""
    custody_id, slash, name = key.partition("/")
    return custody_id if slash and name == "custody.json" and _CUSTODY_ID.fullmatch(custody_id) else None


def name_key(custody_id: str, name: str) -> str:
    """Return the key of the claim that *name* stands for one backup id."""
    return f"{names_prefix(custody_id)}{check_name(name)}.json"


def names_prefix(custody_id: str) -> str:
    """Return the prefix of every claim of a custody."""
    return f"{check_custody_id(custody_id)}/names/"


def backups_prefix(custody_id: str) -> str:
    """Return the prefix of everything that a custody's backups consist of."""
    return f"{check_custody_id(custody_id)}/backups/"


def backup_prefix(custody_id: str, backup_id: str) -> str:
    """Return the prefix of one backup."""
    return f"{backups_prefix(custody_id)}{check_backup_id(backup_id)}/"


def attempt_prefix(custody_id: str, backup_id: str, attempt: str) -> str:
    """Return the prefix of what one attempt wrote."""
    return f"{backup_prefix(custody_id, backup_id)}{check_attempt(attempt)}/"


def manifest_key(custody_id: str, backup_id: str) -> str:
    """Return the key whose presence is the commit of a backup."""
    return f"{backup_prefix(custody_id, backup_id)}{MANIFEST_OBJECT}"


def fact_key(custody_id: str, backup_id: str, kind: FactKind, number: int = 0) -> str:
    """Return the key of a later fact; tombstones have no number, the others count from 1. Raises InvalidSpecError for any other number."""
    least = 0 if kind is FactKind.TOMBSTONE else 1
    most = 0 if kind is FactKind.TOMBSTONE else _LARGEST_NUMBER
    _check_range(number, f"{kind.value} of {backup_id}", least, most)
    return f"{backup_prefix(custody_id, backup_id)}{kind.value}{f'.{number}' if number else ''}.json"


def data_key_object(key_id: str) -> str:
    """Return the object name, within an attempt, of the data key as wrapped for *key_id*."""
    return f"key.{check_key_id(key_id)}.json"


def data_object(stream: int, part: int = 0) -> str:
    """Return the object name of a data stream; part 0 is the first, the others are to be concatenated behind it.

    Raises InvalidSpecError when either is not within 0..999.
    """
    _check_range(stream, "data stream", 0, _LARGEST_STREAM)
    _check_range(part, "part of a data stream", 0, _LARGEST_STREAM)
    return f"data-{stream:03d}.pgc" + _suffix(part)


def whole_object(part: int = 0) -> str:
    """Return the object name of the archive that holds everything; parts as in `data_object`, and the same error."""
    _check_range(part, "part of the whole archive", 0, _LARGEST_STREAM)
    return WHOLE_OBJECT + _suffix(part)


def archive_of(object_name: str) -> str | None:
    """Return the name of the archive that *object_name* is the first object or a later part of; None when it is none that holds rows."""
    match = _ROWS_OBJECT.fullmatch(object_name)
    return match["archive"] if match else None


def key_id_of(object_name: str) -> str | None:
    """Return the key id that a wrapped data key's object name carries, or None when it is another object."""
    match = _KEY_OBJECT.fullmatch(object_name)
    return match["key_id"] if match and _KEY_ID.fullmatch(match["key_id"]) else None


def is_content(object_name: str) -> bool:
    """Return whether *object_name* may stand in a manifest: an archive, a part of one, or the catalogue."""
    return object_name in {SCHEMA_OBJECT, CATALOGUE_OBJECT} or archive_of(object_name) is not None


def parse_backup_key(key: str) -> BackupKey | None:
    """Return what *key* says when it lies below some custody's `backups/` and fits the grammar, else None."""
    match key.split("/"):
        case [custody_id, "backups", backup_id, name] if _is_backup(custody_id, backup_id) and _is_beside(name):
            return BackupKey(custody_id=custody_id, backup_id=backup_id, attempt=None, object_name=name)
        case [custody_id, "backups", backup_id, attempt, name] if (
            _is_backup(custody_id, backup_id) and _ATTEMPT.fullmatch(attempt) and _is_within(name)
        ):
            return BackupKey(custody_id=custody_id, backup_id=backup_id, attempt=attempt, object_name=name)
    return None


def _suffix(part: int) -> str:
    return f".{part:03d}" if part else ""


def _is_backup(custody_id: str, backup_id: str) -> bool:
    try:
        check_custody_id(custody_id)
        check_backup_id(backup_id)
    except InvalidSpecError:
        return False
    return True


def _is_beside(name: str) -> bool:
    match = _FACT_OBJECT.fullmatch(name)
    if match is None:
        return name == MANIFEST_OBJECT
    return (match["kind"] == FactKind.TOMBSTONE) is (match["number"] is None)


def _is_within(name: str) -> bool:
    return is_content(name) or key_id_of(name) is not None


def _check_range(number: int, what: str, least: int, most: int) -> None:
    if not least <= number <= most:
        raise InvalidSpecError(f"{what}: has the number {number}; must be within {least}..{most}")


def _checked(grammar: re.Pattern[str], text: str, what: str, allowed: str) -> str:
    if grammar.fullmatch(text) is None:
        raise InvalidSpecError(f"{what}: {text[:80]!r} cannot stand in a storage key; must be {allowed}")
    return text
