"""What a swap that a person does without a cluster is remembered by: each invocation is a wish of its own, and says when it was made."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dbcustody.plan.imprint import Imprint

LONGEST_KEEP: Final = timedelta(days=365)
"""How long an old database can be kept at most, here and in a RestoreRequest."""
_MARK: Final = "dbcustody restore {time:%Y-%m-%dT%H:%M:%SZ} {digits}"
_READ_MARK: Final = re.compile(r"dbcustody restore (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) [0-9a-f]+")
_DIGITS: Final = 12


def mark_of_invocation(now: datetime, attempt: str) -> str:
    """Return what databases remember of the command that began at *now*; *attempt* is a random UUID."""
    return _MARK.format(time=now.astimezone(UTC), digits=attempt.replace("-", "")[:_DIGITS])


def safety_name(now: datetime, attempt: str) -> str:
    """Return what the backup is called that is taken before a database's place is taken."""
    return f"before-restore-{now.astimezone(UTC):%Y%m%dt%H%M%Sz}-{attempt[:4]}"


def kept_times(imprint: Imprint) -> tuple[datetime, datetime] | None:
    """Return a time at which what bears *imprint* was certainly not put away yet, and when it may be dropped; None: it is not kept."""
    if imprint.until is None:
        return None
    until = datetime.fromisoformat(imprint.until)
    return (_untold(imprint.mark, until) if imprint.since is None else datetime.fromisoformat(imprint.since)), until


def _untold(mark: str, until: datetime) -> datetime:
    """Return since when something is kept whose comment does not tell it.

    Of an invocation it is its beginning; a mark of another kind tells none, so it is as long ago as anything may be kept.
    """
    found = _READ_MARK.fullmatch(mark)
    return until - LONGEST_KEEP if found is None else datetime.fromisoformat(found[1])
