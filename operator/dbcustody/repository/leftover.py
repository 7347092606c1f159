"""What attempts left behind, and what a sweep may delete of it.

Only keys below `backups/` that the grammar knows and for which no commit, no doubt and no live run speaks. The ledger, the claims of names,
and what stands beside the attempts of a backup that is not deleted are never among them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from dbcustody.repository.inventory import AttemptFolder, AttemptState, Inventory
from dbcustody.repository.layout import FactKind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from dbcustody.repository.inventory import FoundObject

_GARBAGE: Final = frozenset({AttemptState.UNFINISHED, AttemptState.ORPHANED})


def group_attempts(
    objects: Sequence[FoundObject], *, committed: str | None, is_deleted: bool
) -> tuple[AttemptFolder, ...]:
    """Return the attempts among the *objects* of one backup id.

    *committed* is the attempt of the manifest that is believed, None when there is none; *is_deleted* says whether a tombstone is.
    """
    by_attempt: defaultdict[str, list[FoundObject]] = defaultdict(list)
    for found in objects:
        if found.parsed.attempt is not None:
            by_attempt[found.parsed.attempt].append(found)
    has_documents = any(found.parsed.attempt is None for found in objects)
    return tuple(
        AttemptFolder(
            backup_id=group[0].parsed.backup_id,
            attempt=attempt,
            state=_state(attempt, committed, is_deleted=is_deleted, has_documents=has_documents),
            keys=tuple(found.key for found in group),
            stored_bytes=sum(found.size_bytes for found in group),
            last_modified=max(found.modified for found in group),
        )
        for attempt, group in by_attempt.items()
    )


def sweepable(inventory: Inventory, *, older_than: datetime, live_attempts: Collection[str]) -> tuple[str, ...]:
    """Return the keys of attempts that came to nothing: last written to before *older_than*, and of no run that may still be alive.

    *older_than* is the caller's clock minus the longest that a run may take; *live_attempts* are the attempts of all Jobs not known to have
    ended.
    """
    return tuple(
        key
        for folder in inventory.attempts
        if folder.state in _GARBAGE and folder.last_modified < older_than and folder.attempt not in live_attempts
        for key in folder.keys
    )


def deletable(inventory: Inventory) -> tuple[str, ...]:
    """Return the keys that deletions begun by a tombstone still have to remove: data first, the manifest last; tombstones stay."""
    deleted = {one.manifest.backup_id for one in inventory.backups if one.is_deleted}
    deleted |= {tombstone.backup_id for tombstone in inventory.gone}
    left = [
        found
        for found in inventory.objects
        if found.parsed.backup_id in deleted and found.parsed.fact is not FactKind.TOMBSTONE
    ]
    return tuple(found.key for found in sorted(left, key=_attempts_first))


def _attempts_first(found: FoundObject) -> tuple[bool, bool, str]:
    return (found.parsed.attempt is None, found.parsed.is_manifest, found.key)


def _state(attempt: str, committed: str | None, *, is_deleted: bool, has_documents: bool) -> AttemptState:
    if is_deleted:
        return AttemptState.DELETED
    if committed is not None:
        return AttemptState.COMMITTED if attempt == committed else AttemptState.ORPHANED
    return AttemptState.UNKNOWN if has_documents else AttemptState.UNFINISHED
