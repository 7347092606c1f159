"""What is to be done for a DatabaseMigration, and what is to be said of it: judged only from what was seen.

A Job holds the database against the source, and what comes next is told; then another one carries out that very plan, in one attempt. How
that ended, the ledger of the database says and nothing else: where it does not, a Job settles it first. A chain of rules; the first that
speaks decides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dbcustody.api.condition import ConditionType, no, unknown
from dbcustody.contract import Verb
from dbcustody.plan.actions import LetJobGo, Plan, StartJob
from dbcustody.plan.examination import (
    GONE_AFTER_FAILURE_SECONDS,
    GONE_AFTER_SUCCESS_SECONDS,
    Examination,
    counted,
    examine,
    tidy,
)
from dbcustody.plan.job_lifecycle import POD_PATIENCE, Stand, deletion_of, judge
from dbcustody.plan.migration_case import MigrationCase
from dbcustody.plan.migration_gate import decide
from dbcustody.plan.migration_outcome import (
    MESSAGE_LENGTH,
    asks_nobody,
    held_up,
    looked_into,
    missing_conditions,
    no_longer_refused,
    planned,
    resolved,
    say,
    under_way,
    with_facts,
)
from dbcustody.plan.migration_work import look_job, run_job
from dbcustody.plan.progress import interval_seconds
from dbcustody.plan.request import Missing
from dbcustody.plan.summary import failed_conditions
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.api.condition import Condition
    from dbcustody.api.migration import DatabaseMigration, DatabaseMigrationStatus, MigrationRun
    from dbcustody.contract import JobResult
    from dbcustody.facts import MigrationFacts
    from dbcustody.plan.examination import Examined
    from dbcustody.plan.job_lifecycle import Verdict
    from dbcustody.plan.migration_case import Found, SeenMigration
    from dbcustody.plan.observed import SeenJob

    Said = tuple[Condition, ...]
    Step = Plan[DatabaseMigrationStatus]

INTERVAL_SECONDS: Final = 3600
"""How often the ledger is looked at though nothing is heard: the command line may have migrated, too."""
_MISSING_SECONDS: Final = 60.0


def plan(migration: DatabaseMigration, seen: SeenMigration, now: datetime) -> Plan[DatabaseMigrationStatus]:
    """Return the next step for *migration* at *now*."""
    case = MigrationCase(migration, seen, now)
    plans = (rule(case) for rule in (_is_going, _is_at_work, _lacks_something))
    return next((one for one in plans if one is not None), None) or _is_looked_at(case)


def _is_going(case: MigrationCase) -> Step | None:
    """Speak for a resource that is being deleted: its Jobs go with it, and what is in stays in."""
    return Plan(status=case.status) if case.migration.metadata.is_being_deleted else None


def _is_at_work(case: MigrationCase) -> Step | None:
    """Speak while a run is under way: it goes on whatever the spec says by now, for half a migration helps nobody."""
    run, job = case.status.run, case.run_job
    if run is None or run.reason is not None:
        return None
    if job is None:
        return _has_no_job(case, run)
    verdict = judge(job, case.now)
    if verdict.stand in {Stand.ANSWERED, Stand.LOST}:
        return _ended(case, run, verdict)
    status = replace(case.status, run=replace(run, created=True))
    if verdict.stand is Stand.BLOCKED:
        return _given_up(case, run, job, verdict) or say(case, status, held_up(verdict.reason, verdict.message))
    if verdict.stand is Stand.STARTING:
        said = under_way(Reason.RUNNING, "the pod is being started")
        return say(case, status, said, again=POD_PATIENCE.total_seconds())
    again = interval_seconds(job.start_time, case.now, runs=case.seen.runs)
    progress = case.seen.progress or status.progress
    said = under_way(Reason.RUNNING, progress.summary if progress is not None else verdict.message)
    return say(case, replace(status, progress=progress), said, again=again)


def _given_up(case: MigrationCase, run: MigrationRun, job: SeenJob, verdict: Verdict) -> Step | None:
    """Return the plan that ends a run without an image once the spec is another: nothing of it can have run. None: it is waited for."""
    if verdict.reason is not Reason.IMAGE_NOT_AVAILABLE or run.generation == case.generation:
        return None
    message = f"Job {job.name} waited for an image until the spec was another: {verdict.message}"
    step = _over(case, replace(run, reason=Reason.JOB_DELETED.value, message=message[:MESSAGE_LENGTH]), None)
    return replace(step, actions=(*step.actions, deletion_of(job)))


def _has_no_job(case: MigrationCase, run: MigrationRun) -> Step:
    """Return the plan for a run whose Job is not there: it was not created yet, or somebody deleted it."""
    if run.created:
        message = f"Job {run.job_name} was deleted"
        return _over(case, replace(run, reason=Reason.JOB_DELETED.value, message=message), None)
    found = case.found
    if isinstance(found, Missing):
        return say(case, case.status, held_up(found.reason, found.message), again=_MISSING_SECONDS)
    return say(
        case, case.status, under_way(Reason.RUNNING, "the Job is made"), actions=(StartJob(run_job(case, found)),)
    )


def _ended(case: MigrationCase, run: MigrationRun, verdict: Verdict) -> Step:
    """Return the plan for a run that is over, well or not."""
    result = verdict.result
    is_good = result is not None and result.exit_code is ExitCode.DONE
    seconds = GONE_AFTER_SUCCESS_SECONDS if is_good else GONE_AFTER_FAILURE_SECONDS
    run = replace(run, reason=verdict.reason.value, message=verdict.message[:MESSAGE_LENGTH])
    found = _over(case, run, result)
    return replace(found, actions=(*counted(result), LetJobGo(run.job_name, seconds)))


def _over(case: MigrationCase, run: MigrationRun, result: JobResult | None) -> Step:
    """Return the plan that writes down how *run* ended, and goes on at once by what the ledger told, or has to be asked."""
    is_good = result is not None and result.exit_code is ExitCode.DONE
    run = replace(run, created=True, finish_time=case.now, failures=0 if is_good else run.failures + 1)
    status = replace(case.status, run=run, progress=None)
    facts = result.migration if result is not None else None
    reason, message = Reason(run.reason or Reason.JOB_LOST), run.message or ""
    if facts is not None and not facts.unsettled and reason is not Reason.PLAN_CHANGED:
        return say(case, _with_facts(case, status, facts), _told(case, facts), again=0.0)
    status = replace(status, unsettled=facts is None or facts.unsettled)
    return say(case, status, (unknown(ConditionType.PLANNED, reason, message),), again=0.0)


def _lacks_something(case: MigrationCase) -> Step | None:
    """Speak while what the resource refers to is not there; a look that was begun is given up, for it is of yesterday's source."""
    found = case.found
    if case.migration.spec.suspend or not isinstance(found, Missing):
        return None
    status = replace(case.status, observed_generation=case.generation, job_ref=None)
    unplanned = unknown(ConditionType.PLANNED, found.reason, found.message)
    said = (*missing_conditions(found.reason, found.message), unplanned)
    return say(case, status, said, actions=tidy(case.planning_jobs, None), again=_MISSING_SECONDS)


def _is_looked_at(case: MigrationCase) -> Step:
    """Speak when nothing is under way: the database is looked at, and then decided what follows."""
    found = case.found
    if case.migration.spec.suspend or isinstance(found, Missing):
        return _suspended(case)
    examined = examine(
        _examination(case, found),
        case.planning_jobs,
        case.now,
        manifest=lambda name: look_job(case, found, name, settles=case.status.unsettled),
        what="the database is held against the source",
    )
    status = _with_examination(case, found, examined.exam)
    strays = tidy(case.running_jobs, None)
    if examined.verdict is not None:
        step = _concluded(case, found, status, examined.verdict)
    elif _is_decided(case, found, examined):
        step = decide(case, found, status, looked_into(case, found))
    else:
        step = say(case, status, _looking(case, found, examined))
    again = [one for one in (examined.look_again_seconds, step.look_again_seconds) if one is not None]
    return replace(
        step, actions=(*strays, *examined.actions, *step.actions), look_again_seconds=min(again, default=None)
    )


def _suspended(case: MigrationCase) -> Step:
    examined = examine(
        _examination(case, None), case.planning_jobs, case.now, manifest=lambda _: {}, what="nothing is looked at"
    )
    status = _with_examination(case, None, examined.exam)
    said = (*examined.said, *asks_nobody(case))
    return say(case, status, said, actions=examined.actions, again=examined.look_again_seconds)


def _examination(case: MigrationCase, found: Found | None) -> Examination:
    status, digest = case.status, found.source_digest if found is not None else None
    is_same = digest in {None, status.source_digest}
    return Examination(
        metadata=case.migration.metadata,
        verb=Verb.PLAN_MIGRATION,
        interval_seconds=INTERVAL_SECONDS,
        conditions=status.conditions,
        # another source is as another spec: a look at the former one is given up
        observed_generation=status.observed_generation if is_same else -1,
        judged_generation=case.generation if found is not None and case.is_planned(found) else None,
        suspend=case.migration.spec.suspend,
        last_time=status.planned_time,
        failures=status.plan_failures,
        check_now=status.check_now,
        ordinal=status.ordinal,
        job_ref=status.job_ref,
    )


def _with_examination(case: MigrationCase, found: Found | None, exam: Examination) -> DatabaseMigrationStatus:
    return replace(
        case.status,
        observed_generation=case.generation,
        source_digest=(found and found.source_digest) or case.status.source_digest,
        planned_time=exam.last_time,
        plan_failures=exam.failures,
        check_now=exam.check_now,
        job_ref=exam.job_ref,
        ordinal=exam.ordinal,
    )


def _is_decided(case: MigrationCase, found: Found, examined: Examined) -> bool:
    """Return whether a plan of this spec and source stands in status, and nothing is looked at now."""
    is_idle = examined.exam.job_ref is None
    has_plan = case.status.plan is not None and not case.status.unsettled and not case.status.plan_failures
    return is_idle and has_plan and case.is_planned(found)


def _looking(case: MigrationCase, found: Found, examined: Examined) -> Said:
    """Return what is said while a look goes on; one at a new spec or source makes what was planned before void."""
    source = _source_now(found, examined) or looked_into(case, found)
    if case.is_planned(found):
        return (*examined.said, *source)
    message = "the database is held against the source"
    void = (unknown(one, Reason.PENDING, message) for one in (ConditionType.PLANNED, ConditionType.LINT_PASSED))
    return (*examined.said, *source, *void, *no_longer_refused(case))


def _concluded(case: MigrationCase, found: Found, status: DatabaseMigrationStatus, verdict: Verdict) -> Step:
    """Return the plan for a look that has ended."""
    result = verdict.result
    facts = result.migration if result is not None else None
    if result is None or result.exit_code is not ExitCode.DONE or facts is None:
        source, failed = _source_after(case, found, verdict), no(ConditionType.PLANNED, verdict.reason, verdict.message)
        # what was found in another image says nothing of this one
        is_other = found.source_digest is None and not case.is_planned(found)
        status = replace(status, source_digest=None) if is_other else status
        return say(case, status, (*source, *failed_conditions(verdict.reason, verdict.message), failed))
    status = _with_facts(case, status, facts)
    source = (resolved(status.source_digest or ""),)
    if facts.unsettled:
        message = "a run ended of which the ledger does not say how: that is found out first"
        void = unknown(ConditionType.PLANNED, Reason.SETTLING, message)
        return say(case, status, (*source, *under_way(Reason.SETTLING, message), void), again=0.0)
    return decide(case, found, status, (*source, *_told(case, facts)))


def _source_now(found: Found, examined: Examined) -> Said:
    """Return what is said of an image that cannot be had while a look waits for it; empty: it can, or it is none."""
    reason, message = examined.trouble or (None, "")
    if found.source_digest is not None or reason is not Reason.IMAGE_NOT_AVAILABLE:
        return ()
    return (no(ConditionType.SOURCE_RESOLVED, reason, message),)


def _source_after(case: MigrationCase, found: Found, verdict: Verdict) -> Said:
    """Return what is said of the source after a look that failed; of an image it is not known where the files could not be read."""
    if found.source_digest is None and verdict.reason is Reason.SOURCE_NOT_FOUND:
        return (no(ConditionType.SOURCE_RESOLVED, verdict.reason, verdict.message),)
    return looked_into(case, found)


def _with_facts(case: MigrationCase, status: DatabaseMigrationStatus, facts: MigrationFacts) -> DatabaseMigrationStatus:
    """Return *status* with what the ledger said, and which files an image held."""
    status = with_facts(status, facts)
    return status if case.migration.spec.source.image is None else replace(status, source_digest=facts.source_digest)


def _told(case: MigrationCase, facts: MigrationFacts) -> Said:
    return planned(facts, accepted=case.migration.spec.policy.accepted_fingerprint)
