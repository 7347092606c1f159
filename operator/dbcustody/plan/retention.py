"""Retention: which backups stay, each with every reason, judged from the inventory alone.

The rules, and where they come from (research/backup-restore.md, F9-F13):

- Only good backups of the whole database fill slots: the newest ones, and the last one of each hour, day, week, month and year that has
  one, by the time of the data, in the policy's time zone. A failed verification fills nothing, a Partial backup neither.
- Servers of different system identifiers do not compete: after a major upgrade or a move, the old history stays as it was.
- A backup goes only when a newer good one of its kind exists. The newest good, the newest verified, the newest restored as
  a test, and held ones never go.
- `keepWithinDays` counts from the finish to the newest good backup, not to the clock: when backups stop, nothing more expires.
- Partial and unproven backups stay for as many days as the daily slots reach back, at least a week.
- What cannot be believed freezes everything. What is believed and unlikely (data of the future, more than half of five or more at once)
  waits for a person, who confirms the very plan by its hash.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from dbcustody.api.policy import Retention
from dbcustody.codec import format_time
from dbcustody.naming import ANNOTATION_CONFIRM_PRUNE, named
from dbcustody.plan.period import Period, periods_after, slot_key
from dbcustody.plan.schedule import zone_of
from dbcustody.reason import Reason
from dbcustody.repository.canonical import canonical, sha256_hex

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from dbcustody.repository.inventory import Inventory, ReadBackup

FEW: Final = 5
"""Below so many backups, half of them is no mass deletion."""
LEAST_DAYS: Final = 7
"""How long a backup that fills no slot stays at least."""
SKEW: Final = timedelta(minutes=5)
"""How far the server's clock may be ahead of ours; Kerberos allows the same."""
_HASH_DIGITS: Final = 16
_MOST_DOUBTS_TOLD: Final = 3
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Because(StrEnum):
    """Why a backup stays; the last one is why it goes."""

    LAST = "Last"
    HOURLY = Period.HOURLY.value
    DAILY = Period.DAILY.value
    WEEKLY = Period.WEEKLY.value
    MONTHLY = Period.MONTHLY.value
    YEARLY = Period.YEARLY.value
    WITHIN_DAYS = "WithinDays"
    PARTIAL = "Partial"
    UNPROVEN = "Unproven"
    LAST_GOOD = "LastGood"
    LAST_VERIFIED = "LastVerified"
    LAST_RESTORE_TESTED = "LastRestoreTested"
    NO_NEWER_GOOD = "NoNewerGood"
    HELD = "Held"
    IN_DOUBT = "InDoubt"
    OTHER_POLICY = "OtherPolicy"
    EXPIRED = "Expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionEntry:
    """What is decided about one backup; *expires* None means that no time can be told."""

    name: str
    backup_id: str
    keep: bool
    because: tuple[str, ...]
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPlan:
    """What is decided about every backup that is not deleted yet, newest first."""

    entries: tuple[RetentionEntry, ...] = ()
    hash: str = ""
    """Of what is to go; empty when nothing is. A person confirms it."""
    frozen: tuple[Reason, str] | None = None
    """Why nothing is deleted although the rules would, and what helps; None: the plan may be carried out."""

    @property
    def deletions(self) -> tuple[str, ...]:
        """The ids of the backups that go now, oldest first; none while the plan is frozen."""
        return () if self.frozen is not None else tuple(one.backup_id for one in reversed(self.entries) if not one.keep)


@dataclass(frozen=True, slots=True)
class _Ground:
    """One reason to keep a backup; *until* None: for as long as the reason holds."""

    because: Because
    until: datetime | None = None


_Grounds = defaultdict[str, list[_Ground]]
"""Of each backup, by its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """Under which a decision is made."""

    retention: Retention
    zone: ZoneInfo
    now: datetime

    def sane(self, moment: datetime) -> datetime:
        """Return *moment* in the zone, within what calendars can reckon with: anybody may have written a manifest."""
        return min(max(moment, _EARLIEST), self.now + SKEW).astimezone(self.zone)


def decide(
    inventory: Inventory,
    retention: Retention,
    *,
    time_zone: str,
    now: datetime,
    policy: str | None = None,
    held_names: frozenset[str] = frozenset(),
    vanished: Sequence[str] = (),
    confirmed: str | None = None,
) -> RetentionPlan:
    """Return what *retention* decides at *now* about the backups of *inventory* that are not deleted.

    With *policy*, backups of other policies and of none stay as they are; None decides about the whole custody. *held_names* are held by
    their resources, as others are by a fact in the storage. *vanished* are known backups that somebody took away. *confirmed* is the hash
    of the plan that a person has seen and wants carried out. Raises InvalidSpecError (ScheduleInvalid) for an unknown time zone.
    """
    terms = _Terms(retention=retention, zone=zone_of(time_zone), now=now)
    own = [one for one in inventory.live if policy is None or one.manifest.policy == policy]
    grounds: _Grounds = defaultdict(list)
    for kin in _kinships(own):
        _judge(kin, terms, grounds)
    own_ids = {one.manifest.backup_id for one in own}
    for one in inventory.live:
        is_held = one.is_held or one.manifest.name in held_names
        _add_protection(one, grounds, is_own=one.manifest.backup_id in own_ids, is_held=is_held)
    doomed = [one for one in own if not grounds[one.manifest.backup_id]]
    plan_hash = _hash(doomed)
    return RetentionPlan(
        entries=tuple(_entry(one, grounds[one.manifest.backup_id]) for one in reversed(inventory.live)),
        hash=plan_hash,
        frozen=_doubted(inventory)
        or _robbed(vanished)
        or _unlikely(own, doomed, terms, is_confirmed=confirmed == plan_hash),
    )


def _kinships(backups: Iterable[ReadBackup]) -> Iterable[list[ReadBackup]]:
    """Return the backups that can stand in for each other, oldest first: of one server, and the Partial ones of one policy."""
    kin: defaultdict[Hashable, list[ReadBackup]] = defaultdict(list)
    for one in backups:
        manifest = one.manifest
        kin[(manifest.server.system_identifier, _is_full(one) or ("policy", manifest.policy))].append(one)
    return kin.values()


def _is_full(one: ReadBackup) -> bool:
    return one.manifest.is_whole


def _judge(kin: Sequence[ReadBackup], terms: _Terms, grounds: _Grounds) -> None:
    """Write down why each of *kin* stays."""
    good = [one for one in kin if one.is_good]
    _fill_slots([one for one in good if _is_full(one)], terms, grounds)
    _keep_for_days(kin, good, terms, grounds)
    verified = [one for one in kin if one.is_verified]
    tested = [one for one in kin if one.is_restore_tested]
    newest_ones = (
        (good[-1:], Because.LAST_GOOD),
        (verified[-1:], Because.LAST_VERIFIED),
        (tested[-1:], Because.LAST_RESTORE_TESTED),
    )
    for newest, because in newest_ones:
        for one in newest:
            grounds[one.manifest.backup_id].append(_Ground(because))
    newest_good = kin.index(good[-1]) if good else -1
    for one in kin[newest_good + 1 :]:
        grounds[one.manifest.backup_id].append(_Ground(Because.NO_NEWER_GOOD))


def _fill_slots(good: Sequence[ReadBackup], terms: _Terms, grounds: _Grounds) -> None:
    """Give the slots to *good*, oldest first: the last one of a period has its slot."""
    for one in good[max(0, len(good) - terms.retention.keep_last) :]:
        grounds[one.manifest.backup_id].append(_Ground(Because.LAST))
    for period, count in _wanted(terms.retention).items():
        last = {slot_key(period, terms.sane(one.manifest.snapshot)): one for one in good}
        for one in list(last.values())[max(0, len(last) - count) :]:
            until = periods_after(period, terms.sane(one.manifest.finished), count)
            grounds[one.manifest.backup_id].append(_Ground(Because(period.value), until))


def _wanted(retention: Retention) -> dict[Period, int]:
    """Return how many slots of each period *retention* wants."""
    return {
        Period.HOURLY: retention.keep_hourly,
        Period.DAILY: retention.keep_daily,
        Period.WEEKLY: retention.keep_weekly,
        Period.MONTHLY: retention.keep_monthly,
        Period.YEARLY: retention.keep_yearly,
    }


def _keep_for_days(kin: Sequence[ReadBackup], good: Sequence[ReadBackup], terms: _Terms, grounds: _Grounds) -> None:
    """Keep what is young, seen from the newest good one of *kin*, and for a while what fills no slot."""
    if not good:
        return
    seen_from = min(terms.now, good[-1].manifest.finished)
    within = terms.retention.keep_within_days
    spare = max(LEAST_DAYS, terms.retention.keep_daily, within)
    for one in kin:
        finished = terms.sane(one.manifest.finished)
        ground = grounds[one.manifest.backup_id]
        if within and seen_from < (until := periods_after(Period.DAILY, finished, within)):
            ground.append(_Ground(Because.WITHIN_DAYS, until))
        slotless = Because.UNPROVEN if not one.is_good else None if _is_full(one) else Because.PARTIAL
        if slotless is not None and seen_from < (until := periods_after(Period.DAILY, finished, spare)):
            ground.append(_Ground(slotless, until))


def _add_protection(one: ReadBackup, grounds: _Grounds, *, is_own: bool, is_held: bool) -> None:
    """Write down what no rule of a policy can lift."""
    protections = (
        (is_held, Because.HELD),
        (bool(one.doubts), Because.IN_DOUBT),
        (not is_own, Because.OTHER_POLICY),
    )
    grounds[one.manifest.backup_id] += [_Ground(because) for is_there, because in protections if is_there]


def _entry(one: ReadBackup, grounds: Sequence[_Ground]) -> RetentionEntry:
    """Return what is decided; a time can be told when every reason has one, and the last of them counts."""
    times = [ground.until for ground in grounds if ground.until is not None]
    return RetentionEntry(
        name=one.manifest.name,
        backup_id=one.manifest.backup_id,
        keep=bool(grounds),
        because=tuple(ground.because.value for ground in grounds) or (Because.EXPIRED.value,),
        expires=max(times) if times and len(times) == len(grounds) else None,
    )


def _hash(doomed: Sequence[ReadBackup]) -> str:
    if not doomed:
        return ""
    return sha256_hex(canonical([(one.manifest.backup_id, one.manifest_sha256) for one in doomed]))[:_HASH_DIGITS]


def _doubted(inventory: Inventory) -> tuple[Reason, str] | None:
    """Speak when something in the inventory cannot be believed; no confirmation helps against that."""
    doubts = inventory.doubts
    if not doubts:
        return None
    told = named(doubts, _MOST_DOUBTS_TOLD)
    return Reason.RETENTION_FROZEN, f"nothing is deleted: the storage holds what cannot be believed ({told})"


def _robbed(vanished: Sequence[str]) -> tuple[Reason, str] | None:
    """Speak when backups are gone that nobody with a key deleted: what is left is not to become less until a person has looked."""
    if not vanished:
        return None
    told = named(vanished, _MOST_DOUBTS_TOLD)
    return (
        Reason.CONTINUITY_UNPROVEN,
        f"nothing is deleted: {told} lay in the storage and vanished without a tombstone; if that was meant, delete these Backups",
    )


def _unlikely(
    own: Sequence[ReadBackup], doomed: Sequence[ReadBackup], terms: _Terms, *, is_confirmed: bool
) -> tuple[Reason, str] | None:
    """Speak when the plan is so unlikely to be meant that a person has to say so."""
    if not doomed or is_confirmed:
        return None
    why = []
    newest = max(max(one.manifest.snapshot, one.manifest.finished) for one in own)
    if newest > terms.now + SKEW:
        why.append(f"a backup of {_told(newest)} lies in the future of {_told(terms.now)}: some clock jumped")
    if len(own) >= FEW and 2 * len(doomed) > len(own):
        why.append(f"{len(doomed)} of {len(own)} backups would go at once")
    if not why:
        return None
    confirm = f"if that is meant, annotate the BackupPolicy with {ANNOTATION_CONFIRM_PRUNE}={_hash(doomed)}"
    return Reason.RETENTION_NEEDS_CONFIRMATION, f"nothing is deleted: {'; '.join(why)}; {confirm}"


def _told(moment: datetime) -> str:
    return format_time(moment.replace(microsecond=0))
