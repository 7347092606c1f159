"""A sweep takes what came to nothing, when it is old and nobody is at work on it, and never anything else."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from dbcustody.repository.inventory import AttemptState
from dbcustody.repository.layout import FactKind, attempt_prefix, manifest_key
from dbcustody.repository.leftover import deletable, sweepable

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.repository.manifest import Manifest
    from tests.repository.conftest import Shelf

STRAY = "99999999-6c0e-4a55-8f3a-2f4d5e6a7b8c"
BACKUP = "20260131T020000Z-gone-5e1d0c2a"


def stray_of(shelf: Shelf, backup_id: str, attempt: str = STRAY) -> set[str]:
    """Write what an attempt without a commit leaves, and return its keys."""
    folder = attempt_prefix(shelf.custody_id, backup_id, attempt)
    return {shelf.put(folder + name, b"x") for name in ("schema.pgc", "data-001.pgc", "key.k1.json")}


def swept(shelf: Shelf, *, age: timedelta = timedelta(days=2), live: frozenset[str] = frozenset()) -> set[str]:
    """Return what would be swept when everything there is *age* older than the deadline."""
    inventory = shelf.inventory()
    return set(sweepable(inventory, older_than=inventory.objects[0].modified + age, live_attempts=live))


def test_unfinished_and_orphaned_attempts_are_garbage(shelf: Shelf) -> None:
    """An attempt without a manifest, and one that lost to another, go whole; the committed one stays whole."""
    manifest = shelf.commit()
    garbage = stray_of(shelf, BACKUP) | stray_of(shelf, manifest.backup_id)
    assert swept(shelf) == garbage
    states = sorted(folder.state for folder in shelf.inventory().attempts)
    assert states == [AttemptState.COMMITTED, AttemptState.ORPHANED, AttemptState.UNFINISHED]


def test_young_and_live_attempts_stay(shelf: Shelf) -> None:
    """Whoever may still be at work is left alone."""
    stray_of(shelf, BACKUP)
    assert swept(shelf, age=timedelta(0)) == set()
    assert swept(shelf, live=frozenset({STRAY})) == set()


def test_attempt_is_as_young_as_its_youngest_object(shelf: Shelf) -> None:
    """Sizes and times are those of the whole folder."""
    stray_of(shelf, BACKUP)
    (folder,) = shelf.inventory().attempts
    assert (folder.stored_bytes, len(folder.keys), folder.attempt) == (3, 3, STRAY)


def test_nothing_is_swept_where_a_commit_was(shelf: Shelf) -> None:
    """An unreadable, a forged and a vanished manifest each protect everything below their backup."""
    unreadable, forged, vanished = (shelf.commit() for _ in range(3))
    for manifest in (unreadable, forged, vanished):
        shelf.say(manifest, FactKind.VERIFIED, 1)
        stray_of(shelf, manifest.backup_id)
    shelf.put(manifest_key(shelf.custody_id, unreadable.backup_id), b"nonsense")
    other = shelf.contents[manifest_key(shelf.custody_id, vanished.backup_id)]
    shelf.put(manifest_key(shelf.custody_id, forged.backup_id), other)
    shelf.remove(manifest_key(shelf.custody_id, vanished.backup_id))
    assert swept(shelf) == set()


def test_begun_deletions_are_finished_in_order(shelf: Shelf) -> None:
    """Data goes first, then the facts, then the manifest; the tombstone stays, and so does every other backup."""
    shelf.commit()
    manifest, gone = shelf.commit(), shelf.commit()
    shelf.say(manifest, FactKind.VERIFIED, 1)
    for deleted in (manifest, gone):
        shelf.say(deleted, FactKind.TOMBSTONE)
    shelf.remove(manifest_key(shelf.custody_id, gone.backup_id))
    keys = deletable(shelf.inventory())
    expected = {key for key in shelf.sizes if (manifest.backup_id in key or gone.backup_id in key)}
    assert set(keys) == {key for key in expected if not key.endswith("tombstone.json")}
    assert keys[-1] == manifest_key(shelf.custody_id, manifest.backup_id)
    assert keys[-2].endswith("verified.1.json")
    assert swept(shelf) == set()


def test_forged_tombstone_deletes_nothing(shelf: Shelf) -> None:
    """Only a tombstone that is ours begins a deletion."""
    manifest = shelf.commit()
    shelf.say(manifest, FactKind.TOMBSTONE, mac="ab" * 32)
    assert deletable(shelf.inventory()) == ()


@given(st.lists(st.sampled_from(["commit", "unsigned", "prune", "remove", "stray", "fact", "spoil"]), max_size=25))
def test_no_key_of_a_live_backup_is_ever_given_up(new_shelf: Callable[[], Shelf], steps: list[str]) -> None:
    """Whatever happened to a storage, neither list names an object of a live backup, a claim, or a ledger entry."""
    shelf = new_shelf()
    shelf.put(f"{shelf.custody_id}/ledger/000000000001.json", b"{}")
    shelf.put(f"{shelf.custody_id}/names/shop.json", b"{}")
    manifests: list[Manifest] = []
    for number, step in enumerate(steps):
        _do(step, shelf, manifests, number)
    inventory = shelf.inventory()
    given_up = {*deletable(inventory)}
    if inventory.objects:
        given_up |= swept(shelf)
    for backup in inventory.live:
        folder = attempt_prefix(shelf.custody_id, backup.manifest.backup_id, backup.manifest.attempt)
        assert not any(
            key.startswith(folder) or key == manifest_key(shelf.custody_id, backup.manifest.backup_id)
            for key in given_up
        )
    assert all("/backups/" in key and not key.endswith("tombstone.json") for key in given_up)


def _do(step: str, shelf: Shelf, manifests: list[Manifest], number: int) -> None:
    chosen = manifests[number % len(manifests)] if manifests else None
    if step in {"commit", "unsigned"} or chosen is None:
        manifests.append(shelf.commit(signed=step != "unsigned"))
    elif step == "prune":
        shelf.say(chosen, FactKind.TOMBSTONE)
    elif step == "fact":
        shelf.say(chosen, FactKind.VERIFIED, 1)
    elif step == "stray":
        stray_of(shelf, chosen.backup_id)
    elif step == "spoil":
        shelf.put(manifest_key(shelf.custody_id, chosen.backup_id), b"{}")
    elif manifest_key(shelf.custody_id, chosen.backup_id) in shelf.sizes:
        shelf.remove(manifest_key(shelf.custody_id, chosen.backup_id))
