"""Whether a database is still what its history says: what was found last under our eyes, against what is there now."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dbcustody.migration.catalogue import Catalogue
from dbcustody.migration.fingerprint import FORMAT, Change, differences, fingerprint
from dbcustody.migration.ledger import Standing, records

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dbcustody.migration.ledger import Attempt

_TOLD: Final = 10


class Likeness(StrEnum):
    """Whether a database is what its ledger says."""

    SAME = "Same"
    DRIFTED = "Drifted"
    UNKNOWN = "Unknown"
    """Nothing that is comparable was ever written down: no drift can be known, which is not that there is none."""


class Moment(StrEnum):
    """When a fingerprint was taken."""

    FOUND = "Found"
    """By a run, before its first statement, of a database that nobody had looked at, or that had changed and was let pass."""
    AFTER = "After"
    """With the outcome of an attempt."""
    ACCEPTED = "Accepted"
    """When a person said that this is how it is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A catalogue as it was at one moment, and under which conditions it was looked at."""

    catalogue: Catalogue
    fingerprint: str
    exclude: tuple[str, ...]
    server_major: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Print:
    """A fingerprint in the ledger."""

    fingerprint: str | None
    """None: it was not to be had, so that nothing is known from then on."""
    format: int
    exclude: tuple[str, ...]
    server_major: int
    moment: Moment
    attempt: int | None
    """The last attempt by then, by its place in the ledger; None: there was none."""
    is_outdated: bool = False
    """Whether something came in since, or may have, of which no fingerprint was taken: a run that was cut short leaves it so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How a database stands to the last fingerprint in its ledger."""

    likeness: Likeness
    found: str
    """The fingerprint of what is there now."""
    expected: str | None = None
    """The last one in the ledger; None: there is none."""
    changes: tuple[Change, ...] = ()
    """Object by object; empty when it has drifted and nobody knows in what, because the last catalogue was not kept."""
    why: str = ""
    """Why nothing is known."""

    @property
    def told(self) -> str:
        """What a status or log may say of it: names of objects and properties, no literal."""
        if self.likeness is not Likeness.DRIFTED:
            return self.why or "as it was left"
        named = [change.redacted for change in self.changes[:_TOLD]]
        if len(self.changes) > _TOLD:
            named.append(f"and {len(self.changes) - _TOLD} more")
        return "; ".join(named) or "it is not known in what: the last catalogue was not kept"


def take(catalogue: Catalogue, *, exclude: Iterable[str], server_major: int) -> Taken:
    """Return *catalogue*, which was read without *exclude*, with its fingerprint."""
    globs = tuple(sorted(set(exclude)))
    return Taken(catalogue=catalogue, fingerprint=fingerprint(catalogue), exclude=globs, server_major=server_major)


def judge_drift(last: Print | None, kept: Catalogue | None, now: Taken) -> Drift:
    """Return how *now* stands to the fingerprint that was written down *last*, whose catalogue was *kept* (None: it was not).

    What was left out by then, or is now, is compared by neither; on another major of PostgreSQL the texts that it writes otherwise are not.
    """
    if last is None or (why := _why_incomparable(last)) is not None:
        why = "no fingerprint was ever taken" if last is None else why
        return _unknown(now, last.fingerprint if last is not None else None, f"{why}; the next deploy takes one")
    is_alike = _is_alike(last, now)
    if is_alike and last.fingerprint == now.fingerprint:
        return Drift(likeness=Likeness.SAME, found=now.fingerprint, expected=last.fingerprint)
    if kept is None and not is_alike:
        why = "the last fingerprint was taken with other names left out, or of another major version, and its catalogue was not kept"
        return _unknown(now, last.fingerprint, f"{why}; the next deploy takes one")
    changes = () if kept is None else _compared(last, kept, now)
    drifted = is_alike or changes
    return Drift(
        likeness=Likeness.DRIFTED if drifted else Likeness.SAME,
        found=now.fingerprint,
        expected=last.fingerprint,
        changes=changes,
    )


def _why_incomparable(last: Print) -> str | None:
    """Return why nothing can be compared with *last*; None: it can be."""
    if last.fingerprint is None:
        return "after the last migration no fingerprint was to be had"
    if last.is_outdated:
        return "since the last fingerprint a run was cut short, or a history was taken over"
    if last.format != FORMAT:
        return f"the last fingerprint is of format {last.format}, and this version takes format {FORMAT}"
    return None


def is_of(last: Print, now: Taken) -> bool:
    """Return whether *last* says all that *now* would: the same was found, and looked at in the same way."""
    return last.fingerprint == now.fingerprint and _is_alike(last, now) and not last.is_outdated


def known_fingerprint(
    attempts: Iterable[Attempt], prints: Iterable[Print], present: frozenset[str], now: Taken
) -> str | None:
    """Return the fingerprint that the database had last when the revisions *present* were in, and no others; None: it never had them alone.

    Only one that can be compared with *now*.
    """
    rows = tuple(attempts)
    for one in reversed(tuple(prints)):
        if _is_alike(one, now) and present_revisions(rows, until=one.attempt or 0) == present:
            return one.fingerprint
    return None


def present_revisions(attempts: Iterable[Attempt], *, until: int | None = None) -> frozenset[str]:
    """Return the revisions that are in by *attempts*, of which those after *until* do not count (None: all do)."""
    found = records(one for one in attempts if until is None or one.ordinal <= until)
    return frozenset(name for name, record in found.items() if record.standing is Standing.IN)


def _is_alike(one: Print, now: Taken) -> bool:
    """Return whether the two fingerprints can be compared by themselves."""
    return (one.format, one.exclude, one.server_major) == (FORMAT, now.exclude, now.server_major)


def _unknown(now: Taken, expected: str | None, why: str) -> Drift:
    return Drift(likeness=Likeness.UNKNOWN, found=now.fingerprint, expected=expected, why=why)


def _compared(last: Print, kept: Catalogue, now: Taken) -> tuple[Change, ...]:
    before, after = kept.without(now.exclude), now.catalogue.without(last.exclude)
    if last.server_major != now.server_major:
        before, after = before.across_majors(), after.across_majors()
    return differences(before, after)
