"""The inventory: the list of manifests and facts in a storage, with every reason not to believe it.

Reading the storage is a Job's business and `stocktaking` puts together what was read; here are the values that retention, sweep and
`backups list` work on. A fact whose MAC does not fit is not a fact: it is named, it freezes retention, and nothing is deleted or restored
because of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dbcustody.repository.fact import Hold, Release, Tombstone, Verified
from dbcustody.repository.layout import BackupKey, FactKind, parse_backup_key
from dbcustody.repository.manifest import Manifest


class Doubt(StrEnum):
    """Why an entry, or the whole inventory, cannot be believed."""

    FORGED_MANIFEST = "ForgedManifest"
    FORGED_FACT = "ForgedFact"
    UNREADABLE = "Unreadable"
    KEY_MISSING = "KeyMissing"
    MISPLACED = "Misplaced"
    CONTINUITY = "Continuity"
    MANIFEST_MISSING = "ManifestMissing"
    """Facts speak of a backup whose manifest is not there, and no tombstone says why."""
    INCOMPLETE = "Incomplete"
    """An object that the manifest names is not there, or has another size."""


_STRANGERS = frozenset({Doubt.FORGED_MANIFEST, Doubt.MISPLACED})
"""With one of these, a manifest is nobody's word: it neither commits an attempt nor is a link of the chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundObject:
    """One object of a listing whose key fits the grammar."""

    key: str
    parsed: BackupKey
    size_bytes: int
    modified: datetime


class AttemptState(StrEnum):
    """What became of an attempt, as far as the storage tells."""

    COMMITTED = "Committed"
    ORPHANED = "Orphaned"
    """Another attempt of the same backup was committed."""
    UNFINISHED = "Unfinished"
    """No attempt of the backup was committed; it may still be at work."""
    DELETED = "Deleted"
    """A tombstone stands; what is left here shall go."""
    UNKNOWN = "Unknown"
    """There was a commit that cannot be read or believed; nobody may sweep here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFolder:
    """Everything that one attempt left in the storage."""

    backup_id: str
    attempt: str
    state: AttemptState
    keys: tuple[str, ...]
    stored_bytes: int
    last_modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """How the next manifest continues the chain: its generation, and the digest of the manifest before it (None: it is the first)."""

    generation: int
    previous_manifest_sha256: str | None


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
    lies_under: str | None = None
    """The backup id of its folder, where the manifest says another one: somebody put it there. None: where it says."""

    @property
    def found_id(self) -> str:
        """The backup id under which it was found: what is said against it is said of that folder."""
        return self.lies_under or self.manifest.backup_id

    @property
    def is_deleted(self) -> bool:
        """Whether a tombstone stands; it wins over the manifest."""
        return self.tombstone is not None

    @property
    def open_holds(self) -> tuple[Hold, ...]:
        """The holds that have no release."""
        released = {release.number for release in self.releases}
        return tuple(hold for hold in self.holds if hold.number not in released)

    @property
    def is_held(self) -> bool:
        """Whether some hold has no release."""
        return bool(self.open_holds)

    @property
    def is_stranger(self) -> bool:
        """Whether the manifest is not ours, or not of this place."""
        return not _STRANGERS.isdisjoint(self.doubts)

    @property
    def verified_levels(self) -> frozenset[str]:
        """The levels at which this very manifest was read back."""
        return frozenset(fact.level for fact in self.verified if fact.manifest_sha256 == self.manifest_sha256)

    @property
    def is_good(self) -> bool:
        """Captured and level Checksum (which Read and Restore include) passed, and nothing in doubt."""
        return not self.is_deleted and not self.doubts and bool(self.verified_levels)

    @property
    def is_verified(self) -> bool:
        """Level Read (which Restore includes) passed, and nothing in doubt."""
        return self.is_good and not self.verified_levels.isdisjoint({"Read", "Restore"})

    @property
    def is_restore_tested(self) -> bool:
        """Level Restore passed, and nothing in doubt."""
        return self.is_good and "Restore" in self.verified_levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What lies below one custody id."""

    backups: tuple[ReadBackup, ...] = ()
    """By snapshot time, oldest first; those with a tombstone beside the manifest included."""
    unreadable: Mapping[str, Doubt] = field(default_factory=dict)
    """Keys of manifests and facts that could not be read or believed."""
    objects: tuple[FoundObject, ...] = ()
    gone: tuple[Tombstone, ...] = ()
    """Tombstones whose manifest is deleted; they keep the chain whole."""
    attempts: tuple[AttemptFolder, ...] = ()

    @property
    def live(self) -> tuple[ReadBackup, ...]:
        """The backups that are not deleted, oldest first."""
        return tuple(backup for backup in self.backups if not backup.is_deleted)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Every reason not to believe this inventory, in words; empty when there is none. `breaks` are apart."""
        keys = [f"{key}: {doubt.value}" for key, doubt in sorted(self.unreadable.items())]
        entries = [f"{one.found_id}: {doubt.value}" for one in self.backups for doubt in one.doubts]
        return (*keys, *entries)

    def doubts_about(self, backup_id: str) -> frozenset[Doubt]:
        """Return why what is said of *backup_id* cannot be believed; that objects of it are missing is no such reason.

        Behind any of these a hold, or another's backup, may be hidden.
        """
        parsed = ((parse_backup_key(key), doubt) for key, doubt in self.unreadable.items())
        unread = {doubt for key, doubt in parsed if key is not None and key.backup_id == backup_id}
        told = {doubt for one in self.backups if one.found_id == backup_id for doubt in one.doubts}
        return frozenset(unread | told) - {Doubt.INCOMPLETE}

    @property
    def breaks(self) -> tuple[str, ...]:
        """The ids of the backups at which the chain of manifests is broken (`ContinuityUnproven`)."""
        return broken_links((one for one in self.backups if not one.is_stranger), self.gone)

    @property
    def newest_link(self) -> ReadBackup | None:
        """The backup of the highest generation whose manifest is there, deleted or not; `next_link` also knows the deleted manifests."""
        ours = (one for one in self.backups if not one.is_stranger)
        return max(ours, key=lambda one: (one.manifest.generation, one.manifest.backup_id), default=None)

    @property
    def next_link(self) -> Link:
        """How the next manifest of this custody continues the chain."""
        ends: list[tuple[int, str, str | None]] = [
            (one.generation, one.backup_id, one.manifest_sha256) for one in self.gone
        ]
        if self.newest_link is not None:
            newest = self.newest_link.manifest
            ends.append((newest.generation, newest.backup_id, self.newest_link.manifest_sha256))
        generation, _, digest = max(ends, default=(0, "", None))
        return Link(generation=generation + 1, previous_manifest_sha256=digest)

    def named(self, name: str) -> ReadBackup | None:
        """Return the newest live backup that bears the resource's *name*, or None; what is not ours bears no name."""
        ours = (one for one in reversed(self.live) if not one.is_stranger)
        return next((one for one in ours if one.manifest.name == name), None)

    def proves(self, manifest_sha256: str) -> bool:
        """Return whether the manifest that was seen before under its digest (in status) is still there, or deleted by one of us."""
        known = {one.manifest_sha256 for one in self.backups} | {one.manifest_sha256 for one in self.gone}
        return manifest_sha256 in known

    def next_number(self, backup_id: str, kind: FactKind) -> int:
        """Return the number for the next fact of *kind* about *backup_id*; numbers count from 1 and are never used again."""
        taken = [
            found.parsed.number
            for found in self.objects
            if found.parsed.backup_id == backup_id and found.parsed.fact is kind
        ]
        return max(taken, default=0) + 1


def in_order(backups: Iterable[ReadBackup]) -> tuple[ReadBackup, ...]:
    """Return *backups* by the time of the data they hold; those of one second in the order they were committed in, then by id."""
    return tuple(sorted(backups, key=lambda one: _place(one.manifest)))


def _place(manifest: Manifest) -> tuple[datetime, int, str]:
    return manifest.snapshot, manifest.generation, manifest.backup_id


def broken_links(backups: Iterable[ReadBackup], gone: Iterable[Tombstone]) -> tuple[str, ...]:
    """Return the ids of backups whose predecessor is neither there nor accounted for by a tombstone.

    Generations count from 1, each one more than that of the manifest it names; two attempts that raced may share one. A tombstone in *gone*
    stands for a manifest that was deleted, with the place it had in the chain.
    """
    links = [
        (one.manifest.backup_id, one.manifest_sha256, one.manifest.generation, one.manifest.previous_manifest_sha256)
        for one in backups
    ]
    links += [(one.backup_id, one.manifest_sha256, one.generation, one.previous_manifest_sha256) for one in gone]
    generations: dict[str | None, int] = {None: 0} | {digest: generation for _, digest, generation, _ in links}
    return tuple(
        backup_id for backup_id, _, generation, previous in links if generations.get(previous) != generation - 1
    )
