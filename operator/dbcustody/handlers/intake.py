"""How news becomes work: what came is kept, and whoever it concerns is put on the queue. Nothing is judged and nothing is fetched here."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.meta import Kind
from dbcustody.errors import DbcustodyError
from dbcustody.handlers.backup import backup_key
from dbcustody.handlers.world import Key, Place, is_finished
from dbcustody.naming import LABEL_OWNER_KIND, LABEL_OWNER_NAME, LABEL_POLICY
from dbcustody.plan.adoption import is_of_schedule
from dbcustody.plan.observed import SeenCronJob, SeenJob

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dbcustody.api.backup import Backup
    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.observe import Observer
    from dbcustody.handlers.world import Resource

_LOG: Final = logging.getLogger(__name__)


class Intake:
    """Takes in objects and deletions from the watch and from listings alike."""

    def __init__(self, hands: Hands, observer: Observer) -> None:
        self._hands = hands
        self._observer = observer
        self.heard: set[str] = set()
        """Of which kinds the watch told anything since somebody emptied this."""

    def resource(self, kind: Kind, body: Mapping[str, Any]) -> bool:
        """Keep the resource in *body* and queue whom it concerns; returns whether it was news."""
        place = _place(body)
        key = Key(kind, *place)
        before = self._hands.world.get(key)
        try:
            after = self._hands.world.put(kind, body)
        except DbcustodyError as error:
            _LOG.error("%s %s/%s cannot be read: %s", kind.value, *place, error.message)
            return False
        if after is not None:
            self._queue(key, *self._concerned(key, before, after))
        return after is not None

    def resource_gone(self, kind: Kind, place: Place, uid: str | None = None) -> None:
        """Forget the resource and queue whom its absence concerns."""
        key = Key(kind, *place)
        before = self._hands.world.shelf(kind).drop(place, uid)
        if before is not None:
            self._queue(key, *self._concerned(key, before, None))

    def job(self, body: Mapping[str, Any]) -> bool:
        """Keep the Job in *body* and queue its owner; returns whether it was news."""
        try:
            job = SeenJob.from_body(body)
        except (DbcustodyError, ValueError, KeyError):
            return False  # it bears our label and is none of ours
        is_news = self._hands.world.jobs.put(job)
        if is_news:
            self._queue(*_owners(job))
        return is_news

    def job_gone(self, place: Place, uid: str | None = None) -> None:
        """Forget the Job and queue its owner."""
        job = self._hands.world.jobs.drop(place, uid)
        if job is not None:
            self._observer.forget(job.metadata.uid)
            self._queue(*_owners(job))

    def cron_job(self, body: Mapping[str, Any]) -> bool:
        """Keep the CronJob in *body* and queue its policy; returns whether it was news."""
        cron_job = SeenCronJob.from_body(body)
        is_news = self._hands.world.cron_jobs.put(cron_job)
        if is_news:
            self._queue(*_policy_of(cron_job))
        return is_news

    def cron_job_gone(self, place: Place, uid: str | None = None) -> None:
        """Forget the CronJob and queue its policy."""
        cron_job = self._hands.world.cron_jobs.drop(place, uid)
        if cron_job is not None:
            self._queue(*_policy_of(cron_job))

    def everything(self) -> Iterator[Key]:
        """Yield every key that is known."""
        for kind in Kind:
            for item in self._hands.world.shelf(kind):
                yield Key(kind, item.metadata.namespace, item.metadata.name)
        yield from (backup_key(job) for job in self._hands.world.jobs if is_of_schedule(job))

    def unfinished(self) -> Iterator[Key]:
        """Yield every key that may have to move though nothing is heard of it."""
        for key in self.everything():
            resource = self._hands.world.get(key)
            is_over = key.kind is Kind.BACKUP and resource is not None and is_finished(_backup(resource))
            if not is_over or (resource is not None and resource.metadata.is_being_deleted):
                yield key

    def _queue(self, *keys: Key) -> None:
        for key in keys:
            self._hands.queue.add(key)

    def _concerned(self, key: Key, before: Resource | None, after: Resource | None) -> Iterator[Key]:
        """Yield the resources whose plan looks at this one, when something that they look at changed."""
        if key.kind is Kind.BACKUP:
            yield from self._beside_backup(key, before, after)
        elif key.kind is Kind.BACKUP_POLICY:
            if before is None or after is None or _plan_changed(before, after):
                yield from self._backups("policy", key.namespace, key.name)
        elif before is None or after is None or _is_told_apart(before, after):
            policies = self._hands.world.policies.find("namespace", key.namespace)
            yield from (Key(Kind.BACKUP_POLICY, key.namespace, policy.metadata.name) for policy in policies)
            yield from self._backups("unfinished", key.namespace)

    def _beside_backup(self, key: Key, before: Resource | None, after: Resource | None) -> Iterator[Key]:
        one = after or before
        was, is_ = (resource is not None and is_finished(_backup(resource)) for resource in (before, after))
        if one is None or (before is not None and after is not None and was == is_):
            return
        backup = _backup(one)
        policy = backup.spec.policy_ref.name if backup.spec.policy_ref else backup.metadata.labels.get(LABEL_POLICY)
        if policy:
            yield Key(Kind.BACKUP_POLICY, key.namespace, policy)
        database = self._hands.world.database_of(backup)
        if database:
            yield Key(Kind.DATABASE, key.namespace, database)

    def _backups(self, *index: str) -> Iterator[Key]:
        for backup in self._hands.world.backups.find(*index):
            yield Key(Kind.BACKUP, backup.metadata.namespace, backup.metadata.name)


def _backup(resource: Resource) -> Backup:
    return resource  # type: ignore[return-value]  # the key's kind says so


def _is_told_apart(before: Resource, after: Resource) -> bool:
    """Return whether spec or conditions differ: the rest of a status concerns nobody else."""
    return before.spec != after.spec or before.status.conditions != after.status.conditions


def _plan_changed(before: Resource, after: Resource) -> bool:
    """Return whether a policy's spec or its retention's plan differs: that is what its Backups look at."""
    return before.spec != after.spec or getattr(before.status, "plan", ()) != getattr(after.status, "plan", ())


def _place(body: Mapping[str, Any]) -> Place:
    return Place(body["metadata"]["namespace"], body["metadata"]["name"])


def _owners(job: SeenJob) -> Iterator[Key]:
    """Yield whom *job* concerns: the Backup that it is recorded as, or whom it works for."""
    labels, namespace = job.metadata.labels, job.metadata.namespace
    if is_of_schedule(job):
        yield backup_key(job)
    if labels.get(LABEL_OWNER_KIND) in set(Kind) and LABEL_OWNER_NAME in labels:
        yield Key(Kind(labels[LABEL_OWNER_KIND]), namespace, labels[LABEL_OWNER_NAME])


def _policy_of(cron_job: SeenCronJob) -> Iterator[Key]:
    policy = cron_job.metadata.labels.get(LABEL_POLICY)
    if policy is not None:
        yield Key(Kind.BACKUP_POLICY, cron_job.metadata.namespace, policy)
