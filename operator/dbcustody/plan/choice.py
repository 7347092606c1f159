"""Which backup of an inventory is restored: the very one that was named, or the newest good one that fits.

Of those that fit, one of the whole database comes before a newer one of a part: nobody who asks for the newest asks for less of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.errors import RefusedError
from dbcustody.reason import Reason
from dbcustody.repository.inventory import Doubt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
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


def choose_newest(
    inventory: Inventory, *, policy: str | None = None, before: datetime | None = None, must_be_whole: bool = False
) -> ReadBackup:
    """Return the newest good backup whose data is not younger than *before*, of *policy* where that is given.

    The newest of the whole database, else, unless it *must_be_whole*, the newest of a part. Raises RefusedError: BackupNotFound, saying
    how many there are that do not fit; BackupPartial when only those of a part do.
    """
    good = [one for one in inventory.live if one.is_good]
    fits = [one for one in good if policy is None or one.manifest.policy == policy]
    early = [one for one in fits if before is None or one.manifest.snapshot <= before]
    whole = [one for one in early if one.manifest.is_whole]
    if whole or (early and not must_be_whole):
        return (whole or early)[-1]
    whose = f" of policy {policy}" if policy is not None else ""
    when = f" from before {before:%Y-%m-%dT%H:%M:%SZ}" if before is not None else ""
    if early:
        text = (
            f"there is no good backup{whose}{when} of the whole database: the {len(early)} that fit leave something out"
        )
        raise RefusedError(text, reason=Reason.BACKUP_PARTIAL)
    raise RefusedError(
        f"there is no good backup{whose}{when}: of {len(inventory.live)} in the storage {len(good)} are good{_doubted(inventory)}",
        reason=Reason.BACKUP_NOT_FOUND,
    )


def _doubted(inventory: Inventory) -> str:
    """Return what is said of the objects that might tell of more backups, and cannot be believed."""
    doubts = inventory.doubts
    more = f" and {len(doubts) - _SHOWN} more" if len(doubts) > _SHOWN else ""
    return f"; not believed: {', '.join(doubts[:_SHOWN])}{more}" if doubts else ""


def choose_offered(backups: Sequence[ReadBackup]) -> ReadBackup:
    """Return which of *backups*, oldest first and at least one, a person is offered: of the good ones the newest of the whole database."""
    good = [one for one in backups if one.is_good] or backups
    return ([one for one in good if one.manifest.is_whole] or good)[-1]
