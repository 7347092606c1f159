"""A Replace that is ended, or whose operator dies, at a chosen point: one database or the other is served, and nothing is left behind."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from scene.evidence import conditions
from scene.replacement import (
    content,
    databases,
    ended,
    lose_orders,
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

    from scene.api import Json
    from scene.deployment import Deployment
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
SECONDS = 180
"""A swap that is broken off is put right by a Job of its own, and the machine may be busy."""
ORDERS = 2000
MUTATION = (0x64626375, 1)
"""The lock that a swap takes in the live database before it shuts it."""


@pytest.fixture(scope="module")
def replaced(deployment: Deployment, tenancy: Callable[[], AbstractContextManager[Tenant]]) -> Iterator[Tenant]:
    """Yield a tenant whose database can be replaced as often as one likes."""
    deployment.wait_ready(seconds=90)
    with tenancy() as tenant, replaceable(tenant, deployment):
        yield tenant


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


@pytest.mark.parametrize(
    "how", ["killed", "namespace", *(pytest.param(one, marks=pytest.mark.slow) for one in ("cancelled", "deleted"))]
)
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


def tried(body: Json, verb: str) -> bool:
    """Return whether a Job that does *verb* stands in status, created or not."""
    return any(one["verb"] == verb for one in body["status"].get("attempts") or ())


def is_at_work(body: Json, verb: str) -> bool:
    """Return whether the operator has seen a Job that does *verb*, or what comes after it."""
    attempts = body["status"].get("attempts") or ()
    verbs = [one["verb"] for one in attempts]
    return verb in verbs and (verbs[-1] != verb or "jobRef" in body["status"] or "reason" in attempts[-1])


def has(body: Json, kind: str) -> bool:
    """Return whether the condition *kind* is said, whatever it says."""
    return kind in conditions(body)


def is_true(body: Json, kind: str) -> bool:
    """Return whether the condition *kind* is True."""
    return bool(conditions(body).get(kind, {}).get("status") == "True")


def is_renamed(tenant: Tenant) -> bool:
    """Return whether the old database lies beside the new one, or did: there is no other way to the end."""
    return any("_replaced_" in name for name in databases(tenant))


POINTS: dict[str, Callable[[Tenant, Json], object]] = {
    "a-plan-is-wanted": lambda _, body: tried(body, "plan-restore"),
    "the-plan-is-made": lambda _, body: is_at_work(body, "plan-restore"),
    "the-plan-is-told": lambda _, body: "plan" in body["status"],
    "the-safety-backup-is-named": lambda _, body: "safetyBackup" in body["status"],
    "the-safety-backup-is-taken": lambda _, body: has(body, "SafetyBackupTaken"),
    "the-safety-backup-is-there": lambda _, body: is_true(body, "SafetyBackupTaken"),
    "the-restore-is-wanted": lambda _, body: tried(body, "restore"),
    "the-restore-runs": lambda _, body: is_at_work(body, "restore"),
    "all-is-restored": lambda _, body: is_true(body, "Restored"),
    "the-workloads-are-remembered": lambda _, body: body["status"].get("workloads"),
    "the-workloads-are-at-zero": lambda tenant, body: web(tenant)["spec"]["replicas"] == 0 or is_true(body, "Finished"),
    "the-swap-is-wanted": lambda _, body: tried(body, "swap"),
    "the-swap-runs": lambda _, body: is_at_work(body, "swap"),
    "the-names-are-swapped": lambda tenant, body: is_renamed(tenant) or is_true(body, "Finished"),
    "the-request-is-over": lambda _, body: is_true(body, "Finished"),
    "the-old-one-is-being-dropped": lambda _, body: tried(body, "drop-replaced"),
}
"""What has been reached, by what stands in status, or by what there is; once it was, it stays so."""
USUAL = ("the-plan-is-told", "the-workloads-are-at-zero", "the-names-are-swapped")


@pytest.mark.parametrize(
    "point", [pytest.param(name, id=name, marks=() if name in USUAL else pytest.mark.slow) for name in POINTS]
)
def test_the_operator_is_killed(operator: Deployment, replaced: Tenant, point: str) -> None:
    """Every replica dies when the request has come so far; it ends well, once, with the workloads back and the old one dropped."""
    tenant, name = replaced, point
    lose_orders(tenant)
    before = content(tenant)
    replace(tenant, name, keepOldSeconds=0)
    tenant.until(
        lambda: POINTS[point](tenant, tenant.get("restorerequests", name)), f"{point} is reached", seconds=SECONDS
    )
    killed = operator.containers()
    assert sum(kill(pod) for pod in operator.pods()) > 0
    assert served(tenant) in {None, before[1], ORDERS}
    operator.recover(killed)
    body = ended(tenant, name, seconds=SECONDS)

    assert verdict(body) == ("True", "Succeeded"), conditions(body)
    tenant.until(lambda: settled(tenant, name), "everything is back", seconds=TRUTH_SECONDS)
    tenant.until(lambda: databases(tenant) == [tenant.shop.name], "the old one is dropped", seconds=SECONDS)
    assert content(tenant) == (before[0], ORDERS)
    verbs = [one["verb"] for one in tenant.get("restorerequests", name)["status"]["attempts"]]
    assert [verbs.count(verb) for verb in ("restore", "swap")] == [1, 1], verbs


def served(tenant: Tenant) -> int | None:
    """Return how many orders whoever is let in sees; None while nobody is."""
    try:
        return int(content(tenant)[1])
    except psycopg.OperationalError:
        return None
