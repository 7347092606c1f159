"""RestoreRequests: what is seen around one, and its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.api.restore import Mode, RestoreProgress
from dbcustody.handlers.replace import see_replace
from dbcustody.handlers.world import Place
from dbcustody.naming import LABEL_STORAGE, label_value
from dbcustody.plan.pruning import spared_by
from dbcustody.plan.restore import plan
from dbcustody.plan.restore_case import SeenRestore

if TYPE_CHECKING:
    from dbcustody.api.restore import RestoreRequest, RestoreRequestStatus
    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.observe import Observer
    from dbcustody.handlers.world import Key, World
    from dbcustody.plan.actions import Plan


async def plan_restore(
    hands: Hands, observer: Observer, key: Key, request: RestoreRequest
) -> Plan[RestoreRequestStatus]:
    """Return the plan for *request* from what is seen now."""
    world, source, space = hands.world, request.source, key.namespace
    backup = world.backups.get(Place(space, source.backup_ref.name)) if source.backup_ref is not None else None
    policy = world.policies.get(Place(space, source.policy_ref.name)) if source.policy_ref is not None else None
    storage = _storage_name(request, world, space)
    jobs = await observer.look_at([job for job in world.jobs_of(key) if job.belongs_to(request.metadata.uid)])
    progress = await observer.progress_of(next((job for job in jobs if not job.is_finished and job.ready), None))
    seen = SeenRestore(
        image=hands.settings.image,
        database=world.databases.get(Place(space, request.spec.target.database_ref.name)),
        backup=backup,
        policy=policy,
        storage=world.storages.get(Place(space, storage)) if storage else None,
        source_database=world.databases.get(Place(space, policy.spec.database_ref.name)) if policy else None,
        jobs=jobs,
        prunes=_prunes(world, space, storage),
        freeze_windows=hands.settings.freeze_windows,
        progress=progress if isinstance(progress, RestoreProgress) else None,
        runs=world.unfinished,
        approvals=world.approvals_of(key),
        is_stamped=hands.settings.stamps_approvals,
    )
    if request.spec.mode is Mode.REPLACE:
        seen = await see_replace(hands, key, request, seen)
    return plan(request, seen, hands.now())


def _storage_name(request: RestoreRequest, world: World, namespace: str) -> str | None:
    """Return the name of the storage that the source leads to; None: nobody says yet."""
    undo_of = request.spec.undo_of
    if undo_of is not None:
        undone = world.restores.get(Place(namespace, undo_of.name))
        return _storage_name(undone, world, namespace) if undone is not None and undone.spec.undo_of is None else None
    source = request.source
    if source.storage_ref is not None:
        return source.storage_ref.name
    if source.policy_ref is not None:
        policy = world.policies.get(Place(namespace, source.policy_ref.name))
        return policy.spec.storage_ref.name if policy is not None else None
    backup = world.backups.get(Place(namespace, source.backup_ref.name)) if source.backup_ref is not None else None
    return backup.status.storage if backup is not None else None


def _prunes(world: World, namespace: str, storage: str | None) -> tuple[str, ...]:
    """Return the Jobs at *storage* that delete, and may have been started before the restore was known."""
    if storage is None:
        return ()
    label = label_value(storage)
    jobs = world.jobs.among("deleting", namespace)
    return tuple(job.name for job in jobs if job.metadata.labels.get(LABEL_STORAGE) == label)


def readers_at(world: World, namespace: str, storage: str) -> dict[str, str]:
    """Return the backups at *storage* that unfinished requests read, by name, each with one of the requests: they are left alone."""
    found = {}
    for request in world.restores.find("unfinished", namespace):
        chosen = request.status.backup
        if chosen is not None and _storage_name(request, world, namespace) == storage:
            found[chosen.name] = request.metadata.name
    return found


def spared_at(world: World, namespace: str, storage: str) -> tuple[str, ...]:
    """Return the backups, by name, that retention at *storage* leaves alone: for restores, and for the way back from them."""
    spared = dict[str, None]()
    for request in world.restores.find("sparing", namespace):
        reads_here = _storage_name(request, world, namespace) == storage
        spared |= dict.fromkeys(spared_by(request, reads_here=reads_here))
    return tuple(spared)
