"""Restores as people file them: planned, carried out by real Jobs beside what runs, checked, remembered, cancelled, and killed."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ground.proxy import Fault, Proxy, Where
from scene.evidence import conditions
from scene.shop import ROWS
from scene.tenant import TRUTH_SECONDS
from scene.victim import kill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from scene.api import Json
    from scene.deployment import Deployment
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]
BY_BACKUP = {"backupRef": {"name": "monday"}}
_CONTENT = (
    "SELECT (SELECT count(*) FROM customers), (SELECT sum(hashtext(c::text)) FROM customers c),"
    " (SELECT sum(hashtext(o::text)) FROM orders o), (SELECT sum(hashtext(i::text)) FROM billing.invoices i),"
    " (SELECT count(*) FROM pg_largeobject_metadata), (SELECT count(*) FROM spent)"
)


@pytest.fixture
def backed_up(tenant: Tenant) -> Tenant:
    """Return the tenant with the good Backup `monday`, and a role that may restore it."""
    tenant.secret("shop-restorer", **tenant.shop.restorer)
    tenant.database(restored_by="shop-restorer")
    tenant.storage()
    tenant.until_ready()
    tenant.backup("monday")
    tenant.succeeded("monday")
    return tenant


def again(tenant: Tenant) -> str:
    """Return the name of the new database."""
    return f"{tenant.shop.name}_again"


def content(tenant: Tenant, database: str) -> Any:
    """Return what is in the shop's tables in *database*, as its owner sees it."""
    shop = tenant.shop
    with shop.server.connect(database, user=shop.name, password=shop.password) as connection:
        return connection.execute(_CONTENT.encode()).fetchone()


def databases(tenant: Tenant) -> list[str]:
    """Return the databases of the server that are called after the shop."""
    rows = tenant.shop.server.execute("SELECT datname FROM pg_database ORDER BY 1")
    return [name for (name,) in rows if name.startswith(tenant.shop.name)]


def verdict(body: Json) -> tuple[str, str]:
    """Return whether the request succeeded, and why."""
    said = conditions(body)["Succeeded"]
    return said["status"], said["reason"]


def ended(tenant: Tenant, name: str, *, seconds: float = 120) -> Json:
    """Return the request once it is over."""
    return tenant.wait("restorerequests", name, "Finished", seconds=seconds)


def test_a_backup_comes_back_beside_what_runs(backed_up: Tenant) -> None:
    """The data is lost, the restore brings it back equal and usable under a new name, and what ran is not touched."""
    shop, new = backed_up.shop, again(backed_up)
    before = content(backed_up, shop.name)
    shop.execute("TRUNCATE billing.invoices", "DELETE FROM orders WHERE id > 10")
    damaged = content(backed_up, shop.name)
    asked = [{"name": "orders", "query": "SELECT count(*) > 1000 FROM orders", "expect": "true"}]
    backed_up.restore("again", BY_BACKUP, new, checks={"sql": asked})
    body = ended(backed_up, "again")

    assert verdict(body) == ("True", "Succeeded"), conditions(body)
    assert body["status"]["checks"]["assertions"] == 1
    assert content(backed_up, new) == before
    assert content(backed_up, shop.name) == damaged
    status = body["status"]
    assert (status["checks"]["rows"], status["source"], status["target"]) == (ROWS, "monday", f"shop/{new}")
    assert (
        status["backup"]["manifestSha256"] == backed_up.get("backups", "monday")["status"]["artefact"]["manifestSha256"]
    )
    assert status["progress"]["summary"] == "Done"
    steps = ("SourceVerified", "TargetSafe", "Restored", "ErasuresReplayed", "ChecksPassed")
    assert {conditions(body)[step]["status"] for step in steps} == {"True"}
    with shop.server.connect(new, user=shop.name, password=shop.password) as connection:
        connection.execute("INSERT INTO customers (name) VALUES ('new')")
        connection.execute("INSERT INTO orders (customer, total) SELECT max(id), 1 FROM customers")
        assert connection.execute("SELECT nextval('lone')").fetchone() == (41,)
    told = {
        one["reason"]
        for one in backed_up.api.list("events", backed_up.name)
        if one["involvedObject"]["name"] == "again"
    }
    assert "Succeeded" in told


def test_a_request_that_is_deleted_and_filed_again_repeats_nothing(backed_up: Tenant) -> None:
    """As when a GitOps tool, or a new cluster, applies everything once more: what was written since stays."""
    shop, new = backed_up.shop, again(backed_up)
    backed_up.restore("again", BY_BACKUP, new)
    assert verdict(ended(backed_up, "again")) == ("True", "Succeeded")
    with shop.server.connect(new, user=shop.name, password=shop.password) as connection:
        connection.execute("INSERT INTO customers (name) VALUES ('written since')")
    changed = content(backed_up, new)
    backed_up.api.delete("restorerequests", "again", backed_up.name)
    backed_up.until(lambda: "again" not in backed_up.names("restorerequests"), "the request is gone")
    backed_up.restore("again", BY_BACKUP, new)

    assert verdict(ended(backed_up, "again")) == ("True", "Adopted")
    assert content(backed_up, new) == changed
    backed_up.restore("another", BY_BACKUP, new)
    assert verdict(ended(backed_up, "another")) == ("False", "TargetExists")
    assert content(backed_up, new) == changed


def test_a_bucket_is_all_that_is_left(backed_up: Tenant, tenancy: Callable[[], AbstractContextManager[Tenant]]) -> None:
    """Another namespace that knows bucket, keys and the custody's name, and may only read: the newest good backup comes back."""
    old, new = backed_up, again(backed_up)
    with tenancy() as heir:
        heir.bucket, heir.key = old.bucket, old.key
        heir.secret("keys", k2026=old.key)
        heir.secret("shop-restorer", **old.shop.restorer)
        heir.database(restored_by="shop-restorer")
        heir.storage(accessMode="ReadOnly")
        heir.until_ready()
        before = old.store.keys(old.bucket)
        source = {"storageRef": {"name": "main"}, "custodyId": f"{old.name}.shop"}
        heir.restore("again", source, new)
        body = ended(heir, "again")

        assert verdict(body) == ("True", "Succeeded"), conditions(body)
        assert body["status"]["source"] == "monday"
        assert content(old, new) == content(old, old.shop.name)
        assert old.store.keys(old.bucket) == before


@pytest.mark.parametrize(
    ("spoil", "reason", "helps"),
    [
        pytest.param("no-right", "PrivilegesMissing", "CREATEDB;", id="no right to create databases"),
        pytest.param("no-member", "PrivilegesMissing", "GRANT ", id="no member of the owner"),
        pytest.param("too-long", "InvalidSpec", "63 bytes", id="name too long"),
        pytest.param("wrong-key", "KeyMismatch", "k2026", id="wrong key"),
    ],
)
def test_what_stands_in_the_way_is_told_and_nothing_is_made(
    backed_up: Tenant, spoil: str, reason: str, helps: str
) -> None:
    """The plan says what is missing, in words that can be pasted, before anything is touched."""
    shop, new = backed_up.shop, again(backed_up)
    if spoil == "no-right":
        shop.server.execute(f"ALTER ROLE {shop.name}_restorer NOCREATEDB")
    elif spoil == "no-member":
        shop.server.execute(f"REVOKE {shop.name} FROM {shop.name}_restorer")
    elif spoil == "wrong-key":
        backed_up.secret("keys", k2026=secrets.token_bytes(32))
    else:
        new = "ø" * 40
    before = databases(backed_up)
    backed_up.restore("again", BY_BACKUP, new)
    body = ended(backed_up, "again")

    assert verdict(body) == ("False", reason), conditions(body)
    assert helps in conditions(body)["Succeeded"]["message"]
    assert conditions(body)["Stalled"]["status"] == "True"
    assert databases(backed_up) == before


def test_a_server_without_the_roles_can_be_given_them(backed_up: Tenant) -> None:
    """The shop's owner was renamed since: told as missing, and created without a password where that is wished."""
    shop, new = backed_up.shop, again(backed_up)
    shop.server.execute(
        f"ALTER ROLE {shop.name}_restorer SUPERUSER", f"ALTER ROLE {shop.name} RENAME TO {shop.name}_renamed"
    )
    backed_up.restore("first", BY_BACKUP, new)
    assert verdict(ended(backed_up, "first")) == ("False", "RolesMissing")
    backed_up.restore("second", BY_BACKUP, new, missingRoles="Create")
    body = ended(backed_up, "second")

    assert verdict(body) == ("True", "Succeeded"), conditions(body)
    assert body["status"]["plan"]["rolesToCreate"] == [shop.name]
    owner = f"SELECT rolname FROM pg_database d JOIN pg_roles r ON r.oid = datdba WHERE datname = '{new}'"  # noqa: S608 - our own name
    assert shop.server.execute(owner) == [(shop.name,)]


@contextmanager
def held_up(tenancy: Callable[[], AbstractContextManager[Tenant]]) -> Iterator[tuple[Tenant, Proxy]]:
    """Yield a tenant whose requests to the storage pass a proxy, with the good Backup `monday`."""
    with tenancy() as tenant:
        store = tenant.store
        with Proxy(store.host, store.port, address=store.host) as between:
            tenant.secret("shop-restorer", **tenant.shop.restorer)
            tenant.database(restored_by="shop-restorer")
            tenant.storage(s3={"endpoint": between.url})
            tenant.until_ready()
            tenant.backup("monday")
            tenant.succeeded("monday")
            yield tenant, between


def restore_held_up(tenant: Tenant, between: Proxy, new: str) -> Fault:
    """File the restore and hold up its rows: the database *new* is made then, and nothing is in it yet.

    The archive's head is read before that, by the plan and by the restore, as often as they like.
    """
    fault = between.add(Fault(r"GET .*/whole\.pgc", where=Where.ANSWER, holds=True))
    tenant.restore("again", BY_BACKUP, new)
    while True:
        assert fault.struck.wait(100), between.requests[-20:]
        if new in databases(tenant):
            return fault
        following = between.add(Fault(r"GET .*/whole\.pgc", where=Where.ANSWER, holds=True))
        fault.release.set()
        fault = following


def worker(tenant: Tenant, request: str) -> Json:
    """Return the running pod of the restore."""

    def running() -> Json | None:
        pods = tenant.api.list(
            "pods", tenant.name, labelSelector=f"dbcustody.dev/request={request},dbcustody.dev/verb=restore"
        )
        return next((pod for pod in pods if pod["status"].get("phase") == "Running"), None)

    found: Json = tenant.until(running, f"a pod of {request} runs")
    return found


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("how", ["cancelled", "killed", "deleted"])
def test_a_restore_that_is_ended_in_the_middle_leaves_nothing(
    tenancy: Callable[[], AbstractContextManager[Tenant]], how: str
) -> None:
    """While rows are loaded: cancel, SIGKILL of the worker, deletion of the request; within a minute nothing is left, and that is said.

    The storage is held for as long: a restore that could go on might be done before it is ended.
    """
    with held_up(tenancy) as (tenant, between):
        new, before = again(tenant), databases(tenant)
        restore_held_up(tenant, between, new)
        if how == "killed":
            assert kill(worker(tenant, "again")) > 0
        elif how == "cancelled":
            patch = [{"op": "add", "path": "/spec/cancel", "value": True}]
            tenant.api.patch("restorerequests", "again", tenant.name, patch)
        else:
            tenant.api.delete("restorerequests", "again", tenant.name)

        if how == "deleted":
            tenant.until(lambda: databases(tenant) == before, "the database is gone", seconds=TRUTH_SECONDS)
        else:
            body = ended(tenant, "again", seconds=TRUTH_SECONDS)
            reason = "Cancelled" if how == "cancelled" else "JobLost"
            assert verdict(body) == ("False", reason), conditions(body)
            assert conditions(body)["Restored"]["status"] == "False"
            assert databases(tenant) == before


def test_a_restore_survives_the_operator(
    operator: Deployment, tenancy: Callable[[], AbstractContextManager[Tenant]]
) -> None:
    """Both replicas are killed while rows are loaded; whoever comes next takes up what the Job says."""
    with held_up(tenancy) as (tenant, between):
        new = again(tenant)
        fault = restore_held_up(tenant, between, new)
        for pod in operator.pods():
            kill(pod)
        fault.release.set()
        operator.wait_ready(seconds=90)
        body = ended(tenant, "again", seconds=TRUTH_SECONDS)

        assert verdict(body) == ("True", "Succeeded"), conditions(body)
        assert content(tenant, new) == content(tenant, tenant.shop.name)
        assert len(tenant.jobs("restore")) == 1
