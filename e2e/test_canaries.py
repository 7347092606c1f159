"""Secrets and rows that were planted, and everything that can be read afterwards by people who have no business with them."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING

import pytest

from scene.evidence import OPERATOR_NAMESPACE, conditions
from scene.shop import CANARY
from scene.tenant import KEY_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scene.deployment import Deployment
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


def test_no_secret_and_no_row_is_to_be_read_anywhere(tenant: Tenant, operator: Deployment) -> None:
    """Good and bad runs alike leave no password, key, token or row value in objects, Events, logs and the bucket."""
    wrong = plant(tenant)
    tenant.policy(retention={"keepLast": 1, "keepDaily": 0, "keepWeekly": 0, "keepMonthly": 0})
    tenant.backup("first", policy="nightly")
    tenant.succeeded("first")
    tenant.wait("backuppolicies", "nightly", "RetentionEnforced")
    tenant.secret("restorer", **tenant.shop.restorer)
    tenant.database("restored", restored_by="restorer")
    question = {"name": "emails", "query": "SELECT min(email) FROM customers", "expect": "nobody"}
    for name, checks in (("good", []), ("asked", [question])):
        into = f"{tenant.shop.name}_{name}"
        tenant.restore(name, {"backupRef": {"name": "first"}}, into, on="restored", checks={"sql": checks})
        tenant.wait("restorerequests", name, "Finished")
    ends = [tenant.condition("restorerequests", name, "Succeeded")["reason"] for name in ("good", "asked")]
    assert ends == ["Succeeded", "ChecksFailed"]
    texts = dict(_everything(tenant, operator))

    assert len(texts) > 40
    assert _told(tenant, texts, wrong) == []


def test_no_secret_and_no_row_is_to_be_read_where_runs_fail(tenant: Tenant, operator: Deployment) -> None:
    """A dump that breaks at a row which the server quotes, and runs without the right password or keys: the reason is told, no value is."""
    wrong = plant(tenant)
    tenant.shop.spoil()
    tenant.backup("spoilt")
    tenant.backup("locked-out", databaseRef={"name": "bad"})
    tenant.backup("locked-out-by-url", databaseRef={"name": "bad-url"})
    tenant.make("Backup", "homeless", {"databaseRef": {"name": "shop"}, "storageRef": {"name": "bad"}})
    said = {name: conditions(tenant.finished(name))["Succeeded"] for name in tenant.names("backups")}
    texts = dict(_everything(tenant, operator))

    assert {name: one["reason"] for name, one in said.items()} == {
        "spoilt": "DumpFailed",
        "locked-out": "AuthenticationFailed",
        "locked-out-by-url": "AuthenticationFailed",
        "homeless": "StorageDenied",
    }
    assert '"spoilt" failed' in said["spoilt"]["message"]
    assert 'invalid input syntax for type integer: "…"' in said["spoilt"]["message"]
    assert sum(where.startswith("log of ") for where in texts) > 6
    assert _told(tenant, texts, wrong) == []


def plant(tenant: Tenant) -> str:
    """Make a good Database and a good BackupStorage, and bad ones that a wrong secret opens; returns it once all were looked at."""
    wrong = f"canary-wrong-{secrets.token_hex(8)}"
    tenant.secret("wrong", **{**tenant.shop.secret, "password": wrong})
    url = f"postgresql://{tenant.shop.name}:{wrong}@{tenant.shop.server.host}:{tenant.shop.server.port}/{tenant.shop.name}"
    tenant.secret("wrong-url", DATABASE_URL=url)
    tenant.secret("wrong-bucket", AWS_ACCESS_KEY_ID=tenant.store.access_key, AWS_SECRET_ACCESS_KEY=wrong)
    tenant.database()
    tenant.storage()
    tenant.database("bad", opened_by="wrong")
    tenant.database("bad-url", opened_by="wrong-url")
    tenant.storage("bad", s3={"credentialsSecretRef": {"name": "wrong-bucket"}, "prefix": "bad"})
    tenant.until_ready()
    for plural, name in (("databases", "bad"), ("databases", "bad-url"), ("backupstorages", "bad")):
        tenant.wait(plural, name, "Ready", "False")
    return wrong


def _told(tenant: Tenant, texts: dict[str, str], wrong: str) -> list[tuple[str, str]]:
    """Return where in *texts* a secret or a row can be read, and how it begins."""
    canaries = [
        tenant.shop.password,
        tenant.shop.restorer["password"],
        wrong,
        CANARY,
        tenant.store.secret_key,
        tenant.store.access_key,
        *_forms(tenant.key),
    ]
    return [(where, canary[:12]) for where, text in texts.items() for canary in canaries if canary in text]


def _forms(key: bytes) -> list[str]:
    return [base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode(), key.hex(), key.decode("latin-1")]


def _everything(tenant: Tenant, operator: Deployment) -> Iterator[tuple[str, str]]:
    """Yield everything that somebody without the right to read Secrets could read: objects, Events, logs, metrics, the bucket."""
    kinds = (
        "databases",
        "backupstorages",
        "backuppolicies",
        "backups",
        "restorerequests",
        "approvals",
        "jobs",
        "cronjobs",
        "pods",
        "events",
        "configmaps",
    )
    for plural in kinds:
        for body in tenant.api.list(plural, tenant.name):
            yield f"{plural}/{body['metadata']['name']}", json.dumps(body)
    for pod in tenant.api.list("pods", tenant.name):
        yield f"log of {pod['metadata']['name']}", tenant.api.log(pod["metadata"]["name"], tenant.name)
    yield "log of the operator", operator.logs()
    for pod in operator.pods():
        path = f"api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
        yield f"metrics of {pod['metadata']['name']}", tenant.api.ask("GET", path)
    for key in tenant.store.keys(tenant.bucket):
        path = tenant.store.file(tenant.bucket, key)
        yield f"object {key}", path.read_bytes().decode("latin-1")
    yield "key ids", KEY_ID
