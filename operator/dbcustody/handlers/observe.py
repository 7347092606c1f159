"""Fetching what the watch does not bring: a Job's pods, its Events, its log. Everything once, and not more often than it can change.

Pods are listed by label and never watched: a watch would bring every pod of the cluster into this process, only to drop them here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.kube import EVENTS, PODS
from dbcustody.contract import AnyProgress
from dbcustody.naming import LABEL_VERB
from dbcustody.plan.job_lifecycle import lacks_pod, needs_log
from dbcustody.plan.observed import SeenJob, SeenPod
from dbcustody.plan.progress import TAIL_LINES, interval_seconds, read_progress, read_result

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dbcustody.handlers.hands import Hands

JOB_LABEL: Final = "batch.kubernetes.io/job-name"
FRESH: Final = timedelta(seconds=4)
"""How long a young Job's pods are taken for granted."""
YOUNG: Final = timedelta(minutes=2)
WARNINGS_FRESH: Final = timedelta(seconds=20)
RESULT_TAIL_LINES: Final = 5


@dataclass(slots=True)
class _Look:
    """What was found out about one Job, and when."""

    version: str
    at: datetime
    pods: tuple[SeenPod, ...] = ()
    warnings: tuple[str, ...] = ()
    warned_at: datetime | None = None
    log_result: str | None = None
    progress: AnyProgress | None = None
    progress_at: datetime | None = None


class Observer:
    """Remembers for each Job what was found out, for as long as the Job is there."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._looks: dict[str, _Look] = {}

    async def look_at(self, jobs: Iterable[SeenJob]) -> tuple[SeenJob, ...]:
        """Return *jobs* with their pods, and with what their Events and logs say where that matters."""
        return tuple([await self._enrich(job) if not job.has_ttl else job for job in jobs])

    async def progress_of(self, job: SeenJob | None) -> AnyProgress | None:
        """Return the last progress that the running *job* told; read as often as `interval_seconds` says."""
        look = self._looks.get(job.metadata.uid) if job is not None else None
        pod = next((one for one in look.pods if one.is_running), None) if look is not None else None
        if job is None or look is None or pod is None:
            return None
        now = self._hands.now()
        pause = timedelta(seconds=interval_seconds(job.start_time, now, runs=self._hands.world.unfinished) * 0.9)
        if look.progress_at is None or now - look.progress_at >= pause:
            look.progress_at = now
            log = await self._hands.kube.log(job.metadata.namespace, pod.name, tail_lines=TAIL_LINES)
            look.progress = (read_progress(log, job.verb) if log else None) or look.progress
        return look.progress

    async def refresh_pods(self) -> None:
        """Look at the pods of all Jobs at once: one request for the whole cluster, for those whose Jobs do not change meanwhile."""
        unfinished = {(job.metadata.namespace, job.name): job for job in self._hands.world.jobs if not job.is_finished}
        if not any(job.ready == 0 for job in unfinished.values()):
            return
        found: dict[tuple[str, str], list[SeenPod]] = {place: [] for place in unfinished}
        for namespace in self._hands.settings.namespaces or (None,):
            async for body in self._hands.kube.list(PODS, namespace, labels=LABEL_VERB):
                place = (body["metadata"]["namespace"], (body["metadata"].get("labels") or {}).get(JOB_LABEL, ""))
                if place in found:
                    found[place].append(SeenPod.from_body(body))
        for place, job in unfinished.items():
            self._remember(job, tuple(found[place]))

    def pod_uids(self, job: SeenJob) -> tuple[str, ...]:
        """Return the pods of *job* that were last seen."""
        look = self._looks.get(job.metadata.uid)
        return tuple(pod.uid for pod in look.pods) if look is not None else ()

    def forget(self, uid: str) -> None:
        """Forget the Job *uid*, which is gone."""
        self._looks.pop(uid, None)

    async def _enrich(self, job: SeenJob) -> SeenJob:
        look = self._looks.get(job.metadata.uid)
        if look is None or self._is_outdated(job, look):
            look = await self._look(job)
        if not look.pods and lacks_pod(job, self._hands.now()):
            await self._read_warnings(job, look)
        seen = replace(job, pods=look.pods, warnings=look.warnings, log_result=look.log_result)
        pod = needs_log(seen) if look.log_result is None else None
        if pod is not None:
            log = await self._hands.kube.log(job.metadata.namespace, pod.name, tail_lines=RESULT_TAIL_LINES)
            look.log_result = read_result(log) if log else None
            seen = replace(seen, log_result=look.log_result)
        return seen

    def _is_outdated(self, job: SeenJob, look: _Look) -> bool:
        if look.version != job.metadata.resource_version:
            return True
        now, created = self._hands.now(), job.created_time
        is_young = created is not None and now - created < YOUNG
        return not job.is_finished and not job.ready and is_young and now - look.at >= FRESH

    async def _look(self, job: SeenJob) -> _Look:
        label = f"{JOB_LABEL}={job.name}"
        pods = [
            SeenPod.from_body(body) async for body in self._hands.kube.list(PODS, job.metadata.namespace, labels=label)
        ]
        return self._remember(job, tuple(sorted(pods, key=lambda pod: str(pod.created_time))))

    def _remember(self, job: SeenJob, pods: tuple[SeenPod, ...]) -> _Look:
        look = self._looks.setdefault(job.metadata.uid, _Look("", self._hands.now()))
        look.version, look.at, look.pods = job.metadata.resource_version, self._hands.now(), pods
        return look

    async def _read_warnings(self, job: SeenJob, look: _Look) -> None:
        now = self._hands.now()
        if look.warned_at is not None and now - look.warned_at < WARNINGS_FRESH:
            return
        look.warned_at = now
        fields = f"involvedObject.uid={job.metadata.uid},type=Warning"
        bodies = [body async for body in self._hands.kube.list(EVENTS, job.metadata.namespace, fields=fields)]
        bodies.sort(key=lambda body: str(body.get("lastTimestamp") or body.get("eventTime") or ""), reverse=True)
        look.warnings = tuple(str(body.get("message") or "") for body in bodies[:3])
