"""What needs a person: every resource that does not help itself, why, and the command to type.

What somebody meant (`suspend`, `cancel`), what goes on by itself, and a failure that was made good since are left out:
a list that is never empty is a list that nobody reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from dbcustody.api.glance import ONE_SHOT
from dbcustody.api.meta import Kind
from dbcustody.naming import GROUP
from dbcustody.plan.asking import database_of
from dbcustody.plan.command import command_for
from dbcustody.plan.verdict import guidance_of, remedy_of
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dbcustody.api.glance import Glance, Said

GRACE: Final = timedelta(minutes=5)
"""How long something may be unready, or not looked at, before a person is told: most of it passes."""
RECENT: Final = timedelta(days=7)
"""How far back a failure is still news."""
MOST_FAILURES: Final = 10
NOT_SEEN: Final = "NotSeen"
UNREADABLE: Final = "Unreadable"
_MEANT: Final = frozenset({Reason.SUSPENDED.value, Reason.CANCELLED.value})
_ALARMS: Final = {
    Kind.BACKUP_POLICY: ("RecoveryPointCurrent", "ContinuityProven", "RetentionEnforced"),
    Kind.BACKUP_STORAGE: ("KeysCurrent",),
    Kind.DATABASE: ("OldDatabasesDropped",),
}
"""Conditions that are bad news although work goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One thing for a person to look at."""

    resource: str
    namespace: str
    reason: str
    message: str
    remedy: str = ""
    command: str = ""
    since: datetime | None = None


def needs_of(resources: Sequence[Glance], now: datetime) -> tuple[Need, ...]:
    """Return what needs a person among *resources*: first what stands in the way of work, then what failed, the newest first.

    Of an Approval nobody has to do anything: what it lacks is told of the request that still waits.
    """
    policies = [one for one in resources if one.kind is Kind.BACKUP_POLICY]
    lasting = sorted(
        (one for one in resources if one.kind is not Kind.APPROVAL and not _is_over(one)),
        key=lambda one: (one.namespace, one.place),
    )
    told = [need for one in lasting for need in _lasting(one, now, policies)]
    told += [need for one in resources if one.kind is Kind.RESTORE_REQUEST for need in _left_behind(one, now, policies)]
    failed = sorted(_failures(resources, now, policies), key=lambda one: str(_ended(one)), reverse=True)
    return (*told, *(_failure(one, policies) for one in failed[:MOST_FAILURES]))


def unreadable(kind: Kind, name: str, namespace: str, message: str) -> Need:
    """Return the need for a resource that this version cannot read."""
    return Need(
        resource=f"{kind.plural}.{GROUP}/{name}",
        namespace=namespace,
        reason=UNREADABLE,
        message=message,
        remedy="update dbcustody on this machine, or correct the resource",
    )


def _is_over(resource: Glance) -> bool:
    return resource.kind in ONE_SHOT and resource.is_true("Finished")


def _lasting(resource: Glance, now: datetime, policies: Sequence[Glance]) -> Iterator[Need]:
    """Yield what is wrong with a resource that is not over; the same reason is told once."""
    if not resource.is_current and _is_older(resource.metadata.creation_timestamp, now):
        yield Need(
            resource=resource.place,
            namespace=resource.namespace,
            reason=NOT_SEEN,
            message="the operator has not looked at what is asked for now",
            remedy="see whether the operator runs",
            command="kubectl dbcustody doctor",
            since=resource.metadata.creation_timestamp,
        )
    told: set[str] = set()
    for said in _wrong(resource, now):
        if said.reason not in told | _MEANT:
            told.add(said.reason)
            yield _need(resource, said, policies)


def _wrong(resource: Glance, now: datetime) -> Iterator[Said]:
    asked = resource.said("Approved")
    if asked is not None and asked.reason == Reason.APPROVAL_PENDING.value:
        yield asked
    stalled, ready = resource.said("Stalled"), resource.said("Ready")
    if stalled is not None and stalled.status == "True":
        yield stalled
    elif ready is not None and ready.status == "False" and _is_older(ready.last_transition_time, now):
        yield from () if _waits_its_turn(resource, ready) else (ready,)
    alarms = (resource.said(kind) for kind in _ALARMS.get(resource.kind, ()))
    yield from (said for said in alarms if said is not None and said.status == "False" and _is_bad(said))


def _left_behind(request: Glance, now: datetime, policies: Sequence[Glance]) -> Iterator[Need]:
    """Yield what a request that is over left to a person, however it ended."""
    stopped, old, ended = request.said("WorkloadsResumed"), request.status.old_database, _ended(request)
    is_news = ended is None or now - ended <= RECENT
    if _is_over(request) and is_news and stopped is not None and stopped.status == "False":
        yield _need(request, stopped, policies)
    if old is not None and old.dropped_time is None and now - old.drop_after > GRACE:
        yield Need(
            resource=request.place,
            namespace=request.namespace,
            reason=Reason.TARGET_IN_USE.value,
            message=f"the old database {old.name} is still there, although its time is over",
            remedy="see in the events of the request why it cannot be dropped",
            command=command_for(request, "", policies),
            since=old.drop_after,
        )


def _waits_its_turn(resource: Glance, ready: Said) -> bool:
    """Return whether a run that is not over has nothing to do but wait, however long: behind another dump, or for a lock."""
    return resource.kind in ONE_SHOT and remedy_of(ready.reason).startswith("wait")


def _is_bad(said: Said) -> bool:
    """Return whether *said* is bad news: keys that are being closed anew, or a hold, are none."""
    guidance = guidance_of(said.reason)
    return guidance is None or guidance.exit_code is not ExitCode.DONE


def _is_older(moment: datetime | None, now: datetime) -> bool:
    return moment is None or now - moment > GRACE


def _failures(resources: Iterable[Glance], now: datetime, policies: Sequence[Glance]) -> Iterator[Glance]:
    """Yield what failed lately and was not made good by a later success of the same kind for the same thing."""
    over = [one for one in resources if _is_over(one)]
    good: dict[tuple[str, ...], str] = {}
    for one in over:
        if one.is_proof:
            subject = _subject(one, policies)
            good[subject] = max(good.get(subject, ""), str(_ended(one)))
    for one in over:
        verdict, ended = one.said("Succeeded"), _ended(one)
        is_failure = not one.is_true("Succeeded") and (verdict is None or verdict.reason not in _MEANT)
        is_news = ended is None or now - ended <= RECENT
        if is_failure and is_news and str(ended) > good.get(_subject(one, policies), ""):
            yield one


def _subject(resource: Glance, policies: Sequence[Glance]) -> tuple[str, ...]:
    into = (resource.spec.target.database or "") if resource.spec.target is not None else ""
    return resource.kind.value, resource.namespace, database_of(resource, policies) or "", into


def _ended(resource: Glance) -> datetime | None:
    return resource.status.finish_time or resource.metadata.creation_timestamp


def _failure(resource: Glance, policies: Sequence[Glance]) -> Need:
    said = resource.said("Succeeded") or resource.said("Finished")
    assert said is not None  # noqa: S101 - it is over, so that Finished was said
    return _need(resource, said, policies)


def _need(resource: Glance, said: Said, policies: Sequence[Glance]) -> Need:
    return Need(
        resource=resource.place,
        namespace=resource.namespace,
        reason=said.reason,
        message=said.message,
        remedy=remedy_of(said.reason),
        command=command_for(resource, said.reason, policies),
        since=said.last_transition_time,
    )
