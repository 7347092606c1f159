"""The cluster's API over one kept connection: waiting by kubectl would spend the machine on starting processes."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import urllib3

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ground.kubernetes import Cluster

Json = dict[str, Any]

_GROUPS: Final = {
    "databases": "apis/dbcustody.dev/v1",
    "backupstorages": "apis/dbcustody.dev/v1",
    "backuppolicies": "apis/dbcustody.dev/v1",
    "backups": "apis/dbcustody.dev/v1",
    "restorerequests": "apis/dbcustody.dev/v1",
    "approvals": "apis/dbcustody.dev/v1",
    "databasemigrations": "apis/dbcustody.dev/v1",
    "jobs": "apis/batch/v1",
    "cronjobs": "apis/batch/v1",
    "deployments": "apis/apps/v1",
    "leases": "apis/coordination.k8s.io/v1",
    "customresourcedefinitions": "apis/apiextensions.k8s.io/v1",
    "validatingadmissionpolicies": "apis/admissionregistration.k8s.io/v1",
    "validatingadmissionpolicybindings": "apis/admissionregistration.k8s.io/v1",
}
_PATCHES: Final = {True: "application/json-patch+json", False: "application/merge-patch+json"}


class ApiError(Exception):
    """The API server's answer when it is no success."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status, self.text = status, text


class Api:
    """Requests as the administrator, or with the *token* of somebody else."""

    def __init__(self, cluster: Cluster, *, token: str | None = None) -> None:
        keys = cluster.kubeconfig.parent
        credentials: dict[str, Any] = (
            {} if token else {"cert_file": str(keys / "admin.crt"), "key_file": str(keys / "admin.key")}
        )
        self._server = cluster.server
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager(
            ca_certs=str(keys / "ca.crt"), retries=False, timeout=urllib3.Timeout(connect=5, read=20), **credentials
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def ask(self, method: str, path: str, body: Any = None, *, content_type: str = "application/json") -> Any:
        """Return the answer (parsed when it is JSON, else text); raises ApiError for anything but a success."""
        data = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, **({} if data is None else {"Content-Type": content_type})}
        answer = self._pool.request(method, f"{self._server}/{path}", body=data, headers=headers)
        text = answer.data.decode(errors="replace")
        parsed = json.loads(text) if answer.headers.get("Content-Type", "").startswith("application/json") else text
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise ApiError(answer.status, parsed["message"] if isinstance(parsed, dict) else text)
        return parsed

    def get(self, plural: str, name: str, namespace: str | None = None) -> Json | None:
        """Return the object, or None when there is none."""
        try:
            found: Json = self.ask("GET", path(plural, namespace, name))
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return found

    def list(self, plural: str, namespace: str | None = None, **query: str) -> list[Json]:
        """Return all objects that fit the *query* (labelSelector, fieldSelector)."""
        words = urlencode(query)
        found: list[Json] = self.ask("GET", f"{path(plural, namespace)}?{words}")["items"]
        return found

    def create(self, plural: str, body: Mapping[str, Any], namespace: str | None = None) -> Json:
        """Return the object as created."""
        created: Json = self.ask("POST", path(plural, namespace), body)
        return created

    def patch(self, plural: str, name: str, namespace: str | None, change: Any, *, subresource: str = "") -> Json:
        """Return the object after a merge patch (a mapping) or a JSON patch (a list)."""
        where = path(plural, namespace, name, subresource)
        content_type = _PATCHES[isinstance(change, list)]
        changed: Json = self.ask("PATCH", where, change, content_type=content_type)
        return changed

    def delete(self, plural: str, name: str, namespace: str | None = None, *, propagation: str = "Background") -> None:
        """Ask for the deletion; what is not there is deleted."""
        try:
            self.ask("DELETE", path(plural, namespace, name), {"propagationPolicy": propagation})
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def log(self, pod: str, namespace: str) -> str:
        """Return what the pod's container wrote, or what keeps it from being read."""
        try:
            return str(self.ask("GET", path("pods", namespace, pod, "log")))
        except ApiError as error:
            return error.text


def path(plural: str, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
    """Return the path of a kind, or of one object."""
    space = f"namespaces/{namespace}" if namespace else ""
    return "/".join(part for part in (_GROUPS.get(plural, "api/v1"), space, plural, name, subresource) if part)
