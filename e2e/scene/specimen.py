"""Resources to show to the API server: the least that is accepted of each kind, and ways to put them before it."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.meta import Kind
from dbcustody.naming import API_VERSION, GROUP

if TYPE_CHECKING:
    from ground.kubernetes import Cluster

    Json = Any

DATABASE: Final = {"connection": {"secretRef": {"name": "shop"}}}
S3: Final = {"bucket": "backups"}
KEYRING: Final = {"keyringSecretRef": {"name": "keyring"}, "activeKeyId": "k2026"}
STORAGE: Final = {"s3": S3, "encryption": KEYRING}
POLICY: Final = {"databaseRef": {"name": "shop"}, "storageRef": {"name": "main"}, "schedule": "0 2 * * *"}
BACKUP: Final = {"policyRef": {"name": "nightly"}}
ALONE: Final = {"databaseRef": {"name": "shop"}, "storageRef": {"name": "main"}}
RESTORE: Final = {
    "source": {"backupRef": {"name": "monday"}},
    "target": {"databaseRef": {"name": "shop"}, "database": "shop_again"},
}
APPROVAL: Final = {
    "requestRef": {"kind": "RestoreRequest", "name": "again"},
    "planHash": "0123456789ab",
    "decision": "Approve",
}
MIGRATION: Final = {
    "databaseRef": {"name": "shop"},
    "source": {"configMapRefs": [{"name": "shop-migrations"}]},
}
LEAST: Final[dict[Kind, Json]] = {
    Kind.DATABASE: DATABASE,
    Kind.BACKUP_STORAGE: STORAGE,
    Kind.BACKUP_POLICY: POLICY,
    Kind.BACKUP: BACKUP,
    Kind.RESTORE_REQUEST: RESTORE,
    Kind.APPROVAL: APPROVAL,
    Kind.DATABASE_MIGRATION: MIGRATION,
}
_NUMBERS = itertools.count(1)


class Showcase:
    """A namespace of its own in which resources are shown to the API server."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def try_out(self, kind: Kind, spec: Json, *, name: str = "shop") -> str:
        """Return what the API server says to the resource, without keeping it."""
        words = ("create", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-")
        return self.cluster.kubectl(*words, stdin=self._text(kind, spec, name), check=False).strip()

    def create(self, kind: Kind, spec: Json) -> Json:
        """Create the resource under a name that nobody has, and return it as it was stored."""
        text = self._text(kind, spec, f"specimen-{next(_NUMBERS)}")
        return json.loads(self.cluster.kubectl("create", "--validate=strict", "-o", "json", "-f", "-", stdin=text))

    def patch(self, body: Json, change: Json, *words: str) -> str:
        """Change the resource *body* and return what kubectl says."""
        name = f"{body['kind'].lower()}.{GROUP}/{body['metadata']['name']}"
        flags = ("--type=merge", "-p", json.dumps(change), "-n", self.namespace, *words)
        return self.cluster.kubectl("patch", name, *flags, check=False)

    def get(self, *words: str) -> str:
        """Return what `kubectl get` shows in the namespace."""
        return self.cluster.kubectl("get", *words, "-n", self.namespace)

    def _text(self, kind: Kind, spec: Json, name: str) -> str:
        metadata = {"name": name, "namespace": self.namespace}
        return json.dumps({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec})
