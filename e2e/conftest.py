"""One cluster for the whole session with our CRDs, image and operator in it, real servers beside it, and a namespace for each test."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from ground.cache import REPOSITORY
from ground.image import Image, application_image
from ground.kubernetes import Cluster
from ground.postgres import PostgresServer
from ground.process import wait_until
from ground.s3 import S3Server
from scene.api import Api
from scene.evidence import conditions
from scene.release import Release
from scene.shop import Shop
from scene.storehouse import Storehouse
from scene.tenant import Tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from scene.deployment import Deployment


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run first what needs no operator: once it is installed, it answers every resource that a test makes.

    Workers take whole files in this order, those that may take longest first, and each has a cluster of its own.
    """
    patience_seconds: Counter[Path] = Counter()
    for item in items:
        patience_seconds[item.path] += _timeout_seconds(item)
    items.sort(key=lambda item: (_has_operator(item), -patience_seconds[item.path], item.path))


def _has_operator(item: pytest.Item) -> bool:
    return "deployment" in getattr(item, "fixturenames", ())


def _timeout_seconds(item: pytest.Item) -> int:
    """Return how long the test may take before it is broken off."""
    mark = item.get_closest_marker("timeout")
    return int(mark.args[0] if mark is not None else item.config.getini("timeout"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Yield the cluster, with our resources served."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    with Cluster(f"e2e-{worker}" if worker else "e2e") as started:
        started.kubectl("apply", "-f", str(REPOSITORY / "crds"))
        yield started


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Iterator[Api]:
    """Yield the administrator's connection to the API server, once all of our resources are established."""
    connection = Api(cluster)

    def established() -> bool:
        found = connection.list("customresourcedefinitions")
        return all(conditions(body).get("Established", {}).get("status") == "True" for body in found)

    assert wait_until(established, 30)
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def image(cluster: Cluster) -> Image:
    """Return our image as the code is now; the node has it."""
    built = application_image()
    cluster.load(built.archive)
    return built


@pytest.fixture(scope="session")
def deployment(cluster: Cluster, api: Api, image: Image) -> Deployment:
    """Return the operator, installed once by the chart as any release is, and running with both replicas.

    The CRDs are there already, for tests that need no operator; the release takes them over. The network of this cluster enforces no
    NetworkPolicy: it is applied, and nothing is proven by that but that the API server takes it.
    """
    release = Release(cluster, api, image)
    release.make_namespace()
    release.install("--take-ownership", "--set", "networkPolicy.enabled=true")
    release.operator.wait_ready()
    return release.operator


@pytest.fixture
def operator(deployment: Deployment) -> Deployment:
    """Return the operator, with both replicas ready now, whatever the test before did to it."""
    deployment.replace_punished()
    deployment.wait_ready(seconds=90)
    return deployment


@pytest.fixture(scope="session")
def server(cluster: Cluster) -> Iterator[PostgresServer]:
    """Yield a PostgreSQL 17 that pods can reach."""
    with PostgresServer(17, host=cluster.network.machine_address) as started:
        yield started


@pytest.fixture(scope="session")
def store(cluster: Cluster) -> Iterator[S3Server]:
    """Yield an S3 server that pods can reach, without TLS so that a proxy can look at the requests."""
    with S3Server(host=cluster.network.machine_address) as started:
        yield started


@pytest.fixture(scope="session")
def tenancy(
    deployment: Deployment, server: PostgresServer, store: S3Server
) -> Callable[[], AbstractContextManager[Tenant]]:
    """Return what makes a tenant for as long as a `with` block lasts."""

    @contextmanager
    def make() -> Iterator[Tenant]:
        word = secrets.token_hex(4)
        shop = Shop(server, f"shop_{word}")
        shop.build()
        tenant = Tenant(deployment.api, f"tenant-{word}", shop, store, store.make_bucket(f"bucket-{word}"))
        tenant.settle_in()
        yield tenant
        tenant.leave()

    return make


@pytest.fixture
def tenant(
    operator: Deployment,  # noqa: ARG001 - it must work before anybody asks it for anything
    tenancy: Callable[[], AbstractContextManager[Tenant]],
) -> Iterator[Tenant]:
    """Yield a namespace with a database and a bucket of its own, and no resource in it."""
    with ExitStack() as stack:
        yield stack.enter_context(tenancy())


@pytest.fixture
def housed(tenant: Tenant) -> Tenant:
    """Return the tenant with a Database and a BackupStorage that are Ready."""
    tenant.database()
    tenant.storage()
    tenant.until_ready()
    return tenant


@pytest.fixture
def storehouse(tenant: Tenant) -> Iterator[Storehouse]:
    """Yield what lies in the tenant's bucket for its database."""
    with closing(Storehouse(tenant.store, tenant.bucket, f"{tenant.name}.shop")) as house:
        yield house


@pytest.fixture
def migrated(tenant: Tenant) -> Tenant:
    """Return the tenant with a Database that is ready."""
    tenant.database()
    tenant.wait("databases", "shop", "Ready")
    return tenant
