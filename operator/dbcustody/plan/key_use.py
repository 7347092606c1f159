"""Which backup needs which key: judged from the names of the wrapped keys alone, so that a key can be taken out knowingly."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbcustody.api.storage import KeyUse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

MOST_KEYS: Final = 256
"""How many keys status has room for; those that the most backups need come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedAttempt:
    """What a live backup consists of, and the keys that its data key is closed for."""

    custody_id: str
    backup_id: str
    attempt: str
    key_ids: frozenset[str]

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it lies: custody, backup and attempt."""
        return (self.custody_id, self.backup_id, self.attempt)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStanding:
    """How a storage and a keyring fit each other."""

    keys: tuple[KeyUse, ...]
    """Every key of the keyring and every key that a backup is closed for, by id."""
    waiting: tuple[ClosedAttempt, ...]
    """What the active key does not open, and another key of the keyring does."""
    unopened: int
    """How many backups no key of the keyring opens."""


def judge_keys(closed: Iterable[ClosedAttempt], *, key_ids: Collection[str], active_key_id: str | None) -> KeyStanding:
    """Return how *closed* and a keyring of *key_ids* fit each other; without a keyring nothing is opened, and *active_key_id* is None."""
    ring = frozenset(key_ids)
    opens: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    needs: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    unopened: set[tuple[str, str]] = set()
    waiting: list[ClosedAttempt] = []
    for one in closed:
        backup, opening = (one.custody_id, one.backup_id), one.key_ids & ring
        for key_id in one.key_ids:
            opens[key_id].add(backup)
            if opening <= {key_id}:
                needs[key_id].add(backup)
        if not opening:
            unopened.add(backup)
        elif active_key_id not in opening:
            waiting.append(one)
    uses = (
        KeyUse(id=one, backups=len(opens[one]), needed_by=len(needs[one]), in_keyring=one in ring)
        for one in ring | opens.keys()
    )
    return KeyStanding(keys=_bounded(uses), waiting=tuple(waiting), unopened=len(unopened))


def _bounded(uses: Iterable[KeyUse]) -> tuple[KeyUse, ...]:
    weightiest = sorted(uses, key=lambda use: (-use.needed_by, -use.backups, use.id))[:MOST_KEYS]
    return tuple(sorted(weightiest, key=lambda use: use.id))
