"""Taking stock with real keys on a real folder: what honest hands left is believed, and no lie is."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.objectstore import VolumeStore
from dbcustody.errors import ConflictError, DamagedError, DbcustodyError, InterruptedRunError, UnavailableError
from dbcustody.jobs.stock import add_fact, open_data_key, take_stock
from dbcustody.reason import Reason
from dbcustody.repository.canonical import canonical
from dbcustody.repository.fact import Hold, Release, Tombstone, Verified
from dbcustody.repository.inventory import Doubt
from dbcustody.repository.layout import FactKind, attempt_prefix, data_key_object, fact_key, manifest_key
from dbcustody.repository.manifest import manifest_digest, write_manifest
from tests.fakes.vault import CUSTODY, KEY, NOW, Vault, ring

if TYPE_CHECKING:
    from pathlib import Path

    from dbcustody.adapters.keyring import Keyring
    from dbcustody.repository.manifest import Manifest


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """Return an empty encrypted custody."""
    return Vault(VolumeStore(tmp_path))


def hold_of(manifest: Manifest, number: int = 1) -> Hold:
    """Return a hold on *manifest*."""
    digest = manifest_digest(write_manifest(manifest))
    return Hold(backup_id=manifest.backup_id, manifest_sha256=digest, number=number, because="audit", time=NOW)


def wrapped_key_file(root: Path, manifest: Manifest, key_id: str = "k1") -> Path:
    """Return the file of the wrapped data key of *manifest*'s attempt."""
    return root / attempt_prefix(CUSTODY, manifest.backup_id, manifest.attempt) / data_key_object(key_id)


@pytest.mark.parametrize("keyring", [pytest.param(ring(), id="encrypted"), pytest.param(None, id="plain")])
def test_honest_custody_is_believed(tmp_path: Path, keyring: Keyring | None) -> None:
    """Backups, proofs, holds and releases are all believed, in the order of their data."""
    vault = Vault(VolumeStore(tmp_path), keyring)
    newer = vault.commit("b", NOW)
    older = vault.commit("a", NOW - timedelta(days=1), verified="Checksum")
    add_fact(vault.storage, CUSTODY, hold_of(newer))
    add_fact(vault.storage, CUSTODY, hold_of(older))
    add_fact(vault.storage, CUSTODY, Release(**{**_words(hold_of(older)), "because": "over"}))

    stock = vault.stock()

    assert stock.doubts == stock.breaks == ()
    assert [one.manifest for one in stock.live] == [older, newer]
    assert [one.is_verified for one in stock.live] == [False, True]
    assert [one.is_good for one in stock.live] == [True, True]
    assert [one.is_held for one in stock.live] == [False, True]
    assert {one.authenticated for one in stock.live} == {keyring is not None}


def test_other_custodies_are_left_aside(vault: Vault) -> None:
    """A custody whose id begins alike is not read."""
    vault.commit("a", NOW)

    assert take_stock(vault.storage, CUSTODY[:-1], vault.tools).objects == ()
    assert take_stock(vault.storage, f"{CUSTODY}2", vault.tools).objects == ()


def test_forged_manifest_is_found(vault: Vault, tmp_path: Path) -> None:
    """A manifest that was changed where it lies is a doubt, though its form is right."""
    manifest = vault.commit("a", NOW)
    path = tmp_path / manifest_key(CUSTODY, manifest.backup_id)
    path.write_bytes(write_manifest(replace(manifest, snapshot=NOW + timedelta(days=400))))

    assert [one.doubts for one in vault.stock().backups] == [(Doubt.FORGED_MANIFEST,)]


def test_forged_fact_is_found(vault: Vault, tmp_path: Path) -> None:
    """A proof whose level was raised by hand proves nothing."""
    manifest = vault.commit("a", NOW, verified="Checksum")
    key = fact_key(CUSTODY, manifest.backup_id, FactKind.VERIFIED, 1)
    text = (tmp_path / key).read_text()
    (tmp_path / key).write_text(text.replace('"Checksum"', '"Read"'))

    stock = vault.stock()

    assert stock.unreadable == {key: Doubt.FORGED_FACT}
    assert not stock.backups[0].is_good


@pytest.mark.parametrize(
    "keyring",
    [
        pytest.param(None, id="no-keyring"),
        pytest.param(ring("k2", k2=os.urandom(32)), id="other-key-id"),
        pytest.param(ring("k1", k1=os.urandom(32)), id="other-key-of-the-same-id"),
    ],
)
def test_missing_key_is_a_doubt_and_no_forgery(vault: Vault, keyring: Keyring | None) -> None:
    """Who lost the key cannot say whether a manifest is ours; that is told apart from a manifest that is not."""
    vault.commit("a", NOW)

    stock = vault.stock(keyring=keyring)

    assert [one.doubts for one in stock.backups] == [(Doubt.KEY_MISSING,)]
    assert not stock.backups[0].is_good


def test_facts_without_the_storage_key_are_out_of_reach(vault: Vault) -> None:
    """Without the storage key no fact is believed, and none is called forged."""
    vault.commit("a", NOW)

    assert set(vault.stock(storage_key=None).unreadable.values()) == {Doubt.KEY_MISSING}


def test_any_key_of_the_keyring_opens(tmp_path: Path) -> None:
    """After a rotation the old key still vouches for old backups; a damaged copy for one key is made up for by another."""
    both = ring("k2", k1=KEY, k2=os.urandom(32))
    vault = Vault(VolumeStore(tmp_path), both)
    manifest = vault.commit("a", NOW)
    wrapped_key_file(tmp_path, manifest, "k2").write_bytes(b"{}")

    assert vault.stock().doubts == ()
    assert open_data_key(vault.storage, manifest.place, ("k1", "k2")) == open_data_key(
        replace(vault.storage, keyring=ring()), manifest.place, ("k1",)
    )


@pytest.mark.parametrize(
    ("keyring", "key_ids", "reason"),
    [
        pytest.param(None, ("k1",), Reason.KEY_MISSING, id="no-keyring"),
        pytest.param(ring("k2", k2=os.urandom(32)), ("k1",), Reason.KEY_MISSING, id="other-key-id"),
        pytest.param(ring(), (), Reason.KEY_MISSING, id="closed-for-nobody"),
        pytest.param(ring("k1", k1=os.urandom(32)), ("k1",), Reason.KEY_MISMATCH, id="wrong-key"),
    ],
)
def test_data_key_that_cannot_be_opened(
    vault: Vault, keyring: Keyring | None, key_ids: tuple[str, ...], reason: Reason
) -> None:
    """Each way of lacking the key has its reason."""
    manifest = vault.commit("a", NOW)

    with pytest.raises(DbcustodyError) as caught:
        open_data_key(replace(vault.storage, keyring=keyring), manifest.place, key_ids)

    assert caught.value.reason is reason


def test_damaged_data_key_is_damage(vault: Vault, tmp_path: Path) -> None:
    """A wrapped key that is gone, moved or cut is damage, not a wrong key."""
    manifest = vault.commit("a", NOW)
    path = wrapped_key_file(tmp_path, manifest)
    original = json.loads(path.read_text())

    path.write_bytes(canonical(original | {"keyId": "k9"}))
    with pytest.raises(DamagedError, match="another key id"):
        open_data_key(vault.storage, manifest.place, ("k1",))
    path.write_bytes(canonical(original | {"wrapped": original["wrapped"][:-2] + "00"}))
    with pytest.raises(DamagedError, match="damaged"):
        open_data_key(vault.storage, manifest.place, ("k1",))
    path.unlink()
    with pytest.raises(DamagedError, match="is missing"):
        open_data_key(vault.storage, manifest.place, ("k1",))


def test_oversized_document_is_a_doubt(vault: Vault, tmp_path: Path) -> None:
    """An object too large to be a manifest is not read into memory, and is a doubt."""
    manifest = vault.commit("a", NOW)
    key = manifest_key(CUSTODY, manifest.backup_id)
    with (tmp_path / key).open("ab") as file:
        file.truncate(5 * 1024 * 1024)

    assert vault.stock().unreadable[key] in {Doubt.UNREADABLE, Doubt.MANIFEST_MISSING}
    assert vault.stock().live == ()


def test_store_that_does_not_answer_is_an_error(vault: Vault) -> None:
    """A read that fails is never taken for an object that is not there."""
    vault.commit("a", NOW)

    class Silent(VolumeStore):
        def read(self, key: str) -> bytes | None:
            raise UnavailableError(f"{key}: no answer", reason=Reason.STORAGE_UNREACHABLE)

    assert isinstance(vault.store, VolumeStore)
    silent = Silent(vault.store._root)
    with pytest.raises(UnavailableError):
        take_stock(replace(vault.storage, store=silent), CUSTODY, vault.tools)


def test_stop_is_heeded(vault: Vault) -> None:
    """A run that was told to end does not read on."""
    vault.commit("a", NOW)
    vault.tools.stop.set()

    with pytest.raises(InterruptedRunError):
        vault.stock()


def test_facts_are_written_once(vault: Vault) -> None:
    """A number is given once: the same fact again is fine, another one under it is a conflict; proofs take the next number."""
    manifest = vault.commit("a", NOW, verified="Checksum")
    hold = hold_of(manifest)
    add_fact(vault.storage, CUSTODY, hold)
    add_fact(vault.storage, CUSTODY, hold)
    with pytest.raises(ConflictError):
        add_fact(vault.storage, CUSTODY, replace(hold, because="another"))
    vault.prove(manifest, "Read")
    with pytest.raises(ConflictError):
        add_fact(vault.storage, CUSTODY, _proof(manifest), number=2)
    add_fact(vault.storage, CUSTODY, _proof(manifest), number=7)
    vault.prove(manifest, "Read")

    numbers = {found.parsed.number for found in vault.stock().objects if found.parsed.fact is FactKind.VERIFIED}
    assert numbers == {1, 2, 7, 8}
    assert vault.stock().doubts == ()


def test_tombstone_is_sealed(vault: Vault) -> None:
    """A tombstone of ours deletes; it is signed in an encrypted storage."""
    manifest = vault.commit("a", NOW)
    tombstone = Tombstone(
        **_words(hold_of(manifest), without="number"),
        generation=manifest.generation,
        previous_manifest_sha256=manifest.previous_manifest_sha256,
    )
    add_fact(vault.storage, CUSTODY, tombstone)

    (backup,) = vault.stock().backups
    assert backup.is_deleted
    assert backup.tombstone is not None
    assert backup.tombstone.mac is not None


def _proof(manifest: Manifest) -> Verified:
    digest = manifest_digest(write_manifest(manifest))
    return Verified(backup_id=manifest.backup_id, manifest_sha256=digest, level="Read", time=NOW)


def _words(hold: Hold, *, without: str = "") -> dict[str, object]:
    names = ("backup_id", "manifest_sha256", "number", "because", "time")
    return {name: getattr(hold, name) for name in names if name != without}
