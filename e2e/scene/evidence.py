"""What a failed wait shows: everything that a person would look at next, so that nobody has to run the test again to see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ground.cache import GroundError
from scene.api import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scene.api import Api, Json

OPERATOR_NAMESPACE: Final = "dbcustody"
_KINDS: Final = (
    "databases",
    "backupstorages",
    "backuppolicies",
    "backups",
    "restorerequests",
    "databasemigrations",
)
_LOG_LINES: Final = 25


def collect(api: Api, namespace: str) -> str:
    """Return conditions, Jobs, pods with the ends of their logs, Events, and the operator's log, as far as they can be had."""
    try:
        return "\n".join(_lines(api, namespace))
    except (ApiError, GroundError, OSError) as error:
        return f"(no evidence: {error})"


def conditions(body: Json) -> dict[str, Json]:
    """Return the conditions of a resource by type."""
    return {one["type"]: one for one in (body.get("status") or {}).get("conditions") or ()}


def _lines(api: Api, namespace: str) -> Iterator[str]:
    for plural in _KINDS:
        for body in api.list(plural, namespace):
            yield from _resource(plural, body)
    for job in api.list("jobs", namespace):
        yield f"job {job['metadata']['name']}: {_short(job.get('status'))}"
    for pod in api.list("pods", namespace):
        yield from _pod(api, pod)
    for event in api.list("events", namespace)[-40:]:
        about = event["involvedObject"]
        yield f"event {about['kind']}/{about['name']} {event.get('reason')}: {str(event.get('message'))[:300]}"
    for pod in api.list("pods", OPERATOR_NAMESPACE):
        yield from _pod(api, pod)


def _resource(plural: str, body: Json) -> Iterator[str]:
    status = {name: value for name, value in (body.get("status") or {}).items() if name != "conditions"}
    yield f"{plural}/{body['metadata']['name']} generation {body['metadata']['generation']}: {_short(status)}"
    for one in conditions(body).values():
        yield f"    {one['type']}={one['status']} {one['reason']}: {one.get('message', '')[:300]}"


def _pod(api: Api, pod: Json) -> Iterator[str]:
    name, namespace, status = pod["metadata"]["name"], pod["metadata"]["namespace"], pod.get("status") or {}
    states = [one.get("state") for one in status.get("containerStatuses") or ()]
    yield f"pod {name}: {status.get('phase')} {status.get('reason', '')} {_short(states)}"
    for line in api.log(name, namespace).splitlines()[-_LOG_LINES:]:
        yield f"    | {line[:400]}"


def _short(value: object) -> str:
    return str(value)[:1200]
