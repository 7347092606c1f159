"""The Kubernetes API in memory, with the rules of the real one that handlers rest on, and a wire that can be cut at any request.

Kept are: resource versions and uids, generations that move with the spec alone, 409 for a taken name or a foreign uid, a JSON patch
whose test does not hold, status as a subresource of our kinds, server-side apply that takes over whatever bears the name, finalizers,
orphaning and foreground deletion, and garbage collection of what was owned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from dbcustody.adapters.kube import CRON_JOBS, JOBS, Resource
from dbcustody.codec import format_time
from dbcustody.errors import ConflictError, RefusedError, UnavailableError
from dbcustody.naming import GROUP
from dbcustody.reason import Reason

Json = dict[str, Any]
Place = tuple[str, str]
WATCHED: Final = "watched"
_OUTSIDE_SPEC: Final = ("metadata", "status")


class DeathError(BaseException):
    """The process died: nothing in it may catch this."""


class Fault(StrEnum):
    """What goes wrong at a request."""

    FAILS = "fails"
    """It never arrives."""
    ANSWER_LOST = "answer-lost"
    """It is done, and the operator hears nothing of it."""
    DIES = "dies"
    """It is done, and is the last thing that the process did."""


@dataclass(frozen=True)
class Call:
    """One request."""

    verb: str
    plural: str
    name: str
    detail: str = ""


@dataclass
class FakeKube:
    """An API server with nothing in it; every watcher hears of each change at once, as (type, resource, object)."""

    now: Callable[[], datetime]
    calls: MutableSequence[Call] = field(default_factory=list)
    watchers: MutableSequence[Callable[[str, Resource, Json], None]] = field(default_factory=list)
    refusals: dict[tuple[str, str], Exception] = field(default_factory=dict)
    """What is raised instead of an answer, by verb and plural."""
    fault: tuple[int, Fault] | None = None
    """The number of the request (from 0) at which something goes wrong, and what; None again afterwards."""
    logs: dict[Place, str] = field(default_factory=dict)
    _objects: defaultdict[Resource, dict[Place, Json]] = field(default_factory=lambda: defaultdict(dict))
    _version: int = 100
    _uid: int = 0

    # what handlers ask

    async def get(self, resource: Resource, namespace: str | None, name: str, *, subresource: str = "") -> Json | None:
        """Return the object, or None; the scale of a workload is the workload itself here."""
        return self._answer("get", resource, name, lambda: self.peek(resource, namespace, name), subresource)

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        only_metadata: bool = False,
    ) -> AsyncIterator[Json]:
        """Yield the objects that fit the selectors."""
        found = self._answer("list", resource, "", lambda: self._select(resource, namespace, labels, fields))
        for body in found:
            yield {"metadata": body["metadata"]} if only_metadata else body

    async def create(self, resource: Resource, namespace: str | None, body: Mapping[str, Any]) -> Json:
        """Return the object as created; raises ConflictError for a taken name."""
        name = body["metadata"]["name"]
        return self._answer("create", resource, name, lambda: self.put_new(resource, namespace, body))

    async def replace(self, resource: Resource, namespace: str | None, name: str, body: Mapping[str, Any]) -> Json:
        """Return the object as replaced; raises ConflictError when somebody wrote since."""
        return self._answer("update", resource, name, lambda: self._replaced(resource, namespace, name, body))

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        operations: Sequence[Mapping[str, Any]] | Mapping[str, Any],
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Json | None:
        """Return the object after a JSON patch (a list) or a merge patch (a mapping), or None."""
        place = (namespace or "", name)

        def work() -> Json | None:
            return self.peek(resource, *place) if dry_run else self._patched(resource, place, operations, subresource)

        return self._answer("patch", resource, name, work, "dry run" if dry_run else subresource)

    async def apply(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], *, dry_run: bool = False
    ) -> Json:
        """Return the object after server-side apply, which never says that a name is taken."""
        name = body["metadata"]["name"]
        work = lambda: dict(body) if dry_run else self._applied(resource, namespace, body)  # noqa: E731 - one line
        return self._answer("apply", resource, name, work, "dry run" if dry_run else "")

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, propagation: str = "Background", uid: str = ""
    ) -> bool:
        """Return whether there was something to delete; raises ConflictError when *uid* is another object's."""
        work = lambda: self._deleted(resource, (namespace or "", name), propagation, uid)  # noqa: E731 - one line
        return self._answer("delete", resource, name, work, propagation)

    async def log(self, namespace: str, pod: str, *, tail_lines: int) -> str | None:
        """Return the end of a log, or None."""
        resource = Resource("v1", "pods")
        work = lambda: self.logs.get((namespace, pod))  # noqa: E731 - one line
        text = self._answer("log", resource, pod, work)
        return None if text is None else "\n".join(text.splitlines()[-tail_lines:])

    # what a test does as the rest of the world

    def peek(self, resource: Resource, namespace: str | None, name: str) -> Json | None:
        """Return a copy of the object without asking, or None."""
        return duplicate(self._objects[resource].get((namespace or "", name)))

    def all(self, resource: Resource) -> list[Json]:
        """Return copies of all objects, without asking."""
        return [duplicate(body) for body in self._objects[resource].values()]

    def put_new(self, resource: Resource, namespace: str | None, body: Mapping[str, Any]) -> Json:
        """Return the object as created by anybody."""
        place = (namespace or "", body["metadata"]["name"])
        if place in self._objects[resource]:
            raise ConflictError(f"{resource.plural} {place[1]!r} already exists", reason=Reason.NAME_TAKEN)
        self._uid += 1
        made: Json = duplicate(dict(body))
        made["metadata"] = {
            **made["metadata"],
            "namespace": namespace or "",
            "uid": f"uid-{self._uid}",
            "generation": 1,
            "creationTimestamp": format_time(self.now()),
        }
        if resource.api_version.startswith(GROUP):
            made["status"] = {"observedGeneration": -1}
        return self._store(resource, place, made, "ADDED")

    def change(self, resource: Resource, namespace: str, name: str, change: Callable[[Json], None]) -> Json:
        """Return the object after *change* by anybody; a new spec is a new generation."""
        place = (namespace, name)
        before = self._objects[resource][place]
        after = duplicate(before)
        change(after)
        if after.get("spec") != before.get("spec"):
            after["metadata"]["generation"] += 1
        return self._store(resource, place, after, "MODIFIED")

    def remove(self, resource: Resource, namespace: str, name: str) -> None:
        """Have somebody delete the object, and let Kubernetes' garbage collector do its work."""
        self._deleted(resource, (namespace, name), "Background", "")

    def finish_deletions(self) -> None:
        """Do what the garbage collector and the controllers do in the background: foreground deletions and orphaning come to an end."""
        for resource in (JOBS, CRON_JOBS):
            for place, body in list(self._objects[resource].items()):
                if body["metadata"].get("deletionTimestamp"):
                    body["metadata"]["finalizers"] = []
                    self._go(resource, place)

    # inside

    def _answer(self, verb: str, resource: Resource, name: str, work: Callable[[], Any], detail: str = "") -> Any:  # noqa: PLR0917 - of one request
        fault = self.fault[1] if self.fault is not None and self.fault[0] == len(self.calls) else None
        self.calls.append(Call(verb, resource.plural, name, detail))
        if fault is not None:
            self.fault = None
        if fault is Fault.FAILS:
            raise UnavailableError("API server: no answer")
        refusal = self.refusals.get((verb, resource.plural))
        if refusal is not None:
            raise refusal
        answer = duplicate(work())
        if fault is Fault.DIES:
            raise DeathError
        if fault is Fault.ANSWER_LOST:
            raise UnavailableError("API server: the connection was reset")
        return answer

    def _select(self, resource: Resource, namespace: str | None, labels: str, fields: str) -> list[Json]:
        found = [body for place, body in self._objects[resource].items() if namespace in {None, place[0]}]
        return [body for body in found if _fits_labels(body, labels) and _fits_fields(body, fields)]

    def _replaced(self, resource: Resource, namespace: str | None, name: str, body: Mapping[str, Any]) -> Json:
        place = (namespace or "", name)
        before = self._objects[resource].get(place)
        if before is None:
            raise RefusedError(f"{name}: does not exist", reason=Reason.POD_NOT_CREATED)
        if body["metadata"].get("resourceVersion") != before["metadata"]["resourceVersion"]:
            raise ConflictError(f"{name}: the object has been modified", reason=Reason.NAME_TAKEN)
        return self._store(resource, place, duplicate(dict(body)), "MODIFIED")

    def _patched(self, resource: Resource, place: Place, operations: Any, subresource: str) -> Json | None:
        before = self._objects[resource].get(place)
        if before is None:
            return None
        after = duplicate(before)
        if isinstance(operations, Mapping):
            _merge(after, operations)
        else:
            for operation in operations:
                _operate(after, operation)
        kept = self._only_allowed(resource, before, after, subresource)
        if kept == before:
            return before
        if kept.get("spec") != before.get("spec"):
            kept["metadata"]["generation"] += 1
        stored = self._store(resource, place, kept, "MODIFIED")
        self._go(resource, place)
        return stored

    def _only_allowed(self, resource: Resource, before: Json, after: Json, subresource: str) -> Json:
        """Return *after* without what a request to this (sub)resource cannot change."""
        if subresource == "status":
            return {**before, "status": after["status"]}
        if resource.api_version.startswith(GROUP):
            return {**after, "status": before["status"]}
        return after

    def _applied(self, resource: Resource, namespace: str | None, body: Mapping[str, Any]) -> Json:
        place = (namespace or "", body["metadata"]["name"])
        if place not in self._objects[resource]:
            return self.put_new(resource, namespace, body)
        return self._patched(resource, place, body, "") or {}

    def _deleted(self, resource: Resource, place: Place, propagation: str, uid: str) -> bool:
        body = self._objects[resource].get(place)
        if body is None:
            return False
        if uid and uid != body["metadata"]["uid"]:
            raise ConflictError(f"{place[1]}: the UID in the precondition is another", reason=Reason.NAME_TAKEN)
        finalizers = list(body["metadata"].get("finalizers") or ())
        if propagation == "Foreground":
            finalizers.append("foregroundDeletion")
        if propagation == "Orphan" or "orphan" in finalizers:
            self._orphan(body["metadata"]["uid"])
        body["metadata"]["finalizers"] = finalizers
        body["metadata"].setdefault("deletionTimestamp", format_time(self.now()))
        self._store(resource, place, body, "MODIFIED")
        self._go(resource, place)
        return True

    def _go(self, resource: Resource, place: Place) -> None:
        """Let the object go when it is being deleted and no finalizer keeps it; what it owned goes after it."""
        body = self._objects[resource].get(place)
        if body is None or not body["metadata"].get("deletionTimestamp") or body["metadata"].get("finalizers"):
            return
        del self._objects[resource][place]
        self._tell("DELETED", resource, body)
        for kind, objects in list(self._objects.items()):
            for other, child in list(objects.items()):
                if any(one["uid"] == body["metadata"]["uid"] for one in child["metadata"].get("ownerReferences") or ()):
                    self._deleted(kind, other, "Background", "")

    def _orphan(self, uid: str) -> None:
        for objects in self._objects.values():
            for child in objects.values():
                owners = child["metadata"].get("ownerReferences") or ()
                child["metadata"]["ownerReferences"] = [one for one in owners if one["uid"] != uid]

    def _store(self, resource: Resource, place: Place, body: Json, event: str) -> Json:
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        self._objects[resource][place] = body
        self._tell(event, resource, body)
        return body

    def _tell(self, event: str, resource: Resource, body: Json) -> None:
        for watcher in self.watchers:
            watcher(event, resource, duplicate(body))


def duplicate(value: Any) -> Any:
    """Return a copy of JSON *value*; ten times as fast as `copy.deepcopy`, which has to think of more."""
    if isinstance(value, dict):
        return {name: duplicate(item) for name, item in value.items()}
    return [duplicate(item) for item in value] if isinstance(value, list | tuple) else value


def _operate(body: Json, operation: Mapping[str, Any]) -> None:
    """Do one operation of a JSON patch; raises what the API server answers."""
    *path, last = str(operation["path"]).lstrip("/").split("/")
    at = body
    for part in path:
        if part not in at:
            raise RefusedError(f"the path {operation['path']} does not exist", reason=Reason.POD_NOT_CREATED)
        at = at[part]
    match operation["op"]:
        case "test":
            if at.get(last) != operation["value"]:
                raise ConflictError("testing value failed: test failed", reason=Reason.NAME_TAKEN)
        case "remove":
            if last not in at:
                raise RefusedError(f"unable to remove {operation['path']}", reason=Reason.POD_NOT_CREATED)
            del at[last]
        case _:
            at[last] = duplicate(operation["value"])


def _merge(body: Json, patch: Mapping[str, Any]) -> None:
    for name, value in patch.items():
        if value is None:
            body.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(body.get(name), dict):
            _merge(body[name], value)
        else:
            body[name] = duplicate(value)


def _fits_labels(body: Json, selector: str) -> bool:
    labels = body["metadata"].get("labels") or {}
    for term in filter(None, selector.split(",")):
        name, equals, value = term.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    return True


def _fits_fields(body: Json, selector: str) -> bool:
    for term in filter(None, selector.split(",")):
        path, _, value = term.partition("=")
        at: Any = body
        for part in path.split("."):
            at = (at or {}).get(part)
        if at != value:
            return False
    return True
