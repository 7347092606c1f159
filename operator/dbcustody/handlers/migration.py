"""DatabaseMigrations: what is seen around one, and its plan; and the ConfigMaps that are their sources.

ConfigMaps are listed by label and never watched: a watch would bring every ConfigMap of the cluster into this process. Of those listed
nothing but the metadata comes; one is read when a resource names it and its version is another than the one that was read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.adapters.kube import CONFIG_MAPS
from dbcustody.api.meta import Kind, read_metadata
from dbcustody.api.migration import MigrationProgress
from dbcustody.contract import Verb
from dbcustody.handlers.world import Place, keys_of
from dbcustody.naming import LABEL_MIGRATION_SOURCE
from dbcustody.plan.migration import plan
from dbcustody.plan.migration_case import SeenConfigMap, SeenMigration

if TYPE_CHECKING:
    from dbcustody.api.backup import Backup
    from dbcustody.api.migration import DatabaseMigration, DatabaseMigrationStatus
    from dbcustody.api.policy import BackupPolicy
    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.observe import Observer
    from dbcustody.handlers.world import Key, World
    from dbcustody.plan.actions import Plan


async def plan_migration(
    hands: Hands, observer: Observer, key: Key, migration: DatabaseMigration
) -> Plan[DatabaseMigrationStatus]:
    """Return the plan for *migration* from what is seen now."""
    world, space = hands.world, key.namespace
    jobs = await observer.look_at([job for job in world.jobs_of(key) if job.belongs_to(migration.metadata.uid)])
    running = next((job for job in jobs if job.verb is Verb.MIGRATE and not job.is_finished and job.ready), None)
    progress = await observer.progress_of(running)
    names = [reference.name for reference in migration.spec.source.config_map_refs]
    found = [await _read(hands, Place(space, name)) for name in names]
    seen = SeenMigration(
        image=hands.settings.image,
        database=world.databases.get(Place(space, migration.spec.database_ref.name)),
        config_maps=tuple(one for one in found if one is not None),
        jobs=jobs,
        policy=_policy(hands.world, space, migration),
        backups=_backups(hands.world, space, migration),
        promotion=_promotion(hands.world, space, migration),
        approvals=world.approvals_of(key),
        is_stamped=hands.settings.stamps_approvals,
        freeze_windows=hands.settings.freeze_windows,
        progress=progress if isinstance(progress, MigrationProgress) else None,
        runs=world.unfinished,
    )
    return plan(migration, seen, hands.now())


def _policy(world: World, namespace: str, migration: DatabaseMigration) -> BackupPolicy | None:
    gate = migration.spec.gates.backup
    return world.policies.get(Place(namespace, gate.policy_ref.name)) if gate is not None else None


def _backups(world: World, namespace: str, migration: DatabaseMigration) -> tuple[Backup, ...]:
    """Return the Backups that may be the one that has to be there."""
    gate = migration.spec.gates.backup
    return world.backups.find("policy", namespace, gate.policy_ref.name) if gate is not None else ()


def _promotion(world: World, namespace: str, migration: DatabaseMigration) -> DatabaseMigration | None:
    """Return the DatabaseMigration by which the source has to be in first."""
    gate = migration.spec.gates.promotion
    if gate is None:
        return None
    return world.migrations.get(Place(gate.migration_ref.namespace or namespace, gate.migration_ref.name))


async def _read(hands: Hands, place: Place) -> SeenConfigMap | None:
    """Return the ConfigMap at *place* with its files, or None; it is only asked for when it is not known as it is now."""
    known = hands.world.config_maps.get(place)
    if known is not None and known.files is not None:
        return known
    body = await hands.kube.get(CONFIG_MAPS, place.namespace, place.name)
    if body is None:
        hands.world.config_maps.pop(place, None)
        return None
    found = SeenConfigMap.from_body(body)
    if found.is_source:
        hands.world.config_maps[place] = found
    return found


async def look_at_sources(hands: Hands) -> None:
    """List the metadata of every source, and queue the resources that name one which came, went, or is another by now."""
    if not len(hands.world.migrations):
        return
    before, after = hands.world.config_maps, dict[Place, SeenConfigMap]()
    for namespace in hands.settings.namespaces or (None,):
        listed = hands.kube.list(CONFIG_MAPS, namespace, labels=LABEL_MIGRATION_SOURCE, only_metadata=True)
        async for body in listed:
            found = SeenConfigMap(metadata=read_metadata(body))
            place = Place(found.metadata.namespace, found.metadata.name)
            known = before.get(place)
            after[place] = known if known is not None and _is_same(known, found) else found
    for place in before.keys() | after.keys():
        if before.get(place) is not after.get(place):
            for key in keys_of(Kind.DATABASE_MIGRATION, hands.world.migrations.find("source", *place)):
                hands.queue.add(key)
    hands.world.config_maps = after


def _is_same(known: SeenConfigMap, found: SeenConfigMap) -> bool:
    one, other = known.metadata, found.metadata
    return (one.uid, one.resource_version) == (other.uid, other.resource_version)
