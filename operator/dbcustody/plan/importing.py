"""Backups made of what a probe found in a storage: after a lost cluster, the resources come back from the bucket.

Only of custodies that a Database of the namespace has: what belongs to somebody else is nobody's business here. Each Backup then asks the
storage, by a Job of its own, and says what is known of it; nothing is taken on trust from a listing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbcustody.api.backup import Origin
from dbcustody.naming import LABEL_DATABASE, LABEL_STORAGE, label_value
from dbcustody.plan.actions import CreateBackup
from dbcustody.plan.adoption import record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from dbcustody.api.database import Database
    from dbcustody.api.storage import BackupStorage, FoundBackup
    from dbcustody.plan.actions import Action


def plan_import(
    storage: BackupStorage, found: Iterable[FoundBackup], *, databases: Iterable[Database], known: Collection[str]
) -> tuple[Action, ...]:
    """Return what makes Backups of those *found* in *storage* that belong to one of *databases* and are not *known* by their names."""
    if not storage.spec.import_backups:
        return ()
    owners = {database.custody_id: database.metadata.name for database in databases}
    return tuple(
        CreateBackup(_manifest(storage, one.name, owners[one.custody_id]))
        for one in found
        if one.custody_id in owners and one.name not in known
    )


def _manifest(storage: BackupStorage, name: str, database: str) -> dict[str, Any]:
    place = storage.metadata.name
    labels = {LABEL_DATABASE: label_value(database), LABEL_STORAGE: label_value(place)}
    parties = {"databaseRef": {"name": database}, "storageRef": {"name": place}}
    spec = {"origin": Origin.IMPORTED.value, **parties}
    return record(name, storage.metadata.namespace, labels=labels, spec=spec)
