"""Two people of whom one asks and the other agrees, as the API server knows them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.meta import Kind
from dbcustody.naming import API_VERSION
from scene.specimen import APPROVAL

if TYPE_CHECKING:
    from ground.kubernetes import Cluster

    Json = Any

ASKS: Final = "alice"
AGREES: Final = "bob"


class Office:
    """Where people write, in one namespace."""

    def __init__(self, cluster: Cluster, space: str) -> None:
        self.cluster, self.space = cluster, space

    def admit(self) -> None:
        """Let both people do what the chart's roles allow."""
        for who, role in ((ASKS, "restore-requester"), (ASKS, "migrator"), (ASKS, "approver"), (AGREES, "approver")):
            words = ("rolebinding", f"{who}-{role}", f"--clusterrole=dbcustody-{role}", f"--user={who}")
            self.cluster.kubectl("create", *words, "-n", self.space)

    def create(self, who: str, kind: Kind, name: str, spec: Json, *words: str, **metadata: Any) -> str:
        """Return what the API server says to *who* creates a resource."""
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
        where = ("-n", self.space, f"--as={who}", "-o", "json", "-f", "-")
        return self.cluster.kubectl("create", *where, *words, stdin=json.dumps(body), check=False)

    def decide(self, who: str, name: str, plan_hash: str, decision: str = "Approve", **spec: Any) -> Json:
        """Return the Approval of the request `again` that *who* creates."""
        wanted = {**APPROVAL, "planHash": plan_hash, "decision": decision, **spec}
        return json.loads(self.create(who, Kind.APPROVAL, name, wanted))

    def change(self, who: str, *words: str) -> str:
        """Return what the API server says to *who* changes something by kubectl."""
        return self.cluster.kubectl(*words, "-n", self.space, f"--as={who}", check=False)
