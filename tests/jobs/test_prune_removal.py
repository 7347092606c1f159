"""A person deletes one backup: exactly that one goes, unless a hold, a lock or a doubt stands in the way."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.objectstore import VolumeStore
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.fact import Hold, Release
from dbcustody.repository.layout import (
    FactKind,
    attempt_prefix,
    backup_prefix,
    fact_key,
    make_backup_id,
    manifest_key,
)
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

    from dbcustody.contract import JobResult


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """Return a real S3 server."""
    with S3Server() as server:
        yield server


@pytest.fixture(params=["volume", pytest.param("s3", marks=pytest.mark.s3)])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Vault]:
    """Return an encrypted custody in a store of each kind."""
    if request.param == "volume":
        yield Vault(VolumeStore(tmp_path))
        return
    server: S3Server = request.getfixturevalue("server")
    store = open_bucket(server, server.make_bucket(f"b-{uuid.uuid4().hex[:12]}"))
    yield Vault(store)
    store.close()


def removed(vault: Vault, name: str, **changes: Any) -> JobResult:
    """Return the result of the removal of the backup *name*."""
    return pruned(vault, retention=None, name=name, policy_name=None, **changes)


def test_removal_deletes_the_one_it_names(vault: Vault) -> None:
    """A person's deletion takes exactly the named backup, the newest included, and is done when asked again."""
    manifests = nights(vault, 3)
    result = removed(vault, "night-3")

    assert (result.reason, result.exit_code) == (Reason.RETENTION_ENFORCED, ExitCode.DONE)
    assert facts_of(result).deleted == ("night-3",)
    assert left_of(vault, manifests[2]) == {"tombstone.json"}
    assert [one.manifest.name for one in vault.stock().live] == ["night-1", "night-2"]
    assert removed(vault, "night-3").exit_code is ExitCode.DONE
    assert removed(vault, "never-taken").exit_code is ExitCode.DONE


def test_removal_of_what_is_gone_already_is_done(vault: Vault) -> None:
    """Retention was there first, or somebody took all of it away: nothing to delete is fine."""
    manifests = nights(vault, 4)
    pruned(vault)
    prefix = backup_prefix(CUSTODY, manifests[2].backup_id)
    vault.store.delete([key for key in everything(vault) if key.startswith(prefix)])

    for name in ("night-1", "night-3"):
        result = removed(vault, name)
        assert (result.exit_code, result.message) == (ExitCode.DONE, f"{name}: nothing of it is left")


def test_removal_honours_a_hold(vault: Vault) -> None:
    """A held backup is not removed: no error, but not done, so that the Backup waits until the release."""
    manifests = nights(vault, 1)
    say(vault, Hold, manifests[0])
    before = everything(vault)
    held = removed(vault, "night-1")

    assert (held.reason, held.exit_code, facts_of(held).held) == (Reason.HELD, ExitCode.REFUSED, ("night-1",))
    assert everything(vault) == before
    say(vault, Release, manifests[0])
    assert removed(vault, "night-1").exit_code is ExitCode.DONE


def test_removal_of_what_cannot_be_believed_is_refused(vault: Vault) -> None:
    """A forged fact might hide a hold: nothing is deleted, and a person is told to do it by hand."""
    (manifest,) = nights(vault, 1)
    key = fact_key(CUSTODY, manifest.backup_id, FactKind.HOLD, 1)
    say(vault, Hold, manifest)
    data = vault.store.read(key)
    assert data is not None
    vault.store.delete([key])
    vault.store.put_once(key, data.replace(b"audit", b"abuse"))
    before = everything(vault)

    result = removed(vault, "night-1")

    assert (result.reason, result.exit_code) == (Reason.ARCHIVE_DAMAGED, ExitCode.REFUSED)
    assert "ForgedFact" in result.message
    assert everything(vault) == before


def test_removal_without_the_key_is_refused(vault: Vault) -> None:
    """Who lost the key cannot see holds: it is said that the key is missing."""
    (manifest,) = nights(vault, 1)
    folder = attempt_prefix(CUSTODY, manifest.backup_id, manifest.attempt)
    vault.store.delete([f"{folder}key.k1.json"])

    assert removed(vault, "night-1").reason is Reason.KEY_MISSING


def test_removal_of_a_backup_with_missing_objects(vault: Vault) -> None:
    """A backup that lacks an object may be removed by a person: that ends the doubt which froze retention."""
    (manifest, *_) = nights(vault, 3)
    folder = attempt_prefix(CUSTODY, manifest.backup_id, manifest.attempt)
    vault.store.delete([f"{folder}data-000.pgc"])

    assert pruned(vault).reason is Reason.RETENTION_FROZEN
    assert removed(vault, "night-1").exit_code is ExitCode.DONE
    assert pruned(vault).reason is Reason.RETENTION_ENFORCED


def test_removal_of_what_was_never_committed(vault: Vault) -> None:
    """What a lost run left goes once nobody can be at work on it; a removal does not wait for that."""
    backup_id = make_backup_id("lost", TODAY)
    vault.claim("lost", backup_id)
    vault.store.put_once(f"{attempt_prefix(CUSTODY, backup_id, DEAD)}schema.pgc", b"x")

    assert removed(vault, "lost").exit_code is ExitCode.DONE
    assert [key for key in everything(vault) if DEAD in key]
    assert removed(vault, "lost", later=timedelta(days=2)).exit_code is ExitCode.DONE
    assert not [key for key in everything(vault) if DEAD in key]


def test_removal_finishes_an_interrupted_one(vault: Vault) -> None:
    """A removal that was killed after the tombstone, or after the manifest, is finished by the next."""
    manifests = nights(vault, 2)
    for manifest in manifests:
        bury(vault, manifest)
    vault.store.delete([manifest_key(CUSTODY, manifests[1].backup_id)])

    for manifest in manifests:
        assert removed(vault, manifest.name).exit_code is ExitCode.DONE
        assert left_of(vault, manifest) == {"tombstone.json"}
