"""Keys rotate on the real cluster: the old one is taken out when nothing needs it, and missed when something does."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from scene.evidence import conditions
from scene.tenant import KEEP_ONE, KEY_ID

if TYPE_CHECKING:
    from scene.storehouse import Storehouse
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

NEW_ID = "k2027"


def make_active(tenant: Tenant, key_id: str) -> None:
    """Have what is written from now on closed with *key_id*, as `kubectl edit` does."""
    patch = [{"op": "replace", "path": "/spec/encryption/activeKeyId", "value": key_id}]
    tenant.api.patch("backupstorages", "main", tenant.name, patch)


def look_now(tenant: Tenant, word: str) -> None:
    """Ask for a probe at once."""
    patch = [{"op": "add", "path": "/metadata/annotations", "value": {"dbcustody.dev/check-now": word}}]
    tenant.api.patch("backupstorages", "main", tenant.name, patch)


def keys_of(body: dict[str, Any]) -> dict[str, tuple[int, int, bool]]:
    """Return of each key how many backups it opens, how many need it, and whether it is there."""
    return {one["id"]: (one["backups"], one["neededBy"], one["inKeyring"]) for one in body["status"]["keys"]}


def test_key_is_rotated_and_the_old_one_taken_out(housed: Tenant, storehouse: Storehouse) -> None:
    """Older backups are closed for the new key, and their data is not written again; then they are good without the old key."""
    new = secrets.token_bytes(32)
    for name in ("one", "two"):
        housed.backup(name)
        housed.succeeded(name)
    before = {key for key in housed.store.keys(housed.bucket) if "/key." not in key}
    housed.secret("keys", **{KEY_ID: housed.key, NEW_ID: new})
    make_active(housed, NEW_ID)
    body = housed.wait("backupstorages", "main", "KeysCurrent")
    (job,) = housed.jobs("re-wrap")

    assert keys_of(body) == {KEY_ID: (2, 0, True), NEW_ID: (2, 0, True)}
    assert conditions(body)["KeysCurrent"]["message"] == f"{NEW_ID} opens every backup; no other key is needed"
    assert job["status"]["conditions"][-1]["type"] == "Complete"
    after = set(housed.store.keys(housed.bucket))
    assert sorted(key.rsplit("/", 1)[-1] for key in after - before if f"key.{NEW_ID}" in key) == [
        f"key.{NEW_ID}.json",
        f"key.{NEW_ID}.json",
        f"storage-key.{NEW_ID}.json",
    ]
    assert before <= after

    housed.secret("keys", **{NEW_ID: new})
    look_now(housed, "old key is out")
    housed.until(lambda: not keys_of(housed.get("backupstorages", "main"))[KEY_ID][2], "the probe misses the old key")
    housed.policy(retention=KEEP_ONE)
    housed.backup("three", policy="nightly")
    housed.succeeded("three")
    policy = housed.wait("backuppolicies", "nightly", "RetentionEnforced")

    assert conditions(housed.get("backupstorages", "main"))["KeysCurrent"]["status"] == "True"
    assert policy["status"]["retained"]["count"] == 3
    assert len(storehouse.manifests()) == 3


def test_key_taken_out_too_early_is_noticed_and_comes_back(housed: Tenant) -> None:
    """The condition names the key and what hangs on it, while new backups go on; the key comes back, and nothing is lost."""
    new = secrets.token_bytes(32)
    housed.secret("keys", **{KEY_ID: housed.key, NEW_ID: new})
    make_active(housed, NEW_ID)
    housed.wait("backupstorages", "main", "Ready")
    make_active(housed, KEY_ID)
    housed.wait("backupstorages", "main", "Ready")
    housed.backup("old")
    housed.succeeded("old")

    housed.secret("keys", **{NEW_ID: new})
    make_active(housed, NEW_ID)
    body = housed.wait("backupstorages", "main", "KeysCurrent", "False", reason="KeyMissing")
    housed.backup("new")
    housed.succeeded("new")

    said = conditions(body)
    assert said["KeysCurrent"]["message"] == (
        f"1 backups are opened by no key of the keyring, but by {KEY_ID} (1): put that back, or delete them"
    )
    assert said["Ready"]["status"] == "True"

    housed.secret("keys", **{KEY_ID: housed.key, NEW_ID: new})
    look_now(housed, "it is back")
    body = housed.wait("backupstorages", "main", "KeysCurrent")
    assert keys_of(body) == {KEY_ID: (1, 0, True), NEW_ID: (2, 1, True)}
