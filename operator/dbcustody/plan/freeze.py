"""Freeze windows: times in which no restore and no migration begins to write. The operator is told them once, for all that it serves.

CEL has no clock, so the API server cannot judge this at admission; the plan does, in the moment in which it would start the Job. What is
under way goes on, a plan is made and told at any time, and a person's word on the request overrides.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from dbcustody.codec import decode, format_time, parse_json
from dbcustody.contract import Verb
from dbcustody.errors import InvalidSpecError
from dbcustody.naming import ANNOTATION_OVERRIDE_FREEZE
from dbcustody.plan.schedule import next_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dbcustody.api.meta import Metadata
    from dbcustody.plan.restore_case import RestoreCase

HELD_BACK: Final = frozenset({Verb.RESTORE})
"""What is not begun in a window: neither planning, which writes nothing, nor asking the server what a run has left."""
SHORTEST_SECONDS: Final = 60
LONGEST_SECONDS: Final = 31 * 86_400
MOST_WINDOWS: Final = 50
_KEYS: Final = frozenset({"schedule", "timeZone", "durationSeconds"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeWindow:
    """A time that comes again: from each slot of *schedule*, by the clocks of *time_zone*, for *duration_seconds*."""

    schedule: str
    duration_seconds: int
    time_zone: str = "Etc/UTC"

    def end_of(self, now: datetime) -> datetime | None:
        """Return when the window that is on at *now* ends; None: none is. Where slots overlap, it is the end of the first."""
        duration = timedelta(seconds=self.duration_seconds)
        begun = next_time(self.schedule, self.time_zone, now - duration)
        return begun + duration if begun is not None and begun <= now else None


@dataclass(frozen=True, slots=True)
class Frozen:
    """Why nothing is begun now, and in how many seconds to look again."""

    message: str
    again_seconds: float


def frozen(case: RestoreCase) -> Frozen | None:
    """Return why the Job that *case* would start next must not begin now; None: nothing is in the way, or it has begun."""
    has_begun = case.job is not None or case.status.job_ref is not None
    return None if has_begun or case.verb not in HELD_BACK else window_on(case)


def window_on(case: RestoreCase) -> Frozen | None:
    """Return why nothing that *case* asks for may begin now; None: no window is on, or a person overrides it."""
    return window_at(case.request.metadata, case.seen.freeze_windows, case.now, what=("restore", "RestoreRequest"))


def window_at(
    metadata: Metadata, windows: Iterable[FreezeWindow], now: datetime, *, what: tuple[str, str]
) -> Frozen | None:
    """Return why nothing that the resource of *metadata* asks for may begin at *now*; None: no window is on, or a person overrides it.

    *what* is what begins afterwards, and the kind of the resource, for people.
    """
    if metadata.annotations.get(ANNOTATION_OVERRIDE_FREEZE, "").strip():
        return None
    ends = ((window.end_of(now), window) for window in windows)
    on = [(end, window) for end, window in ends if end is not None]
    if not on:
        return None
    end, window = max(on, key=lambda one: one[0])
    message = (
        f"the freeze window of {window.schedule!r} ({window.time_zone}) is on until {format_time(end)}: the {what[0]} begins after it; "
        f"to begin now, annotate the {what[1]} with {ANNOTATION_OVERRIDE_FREEZE}=<why>"
    )
    return Frozen(message, (end - now).total_seconds())


def read_windows(text: str, name: str) -> tuple[FreezeWindow, ...]:
    """Return the windows that the JSON *text* lists; empty text is none.

    Raises InvalidSpecError that calls the text *name*, for anything that is no list of windows with a schedule that comes.
    """
    if not text.strip():
        return ()
    try:
        value = parse_json(text)
    except ValueError as error:
        raise InvalidSpecError(f"{name}: is no JSON; must be a list of windows") from error
    windows: tuple[FreezeWindow, ...] = decode(tuple[FreezeWindow, ...], value, name)
    problems = [*_unknown_keys(value, name), *_judged(windows, name)]
    if problems:
        raise InvalidSpecError("\n".join(problems))
    return windows


def _unknown_keys(value: Iterable[dict[str, Any]], name: str) -> Iterator[str]:
    """Yield a complaint for each key that nobody reads: a window in another time zone than was meant would hold nothing back."""
    for index, window in enumerate(value):
        yield from (f"{name}[{index}].{key}: is unknown" for key in window if key not in _KEYS)


def _judged(windows: tuple[FreezeWindow, ...], name: str) -> Iterator[str]:
    if len(windows) > MOST_WINDOWS:
        yield f"{name}: has {len(windows)} windows; must have at most {MOST_WINDOWS}"
    for index, window in enumerate(windows):
        if not SHORTEST_SECONDS <= window.duration_seconds <= LONGEST_SECONDS:
            yield f"{name}[{index}].durationSeconds: must be from {SHORTEST_SECONDS} to {LONGEST_SECONDS}"
        try:
            if next_time(window.schedule, window.time_zone, _ANY_DAY) is None:
                yield f"{name}[{index}].schedule: {window.schedule!r} never comes: no date fits it"
        except InvalidSpecError as error:
            yield f"{name}[{index}]: {error.message}"


_ANY_DAY: Final = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
