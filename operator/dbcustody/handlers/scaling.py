"""Workloads through their scale subresource: how many replicas there are, whether we may change that, and changing it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.kube import WORKLOADS, Resource
from dbcustody.errors import RefusedError
from dbcustody.plan.workload import SeenWorkload
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.api.database import WorkloadKind
    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.world import Key
    from dbcustody.plan.actions import ScaleWorkload

_LOG: Final = logging.getLogger(__name__)
_SCALE: Final = "scale"


async def look_at_workload(hands: Hands, namespace: str, kind: WorkloadKind, name: str) -> SeenWorkload:
    """Return the workload as it is; a scaling that changes nothing tells whether one that does would be allowed."""
    resource = Resource(WORKLOADS, kind.plural)
    try:
        body = await hands.kube.get(resource, namespace, name, subresource=_SCALE)
        if body is None:
            return SeenWorkload(kind=kind, name=name)
        replicas = int(body["spec"].get("replicas") or 0)
        same = {"spec": {"replicas": replicas}}
        await hands.kube.patch(resource, namespace, name, same, subresource=_SCALE, dry_run=True)
    except RefusedError as error:
        return SeenWorkload(kind=kind, name=name, refusal=error.message)
    return SeenWorkload(kind=kind, name=name, replicas=replicas, running=int(body["status"].get("replicas") or 0))


async def scale(hands: Hands, key: Key, action: ScaleWorkload) -> None:
    """Give the workload so many replicas; one that is gone needs none. Raises RefusedError (ScaleForbidden)."""
    wanted = {"spec": {"replicas": action.replicas}}
    resource = Resource(WORKLOADS, action.kind.plural)
    try:
        await hands.kube.patch(resource, key.namespace, action.name, wanted, subresource=_SCALE)
    except RefusedError as error:
        raise RefusedError(error.message, reason=Reason.SCALE_FORBIDDEN) from error
    _LOG.info("scaled %s %s/%s to %d for %s", action.kind.value, key.namespace, action.name, action.replicas, key.name)
