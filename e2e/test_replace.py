"""A restore in the place of a running database, by the real operator: workloads, the swap, the way back, and who may be killed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from scene.evidence import conditions
from scene.replacement import (
    REPLICAS,
    content,
    databases,
    ended,
    let_scale,
    replace,
    replaceable,
    settled,
    verdict,
    web,
)
from scene.tenant import TRUTH_SECONDS
from scene.victim import kill

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from scene.deployment import Deployment
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(500)]
LEAST_KILLS = 6
"""On the real cluster a restart takes its time; `tests/handlers/test_kill_points.py` has every single request of the operator."""


def test_in_the_place_and_back(operator: Deployment, tenant: Tenant) -> None:
    """Lost orders come back in place; the undo brings back what was there before, and in the end nothing is left over."""
    with replaceable(tenant, operator):
        damaged = content(tenant)
        replace(tenant, keepOldSeconds=600)
        body = ended(tenant, "back")

        assert verdict(body) == ("True", "Succeeded"), conditions(body)
        restored = content(tenant)
        assert (restored[1], damaged[1]) == (2000, 10)
        status = body["status"]
        assert status["oldDatabase"]["name"] in databases(tenant)
        steps = ("SafetyBackupTaken", "Restored", "ChecksPassed", "Quiesced", "Swapped", "WorkloadsResumed")
        assert {conditions(body)[step]["status"] for step in steps} == {"True"}
        assert tenant.condition("backups", status["safetyBackup"]["name"], "Succeeded")["status"] == "True"
        assert status["workloads"] == [{"kind": "Deployment", "name": "web", "replicas": REPLICAS, "resumed": True}]
        tenant.until(lambda: web(tenant)["status"].get("readyReplicas") == REPLICAS, "web runs again")
        tenant.shop.execute("INSERT INTO orders (customer, total) VALUES (1, 1)")

        replace(tenant, "undo", undoOf={"name": "back"}, safetyBackup=False, keepOldSeconds=0)
        undone = ended(tenant, "undo")
        assert verdict(undone) == ("True", "Succeeded"), conditions(undone)
        assert content(tenant) == damaged
        tenant.until(lambda: databases(tenant) == [tenant.shop.name], "what was restored is dropped")
        tenant.until(lambda: settled(tenant, "undo"), "everything is back")
        tenant.api.delete("restorerequests", "back", tenant.name)
        tenant.until(lambda: "back" not in tenant.names("restorerequests"), "the request is gone")
        replace(tenant)
        assert verdict(ended(tenant, "back")) == ("False", "AlreadyUndone")
        assert content(tenant) == damaged


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_operator_is_killed_all_the_way(
    operator: Deployment, tenancy: Callable[[], AbstractContextManager[Tenant]]
) -> None:
    """Whoever leads is killed whenever the request has moved on, and in between: the end is the same, and workloads are back in time."""
    with tenancy() as tenant, replaceable(tenant, operator):
        replace(tenant, keepOldSeconds=600)
        kills, seen = 0, ""
        deadline = time.monotonic() + 300
        while tenant.condition("restorerequests", "back", "Finished").get("status") != "True":
            assert time.monotonic() < deadline, conditions(tenant.get("restorerequests", "back"))
            now = tenant.get("restorerequests", "back")["metadata"]["resourceVersion"]
            leader = operator.leader()
            if leader is not None and now != seen:
                seen, kills = now, kills + (kill(leader) > 0)
            operator.replace_punished()
            time.sleep(0.5)
        operator.replace_punished()
        operator.wait_ready(seconds=120)
        body = ended(tenant, "back", seconds=TRUTH_SECONDS)

        assert verdict(body) == ("True", "Succeeded"), conditions(body)
        assert kills >= LEAST_KILLS
        tenant.until(lambda: settled(tenant, "back"), "everything is back", seconds=TRUTH_SECONDS)
        assert content(tenant)[1] == 2000
        assert [len(tenant.jobs(verb)) for verb in ("restore", "swap")] == [1, 1]


@pytest.mark.parametrize("verb", ["restore", "swap"])
def test_a_worker_is_killed(
    operator: Deployment, tenancy: Callable[[], AbstractContextManager[Tenant]], verb: str
) -> None:
    """One or the other database, complete, open, and the workloads back, within a minute."""
    with tenancy() as tenant, replaceable(tenant, operator):
        before = content(tenant)
        replace(tenant)

        def killed() -> bool:
            pods = [pod for pod in tenant.pods(verb) if pod["status"].get("phase") == "Running"]
            return any(kill(pod) > 0 for pod in pods)

        tenant.until(killed, f"a pod of {verb} is killed", seconds=200)
        body = ended(tenant, "back", seconds=TRUTH_SECONDS)
        was_swapped = verdict(body)[0] == "True"

        assert was_swapped or verdict(body) == ("False", "JobLost"), conditions(body)
        assert (content(tenant) == before) is not was_swapped
        assert conditions(body)["Swapped"]["status"] == ("True" if was_swapped else "False")
        tenant.until(lambda: settled(tenant, "back"), "everything is back", seconds=TRUTH_SECONDS)
        assert len(databases(tenant)) == (2 if was_swapped else 1)


def test_what_it_may_not_do_is_found_out_first(
    operator: Deployment, tenancy: Callable[[], AbstractContextManager[Tenant]]
) -> None:
    """No right to scale, a session that only a superuser ends, another confirmation: said before anything is stopped or made."""
    with tenancy() as tenant, replaceable(tenant, operator, may_scale=False):
        replace(tenant, "wrong", confirm="shop@1")
        assert verdict(ended(tenant, "wrong")) == ("False", "NotConfirmed")
        with tenant.shop.server.connect(tenant.shop.name):
            replace(tenant, "held")
            assert verdict(ended(tenant, "held")) == ("False", "SessionsHeld")
        replace(tenant, "back", safetyBackup=False)
        tenant.wait("restorerequests", "back", "Ready", "False", reason="ScaleForbidden")
        assert (databases(tenant), web(tenant)["spec"]["replicas"]) == ([tenant.shop.name], REPLICAS)
        let_scale(tenant)
        assert verdict(ended(tenant, "back")) == ("True", "Succeeded")
        tenant.until(lambda: settled(tenant, "back"), "everything is back", seconds=TRUTH_SECONDS)


def test_the_namespace_goes_in_the_middle(
    operator: Deployment, tenancy: Callable[[], AbstractContextManager[Tenant]]
) -> None:
    """The finalizer holds nothing up, and whoever uses the database is let in."""
    with tenancy() as tenant, replaceable(tenant, operator):
        replace(tenant)
        tenant.until(lambda: tenant.pods("restore"), "the restore runs", seconds=200)
        assert tenant.get("restorerequests", "back")["metadata"]["finalizers"] == ["dbcustody.dev/finalizer"]
        tenant.leave()
        tenant.until(
            lambda: tenant.api.get("namespaces", tenant.name) is None,
            "the namespace is gone",
            seconds=TRUTH_SECONDS * 2,
        )

        def served() -> bool:
            try:
                return content(tenant) is not None
            except psycopg.OperationalError:
                return False

        tenant.until(served, "the database is open", seconds=TRUTH_SECONDS)
