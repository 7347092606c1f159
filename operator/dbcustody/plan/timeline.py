"""What happened to a resource, in the order in which it happened: out of what it says, what was said of it, and what was made for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dbcustody.api.migration_error import StatedError
from dbcustody.codec import decode, parse_time
from dbcustody.plan.migration_text import error_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Happening:
    """One line of it."""

    time: datetime
    what: str
    words: str


def timeline_of(
    body: Mapping[str, Any],
    *,
    events: Iterable[Mapping[str, Any]] = (),
    approvals: Iterable[Mapping[str, Any]] = (),
    backups: Iterable[Mapping[str, Any]] = (),
) -> tuple[Happening, ...]:
    """Return what happened to the resource *body*, oldest first; *events*, *approvals* and *backups* are those that are about it.

    What has no time is left out; Events are forgotten by Kubernetes after an hour or so, and the ledger's attempts never are.
    """
    found = [*_own(body), *_events(events), *_approvals(approvals), *_backups(backups)]
    return tuple(sorted(set(found)))


def _own(body: Mapping[str, Any]) -> Iterator[Happening]:
    status = body.get("status") or {}
    yield from _at(body["metadata"].get("creationTimestamp"), "created", "")
    for one in status.get("history", ()):
        yield from _at(one.get("finishTime"), one["state"], one["name"])
    if error := status.get("lastError"):
        yield from _at(error.get("time"), "refused", error_line(decode(StatedError, error, "status.lastError")))
    for one in status.get("conditions", ()):
        words = f"{one['type']}={one['status']}"
        yield from _at(one.get("lastTransitionTime"), one["reason"], f"{words} {one.get('message', '')}".rstrip())
    run = status.get("run") or {}
    yield from _at(
        run.get("finishTime"), run.get("reason", ""), f"Job {run.get('jobName', '')}: {run.get('message', '')}"
    )


def _events(events: Iterable[Mapping[str, Any]]) -> Iterator[Happening]:
    for one in events:
        moment = one.get("lastTimestamp") or one.get("eventTime") or one["metadata"].get("creationTimestamp")
        yield from _at(moment, one.get("reason") or "Event", one.get("message") or "")


def _approvals(approvals: Iterable[Mapping[str, Any]]) -> Iterator[Happening]:
    for one in approvals:
        spec = one["spec"]
        words = f"Approval {one['metadata']['name']} of plan {spec.get('planHash')} by {spec.get('approver', 'nobody knows whom')}"
        yield from _at(one["metadata"].get("creationTimestamp"), spec.get("decision", "Approval"), words)


def _backups(backups: Iterable[Mapping[str, Any]]) -> Iterator[Happening]:
    for one in backups:
        name, status = one["metadata"]["name"], one.get("status") or {}
        yield from _at(one["metadata"].get("creationTimestamp"), "backup", f"Backup {name} is asked for")
        yield from _at(status.get("finishTime"), "backup", f"Backup {name} is over")


def _at(moment: str | None, what: str, words: str) -> Iterator[Happening]:
    if moment:
        yield Happening(time=parse_time(moment), what=what, words=words)
