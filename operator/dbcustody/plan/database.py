"""What is to be done for a Database, and what is to be said of it: judged only from what was seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.condition import ConditionType, find, merge, no, unknown, yes
from dbcustody.api.database import LastBackup
from dbcustody.api.meta import Kind, reference_to
from dbcustody.contract import JobRequest, Verb
from dbcustody.guidance import GUIDANCE
from dbcustody.plan.actions import Plan
from dbcustody.plan.examination import Examination, examine
from dbcustody.plan.manifest import Work, job_manifest
from dbcustody.plan.observed import SeenJob
from dbcustody.plan.standing import left_conditions, next_due, with_left
from dbcustody.plan.summary import failed_conditions
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from dbcustody.api.condition import Condition
    from dbcustody.api.database import Database, DatabaseStatus
    from dbcustody.facts import InspectionFacts
    from dbcustody.plan.job_lifecycle import Verdict

INSPECTION_SECONDS: Final = 120
MOST_EXTENSIONS: Final = 500
MOST_GRANTS: Final = 1000
"""As many as the CRD takes: one more, and the API server would refuse the whole status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenDatabase:
    """What was seen around a Database."""

    image: str
    jobs: tuple[SeenJob, ...] = ()
    last_backup: LastBackup | None = None
    """The newest good one among the Backup objects."""
    lost_backups: frozenset[str] = frozenset()
    """Those whose data is not in the storage any more, by name."""
    changed_time: datetime | None = None
    """When a restore changed last what stands on the server; None: none did."""
    marks: frozenset[str] = frozenset()
    """Of the requests that will drop what they put away."""


def plan(database: Database, seen: SeenDatabase, now: datetime) -> Plan[DatabaseStatus]:
    """Return the next step for *database* at *now*."""
    if database.metadata.is_being_deleted:
        return Plan(status=database.status)
    examined = examine(
        replace(_examination_of(database), outdated_time=seen.changed_time),
        seen.jobs,
        now,
        manifest=lambda name: inspection_job(database, name, image=seen.image),
        what="the database is being inspected",
    )
    exam, verdict = examined.exam, examined.verdict
    said = examined.said if verdict is None else _conditions_of(verdict)
    generation = database.metadata.generation
    facts = verdict.result.inspection if verdict is not None and verdict.result is not None else None
    status = _with_facts(database.status, facts)
    copies = with_left(status.copies, seen.marks, now)
    said = (*said, *left_conditions(copies, database.status.conditions))
    status = replace(
        status,
        observed_generation=generation,
        conditions=merge(database.status.conditions, said, generation=generation, now=now),
        copies=copies,
        last_backup=seen.last_backup or _remembered(database.status.last_backup, seen),
        inspected_time=exam.last_time,
        inspect_failures=exam.failures,
        check_now=exam.check_now,
        job_ref=exam.job_ref,
        ordinal=exam.ordinal,
    )
    again = [one for one in (examined.look_again_seconds, next_due(copies, now)) if one is not None]
    return Plan(status=status, actions=examined.actions, look_again_seconds=min(again, default=None))


def _remembered(last: LastBackup | None, seen: SeenDatabase) -> LastBackup | None:
    """Return the backup that was the *last* one: it counts though its object is gone, and no more once its data is known to be."""
    return last if last is not None and last.name not in seen.lost_backups else None


def inspection_job(database: Database, name: str, *, image: str) -> dict[str, Any]:
    """Return the Job *name* that inspects *database*."""
    request = JobRequest(
        verb=Verb.INSPECT,
        namespace=database.metadata.namespace,
        name=database.metadata.name,
        owner_uid=database.metadata.uid,
        custody_id=database.custody_id,
        database_name=database.metadata.name,
        database=replace(database.spec, job=None),
        timeout_seconds=INSPECTION_SECONDS,
    )
    work = Work(
        request=request,
        image=image,
        owner_kind=Kind.DATABASE,
        owner_name=database.metadata.name,
        templates=(database.spec.job,),
        retries=0,
    )
    return job_manifest(work, name=name, owner=reference_to(Kind.DATABASE, database.metadata))


def _examination_of(database: Database) -> Examination:
    status = database.status
    connected = find(status.conditions, ConditionType.CONNECTED)
    return Examination(
        metadata=database.metadata,
        verb=Verb.INSPECT,
        interval_seconds=database.spec.inspect_interval_seconds,
        conditions=status.conditions,
        observed_generation=status.observed_generation,
        judged_generation=connected.observed_generation if connected is not None else None,
        suspend=database.spec.suspend,
        last_time=status.inspected_time,
        failures=status.inspect_failures,
        check_now=status.check_now,
        ordinal=status.ordinal,
        job_ref=status.job_ref,
    )


def _with_facts(status: DatabaseStatus, facts: InspectionFacts | None) -> DatabaseStatus:
    """Return *status* with what the inspection found; what an unsuccessful one could not see stays as it was."""
    if facts is None:
        return status
    return replace(
        status,
        endpoint=facts.endpoint,
        database=facts.database,
        convention=facts.convention,
        server=replace(facts.server, extensions=facts.server.extensions[:MOST_EXTENSIONS]),
        missing_grants=facts.missing_grants[:MOST_GRANTS],
        oid=facts.oid,
        copies=facts.copies,
        more_copies=facts.more_copies,
    )


def _conditions_of(verdict: Verdict) -> tuple[Condition, ...]:
    """Return what an inspection that ended says; only a condition that was reached is judged."""
    reason, message = verdict.reason, verdict.message
    is_good = verdict.result is not None and verdict.result.exit_code is ExitCode.DONE
    summary = (yes(ConditionType.READY, Reason.READY, message),) if is_good else failed_conditions(reason, message)
    return (*summary, *_steps(reason, message, is_good=is_good))


def _steps(reason: Reason, message: str, *, is_good: bool) -> tuple[Condition, ...]:
    """Return the three conditions in the order in which an inspection reaches them: connection, version, privileges."""
    connected = yes(ConditionType.CONNECTED, Reason.CONNECTED, message if is_good else "")
    supported = yes(ConditionType.VERSION_SUPPORTED, Reason.VERSION_SUPPORTED)
    sufficient = yes(ConditionType.PRIVILEGES_SUFFICIENT, Reason.PRIVILEGES_SUFFICIENT)
    if is_good:
        return (connected, supported, sufficient)
    if reason is Reason.PRIVILEGES_MISSING:
        return (connected, supported, no(ConditionType.PRIVILEGES_SUFFICIENT, reason, message))
    unjudged = unknown(ConditionType.PRIVILEGES_SUFFICIENT, reason, "was not reached")
    if reason is Reason.VERSION_UNSUPPORTED:
        return (connected, no(ConditionType.VERSION_SUPPORTED, reason, message), unjudged)
    refused = no if GUIDANCE[reason].condition == ConditionType.CONNECTED else unknown
    return (
        refused(ConditionType.CONNECTED, reason, message),
        unknown(ConditionType.VERSION_SUPPORTED, reason, "was not reached"),
        unjudged,
    )
