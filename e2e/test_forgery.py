"""Somebody has the bucket's credentials and no key: what is done to backups there is noticed on the real cluster, and named."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from scene.evidence import conditions
from scene.forger import Forger
from scene.tenant import KEEP_ONE

if TYPE_CHECKING:
    from scene.storehouse import Storehouse
    from scene.tenant import Tenant

pytestmark = pytest.mark.cluster

KEEP_ALL = {"keepLast": 100, "keepDaily": 0, "keepWeekly": 0, "keepMonthly": 0}


def test_the_newest_backup_taken_away_is_missed(housed: Tenant, storehouse: Storehouse) -> None:
    """The policy names it, retention stops though it keeps one alone, and goes on when the Backup is deleted by a person."""
    housed.policy(retention=KEEP_ONE)
    for name in ("first", "second"):
        housed.backup(name, policy="nightly")
        housed.succeeded(name)
    housed.until(lambda: len(storehouse.manifests()) == 1, "retention has kept one")
    stolen = storehouse.keys(f"backups/{storehouse.backup_id('second')}/")
    with closing(housed.store.client()) as thief:
        for key in stolen:
            thief.delete_object(Bucket=housed.bucket, Key=key)
    housed.backup("third", policy="nightly")
    housed.succeeded("third")
    policy = housed.wait("backuppolicies", "nightly", "ContinuityProven", "False")
    said = conditions(policy)

    assert said["ContinuityProven"]["message"] == "second vanished without a tombstone"
    assert policy["status"]["vanished"] == ["second"]
    assert (said["RetentionEnforced"]["status"], said["RetentionEnforced"]["reason"]) == ("False", "ContinuityUnproven")
    assert said["Ready"]["status"] == "True"

    housed.api.delete("backups", "second", housed.name)
    housed.backup("fourth", policy="nightly")
    housed.succeeded("fourth")
    housed.wait("backuppolicies", "nightly", "RetentionEnforced")
    housed.until(lambda: set(storehouse.manifests()) == {storehouse.backup_id("fourth")}, "one is left")


def test_what_somebody_without_a_key_writes_is_believed_by_nobody(housed: Tenant, storehouse: Storehouse) -> None:
    """Forged facts, a replayed manifest and shortened data: each is named, and nothing is deleted because of it."""
    housed.policy(retention=KEEP_ALL)
    names = ("one", "two", "three", "four")
    for name in names:
        housed.backup(name, policy="nightly", **({"legalHold": {"reason": "audit"}} if name == "two" else {}))
        housed.succeeded(name)
    housed.wait("backups", "two", "Held")
    forger = Forger(storehouse)
    forged = forger.writes_a_tombstone("one"), forger.writes_a_release("two"), forger.writes_a_proof("three")
    before = storehouse.keys("backups/")
    keep_one(housed)
    assert_frozen(housed, "five", {f"{key}: ForgedFact" for key in forged})
    assert set(before) <= set(storehouse.keys("backups/"))

    forger.removes(*forged)
    forger.replays_the_manifest("four", beside="three")
    forger.shortens("one")
    one, three = storehouse.backup_id("one"), storehouse.backup_id("three")
    proof = f"{storehouse.custody_id}/backups/{three}/verified.1.json"
    assert_frozen(housed, "six", {f"{one}: Incomplete", f"{three}: Misplaced", f"{proof}: Misplaced"})
    assert set(before) - set(forged) <= set(storehouse.keys("backups/"))
    assert storehouse.backup_id("two") in storehouse.manifests()


def keep_one(tenant: Tenant) -> None:
    """Have retention keep one backup alone, from the next one on."""
    tenant.api.patch(
        "backuppolicies", "nightly", tenant.name, [{"op": "add", "path": "/spec/retention", "value": KEEP_ONE}]
    )


def assert_frozen(tenant: Tenant, name: str, doubts: set[str]) -> None:
    """Take the backup *name*, and check that retention then says that it deletes nothing because of exactly these *doubts*."""
    tenant.backup(name, policy="nightly")
    tenant.succeeded(name)
    begins = "nothing is deleted: the storage holds what cannot be believed ("

    def said() -> bool:
        one = conditions(tenant.get("backuppolicies", "nightly"))["RetentionEnforced"]
        told = set(one["message"].removeprefix(begins).removesuffix(")").split(", "))
        return bool((one["status"], one["reason"]) == ("False", "RetentionFrozen") and told == doubts)

    tenant.until(said, f"retention is frozen by {doubts}")
