"""How long it takes from `helm install` to the first Database that is Ready: a new cluster each time, both replicas, a real server.

The node has the image already (no registry is part of it), and the Secret is there; the Database is created when Helm has returned.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final

from ground.helm import program
from ground.image import application_image
from ground.kubernetes import Cluster
from ground.postgres import PostgresServer
from ground.s3 import S3Server
from measure.database import MAJOR
from measure.figure import Figure
from scene.api import Api
from scene.release import Release
from scene.shop import Shop
from scene.tenant import Tenant

if TYPE_CHECKING:
    from ground.image import Image

MOST_SECONDS: Final = 30.0
_NAME: Final = "chart install to first Ready Database, image already on the node"


def measure(*, rounds: int) -> list[Figure]:
    """Return the seconds, one cluster a round."""
    image = application_image()
    program()
    return [Figure(_NAME, "s", tuple(_one(image) for _ in range(rounds)), MOST_SECONDS, "most")]


def _one(image: Image) -> float:
    """Return the seconds in a new cluster."""
    with Cluster("installing") as cluster:
        cluster.load(image.archive)
        api, host = Api(cluster), cluster.network.machine_address
        release = Release(cluster, api, image)
        release.make_namespace()
        with PostgresServer(MAJOR, host=host) as server, S3Server(host=host) as store:
            shop = Shop(server, f"shop_{secrets.token_hex(4)}")
            shop.build()
            tenant = Tenant(api, "tenant", shop, store, store.make_bucket("bucket"))
            tenant.settle_in()
            started = time.monotonic()
            release.install()
            tenant.database()
            tenant.wait("databases", "shop", "Ready")
            seconds = time.monotonic() - started
        api.close()
    return seconds
