"""A restore as people see it: what it is at, and how far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RestoreStage(StrEnum):
    """What a restore is at."""

    PLANNING = "Planning"
    DEFINING = "Defining"
    """The database is made, with everything that must be there before rows come."""
    LOADING = "Loading"
    FINISHING = "Finishing"
    """Indexes, constraints, triggers, sequences, statistics."""
    CHECKING = "Checking"
    HANDING_OVER = "HandingOver"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreProgress:
    """How far a restore is; *bytes* are those of the archives, decrypted. None means: not known, or not counted in this stage."""

    stage: RestoreStage
    summary: str
    percent: int | None = None
    bytes: int | None = None
    bytes_per_second: int | None = None
    waiting_for: str | None = None
    updated_time: datetime | None = None
