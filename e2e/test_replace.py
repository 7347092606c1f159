"""A restore in the place of a running database, by the real operator: workloads, the swap, the way back, and who may be killed."""

from __future__ import annotations

import re
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
_COMMENT = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{}'"
LEAST_KILLS = 6
"""On the real cluster a restart takes its time; `tests/handlers/test_kill_points.py` has every single request of the operator."""


def delete(tenant: Tenant, name: str) -> None:
    """Delete the request, and wait until it is gone."""
    tenant.api.delete("restorerequests", name, tenant.name)
    tenant.until(lambda: name not in tenant.names("restorerequests"), "the request is gone")


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
        for name in ("undo", "back"):
            delete(tenant, name)
        replace(tenant)
        assert verdict(ended(tenant, "back")) == ("False", "AlreadyUndone")
        replace(tenant, "undo", undoOf={"name": "back"}, safetyBackup=False, keepOldSeconds=0)
        assert verdict(ended(tenant, "undo")) == ("True", "Adopted")
        assert content(tenant) == damaged


@pytest.mark.slow
def test_filed_again_it_can_still_be_taken_back(
    operator: Deployment, tenancy: Callable[[], AbstractContextManager[Tenant]]
) -> None:
    """A manifest that is deleted and applied again swaps nothing, though its confirmation is used up, and keeps the way back."""
    with tenancy() as tenant, replaceable(tenant, operator):
        damaged, confirm = content(tenant), tenant.shop.confirmation
        replace(tenant, safetyBackup=False, keepOldSeconds=3600)
        first = ended(tenant, "back")["status"]
        tenant.shop.execute("INSERT INTO orders (customer, total) VALUES (1, 1)")
        worked_on = content(tenant)
        delete(tenant, "back")
        replace(tenant, safetyBackup=False, keepOldSeconds=60, confirm=confirm)
        again = ended(tenant, "back")

        assert verdict(again) == ("True", "Adopted"), conditions(again)
        assert (again["status"]["oldDatabase"], again["status"]["oid"]) == (first["oldDatabase"], first["oid"])
        assert content(tenant) == worked_on

        def told() -> bool:
            status = tenant.get("databases", "shop")["status"]
            return status["oid"] == first["oid"] and [
                (one["name"], one["stage"], one["custodyId"], one["dropAfter"]) for one in status.get("copies", ())
            ] == [(first["oldDatabase"]["name"], "Kept", f"{tenant.name}.shop", first["oldDatabase"]["dropAfter"])]

        tenant.until(told, "the Database tells what is kept", seconds=TRUTH_SECONDS)
        replace(tenant, "undo", undoOf={"name": "back"}, safetyBackup=False, keepOldSeconds=0)
        assert verdict(ended(tenant, "undo")) == ("True", "Succeeded")
        assert content(tenant) == damaged
        tenant.until(lambda: databases(tenant) == [tenant.shop.name], "what was restored is dropped")


@pytest.mark.slow
def test_what_nobody_drops_any_more_is_told(
    operator: Deployment, tenancy: Callable[[], AbstractContextManager[Tenant]]
) -> None:
    """The request is gone when the time of what it put away is over: the Database says so, and applied again the request drops it."""
    with tenancy() as tenant, replaceable(tenant, operator):
        replace(tenant, safetyBackup=False, keepOldSeconds=3600)
        old = ended(tenant, "back")["status"]["oldDatabase"]["name"]
        tenant.until(lambda: tenant.get("databases", "shop")["status"].get("copies"), "what is kept is told")
        delete(tenant, "back")
        ((said,),) = tenant.shop.server.execute(_COMMENT.format(old))
        over = re.sub(r"until \S+:", "until 2026-01-01T00:00:00+00:00:", said)
        tenant.shop.server.execute(f"COMMENT ON DATABASE \"{old}\" IS '{over}'")
        asked = {"metadata": {"annotations": {"dbcustody.dev/check-now": "1"}}}
        tenant.api.patch("databases", "shop", tenant.name, asked)
        body = tenant.wait("databases", "shop", "OldDatabasesDropped", "False", reason="OldDatabaseLeft")
        assert (old in conditions(body)["OldDatabasesDropped"]["message"], body["status"]["copies"][0]["left"]) == (
            True,
            True,
        )
        assert conditions(body)["Ready"]["status"] == "True"

        replace(tenant, safetyBackup=False)
        assert verdict(ended(tenant, "back")) == ("True", "Adopted")
        tenant.until(lambda: databases(tenant) == [tenant.shop.name], "it is dropped")
        tenant.wait("databases", "shop", "OldDatabasesDropped", seconds=TRUTH_SECONDS)


def test_a_manifest_that_confirms_by_number_is_told_the_right_words(
    operator: Deployment, tenancy: Callable[[], AbstractContextManager[Tenant]]
) -> None:
    """The server's number alone would confirm every later swap; what the plan says instead can be copied, and is good for one."""
    with tenancy() as tenant, replaceable(tenant, operator):
        before, confirm = content(tenant), tenant.shop.confirmation
        replace(tenant, "by-number", confirm=confirm.partition("/")[0])
        body = ended(tenant, "by-number")
        told = body["status"]["plan"]["replaces"]

        assert verdict(body) == ("False", "NotConfirmed")
        assert conditions(body)["Succeeded"]["message"].endswith(f"confirmed with {confirm}")
        assert (told["confirm"], told["database"], content(tenant)) == (confirm, tenant.shop.name, before)
        replace(tenant, safetyBackup=False, confirm=told["confirm"])
        assert verdict(ended(tenant, "back")) == ("True", "Succeeded")
        replace(tenant, "once-more", safetyBackup=False, confirm=told["confirm"])
        assert verdict(ended(tenant, "once-more")) == ("False", "NotConfirmed")


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
        operator.recover()
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


def test_a_partial_backup_is_refused(
    operator: Deployment, tenancy: Callable[[], AbstractContextManager[Tenant]]
) -> None:
    """It says so, and nothing is touched: no database is made, nobody is stopped, no safety backup is taken; beside, it may be restored."""
    with tenancy() as tenant, replaceable(tenant, operator):
        tenant.backup("part", tables={"exclude": ["billing.*"]})
        tenant.succeeded("part")
        scopes = [tenant.get("backups", name)["status"]["scope"] for name in ("monday", "part")]
        assert scopes == ["Whole", "Partial"]
        before, backups = content(tenant), tenant.names("backups")

        replace(tenant, source={"backupRef": {"name": "part"}}, acknowledge=["NotCaptured", "OtherDatabase"])
        body = ended(tenant, "back")

        assert verdict(body) == ("False", "BackupPartial"), conditions(body)
        assert "restore it into a new database beside this one" in conditions(body)["Succeeded"]["message"]
        assert conditions(body)["Swapped"]["status"] == "False"
        assert [one["reason"] for one in body["status"]["plan"]["obstacles"]] == ["BackupPartial"]
        assert (content(tenant), databases(tenant)) == (before, [tenant.shop.name])
        assert web(tenant)["status"]["readyReplicas"] == REPLICAS
        assert web(tenant)["metadata"]["generation"] == 1
        assert (tenant.names("backups"), "workloads" in body["status"]) == (backups, False)
        tenant.until(lambda: settled(tenant, "back"), "everything is as it was", seconds=TRUTH_SECONDS)


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
