"""Whom a change concerns: the resources whose plans look at the one that changed, whether somebody else changed it or we did.

What we write ourselves comes back from the watch as no news, so whoever writes asks here as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from dbcustody.api.meta import Kind
from dbcustody.handlers.world import Key, is_finished, keys_of
from dbcustody.naming import LABEL_POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.api.approval import Approval
    from dbcustody.api.backup import Backup
    from dbcustody.api.restore import RestoreRequest
    from dbcustody.handlers.world import Resource, World
    from dbcustody.reason import Reason

_FOUND: Final = ("plan", "vanished", "deleted")


def concerned(world: World, key: Key, before: Resource | None, after: Resource | None) -> Iterator[Key]:
    """Yield the resources whose plan looks at *key*, when something that they look at differs between *before* and *after*."""
    if key.kind in {Kind.RESTORE_REQUEST, Kind.DATABASE_MIGRATION}:
        yield from _beside_plan(world, key, before, after)
    elif key.kind is Kind.APPROVAL:
        yield from _asked_by(key, before, after)
    elif key.kind is Kind.BACKUP:
        yield from _beside_backup(world, key, before, after)
    elif key.kind is Kind.BACKUP_POLICY:
        if before is None or after is None or before.spec != after.spec:
            yield from keys_of(Kind.RESTORE_REQUEST, world.restores.find("unfinished", key.namespace))
            yield from keys_of(Kind.DATABASE_MIGRATION, world.migrations.find("policy", key.namespace, key.name))
        if before is None or after is None or _plan_changed(before, after):
            yield from keys_of(Kind.BACKUP, world.backups.find("policy", key.namespace, key.name))
    elif before is None or after is None or _is_told_apart(before, after):
        yield from keys_of(Kind.BACKUP_POLICY, world.policies.find("namespace", key.namespace))
        yield from keys_of(Kind.DATABASE_MIGRATION, world.migrations.find("namespace", key.namespace))
        yield from keys_of(Kind.BACKUP, world.backups.find("unfinished", key.namespace))
        yield from keys_of(Kind.RESTORE_REQUEST, world.restores.find("unfinished", key.namespace))


def _beside_plan(world: World, key: Key, before: Resource | None, after: Resource | None) -> Iterator[Key]:
    """Yield who looks at a resource that tells plans: its Approvals, and whoever waits for what it does."""
    if before is None or after is None or before.status.conditions != after.status.conditions:
        yield from keys_of(Kind.APPROVAL, world.approvals_of(key))
        if key.kind is Kind.DATABASE_MIGRATION:
            later = world.migrations.find("promotion", key.namespace, key.name)
            yield from keys_of(Kind.DATABASE_MIGRATION, later)
    if key.kind is Kind.RESTORE_REQUEST:
        yield from _beside_restore(key, before, after)


def _beside_restore(key: Key, before: Resource | None, after: Resource | None) -> Iterator[Key]:
    """Yield the Database that a request is about, when what it did on the server, or will still do, is another."""
    versions = [cast("RestoreRequest", one) if one is not None else None for one in (before, after)]
    was, is_ = ((is_finished(one), one.status.old_database) if one is not None else None for one in versions)
    if was != is_:
        named = {one.spec.target.database_ref.name for one in versions if one is not None}
        yield from (Key(Kind.DATABASE, key.namespace, name) for name in named)


def _asked_by(key: Key, before: Resource | None, after: Resource | None) -> Iterator[Key]:
    """Yield the requests that an Approval names, when it came or went: its spec never changes, and its status is nobody else's matter."""
    versions = [cast("Approval", one) for one in (before, after) if one is not None]
    if len({one.metadata.uid for one in versions}) == len(versions):
        for named in {one.spec.request_ref for one in versions}:
            yield Key(Kind(named.kind.value), key.namespace, named.name)


def _beside_backup(world: World, key: Key, before: Resource | None, after: Resource | None) -> Iterator[Key]:
    one = after or before
    was, is_ = (_standing(_backup(resource)) if resource is not None else None for resource in (before, after))
    if one is None or (before is not None and after is not None and was == is_):
        return
    backup = _backup(one)
    policy = backup.spec.policy_ref.name if backup.spec.policy_ref else backup.metadata.labels.get(LABEL_POLICY)
    if policy:
        yield Key(Kind.BACKUP_POLICY, key.namespace, policy)
        yield from keys_of(Kind.DATABASE_MIGRATION, world.migrations.find("policy", key.namespace, policy))
    if backup.status.storage:
        yield Key(Kind.BACKUP_STORAGE, key.namespace, backup.status.storage)
    database = world.database_of(backup)
    if database:
        yield Key(Kind.DATABASE, key.namespace, database)
    yield from keys_of(Kind.RESTORE_REQUEST, world.restores.find("unfinished", key.namespace))


def _standing(backup: Backup) -> tuple[bool, Reason | None]:
    """Return what others look at in *backup*: whether it is over, and why its data is gone."""
    return is_finished(backup), backup.status.loss.reason if backup.status.loss is not None else None


def _backup(resource: Resource) -> Backup:
    return resource  # type: ignore[return-value]  # the key's kind says so


def _is_told_apart(before: Resource, after: Resource) -> bool:
    """Return whether spec or conditions differ: the rest of a status concerns nobody else."""
    return before.spec != after.spec or before.status.conditions != after.status.conditions


def _plan_changed(before: Resource, after: Resource) -> bool:
    """Return whether a policy's spec, or what its retention found, differs: that is what its Backups look at."""
    was, is_ = ([getattr(one.status, name, ()) for name in _FOUND] for one in (before, after))
    return before.spec != after.spec or was != is_
