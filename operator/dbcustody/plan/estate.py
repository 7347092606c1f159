"""The estate at a glance: for each Database, how old its newest proof is, when the next one is due, and whether the promise is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from dbcustody.api.meta import Kind
from dbcustody.plan.asking import database_of
from dbcustody.plan.command import undo_command

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dbcustody.api.glance import Glance

_WORST_FIRST: Final = ("False", "Unknown", "True")
_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "m"))
_SHOWN_FROM: Final = 2
"""Below two of a unit the next smaller one says more: 90m, not 1h."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One Database; None and empty mean: there is none, or it is not known."""

    namespace: str
    name: str
    ready: str
    last_backup: datetime | None
    last_verified: datetime | None
    next_run: datetime | None
    storages: tuple[str, ...]
    recovery_point: str | None


def rows_of(resources: Sequence[Glance]) -> tuple[Row, ...]:
    """Return a row for each Database among *resources*, by namespace and name."""
    databases = (one for one in resources if one.kind is Kind.DATABASE)
    return tuple(_row(one, resources) for one in sorted(databases, key=lambda one: (one.namespace, one.name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An old database that a swap put away, which can be put back until *until*."""

    namespace: str
    database: str
    name: str
    request: str
    until: datetime
    command: str


def kept_of(resources: Sequence[Glance], now: datetime) -> tuple[Kept, ...]:
    """Return what is kept of databases whose place was taken, what is dropped first coming first."""
    found = (
        Kept(
            namespace=one.namespace,
            database=database_of(one) or "",
            name=old.name,
            request=one.name,
            until=old.drop_after,
            command=undo_command(one),
        )
        for one in resources
        if (old := one.status.old_database) is not None and old.dropped_time is None and old.drop_after > now
    )
    return tuple(sorted(found, key=lambda one: (one.until, one.namespace, one.request)))


def age_text(moment: datetime | None, now: datetime) -> str:
    """Return how long ago *moment* is (`in` how long, when it is to come), as kubectl writes it; a dash for none."""
    if moment is None:
        return "-"
    seconds = round((now - moment).total_seconds())
    amount = abs(seconds)
    size, unit = next((one for one in _UNITS if amount >= _SHOWN_FROM * one[0]), (1, "s"))
    return f"{'in ' if seconds < 0 else ''}{amount // size}{unit}"


def _row(database: Glance, resources: Sequence[Glance]) -> Row:
    policies = [one for one in _near(database, resources) if one.kind is Kind.BACKUP_POLICY]
    own = [one for one in policies if database_of(one) == database.name]
    backups = [
        one
        for one in _near(database, resources)
        if one.kind is Kind.BACKUP and database_of(one, policies) == database.name and one.is_proof
    ]
    last = database.status.last_backup
    ready = database.said("Ready")
    return Row(
        namespace=database.namespace,
        name=database.name,
        ready=ready.status if ready is not None and database.is_current else "Unknown",
        last_backup=_newest([*(_taken(one) for one in backups), None if last is None else last.time]),
        last_verified=_newest(_taken(one) for one in backups if one.is_true("Verified")),
        next_run=_next_run(own),
        storages=tuple(sorted({one.spec.storage_ref.name for one in own if one.spec.storage_ref is not None})),
        recovery_point=_worst(own),
    )


def _near(database: Glance, resources: Iterable[Glance]) -> list[Glance]:
    return [one for one in resources if one.namespace == database.namespace]


def _taken(backup: Glance) -> datetime | None:
    return backup.status.snapshot_time or backup.status.finish_time


def _newest(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)


def _next_run(policies: Iterable[Glance]) -> datetime | None:
    coming = (one.status.next_schedule_time for one in policies if not one.spec.suspend)
    return min((moment for moment in coming if moment is not None), default=None)


def _worst(policies: Sequence[Glance]) -> str | None:
    said = [one.said("RecoveryPointCurrent") for one in policies]
    found = {"Unknown" if one is None else one.status for one in said}
    return next((status for status in _WORST_FIRST if status in found), None)
