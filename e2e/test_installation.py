"""An installation that can be trusted: the chart from nothing, away and back again, over what older versions left, and gone for good.

The cluster has nothing of ours in it when each test begins; tests that share a release stand in their order.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from dbcustody.naming import FINALIZER, GROUP
from ground.image import Image, application_image
from ground.kubernetes import Cluster
from ground.postgres import PostgresServer
from ground.process import wait_until
from ground.s3 import S3Server
from scene.api import Api, ApiError
from scene.evidence import OPERATOR_NAMESPACE, collect, conditions
from scene.frozen import BUCKET, KEY, SPACE, Frozen, neighbours, secret_of
from scene.release import Release
from scene.shop import Shop
from scene.tenant import Tenant

if TYPE_CHECKING:
    from collections.abc import Iterator

    Json = Any

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]
COMMAND: Final = Path(sys.executable).parent / "dbcustody"
LOOKING: Final = {"inspect", "probe", "prune"}
"""What an operator does again and again; anything else is done once for each wish."""


@pytest.fixture(scope="module")
def ground() -> Iterator[Release]:
    """Yield a release that is not installed, in a cluster of its own whose node has the image."""
    image: Image = application_image()
    with Cluster(f"installation-{os.environ.get('PYTEST_XDIST_WORKER', 'one')}") as cluster:
        cluster.load(image.archive)
        api = Api(cluster)
        made = Release(cluster, api, image)
        made.make_namespace()
        yield made
        api.close()


@pytest.fixture(scope="module")
def server(ground: Release) -> Iterator[PostgresServer]:
    """Yield a PostgreSQL that pods can reach."""
    with PostgresServer(17, host=ground.cluster.network.machine_address) as started:
        yield started


@pytest.fixture(scope="module")
def store(ground: Release) -> Iterator[S3Server]:
    """Yield an S3 server that pods can reach."""
    with S3Server(host=ground.cluster.network.machine_address) as started:
        yield started


@pytest.fixture(scope="module")
def tenant(ground: Release, server: PostgresServer, store: S3Server) -> Tenant:
    """Return a namespace with a database and a bucket, before there is an operator."""
    shop = Shop(server, "shop_tenant")
    shop.build()
    made = Tenant(ground.api, "tenant", shop, store, store.make_bucket("tenant"))
    made.settle_in()
    return made


def seen(tenant: Tenant) -> Json:
    """Return what must not change when nothing is asked for: Backups, RestoreRequests, and every Job that is not looking."""
    kept = {
        plural: {body["metadata"]["uid"]: said(body) for body in tenant.api.list(plural, tenant.name)}
        for plural in ("backups", "restorerequests")
        if tenant.api.get("customresourcedefinitions", f"{plural}.{GROUP}") is not None
    }
    return {**kept, "jobs": works(tenant), "data": data(tenant)}


def check_that_nothing_ran(tenant: Tenant, before: Json, *, but: frozenset[str] = frozenset()) -> None:
    """Fail unless all that was *seen* before is as it was, and no Job is new that does what is done once, *but* of these verbs."""
    after = seen(tenant)
    for plural in {"backups", "restorerequests"} & before.keys():
        for uid, verdicts in before[plural].items():
            assert verdicts.items() <= after[plural][uid].items()
    new = [text for uid, text in after["jobs"].items() if uid not in before["jobs"] and text.split()[0] not in but]
    assert new == [], collect(tenant.api, tenant.name)
    assert before["data"] <= after["data"]


def said(body: Json) -> Json:
    """Return every condition of a resource that is over, with the time since when."""
    return {kind: (one["status"], one["reason"], one["lastTransitionTime"]) for kind, one in conditions(body).items()}


def works(tenant: Tenant) -> dict[str, str]:
    """Return name and verb of every Job that does what is done once, by its uid."""
    jobs = [job["metadata"] for job in tenant.api.list("jobs", tenant.name)]
    told = {job["uid"]: f"{job['labels'][f'{GROUP}/verb']} {job['name']}" for job in jobs}
    return {uid: text for uid, text in told.items() if text.split()[0] not in LOOKING}


def data(tenant: Tenant) -> set[str]:
    """Return the objects of the bucket that hold backups."""
    return {key for key in tenant.store.keys(tenant.bucket) if "/backups/" in key}


def test_from_nothing_to_a_ready_database(ground: Release, tenant: Tenant) -> None:
    """In a namespace under the `restricted` profile: both replicas, a Database, a backup."""
    ground.install()
    ground.operator.wait_ready()
    tenant.database()
    tenant.storage()
    tenant.until_ready()
    tenant.policy(retention={"keepLast": 10})  # of one day, the default keeps the last one
    tenant.wait("backuppolicies", "nightly", "Ready")
    tenant.backup("kept", policy="nightly")
    tenant.backup("doomed", deletionPolicy="Delete")
    for name in ("kept", "doomed"):
        tenant.succeeded(name)
    warned = [one["message"] for one in ground.api.list("events", OPERATOR_NAMESPACE) if one["type"] == "Warning"]
    assert [one for one in warned if "violates PodSecurity" in one] == []


def test_uninstalled_and_installed_again_nothing_is_repeated(ground: Release, tenant: Tenant) -> None:
    """CRDs, resources and data stay; the next installation goes on with them."""
    before = seen(tenant)
    ground.uninstall()
    assert ground.api.list("pods", OPERATOR_NAMESPACE) == []
    assert seen(tenant) == before
    assert len(before["backups"]) == 2
    assert tenant.names("cronjobs") == tenant.names("backuppolicies") == ["nightly"]

    ground.install("--take-ownership")
    ground.operator.wait_ready()
    tenant.api.patch("databases", "shop", tenant.name, {"metadata": {"annotations": {f"{GROUP}/check-now": "again"}}})
    tenant.until_ready()
    tenant.backup("after", policy="nightly")
    tenant.succeeded("after")
    check_that_nothing_ran(tenant, before, but=frozenset({"backup"}))
    (work,) = set(works(tenant).values()) - set(before["jobs"].values())
    assert work.startswith("backup after-")


def release_finalizers(ground: Release, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `dbcustody uninstall --release-finalizers` as the administrator."""
    return subprocess.run(
        [COMMAND, "uninstall", "--release-finalizers", *words],
        env={**os.environ, **ground.cluster.environment},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_without_an_operator_everything_can_go(ground: Release, tenant: Tenant) -> None:
    """Beside a living one it is refused; afterwards a namespace ends whose Backup waited for an operator, and the data stays."""
    refused = release_finalizers(ground, "-n", tenant.name, "--yes")
    assert refused.returncode == 1
    assert f"an operator is alive (Lease {OPERATOR_NAMESPACE}/dbcustody-operator: " in refused.stderr
    before = data(tenant)
    ground.uninstall()
    ground.api.delete("namespaces", tenant.name)
    assert wait_until(lambda: _is_stuck(tenant), 180), collect(tenant.api, tenant.name)
    assert wait_until(lambda: "--yes" in release_finalizers(ground, "-n", tenant.name).stderr, 180, pause_seconds=2)
    assert tenant.get("backups", "doomed")["metadata"]["finalizers"] == [FINALIZER]

    done = release_finalizers(ground, "-n", tenant.name, "--yes")

    assert (done.returncode, done.stdout) == (0, f"{tenant.name}/backup/doomed\n")
    assert f"{tenant.name}/backup/doomed: goes at once; the data stays in " in done.stderr
    assert wait_until(lambda: ground.api.get("namespaces", tenant.name) is None, 180)
    assert data(tenant) == before
    take_away(ground)


def _is_stuck(tenant: Tenant) -> bool:
    found = tenant.api.get("backups", "doomed", tenant.name) or {"metadata": {}}
    return "deletionTimestamp" in found["metadata"] and tenant.names("backups") == ["doomed"]


def take_away(ground: Release) -> None:
    """Take the CRDs away, so that the next test finds nothing."""
    names = [one["metadata"]["name"] for one in ground.api.list("customresourcedefinitions")]
    for name in names:
        ground.api.delete("customresourcedefinitions", name)
    assert wait_until(lambda: ground.api.list("customresourcedefinitions") == [], 60)


@pytest.fixture
def thawed(
    ground: Release, server: PostgresServer, store: S3Server, request: pytest.FixtureRequest
) -> Iterator[tuple[Frozen, Tenant]]:
    """Yield an older version's cluster and bucket, with the database that it looked after; they are gone afterwards."""
    frozen = Frozen(request.param)
    shop = Shop(server, "shop")
    server.execute(f"CREATE ROLE shop LOGIN CREATEDB PASSWORD '{shop.password}'", "CREATE DATABASE shop OWNER shop")
    frozen.fill(store)
    yield frozen, Tenant(ground.api, SPACE, shop, store, BUCKET, KEY)
    ground.uninstall()
    release_finalizers(ground, "-n", SPACE, "--yes", "--force")
    ground.api.delete("namespaces", SPACE)
    assert wait_until(lambda: ground.api.get("namespaces", SPACE) is None, 60)
    take_away(ground)
    for name in ("shop", "shop_after"):
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    server.execute("DROP ROLE shop")
    with closing(store.client()) as client:
        for key in store.keys(BUCKET):
            client.delete_object(Bucket=BUCKET, Key=key)
        client.delete_bucket(Bucket=BUCKET)


def settle(ground: Release, frozen: Frozen, tenant: Tenant) -> None:
    """Put into the cluster what the older version had made there, once its CRDs are served."""
    tenant.settle_in()
    tenant.secret("shop-app", **secret_of(tenant.shop))
    ports = {"store_port": tenant.store.port, "database_port": tenant.shop.server.port}
    ground.cluster.kubectl("apply", "-f", "-", stdin=neighbours(tenant.store.host, **ports))
    for crd in frozen.crds():
        name = crd["metadata"]["name"]
        assert wait_until(lambda name=name: _is_served(ground, name), 30), name  # type: ignore[misc]
    frozen.thaw(ground.cluster)


def _is_served(ground: Release, name: str) -> bool:
    """Return whether resources can be read: a CRD that was changed a moment ago answers 429 until it can."""
    crd = ground.api.get("customresourcedefinitions", name) or {}
    if conditions(crd).get("Established", {}).get("status") != "True":
        return False
    try:
        return ground.api.list(name.partition(".")[0]) == []
    except ApiError:
        return False


@pytest.mark.parametrize(
    "thawed", ["before-restores", pytest.param("first-chart", marks=pytest.mark.slow)], indirect=True
)
def test_an_older_version_is_upgraded(ground: Release, thawed: tuple[Frozen, Tenant], tmp_path: Path) -> None:
    """Nothing runs again, every verdict stands, and the run that nobody saw is recorded: by its Job, as the older version wrote it."""
    frozen, tenant = thawed
    is_release = frozen.name == "first-chart"
    if is_release:
        ground.install(chart=frozen.chart(tmp_path / "chart"))
    else:
        ground.cluster.kubectl("apply", "-n", OPERATOR_NAMESPACE, "-f", str(frozen.folder / "install.yaml"))
    settle(ground, frozen, tenant)
    before, cron_job = seen(tenant), tenant.get("cronjobs", "nightly")
    recorded = set(tenant.names("backups"))
    (unseen,) = {job["metadata"]["name"] for job in tenant.jobs("backup")} & _unrecorded(tenant)

    if is_release:
        ground.upgrade()
    else:  # its selector is another one, and Kubernetes changes no Deployment's
        ground.api.delete("deployments", "dbcustody-operator", OPERATOR_NAMESPACE)
        ground.install("--take-ownership", "--force-conflicts")
    ground.operator.wait_ready(seconds=120)
    tenant.until(lambda: unseen in tenant.names("backups"), "the run that nobody saw is recorded")
    tenant.succeeded(unseen)
    tenant.until_ready()
    tenant.wait("backuppolicies", "nightly", "Ready")

    assert set(tenant.names("backups")) == {*recorded, unseen}
    check_that_nothing_ran(tenant, before)
    assert tenant.get("cronjobs", "nightly")["metadata"]["uid"] == cron_job["metadata"]["uid"]
    _check_that_the_operator_accepts(ground, frozen)
    _check_that_old_data_is_good(tenant)
    check_that_nothing_ran(tenant, before, but=frozenset({"plan-restore", "restore"}))


def _unrecorded(tenant: Tenant) -> set[str]:
    """Return the Jobs of the CronJob that no Backup stands for."""
    jobs = {job["metadata"]["name"] for job in tenant.jobs("backup") if _owner(job) == "CronJob"}
    return jobs - set(tenant.names("backups"))


def _owner(job: Json) -> str:
    (owner,) = job["metadata"]["ownerReferences"]
    return str(owner["kind"])


def _check_that_the_operator_accepts(ground: Release, frozen: Frozen) -> None:
    """Fail unless the CRDs of today know every field that stood in spec and status then, and take every value."""
    for body in frozen.resources():
        metadata = {name: body["metadata"][name] for name in ("name", "namespace")}
        old = json.dumps(
            {**{name: body[name] for name in ("apiVersion", "kind", "spec", "status")}, "metadata": metadata}
        )
        for words in ((), ("--subresource=status",)):
            ground.cluster.kubectl(
                "replace",
                "--dry-run=server",
                "--validate=strict",
                *words,
                "-f",
                "-",
                stdin=old,
            )


def _check_that_old_data_is_good(tenant: Tenant) -> None:
    """Fail unless a backup of the older version is restored by this one."""
    tenant.restore("after", {"backupRef": {"name": "by-policy"}}, "shop_after")
    tenant.wait("restorerequests", "after", "Succeeded")
    assert tenant.shop.server.execute("SELECT count(*) FROM customers", database="shop_after") == [(40,)]
