"""How long after its Job has finished a Backup says Succeeded: the operator in its Deployment, one replica leading, real Job pods.

Both are watched from outside, over the API: from the moment at which the Job's condition is there for everybody to that of the Backup's.
"""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ground.cache import REPOSITORY
from ground.image import application_image
from ground.kubernetes import Cluster
from ground.postgres import PostgresServer
from ground.s3 import S3Server
from measure.database import MAJOR
from measure.figure import Figure
from scene.api import Api
from scene.deployment import Deployment
from scene.evidence import conditions
from scene.shop import Shop
from scene.tenant import Tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RUNS: Final = 10
MOST_MEDIAN_SECONDS: Final = 1.0
MOST_WORST_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 120.0


def measure(*, rounds: int) -> list[Figure]:
    """Return the seconds between the two, of ten backups or twice as many as *rounds*."""
    with _tenant() as tenant:
        seconds = tuple(_one(tenant, number) for number in range(max(RUNS, 2 * rounds)))
    return [
        Figure("Job finished until Backup Succeeded, median", "s", seconds, MOST_MEDIAN_SECONDS, "most"),
        Figure("Job finished until Backup Succeeded, worst", "s", seconds, MOST_WORST_SECONDS, "most", "worst"),
    ]


@contextmanager
def _tenant() -> Iterator[Tenant]:
    """Yield a tenant whose Database and BackupStorage are Ready, in a cluster with the operator in it."""
    with Cluster("latency") as cluster:
        cluster.kubectl("apply", "-f", str(REPOSITORY / "crds"))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        image, api, host = application_image(), Api(cluster), cluster.network.machine_address
        cluster.load(image.archive)
        Deployment(cluster, api, image).install()
        with PostgresServer(MAJOR, host=host) as server, S3Server(host=host) as store:
            shop = Shop(server, f"shop_{secrets.token_hex(4)}")
            shop.build()
            tenant = Tenant(api, "tenant", shop, store, store.make_bucket("bucket"))
            tenant.settle_in()
            tenant.database()
            tenant.storage()
            tenant.until_ready()
            yield tenant
        api.close()


def _one(tenant: Tenant, number: int) -> float:
    """Take a backup and return the seconds between the end of its Job and its own."""
    name = f"run-{number}"
    ended: dict[str, float] = {}
    tenant.backup(name)

    def job_is_over() -> bool:
        label = f"dbcustody.dev/verb=backup,dbcustody.dev/backup={name}"
        jobs = tenant.api.list("jobs", tenant.name, labelSelector=label)
        return any(conditions(job).get("Complete", {}).get("status") == "True" for job in jobs)

    def backup_is_over() -> bool:
        found = tenant.api.get("backups", name, tenant.name) or {}
        return conditions(found).get("Succeeded", {}).get("status") in {"True", "False"}

    thread = threading.Thread(target=lambda: ended.update(job=_when(job_is_over)), daemon=True)
    thread.start()
    ended["backup"] = _when(backup_is_over)
    thread.join()
    tenant.succeeded(name)
    return max(0.0, ended["backup"] - ended["job"])


def _when(so: Callable[[], bool]) -> float:
    """Return the moment at which *so* was seen to hold."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not so():
        if time.monotonic() > deadline:
            raise RuntimeError("the backup did not end in time")
        time.sleep(_PAUSE_SECONDS)
    return time.monotonic()
