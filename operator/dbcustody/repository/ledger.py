"""The names of the erasure ledger's objects; what is in them belongs to the erasure work.

They stand apart from the backups because no sweep and no retention may ever look at them.
"""

from __future__ import annotations

import re
from typing import Final

from dbcustody.errors import InvalidSpecError
from dbcustody.repository.layout import check_custody_id

LARGEST_SEQUENCE: Final = 10**12 - 1
_ENTRY = re.compile(r"(?P<sequence>[0-9]{12})\.json")


def ledger_prefix(custody_id: str) -> str:
    """Return the prefix of everything in a custody's erasure ledger."""
    return f"{check_custody_id(custody_id)}/ledger/"


def ledger_entry_key(custody_id: str, sequence: int) -> str:
    """Return the key of entry *sequence*; they count from 1. Raises InvalidSpecError beyond twelve digits."""
    return f"{ledger_prefix(custody_id)}{_checked(sequence):012d}.json"


def ledger_checkpoint_key(custody_id: str, number: int) -> str:
    """Return the key of checkpoint *number*; they count from 1. Raises InvalidSpecError beyond twelve digits."""
    return f"{ledger_prefix(custody_id)}checkpoint-{_checked(number)}.json"


def entry_sequence(custody_id: str, key: str) -> int | None:
    """Return the sequence of the ledger entry of *custody_id* that *key* is, or None when it is another key."""
    prefix = ledger_prefix(custody_id)
    match = _ENTRY.fullmatch(key[len(prefix) :]) if key.startswith(prefix) else None
    return int(match["sequence"]) or None if match else None


def _checked(number: int) -> int:
    if not 1 <= number <= LARGEST_SEQUENCE:
        raise InvalidSpecError(f"ledger: has no number {number}; must be within 1..{LARGEST_SEQUENCE}")
    return number
