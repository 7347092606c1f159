"""The re-wrap Job on real stores: old backups are opened by the new key afterwards, and no byte of data was written again."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.objectstore import VolumeStore
from dbcustody.api.storage import AccessMode, KeyUse
from dbcustody.contract import JobResult, Verb
from dbcustody.errors import DbcustodyError, InterruptedRunError
from dbcustody.jobs import probe, prune, rewrap
from dbcustody.jobs.survey import survey
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.layout import attempt_prefix, data_key_object
from tests.fakes.vault import CUSTODY, KEY, NOW, Vault, ring, tools_for

if TYPE_CHECKING:
    from pathlib import Path

    from dbcustody.adapters.keyring import Keyring
    from dbcustody.repository.manifest import Manifest

NEW = bytes(range(100, 132))
BOTH = ring("k2", k1=KEY, k2=NEW)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """Return a custody whose keyring has k1 alone, in a folder."""
    return Vault(VolumeStore(tmp_path))


def fill(vault: Vault, count: int = 3) -> list[Manifest]:
    """Take *count* backups, an hour apart."""
    return [vault.commit(f"b{number}", NOW - timedelta(hours=count - number)) for number in range(count)]


def re_wrap(vault: Vault, keyring: Keyring | None = BOTH, **changes: Any) -> JobResult:
    """Return what a re-wrap of the vault with *keyring* says."""
    return rewrap.run(vault.request(Verb.RE_WRAP, **changes), tools_for(vault.store, keyring))


def probed(vault: Vault, keyring: Keyring) -> Any:
    """Return what a probe with *keyring* counts."""
    return probe.run(vault.request(Verb.PROBE), tools_for(vault.store, keyring)).probe


def key_file(root: Path, manifest: Manifest, key_id: str) -> Path:
    """Return where the wrapped key lies."""
    return root / attempt_prefix(CUSTODY, manifest.backup_id, manifest.attempt) / data_key_object(key_id)


def test_the_old_key_can_be_taken_out_afterwards(vault: Vault, tmp_path: Path) -> None:
    """Every backup is believed and opened with the new key alone; what lay there before lies there unchanged."""
    fill(vault)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()}
    waiting = probed(vault, BOTH)
    result = re_wrap(vault)
    alone = ring("k2", k2=NEW)
    inventory = Vault(vault.store, alone).stock()
    added = {path for path in tmp_path.rglob("*") if path.is_file()} - set(before)

    assert (waiting.unwrapped, waiting.unopened) == (3, 0)
    assert (result.reason, result.exit_code, result.message) == (
        Reason.KEYS_CURRENT, ExitCode.DONE, "3 backups were closed for k2 too",
    )  # fmt: skip
    assert result.re_wrap is not None
    assert result.re_wrap.keys == (
        KeyUse(id="k1", backups=3, needed_by=0, in_keyring=True),
        KeyUse(id="k2", backups=3, needed_by=0, in_keyring=True),
    )
    assert inventory.doubts == ()
    assert [one.is_verified for one in inventory.live] == [True] * 3
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in before} == before
    assert sorted(path.name for path in added) == ["key.k2.json"] * 3 + ["storage-key.k2.json"]
    assert probed(vault, alone).unopened == 0


def test_a_key_taken_out_too_early_is_counted_and_comes_back(vault: Vault) -> None:
    """Without the old key nothing can be closed for the new one, and that is no error of the Job; with it again, all is."""
    fill(vault)
    alone = ring("k2", k2=NEW)
    Vault(vault.store, BOTH)
    early = re_wrap(vault, alone)
    later = re_wrap(vault)

    assert early.re_wrap is not None
    assert (early.re_wrap.wrapped, early.re_wrap.unopened) == (0, 3)
    assert early.re_wrap.keys[0] == KeyUse(id="k1", backups=3, needed_by=3, in_keyring=False)
    assert later.re_wrap is not None
    assert (later.re_wrap.wrapped, later.re_wrap.unopened) == (3, 0)


def test_what_is_done_is_not_done_again(vault: Vault, tmp_path: Path) -> None:
    """A second run writes nothing."""
    fill(vault)
    re_wrap(vault)
    before = sorted(tmp_path.rglob("*"))
    again = re_wrap(vault)

    assert again.re_wrap is not None
    assert again.re_wrap.wrapped == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_one_damaged_key_does_not_stop_the_others(vault: Vault, tmp_path: Path) -> None:
    """The others are closed for the new key; the damaged one is told by the id of its backup, and is tried again by the operator."""
    broken, *_ = fill(vault)
    file = key_file(tmp_path, broken, "k1")
    file.chmod(0o600)
    file.write_bytes(file.read_bytes().replace(b'"wrapped":"', b'"wrapped":"0'))
    result = re_wrap(vault)

    assert (result.reason, result.exit_code) == (Reason.ARCHIVE_DAMAGED, ExitCode.REFUSED)
    assert result.message.startswith("1 backups: ")
    assert result.re_wrap is not None
    assert (result.re_wrap.wrapped, result.re_wrap.failed, result.re_wrap.unwrapped) == (2, 1, 1)


def test_a_copy_that_somebody_planted_is_not_believed(vault: Vault, tmp_path: Path) -> None:
    """A copy of another key under the new id, written while the Job was at work, is found by opening it, then and by every later run."""
    first, second = fill(vault, 2)
    re_wrap(vault)
    mine, other = key_file(tmp_path, first, "k2"), key_file(tmp_path, second, "k2")
    stolen = other.read_bytes()
    mine.unlink()
    store = _Planting(tmp_path, mine, stolen)
    result = rewrap.run(vault.request(Verb.RE_WRAP), tools_for(store, BOTH))
    again = re_wrap(vault)

    for told in (result, again):
        assert (told.reason, told.exit_code) == (Reason.ARCHIVE_DAMAGED, ExitCode.REFUSED)
        assert first.backup_id in told.message


class _Planting(VolumeStore):
    """A folder in which somebody else is faster with one object."""

    def __init__(self, root: Path, target: Path, content: bytes) -> None:
        super().__init__(root)
        self._target, self._content = target, content

    def put_once(self, key: str, data: bytes) -> None:
        if self._target.as_posix().endswith(key):
            self._target.write_bytes(self._content)
        super().put_once(key, data)


def test_what_is_deleted_meanwhile_is_no_trouble(vault: Vault, tmp_path: Path) -> None:
    """A backup that retention takes away under the Job needs no key any more."""
    first, *_ = fill(vault)
    key_file(tmp_path, first, "k1").unlink()
    (tmp_path / CUSTODY / "backups" / first.backup_id / "manifest.json").chmod(0o600)
    store = _Deleting(tmp_path, first.backup_id)
    result = rewrap.run(vault.request(Verb.RE_WRAP), tools_for(store, BOTH))

    assert result.reason is Reason.KEYS_CURRENT
    assert result.re_wrap is not None
    assert (result.re_wrap.wrapped, result.re_wrap.failed) == (2, 0)


class _Deleting(VolumeStore):
    """A folder from which a backup goes as soon as the second one is closed for the new key."""

    def __init__(self, root: Path, backup_id: str) -> None:
        super().__init__(root)
        self._root, self._backup_id = root, backup_id

    def put_once(self, key: str, data: bytes) -> None:
        (self._root / CUSTODY / "backups" / self._backup_id / "manifest.json").unlink(missing_ok=True)
        super().put_once(key, data)


def test_the_committed_attempt_counts(vault: Vault, tmp_path: Path) -> None:
    """What a dead attempt beside it left does not make a key seem to open the backup; a manifest that cannot be read makes both count."""
    manifest, *_ = fill(vault, 1)
    dead = tmp_path / attempt_prefix(CUSTODY, manifest.backup_id, "99999999-9999-4999-8999-999999999999")
    dead.mkdir()
    (dead / data_key_object("k2")).write_bytes(b"{}")
    known = survey(vault.store, vault.tools)
    path = tmp_path / CUSTODY / "backups" / manifest.backup_id / "manifest.json"
    path.chmod(0o600)
    path.write_bytes(b"not a manifest")
    unknown = survey(vault.store, vault.tools)

    assert [one.key_ids for one in known.closed] == [{"k1"}]
    assert {one.key_ids for one in unknown.closed} == {frozenset({"k1"}), frozenset({"k2"})}
    assert unknown.standing(None).unopened == 1


def test_read_only_storage_is_left_alone(vault: Vault) -> None:
    """A re-wrap writes; a ReadOnly storage refuses it."""
    fill(vault)
    spec = vault.request(Verb.RE_WRAP).storage
    assert spec is not None
    with pytest.raises(DbcustodyError) as caught:
        re_wrap(vault, storage=replace(spec, access_mode=AccessMode.READ_ONLY))

    assert caught.value.reason is Reason.STORAGE_READ_ONLY


def test_without_a_keyring_there_is_nothing_to_close(tmp_path: Path) -> None:
    """A storage without encryption has no keys."""
    plain = Vault(VolumeStore(tmp_path), None)
    with pytest.raises(DbcustodyError, match=r"spec\.encryption: is missing"):
        re_wrap(plain, None)


def test_it_ends_when_told_to(vault: Vault) -> None:
    """An interrupted run ends soon; the next one does the rest."""
    fill(vault)
    stop = threading.Event()
    stop.set()
    with pytest.raises(InterruptedRunError):
        rewrap.run(vault.request(Verb.RE_WRAP), replace(tools_for(vault.store, BOTH), stop=stop))

    assert re_wrap(vault).reason is Reason.KEYS_CURRENT


def test_retention_goes_on_with_the_new_key_alone(vault: Vault) -> None:
    """After the rotation a prune believes every backup without the old key."""
    fill(vault)
    re_wrap(vault)
    alone = ring("k2", k2=NEW)
    result = prune.run(vault.request(Verb.PRUNE), tools_for(vault.store, alone))

    assert result.reason is Reason.RETENTION_ENFORCED
