"""Pods that are not admitted, not scheduled, not started, evicted or killed: status quotes who said no, and goes on when it is allowed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from scene.evidence import conditions
from scene.tenant import TRUTH_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from scene.deployment import Deployment
    from scene.storehouse import Storehouse
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

SLEEPY = {"lockWaitSeconds": 600}
"""Options of a dump that a locked table is to hold for as long as the test wants."""


class Blocked(NamedTuple):
    """What keeps a pod away, and what has to be said of it."""

    reason: str
    says: str
    job: dict[str, Any]


BLOCKED = {
    "no-account": Blocked("PodNotCreated", 'serviceaccount "nobody" not found', {"serviceAccountName": "nobody"}),
    "no-node": Blocked("PodNotScheduled", "didn't match Pod's node affinity/selector", {"nodeSelector": {"nowhere": "yes"}}),
    "no-room": Blocked("PodNotScheduled", "Insufficient memory", {"resources": {"requests": {"memory": "900Gi"}}}),
    "no-class": Blocked("PodNotCreated", "no PriorityClass with name nothing", {"priorityClassName": "nothing"}),
    "refused": Blocked("PodNotCreated", "the house has no room for red pods", {"podLabels": {"colour": "red"}}),
}  # fmt: skip


@pytest.fixture(scope="module")
def blocked(tenancy: Callable[[], AbstractContextManager[Tenant]]) -> Iterator[tuple[Tenant, float]]:
    """Yield a tenant with one Backup for each thing that can keep its pod away, all at once; and when that was."""
    with tenancy() as tenant:
        refuse_red_pods(tenant)
        tenant.database()
        tenant.storage()
        tenant.until_ready()
        for name, case in BLOCKED.items():
            tenant.backup(name, job=case.job)
        yield tenant, time.monotonic()


def refuse_red_pods(tenant: Tenant) -> None:
    """Have the API server refuse pods with the label `colour: red` in the tenant's namespace."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    expression = "!has(object.metadata.labels) || !('colour' in object.metadata.labels)"
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": expression, "message": "the house has no room for red pods"}],
    }
    where = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": tenant.name}}}
    binding = {"policyName": tenant.name, "validationActions": ["Deny"], "matchResources": where}
    for plural, body in (("validatingadmissionpolicies", spec), ("validatingadmissionpolicybindings", binding)):
        tenant.api.create(plural, {"metadata": {"name": tenant.name}, "spec": body})


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in BLOCKED])
def test_blocked_pod_says_who_refused_it(blocked: tuple[Tenant, float], name: str) -> None:
    """Within a minute the Backup, which is not over, quotes the refusal and promises to go on."""
    (tenant, since), case = blocked, BLOCKED[name]
    left = max(0.0, since + TRUTH_SECONDS - time.monotonic())
    body = tenant.wait("backups", name, "Ready", "False", reason=case.reason, seconds=left)

    found = conditions(body)
    assert case.says in found["Ready"]["message"]
    assert found["Reconciling"]["status"] == "True"
    assert (found["Succeeded"]["status"], found["Finished"]["status"]) == ("Unknown", "False")


def test_pod_goes_on_when_the_quota_allows_it(housed: Tenant) -> None:
    """An exceeded quota is quoted within a minute; once it is raised, the Backup succeeds without being touched."""
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    housed.api.create("resourcequotas", quota, housed.name)
    housed.until(lambda: (housed.get("resourcequotas", "none").get("status") or {}).get("hard"), "the quota counts")
    housed.backup("first")
    body = housed.wait("backups", "first", "Ready", "False", reason="PodNotCreated", seconds=TRUTH_SECONDS)
    housed.api.delete("resourcequotas", "none", housed.name)

    housed.succeeded("first", seconds=180)

    assert "exceeded quota" in conditions(body)["Ready"]["message"]


def test_out_of_memory_is_told_and_settled(housed: Tenant, storehouse: Storehouse) -> None:
    """Within a minute of the kernel's kill it is named, after the storage was asked; a run with enough memory succeeds."""
    housed.backup("small", job={"resources": {"limits": {"memory": "24Mi"}, "requests": {"memory": "16Mi"}}})
    housed.until(lambda: _is_killed(housed, "small"), "the kernel has killed the pod")
    body = housed.finished("small", seconds=TRUTH_SECONDS)
    housed.backup("large")
    housed.succeeded("large")

    assert conditions(body)["Succeeded"]["status"] == "False"
    assert conditions(body)["Succeeded"]["reason"] == "OutOfMemory"
    assert storehouse.check_all_whole() == {storehouse.backup_id("large")}


def _is_killed(tenant: Tenant, backup: str) -> bool:
    pods = tenant.api.list("pods", tenant.name, labelSelector=f"dbcustody.dev/backup={backup}")
    states = [one.get("state", {}) for pod in pods for one in pod["status"].get("containerStatuses", ())]
    return any(state.get("terminated", {}).get("reason") == "OOMKilled" for state in states)


def test_evicted_pod_is_replaced_and_the_backup_succeeds(housed: Tenant, storehouse: Storehouse) -> None:
    """An eviction counts as nobody's failure: another pod takes the same backup, and within a minute status says so."""
    with housed.shop.connect() as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        housed.backup("first", **SLEEPY)
        housed.until(housed.shop.sessions, "the Job is connected")
        name = housed.worker("first")["metadata"]["name"]
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        housed.api.ask("POST", f"api/v1/namespaces/{housed.name}/pods/{name}/eviction", eviction)
        housed.until(lambda: _is_gone(housed, name), "the pod is gone")

    housed.succeeded("first", seconds=TRUTH_SECONDS)

    assert storehouse.check_all_whole() == {storehouse.backup_id("first")}
    assert storehouse.uploads() == 0


def _is_gone(tenant: Tenant, pod: str) -> bool:
    found = tenant.api.get("pods", pod, tenant.name)
    return found is None or found["status"].get("phase") in {"Failed", "Succeeded"}


def test_pod_deleted_with_its_message_is_settled_from_the_storage(
    housed: Tenant, operator: Deployment, storehouse: Storehouse
) -> None:
    """Nobody read the result while no operator was there; within a minute of its return what lies in the storage has decided."""
    with housed.shop.connect() as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        housed.backup("first", **SLEEPY)
        housed.until(housed.shop.sessions, "the Job is connected")
        operator.scale(0)
    try:
        housed.until(lambda: "Complete" in conditions(housed.jobs("backup")[0]), "the Job is over")
        for pod in housed.pods("backup"):
            housed.api.delete("pods", pod["metadata"]["name"], housed.name)
        housed.until(lambda: not housed.pods("backup"), "no pod is left")
    finally:
        operator.scale(2)

    body = housed.succeeded("first", seconds=TRUTH_SECONDS)

    assert [one["verb"] for one in body["status"]["attempts"]] == ["backup", "settle"]
    assert storehouse.check_all_whole() == {body["status"]["artefact"]["backupId"]}


def test_missing_image_is_told(housed: Tenant, operator: Deployment) -> None:
    """A Job whose image cannot be had says so within a minute; with the right image in the operator's hands the next one succeeds."""
    with operator.jobs_in("localhost/dbcustody:not-there"):
        housed.backup("first")
        body = housed.wait("backups", "first", "Ready", "False", reason="ImageNotAvailable", seconds=TRUTH_SECONDS)
    housed.api.delete("backups", "first", housed.name)
    housed.backup("second")
    housed.succeeded("second")

    assert "not-there" in conditions(body)["Ready"]["message"]


def test_namespace_deleted_while_a_backup_runs(housed: Tenant, operator: Deployment, storehouse: Storehouse) -> None:
    """The namespace goes within a minute, also with a Backup that wants its data deleted; what was good stays in the bucket."""
    housed.backup("good", deletionPolicy="Delete")
    housed.succeeded("good")
    with housed.shop.connect() as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        housed.backup("doomed", **SLEEPY)
        housed.until(housed.shop.sessions, "the Job is connected")
        housed.api.delete("namespaces", housed.name)
        gone = "the namespace is gone"
        housed.until(lambda: operator.api.get("namespaces", housed.name) is None, gone, seconds=TRUTH_SECONDS)

    assert storehouse.check_all_whole() == {storehouse.backup_id("good")}
    operator.wait_ready()
