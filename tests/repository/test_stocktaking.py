"""What can be believed of a storage: honest ones give no doubt, and every way of lying in one does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dbcustody.repository.canonical import canonical
from dbcustody.repository.inventory import AttemptState, Doubt
from dbcustody.repository.layout import FactKind, attempt_prefix, manifest_key
from dbcustody.repository.manifest import Manifest, write_manifest
from dbcustody.repository.stocktaking import recognise

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.repository.conftest import Shelf

KINDS = [pytest.param(kind, id=kind.value) for kind in FactKind]


def commit_key(shelf: Shelf, manifest: Manifest) -> str:
    """Return the key of the manifest."""
    return manifest_key(shelf.custody_id, manifest.backup_id)


def number_of(kind: FactKind) -> int:
    """Return the number that a fact of *kind* has."""
    return 0 if kind is FactKind.TOMBSTONE else 1


def test_empty_storage_is_empty(shelf: Shelf) -> None:
    """Nothing there is no doubt."""
    inventory = shelf.inventory()
    assert (inventory.backups, inventory.doubts, inventory.breaks) == ((), (), ())


@pytest.mark.parametrize("signed", [pytest.param(True, id="encrypted"), pytest.param(False, id="not encrypted")])
def test_honest_storage_is_believed(shelf: Shelf, signed: bool) -> None:  # noqa: FBT001 - a table
    """Backups stand in the order of their snapshots, verified ones are good, holds hold until their release."""
    first, second, third = (shelf.commit(signed=signed) for _ in range(3))
    shelf.say(first, FactKind.VERIFIED, 1, signed=signed)
    shelf.say(second, FactKind.VERIFIED, 1, signed=signed, level="Checksum")
    shelf.say(second, FactKind.HOLD, 1, signed=signed)
    shelf.say(first, FactKind.HOLD, 1, signed=signed)
    shelf.say(first, FactKind.RELEASE, 1, signed=signed)
    inventory = shelf.inventory()
    assert (inventory.doubts, inventory.breaks) == ((), ())
    assert [first, second, third] == [one.manifest for one in inventory.backups]
    assert [one.is_good for one in inventory.backups] == [True, True, False]
    assert [one.is_verified for one in inventory.backups] == [True, False, False]
    assert [one.is_held for one in inventory.backups] == [False, True, False]
    assert [signed] * 3 == [one.authenticated for one in inventory.backups]
    assert [("k1",) if signed else ()] * 3 == [one.key_ids for one in inventory.backups]


def test_other_custodies_and_strangers_are_left_aside(shelf: Shelf) -> None:
    """Only keys of this custody and of the grammar are looked at."""
    shelf.commit()
    shelf.put("other/backups/20260131T020000Z-shop-5e1d0c2a/manifest.json", b"nonsense")
    shelf.put("web.shop/backups/notes.txt", b"nonsense")
    inventory = shelf.inventory()
    assert inventory.doubts == ()
    assert {"web.shop"} == {found.parsed.custody_id for found in inventory.objects}
    assert recognise("web.shop/backups/notes.txt", size_bytes=1, modified=inventory.objects[0].modified) is None


def test_tombstone_wins_over_the_manifest(shelf: Shelf) -> None:
    """A deletion that was begun counts as done, also while its data goes away bit by bit."""
    manifest = shelf.commit()
    shelf.say(manifest, FactKind.VERIFIED, 1)
    shelf.say(manifest, FactKind.TOMBSTONE)
    shelf.remove(attempt_prefix(shelf.custody_id, manifest.backup_id, manifest.attempt) + "schema.pgc")
    inventory = shelf.inventory()
    (backup,) = inventory.backups
    assert (backup.is_deleted, backup.is_good, inventory.live) == (True, False, ())
    assert inventory.doubts == ()
    assert {AttemptState.DELETED} == {folder.state for folder in inventory.attempts}


def test_tombstone_stands_for_the_manifest_that_is_gone(shelf: Shelf) -> None:
    """After the deletion the tombstone alone keeps the chain whole."""
    first, second, _ = (shelf.commit() for _ in range(3))
    for manifest in (first, second):
        shelf.say(manifest, FactKind.TOMBSTONE)
        shelf.remove(commit_key(shelf, manifest))
    inventory = shelf.inventory()
    assert [tombstone.generation for tombstone in inventory.gone] == [1, 2]
    assert (inventory.doubts, inventory.breaks) == ((), ())
    assert len(inventory.backups) == 1


def test_half_a_backup_is_incomplete(shelf: Shelf) -> None:
    """A missing object and one of another size are both seen in the listing, and such a backup is not good."""
    missing, resized = shelf.commit(), shelf.commit()
    for manifest in (missing, resized):
        shelf.say(manifest, FactKind.VERIFIED, 1)
    shelf.remove(attempt_prefix(shelf.custody_id, missing.backup_id, missing.attempt) + "schema.pgc")
    shelf.put(attempt_prefix(shelf.custody_id, resized.backup_id, resized.attempt) + "schema.pgc", size=7)
    inventory = shelf.inventory()
    assert [one.doubts for one in inventory.backups] == [(Doubt.INCOMPLETE,)] * 2
    assert [one.is_good for one in inventory.backups] == [False, False]


def forge(shelf: Shelf, manifest: Manifest) -> None:
    """Replace a manifest by one that says something else."""
    shelf.put(commit_key(shelf, manifest), write_manifest(replace(manifest, compression="none")))


def strip(shelf: Shelf, manifest: Manifest) -> None:
    """Replace a manifest by one that claims to come from a storage without encryption."""
    shelf.put(commit_key(shelf, manifest), write_manifest(replace(manifest, encryption=None, mac=None)))


def move(shelf: Shelf, manifest: Manifest) -> None:
    """Replace a manifest by the genuine one of another backup."""
    shelf.put(commit_key(shelf, manifest), write_manifest(shelf.commit("other")))


@pytest.mark.parametrize(
    ("lie", "doubt"),
    [
        pytest.param(forge, Doubt.FORGED_MANIFEST, id="changed"),
        pytest.param(strip, Doubt.FORGED_MANIFEST, id="signature stripped"),
        pytest.param(move, Doubt.MISPLACED, id="moved"),
    ],
)
def test_false_manifests_commit_nothing(shelf: Shelf, lie: Callable[[Shelf, Manifest], None], doubt: Doubt) -> None:
    """A manifest that is not ours is shown, never good, bears no name, and nobody may sweep below it."""
    shelf.commit()
    manifest = shelf.commit("victim")
    shelf.say(manifest, FactKind.VERIFIED, 1)
    lie(shelf, manifest)
    inventory = shelf.inventory()
    false = [one for one in inventory.backups if one.doubts]
    assert [(doubt,)] == [one.doubts for one in false]
    assert [(one.is_stranger, one.is_good) for one in false] == [(True, False)]
    assert inventory.named("victim") is None
    states = {folder.state for folder in inventory.attempts if folder.attempt == manifest.attempt}
    assert {AttemptState.UNKNOWN} == states


def test_whole_backup_copied_under_another_id_is_misplaced(shelf: Shelf) -> None:
    """An old backup that is copied to look like a new one is seen."""
    old = shelf.commit()
    new_id = "20270131T020000Z-shop-5e1d0c2a"
    for key in [key for key in shelf.sizes if old.backup_id in key]:
        shelf.put(key.replace(old.backup_id, new_id), shelf.contents[key], size=shelf.sizes[key])
    inventory = shelf.inventory()

    assert {(), (Doubt.MISPLACED,)} == {one.doubts for one in inventory.backups}
    assert inventory.doubts == (f"{new_id}: Misplaced",)
    assert inventory.doubts_about(new_id) == {Doubt.MISPLACED}
    assert inventory.doubts_about(old.backup_id) == frozenset()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "changes", [pytest.param({"mac": "ab" * 32}, id="wrong MAC"), pytest.param({"signed": False}, id="no MAC")]
)
def test_false_facts_are_no_facts(shelf: Shelf, kind: FactKind, changes: dict[str, object]) -> None:
    """A forged tombstone deletes nothing, a forged release releases nothing, a forged proof proves nothing; each is named."""
    manifest = shelf.commit()
    shelf.say(manifest, FactKind.HOLD, 1)
    key = shelf.say(manifest, kind, number_of(kind), **changes)  # type: ignore[arg-type]
    inventory = shelf.inventory()
    (backup,) = inventory.backups
    assert {key: Doubt.FORGED_FACT} == inventory.unreadable
    assert (f"{key}: ForgedFact",) == inventory.doubts
    assert (False, (), kind is not FactKind.HOLD) == (backup.is_deleted, backup.verified, backup.is_held)


@pytest.mark.parametrize("kind", KINDS)
def test_facts_about_another_manifest_do_not_count(shelf: Shelf, kind: FactKind) -> None:
    """A signed fact about other bytes is set aside, except that a hold still holds."""
    manifest = shelf.commit()
    key = shelf.say(manifest, kind, number_of(kind), manifest_sha256="12" * 32)
    inventory = shelf.inventory()
    (backup,) = inventory.backups
    assert {key: Doubt.MISPLACED} == inventory.unreadable
    assert (False, False, kind is FactKind.HOLD) == (backup.is_deleted, backup.is_good, backup.is_held)


@pytest.mark.parametrize(
    "data", [pytest.param(b"{}", id="nonsense"), pytest.param(canonical({"format": 2}), id="newer format")]
)
def test_unreadable_documents_are_named_and_protect_what_is_there(shelf: Shelf, data: bytes) -> None:
    """What cannot be read is a doubt; below an unreadable manifest nothing is garbage."""
    manifest, other = shelf.commit(), shelf.commit()
    shelf.put(commit_key(shelf, manifest), data)
    fact = shelf.say(other, FactKind.VERIFIED, 1)
    shelf.put(fact, data)
    inventory = shelf.inventory()
    assert {commit_key(shelf, manifest): Doubt.UNREADABLE, fact: Doubt.UNREADABLE} == inventory.unreadable
    states = {folder.attempt: folder.state for folder in inventory.attempts}
    assert {manifest.attempt: AttemptState.UNKNOWN, other.attempt: AttemptState.COMMITTED} == states


def test_what_could_not_be_read_is_a_doubt(shelf: Shelf) -> None:
    """A document that is in the listing and whose bytes did not come is unreadable, not absent."""
    key = commit_key(shelf, shelf.commit())
    inventory = shelf.inventory(lost=key)
    assert inventory.unreadable == {key: Doubt.UNREADABLE}
    assert [folder.state for folder in inventory.attempts] == [AttemptState.UNKNOWN]


def test_vanished_manifest_is_a_doubt_and_no_garbage(shelf: Shelf) -> None:
    """Facts without a manifest or a tombstone mean that somebody removed it; its data stays."""
    manifest = shelf.commit()
    shelf.say(manifest, FactKind.VERIFIED, 1)
    shelf.remove(commit_key(shelf, manifest))
    inventory = shelf.inventory()
    assert {commit_key(shelf, manifest): Doubt.MANIFEST_MISSING} == inventory.unreadable
    assert [folder.state for folder in inventory.attempts] == [AttemptState.UNKNOWN]


def test_without_the_key_nothing_is_good(shelf: Shelf) -> None:
    """A storage can be listed without its key, and says that it cannot be believed."""
    manifest = shelf.commit()
    key = shelf.say(manifest, FactKind.VERIFIED, 1)
    hold = shelf.say(manifest, FactKind.HOLD, 1)
    inventory = shelf.inventory(has_key=False)
    (backup,) = inventory.backups
    assert (backup.doubts, backup.is_good, backup.authenticated) == ((Doubt.KEY_MISSING,), False, False)
    assert {key: Doubt.KEY_MISSING, hold: Doubt.KEY_MISSING} == inventory.unreadable
    assert backup.is_held


def test_encryption_can_be_turned_on_later(shelf: Shelf) -> None:
    """Backups and facts from before the first signed one need no signature, and are shown as not authenticated."""
    gone, early = shelf.commit(signed=False), shelf.commit(signed=False)
    shelf.say(gone, FactKind.TOMBSTONE, signed=False)
    shelf.remove(commit_key(shelf, gone))
    shelf.say(early, FactKind.VERIFIED, 1, signed=False)
    shelf.say(early, FactKind.VERIFIED, 2, signed=True)
    late = shelf.commit()
    inventory = shelf.inventory()
    assert (inventory.doubts, inventory.breaks) == ((), ())
    assert [(early, False), (late, True)] == [(one.manifest, one.authenticated) for one in inventory.backups]


def test_nothing_unsigned_comes_after_something_signed(shelf: Shelf) -> None:
    """Whoever can write to the storage cannot pass off a new backup, or a deletion, as one from the time before encryption."""
    victim = shelf.commit()
    intruder = shelf.commit(signed=False)
    shelf.say(victim, FactKind.TOMBSTONE)
    deleted = shelf.commit()
    tombstone = shelf.say(deleted, FactKind.TOMBSTONE, signed=False)
    shelf.remove(commit_key(shelf, deleted))
    inventory = shelf.inventory()
    doubts = {one.manifest.backup_id: one.doubts for one in inventory.backups}
    assert {victim.backup_id: (), intruder.backup_id: (Doubt.FORGED_MANIFEST,)} == doubts
    assert Doubt.FORGED_FACT is inventory.unreadable[tombstone]
    assert Doubt.MANIFEST_MISSING is inventory.unreadable[commit_key(shelf, deleted)]


def test_signed_tombstones_alone_end_the_time_without_signatures(shelf: Shelf) -> None:
    """When every signed manifest was pruned, their tombstones still say from when on signatures are due."""
    signed = shelf.commit()
    shelf.say(signed, FactKind.TOMBSTONE)
    shelf.remove(commit_key(shelf, signed))
    shelf.commit(signed=False)
    assert [one.doubts for one in shelf.inventory().backups] == [(Doubt.FORGED_MANIFEST,)]


def test_deletion_that_stopped_without_the_data_key_is_no_doubt(shelf: Shelf) -> None:
    """The data key goes before the manifest; the tombstone vouches for that very manifest, and a forged one for none."""
    manifest = shelf.commit()
    shelf.remove(attempt_prefix(shelf.custody_id, manifest.backup_id, manifest.attempt) + "key.k1.json")
    assert shelf.inventory().backups[0].doubts == (Doubt.KEY_MISSING,)
    tombstone = shelf.say(manifest, FactKind.TOMBSTONE)
    assert shelf.inventory().doubts == ()
    shelf.put(tombstone, shelf.contents[tombstone].replace(b"daily", b"dally"))
    assert shelf.inventory().backups[0].doubts == (Doubt.KEY_MISSING,)
