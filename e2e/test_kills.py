"""SIGKILL of a backup's process at each point of its way: status tells what the storage holds, and nothing good is lost."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import pytest

from ground.proxy import Fault, Proxy, Where
from scene.evidence import conditions
from scene.storehouse import Storehouse
from scene.tenant import TRUTH_SECONDS
from scene.victim import kill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from scene.api import Json
    from scene.deployment import Deployment
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


class Point(NamedTuple):
    """Before a request reaches the storage, or after it was carried out and before the client hears of it."""

    pattern: str
    where: Where


POINTS = {
    "before-the-claim": Point(r"PUT .*/names/", Where.REQUEST),
    "after-the-claim": Point(r"PUT .*/names/", Where.ANSWER),
    "before-the-data-key": Point(r"PUT .*/key\.", Where.REQUEST),
    "at-the-beginning-of-an-upload": Point(r"POST .*\.pgc\?uploads", Where.ANSWER),
    "after-a-part": Point(r"PUT .*partNumber=1", Where.ANSWER),
    "before-an-upload-is-completed": Point(r"POST .*uploadId=", Where.REQUEST),
    "after-an-upload-is-completed": Point(r"POST .*uploadId=", Where.ANSWER),
    "after-the-catalogue": Point(r"PUT .*/catalogue\.json", Where.ANSWER),
    "before-the-manifest": Point(r"PUT .*/manifest\.json", Where.REQUEST),
    "after-the-manifest": Point(r"PUT .*/manifest\.json", Where.ANSWER),
    "while-it-is-verified": Point(r"GET .*/whole\.pgc", Where.ANSWER),
    "before-the-proof": Point(r"PUT .*/verified\.1\.json", Where.REQUEST),
}


COMMITTED = {"after-the-manifest", "while-it-is-verified", "before-the-proof"}
"""At these points the manifest lies in the storage."""
UNFINISHED = {"at-the-beginning-of-an-upload", "after-a-part", "before-an-upload-is-completed"}
"""At these points an upload has begun that nobody will complete."""


@pytest.fixture(scope="module")
def proxy(tenancy: Callable[[], AbstractContextManager[Tenant]]) -> Iterator[tuple[Tenant, Proxy, Storehouse]]:
    """Yield a tenant whose requests to the storage pass a proxy, with one good backup; and what really lies in the storage."""
    with tenancy() as tenant, closing(Storehouse(tenant.store, tenant.bucket, f"{tenant.name}.shop")) as house:
        store = tenant.store
        with Proxy(store.host, store.port, address=store.host) as between:
            tenant.shop.grow(20)
            tenant.database()
            tenant.storage(s3={"endpoint": between.url})
            tenant.until_ready()
            tenant.backup("good")
            tenant.succeeded("good")
            yield tenant, between, house


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in POINTS])
def test_killed(proxy: tuple[Tenant, Proxy, Storehouse], name: str) -> None:
    """Within a minute what was committed counts and is proven, and what was not is lost and says so; the next run succeeds."""
    tenant, between, house = proxy
    point, is_committed = POINTS[name], name in COMMITTED
    before, uploads = house.check_all_whole(), house.uploads()
    fault = between.add(Fault(point.pattern, where=point.where, holds=True))

    tenant.backup(f"run-{name}")
    assert fault.struck.wait(100), f"{point.pattern} never came: {between.requests[-20:]}"
    assert kill(tenant.worker(f"run-{name}")) > 0
    fault.release.set()
    body = tenant.finished(f"run-{name}", seconds=TRUTH_SECONDS)
    left = house.uploads()
    tenant.backup(f"next-{name}")
    tenant.succeeded(f"next-{name}")

    assert house.has(f"run-{name}") == is_committed
    assert (conditions(body)["Succeeded"]["status"] == "True") == is_committed, conditions(body)
    assert ("artefact" in body["status"]) == is_committed
    assert before <= house.check_all_whole()
    assert left > uploads or name not in UNFINISHED
    assert house.uploads() == left
    assert tenant.shop.sessions() == 0


def test_killed_while_it_waits_for_a_lock(proxy: tuple[Tenant, Proxy, Storehouse], operator: Deployment) -> None:
    """Nothing was read yet; the server forgets the sessions, and whoever held the lock never noticed."""
    tenant, _, _ = proxy
    operator.wait_ready()
    with tenant.shop.connect() as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        tenant.backup("locked", lockWaitSeconds=600)
        tenant.until(tenant.shop.sessions, "the Job is connected")
        kill(tenant.worker("locked"))
        body = tenant.finished("locked", seconds=TRUTH_SECONDS)
    tenant.until(lambda: tenant.shop.sessions() == 0, "no session is left", seconds=30)

    assert conditions(body)["Succeeded"]["status"] == "False"
    assert "artefact" not in body["status"]


@pytest.mark.usefixtures("operator")
def test_two_attempts_commit_at_once(proxy: tuple[Tenant, Proxy, Storehouse]) -> None:
    """An attempt that was taken for dead comes back after another one was committed: one manifest, and both tell of the same backup."""
    tenant, between, house = proxy
    fault = between.add(Fault(r"PUT .*/manifest\.json", holds=True))
    tenant.backup("twice")
    assert fault.struck.wait(100)
    (job,) = [one for one in tenant.jobs("backup") if one["metadata"]["labels"]["dbcustody.dev/backup"] == "twice"]
    tenant.shop.server.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{tenant.shop.name}'"  # noqa: S608 - our own name
    )
    tenant.api.create("jobs", ghost_of(job), tenant.name)
    tenant.until(lambda: house.has("twice"), "the second attempt has committed")
    second = house.manifests()[str(house.backup_id("twice"))]["attempt"]
    fault.release.set()
    body = tenant.succeeded("twice")

    assert body["status"]["artefact"]["attempt"] == second
    assert house.manifests()[body["status"]["artefact"]["backupId"]]["attempt"] == second
    house.check_all_whole()


def ghost_of(job: Json) -> Json:
    """Return a Job that does the same work and belongs to nobody, as a node does that lost its connection to the cluster."""
    template = job["spec"]["template"]
    labels = {"app": "ghost"}
    env = [
        one
        for one in template["spec"]["containers"][0]["env"]
        if "valueFrom" not in one or "JOB_NAME" not in one["name"]
    ]
    template["spec"]["containers"][0]["env"] = env
    spec = {"backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": template["spec"]}}
    return {"metadata": {"name": f"ghost-of-{job['metadata']['name']}"[:63], "labels": labels}, "spec": spec}
