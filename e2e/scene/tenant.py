"""One user of the cluster: a namespace under the `restricted` profile, a database, a bucket, and the Secrets that open them."""

from __future__ import annotations

import base64
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ground.s3 import S3Server
from scene.api import Api, Json
from scene.evidence import collect, conditions
from scene.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


API_VERSION: Final = "dbcustody.dev/v1"
KEY_ID: Final = "k2026"
KEEP_ONE: Final = {"keepLast": 1, "keepDaily": 0, "keepWeekly": 0, "keepMonthly": 0}
"""A retention that lets everything go but the newest."""
PAUSE_SECONDS: Final = 0.1
TRUTH_SECONDS: Final = 60
"""How long status may take to tell the truth after something happened, once API server and leader are there."""
_PLURALS: Final = {
    "Database": "databases",
    "BackupStorage": "backupstorages",
    "BackupPolicy": "backuppolicies",
    "Backup": "backups",
    "RestoreRequest": "restorerequests",
    "Approval": "approvals",
    "DatabaseMigration": "databasemigrations",
}


@dataclass
class Tenant:
    """The namespace *name*; what its methods make is called `shop` (Database), `main` (BackupStorage) unless told otherwise."""

    api: Api
    name: str
    shop: Shop
    store: S3Server
    bucket: str
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def settle_in(self) -> None:
        """Make the namespace and the Secrets."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.api.create("namespaces", {"metadata": {"name": self.name, "labels": labels}})
        self.secret("shop-app", **self.shop.secret)
        self.secret("bucket", AWS_ACCESS_KEY_ID=self.store.access_key, AWS_SECRET_ACCESS_KEY=self.store.secret_key)
        self.secret("keys", **{KEY_ID: self.key})

    def leave(self) -> None:
        """Have the namespace deleted, without waiting for it."""
        self.api.delete("namespaces", self.name)

    def secret(self, name: str, **values: str | bytes) -> None:
        """Make the Secret, or give it exactly these values."""
        data = {key: base64.b64encode(_bytes(value)).decode() for key, value in values.items()}
        if self.api.get("secrets", name, self.name) is None:
            self.api.create("secrets", {"metadata": {"name": name}, "data": data}, self.name)
        else:
            self.api.patch("secrets", name, self.name, [{"op": "replace", "path": "/data", "value": data}])

    def make(self, kind: str, name: str, spec: Mapping[str, Any], **metadata: Any) -> Json:
        """Create a resource of ours and return it."""
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, **metadata}, "spec": dict(spec)}
        return self.api.create(_PLURALS[kind], body, self.name)

    def database(
        self, name: str = "shop", *, opened_by: str = "shop-app", restored_by: str | None = None, **connection: Any
    ) -> Json:
        """Create a Database; *restored_by* names the Secret of the role that restores, *connection* adds to its connection."""
        wanted = {"secretRef": {"name": opened_by}, "tls": {"mode": "Disable"}, **connection}
        roles = {"roles": {"restore": {"secretRef": {"name": restored_by}}}} if restored_by else {}
        return self.make("Database", name, {"connection": wanted, **roles})

    def storage(self, name: str = "main", *, s3: Mapping[str, Any] | None = None, **spec: Any) -> Json:
        """Create an encrypted BackupStorage in the bucket; *s3* changes how it is reached, *spec* the rest."""
        bucket = {
            "bucket": self.bucket,
            "endpoint": self.store.url,
            "region": "us-east-1",
            "addressingStyle": "Path",
            "credentialsSecretRef": {"name": "bucket"},
            **(s3 or {}),
        }
        return self.make("BackupStorage", name, {"s3": bucket, **keyring(), **spec})

    def policy(self, name: str = "nightly", **spec: Any) -> Json:
        """Create a BackupPolicy that by itself would first run at the end of February."""
        wanted = {
            "databaseRef": {"name": "shop"},
            "storageRef": {"name": "main"},
            "schedule": "0 3 29 2 *",
            **spec,
        }
        return self.make("BackupPolicy", name, wanted)

    def backup(self, name: str, *, policy: str | None = None, **spec: Any) -> Json:
        """Create a Backup: the policy's, or one of Database and BackupStorage with options of its own."""
        wanted: Json = {"databaseRef": {"name": "shop"}, **spec}
        wanted |= {"policyRef": {"name": policy}} if policy else {"storageRef": {"name": "main"}}
        return self.make("Backup", name, wanted)

    def restore(self, name: str, source: Mapping[str, Any], into: str, *, on: str = "shop", **spec: Any) -> Json:
        """Create a RestoreRequest for *source* into the new database *into*."""
        target = {"databaseRef": {"name": on}, "database": into}
        return self.make("RestoreRequest", name, {"source": dict(source), "target": target, **spec})

    def get(self, plural: str, name: str) -> Json:
        """Return the object, which must be there."""
        found = self.api.get(plural, name, self.name)
        assert found is not None, f"{plural}/{name} is not there\n{collect(self.api, self.name)}"
        return found

    def names(self, plural: str, **query: str) -> list[str]:
        """Return the names of all objects of a kind, in order."""
        return sorted(body["metadata"]["name"] for body in self.api.list(plural, self.name, **query))

    def jobs(self, verb: str) -> list[Json]:
        """Return the Jobs that do *verb*, the oldest first."""
        found = self.api.list("jobs", self.name, labelSelector=f"dbcustody.dev/verb={verb}")
        return sorted(found, key=lambda body: str(body["metadata"]["creationTimestamp"]))

    def pods(self, verb: str) -> list[Json]:
        """Return the pods that do *verb*."""
        return self.api.list("pods", self.name, labelSelector=f"dbcustody.dev/verb={verb}")

    def worker(self, backup: str, *, seconds: float = 120) -> Json:
        """Return the running pod of the Backup *backup*."""

        def running() -> Json | None:
            pods = self.api.list("pods", self.name, labelSelector=f"dbcustody.dev/backup={backup}")
            return next((pod for pod in pods if pod["status"].get("phase") == "Running"), None)

        found: Json = self.until(running, f"a pod of {backup} runs", seconds=seconds)
        return found

    def condition(self, plural: str, name: str, kind: str) -> Json:
        """Return the condition *kind* of an object; empty when it was never said."""
        body = self.api.get(plural, name, self.name)
        return conditions(body or {}).get(kind, {})

    def wait(
        self, plural: str, name: str, kind: str, status: str = "True", *, reason: str = "", seconds: float = 120
    ) -> Json:
        """Return the object once its condition *kind* has *status* (and *reason*) for its present generation."""

        def said() -> Json | None:
            body: Json = self.api.get(plural, name, self.name) or {}
            one = conditions(body).get(kind, {})
            is_current = one.get("observedGeneration") == (body.get("metadata") or {}).get("generation")
            fits = one.get("status") == status and reason in {"", one.get("reason")}
            return body if is_current and fits else None

        found: Json = self.until(said, f"{plural}/{name} has {kind}={status} {reason}".rstrip(), seconds=seconds)
        return found

    def until(self, found: Callable[[], Any], what: str, *, seconds: float = 120) -> Any:
        """Return the first thing that *found* gives; fails with everything that can be seen when that takes longer than *seconds*."""
        deadline = time.monotonic() + seconds
        while not (thing := found()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not so after {seconds:.0f} s: {what}\n{collect(self.api, self.name)}")
            time.sleep(PAUSE_SECONDS)
        return thing

    def until_ready(self) -> None:
        """Wait until Database and BackupStorage of the usual names are Ready."""
        self.wait("databases", "shop", "Ready")
        self.wait("backupstorages", "main", "Ready")

    def finished(self, name: str, *, seconds: float = 120) -> Json:
        """Return the Backup once it is over, well or not."""
        return self.wait("backups", name, "Finished", seconds=seconds)

    def succeeded(self, name: str, *, seconds: float = 120) -> Json:
        """Return the Backup once it has succeeded; one that ends otherwise fails the test at once."""
        body = self.finished(name, seconds=seconds)
        verdict = conditions(body)["Succeeded"]
        assert verdict["status"] == "True", f"{name}: {verdict}\n{collect(self.api, self.name)}"
        return body


def keyring(name: str = "keys", active: str = KEY_ID) -> dict[str, Any]:
    """Return the part of a BackupStorage that has it encrypted by the Secret *name*."""
    return {"encryption": {"keyringSecretRef": {"name": name}, "activeKeyId": active}}


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
