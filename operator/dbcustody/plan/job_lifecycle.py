"""How a Job of ours stands, judged from the Job, its pods and its Events: the same rules for every verb and every kind.

The first rule that speaks decides. Silence is never success: a Job that ended without a result is Lost, and somebody has to find out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dbcustody.contract import JobResult, load_result
from dbcustody.errors import DbcustodyError
from dbcustody.plan.actions import DeleteJob
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.plan.observed import SeenJob, SeenPod

POD_PATIENCE: Final = timedelta(seconds=15)
"""How long a Job may be without a pod before its Events are read."""
IMAGE_TROUBLE: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
CONTAINER_TROUBLE: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
CRASH_LOOP: Final = "CrashLoopBackOff"
"""Of a server that the worker waits for; the worker itself is never started twice in one pod."""
DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
OUT_OF_MEMORY: Final = "OOMKilled"
BACKOFF_SECONDS: Final = 5.0
LONGEST_BACKOFF_SECONDS: Final = 300.0


class Stand(StrEnum):
    """Where a Job stands."""

    STARTING = "Starting"
    BLOCKED = "Blocked"
    RUNNING = "Running"
    ANSWERED = "Answered"
    LOST = "Lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Where a Job stands, and why; *result* is there exactly when it is ANSWERED."""

    stand: Stand
    reason: Reason
    message: str = ""
    result: JobResult | None = None


def judge(job: SeenJob, now: datetime) -> Verdict:
    """Return where *job* stands at *now*."""
    rules = (
        _has_answered,
        _ended_in_silence,
        _is_suspended,
        _is_refused_by_the_node,
        _has_no_pod,
        _is_on_a_lost_node,
        _is_running,
        _pod_has_ended,
    )
    return next((verdict for rule in rules if (verdict := rule(job, now)) is not None), _STARTING)


def backoff_seconds(failures: int) -> float:
    """Return how long to wait after the *failures*-th failure in a row: 5 s, doubled each time, at most 5 min."""
    doubled = BACKOFF_SECONDS * 2.0 ** min(max(failures - 1, 0), 10)
    return min(doubled, LONGEST_BACKOFF_SECONDS)


def newest_result(job: SeenJob) -> JobResult | None:
    """Return the answer that the newest pod of *job* gave to this very request, or None when it gave none.

    An earlier pod's answer never stands in for it: the newest one may have done what the earlier one could not. A termination message
    without room for the facts is replaced by the record in the log, where that was found.
    """
    pod = newest_pod(job)
    texts = (job.log_result, pod.ended_message if pod is not None and pod.ended_time is not None else None)
    found = [result for text in texts if text and (result := _read(text, job)) is not None]
    return next((result for result in found if result.complete), found[0] if found else None)


def needs_log(job: SeenJob) -> SeenPod | None:
    """Return the pod whose log has to be read because its termination message holds no whole result; None when not needed."""
    pod = newest_pod(job)
    if not job.is_finished or pod is None or pod.ended_time is None:
        return None
    return None if has_told_all(job, pod) else pod


def has_told_all(job: SeenJob, pod: SeenPod) -> bool:
    """Return whether *pod* of *job* left a whole answer in its termination message."""
    result = _read(pod.ended_message, job)
    return result is not None and result.complete


def newest_pod(job: SeenJob) -> SeenPod | None:
    """Return the last pod that was made for *job*; of those of one second the one that ended last, or has not ended."""
    return max(job.pods, key=lambda pod: (str(pod.created_time), str(pod.ended_time)), default=None)


def _read(text: str, job: SeenJob) -> JobResult | None:
    """Return the result in *text* when it answers *job*'s request; a contract of another age is an answer too."""
    try:
        result = load_result(text)
    except DbcustodyError:
        return None
    return result if result.request_sha256 == job.request_sha256 else None


_STARTING: Final = Verdict(stand=Stand.STARTING, reason=Reason.PENDING, message="the pod is being started")


def _has_answered(job: SeenJob, _: datetime) -> Verdict | None:
    if not job.is_finished or (result := newest_result(job)) is None:
        return None
    return Verdict(stand=Stand.ANSWERED, reason=result.reason, message=result.message, result=result)


def _ended_in_silence(job: SeenJob, _: datetime) -> Verdict | None:
    """Speak when the Job is over and left no result; what is known of its end is kept for whoever finds nothing either."""
    if not job.is_finished:
        return None
    reason = _why_lost(job)
    return Verdict(stand=Stand.LOST, reason=reason, message=_how_lost(job, reason))


def _why_lost(job: SeenJob) -> Reason:
    if job.outcome_reason == DEADLINE_EXCEEDED:
        return Reason.TIMED_OUT
    if any(pod.ended_reason == OUT_OF_MEMORY for pod in job.pods):
        return Reason.OUT_OF_MEMORY
    if any(pod.is_disrupted or pod.reason == "Evicted" for pod in job.pods):
        return Reason.EVICTED
    pod = newest_pod(job)
    return Reason.SOURCE_NOT_FOUND if pod is not None and pod.lacks_source else Reason.JOB_LOST


def _how_lost(job: SeenJob, reason: Reason) -> str:
    pod = newest_pod(job)
    if pod is not None and reason is Reason.SOURCE_NOT_FOUND:
        return f"the files could not be copied out of `spec.source.image`: {pod.lacks_source}"
    parts = [f"Job {job.name} ended without a result", job.outcome_message]
    if pod is not None and pod.exit_code is not None:
        parts.append(f"its pod ended with {pod.ended_reason or 'exit code'} {pod.exit_code}")
    if pod is not None:
        parts.append(pod.message)
    return "; ".join(part for part in parts if part)


def _is_suspended(job: SeenJob, _: datetime) -> Verdict | None:
    """Speak while somebody keeps the Job from having pods: a person, or a queue such as Kueue."""
    if not job.is_suspended:
        return None
    return _blocked(Reason.SUSPENDED, f"Job {job.name} is suspended; it goes on when its `spec.suspend` is false")


def _is_refused_by_the_node(job: SeenJob, _: datetime) -> Verdict | None:
    """Speak when the newest pod cannot start: no node, no image, or a container that the node refuses."""
    pod = newest_pod(job)
    if pod is None:
        return None
    if pod.unscheduled is not None:
        return _blocked(Reason.POD_NOT_SCHEDULED, pod.unscheduled)
    if pod.waiting_reason in IMAGE_TROUBLE:
        return _blocked(Reason.IMAGE_NOT_AVAILABLE, f"{pod.waiting_reason}: {pod.waiting_message}")
    if pod.waiting_reason in CONTAINER_TROUBLE or (pod.lacks_server and pod.waiting_reason == CRASH_LOOP):
        return _blocked(Reason.POD_NOT_CREATED, f"{pod.waiting_reason}: {pod.waiting_message}")
    return None


def is_given_up(job: SeenJob) -> bool:
    """Return whether Kubernetes gave up the newest pod of *job* together with its node: it may work on, and nobody hears of its end."""
    pod = newest_pod(job)
    return pod is not None and pod.is_unheard and pod.is_going


def deletion_of(job: SeenJob) -> DeleteJob:
    """Return what deletes *job*: after its pods, but where their end cannot be heard of; there, waiting would keep its name for ever."""
    return DeleteJob(job.name, job.metadata.uid, waits_for_pods=not is_given_up(job))


def _is_on_a_lost_node(job: SeenJob, _: datetime) -> Verdict | None:
    """Speak when the newest pod's node does not answer; once Kubernetes has given the pod up (300 s by default), so do we."""
    pod = newest_pod(job)
    if pod is None or not pod.is_unheard:
        return None
    what = f"node {pod.node or '?'} does not answer, and what pod {pod.name} does there is unknown"
    if is_given_up(job):
        return Verdict(stand=Stand.LOST, reason=Reason.NODE_LOST, message=f"{what}; Kubernetes gave it up")
    return _blocked(Reason.NODE_LOST, what)


def _has_no_pod(job: SeenJob, now: datetime) -> Verdict | None:
    if job.pods or job.active or not lacks_pod(job, now):
        return None
    said = job.warnings[0] if job.warnings else "no pod was created, and no Event says why"
    return _blocked(Reason.POD_NOT_CREATED, said)


def lacks_pod(job: SeenJob, now: datetime) -> bool:
    """Return whether *job* has waited for a pod for so long that its Events have to be read."""
    created = job.created_time
    has_none = not job.is_finished and not job.is_suspended and not job.active
    return has_none and created is not None and now - created >= POD_PATIENCE


def _is_running(job: SeenJob, _: datetime) -> Verdict | None:
    if not any(pod.is_running for pod in job.pods) and not job.ready:
        return None
    return Verdict(stand=Stand.RUNNING, reason=Reason.RUNNING, message=f"Job {job.name} is running")


def _pod_has_ended(job: SeenJob, _: datetime) -> Verdict | None:
    """Speak when the newest pod has ended and the Job has not: Kubernetes tries again after a pause, or is about to conclude."""
    pod = newest_pod(job)
    if pod is None or pod.ended_time is None:
        return None
    result = _read(pod.ended_message, job)
    if result is None or result.exit_code is not ExitCode.UNAVAILABLE:
        return Verdict(stand=Stand.RUNNING, reason=Reason.RUNNING, message=f"the pod of Job {job.name} has ended")
    return _blocked(Reason.RETRYING, f"{result.reason.value}: {result.message}; it is tried again")


def _blocked(reason: Reason, message: str) -> Verdict:
    return Verdict(stand=Stand.BLOCKED, reason=reason, message=message)
