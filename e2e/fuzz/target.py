"""What is fuzzed: a reader, documents that it takes, and what may come of a changed one.

A reader may refuse with the errors that its documentation names. Any other exception, an endless message, much time or memory, or taking
what nobody wrote is a finding.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any, Final, NoReturn

MOST_SECONDS: Final = 5.0
"""Of processor time, for one input: a thousand times what the slowest sound one takes."""
LONGEST_MESSAGE: Final = 4096


class FindingError(Exception):
    """A reader did what it must not."""


class Outcome(StrEnum):
    """What came of one input."""

    REFUSED = "refused"
    TAKEN = "taken"
    """It was another sound document: possible only where nothing is signed."""
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One reader; *read* returns for what it takes, raises one of *refusals*, or FindingError when it took what it must not."""

    name: str
    read: Callable[[bytes], None]
    corpus: tuple[bytes, ...]
    mutate: Callable[[Random, bytes, tuple[bytes, ...]], bytes]
    refusals: tuple[type[Exception], ...] = ()
    donors: tuple[bytes, ...] = ()
    """Documents of other kinds, parts of which are worked in."""
    weight: int = 1
    """The share of all inputs that goes to this target."""

    def changed(self, random: Random) -> bytes:
        """Return a changed document; the same for the same state of *random*."""
        return self.mutate(random, random.choice(self.corpus), self.corpus + self.donors)

    def outcome(self, data: bytes) -> Outcome:
        """Return what the reader makes of *data*; raises FindingError when that is a finding."""
        try:
            self.read(data)
        except self.refusals as error:
            if len(str(error)) > LONGEST_MESSAGE:
                raise FindingError(f"an endless message: {len(str(error))} characters") from error
            if data in self.corpus:
                raise FindingError(f"refuses what is sound: {error}") from error
            return Outcome.REFUSED
        except FindingError:
            raise
        except Exception as error:
            raise FindingError(f"lets {type(error).__name__} escape: {str(error)[:200]}") from error
        return Outcome.UNCHANGED if data in self.corpus else Outcome.TAKEN


def require(condition: Any, otherwise: str) -> None:
    """Raise FindingError saying *otherwise* unless *condition* holds."""
    if not condition:
        raise FindingError(otherwise)


def watch() -> None:
    """Let whatever takes too much processor time from now on end as a finding."""
    signal.signal(signal.SIGVTALRM, _too_slow)
    signal.setitimer(signal.ITIMER_VIRTUAL, MOST_SECONDS)


def stop_watching() -> None:
    """Let things take their time again."""
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _too_slow(*_: object) -> NoReturn:
    raise FindingError(f"takes more than {MOST_SECONDS} s of processor time")


def spent_seconds() -> float:
    """Return the processor time of this process."""
    return time.process_time()
