"""The inventory: the list of manifests and facts in a storage, judged whether they can be believed.

Reading the storage is a Job's business; here values go in and values come out. A fact whose MAC does not fit is not a fact: it is
named, it freezes retention, and nothing is deleted or restored because of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dbcustody.repository.fact import Hold, Release, Tombstone, Verified
from dbcustody.repository.layout import BackupKey
from dbcustody.repository.manifest import Manifest


class Doubt(StrEnum):
    """Why an entry, or the whole inventory, cannot be believed."""

    FORGED_MANIFEST = "ForgedManifest"
    FORGED_FACT = "ForgedFact"
    UNREADABLE = "Unreadable"
    KEY_MISSING = "KeyMissing"
    MISPLACED = "Misplaced"
    CONTINUITY = "Continuity"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundObject:
    """One object of a listing whose key fits the grammar."""

    key: str
    parsed: BackupKey
    size_bytes: int
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBackup:
    """Everything that was read of one committed backup; *doubts* were found while it was authenticated."""

    manifest: Manifest
    manifest_sha256: str
    authenticated: bool
    """False in a storage without encryption: nobody can say who wrote it."""
    key_ids: tuple[str, ...] = ()
    tombstone: Tombstone | None = None
    verified: tuple[Verified, ...] = ()
    holds: tuple[Hold, ...] = ()
    releases: tuple[Release, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    @property
    def is_deleted(self) -> bool:
        """Whether a tombstone stands; it wins over the manifest."""
        return self.tombstone is not None

    @property
    def is_held(self) -> bool:
        """Whether some hold has no release."""
        released = {release.number for release in self.releases}
        return any(hold.number not in released for hold in self.holds)

    @property
    def verified_levels(self) -> frozenset[str]:
        """The levels at which this very manifest was read back."""
        return frozenset(fact.level for fact in self.verified if fact.manifest_sha256 == self.manifest_sha256)

    @property
    def is_good(self) -> bool:
        """Captured and level Checksum (which Read includes) passed, and nothing in doubt."""
        return not self.is_deleted and not self.doubts and bool(self.verified_levels)

    @property
    def is_verified(self) -> bool:
        """Level Read passed, and nothing in doubt."""
        return self.is_good and "Read" in self.verified_levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What lies below one custody id."""

    backups: tuple[ReadBackup, ...] = ()
    """By snapshot time, oldest first; deleted ones (tombstones) included."""
    unreadable: Mapping[str, Doubt] = field(default_factory=dict)
    """Keys of manifests and facts that could not be read or believed."""
    objects: tuple[FoundObject, ...] = ()

    @property
    def live(self) -> tuple[ReadBackup, ...]:
        """The backups that are not deleted, oldest first."""
        return tuple(backup for backup in self.backups if not backup.is_deleted)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Every reason not to believe this inventory, in words; empty when there is none."""
        keys = [f"{key}: {doubt.value}" for key, doubt in sorted(self.unreadable.items())]
        entries = [f"{one.manifest.backup_id}: {doubt.value}" for one in self.backups for doubt in one.doubts]
        return (*keys, *entries)

    @property
    def newest_link(self) -> ReadBackup | None:
        """The backup of the highest generation, deleted or not: the next manifest names its digest."""
        return max(self.backups, key=lambda one: (one.manifest.generation, one.manifest.backup_id), default=None)

    def named(self, name: str) -> ReadBackup | None:
        """Return the newest live backup that bears the resource's *name*, or None."""
        return next((one for one in reversed(self.live) if one.manifest.name == name), None)


def in_order(backups: Iterable[ReadBackup]) -> tuple[ReadBackup, ...]:
    """Return *backups* by the time of the data they hold; equal times by id."""
    return tuple(sorted(backups, key=lambda one: (one.manifest.snapshot, one.manifest.backup_id)))


def broken_links(backups: Iterable[ReadBackup], gone: Iterable[Tombstone]) -> tuple[str, ...]:
    """Return the ids of backups whose predecessor is neither there nor accounted for by a tombstone.

    Generations count from 1; two attempts that raced may share one. A tombstone in *gone* stands for a manifest that was deleted.
    """
    known = {one.manifest_sha256 for one in backups} | {tombstone.manifest_sha256 for tombstone in gone}
    return tuple(
        one.manifest.backup_id
        for one in backups
        if one.manifest.previous_manifest_sha256 is not None and one.manifest.previous_manifest_sha256 not in known
    )
