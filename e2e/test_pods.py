"""Pods that are not admitted, not scheduled, not started, evicted or killed: status quotes who said no, and goes on when it is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from scene.evidence import OPERATOR_NAMESPACE, conditions

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
def blocked(tenancy: Callable[[], AbstractContextManager[Tenant]]) -> Iterator[Tenant]:
    """Yield a tenant with one Backup for each thing that can keep its pod away, all at once."""
    with tenancy() as tenant:
        refuse_red_pods(tenant)
        tenant.database()
        tenant.storage()
        tenant.until_ready()
        for name, case in BLOCKED.items():
            tenant.backup(name, job=case.job)
        yield tenant


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
def test_blocked_pod_says_who_refused_it(blocked: Tenant, name: str) -> None:
    """The Backup is not over, quotes the refusal, and promises to go on."""
    case = BLOCKED[name]
    body = blocked.wait("backups", name, "Ready", "False", reason=case.reason, seconds=90)

    found = conditions(body)
    assert case.says in found["Ready"]["message"]
    assert found["Reconciling"]["status"] == "True"
    assert (found["Succeeded"]["status"], found["Finished"]["status"]) == ("Unknown", "False")


def test_pod_goes_on_when_the_quota_allows_it(housed: Tenant) -> None:
    """An exceeded quota is quoted; once it is raised, the Backup succeeds without being touched."""
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    housed.api.create("resourcequotas", quota, housed.name)
    housed.until(lambda: (housed.get("resourcequotas", "none").get("status") or {}).get("hard"), "the quota counts")
    housed.backup("first")
    body = housed.wait("backups", "first", "Ready", "False", reason="PodNotCreated", seconds=90)
    housed.api.delete("resourcequotas", "none", housed.name)

    housed.succeeded("first", seconds=180)

    assert "exceeded quota" in conditions(body)["Ready"]["message"]


def test_out_of_memory_is_told_and_settled(housed: Tenant, storehouse: Storehouse) -> None:
    """The kernel's kill is named, the storage is asked, and a run with enough memory succeeds."""
    housed.backup("small", job={"resources": {"limits": {"memory": "24Mi"}, "requests": {"memory": "16Mi"}}})
    body = housed.finished("small", seconds=180)
    housed.backup("large")
    housed.succeeded("large")

    assert conditions(body)["Succeeded"]["status"] == "False"
    assert conditions(body)["Succeeded"]["reason"] == "OutOfMemory"
    assert storehouse.check_all_whole() == {storehouse.backup_id("large")}


def test_evicted_pod_is_replaced_and_the_backup_succeeds(housed: Tenant, storehouse: Storehouse) -> None:
    """An eviction counts as nobody's failure: another pod takes the same backup."""
    with housed.shop.connect() as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        housed.backup("first", **SLEEPY)
        housed.until(housed.shop.sessions, "the Job is connected")
        name = housed.worker("first")["metadata"]["name"]
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        housed.api.ask("POST", f"api/v1/namespaces/{housed.name}/pods/{name}/eviction", eviction)
        housed.until(lambda: _is_gone(housed, name), "the pod is gone")

    housed.succeeded("first", seconds=180)

    assert storehouse.check_all_whole() == {storehouse.backup_id("first")}


def _is_gone(tenant: Tenant, pod: str) -> bool:
    found = tenant.api.get("pods", pod, tenant.name)
    return found is None or found["status"].get("phase") in {"Failed", "Succeeded"}


def test_pod_deleted_with_its_message_is_settled_from_the_storage(
    housed: Tenant, operator: Deployment, storehouse: Storehouse
) -> None:
    """Nobody read the result while no operator was there; what lies in the storage decides."""
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

    body = housed.succeeded("first")

    assert [one["verb"] for one in body["status"]["attempts"]] == ["backup", "settle"]
    assert storehouse.check_all_whole() == {body["status"]["artefact"]["backupId"]}


def test_missing_image_is_told(housed: Tenant, operator: Deployment) -> None:
    """A Job whose image cannot be had says so; with the right image in the operator's hands the next one succeeds."""
    right = operator.image.reference
    set_image(operator, "localhost/dbcustody:not-there")
    try:
        housed.backup("first")
        body = housed.wait("backups", "first", "Ready", "False", reason="ImageNotAvailable")
    finally:
        set_image(operator, right)
    housed.api.delete("backups", "first", housed.name)
    housed.backup("second")
    housed.succeeded("second")

    assert "not-there" in conditions(body)["Ready"]["message"]


def set_image(operator: Deployment, reference: str) -> None:
    """Tell the operator which image its Jobs run, and wait until both replicas know."""
    where = ("deployment/dbcustody-operator", "-n", OPERATOR_NAMESPACE)
    operator.cluster.kubectl("set", "env", *where, f"DBCUSTODY_IMAGE={reference}")
    operator.cluster.kubectl("rollout", "status", *where, "--timeout=120s")
    operator.wait_ready()


def test_namespace_deleted_while_a_backup_runs(housed: Tenant, operator: Deployment, storehouse: Storehouse) -> None:
    """The namespace goes within a minute, also with a Backup that wants its data deleted; what was good stays in the bucket."""
    housed.backup("good", deletionPolicy="Delete")
    housed.succeeded("good")
    with housed.shop.connect() as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        housed.backup("doomed", **SLEEPY)
        housed.until(housed.shop.sessions, "the Job is connected")
        housed.api.delete("namespaces", housed.name)
        housed.until(lambda: operator.api.get("namespaces", housed.name) is None, "the namespace is gone")

    assert storehouse.check_all_whole() == {storehouse.backup_id("good")}
    operator.wait_ready()
