"""The probe Job on a real S3 server and a real folder: what it finds, and the reason for each thing that can be wrong."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.keyring import Keyring
from dbcustody.adapters.objectstore import S3Settings, S3Store, VolumeStore
from dbcustody.api.meta import ObjectRef
from dbcustody.api.storage import S3, AccessMode, BackupStorageSpec, Encryption, KeyUse, Volume
from dbcustody.contract import JobRequest, JobResult, Verb
from dbcustody.errors import DbcustodyError, InterruptedRunError
from dbcustody.jobs.probe import run
from dbcustody.jobs.tools import Tools
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.layout import (
    FactKind,
    attempt_prefix,
    data_key_object,
    fact_key,
    make_backup_id,
    manifest_key,
    name_key,
)
from ground.certificate import Authority
from ground.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dbcustody.adapters.objectstore import ObjectStore
    from dbcustody.adapters.postgres import PostgresTarget
    from dbcustody.api.backup import Progress

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENCRYPTION = Encryption(keyring_secret_ref=ObjectRef(name="keys"), active_key_id="k1")
K1, K2 = os.urandom(32), os.urandom(32)
KEYS = Keyring("k1", {"k1": K1})
ATTEMPT = "00000000-0000-4000-8000-000000000000"


def request_for(spec: BackupStorageSpec) -> JobRequest:
    """Return the request to probe *spec*."""
    return JobRequest(verb=Verb.PROBE, namespace="web", name="main", owner_uid="u", storage_name="main", storage=spec)


def tools_for(
    store: Callable[[], ObjectStore], keyring: Keyring | None = KEYS, stop: threading.Event | None = None
) -> Tools:
    """Return tools with that store and that keyring."""

    def no_target(_: Verb) -> PostgresTarget:
        raise AssertionError("a probe needs no database")

    def report(_: Progress) -> None:
        return

    return Tools(
        now=lambda: NOW, report=report, stop=stop or threading.Event(), attempt=ATTEMPT, job_name="j", target=no_target,
        store=store, keyring=lambda: keyring, clients=(),
    )  # fmt: skip


VOLUME = request_for(BackupStorageSpec(volume=Volume(claim_name="c"), encryption=ENCRYPTION))


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """Return a real S3 server with one bucket."""
    with S3Server() as server:
        server.make_bucket("backups")
        yield server


@pytest.fixture
def closing() -> Iterator[list[S3Store]]:
    """Return a list of stores that are closed at the end."""
    opened: list[S3Store] = []
    yield opened
    for store in opened:
        store.client.close()


def probe_bucket(server: S3Server, closing: list[S3Store], prefix: str, **changes: str) -> JobResult:
    """Return what a probe of a bucket of *server* finds; *changes* are to the settings."""
    settings = S3Settings(
        bucket="backups", prefix=prefix, endpoint=server.url, addressing_style="path", access_key_id=server.access_key,
        secret_access_key=server.secret_key, ca_file=str(server.ca) if server.ca else None, max_attempts=1, connect_timeout_seconds=2,
    )  # fmt: skip

    def store() -> S3Store:
        closing.append(S3Store(replace(settings, **changes)))  # type: ignore[arg-type]  # texts
        return closing[-1]

    spec = BackupStorageSpec(s3=S3(bucket="backups", prefix=prefix), encryption=ENCRYPTION)
    return run(request_for(spec), tools_for(store))


@pytest.mark.s3
def test_bucket_passes_and_becomes_ours(s3: S3Server, closing: list[S3Store]) -> None:
    """A conforming bucket is reported with its capabilities; the marker and the key lie there, the probe's own objects do not."""
    result = probe_bucket(s3, closing, "first")
    again = probe_bucket(s3, closing, "first")

    assert (result.reason, result.exit_code) == (Reason.STORAGE_REACHABLE, ExitCode.DONE)
    facts = result.probe
    assert facts is not None
    assert (facts.location, facts.encrypted, facts.backups) == ("s3://backups/first", True, 0)
    assert facts.capabilities is not None
    assert facts.capabilities.conditional_put
    assert facts.capabilities.conditional_complete
    assert facts.capabilities.delete
    assert sorted(s3.keys("backups", "first/")) == ["first/dbcustody.json", "first/storage-key.k1.json"]
    assert again.probe is not None
    assert again.probe.storage_id == facts.storage_id


@pytest.mark.s3
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"bucket": "nowhere"}, Reason.BUCKET_NOT_FOUND, id="wrong-bucket"),
        pytest.param({"secret_access_key": "c4nary-wrong"}, Reason.STORAGE_DENIED, id="wrong-secret"),
        pytest.param({"access_key_id": "nobody"}, Reason.STORAGE_DENIED, id="wrong-access-key"),
        pytest.param({"endpoint": "http://127.0.0.1:1"}, Reason.STORAGE_UNREACHABLE, id="wrong-endpoint"),
    ],
)
def test_each_wrong_setting_has_its_reason(
    s3: S3Server, closing: list[S3Store], changes: dict[str, str], reason: Reason
) -> None:
    """Each wrong setting is told apart, with the location, without the secret, and without the marker written."""
    result = probe_bucket(s3, closing, "wrong", **changes)

    assert result.reason is reason
    assert result.exit_code in {ExitCode.REFUSED, ExitCode.UNAVAILABLE}
    assert result.probe is not None
    assert result.probe.location.startswith("s3://")
    assert "c4nary" not in repr(result)
    assert s3.keys("backups", "wrong/") == []


@pytest.mark.s3
def test_wrong_ca_has_its_reason(closing: list[S3Store], tmp_path: Path) -> None:
    """A server whose certificate another authority signed is not spoken to."""
    authority, stranger = Authority(tmp_path / "ca"), Authority(tmp_path / "stranger", "stranger")
    with S3Server(tls=authority.issue("s3", "s3", names=["127.0.0.1"]), ca=authority.path) as server:
        server.make_bucket("backups")
        result = probe_bucket(server, closing, "wrong", ca_file=str(stranger.path))

    assert (result.reason, result.exit_code) == (Reason.TLS_FAILED, ExitCode.REFUSED)


@pytest.mark.s3
def test_bucket_without_write_permission_is_refused(s3: S3Server, closing: list[S3Store]) -> None:
    """Credentials without a right to the bucket are refused."""
    access, secret = s3.make_user("reader")

    result = probe_bucket(s3, closing, "denied", access_key_id=access, secret_access_key=secret)

    assert (result.reason, result.exit_code) == (Reason.STORAGE_DENIED, ExitCode.REFUSED)


def test_volume_is_counted(tmp_path: Path) -> None:
    """Committed backups count, deleted and uncommitted ones do not; each key is shown with the backups that it opens and that need it."""
    store = VolumeStore(tmp_path)
    ids = [make_backup_id(f"b{number}", NOW) for number in range(4)]
    for backup_id in ids:
        store.put_once(attempt_prefix("shop", backup_id, ATTEMPT) + data_key_object("k1"), b"x" * 10)
    store.put_once(attempt_prefix("shop", ids[0], ATTEMPT) + data_key_object("k2"), b"x" * 10)
    for backup_id in ids[:3]:
        store.put_once(manifest_key("shop", backup_id), b"{}")
    store.put_once(fact_key("shop", ids[2], FactKind.TOMBSTONE), b"{}")

    result = run(VOLUME, tools_for(lambda: store))

    assert result.reason is Reason.STORAGE_REACHABLE
    facts = result.probe
    assert facts is not None
    assert facts.backups == 2
    assert facts.keys == (
        KeyUse(id="k1", backups=2, needed_by=2, in_keyring=True),
        KeyUse(id="k2", backups=1, in_keyring=False),
    )
    assert (facts.unwrapped, facts.unopened) == (0, 0)
    assert facts.used_bytes == sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert facts.capabilities is not None
    assert facts.capabilities.conditional_complete is None


@pytest.mark.parametrize(
    ("keyring", "reason"),
    [
        pytest.param(Keyring("k1", {"k1": K2}), Reason.KEY_MISMATCH, id="active-key"),
        pytest.param(Keyring("k1", {"k1": K1, "k2": K1}), Reason.KEY_MISMATCH, id="key-that-is-not-active"),
    ],
)
def test_wrong_key_is_found_before_it_is_needed(tmp_path: Path, keyring: Keyring, reason: Reason) -> None:
    """Every key of the keyring that the storage knows is tried, not the active one alone."""
    both = Keyring("k2", {"k1": K1, "k2": K2})
    run(VOLUME, tools_for(lambda: VolumeStore(tmp_path)))
    run(VOLUME, tools_for(lambda: VolumeStore(tmp_path), both))

    result = run(VOLUME, tools_for(lambda: VolumeStore(tmp_path), keyring))

    assert (result.reason, result.exit_code) == (reason, ExitCode.REFUSED)
    assert result.probe is not None


def test_read_only_storage_is_listed_only(tmp_path: Path) -> None:
    """A ReadOnly storage that others filled is reported; nothing is written to find that out."""
    assert VOLUME.storage is not None
    request = replace(VOLUME, storage=replace(VOLUME.storage, access_mode=AccessMode.READ_ONLY))
    empty = run(request, tools_for(lambda: VolumeStore(tmp_path)))
    run(VOLUME, tools_for(lambda: VolumeStore(tmp_path)))
    before = sorted(tmp_path.rglob("*"))

    result = run(request, tools_for(lambda: VolumeStore(tmp_path)))

    assert empty.reason is Reason.STORAGE_READ_ONLY
    assert result.reason is Reason.STORAGE_REACHABLE
    assert result.probe is not None
    assert result.probe.capabilities is not None
    assert result.probe.capabilities.conditional_put is None
    assert sorted(tmp_path.rglob("*")) == before


def test_probe_ends_when_told_to(tmp_path: Path) -> None:
    """A probe that is told to end does so, and that is no finding about the storage."""
    stop = threading.Event()
    stop.set()

    with pytest.raises(InterruptedRunError):
        run(VOLUME, tools_for(lambda: VolumeStore(tmp_path), stop=stop))


@pytest.mark.parametrize("wanted", [True, False])
def test_what_lies_there_is_told_by_name_where_it_is_to_be_imported(tmp_path: Path, *, wanted: bool) -> None:
    """Newest first; what was deleted, what lost its claim, and claims of nothing are left out."""
    store = VolumeStore(tmp_path, "")
    for day, (custody_id, name, is_claimed, is_deleted) in enumerate(
        [
            ("a.shop", "first", True, False),
            ("b.shop", "first", True, False),
            ("a.shop", "gone", True, True),
            ("a.shop", "nameless", False, False),
        ]
    ):
        backup_id = make_backup_id(name, NOW.replace(day=day + 1))
        store.put_once(manifest_key(custody_id, backup_id), b"{}")
        if is_claimed:
            store.put_once(name_key(custody_id, name), b"{}")
        if is_deleted:
            store.put_once(fact_key(custody_id, backup_id, FactKind.TOMBSTONE), b"{}")
    store.put_once(name_key("a.shop", "never-committed"), b"{}")
    spec = BackupStorageSpec(volume=Volume(claim_name="c"), acknowledge_unencrypted=True, import_backups=wanted)
    facts = run(request_for(spec), tools_for(lambda: VolumeStore(tmp_path, ""), None)).probe

    assert facts is not None
    told = [(one.custody_id, one.name) for one in facts.found]
    assert told == ([("b.shop", "first"), ("a.shop", "first")] if wanted else [])


def test_volume_that_is_not_mounted_has_its_reason() -> None:
    """A store that cannot be opened at all is an error of its own."""
    with pytest.raises(DbcustodyError) as caught:
        run(VOLUME, tools_for(lambda: VolumeStore(Path("/nowhere"))))

    assert caught.value.reason is Reason.STORAGE_UNREACHABLE
