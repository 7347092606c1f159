"""Deleting a backup: the tombstone first, then the data, the manifest last, so that whoever is killed on the way is finished by the next.

A tombstone wins over the manifest: from its moment on nobody restores, adopts or counts the backup. It stays for ever, as the link of the
chain that the manifest was. What an object lock holds is no error; it goes when the lock ends.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dbcustody.adapters.objectstore import Deletion, DeletionState
from dbcustody.codec import format_time
from dbcustody.errors import ConflictError, RefusedError
from dbcustody.jobs.stock import add_fact
from dbcustody.jobs.tools import check_stop
from dbcustody.repository.fact import Tombstone
from dbcustody.repository.layout import backup_prefix, parse_backup_key
from dbcustody.repository.leftover import deletable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from dbcustody.jobs.custody import OpenStorage
    from dbcustody.jobs.tools import Tools
    from dbcustody.repository.inventory import Inventory, ReadBackup


@dataclass(slots=True)
class Tally:
    """What became of what was to be deleted: backups by id, garbage by number."""

    deleted: list[str] = field(default_factory=list)
    held: dict[str, Deletion] = field(default_factory=dict)
    failed: dict[str, Deletion] = field(default_factory=dict)
    swept_objects: int = 0
    swept_uploads: int = 0

    def note(self, backup_id: str, outcome: Deletion | None) -> None:
        """Note what became of *backup_id*; *outcome* None means: all of it is gone."""
        if outcome is None:
            self.deleted.append(backup_id)
        elif outcome.state is DeletionState.HELD:
            self.held[backup_id] = outcome
        else:
            self.failed[backup_id] = outcome

    @property
    def trouble(self) -> str:
        """In words, what could not be deleted and why; empty when there is nothing of the kind."""
        parts = [f"{one}: {found.detail or 'the storage refuses'}" for one, found in self.failed.items()]
        return "; ".join(parts + [f"{one}: held {_until(found)}" for one, found in self.held.items()])


def _until(one: Deletion) -> str:
    until = "" if one.held_until is None else f"until {format_time(one.held_until)} "
    return f"{until}by the storage ({one.detail})"


def delete_backup(
    storage: OpenStorage, inventory: Inventory, backup: ReadBackup, tools: Tools, *, because: str
) -> Deletion | None:
    """Delete *backup* for good, and return None, or the first answer of the storage that says no.

    A backup about which something was said since *inventory* was taken (a hold, perhaps) is left as it is, and the answer says so.
    """
    manifest = backup.manifest
    prefix = backup_prefix(manifest.custody_id, manifest.backup_id)
    keys = [found.key for found in inventory.objects if found.key.startswith(prefix)]
    new = next((one.key for one in storage.store.entries(prefix) if one.key not in set(keys)), None)
    if new is not None:
        return Deletion(key=new, state=DeletionState.HELD, detail="something was written there meanwhile")
    _bury(storage, backup, because=because, now=tools.now())
    return erase(storage, keys, tools)


def finish_deletions(storage: OpenStorage, inventory: Inventory, tools: Tools, tally: Tally) -> None:
    """Remove what deletions begun earlier left behind, and note what became of each backup."""
    left: defaultdict[str, list[str]] = defaultdict(list)
    for key in deletable(inventory):
        parsed = parse_backup_key(key)
        if parsed is not None:
            left[parsed.backup_id].append(key)
    for backup_id, keys in left.items():
        tally.note(backup_id, erase(storage, keys, tools))


def erase(storage: OpenStorage, keys: Iterable[str], tools: Tools) -> Deletion | None:
    """Remove *keys* of one backup, data first and the manifest last; return None, or the first answer that says no.

    What comes after such an answer is not touched: as long as data lies there, its manifest says what it is.
    """
    for stage in _stages(keys):
        check_stop(tools)
        refusal = remove(storage, stage)
        if refusal is not None:
            return refusal
    return None


def remove(storage: OpenStorage, keys: Sequence[str]) -> Deletion | None:
    """Remove *keys*, in any order; return None, or the worst answer of the storage that says no. Raises when it does not answer."""
    try:
        answers = storage.store.delete(keys)
    except RefusedError as error:
        return Deletion(key=keys[0], state=DeletionState.DENIED, detail=error.message)
    refusals = [one for one in answers if one.state is not DeletionState.GONE]
    return min(refusals, key=lambda one: one.state is DeletionState.HELD, default=None)


def _stages(keys: Iterable[str]) -> Iterator[list[str]]:
    """Yield *keys* in the order in which they may go: what the attempts wrote, what was said since, the manifest; tombstones stay."""
    rows = [(key, parsed) for key in keys if (parsed := parse_backup_key(key)) is not None]
    stages = (
        [key for key, parsed in rows if parsed.attempt is not None],
        [key for key, parsed in rows if parsed.attempt is None and parsed.number],
        [key for key, parsed in rows if parsed.is_manifest],
    )
    yield from (stage for stage in stages if stage)


def _bury(storage: OpenStorage, backup: ReadBackup, *, because: str, now: datetime) -> None:
    """Write the tombstone; when somebody else wrote one meanwhile, that one counts."""
    manifest = backup.manifest
    tombstone = Tombstone(
        backup_id=manifest.backup_id,
        manifest_sha256=backup.manifest_sha256,
        previous_manifest_sha256=manifest.previous_manifest_sha256,
        generation=manifest.generation,
        because=because,
        time=now,
    )
    try:
        add_fact(storage, manifest.custody_id, tombstone)
    except ConflictError:
        return
