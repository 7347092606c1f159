"""When something that lives long is examined, and what the examining Job's state means: the same for databases and storages.

An examination is due at first sight, after a change of the spec, when a person asks, after the interval, some minutes after what it
counts has changed, and with growing pauses while it fails: the content of a Secret cannot be watched, so a corrected password is found
by trying.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.condition import Condition, ConditionStatus, ConditionType, find
from dbcustody.api.meta import Metadata, ObjectRef
from dbcustody.contract import Verb
from dbcustody.naming import ANNOTATION_CHECK_NOW, child_name
from dbcustody.plan.actions import Action, Count, LetJobGo, StartJob
from dbcustody.plan.job_lifecycle import POD_PATIENCE, Stand, Verdict, backoff_seconds, deletion_of, judge
from dbcustody.plan.summary import carried, starting_conditions, suspended_conditions, waiting_conditions
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dbcustody.contract import JobResult
    from dbcustody.plan.observed import SeenJob

GONE_AFTER_SUCCESS_SECONDS: Final = 600
GONE_AFTER_FAILURE_SECONDS: Final = 3600
SETTLED_SECONDS: Final = 60
"""How long after a change what is counted is counted anew: other changes mostly come with it, as retention does after a backup."""
RECOUNT_SECONDS: Final = 300
"""The shortest pause between two examinations for the sake of a count alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """How the examinations of one resource stand; the last five are written back into its status."""

    metadata: Metadata
    verb: Verb
    interval_seconds: int
    conditions: tuple[Condition, ...]
    observed_generation: int
    judged_generation: int | None
    """Of the spec that the last verdict is about; None: there was no verdict yet."""
    suspend: bool = False
    last_time: datetime | None = None
    changed_time: datetime | None = None
    """When that changed which an examination counts; None: never, as far as is known."""
    outdated_time: datetime | None = None
    """When that changed which an examination tells and people act on: it is told anew at once. None: never, as far as is known."""
    failures: int = 0
    check_now: str | None = None
    ordinal: int = 0
    job_ref: ObjectRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What became of a look at the examinations: how they stand now, what is said of it, and what is to be done."""

    exam: Examination
    said: tuple[Condition, ...] = ()
    actions: tuple[Action, ...] = ()
    verdict: Verdict | None = None
    """Of a Job that has just ended; its facts are to be taken over."""
    look_again_seconds: float | None = None

    @property
    def trouble(self) -> tuple[Reason, str] | None:
        """What keeps the Job from working, or what it failed of; None: nothing does."""
        blocked = find(self.said, ConditionType.READY)
        if blocked is not None and blocked.status is ConditionStatus.FALSE:
            return blocked.reason, blocked.message
        verdict = self.verdict
        is_bad = verdict is not None and (verdict.result is None or verdict.result.exit_code is not ExitCode.DONE)
        return (verdict.reason, f"{verdict.message}; it is tried again") if verdict is not None and is_bad else None


class Step(StrEnum):
    """What comes next."""

    REST = "Rest"
    START = "Start"
    ABANDON = "Abandon"
    CREATE = "Create"
    WAIT = "Wait"
    CONCLUDE = "Conclude"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What comes next, with the Job and its verdict where there is one."""

    step: Step
    job_name: str = ""
    verdict: Verdict | None = None
    look_again_seconds: float | None = None


def examine(
    exam: Examination,
    jobs: Iterable[SeenJob],
    now: datetime,
    *,
    manifest: Callable[[str], Mapping[str, Any]],
    what: str,
) -> Examined:
    """Return the next step of *exam*; *jobs* are all of the resource's, *manifest* makes the Job of a name, *what* says what goes on."""
    seen = tuple(jobs)
    job = _named(seen, exam.job_ref)
    decision = decide(exam, job, now)
    examined = _carry_out(exam, decision, now=now, manifest=manifest, what=what)
    # What a new spec abandons is cleared away like any Job that the status does not name, and before another one is started.
    current = None if decision.step is Step.ABANDON else exam.job_ref
    return replace(
        examined,
        actions=(*tidy(seen, current), *examined.actions),
        look_again_seconds=decision.look_again_seconds,
    )


def _carry_out(
    exam: Examination, decision: Decision, *, now: datetime, manifest: Callable[[str], Mapping[str, Any]], what: str
) -> Examined:
    match decision.step:
        case Step.START:
            return _started(exam, decision.job_name, manifest, what)
        case Step.CREATE:
            actions = (StartJob(manifest(decision.job_name)),)
            return Examined(exam=exam, said=carried(exam.conditions), actions=actions)
        case Step.CONCLUDE:
            return _concluded(exam, decision, now)
        case Step.ABANDON:
            return Examined(exam=replace(exam, job_ref=None), said=_abandoning(exam, what))
        case Step.WAIT if decision.verdict is not None:
            return Examined(exam=exam, said=waiting_conditions(exam.conditions, decision.verdict))
        case _:
            said = suspended_conditions(exam.conditions) if exam.suspend else carried(exam.conditions)
            return Examined(exam=exam, said=said)


def _abandoning(exam: Examination, what: str) -> tuple[Condition, ...]:
    """Return what is said when a Job's answer is not waited for; the new spec was not looked at yet, so no verdict stands for it."""
    if exam.suspend:
        return suspended_conditions(exam.conditions)
    return starting_conditions(exam.conditions, is_new_spec=True, what=what)


def _started(exam: Examination, name: str, manifest: Callable[[str], Mapping[str, Any]], what: str) -> Examined:
    is_new_spec = exam.judged_generation != exam.metadata.generation
    return Examined(
        exam=replace(exam, ordinal=exam.ordinal + 1, job_ref=ObjectRef(name=name), check_now=wanted_check(exam)),
        said=starting_conditions(exam.conditions, is_new_spec=is_new_spec, what=what),
        actions=(StartJob(manifest(name)),),
    )


def _concluded(exam: Examination, decision: Decision, now: datetime) -> Examined:
    result = decision.verdict.result if decision.verdict is not None else None
    is_good = result is not None and result.exit_code is ExitCode.DONE
    seconds = GONE_AFTER_SUCCESS_SECONDS if is_good else GONE_AFTER_FAILURE_SECONDS
    return Examined(
        exam=replace(exam, job_ref=None, last_time=now, failures=0 if is_good else exam.failures + 1),
        actions=(*counted(result), LetJobGo(decision.job_name, seconds)),
        verdict=decision.verdict,
    )


def counted(result: JobResult | None) -> tuple[Action, ...]:
    """Return the action that counts *result*, if there is one."""
    return () if result is None else (Count(result),)


def decide(exam: Examination, job: SeenJob | None, now: datetime) -> Decision:
    """Return the next step; *job* is the one that the status names, None when it is not there (any more)."""
    rules = (_is_suspended, _is_about_yesterday, _was_written_down_only, _job_goes_on, _is_due)
    decisions = (rule(exam, job, now) for rule in rules)
    return next((decision for decision in decisions if decision is not None), _rest(exam, now))


def wanted_check(exam: Examination) -> str | None:
    """Return what a person wrote into the annotation that asks for an examination at once."""
    return exam.metadata.annotations.get(ANNOTATION_CHECK_NOW)


def next_job_name(exam: Examination) -> str:
    """Return the name of the Job after the current one."""
    return child_name(exam.metadata.name, exam.metadata.uid, exam.verb.value, str(exam.ordinal + 1))


def tidy(jobs: Iterable[SeenJob], current: ObjectRef | None) -> tuple[Action, ...]:
    """Return what to do with Jobs of the resource that its status does not name (any more)."""
    others = [job for job in jobs if current is None or job.name != current.name]
    go = [LetJobGo(job.name, GONE_AFTER_SUCCESS_SECONDS) for job in others if job.is_finished and not job.has_ttl]
    stop = [deletion_of(job) for job in others if not job.is_finished and not _is_going(job)]
    return (*go, *stop)


def _named(jobs: Iterable[SeenJob], current: ObjectRef | None) -> SeenJob | None:
    """Return the Job that the status names, or None."""
    return next((job for job in jobs if current is not None and job.name == current.name), None)


def _is_going(job: SeenJob) -> bool:
    return job.metadata.is_being_deleted


def _is_suspended(exam: Examination, job: SeenJob | None, _: datetime) -> Decision | None:
    if not exam.suspend:
        return None
    if job is not None and not job.is_finished:
        return Decision(step=Step.ABANDON, job_name=job.name)
    return Decision(step=Step.REST) if job is None else None


def _is_about_yesterday(exam: Examination, job: SeenJob | None, _: datetime) -> Decision | None:
    """Speak when the spec, or what is examined, moved since the Job was started: that counts also when it has ended meanwhile."""
    if job is None:
        return None
    begun, changed = job.metadata.creation_timestamp, exam.outdated_time
    is_older = begun is not None and changed is not None and begun < changed
    if exam.metadata.generation == exam.observed_generation and not is_older:
        return None
    return Decision(step=Step.ABANDON, job_name=job.name)


def _was_written_down_only(exam: Examination, job: SeenJob | None, _: datetime) -> Decision | None:
    """Speak when the Job that the status names is not there: not created before the operator stopped, or deleted since."""
    if job is not None or exam.job_ref is None:
        return None
    if exam.metadata.generation != exam.observed_generation:
        return Decision(step=Step.START, job_name=next_job_name(exam))
    return Decision(step=Step.CREATE, job_name=exam.job_ref.name)


def _job_goes_on(_: Examination, job: SeenJob | None, now: datetime) -> Decision | None:
    if job is None:
        return None
    verdict = judge(job, now)
    if verdict.stand in {Stand.ANSWERED, Stand.LOST}:
        return Decision(step=Step.CONCLUDE, job_name=job.name, verdict=verdict)
    patience = POD_PATIENCE.total_seconds() if verdict.stand is Stand.STARTING else None
    return Decision(step=Step.WAIT, job_name=job.name, verdict=verdict, look_again_seconds=patience)


def _is_due(exam: Examination, _: SeenJob | None, now: datetime) -> Decision | None:
    asked = wanted_check(exam)
    is_asked = asked is not None and asked != exam.check_now
    is_new = exam.judged_generation != exam.metadata.generation
    if is_asked or is_new or _is_outdated(exam) or _due_in(exam, now) <= timedelta():
        return Decision(step=Step.START, job_name=next_job_name(exam))
    return None


def _is_outdated(exam: Examination) -> bool:
    """Return whether what is told is from before a change; one that fails is tried again as ever."""
    changed, last = exam.outdated_time, exam.last_time
    return changed is not None and last is not None and last <= changed and not exam.failures


def _due_in(exam: Examination, now: datetime) -> timedelta:
    if exam.last_time is None:
        return timedelta()
    recount = _recount_seconds(exam.last_time, exam.changed_time)
    pause = backoff_seconds(exam.failures) if exam.failures else recount
    return exam.last_time + timedelta(seconds=min(pause, float(exam.interval_seconds))) - now


def _recount_seconds(last: datetime, changed: datetime | None) -> float:
    """Return how long after *last* a change that it may not have counted is to be counted; infinite when there is none."""
    if changed is None or changed + timedelta(seconds=SETTLED_SECONDS) <= last:
        return inf
    return max((changed - last).total_seconds() + SETTLED_SECONDS, RECOUNT_SECONDS)


def _rest(exam: Examination, now: datetime) -> Decision:
    return Decision(step=Step.REST, look_again_seconds=max(_due_in(exam, now).total_seconds(), 0.0))
