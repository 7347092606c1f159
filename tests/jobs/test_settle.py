"""Settling: what became of a run without a result is read from the storage, and from nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.objectstore import VolumeStore
from dbcustody.api.policy import CaptureOptions, Level, Verification
from dbcustody.contract import Verb
from dbcustody.errors import DbcustodyError
from dbcustody.jobs import prune, settle
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.layout import attempt_prefix, make_backup_id, manifest_key
from tests.fakes.vault import CUSTODY, NOW, Vault, ring, tools_for

if TYPE_CHECKING:
    from pathlib import Path

    from dbcustody.contract import JobResult
    from dbcustody.facts import BackupFacts

DUE = CaptureOptions(verification=Verification(level=Level.CHECKSUM))


@pytest.fixture(params=["encrypted", "plain"])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Vault:
    """Return a custody with and without encryption."""
    return Vault(VolumeStore(tmp_path), ring() if request.param == "encrypted" else None)


def settled(vault: Vault, name: str = "shop", **changes: object) -> JobResult:
    """Return what settling the backup *name* says."""
    request = vault.request(Verb.SETTLE, **({"name": name, "options": DUE} | changes))
    return settle.run(request, tools_for(vault.store, vault.keyring))


def facts_of(result: JobResult) -> BackupFacts:
    """Return the facts of *result*."""
    assert result.backup is not None
    return result.backup


def test_nothing_was_committed(vault: Vault) -> None:
    """Neither a name that was never claimed, nor a claim and data without a manifest, is a backup: that is an answer, and no failure."""
    before = [entry.key for entry in vault.store.entries("")]
    never = settled(vault)
    assert [entry.key for entry in vault.store.entries("")] == before
    backup_id = make_backup_id("shop", NOW)
    vault.claim("shop", backup_id)
    vault.store.put_once(f"{attempt_prefix(CUSTODY, backup_id, vault.tools.attempt)}schema.pgc", b"x")
    half = settled(vault)

    for result in (never, half):
        assert (result.verb, result.reason, result.exit_code) == (Verb.SETTLE, Reason.JOB_LOST, ExitCode.DONE)
        assert (facts_of(result).name, facts_of(result).artefact) == ("shop", None)


def test_empty_storage_mints_no_custody(vault: Vault) -> None:
    """Asking about a custody of which nothing lies in the storage leaves nothing there."""
    before = [entry.key for entry in vault.store.entries("")]

    assert settled(vault, custody_id="nobody").reason is Reason.JOB_LOST
    assert [entry.key for entry in vault.store.entries("")] == before


def test_committed_backup_is_proven_now(vault: Vault) -> None:
    """A manifest without a proof was committed by a run that was killed: the backup is read back, and the proof written down."""
    manifest = vault.commit("shop", NOW, verified=None)
    result = settled(vault)

    facts = facts_of(result)
    assert (result.verb, result.reason, result.exit_code) == (Verb.SETTLE, Reason.SUCCEEDED, ExitCode.DONE)
    assert facts.artefact is not None
    assert (facts.artefact.backup_id, facts.artefact.attempt) == (manifest.backup_id, manifest.attempt)
    assert (facts.snapshot_time, facts.finish_time) == (manifest.snapshot, manifest.finished)
    assert (facts.verified_level, facts.adopted) == ("Checksum", False)
    assert facts.not_captured == ("passwords of roles",)
    assert vault.stock().backups[0].verified_levels == {"Checksum"}


def test_proof_that_is_there_is_enough(vault: Vault) -> None:
    """A backup that was proven before its run was killed is not read again, and nothing is added."""
    vault.commit("shop", NOW, verified="Read")
    before = [entry.key for entry in vault.store.entries("")]

    assert settled(vault, options=CaptureOptions()).reason is Reason.SUCCEEDED
    assert [entry.key for entry in vault.store.entries("")] == before


def test_damaged_data_is_told_with_its_artefact(vault: Vault, tmp_path: Path) -> None:
    """A committed backup with a flipped byte is there and not good."""
    manifest = vault.commit("shop", NOW, verified=None)
    path = tmp_path / attempt_prefix(CUSTODY, manifest.backup_id, manifest.attempt) / "data-000.pgc"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    result = settled(vault)

    assert (result.reason, result.exit_code) == (Reason.ARCHIVE_DAMAGED, ExitCode.REFUSED)
    assert facts_of(result).artefact is not None
    assert facts_of(result).verified_level is None
    assert not vault.stock().backups[0].is_good


def test_manifest_that_cannot_be_believed_is_an_answer(tmp_path: Path) -> None:
    """A forged manifest is neither adopted nor taken for nothing."""
    vault = Vault(VolumeStore(tmp_path))
    manifest = vault.commit("shop", NOW)
    path = tmp_path / manifest_key(CUSTODY, manifest.backup_id)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rowCount": 4}, sort_keys=True, separators=(",", ":")))
    result = settled(vault)

    assert (result.reason, result.exit_code) == (Reason.ARCHIVE_DAMAGED, ExitCode.REFUSED)
    assert "ForgedManifest" in result.message
    assert facts_of(result).artefact is None


def test_deleted_backup_is_told(vault: Vault) -> None:
    """A backup that was removed meanwhile is not reported as good."""
    vault.commit("shop", NOW)
    prune.run(vault.request(Verb.PRUNE), tools_for(vault.store, vault.keyring))

    result = settled(vault)
    assert (result.reason, facts_of(result).artefact) == (Reason.NAME_TAKEN, None)


def test_other_owner_is_refused(vault: Vault) -> None:
    """Another Database under the same custody id learns nothing."""
    vault.commit("shop", NOW)
    with pytest.raises(DbcustodyError) as caught:
        settled(vault, database_name="other")

    assert caught.value.reason is Reason.CUSTODY_CONFLICT


def test_other_backups_are_not_taken_for_it(vault: Vault) -> None:
    """A backup of another name, however new, does not settle this one."""
    vault.commit("another", NOW)
    vault.commit("shop-2", NOW + timedelta(seconds=1))

    assert settled(replace(vault, chain=[])).reason is Reason.JOB_LOST
