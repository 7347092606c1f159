"""Resources as a client reads them from the API server, with what matters for the case at hand."""

from __future__ import annotations

from typing import Any, Final

from dbcustody.api.glance import Glance
from dbcustody.api.meta import Kind
from dbcustody.codec import format_time
from dbcustody.naming import API_VERSION
from tests.fakes.seen import ago

Json = dict[str, Any]
LONG: Final = 86_400.0


def said(kind: str, status: str, reason: str = "", message: str = "", *, since: float = LONG) -> Json:
    """Return a condition that has stood for *since* seconds."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": format_time(ago(since)),
    }


def body(
    kind: Kind, name: str, *conditions: Json, spec: Json | None = None, namespace: str = "team", **status: Any
) -> Json:
    """Return the object as the API server has it; the operator has looked at it unless *status* says otherwise."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind.value,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "generation": 1,
            "creationTimestamp": format_time(ago(2 * LONG)),
        },
        "spec": spec or {},
        "status": {"observedGeneration": 1, "conditions": list(conditions), **status},
    }


def glance(kind: Kind, name: str, *conditions: Json, **more: Any) -> Glance:
    """Return the same, read."""
    return Glance.from_body(kind, body(kind, name, *conditions, **more))


def policy(name: str = "nightly", *conditions: Json, database: str = "shop", **more: Any) -> Json:
    """Return a policy of *database* that keeps its promise unless *conditions* say otherwise."""
    spec = {"databaseRef": {"name": database}, "storageRef": {"name": "main"}, **more.pop("spec", {})}
    kept = conditions or (said("Ready", "True", "Ready"), said("RecoveryPointCurrent", "True", "RecoveryPointCurrent"))
    return body(Kind.BACKUP_POLICY, name, *kept, spec=spec, **more)


def backup(name: str, *, good: bool = True, reason: str = "", ended: float = 3600, **more: Any) -> Json:
    """Return a Backup of `shop` by `nightly` that ended *ended* seconds ago."""
    verdict = ("True", reason or "Succeeded") if good else ("False", reason or "DumpFailed")
    spec = more.pop("spec", {"databaseRef": {"name": "shop"}, "policyRef": {"name": "nightly"}})
    told = [said("Finished", "True", verdict[1]), said("Succeeded", *verdict, "pg_dump said so")]
    told += [said("Stalled", "True", verdict[1])] if not good else [said("Verified", "True", "Verified")]
    return body(Kind.BACKUP, name, *told, spec=spec, finishTime=format_time(ago(ended)), **more)


def request(name: str, *conditions: Json, into: str = "shop_again", **more: Any) -> Json:
    """Return a RestoreRequest for a new database on the server of `shop`."""
    spec = {"source": {"backupRef": {"name": "monday"}}, "target": {"databaseRef": {"name": "shop"}, "database": into}}
    return body(Kind.RESTORE_REQUEST, name, *conditions, spec=spec, **more)


def replacement(
    name: str, *conditions: Json, source: Json | None = None, more: Json | None = None, **status: Any
) -> Json:
    """Return a RestoreRequest in the place of `shop`."""
    spec = {"source": source or {"backupRef": {"name": "monday"}}, "target": {"databaseRef": {"name": "shop"}}}
    return body(Kind.RESTORE_REQUEST, name, *conditions, spec={**spec, "mode": "Replace", **(more or {})}, **status)


def kept(name: str = "shop_replaced_0", *, left_seconds: float = LONG, **more: Any) -> Json:
    """Return an old database as status tells it, which may be dropped in *left_seconds*."""
    return {"name": name, "keptTime": format_time(ago(60)), "dropAfter": format_time(ago(-left_seconds)), **more}
