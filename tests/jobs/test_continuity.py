"""Continuity: what somebody without a key takes out of a storage is missed, named, and stops retention."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.objectstore import VolumeStore
from dbcustody.contract import KnownBackup
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.layout import backup_prefix, manifest_key
from tests.fakes.prunes import TODAY, everything, facts_of, nights, pruned
from tests.fakes.vault import CUSTODY, Vault

if TYPE_CHECKING:
    from pathlib import Path

    from dbcustody.repository.manifest import Manifest


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """Return an encrypted custody in a folder."""
    return Vault(VolumeStore(tmp_path))


def known(vault: Vault, manifests: list[Manifest]) -> tuple[KnownBackup, ...]:
    """Return *manifests* as the resources of their backups remember them."""
    return tuple(
        KnownBackup(name=one.name, manifest_sha256=digest) for one, digest in zip(manifests, vault.chain, strict=True)
    )


def test_nothing_is_missed_that_retention_deleted(vault: Vault) -> None:
    """A tombstone accounts for what is gone, for ever."""
    manifests = nights(vault, 4)
    remembered = known(vault, manifests)
    first = facts_of(pruned(vault, known_backups=remembered))
    again = pruned(vault, later=timedelta(days=30), known_backups=remembered)

    assert first.deleted == ("night-1", "night-2")
    assert again.reason is Reason.RETENTION_ENFORCED
    assert facts_of(again).vanished == facts_of(again).breaks == ()


def test_whoever_still_takes_a_deleted_backup_for_good_is_told(vault: Vault) -> None:
    """However long ago it was deleted: a word that was lost is told until it is heard."""
    remembered = known(vault, nights(vault, 4))
    pruned(vault)
    later = timedelta(days=400)

    assert facts_of(pruned(vault, later=later)).deleted == ()
    assert facts_of(pruned(vault, later=later, known_backups=remembered[1:3])).deleted == ("night-2",)


def test_a_custody_that_was_taken_away_as_a_whole_is_missed(vault: Vault) -> None:
    """Where nothing lies, everything that is known has vanished; nothing is minted there, and nobody who knows nothing is alarmed."""
    remembered = known(vault, nights(vault, 2))
    vault.store.delete(everything(vault))
    missed, unknown = pruned(vault, known_backups=remembered), pruned(vault)
    removal = pruned(vault, known_backups=remembered, retention=None, name="night-1")

    assert (missed.reason, missed.exit_code) == (Reason.CONTINUITY_UNPROVEN, ExitCode.REFUSED)
    assert facts_of(missed).vanished == ("night-1", "night-2")
    assert "night-1, night-2 lay in the storage and vanished" in missed.message
    assert (unknown.reason, facts_of(unknown).vanished) == (Reason.RETENTION_ENFORCED, ())
    assert removal.exit_code is ExitCode.DONE
    assert not [key for key in everything(vault) if CUSTODY in key]


@pytest.mark.parametrize("taken", [0, 3], ids=["oldest", "newest"])
@pytest.mark.parametrize("whole", [True, False], ids=["with-its-data", "its-manifest-alone"])
def test_a_backup_that_somebody_took_away_is_missed(vault: Vault, taken: int, *, whole: bool) -> None:
    """It is named, and nothing else is deleted, not even what lies around of it; once nobody remembers it, retention goes on."""
    manifests = nights(vault, 4)
    remembered = known(vault, manifests)
    prefix = backup_prefix(CUSTODY, manifests[taken].backup_id)
    gone = [key for key in everything(vault) if key.startswith(prefix)]
    for key in gone if whole else [manifest_key(CUSTODY, manifests[taken].backup_id)]:
        vault.store.delete([key])
    before = everything(vault)
    result = pruned(vault, known_backups=remembered)
    after = everything(vault)
    meant = pruned(vault, known_backups=tuple(one for one in remembered if one.name != manifests[taken].name))

    assert facts_of(result).vanished == (manifests[taken].name,)
    assert result.exit_code is ExitCode.REFUSED
    assert result.reason is (Reason.CONTINUITY_UNPROVEN if whole else Reason.RETENTION_FROZEN)
    assert after == before
    assert facts_of(result).deleted == ()
    assert facts_of(meant).vanished == ()
    assert meant.reason is (Reason.RETENTION_ENFORCED if whole else Reason.RETENTION_FROZEN)


def test_a_break_is_told_by_name_until_the_backup_behind_it_has_expired(vault: Vault) -> None:
    """What was taken out of the middle breaks the chain; that stops nothing, because nobody can ever mend it."""
    manifests = nights(vault, 4)
    prefix = backup_prefix(CUSTODY, manifests[2].backup_id)
    vault.store.delete([key for key in everything(vault) if key.startswith(prefix)])
    result = pruned(vault)
    facts = facts_of(result)
    vault.commit("night-5", TODAY - timedelta(minutes=5))
    vault.commit("night-6", TODAY - timedelta(minutes=4))
    later = facts_of(pruned(vault))

    assert (result.reason, facts.breaks) == (Reason.RETENTION_ENFORCED, ("night-4",))
    assert result.message.endswith("the chain of manifests is broken before night-4")
    assert (set(later.deleted), later.breaks) == ({"night-1", "night-2", "night-4"}, ())
