"""Doing what a plan wants, each action once or again without harm: equal names of an equal owner are equal objects."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from dbcustody.adapters.kube import CRON_JOBS, JOBS, ours
from dbcustody.api.meta import Kind
from dbcustody.errors import ConflictError, RefusedError
from dbcustody.handlers.say import tell
from dbcustody.handlers.scaling import scale
from dbcustody.naming import ANNOTATION_LEASE_TRANSITIONS, LABEL_BACKUP, label_value
from dbcustody.plan.actions import (
    ApplyCronJob,
    Count,
    CreateBackup,
    DeleteBackup,
    DeleteCronJob,
    DeleteJob,
    LetJobGo,
    MarkJob,
    ScaleWorkload,
    SetFinalizers,
    StartJob,
    Tell,
)
from dbcustody.plan.observed import ANNOTATION_BACKUP_UID, SeenCronJob, SeenJob
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.world import Key, Resource
    from dbcustody.plan.actions import Action

_LOG: Final = logging.getLogger(__name__)


async def perform(hands: Hands, key: Key, resource: Resource | None, action: Action) -> None:
    """Do *action* for the resource *key*; raises RefusedError with the API server's text, or NameTaken."""
    match action:
        case StartJob(manifest):
            await _start_job(hands, key, manifest)
        case DeleteJob() | LetJobGo() | MarkJob():
            await _change_job(hands, key, action)
        case CreateBackup() | DeleteBackup():
            await _change_backups(hands, key, action)
        case ApplyCronJob() | DeleteCronJob():
            await _change_cron_job(hands, key, action)
        case ScaleWorkload():
            await scale(hands, key, action)
        case Count(result):
            hands.counter.count_result(key, result)
        case SetFinalizers() | Tell() if resource is not None:
            await _change_resource(hands, key, resource, action)


async def _start_job(hands: Hands, key: Key, manifest: Mapping[str, Any]) -> None:
    """Create the Job; one that is there already is ours when it has our owner."""
    annotations = {ANNOTATION_LEASE_TRANSITIONS: str(hands.lease_transitions())}
    body = {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}
    name, owner = manifest["metadata"]["name"], manifest["metadata"]["ownerReferences"][0]["uid"]
    try:
        created = await hands.kube.create(JOBS, key.namespace, body)
    except ConflictError as error:
        found = await hands.kube.get(JOBS, key.namespace, name)
        if found is None:
            raise
        _require_owner(found, owner, f"Job {name!r}", error)
        created = found
    else:
        _LOG.info("job started: %s for %s %s/%s", name, key.kind.value, key.namespace, key.name)
    hands.world.jobs.put(SeenJob.from_body(created))


def _require_owner(found: Mapping[str, Any], owner_uid: str, what: str, error: Exception) -> None:
    references = found["metadata"].get("ownerReferences") or ()
    if owner_uid not in {reference["uid"] for reference in references}:
        raise RefusedError(f"{what}: exists and belongs to somebody else", reason=Reason.NAME_TAKEN) from error


async def _change_job(hands: Hands, key: Key, action: DeleteJob | LetJobGo | MarkJob) -> None:
    match action:
        case DeleteJob(name, uid, waits_for_pods):
            how = "Foreground" if waits_for_pods else "Background"
            await hands.kube.delete(JOBS, key.namespace, name, propagation=how, uid=uid)
            return
        case LetJobGo(name, seconds):
            patch: dict[str, Any] = {"spec": {"ttlSecondsAfterFinished": seconds}}
        case MarkJob(name, backup_name, backup_uid):
            labels, annotations = {LABEL_BACKUP: label_value(backup_name)}, {ANNOTATION_BACKUP_UID: backup_uid}
            patch = {"metadata": {"labels": labels, "annotations": annotations}}
    body = await hands.kube.patch(JOBS, key.namespace, action.name, patch)
    if body is not None:
        hands.world.jobs.put(SeenJob.from_body(body))


async def _change_backups(hands: Hands, key: Key, action: CreateBackup | DeleteBackup) -> None:
    resource = ours(Kind.BACKUP.plural)
    match action:
        case CreateBackup(manifest):
            try:
                body = await hands.kube.create(resource, key.namespace, manifest)
            except ConflictError:
                return
            hands.world.put(Kind.BACKUP, body)
            hands.queue.add(type(key)(Kind.BACKUP, key.namespace, body["metadata"]["name"]))
        case DeleteBackup(name, uid):
            await hands.kube.delete(resource, key.namespace, name, uid=uid)


async def _change_cron_job(hands: Hands, key: Key, action: ApplyCronJob | DeleteCronJob) -> None:
    match action:
        case ApplyCronJob(manifest):
            body = await hands.kube.apply(CRON_JOBS, key.namespace, manifest)
            hands.world.cron_jobs.put(SeenCronJob.from_body(body))
        case DeleteCronJob(name, uid):
            await hands.kube.delete(CRON_JOBS, key.namespace, name, propagation="Orphan", uid=uid)


async def _change_resource(hands: Hands, key: Key, resource: Resource, action: SetFinalizers | Tell) -> None:
    match action:
        case SetFinalizers(finalizers):
            test = {"op": "test", "path": "/metadata/resourceVersion", "value": resource.metadata.resource_version}
            write = {"op": "add", "path": "/metadata/finalizers", "value": list(finalizers)}
            body = await hands.kube.patch(ours(key.kind.plural), key.namespace, key.name, [test, write])
            if body is not None:
                hands.world.put(key.kind, body)
        case Tell(reason, message, is_warning):
            if reason is Reason.DATA_LEFT_IN_STORAGE:
                hands.counter.count_left_data()
            await tell(hands, key, resource, reason, message, is_warning=is_warning)
