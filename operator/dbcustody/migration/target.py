"""A migration as somebody names it: by its name, or by its revision (its time, or Alembic's id); in full, for others may be undone for it.

A beginning names nothing, though only one migration may begin so today: tomorrow it may be another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.naming import named

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHOWN: Final = 5


def find_target(target: str, known: Mapping[str, str]) -> str | None:
    """Return the name of the migration that *target* names, of *known* ones, which are revisions by name; None: of none of them."""
    if target in known:
        return target
    return next((name for name, revision in known.items() if revision == target), None)


def choice_of(target: str, known: Mapping[str, str]) -> str:
    """Return in words what may have been meant by *target*, which names none of *known*: what begins so, or else the last ones."""
    begin = [name for name, revision in known.items() if name.startswith(target) or revision.startswith(target)]
    names = begin or list(known)[::-1]
    if not names:
        return "there is none"
    return f"name one in full, or by its revision: {named(names, _SHOWN)}"
