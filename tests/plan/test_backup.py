"""What is done for a Backup from its creation to its end, step by step, as an operator would that may die at any moment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.backup import LegalHold, Stage
from dbcustody.api.condition import ConditionStatus, ConditionType, is_true
from dbcustody.api.meta import ObjectRef
from dbcustody.api.policy import PlanEntry
from dbcustody.contract import Verb
from dbcustody.naming import LABEL_BACKUP
from dbcustody.plan.actions import Count, DeleteBackup, DeleteJob, LetJobGo
from dbcustody.plan.backup import GONE_AFTER_FAILURE_SECONDS, GONE_AFTER_SUCCESS_SECONDS
from dbcustody.plan.backup_case import SeenBackup
from dbcustody.reason import Reason
from tests.fakes.control_plane import ControlPlane, started, words
from tests.fakes.seen import (
    IMAGE,
    NOW,
    backup,
    condition,
    facts,
    policy,
    progress,
    result,
    with_metadata,
    with_status,
)

GOOD = result(Verb.BACKUP, Reason.SUCCEEDED, "3 tables, 40 rows, 1000 B stored", backup=facts())
DENIED = result(Verb.BACKUP, Reason.STORAGE_DENIED, "put s3://backups: AccessDenied")


def ended(answer: Any, **spec: Any) -> ControlPlane:
    """Return a control plane in which the Backup's Job ran and ended with *answer*, and that was heard."""
    plane = started(**spec)
    plane.runs(plane.last_job.name)
    plane.reconcile()
    plane.passes(20)
    plane.ends(plane.last_job.name, answer)
    plane.reconcile()
    return plane


def test_a_manual_backup_writes_its_attempt_down_and_starts_one_job() -> None:
    """The attempt stands in status, and the Job that is created bears its name."""
    plane = started()

    (attempt,) = plane.status.attempts
    assert (attempt.ordinal, attempt.verb, attempt.reason) == (1, "backup", None)
    assert plane.started == [(Verb.BACKUP, attempt.job_name)]
    assert plane.status.start_time == NOW
    assert (plane.status.database, plane.status.storage) == ("shop", "main")


@pytest.mark.parametrize("writes", [pytest.param(0, id="before-status"), pytest.param(1, id="before-the-job")])
def test_an_operator_that_dies_before_the_job_is_made_is_followed_by_one_that_makes_it(writes: int) -> None:
    """Whatever was written by then, the next operator creates exactly one Job, under the same name."""
    plane, whole = ControlPlane(backup()), started()
    plane.reconcile(dies_after=writes)
    plane.reconcile()
    plane.reconcile()

    assert plane.started == whole.started
    assert plane.status.attempts == whole.status.attempts


def test_the_same_wish_leads_to_the_same_job_whenever_it_is_planned() -> None:
    """The manifest that is written again after a death is the one of before, to the letter."""
    plane = ControlPlane(backup())
    (first,) = plane.reconcile(dies_after=1).actions
    plane.passes(900)
    (again,) = plane.think().actions

    assert first == again


def test_a_job_that_nobody_noted_yet_is_not_taken_for_lost() -> None:
    """A Job that vanished before anybody saw it is created again: nothing is known to be lost."""
    plane = started()
    plane.jobs.clear()
    plane.reconcile()

    assert [verb for verb, _ in plane.started] == [Verb.BACKUP, Verb.BACKUP]
    assert len({name for _, name in plane.started}) == 1


@pytest.mark.parametrize(
    ("stage", "reason", "ready"),
    [
        pytest.param("new", Reason.PENDING, "Unknown", id="job-was-created"),
        pytest.param("young", Reason.PENDING, "Unknown", id="pod-is-being-started"),
        pytest.param("works", Reason.RUNNING, "Unknown", id="pod-works"),
        pytest.param("no-pod", Reason.POD_NOT_CREATED, "False", id="no-pod-after-15-s"),
        pytest.param("suspended", Reason.SUSPENDED, "False", id="somebody-suspended-the-job"),
    ],
)
def test_what_is_said_on_the_way(stage: str, reason: Reason, ready: str) -> None:
    """Until it is over a Backup is Reconciling, not Finished, and Succeeded is not known."""
    plane = started()
    _to(plane, stage)
    plane.reconcile()

    assert (ready, reason) == words(plane, ConditionType.READY)
    assert ("Unknown", reason) == words(plane, ConditionType.SUCCEEDED)
    assert ("True", reason) == words(plane, ConditionType.RECONCILING)
    assert ("False", reason) == words(plane, ConditionType.FINISHED)
    assert words(plane, ConditionType.STALLED) is None


def _to(plane: ControlPlane, stage: str) -> None:
    name = plane.last_job.name
    if stage == "works":
        plane.runs(name)
    elif stage == "no-pod":
        plane.passes(16)
    elif stage == "suspended":
        plane.change(name, is_suspended=True)
    elif stage == "young":
        plane.change(name, active=1)


def test_an_obstacle_is_shown_where_people_look_and_is_not_rewritten_every_time() -> None:
    """What holds the Job up stands in the progress, with the time at which it was first seen."""
    plane = started()
    plane.passes(16)
    plane.change(plane.last_job.name, warnings=("exceeded quota",))
    plane.reconcile()
    before = plane.status
    plane.passes(20)
    plane.reconcile()

    assert before == plane.status
    assert before.progress is not None
    assert before.progress.waiting_for == "exceeded quota"


def test_another_obstacle_is_news() -> None:
    """A new text has a new time."""
    plane = started()
    plane.passes(16)
    plane.reconcile()
    plane.passes(20)
    plane.change(plane.last_job.name, warnings=("exceeded quota",))
    plane.reconcile()

    assert plane.status.progress is not None
    assert plane.now == plane.status.progress.updated_time


@pytest.mark.parametrize(
    ("told", "has_begun"),
    [
        pytest.param(Stage.LOCKING, False, id="locking"),
        pytest.param(Stage.DUMPING, True, id="dumping"),
        pytest.param(Stage.COMMITTING, True, id="committing"),
        pytest.param(Stage.VERIFYING, True, id="verifying"),
    ],
)
def test_progress_is_shown_and_a_begun_dump_is_remembered(told: Stage, has_begun: bool) -> None:  # noqa: FBT001
    """From the first row on, Captured is Unknown instead of absent, whatever the next pod tells."""
    plane = started()
    plane.runs(plane.last_job.name, progress(stage=told))
    plane.reconcile()
    shown = plane.status.progress
    plane.runs(plane.last_job.name, progress(stage=Stage.WAITING))
    plane.reconcile()

    assert progress(stage=told) == shown
    assert has_begun is (words(plane, ConditionType.CAPTURED) == ("Unknown", "Running"))


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        pytest.param({"database": None}, Reason.DATABASE_NOT_FOUND, id="database"),
        pytest.param({"storage": None}, Reason.STORAGE_NOT_FOUND, id="storage"),
    ],
)
def test_a_missing_party_holds_up_and_its_coming_lets_go_on(missing: dict[str, Any], reason: Reason) -> None:
    """Nothing is started and nothing is failed while a party is missing; it starts when the party is there."""
    plane = ControlPlane(backup())
    whole = plane.seen
    plane.seen = replace(whole, **missing)
    plane.reconcile()
    held = words(plane, ConditionType.READY)
    plane.seen = whole
    plane.reconcile()

    assert ("False", reason) == held
    assert len(plane.started) == 1


def test_a_party_that_is_gone_between_status_and_job_holds_up_too() -> None:
    """The attempt that was written down waits for its party instead of being made without."""
    plane = ControlPlane(backup())
    plane.reconcile(dies_after=1)
    plane.seen = replace(plane.seen, storage=None)
    plane.reconcile()

    assert plane.started == []
    assert words(plane, ConditionType.READY) == ("False", "StorageNotFound")


def test_a_policy_that_is_not_there_is_named() -> None:
    """A Backup by a policy that does not exist says so, and does not guess."""
    plane = ControlPlane(backup(policy_ref=ObjectRef(name="nightly"), database_ref=None, storage_ref=None))
    plane.reconcile()

    assert words(plane, ConditionType.READY) == ("False", "PolicyNotFound")


@pytest.mark.parametrize(
    ("answer", "succeeded", "reason"),
    [
        pytest.param(GOOD, "True", Reason.SUCCEEDED, id="good"),
        pytest.param(
            result(Verb.BACKUP, Reason.ADOPTED, backup=facts(adopted=True)), "True", Reason.ADOPTED, id="adopted"
        ),
        pytest.param(DENIED, "False", Reason.STORAGE_DENIED, id="refused-before-it-began"),
        pytest.param(result(Verb.BACKUP, Reason.SKIPPED), "False", Reason.SKIPPED, id="waited-too-long"),
        pytest.param(
            result(Verb.BACKUP, Reason.VERIFICATION_FAILED, backup=facts(verified_level=None)),
            "False",
            Reason.VERIFICATION_FAILED,
            id="committed-but-not-proven",
        ),
    ],
)
def test_an_answer_that_decides_ends_the_backup(answer: Any, succeeded: str, reason: Reason) -> None:
    """Finished is true exactly when Succeeded is known, and a failure stalls: only a person can start another."""
    plane = ended(answer)

    assert (succeeded, reason) == words(plane, ConditionType.SUCCEEDED)
    assert ("True", reason) == words(plane, ConditionType.FINISHED)
    assert (None if succeeded == "True" else ("True", reason)) == words(plane, ConditionType.STALLED)
    assert words(plane, ConditionType.RECONCILING) is None
    assert answer.reason == plane.status.attempts[-1].reason
    assert plane.status.job_ref is None


def test_a_run_is_counted_once() -> None:
    """The result is counted beside the status that records it, and never again."""
    plane = ended(GOOD)
    for _ in range(3):
        plane.reconcile()

    assert sum(isinstance(action, Count) for action in plane.done) == 1


def test_a_failed_run_ends_when_its_job_did() -> None:
    """An operator that was away for a day does not make the run a day long."""
    plane = started()
    plane.runs(plane.last_job.name)
    plane.passes(20)
    plane.ends(plane.last_job.name, DENIED)
    finished = plane.now
    plane.passes(86_400)
    plane.reconcile()

    assert (finished, 20) == (plane.status.finish_time, plane.status.duration_seconds)


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        pytest.param(GOOD, GONE_AFTER_SUCCESS_SECONDS, id="good"),
        pytest.param(DENIED, GONE_AFTER_FAILURE_SECONDS, id="failed"),
    ],
)
def test_a_job_may_go_when_its_result_is_recorded(answer: Any, seconds: int) -> None:
    """Kubernetes removes the Job after an hour, or after a day for those who want to know what happened; it is told once."""
    plane = ended(answer)
    plane.reconcile()
    plane.reconcile()

    assert [LetJobGo(plane.last_job.name, seconds)] == [one for one in plane.done if isinstance(one, LetJobGo)]


def test_a_job_that_still_works_for_a_finished_backup_is_ended() -> None:
    """A stray Job is deleted once, and one that is going already is left alone."""
    plane = ended(GOOD)
    stray = replace(plane.last_job, outcome=None)
    going = replace(stray, metadata=replace(stray.metadata, name="going", deletion_timestamp=NOW))
    plane.jobs = {"going": going, stray.name: stray}
    plane.reconcile()

    assert [DeleteJob(stray.name, stray.metadata.uid)] == [one for one in plane.done if isinstance(one, DeleteJob)]


@pytest.mark.parametrize(
    ("spec", "seconds", "goes"),
    [
        pytest.param({}, 10**9, False, id="no-ttl"),
        pytest.param({"ttl_seconds_after_finished": 60}, 30, False, id="not-yet"),
        pytest.param({"ttl_seconds_after_finished": 60}, 61, True, id="over"),
        pytest.param({"ttl_seconds_after_finished": 0}, 1, True, id="at-once"),
        pytest.param({"ttl_seconds_after_finished": 60, "legal_hold": LegalHold(reason="audit")}, 61, False, id="held"),
    ],
)
def test_when_the_object_goes(spec: dict[str, Any], seconds: int, goes: bool) -> None:  # noqa: FBT001
    """The object goes after its time to live, counted from the run's end; a legal hold stands in it, so it stays."""
    plane = ended(DENIED, **spec)
    plane.passes(seconds)
    plane.reconcile()

    assert goes is plane.is_gone


def test_the_object_is_looked_at_again_when_its_time_is_over() -> None:
    """What remains of the time to live is the appointment."""
    plane = ended(DENIED, ttl_seconds_after_finished=60)
    plane.passes(45)

    assert plane.reconcile().look_again_seconds == 15
    assert DeleteBackup(plane.backup.metadata.name, plane.backup.metadata.uid) not in plane.done


@pytest.mark.parametrize(
    ("entries", "because"),
    [
        pytest.param((PlanEntry(name="monday", keep=True, because=("Daily",)),), ("Daily",), id="kept"),
        pytest.param((PlanEntry(name="other", keep=True, because=("Daily",)),), ("Newest",), id="not-in-the-plan"),
        pytest.param((), ("Newest",), id="no-plan"),
    ],
)
def test_what_keeps_a_backup_is_taken_over_from_the_policy(
    entries: tuple[PlanEntry, ...], because: tuple[str, ...]
) -> None:
    """The policy's reasons stand in the Backup; a plan that does not know it changes nothing."""
    plane = ended(GOOD)
    plane.backup = with_status(plane.backup, retained_because=("Newest",))
    plane.seen = replace(plane.seen, policy=with_status(policy(), plan=entries))
    plane.reconcile()

    assert because == plane.status.retained_because


def test_the_job_belongs_to_the_backup_and_can_be_found() -> None:
    """The Job goes with its Backup, and its labels name the Backup."""
    plane = started()
    job = plane.last_job

    assert job.belongs_to(plane.backup.metadata.uid)
    assert job.metadata.labels[LABEL_BACKUP] == "monday"


def test_nothing_is_planned_for_what_is_over() -> None:
    """A finished Backup without Jobs, policy and time to live needs nothing more."""
    over = with_status(
        backup(),
        conditions=(
            condition(ConditionType.FINISHED, "True", Reason.SUCCEEDED),
            condition(ConditionType.SUCCEEDED, "True", Reason.SUCCEEDED),
        ),
        observed_generation=1,
    )
    found = ControlPlane(over, seen=SeenBackup(image=IMAGE)).think()

    assert (over.status, (), None) == (found.status, found.actions, found.look_again_seconds)


def test_conditions_say_which_spec_they_are_about() -> None:
    """Each condition and the status carry the generation that was looked at."""
    plane = ControlPlane(with_metadata(backup(), generation=4))
    plane.reconcile()

    assert {4} == {one.observed_generation for one in plane.status.conditions}
    assert plane.status.observed_generation == 4
    assert is_true(plane.status.conditions, ConditionType.RECONCILING)
    assert ConditionStatus.UNKNOWN in {one.status for one in plane.status.conditions}
