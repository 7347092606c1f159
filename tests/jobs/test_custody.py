"""Opening a storage: minted once whoever comes first, checked by everybody else, on a real folder."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.keyring import Keyring
from dbcustody.adapters.objectstore import VolumeStore
from dbcustody.api.meta import ObjectRef
from dbcustody.api.storage import AccessMode, BackupStorageSpec, Encryption, Volume
from dbcustody.contract import JobRequest, Verb
from dbcustody.errors import DamagedError, DbcustodyError, InvalidSpecError
from dbcustody.jobs.custody import open_custody, open_storage, read_custody, read_marker, stored_key_ids
from dbcustody.jobs.tools import Tools
from dbcustody.reason import Reason
from dbcustody.repository.layout import MARKER_KEY, custody_key, storage_key_key

if TYPE_CHECKING:
    from pathlib import Path

    from dbcustody.adapters.postgres import PostgresTarget
    from dbcustody.api.backup import Progress

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = BackupStorageSpec(
    volume=Volume(claim_name="c"), encryption=Encryption(keyring_secret_ref=ObjectRef(name="keys"), active_key_id="k1")
)
REQUEST = JobRequest(
    verb=Verb.BACKUP,
    namespace="web",
    name="shop-1",
    owner_uid="u",
    custody_id="shop",
    database_name="shop",
    storage_name="main",
    storage=SPEC,
)
READ_ONLY = replace(SPEC, access_mode=AccessMode.READ_ONLY)
K1, K2 = os.urandom(32), os.urandom(32)


def tools_for(root: Path, keyring: Keyring | None) -> Tools:
    """Return tools with a volume in *root* and the given keyring."""

    def no_target(_: Verb) -> PostgresTarget:
        raise AssertionError("opening a storage needs no database")

    def report(_: Progress) -> None:
        return

    return Tools(
        now=lambda: NOW, report=report, stop=threading.Event(), attempt="a", job_name="j", target=no_target,
        store=lambda: VolumeStore(root), keyring=lambda: keyring, clients=(),
    )  # fmt: skip


def ring(active: str = "k1", **keys: bytes) -> Keyring:
    """Return a keyring."""
    return Keyring(active, keys or {"k1": K1})


def test_first_user_mints_and_the_next_finds(tmp_path: Path) -> None:
    """Marker and storage key are minted once; every later user gets the same, and nothing is written again."""
    first = open_storage(tools_for(tmp_path, ring()), REQUEST)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    second = open_storage(tools_for(tmp_path, ring()), REQUEST)

    assert first.storage_key is not None
    assert (second.storage_id, second.storage_key) == (first.storage_id, first.storage_key)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")} == before
    assert {path.name for path in before} == {MARKER_KEY, "storage-key.k1.json"}


def test_many_first_users_agree(tmp_path: Path) -> None:
    """Eight first users at once end up with one storage id and one storage key."""
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: open_storage(tools_for(tmp_path, ring()), REQUEST), range(8)))

    assert len({storage.storage_id for storage in opened}) == 1
    assert len({storage.storage_key for storage in opened}) == 1


def test_storage_key_is_in_no_repr_and_no_object(tmp_path: Path) -> None:
    """Neither an open storage nor what lies in the folder shows the storage key or a key of the keyring."""
    storage = open_storage(tools_for(tmp_path, ring()), REQUEST)
    assert storage.storage_key is not None
    secrets = (storage.storage_key.secret, K1)
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*.json"))

    assert not any(secret.hex() in repr(storage) or repr(secret) in repr(storage) for secret in secrets)
    assert not any(secret in stored or secret.hex().encode() in stored for secret in secrets)


def test_rotation_adds_a_copy_and_rewrites_nothing(tmp_path: Path) -> None:
    """A new active key gets its own copy of the same storage key; then the old key may go."""
    first = open_storage(tools_for(tmp_path, ring()), REQUEST)
    old_copy = (tmp_path / storage_key_key("k1")).read_bytes()
    rotated = open_storage(tools_for(tmp_path, ring("k2", k1=K1, k2=K2)), REQUEST)
    alone = open_storage(tools_for(tmp_path, ring("k2", k2=K2)), REQUEST)

    assert rotated.storage_key == first.storage_key == alone.storage_key
    assert (tmp_path / storage_key_key("k1")).read_bytes() == old_copy
    assert stored_key_ids(first.store) == ("k1", "k2")


@pytest.mark.parametrize(
    ("keyring", "reason"),
    [
        pytest.param(ring("k1", k1=K2), Reason.KEY_MISMATCH, id="wrong-key-of-the-right-id"),
        pytest.param(ring("k2", k2=K2), Reason.KEY_MISSING, id="only-a-new-key"),
        pytest.param(ring("k2", k2=K2, k1=K2), Reason.KEY_MISMATCH, id="new-key-and-a-wrong-old-one"),
    ],
)
def test_wrong_keyring_is_refused(tmp_path: Path, keyring: Keyring, reason: Reason) -> None:
    """A keyring that cannot open the storage key is refused, and nothing is added with it."""
    open_storage(tools_for(tmp_path, ring()), REQUEST)

    with pytest.raises(DbcustodyError) as caught:
        open_storage(tools_for(tmp_path, keyring), REQUEST)

    assert caught.value.reason is reason
    assert stored_key_ids(VolumeStore(tmp_path)) == ("k1",)


def test_two_storage_keys_are_refused(tmp_path: Path) -> None:
    """Copies that hold different keys, minted by two first users with different active keys, are never used."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    open_storage(tools_for(tmp_path, ring()), REQUEST)
    (elsewhere / MARKER_KEY).write_bytes((tmp_path / MARKER_KEY).read_bytes())
    open_storage(tools_for(elsewhere, ring("k2", k2=K2)), REQUEST)
    (tmp_path / storage_key_key("k2")).write_bytes((elsewhere / storage_key_key("k2")).read_bytes())

    with pytest.raises(DbcustodyError, match="two storage keys") as caught:
        open_storage(tools_for(tmp_path, ring("k3", k1=K1, k2=K2, k3=os.urandom(32))), REQUEST)

    assert caught.value.reason is Reason.KEY_MISMATCH


def test_unencrypted_storage_has_no_key(tmp_path: Path) -> None:
    """Without a keyring the marker alone is minted; encryption may be turned on later."""
    plain = open_storage(tools_for(tmp_path, None), REQUEST)
    later = open_storage(tools_for(tmp_path, ring()), REQUEST)

    assert plain.storage_key is None
    assert later.storage_id == plain.storage_id
    assert later.storage_key is not None


@pytest.mark.parametrize("verb", [pytest.param(Verb.BACKUP, id="backup"), pytest.param(Verb.PRUNE, id="prune")])
def test_read_only_storage_is_not_written(tmp_path: Path, verb: Verb) -> None:
    """A verb that writes is refused before anything is touched."""
    with pytest.raises(DbcustodyError) as caught:
        open_storage(tools_for(tmp_path, ring()), replace(REQUEST, verb=verb, storage=READ_ONLY))

    assert caught.value.reason is Reason.STORAGE_READ_ONLY
    assert list(tmp_path.iterdir()) == []


def test_read_only_storage_is_read(tmp_path: Path) -> None:
    """What somebody else wrote can be opened, also with an older key of the keyring, and nothing is added."""
    request = replace(REQUEST, verb=Verb.PROBE, storage=READ_ONLY)
    with pytest.raises(DbcustodyError, match=r"holds no dbcustody\.json"):
        open_storage(tools_for(tmp_path, ring()), request)
    open_storage(tools_for(tmp_path, None), REQUEST)
    with pytest.raises(DbcustodyError, match="holds no storage key"):
        open_storage(tools_for(tmp_path, ring()), request)
    written = open_storage(tools_for(tmp_path, ring()), REQUEST)

    opened = open_storage(tools_for(tmp_path, ring("k2", k1=K1, k2=K2)), request)

    assert opened.read_only
    assert opened.storage_key == written.storage_key
    assert stored_key_ids(opened.store) == ("k1",)
    with pytest.raises(DbcustodyError, match="is missing, and the storage is ReadOnly"):
        open_custody(opened, REQUEST, now=NOW)


def test_storage_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    """An unknown format is refused, not guessed."""
    open_storage(tools_for(tmp_path, ring()), REQUEST)
    marker = json.loads((tmp_path / MARKER_KEY).read_text())
    (tmp_path / MARKER_KEY).write_text(json.dumps(marker | {"format": 2}))

    with pytest.raises(DbcustodyError, match="has format 2") as caught:
        read_marker(VolumeStore(tmp_path))

    assert caught.value.reason is Reason.FORMAT_UNKNOWN


def test_moved_key_copy_is_damage(tmp_path: Path) -> None:
    """A copy that was renamed to another key id is recognised."""
    open_storage(tools_for(tmp_path, ring()), REQUEST)
    (tmp_path / storage_key_key("k1")).rename(tmp_path / storage_key_key("k2"))

    with pytest.raises(DamagedError, match="another key id"):
        open_storage(tools_for(tmp_path, ring("k2", k2=K1)), REQUEST)


def test_custody_is_minted_once(tmp_path: Path) -> None:
    """The birth certificate names the Database, not the cluster; whoever comes with the same name gets the same."""
    storage = open_storage(tools_for(tmp_path, ring()), REQUEST)
    first = open_custody(storage, REQUEST, now=NOW)
    again = open_custody(storage, replace(REQUEST, owner_uid="another-cluster", name="shop-2"), now=NOW)

    assert first == again == read_custody(storage.store, "shop")
    assert first.owner == "web/shop"
    assert (tmp_path / custody_key("shop")).is_file()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"namespace": "other"}, id="other-namespace"),
        pytest.param({"database_name": "other"}, id="other-database"),
    ],
)
def test_custody_of_another_is_refused(tmp_path: Path, changes: dict[str, str]) -> None:
    """Two Databases under one custody id: the second is refused, so that histories do not mix."""
    storage = open_storage(tools_for(tmp_path, ring()), REQUEST)
    open_custody(storage, REQUEST, now=NOW)

    with pytest.raises(DbcustodyError, match="belongs to 'web/shop'") as caught:
        open_custody(storage, replace(REQUEST, **changes), now=NOW)  # type: ignore[arg-type]  # texts

    assert caught.value.reason is Reason.CUSTODY_CONFLICT


def test_request_without_storage_cannot_be_meant(tmp_path: Path) -> None:
    """A request that names no storage, or no custody, is refused by name."""
    with pytest.raises(InvalidSpecError, match="storage: is missing"):
        open_storage(tools_for(tmp_path, ring()), replace(REQUEST, storage=None))
    with pytest.raises(InvalidSpecError, match="custodyId: is missing"):
        open_custody(open_storage(tools_for(tmp_path, ring()), REQUEST), replace(REQUEST, custody_id=None), now=NOW)
