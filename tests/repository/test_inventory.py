"""The chain of manifests, the next link, names and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.repository.inventory import Doubt, Inventory, Link, broken_links, in_order
from dbcustody.repository.layout import FactKind, fact_key, manifest_key
from dbcustody.repository.manifest import manifest_digest, write_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.repository.manifest import Manifest
    from tests.repository.conftest import Shelf


def remove_manifest(shelf: Shelf, manifest: Manifest) -> None:
    """Delete the commit of a backup."""
    shelf.remove(manifest_key(shelf.custody_id, manifest.backup_id))


def test_first_link_has_no_predecessor() -> None:
    """The first backup of a custody begins the chain."""
    assert Inventory().next_link == Link(generation=1, previous_manifest_sha256=None)
    assert Inventory().newest_link is None


def test_next_link_names_the_newest_manifest(shelf: Shelf) -> None:
    """The next manifest names the digest of the highest generation, whatever the snapshots say."""
    shelf.commit()
    newest = shelf.commit()
    inventory = shelf.inventory()
    digest = manifest_digest(write_manifest(newest))
    assert inventory.next_link == Link(generation=3, previous_manifest_sha256=digest)
    assert inventory.newest_link is not None
    assert inventory.newest_link.manifest == newest


def test_next_link_survives_the_deletion_of_everything(shelf: Shelf) -> None:
    """A tombstone keeps its place in the chain: generations are never used again."""
    newest = [shelf.commit() for _ in range(3)][-1]
    for manifest in [one.manifest for one in shelf.inventory().backups]:
        shelf.say(manifest, FactKind.TOMBSTONE)
        remove_manifest(shelf, manifest)
    link = shelf.inventory().next_link
    assert link == Link(generation=4, previous_manifest_sha256=manifest_digest(write_manifest(newest)))


def test_forged_generation_does_not_move_the_chain(shelf: Shelf) -> None:
    """A manifest that is not ours is no link, however high its generation."""
    genuine = shelf.commit()
    shelf.commit(signed=False, generation=10**9)
    inventory = shelf.inventory()
    assert inventory.next_link.previous_manifest_sha256 == manifest_digest(write_manifest(genuine))
    assert inventory.breaks == ()


@given(st.integers(1, 8), st.data())
def test_chain_is_whole_exactly_when_nothing_vanished(
    new_shelf: Callable[[], Shelf], count: int, data: st.DataObject
) -> None:
    """Pruning with tombstones never breaks the chain; removing any manifest but the newest without one always does."""
    shelf = new_shelf()
    manifests = [shelf.commit() for _ in range(count)]
    pruned = data.draw(st.sets(st.integers(0, count - 1)))
    for index in pruned:
        shelf.say(manifests[index], FactKind.TOMBSTONE)
        remove_manifest(shelf, manifests[index])
    assert shelf.inventory().breaks == ()
    left = [index for index in range(count) if index not in pruned]
    if left:
        stolen = data.draw(st.sampled_from(left))
        remove_manifest(shelf, manifests[stolen])
        following = [manifests[stolen + 1].backup_id] if stolen + 1 < count else []
        inventory = shelf.inventory()
        assert following == list(inventory.breaks)
        assert not inventory.proves(shelf.chain[stolen])


def test_status_remembers_what_the_storage_forgot(shelf: Shelf) -> None:
    """A manifest that was seen once is there, or was deleted by one of us, or is missed."""
    kept, pruned, stolen = (shelf.commit() for _ in range(3))
    shelf.say(pruned, FactKind.TOMBSTONE)
    for manifest in (pruned, stolen):
        remove_manifest(shelf, manifest)
    inventory = shelf.inventory()
    digests = [manifest_digest(write_manifest(manifest)) for manifest in (kept, pruned, stolen)]
    assert [inventory.proves(digest) for digest in digests] == [True, True, False]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"generation": 1}, id="generation repeated"),
        pytest.param({"generation": 3}, id="generation left out"),
        pytest.param({"previous_manifest_sha256": None}, id="no predecessor"),
        pytest.param({"previous_manifest_sha256": "ef" * 32}, id="unknown predecessor"),
    ],
)
def test_every_wrong_link_is_a_break(shelf: Shelf, changes: dict[str, Any]) -> None:
    """A link must name a known manifest of the generation just before its own."""
    shelf.commit()
    wrong = shelf.commit(**changes)
    assert shelf.inventory().breaks == (wrong.backup_id,)


def test_what_is_doubted_of_one_backup_is_no_doubt_about_another(shelf: Shelf) -> None:
    """An unreadable fact and a forged manifest belong to the backup beside which they lie; missing objects are no such doubt."""
    sound, forged = shelf.commit(), shelf.commit(signed=False)
    incomplete = shelf.commit()
    shelf.remove(next(key for key in shelf.contents if incomplete.backup_id in key and key.endswith(".pgc")))
    unread = shelf.commit()
    shelf.put(fact_key(shelf.custody_id, unread.backup_id, FactKind.HOLD, 1), b"{")
    inventory = shelf.inventory()

    assert [inventory.doubts_about(one.backup_id) for one in (sound, forged, incomplete, unread)] == [
        frozenset(),
        frozenset({Doubt.FORGED_MANIFEST}),
        frozenset(),
        frozenset({Doubt.UNREADABLE}),
    ]


def test_two_attempts_that_raced_share_a_generation(shelf: Shelf) -> None:
    """Two backups at once both name the same predecessor; that is no break, and the next one names either."""
    first = shelf.commit()
    shelf.commit("one")
    link: dict[str, Any] = {"generation": 2, "previous_manifest_sha256": manifest_digest(write_manifest(first))}
    shelf.commit("two", **link)
    inventory = shelf.inventory()
    assert (inventory.breaks, inventory.next_link.generation) == ((), 3)


def test_broken_link_of_a_tombstone_is_seen(shelf: Shelf) -> None:
    """A tombstone whose own predecessor vanished is where the chain breaks."""
    first, second = shelf.commit(), shelf.commit()
    shelf.say(second, FactKind.TOMBSTONE)
    for manifest in (first, second):
        remove_manifest(shelf, manifest)
    inventory = shelf.inventory()
    assert broken_links(inventory.backups, inventory.gone) == (second.backup_id,)


def test_name_stands_for_the_newest_live_backup(shelf: Shelf) -> None:
    """A name is looked up among live backups, the newest first."""
    old, new = shelf.commit("shop"), shelf.commit("shop")
    assert shelf.inventory().named("shop") is not None
    shelf.say(new, FactKind.TOMBSTONE)
    found = shelf.inventory().named("shop")
    assert found is not None
    assert found.manifest == old
    assert shelf.inventory().named("other") is None


def test_numbers_are_never_used_again(shelf: Shelf) -> None:
    """The next number is above every one that is there, whether its fact can be read or not, kind by kind."""
    manifest, other = shelf.commit(), shelf.commit()
    shelf.put(shelf.say(manifest, FactKind.VERIFIED, 7), b"nonsense")
    shelf.say(other, FactKind.VERIFIED, 9)
    inventory = shelf.inventory()
    numbers = [inventory.next_number(manifest.backup_id, kind) for kind in (FactKind.VERIFIED, FactKind.HOLD)]
    assert numbers == [8, 1]


@pytest.mark.parametrize("names", ["abc", "cba", "bca"])
def test_backups_of_one_second_stand_as_they_were_committed(shelf: Shelf, names: str) -> None:
    """Times are told to the second, small databases are backed up faster: the newer backup must not be taken for the older."""
    snapshot = shelf.commit(names[0]).snapshot
    for name in names[1:]:
        shelf.commit(name, snapshot=snapshot)
    assert [one.manifest.name for one in shelf.inventory().backups] == list(names)


def test_equal_snapshots_of_one_generation_stand_by_id(shelf: Shelf) -> None:
    """The order is total, so that two inventories of one storage are equal."""
    snapshot = shelf.commit("b").snapshot
    shelf.commit("a", snapshot=snapshot, generation=1)
    backups = shelf.inventory().backups
    assert backups == in_order(reversed(backups))
    assert [one.manifest.backup_id for one in backups] == sorted(one.manifest.backup_id for one in backups)
