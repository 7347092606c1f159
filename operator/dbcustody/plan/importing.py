"""Backups made of what a probe found in a storage: after a lost cluster, the resources come back from the bucket.

Only of custodies that a Database of the namespace has: what belongs to somebody else is nobody's business here. Each Backup then asks the
storage, by a Job of its own, and says what is known of it; nothing is taken on trust from a listing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbcustody.api.backup import Origin
from dbcustody.api.meta import Kind
from dbcustody.naming import (
    API_VERSION,
    LABEL_BACKUP,
    LABEL_DATABASE,
    LABEL_MANAGED_BY,
    LABEL_STORAGE,
    label_value,
)
from dbcustody.plan.actions import CreateBackup
from dbcustody.plan.manifest import MANAGER

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
    return {
        "apiVersion": API_VERSION,
        "kind": Kind.BACKUP.value,
        "metadata": {
            "name": name,
            "namespace": storage.metadata.namespace,
            "labels": {
                LABEL_MANAGED_BY: MANAGER,
                LABEL_BACKUP: label_value(name),
                LABEL_DATABASE: label_value(database),
                LABEL_STORAGE: label_value(place),
            },
        },
        "spec": {
            "origin": Origin.IMPORTED.value,
            "databaseRef": {"name": database},
            "storageRef": {"name": place},
        },
    }
