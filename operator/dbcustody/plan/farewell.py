"""What hangs on our finalizer when there is no operator any more, and what stays where when it is taken off.

Bodies are read as they come, not as resources: on that day whatever stands there must be let go, also what this version cannot read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.meta import Kind
from dbcustody.naming import FINALIZER, named
from dbcustody.plan.checkup import Level, judge_lease
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_WORKLOADS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A resource that our finalizer keeps, as it was read."""

    kind: Kind
    namespace: str
    name: str
    version: str
    others: tuple[str, ...]
    """Finalizers of others, which stay."""
    is_going: bool
    """Whether its deletion was asked for: then it goes at once."""
    stays: str
    """What stays where, and what a person has to do about it."""

    @property
    def place(self) -> str:
        """How it is called when people are told of it."""
        return f"{self.namespace}/{self.kind.value.lower()}/{self.name}"

    @property
    def patch(self) -> dict[str, Any]:
        """The merge patch that takes our finalizer off, unless somebody wrote meanwhile."""
        return {"metadata": {"resourceVersion": self.version, "finalizers": list(self.others) or None}}


def held(kind: Kind, body: Mapping[str, Any]) -> Held | None:
    """Return what there is to know of *body* when our finalizer is taken off; None when it carries none."""
    metadata = body["metadata"]
    finalizers = tuple(metadata.get("finalizers") or ())
    if FINALIZER not in finalizers:
        return None
    return Held(
        kind=kind,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        version=metadata["resourceVersion"],
        others=tuple(one for one in finalizers if one != FINALIZER),
        is_going="deletionTimestamp" in metadata,
        stays=_STAYS.get(kind, _nothing)(body),
    )


def living_operator(lease: Mapping[str, Any], now: datetime) -> str | None:
    """Return who holds *lease* and renewed it lately, or None when nobody does; *now* by the API server's clock."""
    found = judge_lease(lease, now)
    return found.said if found.level is Level.OK else None


def _nothing(_: Mapping[str, Any]) -> str:
    return "nothing of it lies elsewhere"


def _of_backup(body: Mapping[str, Any]) -> str:
    status = body.get("status") or {}
    if any(one.get("reason") == Reason.DATA_DELETED.value for one in status.get("conditions") or ()):
        return "its data was deleted before"
    artefact = status.get("artefact") or {}
    where = artefact.get("location", "its storage, if anything was written")
    return f"the data stays in {where}: nobody deletes it with the resource"


def _of_restore(body: Mapping[str, Any]) -> str:
    """Return what a request leaves; one that is not over may have left a database shut, and workloads down."""
    status = body.get("status") or {}
    old = (status.get("oldDatabase") or {}) if not (status.get("oldDatabase") or {}).get("droppedTime") else {}
    kept = f"; the old database {old['name']} stays on the server: nobody drops it" if old else ""
    if any(one.get("type") == "Finished" and one.get("status") == "True" for one in status.get("conditions") or ()):
        return f"it is over{kept}"
    down = [f"{one['kind']} {one['name']} ({one['replicas']})" for one in _stopped(status)]
    scaled = f"; scale back by hand: {named(down, _WORKLOADS_SHOWN)}" if down else ""
    return f"it is not over, and its database may be shut: `dbcustody restore --recover` opens it{kept}{scaled}"


def _stopped(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in status.get("workloads") or () if not one.get("resumed")]


_STAYS: Final = {Kind.BACKUP: _of_backup, Kind.RESTORE_REQUEST: _of_restore}
