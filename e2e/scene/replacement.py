"""A database that web pods use, and requests that replace it: what they need around them, and what is looked at afterwards."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from scene.evidence import OPERATOR_NAMESPACE, conditions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scene.api import Json
    from scene.deployment import Deployment
    from scene.tenant import Tenant

REPLICAS: Final = 2
_CONTENT: Final = "SELECT (SELECT sum(hashtext(c::text)) FROM customers c), (SELECT count(*) FROM orders)"


def let_scale(tenant: Tenant) -> None:
    """Let the operator scale what is in the namespace, by the role that is installed for that."""
    group = "apis/rbac.authorization.k8s.io/v1/namespaces"
    subject = {"kind": "ServiceAccount", "name": "dbcustody-operator", "namespace": OPERATOR_NAMESPACE}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "dbcustody-scaler"}
    binding = {"metadata": {"name": "scaler"}, "roleRef": role, "subjects": [subject]}
    tenant.api.ask("POST", f"{group}/{tenant.name}/rolebindings", binding)


def run_web(tenant: Tenant, image: str) -> None:
    """Run the workload `web`: pods that do nothing."""
    restricted = {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "runAsUser": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    container = {
        "name": "web", "image": image, "imagePullPolicy": "Never", "command": ["sleep", "1000000"], "securityContext": restricted,
    }  # fmt: skip
    pod = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    }
    spec = {"replicas": REPLICAS, "selector": {"matchLabels": {"app": "web"}}, "template": pod}
    tenant.api.create("deployments", {"metadata": {"name": "web"}, "spec": spec}, tenant.name)
    tenant.until(lambda: web(tenant)["status"].get("readyReplicas") == REPLICAS, "web runs")


def web(tenant: Tenant) -> Json:
    """Return the workload."""
    return tenant.get("deployments", "web")


@contextmanager
def replaceable(tenant: Tenant, operator: Deployment, *, may_scale: bool = True) -> Iterator[Tenant]:
    """Yield a tenant whose database web pods use, with the good Backup `monday`, and whose orders were lost since."""
    run_web(tenant, operator.image.reference)
    if may_scale:
        let_scale(tenant)
    tenant.secret("shop-restorer", **tenant.shop.restorer)
    tenant.database(restored_by="shop-restorer")
    workloads = [{"op": "add", "path": "/spec/workloads", "value": [{"kind": "Deployment", "name": "web"}]}]
    tenant.api.patch("databases", "shop", tenant.name, workloads)
    tenant.storage()
    tenant.until_ready()
    tenant.policy()
    tenant.backup("monday", policy="nightly")
    tenant.succeeded("monday")
    lose_orders(tenant)
    yield tenant


def lose_orders(tenant: Tenant) -> None:
    """Let what came after the tenth order be lost."""
    tenant.shop.execute("TRUNCATE billing.invoices", "DELETE FROM orders WHERE id > 10")


def replace(tenant: Tenant, name: str = "back", **spec: Any) -> Json:
    """File the request that takes the place."""
    wanted: Json = {"source": {"backupRef": {"name": "monday"}}} if "undoOf" not in spec else {}
    target, confirm = {"databaseRef": {"name": "shop"}}, tenant.shop.confirmation
    wanted |= {"mode": "Replace", "target": target, "confirm": confirm, **spec}
    return tenant.make("RestoreRequest", name, wanted)


def content(tenant: Tenant) -> Any:
    """Return what is in the shop, as its owner sees it."""
    return tenant.shop.execute(_CONTENT)[0]


def verdict(body: Json) -> tuple[str, str]:
    """Return whether the request succeeded, and why."""
    said = conditions(body)["Succeeded"]
    return said["status"], said["reason"]


def ended(tenant: Tenant, name: str, *, seconds: float = 200) -> Json:
    """Return the request once it is over."""
    return tenant.wait("restorerequests", name, "Finished", seconds=seconds)


def databases(tenant: Tenant) -> list[str]:
    """Return the databases of the server that have to do with the shop."""
    rows = tenant.shop.server.execute("SELECT datname FROM pg_database ORDER BY 1")
    return [name for (name,) in rows if name.startswith((tenant.shop.name, "dbcustody_"))]


def settled(tenant: Tenant, name: str) -> bool:
    """Return whether the cluster is as it was: workloads with their replicas, no finalizer."""
    body = tenant.get("restorerequests", name)
    return web(tenant)["spec"]["replicas"] == REPLICAS and not body["metadata"].get("finalizers")
