"""Stocktaking: from a listing and the documents in it to an inventory that says what can be believed.

Nothing here reads a byte or knows a key: the caller lists, reads what `document_keys` names, and lends an `Authority` that knows the keys.
Once something was signed, whatever comes later must be: else whoever can write to the storage could pass a forgery off as a backup from
the time before encryption.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from dbcustody.repository.fact import Fact, Hold, Release, Tombstone, Verified
from dbcustody.repository.inventory import AttemptFolder, Doubt, FoundObject, Inventory, ReadBackup, in_order
from dbcustody.repository.layout import manifest_key, parse_backup_key
from dbcustody.repository.leftover import group_attempts
from dbcustody.repository.testimony import Authority, FactTestimony, ManifestTestimony, Reader, Testimony, Trust

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from dbcustody.repository.manifest import Manifest

F = TypeVar("F", Tombstone, Verified, Hold, Release)


def recognise(key: str, *, size_bytes: int, modified: datetime) -> FoundObject | None:
    """Return the row of a listing as an object of some backup, or None when its key is none of ours."""
    parsed = parse_backup_key(key)
    return None if parsed is None else FoundObject(key=key, parsed=parsed, size_bytes=size_bytes, modified=modified)


def document_keys(objects: Iterable[FoundObject]) -> tuple[str, ...]:
    """Return the keys of the small objects whose content an inventory needs: manifests and facts."""
    return tuple(found.key for found in objects if found.parsed.is_manifest or found.parsed.fact is not None)


def take_inventory(
    objects: Iterable[FoundObject],
    contents: Mapping[str, bytes | None],
    *,
    storage_id: str,
    custody_id: str,
    authority: Authority,
) -> Inventory:
    """Return the inventory of *custody_id*.

    *contents* holds the bytes of every key that `document_keys` names; one that is absent or None could not be read, which is a doubt and
    no reason to stop. Objects of other custodies are left aside. A backup that was committed while the listing ran can look Incomplete;
    the next inventory knows better.
    """
    ours = tuple(found for found in objects if found.parsed.custody_id == custody_id)
    reader = Reader(storage_id=storage_id, custody_id=custody_id, contents=contents, authority=authority)
    testimonies = [reader.read(backup_id, group) for backup_id, group in _by_backup(ours).items()]
    signed = [generation for one in testimonies for generation in one.signed_generations]
    first_signed = min(signed, default=None)
    return _summed_up(ours, [_conclude(one, custody_id, first_signed) for one in testimonies])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Conclusion:
    """What is believed of one backup id."""

    backup: ReadBackup | None
    gone: Tombstone | None
    unreadable: dict[str, Doubt]
    attempts: tuple[AttemptFolder, ...]


def _summed_up(objects: tuple[FoundObject, ...], conclusions: Sequence[_Conclusion]) -> Inventory:
    gone = (one.gone for one in conclusions if one.gone is not None)
    return Inventory(
        backups=in_order(one.backup for one in conclusions if one.backup is not None),
        unreadable={key: doubt for one in conclusions for key, doubt in one.unreadable.items()},
        objects=objects,
        gone=tuple(sorted(gone, key=lambda one: (one.generation, one.backup_id))),
        attempts=tuple(folder for one in conclusions for folder in one.attempts),
    )


def _conclude(said: Testimony, custody_id: str, first_signed: int | None) -> _Conclusion:
    unreadable = dict.fromkeys(said.unreadable, Doubt.UNREADABLE)
    facts: list[Fact] = []
    for one in said.facts:
        doubt = _doubt_of_fact(one, said.manifest, first_signed)
        if doubt is not None:
            unreadable[one.key] = doubt
        if doubt is None or _still_counts(one.fact, doubt):
            facts.append(one.fact)
    tombstone = next(iter(_of(facts, Tombstone)), None)
    backup = None if said.manifest is None else _backup(said.manifest, facts, said.objects, first_signed)
    if backup is not None and backup.manifest.backup_id != said.backup_id:
        backup = replace(backup, lies_under=said.backup_id)
    has_documents = any(found.parsed.attempt is None for found in said.objects)
    if backup is None and tombstone is None and has_documents:
        unreadable.setdefault(manifest_key(custody_id, said.backup_id), Doubt.MANIFEST_MISSING)
    return _Conclusion(
        backup=backup,
        gone=tombstone if backup is None else None,
        unreadable=unreadable,
        attempts=group_attempts(
            said.objects,
            committed=None if backup is None or backup.is_stranger else backup.manifest.attempt,
            is_deleted=tombstone is not None,
        ),
    )


def _backup(
    said: ManifestTestimony, facts: Sequence[Fact], objects: Sequence[FoundObject], first_signed: int | None
) -> ReadBackup:
    tombstone = next(iter(_of(facts, Tombstone)), None)
    doubt = _doubt_of_manifest(said, first_signed)
    if doubt is Doubt.KEY_MISSING and tombstone is not None:
        # a deletion takes the data key before the manifest; the tombstone names its digest and vouches for it
        doubt = None
    doubts = [] if doubt is None else [doubt]
    if doubt is not Doubt.MISPLACED and tombstone is None and not _is_complete(said.manifest, objects):
        doubts.append(Doubt.INCOMPLETE)
    return ReadBackup(
        manifest=said.manifest,
        manifest_sha256=said.sha256,
        authenticated=said.trust is Trust.AUTHENTIC,
        key_ids=said.key_ids,
        tombstone=tombstone,
        verified=_of(facts, Verified),
        holds=_of(facts, Hold),
        releases=_of(facts, Release),
        doubts=tuple(doubts),
    )


def _doubt_of_manifest(said: ManifestTestimony, first_signed: int | None) -> Doubt | None:
    if said.is_misplaced:
        return Doubt.MISPLACED
    if said.trust is Trust.KEY_MISSING:
        return Doubt.KEY_MISSING
    must_be_signed = said.manifest.encryption is not None or _is_late(said.manifest.generation, first_signed)
    if said.trust is Trust.FORGED or (said.trust is Trust.UNSIGNED and must_be_signed):
        return Doubt.FORGED_MANIFEST
    return None


def _doubt_of_fact(said: FactTestimony, about: ManifestTestimony | None, first_signed: int | None) -> Doubt | None:
    if said.trust is Trust.KEY_MISSING:
        return Doubt.KEY_MISSING
    if said.trust is Trust.FORGED or (said.trust is Trust.UNSIGNED and _must_be_signed(said.fact, about, first_signed)):
        return Doubt.FORGED_FACT
    if about is not None and said.fact.manifest_sha256 != about.sha256:
        return Doubt.MISPLACED
    return None


def _must_be_signed(fact: Fact, about: ManifestTestimony | None, first_signed: int | None) -> bool:
    if about is not None:
        return about.manifest.encryption is not None
    return isinstance(fact, Tombstone) and _is_late(fact.generation, first_signed)


def _is_late(generation: int, first_signed: int | None) -> bool:
    return first_signed is not None and generation >= first_signed


def _still_counts(fact: Fact, doubt: Doubt) -> bool:
    """Whoever is in doubt about a hold keeps the data; a forged one would keep it for ever, and the doubt already freezes retention."""
    return isinstance(fact, Hold) and doubt is not Doubt.FORGED_FACT


def _by_backup(objects: Iterable[FoundObject]) -> dict[str, list[FoundObject]]:
    groups: defaultdict[str, list[FoundObject]] = defaultdict(list)
    for found in sorted(objects, key=lambda one: one.key):
        groups[found.parsed.backup_id].append(found)
    return groups


def _of(facts: Iterable[Fact], kind: type[F]) -> tuple[F, ...]:
    return tuple(fact for fact in facts if isinstance(fact, kind))


def _is_complete(manifest: Manifest, objects: Sequence[FoundObject]) -> bool:
    sizes = {
        found.parsed.object_name: found.size_bytes for found in objects if found.parsed.attempt == manifest.attempt
    }
    return all(sizes.get(item.name) == item.bytes for item in manifest.objects)
