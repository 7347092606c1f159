"""Somebody has the bucket's credentials and no key: what is done to backups there is noticed on the real cluster, and named."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from scene.evidence import conditions

if TYPE_CHECKING:
    from scene.storehouse import Storehouse
    from scene.tenant import Tenant

pytestmark = pytest.mark.cluster


def test_the_newest_backup_taken_away_is_missed(housed: Tenant, storehouse: Storehouse) -> None:
    """The policy names it, retention stops though it keeps one alone, and goes on when the Backup is deleted by a person."""
    housed.policy(retention={"keepLast": 1, "keepDaily": 0, "keepWeekly": 0, "keepMonthly": 0})
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
