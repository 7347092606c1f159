"""What else is seen around a RestoreRequest that takes a database's place: rivals, the safety backup, workloads, its namespace."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbcustody.adapters.kube import NAMESPACES
from dbcustody.api.condition import ConditionType, is_true
from dbcustody.api.restore import Mode
from dbcustody.api.storage import AccessMode
from dbcustody.handlers.scaling import look_at_workload
from dbcustody.handlers.world import Place

if TYPE_CHECKING:
    from dbcustody.api.policy import BackupPolicy
    from dbcustody.api.restore import RestoreRequest
    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.world import Key, World
    from dbcustody.plan.restore_case import SeenRestore
    from dbcustody.plan.workload import SeenWorkload


async def see_replace(hands: Hands, key: Key, request: RestoreRequest, seen: SeenRestore) -> SeenRestore:
    """Return *seen* with what is around a request in mode Replace."""
    world, space, spec = hands.world, key.namespace, request.spec
    wanted = request.status.safety_backup
    return replace(
        seen,
        undone=world.restores.get(Place(space, spec.undo_of.name)) if spec.undo_of is not None else None,
        rivals=_rivals(world, key, request),
        safety_policy=_safety_policy(world, space, request),
        safety_backup=world.backups.get(Place(space, wanted.name)) if wanted is not None else None,
        workloads=await _workloads(hands, space, request, seen),
        is_namespace_going=request.metadata.is_being_deleted and await is_namespace_going(hands, space),
    )


async def is_namespace_going(hands: Hands, namespace: str) -> bool:
    """Return whether *namespace* is being deleted, or gone."""
    body = await hands.kube.get(NAMESPACES, None, namespace)
    return body is None or body["metadata"].get("deletionTimestamp") is not None


def _rivals(world: World, key: Key, request: RestoreRequest) -> tuple[str, ...]:
    """Return the unfinished requests for the same place that began before *request* did."""
    others = [
        other
        for other in world.restores.find("unfinished", key.namespace)
        if other.spec.mode is Mode.REPLACE
        and other.spec.target == request.spec.target
        and _turn(other) < _turn(request)
    ]
    return tuple(other.metadata.name for other in sorted(others, key=_turn))


def _turn(request: RestoreRequest) -> tuple[bool, str, str]:
    start = request.status.start_time
    return (start is None, str(start), request.metadata.uid)


def _safety_policy(world: World, namespace: str, request: RestoreRequest) -> str | None:
    """Return the policy by which what is there now is backed up: the source's own if it is of that database, else the first by name."""
    named = request.source.policy_ref
    able = sorted(
        policy.metadata.name
        for policy in world.policies.find("database", namespace, request.spec.target.database_ref.name)
        if _may_write(world, namespace, policy)
    )
    return named.name if named is not None and named.name in able else next(iter(able), None)


def _may_write(world: World, namespace: str, policy: BackupPolicy) -> bool:
    storage = world.storages.get(Place(namespace, policy.spec.storage_ref.name))
    return storage is not None and storage.spec.access_mode is AccessMode.READ_WRITE


async def _workloads(
    hands: Hands, namespace: str, request: RestoreRequest, seen: SeenRestore
) -> tuple[SeenWorkload, ...]:
    """Return the workloads that are to be stopped, or were; nothing is asked once everything is over."""
    if is_true(request.status.conditions, ConditionType.FINISHED):
        return ()
    wanted = seen.database.spec.workloads if seen.database is not None else ()
    named = {(one.kind, one.name) for one in wanted} | {(one.kind, one.name) for one in request.status.workloads}
    return tuple([await look_at_workload(hands, namespace, kind, name) for kind, name in sorted(named)])
