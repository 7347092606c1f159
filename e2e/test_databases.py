"""Databases on the real cluster: what is found of a good one, what is said of a bad one, and that a correction needs no touch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ground.certificate import Authority
from scene.evidence import conditions
from scene.tenant import TRUTH_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from scene.deployment import Deployment
    from scene.tenant import Tenant

pytestmark = pytest.mark.cluster


class Bad(NamedTuple):
    """A Secret or a connection that cannot work, and what has to be said of it."""

    reason: str
    says: str
    connection: dict[str, Any]
    secret: dict[str, str | None] | None = {}  # noqa: RUF012 - read only
    """What differs from the right Secret, None for a key that is not there; None: there is no Secret at all."""


KEYS = ("host", "port", "dbname", "username", "password")
NO_KEY: dict[str, str | None] = dict.fromkeys(KEYS)
AUTHORITY = {"mode": "VerifyFull", "caSecretRef": {"name": "authority", "key": "ca.crt"}}
BAD = {
    "wrong-password": Bad("AuthenticationFailed", "password", {}, {"password": "canary-wrong-password"}),
    "wrong-host": Bad("HostUnreachable", "nowhere.invalid", {"host": "nowhere.invalid"}),
    "wrong-port": Bad("HostUnreachable", "refused", {"port": 1}),
    "wrong-database": Bad("DatabaseMissing", "no_such_database", {"database": "no_such_database"}),
    "no-secret": Bad("SecretNotFound", "Secret 'secret-no-secret'", {}, None),
    "empty-secret": Bad("SecretNotFound", "Secret 'secret-empty-secret': is missing or empty", {}, NO_KEY),
    "empty-values": Bad("SecretNotFound", "Secret 'secret-empty-values': is missing or empty", {}, dict.fromkeys(KEYS, "")),
    "empty-host": Bad("SecretKeyMissing", "has no host", {}, {"host": ""}),
    "no-password": Bad("AuthenticationFailed", "password", {}, {"password": None}),
    "empty-password": Bad("AuthenticationFailed", "password", {}, {"password": ""}),
    "no-convention": Bad("ConventionUnknown", "keyMap", {}, {**NO_KEY, "riddle": "x"}),
    "no-tls": Bad("TLSFailed", "SSL", {"tls": {"mode": "Require"}}),
    "no-ca-key": Bad("SecretKeyMissing", "'ca.crt'", {"tls": AUTHORITY}),
    "empty-ca-key": Bad(
        "SecretKeyMissing", "'empty.crt', or an empty one", {"tls": {**AUTHORITY, "caSecretRef": {"name": "authority", "key": "empty.crt"}}}
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def bad(tenancy: Callable[[], AbstractContextManager[Tenant]]) -> Iterator[Tenant]:
    """Yield a tenant with every bad Database at once; they are inspected side by side, and again and again: the last to be asked for."""
    with tenancy() as tenant:
        tenant.secret("authority", **{"unrelated": "x", "empty.crt": ""})
        for name, case in BAD.items():
            if case.secret is not None:
                wanted = {**tenant.shop.secret, **case.secret}
                values = {key: text for key, text in wanted.items() if text is not None}
                tenant.secret(f"secret-{name}", **values)
            tenant.database(name, opened_by=f"secret-{name}", **case.connection)
        yield tenant


def test_good_database_becomes_ready_and_shows_its_columns(tenant: Tenant, operator: Deployment) -> None:
    """Version, size, identity and address stand in status and in what kubectl prints."""
    tenant.database()
    status = tenant.wait("databases", "shop", "Ready")["status"]
    table = operator.cluster.kubectl("get", "pgdb", "-n", tenant.name, "-o", "wide").splitlines()

    assert {kind: one["status"] for kind, one in conditions({"status": status}).items()} == {
        "Ready": "True",
        "Connected": "True",
        "VersionSupported": "True",
        "PrivilegesSufficient": "True",
    }
    assert status["endpoint"] == f"{tenant.shop.server.host}:{tenant.shop.server.port}"
    assert status["server"]["majorVersion"] == 17
    assert status["server"]["sizeBytes"] > 1_000_000
    assert table[0].split() == ["NAME", "READY", "HOST", "DATABASE", "VERSION", "SIZE", "LAST-BACKUP", "REASON", "AGE"]
    assert table[1].split()[:4] == ["shop", "True", status["endpoint"], tenant.shop.name]


def test_corrected_password_is_picked_up_without_touching_a_resource(tenant: Tenant) -> None:
    """The Secret changes, nothing else does, and the Database is Ready by itself within a minute."""
    tenant.secret("shop-app", **{**tenant.shop.secret, "password": "canary-wrong"})
    tenant.database()
    before = tenant.wait("databases", "shop", "Ready", "False", reason="AuthenticationFailed")

    tenant.secret("shop-app", **tenant.shop.secret)
    after = tenant.wait("databases", "shop", "Ready", seconds=TRUTH_SECONDS)

    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert "Stalled" not in conditions(after)


def test_rotated_password_is_used_by_the_next_run(housed: Tenant) -> None:
    """Password and Secret change while the Database is Ready; the next Backup takes the new one, and nothing was told about it."""
    housed.shop.change_password()
    housed.secret("shop-app", **housed.shop.secret)
    housed.backup("first")

    body = housed.succeeded("first")

    assert [one["verb"] for one in body["status"]["attempts"]] == ["backup"]
    assert housed.condition("databases", "shop", "Ready")["status"] == "True"


def test_check_now_inspects_at_once(tenant: Tenant) -> None:
    """A person who asks by annotation does not wait for the interval."""
    tenant.database()
    tenant.wait("databases", "shop", "Ready")
    tenant.shop.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")

    tenant.api.patch("databases", "shop", tenant.name, {"metadata": {"annotations": {"dbcustody.dev/check-now": "1"}}})

    def sees_extension() -> bool:
        server = tenant.get("databases", "shop")["status"]["server"]
        return "pg_trgm" in {one["name"] for one in server.get("extensions", ())}

    tenant.until(sees_extension, "the new extension stands in status", seconds=30)


def test_missing_rights_are_listed_as_ready_statements(tenant: Tenant) -> None:
    """A role that cannot read a table is told so with the SQL that mends it; once that was run, the Database is Ready by itself."""
    tenant.shop.execute("CREATE TABLE secret_table (id int)")
    tenant.shop.server.execute("ALTER TABLE secret_table OWNER TO postgres", database=tenant.shop.name)
    tenant.database()
    body = tenant.wait("databases", "shop", "Ready", "False", reason="PrivilegesMissing")
    statements = body["status"]["missingGrants"]
    tenant.shop.server.execute(*statements, database=tenant.shop.name)

    after = tenant.wait("databases", "shop", "Ready")

    assert any("secret_table" in statement for statement in statements)
    assert "missingGrants" not in after["status"]


def test_suspended_database_is_left_alone(tenant: Tenant) -> None:
    """No Job is made while `spec.suspend` is true, and the condition says why."""
    wanted = {"connection": {"secretRef": {"name": "shop-app"}, "tls": {"mode": "Disable"}}, "suspend": True}
    tenant.make("Database", "shop", wanted)
    tenant.wait("databases", "shop", "Ready", "Unknown", reason="Suspended")
    assert tenant.jobs("inspect") == []

    tenant.api.patch("databases", "shop", tenant.name, {"spec": {"suspend": False}})
    tenant.wait("databases", "shop", "Ready")


def test_wrong_authority_is_a_tls_failure(tenant: Tenant, tmp_path: Path) -> None:
    """Where a CA is named, a server without TLS is not taken for one with it."""
    tenant.secret("authority", **{"ca.crt": Authority(tmp_path).path.read_bytes()})
    tenant.database(tls=AUTHORITY)

    tenant.wait("databases", "shop", "Ready", "False", reason="TLSFailed")


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in BAD])
def test_bad_database_says_what_is_wrong(bad: Tenant, name: str) -> None:
    """The reason is the one that scripts match, the message names the culprit, and no password stands in it."""
    case = BAD[name]
    body = bad.wait("databases", name, "Ready", "False", reason=case.reason)

    found = conditions(body)
    assert case.says in found["Ready"]["message"]
    assert found["Ready"]["reason"] == case.reason
    assert found["Connected"]["status"] in {"False", "Unknown"}
    assert ("Stalled" in found) != ("Reconciling" in found)
    assert "canary" not in str(body["status"])
