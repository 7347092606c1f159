"""Which backup of an inventory is restored: the very one that was named, or the newest good one that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.errors import RefusedError
from dbcustody.reason import Reason
from dbcustody.repository.inventory import Doubt

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from dbcustody.repository.inventory import Inventory, ReadBackup

_SHOWN: Final = 3


def choose_named(inventory: Inventory, backup_id: str) -> ReadBackup:
    """Return the backup *backup_id* of *inventory*.

    Raises RefusedError: BackupNotFound when there is none (any more), KeyMissing or ArchiveDamaged when it cannot be believed.
    """
    found = next((one for one in inventory.live if one.manifest.backup_id == backup_id), None)
    if found is None and not (unread := inventory.doubts_about(backup_id)):
        raise RefusedError(
            f"backup {backup_id}: does not lie in the storage, or was deleted", reason=Reason.BACKUP_NOT_FOUND
        )
    if found is None:
        raise _disbelieved(backup_id, unread)
    if found.doubts:
        raise _disbelieved(found.manifest.name, found.doubts)
    return found


def _disbelieved(name: str, doubts: Iterable[Doubt]) -> RefusedError:
    told = sorted(doubts)
    reason = Reason.KEY_MISSING if Doubt.KEY_MISSING in told else Reason.ARCHIVE_DAMAGED
    return RefusedError(f"backup {name}: cannot be believed ({', '.join(told)})", reason=reason)


def choose_newest(inventory: Inventory, *, policy: str | None = None, before: datetime | None = None) -> ReadBackup:
    """Return the newest good backup whose data is not younger than *before*, of *policy* where that is given.

    Raises RefusedError (BackupNotFound), saying how many there are that do not fit.
    """
    good = [one for one in inventory.live if one.is_good]
    fits = [one for one in good if policy is None or one.manifest.policy == policy]
    early = [one for one in fits if before is None or one.manifest.snapshot <= before]
    if not early:
        whose = f" of policy {policy}" if policy is not None else ""
        when = f" from before {before:%Y-%m-%dT%H:%M:%SZ}" if before is not None else ""
        raise RefusedError(
            f"there is no good backup{whose}{when}: of {len(inventory.live)} in the storage {len(good)} are good{_doubted(inventory)}",
            reason=Reason.BACKUP_NOT_FOUND,
        )
    return early[-1]


def _doubted(inventory: Inventory) -> str:
    """Return what is said of the objects that might tell of more backups, and cannot be believed."""
    doubts = inventory.doubts
    more = f" and {len(doubts) - _SHOWN} more" if len(doubts) > _SHOWN else ""
    return f"; not believed: {', '.join(doubts[:_SHOWN])}{more}" if doubts else ""
