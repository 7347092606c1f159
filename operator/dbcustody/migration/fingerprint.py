"""The fingerprint of a catalogue, and in which objects two catalogues differ."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dbcustody.migration.catalogue import COLUMN_ORDER, Catalogue, Key, to_text

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT: Final = 1
"""Of what a fingerprint is taken of; two of different formats tell nothing about each other."""
DIGITS: Final = 32
_LONGEST: Final = 100
_HARMLESS: Final = frozenset(
    {"type", "null", "identity", "validated", "enforced", "valid", "enabled", "row security", "persistence", "language", "volatility"}
)  # fmt: skip
"""Properties whose values are words of PostgreSQL and names: no literal of anybody can be in them."""


class Turn(StrEnum):
    """What became of an object."""

    ADDED = "Added"
    MISSING = "Missing"
    CHANGED = "Changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One object that is there and was not, is gone, or has one property that is another."""

    turn: Turn
    key: Key
    aspect: str | None = None
    """Which property changed; None: the whole object came or went."""
    before: str | None = None
    """What it was; None: nothing was said, so that it was as it is by default."""
    after: str | None = None

    def __str__(self) -> str:
        """Return it in words, with values, which may have literals of the schema in them: for the terminal of who may read the schema."""
        if self.aspect is None:
            return f"{self.turn.value} {self.key}"
        before, after = _around(self.before, self.after)
        return f"{self.turn.value} {self.key}: {self.aspect}: {before} -> {after}"

    @property
    def redacted(self) -> str:
        """The same for a status or a log: no value that could hold a literal."""
        if self.aspect is None or self.aspect in _HARMLESS:
            return str(self)
        return f"{self.turn.value} {self.key}: {self.aspect}"


def fingerprint(catalogue: Catalogue) -> str:
    """Return 32 hexadecimal digits that change with every property of every object, and with the format: the first of a SHA-256."""
    return fingerprint_of_text(to_text(catalogue))


def fingerprint_of_text(text: str) -> str:
    """Return the fingerprint of the catalogue of which `to_text` made *text*."""
    return hashlib.sha256(f"{FORMAT}\n{text}".encode()).hexdigest()[:DIGITS]


def differences(wanted: Catalogue, found: Catalogue) -> tuple[Change, ...]:
    """Return in which objects *found* is not what is *wanted*, by kind and name; a part of what came or went is not told."""
    changes = [_whole(key, Turn.ADDED) for key in found.objects.keys() - wanted.objects.keys()]
    changes += [_whole(key, Turn.MISSING) for key in wanted.objects.keys() - found.objects.keys()]
    whole = {change.key.path for change in changes}
    changes = [
        change for change in changes if len(change.key.path) <= len(change.key.owner) or change.key.owner not in whole
    ]
    for key in wanted.objects.keys() & found.objects.keys():
        changes += _changed(key, wanted, found)
    return tuple(sorted(changes, key=lambda one: (one.key, one.turn, one.aspect or "")))


def _whole(key: Key, turn: Turn) -> Change:
    return Change(turn=turn, key=key)


def _changed(key: Key, wanted: Catalogue, found: Catalogue) -> Iterator[Change]:
    before, after = wanted.objects[key], found.objects[key]
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was != now and not (name == COLUMN_ORDER and _has_others(was, now)):
            yield Change(turn=Turn.CHANGED, key=key, aspect=name, before=was, after=now)


def _has_others(before: str | None, after: str | None) -> bool:
    """Return whether it is not the order alone that differs: then the columns that came and went are told already."""
    was, now = (json.loads(one or "[]") for one in (before, after))
    return sorted(was) != sorted(now)


def _around(before: str | None, after: str | None) -> tuple[str, str]:
    """Return both on one line each, cut to where they begin to differ when they are long."""
    was, now = ("nothing" if one is None else " ".join(one.split()) for one in (before, after))
    if max(len(was), len(now)) <= _LONGEST:
        return was, now
    same = next(
        (at for at, (one, other) in enumerate(zip(was, now, strict=False)) if one != other), min(len(was), len(now))
    )
    begin = max(0, same - _LONGEST // 4)
    return _cut(was, begin), _cut(now, begin)


def _cut(text: str, begin: int) -> str:
    piece = text[begin : begin + _LONGEST]
    return f"{'…' if begin else ''}{piece}{'…' if begin + _LONGEST < len(text) else ''}"
