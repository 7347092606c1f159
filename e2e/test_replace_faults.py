"""A Replace that is ended while nobody is let in: the database is open again, and nothing is left behind."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from scene.replacement import (
    content,
    databases,
    ended,
    replace,
    replaceable,
    settled,
    verdict,
    web,
)
from scene.tenant import TRUTH_SECONDS
from scene.victim import kill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from scene.deployment import Deployment
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
SECONDS = 180
"""A swap that is broken off is put right by a Job of its own, and the machine may be busy."""
MUTATION = (0x64626375, 1)
"""The lock that a swap takes in the live database before it shuts it."""


def is_open(tenant: Tenant) -> bool:
    """Return whether the live database lets people in."""
    rows = tenant.shop.server.execute(f"SELECT datallowconn FROM pg_database WHERE datname = '{tenant.shop.name}'")  # noqa: S608 - our own name
    return bool(rows == [(True,)])


@contextmanager
def held_swap(tenant: Tenant) -> Iterator[None]:
    """Replace the database, and hold the swap in its transaction while the block runs: nobody is let in, and the workloads are stopped.

    It waits first for a lock in the live database, so that the one that holds its transaction is there in time.
    """
    server = tenant.shop.server
    waits = "SELECT 1 FROM pg_locks WHERE relation = 'pg_shdescription'::regclass AND NOT granted"
    swapping = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'dbcustody swap%'"
    with server.connect() as blocker, blocker.transaction():
        with tenant.shop.connect() as first:
            first.execute("SELECT pg_advisory_lock_shared(%s, %s)", MUTATION)
            replace(tenant, safetyBackup=False)
            tenant.until(lambda: server.execute(swapping), "the swap waits for its turn", seconds=SECONDS)
            blocker.execute("LOCK TABLE pg_shdescription IN SHARE MODE")
        tenant.until(lambda: server.execute(waits), "the swap waits in its transaction", seconds=SECONDS)
        assert (is_open(tenant), web(tenant)["spec"]["replicas"]) == (False, 0)
        yield


def end(tenant: Tenant, how: str) -> None:
    """End the swap that is under way."""
    if how == "killed":
        pods = [pod for pod in tenant.pods("swap") if pod["status"].get("phase") == "Running"]
        assert sum(map(kill, pods)) > 0
    elif how == "cancelled":
        cancel = [{"op": "add", "path": "/spec/cancel", "value": True}]
        tenant.api.patch("restorerequests", "back", tenant.name, cancel)
    elif how == "deleted":
        tenant.api.delete("restorerequests", "back", tenant.name)
    else:
        tenant.leave()


@pytest.mark.parametrize("how", ["killed", "cancelled", "deleted", "namespace"])
def test_ended_while_nobody_is_let_in(
    operator: Deployment, tenancy: Callable[[], AbstractContextManager[Tenant]], how: str
) -> None:
    """The database lets people in again while whatever held the swap still does; then workloads are back, and nothing is left."""
    with tenancy() as tenant, replaceable(tenant, operator):
        before = content(tenant)
        with held_swap(tenant):
            end(tenant, how)
            tenant.until(lambda: is_open(tenant), "people are let in again", seconds=SECONDS)
            assert content(tenant) == before
        if how == "namespace":
            tenant.until(lambda: tenant.api.get("namespaces", tenant.name) is None, "it is gone", seconds=SECONDS)
            left = [name for name in databases(tenant) if name != tenant.shop.name]
            assert (len(left), content(tenant)) == (1, before), "nobody can drop what was restored, as its Event says"
            tenant.shop.server.execute(f'DROP DATABASE "{left[0]}" WITH (FORCE)')
            return
        if how == "deleted":
            tenant.until(lambda: "back" not in tenant.names("restorerequests"), "the request goes", seconds=SECONDS)
        else:
            said = verdict(ended(tenant, "back", seconds=SECONDS))
            assert said == ("False", "Cancelled" if how == "cancelled" else "JobLost")
            tenant.until(lambda: settled(tenant, "back"), "everything is back", seconds=TRUTH_SECONDS)
        tenant.until(lambda: web(tenant)["spec"]["replicas"], "the workloads are back", seconds=TRUTH_SECONDS)
        assert (databases(tenant), content(tenant)) == ([tenant.shop.name], before)
