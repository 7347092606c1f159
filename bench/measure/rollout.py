"""How long it takes from `kubectl apply` of a DatabaseMigration to Applied: one small revision, real Jobs, a Database that is Ready.

Each round adds a file to the ConfigMap's successor: a resource of its own with one more file, so that every round plans and runs.
"""

from __future__ import annotations

import secrets
import time
from typing import Final

from ground.image import application_image
from ground.kubernetes import Cluster
from ground.postgres import PostgresServer
from ground.s3 import S3Server
from measure.database import MAJOR
from measure.figure import Figure
from scene.api import Api
from scene.migrating import applied, source, spec
from scene.release import Release
from scene.shop import Shop
from scene.tenant import Tenant

MOST_SECONDS: Final = 8.0
_NAME: Final = "DatabaseMigration applied to Applied, one small revision, two real Jobs"


def measure(*, rounds: int) -> list[Figure]:
    """Return the seconds of each round, all in one cluster."""
    image = application_image()
    with Cluster("rollout") as cluster:
        cluster.load(image.archive)
        api, host = Api(cluster), cluster.network.machine_address
        release = Release(cluster, api, image)
        release.make_namespace()
        with PostgresServer(MAJOR, host=host) as server, S3Server(host=host) as store:
            shop = Shop(server, f"shop_{secrets.token_hex(4)}")
            shop.build()
            tenant = Tenant(api, "tenant", shop, store, store.make_bucket("bucket"))
            tenant.settle_in()
            release.install()
            tenant.database()
            tenant.wait("databases", "shop", "Ready")
            figures = tuple(_one(tenant, number) for number in range(rounds))
        api.close()
    return [Figure(_NAME, "s", figures, MOST_SECONDS, "most")]


def _one(tenant: Tenant, number: int) -> float:
    """Return the seconds of one resource, which has the files of those before it and one more."""
    name = f"round-{number}"
    files = {f"20260101_{one:06}_step.sql": f"create table step_{one} (id int)" for one in range(number + 1)}
    source(tenant, files, name)
    wanted = spec(source={"configMapRefs": [{"name": name}]})
    started = time.monotonic()
    tenant.make("DatabaseMigration", name, wanted)
    applied(tenant, f"20260101_{number:06}_step", name)
    return time.monotonic() - started
