"""What a statement will do to the database, as a value: which relations it locks and how, how much it goes through, and what is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbcustody.migration.lock import Lock, Mode, Work
from dbcustody.migration.relation import Relation

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What the text of a statement tells; a cascade, a trigger or a function may touch more."""

    locks: tuple[Lock, ...] = ()
    """One for each relation that is named and was there before, the strongest, in the order of the names."""
    creates: tuple[Relation, ...] = ()
    work: Work = Work.CATALOGUE
    destroys: tuple[str, ...] = ()
    """What no later statement can bring back, in words; nothing where no data is lost."""
    is_irreversible: bool = False
    """Whether no statement undoes it; what destroys data is so, too."""
    is_known: bool = True
    """Whether the text tells; not where it runs code of somebody's."""


NOTHING = Effect()
UNKNOWN = Effect(is_known=False)


def locked(relations: Iterable[Relation], mode: Mode) -> tuple[Lock, ...]:
    """Return locks of *mode* on *relations*."""
    return tuple(Lock(relation, mode) for relation in relations)


def strongest(locks: Iterable[Lock]) -> tuple[Lock, ...]:
    """Return one lock for each relation, the strongest of *locks*, in the order in which the relations come first."""
    modes: dict[Relation, Mode] = {}
    for lock in locks:
        modes[lock.relation] = max(lock.mode, modes.get(lock.relation, lock.mode))
    return tuple(Lock(relation, mode) for relation, mode in modes.items())
