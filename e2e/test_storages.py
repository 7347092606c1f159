"""BackupStorages on the real cluster: buckets and volumes, what is found of a good one, and what is said of a bad one."""

from __future__ import annotations

import json
import secrets
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ground.certificate import Authority
from ground.s3 import S3Server
from scene.disk import claim
from scene.evidence import conditions
from scene.tenant import KEY_ID, keyring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from scene.deployment import Deployment
    from scene.tenant import Tenant

pytestmark = pytest.mark.cluster


class Bad(NamedTuple):
    """A storage that cannot work, and what has to be said of it."""

    reason: str
    says: str
    s3: dict[str, Any] = {}  # noqa: RUF012 - read only
    spec: dict[str, Any] = {}  # noqa: RUF012 - read only


BAD = {
    "wrong-bucket": Bad("BucketNotFound", "no-such-bucket", {"bucket": "no-such-bucket"}),
    "wrong-endpoint": Bad("StorageUnreachable", "127.0.0.1:1", {"endpoint": "http://127.0.0.1:1"}),
    "wrong-secret-key": Bad(
        "StorageDenied",
        "(SignatureDoesNotMatch); check the credentials",
        {"credentialsSecretRef": {"name": "wrong-credentials"}},
    ),
    "no-credentials": Bad("SecretNotFound", "Secret 'nowhere'", {"credentialsSecretRef": {"name": "nowhere"}}),
    "half-credentials": Bad("SecretKeyMissing", "AWS_SECRET_ACCESS_KEY", {"credentialsSecretRef": {"name": "half"}}),
    "empty-credentials": Bad(
        "SecretNotFound", "Secret 'empty': is missing or empty", {"credentialsSecretRef": {"name": "empty"}}
    ),
    "empty-secret-key": Bad(
        "SecretKeyMissing", "'AWS_SECRET_ACCESS_KEY', or an empty one", {"credentialsSecretRef": {"name": "blank"}}
    ),
    "read-only-user": Bad(
        "StorageDenied",
        "(AccessDenied); check the credentials and their rights",
        {"credentialsSecretRef": {"name": "reader"}},
    ),
    "no-keyring": Bad("SecretNotFound", "Secret 'nowhere'", {"prefix": "a"}, keyring("nowhere")),
    "missing-key": Bad("KeyMissing", "'k2030'", {"prefix": "b"}, keyring("keys", "k2030")),
    "empty-keyring": Bad("SecretNotFound", "Secret 'empty': is missing or empty", {"prefix": "e"}, keyring("empty")),
    "empty-key": Bad("KeyInvalid", "is 0 bytes long", {"prefix": "f"}, keyring("blank-key")),
    "short-key": Bad("KeyInvalid", KEY_ID, {"prefix": "c"}, keyring("short")),
    "printable-key": Bad("KeyInvalid", "printable", {"prefix": "d"}, keyring("printable")),
}


@pytest.fixture(scope="module")
def bad(tenancy: Callable[[], AbstractContextManager[Tenant]]) -> Iterator[Tenant]:
    """Yield a tenant with every bad BackupStorage at once; they are probed side by side."""
    with tenancy() as tenant:
        tenant.secret("wrong-credentials", AWS_ACCESS_KEY_ID=tenant.store.access_key, AWS_SECRET_ACCESS_KEY="canary-no")
        tenant.secret("half", AWS_ACCESS_KEY_ID=tenant.store.access_key)
        tenant.secret("empty")
        tenant.secret("blank", AWS_ACCESS_KEY_ID=tenant.store.access_key, AWS_SECRET_ACCESS_KEY="")
        tenant.secret("blank-key", **{KEY_ID: b""})
        tenant.secret("short", **{KEY_ID: secrets.token_bytes(31)})
        tenant.secret("printable", **{KEY_ID: "canary-abcdefghijklmnopqrstuvwxy"})
        access, secret = tenant.store.make_user(f"reader-{tenant.name}")
        tenant.secret("reader", AWS_ACCESS_KEY_ID=access, AWS_SECRET_ACCESS_KEY=secret)
        allow_reading(tenant, access)
        for name, case in BAD.items():
            tenant.storage(name, s3=case.s3, **case.spec)
        yield tenant


def allow_reading(tenant: Tenant, user: str) -> None:
    """Let *user* list and read the tenant's bucket."""
    bucket = f"arn:aws:s3:::{tenant.bucket}"
    statements = [
        {"Effect": "Allow", "Principal": user, "Action": "s3:ListBucket", "Resource": bucket},
        {"Effect": "Allow", "Principal": user, "Action": "s3:GetObject", "Resource": f"{bucket}/*"},
    ]
    with closing(tenant.store.client()) as client:
        client.put_bucket_policy(Bucket=tenant.bucket, Policy=json.dumps({"Statement": statements}))


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in BAD])
def test_bad_storage_says_what_is_wrong(bad: Tenant, name: str) -> None:
    """The reason is the one that scripts match, the message names the culprit, and no secret stands in it."""
    case = BAD[name]
    body = bad.wait("backupstorages", name, "Ready", "False", reason=case.reason)

    found = conditions(body)
    assert case.says in found["Ready"]["message"]
    assert ("Stalled" in found) != ("Reconciling" in found)
    assert "canary" not in str(body["status"])


def test_good_bucket_becomes_ready_and_shows_its_columns(tenant: Tenant, operator: Deployment) -> None:
    """Capabilities and identity stand in status and in what kubectl prints, and nothing but the marker and the key lies there."""
    tenant.storage()
    status = tenant.wait("backupstorages", "main", "Ready")["status"]
    table = operator.cluster.kubectl("get", "pgstore", "-n", tenant.name, "-o", "wide").splitlines()

    assert status["capabilities"]["conditionalPut"] is True
    assert status["capabilities"]["conditionalComplete"] is True
    assert status["sharing"] == "AnyNode"
    assert table[0].split() == ["NAME", "READY", "KIND", "LOCATION", "ENCRYPTED", "BACKUPS", "REASON", "AGE"]
    assert table[1].split()[:6] == ["main", "True", "S3", f"s3://{tenant.bucket}", "true", "0"]
    assert tenant.store.keys(tenant.bucket) == ["dbcustody.json", f"storage-key.{KEY_ID}.json"]


def test_bucket_behind_tls_needs_the_right_authority(tenant: Tenant, operator: Deployment, tmp_path: Path) -> None:
    """With the CA of the server's certificate it is Ready; with another one it is unreachable, whatever the credentials are."""
    address = operator.cluster.network.machine_address
    right, wrong = Authority(tmp_path / "right"), Authority(tmp_path / "wrong")
    tls = right.issue("server", "server", names=[address])
    tenant.secret("right", **{"ca.crt": right.path.read_bytes()})
    tenant.secret("wrong", **{"ca.crt": wrong.path.read_bytes()})
    with S3Server(host=address, tls=tls, ca=right.path) as secure:
        secure.make_bucket("secure")
        tenant.secret("bucket", AWS_ACCESS_KEY_ID=secure.access_key, AWS_SECRET_ACCESS_KEY=secure.secret_key)
        for name in ("right", "wrong"):
            where = {"bucket": "secure", "endpoint": secure.url, "caSecretRef": {"name": name, "key": "ca.crt"}}
            tenant.storage(name, s3={**where, "prefix": name})
        tenant.wait("backupstorages", "right", "Ready")
        body = tenant.wait("backupstorages", "wrong", "Ready", "False")

    assert conditions(body)["Ready"]["reason"] == "TLSFailed"
    assert "certificate" in conditions(body)["Ready"]["message"].lower()


def test_read_only_storage_is_read_and_never_written(tenant: Tenant) -> None:
    """Where nothing lies it is not Ready, because nothing may be written; where a storage lies it is, and stays as it was."""
    tenant.storage("reads", accessMode="ReadOnly")
    tenant.wait("backupstorages", "reads", "Ready", "False", reason="StorageReadOnly")
    assert tenant.store.keys(tenant.bucket) == []

    tenant.storage()
    tenant.wait("backupstorages", "main", "Ready")
    before = tenant.store.keys(tenant.bucket)
    tenant.api.patch(
        "backupstorages", "reads", tenant.name, {"metadata": {"annotations": {"dbcustody.dev/check-now": "again"}}}
    )
    tenant.wait("backupstorages", "reads", "Ready")

    assert tenant.store.keys(tenant.bucket) == before


def test_storage_in_a_volume_becomes_ready(tenant: Tenant, tmp_path: Path) -> None:
    """A claim on a static volume is used by one node at a time and says so; without its claim the pod is not scheduled and says why."""
    claim(tenant, tmp_path)
    spec = {"volume": {"claimName": "disk", "path": "backups"}, **keyring("keys")}
    tenant.make("BackupStorage", "main", spec)
    tenant.make("BackupStorage", "lost", {"volume": {"claimName": "lost"}, **keyring("keys")})

    body = tenant.wait("backupstorages", "main", "Ready")
    lost = tenant.wait("backupstorages", "lost", "Ready", "False", reason="PodNotScheduled")

    assert (body["status"]["kind"], body["status"]["sharing"]) == ("Volume", "OneNode")
    assert (tmp_path / "backups" / "dbcustody.json").exists()
    assert "persistentvolumeclaim" in conditions(lost)["Ready"]["message"]


def test_claim_for_one_pod_is_refused(tenant: Tenant, tmp_path: Path) -> None:
    """ReadWriteOncePod could not be probed while a backup runs; no Job is made for it."""
    claim(tenant, tmp_path, mode="ReadWriteOncePod")
    tenant.make("BackupStorage", "main", {"volume": {"claimName": "disk"}, **keyring("keys")})

    body = tenant.wait("backupstorages", "main", "Ready", "False", reason="InvalidSpec")

    assert "ReadWriteOncePod" in conditions(body)["Ready"]["message"]
    assert tenant.jobs("probe") == []


def test_resources_come_back_from_the_bucket(housed: Tenant) -> None:
    """Somebody deleted every Backup resource: with `importBackups` they are there again, and say what the storage says."""
    tenant = housed
    for name in ("monday", "tuesday"):
        tenant.backup(name)
        tenant.succeeded(name)
    told = {name: tenant.get("backups", name)["status"]["artefact"] for name in ("monday", "tuesday")}
    for name in told:
        tenant.api.delete("backups", name, tenant.name)
    tenant.until(lambda: not tenant.names("backups"), "the resources are gone")
    patch = [{"op": "add", "path": "/spec/importBackups", "value": True}]
    tenant.api.patch("backupstorages", "main", tenant.name, patch)
    for name, artefact in told.items():
        tenant.until(lambda name=name: name in tenant.names("backups"), f"{name} is there again")
        body = tenant.succeeded(name)
        assert body["spec"]["origin"] == "Imported"
        assert body["status"]["artefact"]["manifestSha256"] == artefact["manifestSha256"]
    assert tenant.jobs("settle")
    assert tenant.jobs("backup") == []
