"""The locks of tables: their names as in `pg_locks.mode`, and what each of them keeps waiting.

Source: manual, "Explicit Locking", table of conflicting lock modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from dbcustody.migration.relation import Relation


class Mode(IntEnum):
    """A mode of locking, the weaker the smaller."""

    ACCESS_SHARE = 1
    ROW_SHARE = 2
    ROW_EXCLUSIVE = 3
    SHARE_UPDATE_EXCLUSIVE = 4
    SHARE = 5
    SHARE_ROW_EXCLUSIVE = 6
    EXCLUSIVE = 7
    ACCESS_EXCLUSIVE = 8

    @property
    def label(self) -> str:
        """Its name in `pg_locks`."""
        return "".join(word.capitalize() for word in self.name.split("_")) + "Lock"

    @property
    def stops_writers(self) -> bool:
        """Whether INSERT, UPDATE and DELETE wait for it."""
        return self >= Mode.SHARE

    @property
    def stops_readers(self) -> bool:
        """Whether SELECT waits for it, too."""
        return self is Mode.ACCESS_EXCLUSIVE

    @property
    def conflicting(self) -> tuple[Mode, ...]:
        """The modes that nobody else may have on the relation when this one is taken."""
        return tuple(mode for mode in Mode if mode in _CONFLICTING[self])

    @property
    def harm(self) -> str:
        """Who waits for it, in words."""
        if self.stops_readers:
            return "readers and writers wait"
        return "writers wait" if self.stops_writers else "nobody waits"


_FROM_SHARE_UP: Final = frozenset(mode for mode in Mode if mode >= Mode.SHARE)
_CONFLICTING: Final = {
    Mode.ACCESS_SHARE: {Mode.ACCESS_EXCLUSIVE},
    Mode.ROW_SHARE: {Mode.EXCLUSIVE, Mode.ACCESS_EXCLUSIVE},
    Mode.ROW_EXCLUSIVE: _FROM_SHARE_UP,
    Mode.SHARE_UPDATE_EXCLUSIVE: _FROM_SHARE_UP | {Mode.SHARE_UPDATE_EXCLUSIVE},
    Mode.SHARE: (_FROM_SHARE_UP | {Mode.ROW_EXCLUSIVE, Mode.SHARE_UPDATE_EXCLUSIVE}) - {Mode.SHARE},
    Mode.SHARE_ROW_EXCLUSIVE: _FROM_SHARE_UP | {Mode.ROW_EXCLUSIVE, Mode.SHARE_UPDATE_EXCLUSIVE},
    Mode.EXCLUSIVE: frozenset(Mode) - {Mode.ACCESS_SHARE},
    Mode.ACCESS_EXCLUSIVE: frozenset(Mode),
}


@dataclass(frozen=True, slots=True, order=True)
class Lock:
    """The strongest lock that a statement takes on a relation that was there before."""

    relation: Relation
    mode: Mode


class Work(IntEnum):
    """How much of a relation a statement goes through, the less the smaller; what is more than the catalogue may take long."""

    CATALOGUE = 0
    ROWS = 1
    """Those that it names."""
    SCAN = 2
    """All of them, read once: to check them or to build an index."""
    REWRITE = 3
    """All of them, written anew."""
