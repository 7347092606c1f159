"""Objects put where the API server keeps them: with the uids that they had in another cluster, which no request could give them.

The program part runs in the cluster's network, where etcd listens, and needs nothing but Python.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ground.kubernetes import Cluster

_PUT: Final = "http://127.0.0.1:2379/v3/kv/put"
_PLURALS: Final = {"Backup": "backups", "BackupPolicy": "backuppolicies", "BackupStorage": "backupstorages"}


def put(cluster: Cluster, objects: Sequence[Any]) -> None:
    """Have the cluster keep *objects*, in their order, as they stand."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([[key_of(one), one] for one in objects], file)
        file.flush()
        cluster.run([sys.executable, __file__, file.name])


def key_of(body: Any) -> str:
    """Return etcd's key of an object: our kinds with their group, Kubernetes' own without."""
    group = body["apiVersion"].rpartition("/")[0]
    plural = _PLURALS.get(body["kind"], f"{body['kind'].lower()}s")
    place = f"{body['metadata']['namespace']}/{body['metadata']['name']}"
    return f"/registry/{group}/{plural}/{place}" if "." in group else f"/registry/{plural}/{place}"


def _main(path: str) -> None:
    for key, body in json.loads(Path(path).read_text()):
        pair = {"key": key.encode(), "value": json.dumps(body).encode()}
        text = json.dumps({name: base64.b64encode(part).decode() for name, part in pair.items()})
        with urllib.request.urlopen(_PUT, data=text.encode(), timeout=10) as answer:
            answer.read()


if __name__ == "__main__":
    _main(sys.argv[1])
