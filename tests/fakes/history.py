"""Inventories as values: backups of which only what retention looks at is said."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from dbcustody.api.backup import Origin, Tool
from dbcustody.repository.fact import Hold, Verified
from dbcustody.repository.inventory import Doubt, Inventory, ReadBackup, in_order
from dbcustody.repository.layout import make_backup_id
from dbcustody.repository.manifest import Manifest, Scope, ServerFacts

if TYPE_CHECKING:
    from collections.abc import Iterable

START: Final = datetime(2026, 1, 5, 2, 0, tzinfo=UTC)
"""A Monday."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """One backup, in the words of retention."""

    name: str = "shop"
    snapshot: datetime = START
    took: timedelta = timedelta(minutes=5)
    level: str | None = "Read"
    scope: Scope = Scope.FULL
    server: str | None = "1"
    policy: str | None = "nightly"
    is_held: bool = False
    doubts: tuple[Doubt, ...] = ()


def read_backup(told: Told) -> ReadBackup:
    """Return the backup that *told* tells of."""
    backup_id = make_backup_id(told.name, max(told.snapshot, datetime(1970, 1, 1, tzinfo=UTC)))
    digest = hashlib.sha256(backup_id.encode()).hexdigest()
    about = {"backup_id": backup_id, "manifest_sha256": digest, "time": told.snapshot}
    manifest = Manifest(
        storage_id="s",
        custody_id="shop",
        backup_id=backup_id,
        attempt="0b9c3f52-6c0e-4a55-8f3a-2f4d5e6a7b8c",
        name=told.name,
        policy=told.policy,
        origin=Origin.SCHEDULED,
        scope=told.scope,
        server=ServerFacts(version="17.5", major_version=17, system_identifier=told.server),
        tool=Tool(name="dbcustody", version="0.1.0"),
        client=Tool(name="pg_dump", version="17.5"),
        started=told.snapshot,
        snapshot=told.snapshot,
        finished=told.snapshot + told.took,
        compression="zstd:1",
        objects=(),
        table_count=1,
        generation=1,
    )
    return ReadBackup(
        manifest=manifest,
        manifest_sha256=digest,
        authenticated=True,
        verified=() if told.level is None else (Verified(**about, level=told.level),),
        holds=(Hold(**about, number=1, because="audit"),) if told.is_held else (),
        doubts=told.doubts,
    )


def inventory_of(history: Iterable[Told]) -> Inventory:
    """Return an inventory of *history*, which need not be in order and whose names are made different."""
    numbered = (replace(told, name=f"{told.name}-{number}") for number, told in enumerate(history))
    return Inventory(backups=in_order(read_backup(told) for told in numbered))


def without(inventory: Inventory, backup_ids: Iterable[str]) -> Inventory:
    """Return *inventory* after the backups of *backup_ids* were deleted."""
    gone = set(backup_ids)
    return replace(inventory, backups=tuple(one for one in inventory.backups if one.manifest.backup_id not in gone))
