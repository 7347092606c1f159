"""How news becomes work: what came is kept, and whoever it concerns is put on the queue. Nothing is judged and nothing is fetched here."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.meta import Kind
from dbcustody.errors import DbcustodyError
from dbcustody.handlers.backup import backup_key
from dbcustody.handlers.neighbourhood import concerned
from dbcustody.handlers.world import Key, Place, keys_of
from dbcustody.naming import LABEL_OWNER_KIND, LABEL_OWNER_NAME, LABEL_POLICY
from dbcustody.plan.adoption import is_of_schedule
from dbcustody.plan.observed import SeenCronJob, SeenJob

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dbcustody.handlers.hands import Hands
    from dbcustody.handlers.observe import Observer

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
            self._queue(key, *concerned(self._hands.world, key, before, after))
        return after is not None

    def resource_gone(self, kind: Kind, place: Place, uid: str | None = None) -> None:
        """Forget the resource and queue whom its absence concerns."""
        key = Key(kind, *place)
        before = self._hands.world.shelf(kind).drop(place, uid)
        if before is not None:
            self._queue(key, *concerned(self._hands.world, key, before, None))

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
            yield from keys_of(kind, self._hands.world.shelf(kind))
        yield from (backup_key(job) for job in self._hands.world.jobs.among("of a schedule"))

    def unfinished(self) -> Iterator[Key]:
        """Yield every key that may have to move though nothing is heard of it."""
        world = self._hands.world
        for kind in Kind:
            if kind not in {Kind.BACKUP, Kind.RESTORE_REQUEST, Kind.APPROVAL}:
                yield from keys_of(kind, world.shelf(kind))
        yield from keys_of(Kind.BACKUP, world.backups.among("open"))
        yield from keys_of(Kind.RESTORE_REQUEST, world.restores.among("open"))
        yield from keys_of(Kind.APPROVAL, world.approvals.among("open"))
        recorded = (backup_key(job) for job in world.jobs.among("of a schedule"))
        yield from (key for key in recorded if world.get(key) is None)

    def _queue(self, *keys: Key) -> None:
        for key in keys:
            self._hands.queue.add(key)


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
