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
    from collections.abc import Iterable

    from dbcustody.api.policy import BackupPolicy
    from dbcustody.api.restore import RestoreRequest
    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.world import Key, World
    from dbcustody.plan.restore_case import SeenRestore
    from dbcustody.plan.workload import SeenWorkload


async def see_replace(hands: Hands, key: Key, request: RestoreRequest, seen: SeenRestore) -> SeenRestore:
    """Return *seen* with what is around a request in mode Replace."""
    world, space, spec = hands.world, key.namespace, request.spec
    wanted, policies = request.status.safety_backup, _able_policies(world, space, request)
    return replace(
        seen,
        undone=world.restores.get(Place(space, spec.undo_of.name)) if spec.undo_of is not None else None,
        rivals=_rivals(world, key, request),
        safety_policy=_safety_policy(policies, request),
        partial_policies=tuple(one.metadata.name for one in policies if not one.spec.is_whole),
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


def _able_policies(world: World, namespace: str, request: RestoreRequest) -> list[BackupPolicy]:
    """Return the policies by which something of what is there now can be backed up, in the order of their names."""
    policies = world.policies.find("database", namespace, request.spec.target.database_ref.name)
    return [policy for policy in policies if _may_write(world, namespace, policy)]


def _safety_policy(policies: Iterable[BackupPolicy], request: RestoreRequest) -> str | None:
    """Return which of *policies* backs up all of what is there now: the source's own, else the first by name; None: none does."""
    named = request.source.policy_ref
    able = [policy.metadata.name for policy in policies if policy.spec.is_whole]
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
