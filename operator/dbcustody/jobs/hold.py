"""The hold Job: writes the legal hold of one resource beside its backup, as a fact that stays where the data is, or releases it again.

A hold that stood in a resource alone would go with the cluster. Each hold says who placed it, by the resource's UID and by nothing that
could name a person; only the same one releases it, so that nobody lifts what another cluster, or a person by hand, has placed.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbcustody.contract import Verb
from dbcustody.errors import ConflictError
from dbcustody.facts import HoldFacts
from dbcustody.jobs.commitment import claimed_backup
from dbcustody.jobs.custody import OpenStorage, open_storage
from dbcustody.jobs.stock import add_fact, disbelief, take_stock
from dbcustody.jobs.tools import custody_id_of
from dbcustody.jobs.verdict import fail, give
from dbcustody.reason import Reason
from dbcustody.repository.fact import Hold, Release
from dbcustody.repository.layout import FactKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from dbcustody.contract import JobRequest, JobResult
    from dbcustody.jobs.tools import Tools
    from dbcustody.repository.inventory import Inventory, ReadBackup

BY_HAND: Final = "by hand"
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Spot:
    """One backup in an open storage."""

    storage: OpenStorage
    custody_id: str
    backup_id: str

    def look(self, tools: Tools) -> tuple[Inventory, ReadBackup | None]:
        """Return what lies there, and the backup; None: there is none any more. Raises RefusedError when it cannot be believed."""
        inventory = take_stock(self.storage, self.custody_id, tools, backup_id=self.backup_id)
        refusal = disbelief(inventory, self.backup_id)
        if refusal is not None:
            raise refusal
        return inventory, next(iter(inventory.live), None)


def placed_by(owner_uid: str) -> str:
    """Return how a hold says that the Backup of *owner_uid* placed it."""
    return f"Backup {owner_uid}"


def run(request: JobRequest, tools: Tools) -> JobResult:
    """Return how the hold of the request's Backup stands now: HoldPlaced, HoldReleased, or NothingToHold.

    ArchiveDamaged or KeyMissing mean that what lies there cannot be believed. Raises the errors of storage and keys.
    """
    spot, because = _find(request, tools), placed_by(request.owner_uid)
    if spot is None:
        return _told(request, None)
    return _told(request, place(spot, tools, because) if request.hold else release(spot, tools, (because,)))


def place(spot: Spot, tools: Tools, because: str) -> ReadBackup | None:
    """Return the backup with an open hold that says *because*, placed now when there was none; None: there is no such backup.

    What is returned was read back afterwards: whoever deleted the backup at the same moment left a tombstone, which wins.
    Raises RefusedError when the backup cannot be believed, ConflictError when others keep placing holds, and the store's errors.
    """
    for _ in range(_ATTEMPTS):
        inventory, backup = spot.look(tools)
        if backup is None or own_holds(backup, (because,)):
            return backup
        number = inventory.next_number(spot.backup_id, FactKind.HOLD)
        hold = Hold(
            backup_id=spot.backup_id,
            manifest_sha256=backup.manifest_sha256,
            number=number,
            because=because,
            time=tools.now(),
        )
        with suppress(ConflictError):  # somebody else took the number; whose hold stands there is seen by looking again
            add_fact(spot.storage, spot.custody_id, hold)
    raise ConflictError(f"{spot.backup_id}: others keep placing holds; try again")


def release(spot: Spot, tools: Tools, becauses: Collection[str] | None) -> ReadBackup | None:
    """Return the backup after its open holds that say one of *becauses* (None: all) were released; None: there is no such backup.

    Raises RefusedError when the backup cannot be believed, and the store's errors.
    """
    _, backup = spot.look(tools)
    if backup is None:
        return None
    for hold in own_holds(backup, becauses):
        answer = Release(
            backup_id=spot.backup_id,
            manifest_sha256=backup.manifest_sha256,
            number=hold.number,
            because=hold.because,
            time=tools.now(),
        )
        with suppress(ConflictError):  # released meanwhile by another attempt; looked at below
            add_fact(spot.storage, spot.custody_id, answer)
    return spot.look(tools)[1]


def own_holds(backup: ReadBackup, becauses: Collection[str] | None) -> tuple[Hold, ...]:
    """Return the open holds of *backup* that say one of *becauses*; None: all of them."""
    return tuple(one for one in backup.open_holds if becauses is None or one.because in becauses)


def _find(request: JobRequest, tools: Tools) -> Spot | None:
    """Return where the request's backup lies; None: nothing was ever stored under its name."""
    storage = open_storage(tools, request)
    backup_id = claimed_backup(storage, request, tools.now())
    return None if backup_id is None else Spot(storage, custody_id_of(request), backup_id)


def _told(request: JobRequest, backup: ReadBackup | None) -> JobResult:
    if backup is None:
        facts = HoldFacts(placed=False, gone=True)
        if request.hold:
            message = f"{request.name}: there is no such backup in the storage any more"
            return fail(Verb.HOLD, Reason.NOTHING_TO_HOLD, message, hold=facts)
        return give(Verb.HOLD, Reason.HOLD_RELEASED, f"{request.name}: nothing of it is left", hold=facts)
    own = own_holds(backup, (placed_by(request.owner_uid),))
    facts = HoldFacts(placed=bool(own), others=len(backup.open_holds) - len(own))
    reason = Reason.HOLD_PLACED if own else Reason.HOLD_RELEASED
    return give(Verb.HOLD, reason, f"{request.name}: {len(backup.open_holds)} holds stand beside it", hold=facts)
