"""How often a migration tries to get a lock, and how long it lets others work in between.

A statement that waits for a lock makes everybody wait who comes behind it, so each try is short, and the pauses between them grow.
"""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_PAUSE_SECONDS = 60.0
JITTER = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a migration may stand in others' way, and how long its own statements may take; 0 means: without end."""

    lock_timeout_milliseconds: int = 500
    statement_timeout_seconds: int = 0
    lock_attempts: int = 30


def pause_seconds(tried: int, chance: float) -> float:
    """Return how long to wait after the try number *tried* (from 1): doubling from a second to a minute, give or take a fifth.

    *chance* is a random number from 0 to 1, so that several who wait for the same lock do not come back together.
    """
    doubled = min(LONGEST_PAUSE_SECONDS, 2.0 ** min(tried - 1, 6))
    return doubled * (1 - JITTER + 2 * JITTER * chance)
