"""What the operator's ServiceAccount may do: its list and nothing beside it, Secrets first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from scene.api import Api, ApiError
from scene.evidence import OPERATOR_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scene.deployment import Deployment
    from scene.tenant import Tenant

pytestmark = pytest.mark.cluster

VERBS: Final = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
_ALL: Final = {"get", "list", "watch", "create", "patch", "delete"}
ALLOWED: Final = {
    **{("dbcustody.dev", kind): _ALL for kind in ("databases", "backupstorages", "backuppolicies", "backups")},
    **{
        ("dbcustody.dev", f"{kind}/status"): {"patch"}
        for kind in ("databases", "backupstorages", "backuppolicies", "backups")
    },
    **{("dbcustody.dev", kind): {"get", "list", "watch"} for kind in ("approvals", "databasemigrations")},
    ("dbcustody.dev", "restorerequests"): {"get", "list", "watch", "patch"},
    **{
        ("dbcustody.dev", f"{kind}/status"): {"patch"}
        for kind in ("restorerequests", "approvals", "databasemigrations")
    },
    ("batch", "jobs"): _ALL,
    ("batch", "cronjobs"): _ALL,
    ("", "pods"): {"get", "list", "watch"},
    ("", "pods/log"): {"get"},
    ("", "events"): {"list", "watch", "create", "patch"},
    ("", "configmaps"): _ALL,
    ("", "namespaces"): {"get"},
    ("", "persistentvolumeclaims"): {"get"},
}
"""The architecture's list, whole; the Lease beside the operator is a matter of its own namespace."""
EVERYBODY: Final = {"selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "clustertrustbundles"}
"""What Kubernetes grants to any authenticated user: to ask about himself, and public certificates."""


@pytest.fixture(scope="module")
def account(deployment: Deployment) -> Iterator[Api]:
    """Yield a connection with the operator's rights."""
    token = deployment.cluster.kubectl("create", "token", "dbcustody-operator", "-n", OPERATOR_NAMESPACE).strip()
    connection = Api(deployment.cluster, token=token)
    yield connection
    connection.close()


def test_secrets_are_forbidden_in_every_way(account: Api, tenant: Tenant) -> None:
    """Real requests for a Secret that is there are answered with 403, whatever the verb."""
    where = f"api/v1/namespaces/{tenant.name}/secrets"
    attempts = [
        ("GET", f"{where}/shop-app", None),
        ("GET", where, None),
        ("GET", "api/v1/secrets", None),
        ("GET", f"{where}?watch=true", None),
        ("POST", where, {"metadata": {"name": "new"}}),
        ("DELETE", f"{where}/shop-app", None),
        ("PUT", f"{where}/shop-app", {"metadata": {"name": "shop-app"}}),
    ]

    assert [_status(account, *attempt) for attempt in attempts] == [403] * len(attempts)


def _status(account: Api, method: str, path: str, body: Any) -> int:
    try:
        account.ask(method, path, body)
    except ApiError as error:
        return error.status
    return 200


def test_nothing_but_the_list_is_allowed(account: Api, tenant: Tenant) -> None:
    """Every verb on every resource that this cluster serves was asked for: what is allowed is the architecture's list."""
    found = {}
    for group, resource in sorted(_served(account)):
        verbs = {verb for verb in VERBS if _may(account, tenant.name, (group, resource), verb)}
        if verbs and resource not in EVERYBODY:
            found[group, resource] = verbs

    assert found == {**ALLOWED, **{key: {"update"} for key in found if key[1].endswith("/finalizers")}}
    assert ("", "secrets") not in found


def _served(account: Api) -> Iterator[tuple[str, str]]:
    """Yield group and name of every resource, subresources too."""
    found = account.ask("GET", "apis")["groups"]
    groups = [(group["name"], f"apis/{group['preferredVersion']['groupVersion']}") for group in found]
    for name, path in [("", "api/v1"), *groups]:
        for resource in account.ask("GET", path)["resources"]:
            yield name, resource["name"]


def _may(account: Api, namespace: str, what: tuple[str, str], verb: str) -> bool:
    group, resource = what
    name, _, subresource = resource.partition("/")
    attributes = {"namespace": namespace, "group": group, "resource": name, "subresource": subresource, "verb": verb}
    review = {"spec": {"resourceAttributes": attributes}}
    path = "apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    return bool(account.ask("POST", path, review)["status"]["allowed"])


def test_jobs_have_no_way_to_the_api(housed: Tenant) -> None:
    """No token is mounted in a Job's pod, and its container may do nothing but its work."""
    for pod in [*housed.pods("inspect"), *housed.pods("probe")]:
        (container,) = pod["spec"]["containers"]
        mounts = [one["mountPath"] for one in container["volumeMounts"]]

        assert pod["spec"]["automountServiceAccountToken"] is False
        assert not any("serviceaccount" in path for path in mounts)
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_who_the_operator_talks_with_is_written_down(deployment: Deployment) -> None:
    """The NetworkPolicy is there and selects the operator's pods; that it holds is not shown here, where no network enforces any."""
    where = f"apis/networking.k8s.io/v1/namespaces/{OPERATOR_NAMESPACE}/networkpolicies/dbcustody-operator"
    wanted = deployment.api.ask("GET", where)["spec"]["podSelector"]["matchLabels"].items()
    pods = deployment.pods()

    assert pods
    assert all(wanted <= pod["metadata"]["labels"].items() for pod in pods)
