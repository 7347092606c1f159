"""Testimony: what the documents of one backup say, each with what the keys say of it; nothing is concluded here.

Conclusions need the documents of all backups (see `stocktaking`), because a document without a MAC is believed only in a storage, and at an
age of it, in which nothing was signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from dbcustody.errors import DbcustodyError
from dbcustody.repository.fact import Fact, Tombstone, read_fact
from dbcustody.repository.inventory import FoundObject
from dbcustody.repository.layout import key_id_of
from dbcustody.repository.manifest import Manifest, manifest_digest, read_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence


class Trust(StrEnum):
    """What the keys say of a document."""

    AUTHENTIC = "Authentic"
    UNSIGNED = "Unsigned"
    """It carries no MAC: nobody can say who wrote it."""
    FORGED = "Forged"
    KEY_MISSING = "KeyMissing"


class Authority(Protocol):
    """Who knows the keys."""

    def manifest(self, manifest: Manifest, key_ids: tuple[str, ...]) -> Trust:
        """Say what the keys say of *manifest*, whose data key is wrapped for *key_ids*."""

    def fact(self, custody_id: str, fact: Fact) -> Trust:
        """Say what the storage key says of *fact*."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestTestimony:
    """The manifest as it was read, and whom to believe it."""

    manifest: Manifest
    sha256: str
    key_ids: tuple[str, ...]
    trust: Trust
    is_misplaced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FactTestimony:
    """A later fact as it was read, and whom to believe it."""

    key: str
    fact: Fact
    trust: Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Testimony:
    """All documents of one backup; *manifest* None means: there is none, or it is among the *unreadable* keys."""

    backup_id: str
    objects: tuple[FoundObject, ...]
    manifest: ManifestTestimony | None
    facts: tuple[FactTestimony, ...]
    unreadable: tuple[str, ...]

    @property
    def signed_generations(self) -> tuple[int, ...]:
        """The generations of the chain for which the keys vouch."""
        signed = [
            one.fact.generation
            for one in self.facts
            if isinstance(one.fact, Tombstone) and one.trust is Trust.AUTHENTIC
        ]
        if self.manifest is not None and self.manifest.trust is Trust.AUTHENTIC:
            signed.append(self.manifest.manifest.generation)
        return tuple(signed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads documents in one custody of one storage."""

    storage_id: str
    custody_id: str
    contents: Mapping[str, bytes | None]
    authority: Authority

    def read(self, backup_id: str, objects: Sequence[FoundObject]) -> Testimony:
        """Return what the documents among *objects* say; whatever cannot be read is named and never raised."""
        unreadable: list[str] = []
        manifest: ManifestTestimony | None = None
        facts: list[FactTestimony] = []
        for found in objects:
            try:
                if found.parsed.is_manifest:
                    manifest = self._manifest(found, objects)
                elif found.parsed.fact is not None:
                    facts.append(self._fact(found))
            except (DbcustodyError, LookupError):
                unreadable.append(found.key)
        return Testimony(
            backup_id=backup_id,
            objects=tuple(objects),
            manifest=manifest,
            facts=tuple(facts),
            unreadable=tuple(unreadable),
        )

    def _content(self, key: str) -> bytes:
        data = self.contents.get(key)
        if data is None:
            raise LookupError(key)
        return data

    def _manifest(self, found: FoundObject, objects: Sequence[FoundObject]) -> ManifestTestimony:
        data = self._content(found.key)
        manifest = read_manifest(data, found.key)
        key_ids = _key_ids(objects, manifest.attempt)
        here = (self.storage_id, self.custody_id, found.parsed.backup_id)
        is_misplaced = (manifest.storage_id, manifest.custody_id, manifest.backup_id) != here
        return ManifestTestimony(
            manifest=manifest,
            sha256=manifest_digest(data),
            key_ids=key_ids,
            trust=Trust.FORGED if is_misplaced else self.authority.manifest(manifest, key_ids),
            is_misplaced=is_misplaced,
        )

    def _fact(self, found: FoundObject) -> FactTestimony:
        fact = read_fact(self._content(found.key), found.parsed)
        return FactTestimony(key=found.key, fact=fact, trust=self.authority.fact(self.custody_id, fact))


def _key_ids(objects: Sequence[FoundObject], attempt: str) -> tuple[str, ...]:
    names = (found.parsed.object_name for found in objects if found.parsed.attempt == attempt)
    return tuple(key_id for name in names if (key_id := key_id_of(name)) is not None)
