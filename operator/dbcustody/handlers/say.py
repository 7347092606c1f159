"""Writing status, and telling each change of a condition once: the one place where both happen."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any, Final

from dbcustody.adapters.kube import EVENTS, ours
from dbcustody.api.condition import ABSENT_UNLESS_TRUE, ConditionStatus, ConditionType
from dbcustody.codec import encode, format_time
from dbcustody.errors import ConflictError, DbcustodyError
from dbcustody.handlers.neighbourhood import concerned
from dbcustody.naming import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dbcustody.api.condition import Condition
    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.world import Key, Resource
    from dbcustody.reason import Reason

COMPONENT: Final = "dbcustody"
EVENT_MESSAGE_LENGTH: Final = 1024
_LOG: Final = logging.getLogger(__name__)


async def say(hands: Hands, key: Key, resource: Resource, status: Any) -> Resource | None:
    """Write *status* if it says something new, and return the resource as it is now; None when it is gone.

    Raises ConflictError when somebody wrote since the resource was seen.
    """
    if status == resource.status:
        return resource
    operations = list(_changes(encode(resource.status), encode(status)))
    if not operations:
        return resource
    test = {"op": "test", "path": "/metadata/resourceVersion", "value": resource.metadata.resource_version}
    body = await hands.kube.patch(
        ours(key.kind.plural), key.namespace, key.name, [test, *operations], subresource="status"
    )
    if body is None:
        return None
    hands.world.put(key.kind, body)
    after = hands.world.get(key)
    for neighbour in concerned(hands.world, key, resource, after):
        hands.queue.add(neighbour)
    for condition in _news(resource.status.conditions, status.conditions):
        is_warning = condition.status is ConditionStatus.FALSE and condition.type is not ConditionType.FINISHED
        await tell(hands, key, resource, condition.reason, condition.message or condition.type, is_warning=is_warning)
    return after


async def tell(  # noqa: PLR0917 - what, about what, and why
    hands: Hands, key: Key, resource: Resource, reason: Reason, message: str, *, is_warning: bool
) -> None:
    """Record an Event about *resource*; one that cannot be recorded is no reason to stop."""
    metadata, now = resource.metadata, hands.now()
    mark = f"{metadata.uid}{metadata.resource_version}{reason}{message}"
    name = f"{key.name[:200]}.{hashlib.sha256(mark.encode()).hexdigest()[:16]}"
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": key.namespace},
        "type": "Warning" if is_warning else "Normal",
        "reason": reason.value,
        "message": message[:EVENT_MESSAGE_LENGTH],
        "involvedObject": _reference(key, resource),
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": hands.settings.identity,
        "firstTimestamp": format_time(now),
        "lastTimestamp": format_time(now),
        "count": 1,
    }
    try:
        await hands.kube.create(EVENTS, key.namespace, event)
    except ConflictError:
        _LOG.debug("event was told before", extra={"event_name": name})
    except DbcustodyError as error:
        _LOG.warning("event could not be recorded: %s", error.message)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the JSON patch operations that turn one status into the other, field by field."""
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield {"op": "remove", "path": f"/status/{name}"}
        elif before.get(name) != after[name]:
            yield {"op": "add", "path": f"/status/{name}", "value": after[name]}


def _news(before: tuple[Condition, ...], after: tuple[Condition, ...]) -> Iterator[Condition]:
    """Yield the conditions whose answer or reason changed; a reason that several of them share is told once."""
    old = {condition.type: (condition.status, condition.reason) for condition in before}
    told: set[Reason] = set()
    for condition in after:
        is_news = old.get(condition.type) != (condition.status, condition.reason)
        if is_news and condition.type not in ABSENT_UNLESS_TRUE and condition.reason not in told:
            told.add(condition.reason)
            yield condition


def _reference(key: Key, resource: Resource) -> dict[str, str]:
    return {
        "apiVersion": API_VERSION,
        "kind": key.kind.value,
        "namespace": key.namespace,
        "name": key.name,
        "uid": resource.metadata.uid,
        "resourceVersion": resource.metadata.resource_version,
    }
