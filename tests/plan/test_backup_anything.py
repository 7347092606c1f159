"""Whatever is seen around a Backup, likely or not: no rule breaks, a verdict stays, and nothing is deleted that must stay."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbcustody.api.backup import Attempt, BackupStatus, DeletionPolicy, HoldState, LegalHold, Origin, StoredHold
from dbcustody.api.condition import ABSENT_UNLESS_TRUE, ConditionStatus, ConditionType, find, is_true
from dbcustody.api.meta import ObjectRef
from dbcustody.api.policy import PlanEntry
from dbcustody.contract import JobResult, Verb
from dbcustody.facts import BackupFacts
from dbcustody.guidance import GUIDANCE
from dbcustody.naming import FINALIZER
from dbcustody.plan.actions import Count, DeleteBackup, SetFinalizers, StartJob, Tell
from dbcustody.plan.backup import MOST_ATTEMPTS, plan
from dbcustody.plan.backup_case import SeenBackup
from dbcustody.plan.observed import ANNOTATION_BACKUP_UID
from dbcustody.plan.removal import plan_removal
from dbcustody.reason import Reason
from tests.fakes.control_plane import through_json
from tests.fakes.seen import (
    ARTEFACT,
    IMAGE,
    NOW,
    ago,
    backup,
    condition,
    database,
    facts,
    job,
    pod,
    policy,
    progress,
    scheduled_job,
    storage,
    text_of,
    with_metadata,
    with_status,
)

if TYPE_CHECKING:
    from dbcustody.api.backup import Backup
    from dbcustody.plan.actions import Action, Plan
    from dbcustody.plan.observed import SeenJob, SeenPod

NAMES = ("monday", "monday-1", "monday-2")
maybe = st.booleans()
times = st.one_of(st.none(), st.sampled_from([ago(1000), ago(30), ago(1), NOW]))
found_facts = st.sampled_from(
    [None, BackupFacts(name="monday"), facts(), facts(verified_level=None), facts(verified_level="Checksum")]
)
results = st.builds(
    lambda reason, backup, **more: JobResult(
        reason=reason, exit_code=GUIDANCE[reason].exit_code, backup=backup, message="so it was", **more
    ),
    reason=st.sampled_from(list(Reason)),
    backup=found_facts,
    verb=st.sampled_from(list(Verb)),
    complete=maybe,
    prune=st.none(),
)
texts = st.one_of(st.sampled_from(["", "oops", "{}"]), results.map(text_of))


def _pod(**values: Any) -> SeenPod:
    return pod(**values)


pods = st.builds(
    _pod,
    created_time=times,
    ended_time=times,
    ended_message=texts,
    exit_code=st.sampled_from([None, 0, 10, 20, 137]),
    ended_reason=st.sampled_from(["", "OOMKilled"]),
    reason=st.sampled_from(["", "Evicted"]),
    waiting_reason=st.sampled_from(["", "ErrImagePull", "CreateContainerError"]),
    lacks_server=maybe,
    unscheduled=st.sampled_from([None, "0/1 nodes"]),
    is_running=maybe,
    is_disrupted=maybe,
)


def _job(name: str, verb: Verb, *, of_schedule: bool, uid: str | None, going: bool, **values: Any) -> SeenJob:
    made = scheduled_job(name, **values) if of_schedule else job(name, verb, **values)
    annotations = made.metadata.annotations | ({} if uid is None else {ANNOTATION_BACKUP_UID: uid})
    metadata = replace(made.metadata, annotations=annotations, deletion_timestamp=NOW if going else None)
    return replace(made, metadata=metadata)


jobs = st.builds(
    _job,
    name=st.sampled_from(NAMES),
    verb=st.sampled_from([Verb.BACKUP, Verb.SETTLE, Verb.PRUNE, Verb.HOLD]),
    of_schedule=maybe,
    uid=st.sampled_from([None, "uid-monday", "uid-of-another"]),
    going=maybe,
    outcome=st.sampled_from([None, None, "Complete", "Failed"]),
    outcome_reason=st.sampled_from(["", "DeadlineExceeded"]),
    ready=st.integers(min_value=0, max_value=1),
    active=st.integers(min_value=0, max_value=1),
    is_suspended=maybe,
    has_server=maybe,
    has_ttl=maybe,
    start_time=times,
    finish_time=times,
    pods=st.lists(pods, max_size=3).map(tuple),
    log_result=st.one_of(st.none(), texts),
    age=st.sampled_from([1.0, 20.0, 4000.0]),
)
seens = st.builds(
    SeenBackup,
    image=st.just(IMAGE),
    database=st.sampled_from([None, database()]),
    storage=st.sampled_from(
        [None, storage(), with_status(storage(), location="s3://backups"), with_status(storage(), location="s3://x")]
    ),
    policy=st.sampled_from(
        [None, policy(), with_status(policy(), plan=(PlanEntry(name="monday", keep=True, because=("Daily",)),))]
    ),
    jobs=st.lists(jobs, max_size=3, unique_by=lambda one: one.name).map(tuple),
    progress=st.sampled_from([None, progress()]),
    is_namespace_going=maybe,
)
attempts = st.lists(
    st.builds(
        Attempt,
        ordinal=st.integers(min_value=1, max_value=30),
        job_name=st.sampled_from(NAMES),
        verb=st.sampled_from(["backup", "settle", "prune"]),
        reason=st.sampled_from([None, "JobLost", "Succeeded", "TestServerUnavailable"]),
    ),
    max_size=MOST_ATTEMPTS,
    unique_by=lambda one: one.ordinal,
).map(lambda found: tuple(sorted(found, key=lambda one: one.ordinal)))


def _status(*, over: str | None, **values: Any) -> BackupStatus:
    reason = Reason.SUCCEEDED if over == "True" else Reason.JOB_LOST
    said = (
        condition(ConditionType.READY, over or "Unknown", reason),
        condition(ConditionType.FINISHED, "True" if over else "False", reason),
        condition(ConditionType.SUCCEEDED, over or "Unknown", reason),
    )
    return BackupStatus(conditions=said, observed_generation=1, finish_time=ago(50) if over else None, **values)


holds = st.builds(
    StoredHold,
    state=st.sampled_from(list(HoldState)),
    others=st.integers(min_value=0, max_value=1),
    failures=st.integers(min_value=0, max_value=3),
    ended_time=times,
    job_ref=st.sampled_from([None, *(ObjectRef(name=name) for name in NAMES)]),
    ordinal=st.integers(min_value=0, max_value=3),
)
statuses = st.builds(
    _status,
    hold=st.one_of(st.none(), holds),
    over=st.sampled_from([None, None, "True", "False"]),
    attempts=attempts,
    artefact=st.sampled_from([None, ARTEFACT]),
    job_ref=st.sampled_from([None, *(ObjectRef(name=name) for name in NAMES)]),
    start_time=times,
    progress=st.sampled_from([None, progress()]),
)
backups = st.builds(
    lambda status, **spec: replace(backup(**spec), status=status),
    status=st.one_of(st.just(BackupStatus()), statuses),
    origin=st.sampled_from(list(Origin)),
    deletion_policy=st.sampled_from(list(DeletionPolicy)),
    legal_hold=st.sampled_from([None, LegalHold(reason="audit")]),
    ttl_seconds_after_finished=st.sampled_from([None, 0, 10**6]),
)

often = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def is_over(status: BackupStatus | None) -> bool:
    """Return whether *status* says that the Backup is finished."""
    return status is not None and is_true(status.conditions, ConditionType.FINISHED)


def verdict(status: BackupStatus | None) -> object:
    """Return what was said of a Backup's outcome."""
    assert status is not None
    kinds = (ConditionType.READY, ConditionType.STALLED, ConditionType.FINISHED, ConditionType.SUCCEEDED)
    return tuple(find(status.conditions, kind) for kind in kinds), status.artefact, status.attempts


def obeys(status: BackupStatus | None) -> bool:
    """Return whether the conditions in *status* obey the rules of all conditions."""
    assert status is not None
    kinds = [one.type for one in status.conditions]
    succeeded = find(status.conditions, ConditionType.SUCCEEDED)
    rules = (
        ConditionType.READY in kinds,
        len(ABSENT_UNLESS_TRUE & set(kinds)) <= 1,
        all(one.is_true for one in status.conditions if one.type in ABSENT_UNLESS_TRUE),
        succeeded is not None and is_over(status) is (succeeded.status is not ConditionStatus.UNKNOWN),
    )
    return all(rules)


def started(found: Plan[BackupStatus]) -> list[str]:
    """Return the verbs of the Jobs that are to be started."""
    labels = [one.manifest["metadata"]["labels"] for one in found.actions if isinstance(one, StartJob)]
    return [label["dbcustody.dev/verb"] for label in labels]


def kinds_of(actions: tuple[Action, ...]) -> set[type]:
    """Return which kinds of actions there are."""
    return {type(action) for action in actions}


@often
@given(backups, seens)
def test_conditions_obey_the_rules_whatever_is_seen(one: Backup, seen: SeenBackup) -> None:
    """Ready is always there, Reconciling and Stalled never both, Finished exactly when Succeeded is known; status is plain JSON."""
    found = plan(one, seen, NOW)

    assert obeys(found.status)
    assert found.status is not None
    assert len(found.status.attempts) <= MOST_ATTEMPTS
    assert is_over(through_json(found.status)) is is_over(found.status)


@often
@given(backups, seens)
def test_a_verdict_never_changes_whatever_is_seen(one: Backup, seen: SeenBackup) -> None:
    """What is over is tidied up; its outcome, its data and its attempts stay, and nothing is started but for its hold."""
    found = plan(one, seen, NOW)

    if is_over(one.status):
        assert verdict(found.status) == verdict(one.status)
        assert set(started(found)) <= {"hold"}
        assert Count not in kinds_of(found.actions) or one.status.hold is not None


@often
@given(backups, seens)
def test_only_a_manual_backup_is_ever_taken_by_a_job_of_its_own(one: Backup, seen: SeenBackup) -> None:
    """A Backup of any other origin starts questions to the storage at most, and no plan starts two Jobs.

    Its run is taken over by a Job of its own only when its throw-away server does not start.
    """
    found = plan(one, seen, NOW)
    verbs = started(found)
    given_up = {attempt.reason for attempt in (*one.status.attempts, *(found.status or one.status).attempts)}
    may_take = one.spec.origin is Origin.MANUAL or Reason.TEST_SERVER_UNAVAILABLE in given_up

    assert len(verbs) <= 1
    assert set(verbs) <= ({"backup", "settle", "hold"} if may_take else {"settle", "hold"})


@often
@given(backups, seens)
def test_planning_again_starts_no_other_job(one: Backup, seen: SeenBackup) -> None:
    """An operator that wrote the status and died leads to the same Job, under the same name, from the same attempt."""
    first = plan(one, seen, NOW)
    again = plan(replace(one, status=through_json(first.status)), replace(seen, progress=None), NOW)
    starts = [action for action in first.actions if isinstance(action, StartJob)]

    if starts:
        assert again.status is not None
        assert first.status is not None
        assert again.status.attempts == first.status.attempts
        assert [action for action in again.actions if isinstance(action, StartJob)] == starts


@often
@given(backups, seens)
def test_success_is_said_only_of_what_lies_in_the_storage(one: Backup, seen: SeenBackup) -> None:
    """Whoever becomes Succeeded has an artefact, and the result that says so is counted."""
    found = plan(one, seen, NOW)

    if found.status is not None and is_over(found.status) and not is_over(one.status):
        is_good = is_true(found.status.conditions, ConditionType.SUCCEEDED)
        assert Count in kinds_of(found.actions)
        assert found.status.artefact is not None or not is_good


@often
@given(backups, seens)
def test_a_held_object_is_never_taken_away(one: Backup, seen: SeenBackup) -> None:
    """Neither its time to live nor anything else deletes a Backup in which a legal hold stands."""
    found = plan(one, seen, NOW)

    assert DeleteBackup not in kinds_of(found.actions) or one.spec.legal_hold is None


@often
@given(backups, seens, st.sampled_from([(), (FINALIZER,), ("example.org/other", FINALIZER)]))
def test_data_goes_only_when_it_was_asked_for(one: Backup, seen: SeenBackup, finalizers: tuple[str, ...]) -> None:
    """A removal starts prunes only, never of a held or retained Backup, and never beside a Job that still works."""
    gone = with_metadata(one, deletion_timestamp=NOW, finalizers=finalizers)
    found = plan_removal(gone, seen, NOW)
    verbs = started(found)

    assert set(verbs) <= {"prune"}
    if verbs:
        assert one.spec.deletion_policy is DeletionPolicy.DELETE
        assert one.spec.legal_hold is None
        assert FINALIZER in finalizers
        assert not seen.is_namespace_going
        assert not [job for job in seen.jobs if not job.is_finished and job.verb is not Verb.PRUNE]


@often
@given(backups, seens)
def test_data_that_was_to_go_never_stays_silently(one: Backup, seen: SeenBackup) -> None:
    """The finalizer is released when the data is gone, or with an Event that says that it is not."""
    wanted = replace(one, spec=replace(one.spec, deletion_policy=DeletionPolicy.DELETE))
    gone = with_metadata(wanted, deletion_timestamp=NOW, finalizers=(FINALIZER,))
    found = plan_removal(gone, seen, NOW)

    if SetFinalizers(()) in found.actions and one.status.artefact is not None:
        assert Tell in kinds_of(found.actions) or _has_pruned(one, seen)


def _has_pruned(one: Backup, seen: SeenBackup) -> bool:
    """Return whether the Job of the last attempt is a prune that is over."""
    last = one.status.attempts[-1].job_name if one.status.attempts else None
    return any(job.name == last and job.verb is Verb.PRUNE and job.is_finished for job in seen.jobs)
