"""The operator as users run it: what the chart installed, both replicas, in a namespace under the `restricted` profile."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ground.image import Image
from ground.kubernetes import Cluster
from ground.process import wait_until
from scene.api import Api
from scene.evidence import OPERATOR_NAMESPACE, collect
from scene.victim import kill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scene.api import Json

NAME: Final = "dbcustody-operator"


@dataclass
class Deployment:
    """The operator's Deployment in *cluster*."""

    cluster: Cluster
    api: Api
    image: Image

    def pods(self) -> list[Json]:
        """Return the replicas that are not going away."""
        found = self.api.list("pods", OPERATOR_NAMESPACE)
        return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]

    def wait_ready(self, replicas: int = 2, *, seconds: float = 60) -> None:
        """Wait until exactly *replicas* pods are there, all ready, and one leads if there is any."""
        ready = wait_until(lambda: self._is_whole(replicas), seconds, pause_seconds=0.2)
        assert ready, collect(self.api, OPERATOR_NAMESPACE)

    def recover(self, killed: frozenset[str] = frozenset(), *, seconds: float = 120) -> None:
        """Wait until all replicas are ready and none is one of the containers *killed*, whose pods are told to be ready for a moment."""

        def recovered() -> bool:
            self.replace_punished()
            return self._is_whole(2) and not self.containers() & killed

        assert wait_until(recovered, seconds, pause_seconds=0.5), collect(self.api, OPERATOR_NAMESPACE)

    def _is_whole(self, replicas: int) -> bool:
        pods = self.api.list("pods", OPERATOR_NAMESPACE)
        is_led = replicas == 0 or self.leader() is not None
        return len(pods) == replicas and all(_is_ready(pod) for pod in pods) and is_led

    def containers(self) -> frozenset[str]:
        """Return the ids of the containers that are at work, as far as the API server has heard."""
        statuses = [one for pod in self.pods() for one in (pod.get("status") or {}).get("containerStatuses") or ()]
        return frozenset(one["containerID"] for one in statuses if "running" in one.get("state", {}))

    def replace_punished(self) -> None:
        """Delete the pods whose restart the kubelet holds back because tests killed them so often; new ones start at once."""
        for pod in self.pods():
            statuses = (pod.get("status") or {}).get("containerStatuses") or ()
            if any("waiting" in one.get("state", {}) and one.get("restartCount", 0) > 0 for one in statuses):
                self.api.delete("pods", pod["metadata"]["name"], OPERATOR_NAMESPACE)

    def leader(self) -> Json | None:
        """Return the pod that holds the Lease, or None while no living one does."""
        lease = self.api.get("leases", NAME, OPERATOR_NAMESPACE) or {}
        holder = str((lease.get("spec") or {}).get("holderIdentity") or "")
        return next((pod for pod in self.pods() if holder.startswith(f"{pod['metadata']['name']}_")), None)

    def scale(self, replicas: int) -> None:
        """Set the number of replicas and wait until it is so."""
        self.api.patch("deployments", NAME, OPERATOR_NAMESPACE, {"spec": {"replicas": replicas}})
        self.wait_ready(replicas)

    @contextmanager
    def jobs_in(self, reference: str) -> Iterator[None]:
        """Have Jobs run the image *reference* while the block lasts."""
        self._set_job_image(reference)
        try:
            yield
        finally:
            self._set_job_image(self.image.reference)

    @contextmanager
    def untold(self, variable: str) -> Iterator[None]:
        """Have the operator not told of the environment *variable* while the block lasts, and as it was afterwards."""
        body = self.api.get("deployments", NAME, OPERATOR_NAMESPACE)
        assert body is not None
        (container,) = body["spec"]["template"]["spec"]["containers"]
        (before,) = (one["value"] for one in container["env"] if one["name"] == variable)
        self._set(f"{variable}-")
        try:
            yield
        finally:
            self._set(f"{variable}={before}")

    def _set_job_image(self, reference: str) -> None:
        """Tell the operator which image its Jobs run, and wait until both replicas know."""
        self._set(f"DBCUSTODY_IMAGE={reference}")

    def _set(self, assignment: str) -> None:
        where = (f"deployment/{NAME}", "-n", OPERATOR_NAMESPACE)
        self.cluster.kubectl("set", "env", *where, assignment)
        self.cluster.kubectl("rollout", "status", *where, "--timeout=120s")
        self.wait_ready()

    def kill_leader(self) -> str:
        """SIGKILL the leading process; returns the holder's identity as the Lease had it."""
        leader = self.leader()
        assert leader is not None, "nobody leads"
        assert kill(leader) > 0, f"no process found in {leader['metadata']['name']}"
        return str(leader["metadata"]["name"])

    def kill_all(self) -> None:
        """SIGKILL every replica's process."""
        assert sum(kill(pod) for pod in self.pods()) >= len(self.pods())

    def logs(self) -> str:
        """Return what all replicas have written, also in containers that were restarted."""
        texts = []
        for pod in self.api.list("pods", OPERATOR_NAMESPACE):
            name = pod["metadata"]["name"]
            texts.append(self.api.log(name, OPERATOR_NAMESPACE))
            texts.append(self.cluster.kubectl("logs", "-n", OPERATOR_NAMESPACE, name, "--previous", check=False))
        return "\n".join(texts)

    def wait_other_leader(self, before: str, *, seconds: float = 60) -> float:
        """Wait until the Lease was taken by another process than *before*, a holder's identity; returns the seconds it took."""
        started = time.monotonic()
        assert wait_until(lambda: self.holder() not in {"", before}, seconds), self.holder()
        return time.monotonic() - started

    def holder(self) -> str:
        """Return the identity in the Lease; empty while nobody holds it."""
        lease = self.api.get("leases", NAME, OPERATOR_NAMESPACE) or {}
        return str((lease.get("spec") or {}).get("holderIdentity") or "")


def _is_ready(pod: Json) -> bool:
    found = (pod.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in found)
