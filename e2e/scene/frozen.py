"""What an older version left in a cluster and in a bucket (tests/fixtures/upgrade), brought back to life."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import yaml

from chartmaking.copies import escaped
from ground import etcd
from ground.cache import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from ground.kubernetes import Cluster
    from ground.s3 import S3Server
    from scene.shop import Shop

SPACE: Final = "frozen"
BUCKET: Final = "frozen"
KEY: Final = hashlib.sha256(b"the key of a bucket that is published with its fixtures").digest()
_PORT: Final = 9000
_NODE: Final = "node-before"
_FOLDER: Final = REPOSITORY / "tests" / "fixtures" / "upgrade"
OURS: Final = ("Database", "BackupStorage", "BackupPolicy", "Backup", "RestoreRequest")


@dataclass(frozen=True)
class Frozen:
    """One of the fixtures."""

    name: str

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return _FOLDER / self.name

    @cached_property
    def objects(self) -> list[Any]:
        """Every object of the cluster, owners before what they own."""
        found: list[Any] = json.loads((self.folder / "objects.json").read_text())
        return found

    def resources(self) -> list[Any]:
        """Return those of our own kinds."""
        return [one for one in self.objects if one["kind"] in OURS]

    def crds(self) -> list[Any]:
        """Return the definitions as they were then."""
        documents = yaml.safe_load_all((self.folder / "install.yaml").read_text())
        return [one for one in documents if one and one["kind"] == "CustomResourceDefinition"]

    def thaw(self, cluster: Cluster) -> None:
        """Put the objects into *cluster*.

        Pods lie on a node that is gone: the kubelet here would look for containers that it never had.
        """
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": _NODE}, "spec": {"unschedulable": True}}
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(node))
        etcd.put(cluster, json.loads(json.dumps(self.objects).replace('"nodeName": "node"', f'"nodeName": "{_NODE}"')))

    def fill(self, store: S3Server) -> None:
        """Put every object of the bucket into *store*."""
        client, folder = store.client(), self.folder / "bucket"
        store.make_bucket(BUCKET)
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            client.put_object(Bucket=BUCKET, Key=str(path.relative_to(folder)), Body=path.read_bytes())

    def chart(self, folder: Path) -> Path:
        """Return a chart below *folder* that installs what was rendered then."""
        (folder / "templates").mkdir(parents=True)
        shutil.copy(REPOSITORY / "charts" / "dbcustody" / "Chart.yaml", folder)
        (folder / "templates" / "all.yaml").write_text(escaped((self.folder / "install.yaml").read_text()))
        return folder


def neighbours(host: str, *, store_port: int, database_port: int) -> str:
    """Return the names in the cluster by which the frozen resources call the servers beside it, as a manifest."""
    ports = {"store": store_port, "database": database_port}
    items = [part for name, port in ports.items() for part in _neighbour(name, host, port)]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def secret_of(shop: Shop) -> dict[str, str]:
    """Return the Secret that opens the database of *shop* by that name."""
    return {**shop.secret, "host": f"database.{SPACE}.svc", "port": str(_PORT)}


def _neighbour(name: str, host: str, port: int) -> tuple[Any, Any]:
    metadata = {"name": name, "namespace": SPACE}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
    labels = {"kubernetes.io/service-name": name}
    addresses = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": labels},
        "addressType": "IPv4",
        "ports": [{"port": port}],
        "endpoints": [{"addresses": [host]}],
    }
    return {**service, "spec": {"ports": [{"port": _PORT, "targetPort": port}]}}, addresses
