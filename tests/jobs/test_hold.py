"""The hold Job: a hold stands where the data is, keeps it from every cluster's retention, and only who placed it releases it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.objectstore import VolumeStore
from dbcustody.contract import JobResult, Verb
from dbcustody.errors import ConflictError, RefusedError
from dbcustody.facts import HoldFacts
from dbcustody.jobs import hold, prune
from dbcustody.jobs.hold import BY_HAND, Spot, placed_by
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.fact import Hold
from dbcustody.repository.layout import FactKind, backup_prefix, fact_key, manifest_key, names_prefix
from tests.fakes.prunes import TODAY, bury, everything, facts_of, left_of, nights, pruned, say
from tests.fakes.vault import CUSTODY, Vault, tools_for

if TYPE_CHECKING:
    from pathlib import Path

    from dbcustody.repository.manifest import Manifest

OURS = "uid-of-a-backup"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """Return an encrypted custody in a folder."""
    return Vault(VolumeStore(tmp_path))


def asked(vault: Vault, manifest: Manifest, *, held: bool, uid: str = OURS, **changes: Any) -> JobResult:
    """Return the result of the Job for the Backup of *manifest*, of which the resource is *uid*."""
    request = vault.request(Verb.HOLD, name=manifest.name, owner_uid=uid, hold=held, **changes)
    return hold.run(request, tools_for(vault.store, vault.keyring, now=TODAY))


def told(result: JobResult) -> tuple[Reason, HoldFacts | None]:
    """Return reason and facts."""
    return result.reason, result.hold


def facts(*, placed: bool, others: int = 0, gone: bool = False) -> HoldFacts:
    """Return the facts of a hold."""
    return HoldFacts(placed=placed, others=others, gone=gone)


def test_a_hold_keeps_the_backup_until_it_is_released(vault: Vault) -> None:
    """Retention of a cluster that knows no resource of ours leaves it alone; afterwards it goes like any other."""
    manifests = nights(vault, 4)
    placed = asked(vault, manifests[0], held=True)
    first = pruned(vault)
    released = asked(vault, manifests[0], held=False)
    second = pruned(vault)

    assert told(placed) == (Reason.HOLD_PLACED, facts(placed=True))
    assert facts_of(first).deleted == ("night-2",)
    assert ("night-1", True, ("Held",)) in [(one.name, one.keep, one.because) for one in facts_of(first).plan]
    assert told(released) == (Reason.HOLD_RELEASED, facts(placed=False))
    assert "night-1" in facts_of(second).deleted


def test_asking_again_writes_nothing_more(vault: Vault) -> None:
    """A Job that is repeated finds what the first one did; a second hold gets the next number."""
    (manifest,) = nights(vault, 1)
    asked(vault, manifest, held=True)
    once = everything(vault)
    asked(vault, manifest, held=True)
    twice = everything(vault)
    for held in (False, False, True):
        asked(vault, manifest, held=held)

    assert once == twice
    assert {name for name in left_of(vault, manifest) if name.startswith(("hold", "release"))} == {
        "hold.1.json",
        "release.1.json",
        "hold.2.json",
    }


def test_only_who_placed_a_hold_releases_it(vault: Vault) -> None:
    """Another cluster's resource of the same name, or one that was made anew, releases nothing that it did not place."""
    (manifest,) = nights(vault, 1)
    asked(vault, manifest, held=True)
    theirs = asked(vault, manifest, held=True, uid="uid-of-another-cluster")
    released = asked(vault, manifest, held=False, uid="uid-of-another-cluster")
    stranger = asked(vault, manifest, held=False, uid="uid-of-a-third")
    (backup,) = vault.stock().live

    assert told(theirs) == (Reason.HOLD_PLACED, facts(placed=True, others=1))
    assert told(released) == (Reason.HOLD_RELEASED, facts(placed=False, others=1))
    assert told(stranger) == (Reason.HOLD_RELEASED, facts(placed=False, others=1))
    assert [one.because for one in backup.open_holds] == [placed_by(OURS)]


def test_a_hold_says_nothing_about_people(vault: Vault) -> None:
    """Facts lie in the clear part of the storage: who placed it stands there as a UID, and why does not."""
    (manifest,) = nights(vault, 1)
    asked(vault, manifest, held=True)
    data = vault.store.read(fact_key(CUSTODY, manifest.backup_id, FactKind.HOLD, 1))

    assert data is not None
    assert f'"because":"{placed_by(OURS)}"'.encode() in data


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("how", ["never-claimed", "no-custody", "buried", "deleted"])
def test_nothing_is_held_of_what_is_not_there(vault: Vault, how: str, *, held: bool) -> None:
    """Placing says that there is nothing to hold; releasing is done, because nothing is held."""
    manifests = nights(vault, 4)
    if how == "buried":
        bury(vault, manifests[0])
    elif how == "deleted":
        pruned(vault)
    elif how == "never-claimed":
        vault.store.delete([f"{names_prefix(CUSTODY)}{manifests[0].name}.json"])
    custody = "another" if how == "no-custody" else CUSTODY
    result = asked(vault, manifests[0], held=held, custody_id=custody)

    assert told(result) == (
        Reason.NOTHING_TO_HOLD if held else Reason.HOLD_RELEASED,
        facts(placed=False, gone=True),
    )
    assert result.exit_code is (ExitCode.REFUSED if held else ExitCode.DONE)


@pytest.mark.parametrize("held", [True, False])
def test_what_cannot_be_believed_is_neither_held_nor_released(vault: Vault, *, held: bool) -> None:
    """A forged manifest may be of another backup; a missing key says nothing."""
    (manifest,) = nights(vault, 1)
    asked(vault, manifest, held=True)
    key = manifest_key(CUSTODY, manifest.backup_id)
    data = vault.store.read(key)
    assert data is not None
    vault.store.delete([key])
    vault.store.put_once(key, data.replace(b'"tableCount":', b'"tableCount":1'))
    with pytest.raises(RefusedError, match="cannot be believed") as forged:
        asked(vault, manifest, held=held)

    assert forged.value.reason is Reason.ARCHIVE_DAMAGED


def test_a_missing_key_is_told_as_such(vault: Vault) -> None:
    """Somebody may put it back."""
    (manifest,) = nights(vault, 1)
    prefix = backup_prefix(CUSTODY, manifest.backup_id)
    vault.store.delete([key for key in everything(vault) if key.startswith(prefix) and "/key." in key])
    with pytest.raises(RefusedError) as missing:
        asked(vault, manifest, held=True)

    assert missing.value.reason is Reason.KEY_MISSING


def test_a_hold_that_somebody_without_the_key_wrote_is_not_taken_for_ours(vault: Vault) -> None:
    """It is a doubt, under which nothing is deleted either; the Job does not say that the hold stands."""
    (manifest,) = nights(vault, 1)
    vault.storage = replace(vault.storage, storage_key=None)
    say(vault, Hold, manifest, because=placed_by(OURS))
    with pytest.raises(RefusedError, match="ForgedFact") as forged:
        asked(vault, manifest, held=True)

    assert forged.value.reason is Reason.ARCHIVE_DAMAGED


@pytest.mark.parametrize("uid", [OURS, "uid-of-another"])
def test_a_removal_releases_what_its_own_resource_held(vault: Vault, uid: str) -> None:
    """Whoever took the hold out and deletes the Backup at once is not stopped by it; another's hold stops everybody."""
    manifests = nights(vault, 2)
    asked(vault, manifests[0], held=True)
    result = prune.run(
        vault.request(Verb.PRUNE, name=manifests[0].name, owner_uid=uid),
        tools_for(vault.store, vault.keyring, now=TODAY),
    )

    assert result.reason is (Reason.RETENTION_ENFORCED if uid == OURS else Reason.HELD)
    assert len(vault.stock().live) == (1 if uid == OURS else 2)


def test_the_number_that_somebody_takes_first_is_theirs(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hands place at once: each hold stands, under a number of its own; who never gets one says so."""
    (manifest,) = nights(vault, 1)
    spot = Spot(vault.storage, CUSTODY, manifest.backup_id)
    tools = tools_for(vault.store, vault.keyring, now=TODAY)
    real = hold.add_fact

    def late(storage: Any, custody_id: str, fact: Hold) -> None:
        monkeypatch.setattr(hold, "add_fact", real)
        hold.place(spot, tools, BY_HAND)
        real(storage, custody_id, fact)

    monkeypatch.setattr(hold, "add_fact", late)
    backup = hold.place(spot, tools, placed_by(OURS))
    assert backup is not None
    assert {(one.number, one.because) for one in backup.open_holds} == {(1, BY_HAND), (2, placed_by(OURS))}

    def never(*_: Any) -> None:
        raise ConflictError("taken")

    monkeypatch.setattr(hold, "add_fact", never)
    with pytest.raises(ConflictError, match="others keep placing holds"):
        hold.place(spot, tools, placed_by("another"))
