"""What the comment of a database that a restore made says of it: for whom it was made, and whether it is complete.

What was done is remembered in the database itself: a request that is deleted and filed again finds its database and does nothing, and
what a killed run left half-done is recognised, and may be dropped, by whoever goes on with the same request, and by nobody else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_UNDER_WAY: Final = "dbcustody is restoring {backup_id} here{whom}; if it does not any more, drop this"
_HANDED_OVER: Final = "restored by dbcustody from {backup_id}{whom}"
_READ_UNDER_WAY: Final = re.compile(r"dbcustody is restoring \S+ here for (.+); if it does not any more, drop this")
_READ_HANDED_OVER: Final = re.compile(r"(?:^|\n)restored by dbcustody from \S+ for (.+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imprint:
    """For whom a restore made a database, and whether everything is in it."""

    mark: str
    is_handed_over: bool


def under_way(backup_id: str, mark: str | None) -> str:
    """Return the comment of a database that is being filled from *backup_id*; *mark* None: for nobody who could ask again."""
    return _UNDER_WAY.format(backup_id=backup_id, whom=_whom(mark))


def handed_over(comment: str | None, backup_id: str, mark: str | None) -> str | None:
    """Return the comment of a database that is complete: the one it had in the backup, and a line of ours when it was made for *mark*.

    The line of an earlier restore, which came back with the backup, gives way.
    """
    own = _READ_HANDED_OVER.sub("", comment) if comment else ""
    line = _HANDED_OVER.format(backup_id=backup_id, whom=_whom(mark)) if mark is not None else ""
    return "\n".join(part for part in (own, line) if part) or None


def read_imprint(comment: str | None) -> Imprint | None:
    """Return what *comment* says of a restore, or None when it says nothing."""
    if comment is None:
        return None
    half, whole = _READ_UNDER_WAY.fullmatch(comment), _READ_HANDED_OVER.search(comment)
    found = half or whole
    return None if found is None else Imprint(mark=found[1], is_handed_over=half is None)


def _whom(mark: str | None) -> str:
    return f" for {mark}" if mark is not None else ""
