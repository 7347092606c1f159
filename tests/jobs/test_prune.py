"""Pruning real storages: what the plan lets go goes for good, whoever was interrupted is finished, and whatever is in doubt stays."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.objectstore import VolumeStore
from dbcustody.api.policy import CaptureOptions
from dbcustody.errors import DbcustodyError, UnavailableError
from dbcustody.jobs import prune
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.fact import Hold, Release
from dbcustody.repository.layout import (
    attempt_prefix,
    backup_prefix,
    make_backup_id,
    manifest_key,
    name_key,
)
from dbcustody.repository.manifest import write_manifest
from ground.proxy import Fault, Proxy
from ground.s3 import S3Server
from tests.fakes.prunes import (
    DEAD,
    TODAY,
    bury,
    everything,
    facts_of,
    left_of,
    nights,
    open_bucket,
    pruned,
    say,
)
from tests.fakes.vault import CUSTODY, Vault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


NO_RIGHT = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nConnection: close\r\n\r\n"
    b"<Error><Code>AccessDenied</Code><Message>no right to delete</Message></Error>"
)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """Return a real S3 server."""
    with S3Server() as server:
        yield server


@pytest.fixture
def proxy(server: S3Server) -> Iterator[Proxy]:
    """Return a proxy in front of the server."""
    with Proxy(server.host, server.port) as proxy:
        yield proxy


@pytest.fixture
def bucket(server: S3Server) -> str:
    """Return a new bucket."""
    return server.make_bucket(f"b-{uuid.uuid4().hex[:12]}")


@pytest.fixture(params=["volume", pytest.param("s3", marks=pytest.mark.s3)])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Vault]:
    """Return an encrypted custody in a store of each kind."""
    if request.param == "volume":
        yield Vault(VolumeStore(tmp_path))
        return
    store = open_bucket(request.getfixturevalue("server"), request.getfixturevalue("bucket"))
    yield Vault(store)
    store.close()


def test_what_the_plan_lets_go_is_gone(vault: Vault) -> None:
    """Of four backups two go, whole but for their tombstones; the others are untouched, believed and in an unbroken chain."""
    manifests = nights(vault, 4)
    before = {one.name: left_of(vault, one) for one in manifests[2:]}

    result = pruned(vault)

    facts, stock = facts_of(result), vault.stock()
    assert (result.reason, result.exit_code) == (Reason.RETENTION_ENFORCED, ExitCode.DONE)
    assert facts.deleted == ("night-1", "night-2")
    assert [left_of(vault, one) for one in manifests[:2]] == [{"tombstone.json"}] * 2
    assert {one.name: left_of(vault, one) for one in manifests[2:]} == before
    assert [one.manifest.name for one in stock.live] == ["night-3", "night-4"]
    assert stock.doubts == stock.breaks == ()
    assert (facts.retained.count, facts.retained.bytes) == (2, sum(one.stored_bytes for one in manifests[2:]))
    assert (facts.retained.oldest_time, facts.retained.newest_time) == (manifests[2].snapshot, manifests[3].snapshot)
    assert [(one.name, one.keep) for one in facts.plan] == [
        ("night-4", True), ("night-3", True), ("night-2", False), ("night-1", False),
    ]  # fmt: skip


def test_deletions_are_told_again_for_a_week(vault: Vault) -> None:
    """Whoever was killed before it could tell what it deleted is told for by the next runs, for some days."""
    nights(vault, 3)
    pruned(vault)

    assert facts_of(pruned(vault)).deleted == ("night-1",)
    assert facts_of(pruned(vault, later=timedelta(days=6))).deleted == ("night-1",)
    assert facts_of(pruned(vault, later=timedelta(days=8))).deleted == ()


def test_doubt_deletes_nothing(vault: Vault) -> None:
    """One forged manifest, and not a single object goes, garbage included; the message says why."""
    manifests = nights(vault, 4)
    key = manifest_key(CUSTODY, manifests[3].backup_id)
    vault.store.delete([key])
    vault.store.put_once(key, write_manifest(replace(manifests[3], row_count=4)))
    before = everything(vault)

    result = pruned(vault, later=timedelta(days=30))

    assert (result.reason, result.exit_code) == (Reason.RETENTION_FROZEN, ExitCode.REFUSED)
    assert "ForgedManifest" in result.message
    assert everything(vault) == before


def test_many_at_once_need_a_person(vault: Vault) -> None:
    """Four of six at once wait for the confirmation of the very plan, and go with it."""
    nights(vault, 6)
    before = everything(vault)
    waiting = pruned(vault)

    assert (waiting.reason, waiting.exit_code) == (Reason.RETENTION_NEEDS_CONFIRMATION, ExitCode.REFUSED)
    assert facts_of(waiting).plan_hash in waiting.message
    assert everything(vault) == before
    done = pruned(vault, confirm_prune=facts_of(waiting).plan_hash)
    assert done.reason is Reason.RETENTION_ENFORCED
    assert facts_of(done).deleted == ("night-1", "night-2", "night-3", "night-4")


def test_hold_keeps_until_its_release(vault: Vault) -> None:
    """A held backup stays whole, and goes once the release is written."""
    manifests = nights(vault, 3)
    say(vault, Hold, manifests[0])
    before = left_of(vault, manifests[0])

    assert facts_of(pruned(vault)).deleted == ()
    assert left_of(vault, manifests[0]) == before
    say(vault, Release, manifests[0])
    assert facts_of(pruned(vault)).deleted == ("night-1",)


def test_hold_of_the_resource_keeps(vault: Vault) -> None:
    """A Backup that is held by its own resource stays whole, though no fact in the storage says so."""
    manifests = nights(vault, 3)
    before = left_of(vault, manifests[0])

    assert facts_of(pruned(vault, held_names=("night-1",))).deleted == ()
    assert left_of(vault, manifests[0]) == before
    assert facts_of(pruned(vault)).deleted == ("night-1",)


def test_hold_written_meanwhile_keeps(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hold that is written after the inventory was taken still keeps its backup."""
    manifests = nights(vault, 3)
    take_stock = prune.take_stock

    def slow(*arguments: Any) -> Any:
        inventory = take_stock(*arguments)
        say(vault, Hold, manifests[0])
        return inventory

    monkeypatch.setattr(prune, "take_stock", slow)
    result = pruned(vault)

    assert (result.reason, facts_of(result).held) == (Reason.HELD, ("night-1",))
    assert [one.manifest.name for one in vault.stock().live] == ["night-1", "night-2", "night-3"]


def test_other_policies_and_custodies_are_left_alone(vault: Vault) -> None:
    """Retention of one policy deletes nothing of another, of none, or of another database."""
    manifests = nights(vault, 3, policy="weekly")
    vault.commit("mine", TODAY - timedelta(hours=1))
    vault.store.put_once("other/backups/20200101T000000Z-a-00000000/manifest.json", b"{}")

    result = pruned(vault, later=timedelta(days=30))

    assert facts_of(result).deleted == ()
    assert [one.name for one in facts_of(result).plan] == ["mine"]
    assert all(len(left_of(vault, one)) > 1 for one in manifests)
    assert facts_of(pruned(vault, policy_name=None)).deleted == ("night-1", "night-2")


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param((), id="after-the-tombstone"),
        pytest.param(("data-000.pgc",), id="some-data"),
        pytest.param(("data-000.pgc", "schema.pgc", "catalogue.json", "key.k1.json"), id="all-data"),
        pytest.param(("data-000.pgc", "schema.pgc", "catalogue.json", "key.k1.json", "verified.1.json"), id="facts"),
        pytest.param(("verified.1.json", "manifest.json"), id="manifest-in-the-wrong-order"),
    ],
)
def test_interrupted_deletion_is_finished(vault: Vault, gone: tuple[str, ...]) -> None:
    """Wherever a deletion stopped after its tombstone, the next run ends it and tells the backup's name."""
    (manifest, *_) = nights(vault, 3)
    bury(vault, manifest)
    keys = [entry.key for entry in vault.store.entries(backup_prefix(CUSTODY, manifest.backup_id))]
    vault.store.delete([key for key in keys if key.endswith(gone)] if gone else [])

    result = pruned(vault)

    assert (result.reason, facts_of(result).deleted) == (Reason.RETENTION_ENFORCED, ("night-1",))
    assert left_of(vault, manifest) == {"tombstone.json"}
    assert facts_of(result).retained.count == 2


def test_garbage_goes_when_nobody_can_be_at_work(vault: Vault) -> None:
    """Objects of an attempt without a commit stay for as long as a run may take, and as long as it is known to live; then they go."""
    nights(vault, 1)
    backup_id = make_backup_id("lost", TODAY)
    folder = attempt_prefix(CUSTODY, backup_id, DEAD)
    vault.store.put_once(f"{folder}schema.pgc", b"x")
    vault.store.put_once(f"{folder}data-000.pgc", b"y")
    vault.claim("lost", backup_id)

    assert facts_of(pruned(vault, later=timedelta(hours=23))).swept_objects == 0
    assert facts_of(pruned(vault, later=timedelta(days=9), live_attempts=(DEAD,))).swept_objects == 0
    long_run = CaptureOptions(timeout_seconds=30 * 86_400)
    assert facts_of(pruned(vault, later=timedelta(days=9), options=long_run)).swept_objects == 0
    assert facts_of(pruned(vault, later=timedelta(days=2))).swept_objects == 2
    assert not [key for key in everything(vault) if DEAD in key]
    assert vault.store.read(name_key(CUSTODY, "lost")) is not None


def test_orphaned_attempt_goes_and_the_committed_one_stays(vault: Vault) -> None:
    """Of two attempts of one backup, the one that lost the race is garbage."""
    (manifest,) = nights(vault, 1)
    vault.store.put_once(f"{attempt_prefix(CUSTODY, manifest.backup_id, DEAD)}schema.pgc", b"x")
    before = everything(vault)

    assert facts_of(pruned(vault, later=timedelta(days=2))).swept_objects == 1
    assert everything(vault) == [key for key in before if DEAD not in key]
    assert vault.stock().doubts == ()


def test_dead_upload_is_aborted(vault: Vault) -> None:
    """An upload that nobody completed goes with the sweep, unless it is young or its attempt lives; the ledger is never looked at."""
    nights(vault, 1)
    folder = attempt_prefix(CUSTODY, make_backup_id("lost", TODAY), DEAD)
    writers = [
        vault.store.open_writer(f"{place}data-000.pgc", in_parts=True) for place in (folder, f"{CUSTODY}/ledger/")
    ]
    for writer in writers:
        writer.write(bytes(6 * 1024 * 1024))

    def unfinished() -> int:
        return len(list(vault.store.list_unfinished("")))

    assert unfinished() == 2
    assert facts_of(pruned(vault)).swept_uploads == 0
    assert facts_of(pruned(vault, later=timedelta(days=2), live_attempts=(DEAD,))).swept_uploads == 0
    assert facts_of(pruned(vault, later=timedelta(days=2))).swept_uploads == 1
    assert unfinished() == 1
    for writer in writers:
        writer.abort()


@pytest.mark.s3
def test_object_lock_is_no_error(server: S3Server) -> None:
    """What a lock holds is told as held; the backup counts no more, and goes once the lock has ended."""
    bucket = server.make_bucket(f"locked-{uuid.uuid4().hex[:8]}", object_lock=True)
    store = open_bucket(server, bucket)
    vault = Vault(store)
    (manifest, *_) = nights(vault, 3)
    key = f"backups/{attempt_prefix(CUSTODY, manifest.backup_id, manifest.attempt)}data-000.pgc"
    store.client.put_object_legal_hold(Bucket=bucket, Key=key, LegalHold={"Status": "ON"})

    held = pruned(vault)

    assert (held.reason, held.exit_code, facts_of(held).held) == (Reason.HELD, ExitCode.DONE, ("night-1",))
    assert "legal hold" in held.message
    assert facts_of(held).retained.count == 2
    assert {"manifest.json", "tombstone.json"} <= left_of(vault, manifest)
    store.client.put_object_legal_hold(Bucket=bucket, Key=key, LegalHold={"Status": "OFF"})
    assert facts_of(pruned(vault)).deleted == ("night-1",)
    assert left_of(vault, manifest) == {"tombstone.json"}
    store.close()


@pytest.mark.s3
def test_missing_right_is_told_and_stops(server: S3Server, proxy: Proxy, bucket: str) -> None:
    """Without the right to delete, the first refusal is told with the storage's code, nothing more is begun, and the next run ends it."""
    store = open_bucket(server, bucket)
    vault = Vault(store)
    manifests = nights(vault, 4)
    proxy.add(Fault("POST .*delete", reply=NO_RIGHT, times=100))
    proxy.add(Fault("DELETE ", reply=NO_RIGHT, times=100))
    behind = open_bucket(server, bucket, proxy.url)

    result = pruned(vault, store=behind)

    assert (result.reason, result.exit_code) == (Reason.DELETION_FAILED, ExitCode.UNAVAILABLE)
    assert facts_of(result).failed == ("night-1",)
    assert "AccessDenied" in result.message
    assert [one.manifest.name for one in vault.stock().live] == ["night-2", "night-3", "night-4"]
    assert facts_of(pruned(vault)).deleted == ("night-1", "night-2")
    assert [left_of(vault, one) for one in manifests[:2]] == [{"tombstone.json"}] * 2
    behind.close()
    store.close()


@pytest.mark.s3
def test_silent_store_is_raised(server: S3Server, proxy: Proxy, bucket: str) -> None:
    """A store that breaks off in the middle is no answer: the run ends as unavailable and is tried again."""
    store = open_bucket(server, bucket)
    vault = Vault(store)
    nights(vault, 3)
    proxy.add(Fault("POST .*delete", after_bytes=10, times=100))
    behind = open_bucket(server, bucket, proxy.url)

    with pytest.raises(UnavailableError):
        pruned(vault, store=behind)

    assert facts_of(pruned(vault)).deleted == ("night-1",)
    behind.close()
    store.close()


def test_other_owner_prunes_nothing(vault: Vault) -> None:
    """A Database of another name under the same custody id is refused before anything is looked at."""
    nights(vault, 3)
    before = everything(vault)

    with pytest.raises(DbcustodyError) as caught:
        pruned(vault, database_name="other")

    assert caught.value.reason is Reason.CUSTODY_CONFLICT
    assert everything(vault) == before


def test_empty_custody_is_fine(vault: Vault) -> None:
    """Where nothing was ever stored, nothing is deleted and nothing is minted."""
    before = everything(vault)
    result = pruned(vault, custody_id="nobody")

    assert (result.reason, facts_of(result).retained.count) == (Reason.RETENTION_ENFORCED, 0)
    assert everything(vault) == before
