"""What the comment of a database that a restore made, or put away, says of it: for whom, and how far that is.

What was done is remembered in the database itself: a request that is deleted and filed again finds its database and does nothing, and
what a killed run left half-done is recognised, and may be dropped, by whoever goes on with the same request, and by nobody else.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

MOST_LINES: Final = 20
"""How many swaps the comment of one database remembers; the oldest gives way."""
_LEAST_LIMIT: Final = 1_000_000_000
_UNDER_WAY: Final = "dbcustody is restoring {backup_id} here{whom}; if it does not any more, drop this"
_HANDED_OVER: Final = "restored by dbcustody from {backup_id}{whom}"
_PUT_BACK: Final = "put back by dbcustody for {mark}; undone is {undone}"
_READY: Final = (
    "complete and shut: dbcustody is to put this in the place of database {oid} for {mark}; if it does not, drop this"
)
_KEPT: Final = "shut since {since} and kept until {until}: dbcustody put another in its place for {mark}"
_READ_UNDER_WAY: Final = re.compile(r"dbcustody is restoring (\S+) here for (.+); if it does not any more, drop this")
_READ_READY: Final = re.compile(
    r"complete and shut: dbcustody is to put this in the place of database (\d+) for (.+); if it does not, drop this"
)
_READ_KEPT: Final = re.compile(
    r"shut (?:since (\S+) )?and kept until (\S+): dbcustody put another in its place for (.+)"
)
"""Comments from before the time was told in them are read too."""
_READ_HANDED_OVER: Final = re.compile(r"restored by dbcustody from (\S+) for (.+)")
_READ_PUT_BACK: Final = re.compile(r"put back by dbcustody for (.+); undone is (.+)")


class Stage(Enum):
    """How far a database is that a restore made, or put away."""

    UNDER_WAY = auto()
    """Being filled, or left half-done."""
    READY = auto()
    """Complete, compared and shut: it waits to take another's place."""
    HANDED_OVER = auto()
    KEPT = auto()
    """Another one took its place, and it is kept for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imprint:
    """For whom a restore made a database or put it away, and how far that is."""

    mark: str
    stage: Stage
    replaces_oid: int | None = None
    """Of one that is READY: whose place it is to take."""
    undoes: str | None = None
    """The mark of the swap that was taken back by putting this one back."""
    since: str | None = None
    """Of one that is KEPT: when its place was about to be taken, as an ISO time; None: its comment is from before that was told."""
    until: str | None = None
    """Of one that is KEPT: when it may be dropped, as an ISO time."""
    backup_id: str | None = None
    """Of the backup that it is filled from; None: that is not told at its stage."""

    @property
    def is_handed_over(self) -> bool:
        """Whether it stands there complete, and open."""
        return self.stage is Stage.HANDED_OVER


def under_way(backup_id: str, mark: str | None) -> str:
    """Return the comment of a database that is being filled from *backup_id*; *mark* None: for nobody who could ask again."""
    return _UNDER_WAY.format(backup_id=backup_id, whom=_whom(mark))


def birthmark(mark: str) -> int:
    """Return the connection limit with which a database is created for *mark*: what it says of itself before it can bear a comment.

    Nothing else can be told in CREATE DATABASE, which stands in no transaction with the comment; so large a limit limits nobody, and few
    would ever choose just this one.
    """
    return _LEAST_LIMIT + int.from_bytes(hashlib.sha256(mark.encode()).digest()[:8], "big") % _LEAST_LIMIT


def ready(replaces_oid: int, mark: str) -> str:
    """Return the comment of a database that is complete and waits to take the place of the one with *replaces_oid*."""
    return _READY.format(oid=replaces_oid, mark=mark)


def kept(since: datetime, until: datetime, mark: str, comment: str | None) -> str:
    """Return the comment of a database whose place is taken for *mark*: a line of ours, and below it what its own *comment* said."""
    line = _KEPT.format(since=_seconds(since), until=_seconds(until), mark=mark)
    return f"{line}\n{comment}" if comment else line


def before_kept(comment: str | None) -> str | None:
    """Return what the comment of a database said before it was put away; any other comment as it is."""
    first, _, own = (comment or "").partition("\n")
    return comment if _READ_KEPT.fullmatch(first) is None else own or None


def handed_over(comment: str | None, backup_id: str, mark: str | None) -> str | None:
    """Return the comment of a new database that is complete: the one it had in the backup, and a line of ours when it was made for *mark*.

    Lines of earlier restores, which came back with the backup, give way.
    """
    line = _HANDED_OVER.format(backup_id=backup_id, whom=_whom(mark)) if mark is not None else ""
    return _joined([*_own_lines(comment), line])


def swapped_in(comment: str | None, backup_id: str, mark: str) -> str:
    """Return the comment of a database that took the place of another, whose *comment* it goes on with: earlier swaps stay remembered."""
    return _with_line(comment, _HANDED_OVER.format(backup_id=backup_id, whom=_whom(mark)))


def put_back(comment: str | None, mark: str, undone: str) -> str:
    """Return the comment of a database that was put back for *mark* in the place of one whose *comment* tells the swap *undone*."""
    return _with_line(comment, _PUT_BACK.format(mark=mark, undone=undone))


def read_imprints(comment: str | None) -> tuple[Imprint, ...]:
    """Return everything that *comment* says of restores, the newest last; of one that is kept only that it is."""
    text = comment or ""
    if half := _READ_UNDER_WAY.fullmatch(text):
        return (Imprint(mark=half[2], stage=Stage.UNDER_WAY, backup_id=half[1]),)
    if whole := _READ_READY.fullmatch(text):
        return (Imprint(mark=whole[2], stage=Stage.READY, replaces_oid=int(whole[1])),)
    lines = text.split("\n")
    if away := _READ_KEPT.fullmatch(lines[0]):
        return (Imprint(mark=away[3], stage=Stage.KEPT, since=away[1], until=away[2]),)
    return tuple(found for line in lines if (found := _read_line(line)) is not None)


def _read_line(line: str) -> Imprint | None:
    if back := _READ_PUT_BACK.fullmatch(line):
        return Imprint(mark=back[1], stage=Stage.HANDED_OVER, undoes=back[2])
    whole = _READ_HANDED_OVER.fullmatch(line)
    return Imprint(mark=whole[2], stage=Stage.HANDED_OVER, backup_id=whole[1]) if whole is not None else None


def _with_line(comment: str | None, line: str) -> str:
    told = [one for one in (comment or "").split("\n") if _read_line(one) is not None]
    return _joined([*_own_lines(comment), *told[1 - MOST_LINES :], line]) or line


def _own_lines(comment: str | None) -> list[str]:
    return [line for line in (comment or "").split("\n") if _read_line(line) is None]


def _joined(lines: list[str]) -> str | None:
    """Return *lines* as one text; an own comment that is empty leaves no empty line behind."""
    return "\n".join(line for index, line in enumerate(lines) if line or 0 < index < len(lines) - 1) or None


def _seconds(time: datetime) -> str:
    return time.isoformat(timespec="seconds")


def _whom(mark: str | None) -> str:
    return f" for {mark}" if mark is not None else ""
