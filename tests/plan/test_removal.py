"""How a Backup is deleted: its run first, its data only when that was asked for and nothing forbids it, and never in a hurry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.backup import Attempt, Backup, DeletionPolicy, LegalHold
from dbcustody.api.condition import ConditionType, find, is_true
from dbcustody.api.meta import Kind
from dbcustody.api.policy import Retained
from dbcustody.contract import Verb, load_request
from dbcustody.facts import PruneFacts
from dbcustody.naming import FINALIZER
from dbcustody.plan.actions import DeleteJob, SetFinalizers, StartJob, Tell
from dbcustody.plan.backup import MOST_ATTEMPTS
from dbcustody.plan.removal import finalizers_for
from dbcustody.reason import Reason
from tests.fakes.control_plane import ControlPlane, words
from tests.fakes.seen import (
    ARTEFACT,
    NOW,
    backup,
    condition,
    pod,
    result,
    running,
    silent,
    storage,
    with_metadata,
    with_status,
)

OTHERS = "example.org/other"
DONE = result(Verb.PRUNE, Reason.RETENTION_ENFORCED)
FAILED = result(Verb.PRUNE, Reason.STORAGE_DENIED, "delete: AccessDenied")


def finished(*, artefact: Any = ARTEFACT, **spec: Any) -> Backup:
    """Return a Backup that is over, and whose data lies in the storage unless *artefact* is None."""
    good = "True" if artefact is not None else "False"
    said = (
        condition(ConditionType.READY, good, Reason.SUCCEEDED),
        condition(ConditionType.FINISHED, "True", Reason.SUCCEEDED),
        condition(ConditionType.SUCCEEDED, good, Reason.SUCCEEDED),
    )
    attempt = Attempt(ordinal=1, job_name="monday-1", reason="Succeeded")
    found: Backup = with_status(backup(**spec), artefact=artefact, conditions=said, attempts=(attempt,))
    return found


def deleting(one: Backup, *, finalizers: tuple[str, ...] = (OTHERS, FINALIZER)) -> ControlPlane:
    """Return a control plane in which the deletion of *one* was asked for."""
    return ControlPlane(with_metadata(one, deletion_timestamp=NOW, finalizers=finalizers))


def removing(**spec: Any) -> ControlPlane:
    """Return a control plane in which the data of a finished Backup is being deleted."""
    plane = deleting(finished(deletion_policy=DeletionPolicy.DELETE, **spec))
    plane.reconcile()
    return plane


def told(plane: ControlPlane) -> list[str]:
    """Return what was told as Events."""
    return [action.message for action in plane.done if isinstance(action, Tell)]


def is_released(plane: ControlPlane) -> bool:
    """Return whether our finalizer is gone and the others stand."""
    return plane.backup.metadata.finalizers == (OTHERS,)


@pytest.mark.parametrize(
    ("wanted", "has", "expected"),
    [
        pytest.param(DeletionPolicy.DELETE, (OTHERS,), (OTHERS, FINALIZER), id="is-set"),
        pytest.param(DeletionPolicy.RETAIN, (OTHERS, FINALIZER), (OTHERS,), id="is-taken-away"),
        pytest.param(DeletionPolicy.DELETE, (OTHERS, FINALIZER), None, id="stands-already"),
        pytest.param(DeletionPolicy.RETAIN, (OTHERS,), None, id="is-not-needed"),
    ],
)
def test_the_finalizer_stands_only_where_deletion_has_work_to_do(
    wanted: DeletionPolicy, has: tuple[str, ...], expected: tuple[str, ...] | None
) -> None:
    """It comes and goes with `deletionPolicy: Delete`, and the finalizers of others are never touched."""
    one = with_metadata(backup(deletion_policy=wanted), finalizers=has)

    assert (() if expected is None else (SetFinalizers(expected),)) == finalizers_for(one)


def test_no_finalizer_is_added_once_deletion_was_asked_for() -> None:
    """The API server forbids it, and it would hold up what nobody expects to be held up."""
    one = with_metadata(backup(deletion_policy=DeletionPolicy.DELETE), deletion_timestamp=NOW)

    assert finalizers_for(one) == ()


def test_a_running_job_ends_before_anything_else() -> None:
    """The Job is deleted, once, and the finalizer stays until it is gone: its data could not be found any more."""
    plane = deleting(backup(deletion_policy=DeletionPolicy.DELETE))
    plane.jobs = {"works": running("works")}
    first = plane.think()
    plane.change("works", metadata=replace(plane.jobs["works"].metadata, deletion_timestamp=NOW))
    second = plane.think()

    assert (DeleteJob("works", "uid-works"),) == first.actions
    assert second.actions == ()
    assert None not in {first.look_again_seconds, second.look_again_seconds}


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(finished(), id="retain-is-the-default"),
        pytest.param(finished(artefact=None, deletion_policy=DeletionPolicy.DELETE), id="nothing-was-committed"),
        pytest.param(backup(deletion_policy=DeletionPolicy.DELETE), id="never-began"),
    ],
)
def test_data_stays_and_the_object_goes(one: Backup) -> None:
    """Without an explicit wish, or without data, no Job is started and nothing is told."""
    plane = deleting(one)
    plane.reconcile()

    assert is_released(plane)
    assert (plane.started, told(plane)) == ([], [])


def test_an_object_without_our_finalizer_needs_nothing() -> None:
    """What the API server removes by itself is left to it."""
    plane = deleting(finished(), finalizers=(OTHERS,))

    assert plane.think().actions == ()


def test_data_is_deleted_by_a_job_that_names_this_one_backup() -> None:
    """The Job prunes without retention, so that only this backup goes, and it does not hold up the deletion of its owner."""
    plane = removing()
    (manifest,) = [one.manifest for one in plane.done if isinstance(one, StartJob)]
    request = load_request(manifest["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"])
    (owner,) = manifest["metadata"]["ownerReferences"]

    assert (
        request.verb,
        request.retention,
        request.name,
        request.custody_id,
    ) == (Verb.PRUNE, None, "monday", "team.shop")
    assert (owner["kind"], owner["blockOwnerDeletion"]) == (Kind.BACKUP, False)
    assert not is_released(plane)


def test_an_interrupted_run_may_have_left_data() -> None:
    """A Backup that is not over may have been committed: its name is pruned too."""
    attempt = Attempt(ordinal=1, job_name="monday-1")
    plane = deleting(with_status(backup(deletion_policy=DeletionPolicy.DELETE), attempts=(attempt,)))
    plane.reconcile()

    assert [verb for verb, _ in plane.started] == [Verb.PRUNE]


def test_the_object_goes_when_its_data_is_gone() -> None:
    """The finalizer is taken away after the Job said that it is done, not before."""
    plane = removing()
    plane.runs(plane.last_job.name)
    plane.reconcile()
    before = is_released(plane)
    plane.ends(plane.last_job.name, DONE)
    plane.reconcile()

    assert (before, is_released(plane)) == (False, True)
    assert told(plane) == []


def test_data_that_an_object_lock_holds_is_told() -> None:
    """The object goes, and an Event says that the data is there until the lock ends."""
    plane = removing()
    held = PruneFacts(retained=Retained(count=0, bytes=0), held=("monday",))
    plane.ends(plane.last_job.name, replace(DONE, prune=held))
    plane.reconcile()

    assert is_released(plane)
    assert "object lock" in " ".join(told(plane))


def test_a_removal_that_took_everything_tells_nothing() -> None:
    """Facts without anything held are no reason for an Event."""
    plane = removing()
    plane.ends(plane.last_job.name, replace(DONE, prune=PruneFacts(retained=Retained(count=0, bytes=0))))
    plane.reconcile()

    assert (is_released(plane), told(plane)) == (True, [])


@pytest.mark.parametrize("writes", [0, 1], ids=["before-status", "before-the-job"])
def test_an_operator_that_dies_is_followed_by_one_that_goes_on(writes: int) -> None:
    """The removal's Job is made once, under one name."""
    plane = deleting(finished(deletion_policy=DeletionPolicy.DELETE))
    plane.reconcile(dies_after=writes)
    for _ in range(3):
        plane.reconcile()

    assert [verb for verb, _ in plane.started] == [Verb.PRUNE]
    assert [one.ordinal for one in plane.status.attempts] == [1, 2]


def test_a_deleted_removal_begins_again() -> None:
    """Deleting the Job does not let the data stay silently."""
    plane = removing()
    plane.reconcile()
    plane.jobs.clear()
    plane.reconcile()

    assert [verb for verb, _ in plane.started] == [Verb.PRUNE, Verb.PRUNE]
    assert not is_released(plane)


@pytest.mark.parametrize("answer", [FAILED, None], ids=["refused", "silent"])
def test_a_failing_removal_is_tried_again_with_pauses_and_the_object_stays(answer: Any) -> None:
    """As long as the storage does not let go of the data the object says so; attempts are bounded and names never repeat."""
    plane = removing()
    for _ in range(2 * MOST_ATTEMPTS):
        plane.ends(plane.last_job.name, answer)
        waits = plane.reconcile().look_again_seconds or 0.0
        assert words(plane, ConditionType.READY) == ("False", "DeletionFailed")
        assert not is_released(plane)
        count = len(plane.started)
        plane.passes(waits - 1)
        plane.reconcile()
        assert count == len(plane.started)
        plane.passes(1)
        plane.reconcile()
        assert count + 1 == len(plane.started)

    assert waits == 300
    assert len(plane.started) == len(set(plane.started))
    assert len(plane.status.attempts) == MOST_ATTEMPTS


def test_a_removal_whose_end_has_no_time_is_counted_from_now() -> None:
    """A Job that ended without saying when is not tried again at once for ever."""
    plane = removing()
    plane.ends(plane.last_job.name, FAILED, finish_time=None)

    assert plane.reconcile().look_again_seconds == 5


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        pytest.param({"active": 1}, Reason.PENDING, id="pod-is-being-started"),
        pytest.param({"ready": 1}, Reason.RUNNING, id="pod-works"),
        pytest.param({"pods": (pod(unscheduled="0/1 nodes"),)}, Reason.POD_NOT_SCHEDULED, id="pod-is-not-scheduled"),
    ],
)
def test_the_object_says_what_its_removal_waits_for(seen: dict[str, Any], reason: Reason) -> None:
    """While the Job works, or cannot, Ready says so, and the verdict on the backup stays."""
    plane = removing()
    plane.change(plane.last_job.name, **seen)
    plane.reconcile()

    assert ("False", reason) == words(plane, ConditionType.READY)
    assert ("True", reason) == words(plane, ConditionType.RECONCILING)
    assert is_true(plane.status.conditions, ConditionType.SUCCEEDED)
    assert is_true(plane.status.conditions, ConditionType.FINISHED)


def test_a_legal_hold_keeps_object_and_data_and_its_end_lets_go() -> None:
    """Nothing is started while the hold stands; when it is taken away the removal begins."""
    plane = deleting(finished(deletion_policy=DeletionPolicy.DELETE, legal_hold=LegalHold(reason="case 12")))
    plane.reconcile()
    held = find(plane.status.conditions, ConditionType.READY)
    plane.backup = replace(plane.backup, spec=replace(plane.backup.spec, legal_hold=None))
    plane.reconcile()

    assert held is not None
    assert (held.reason, held.message) == (Reason.HELD, "`spec.legalHold` keeps the data: case 12")
    assert [verb for verb, _ in plane.started] == [Verb.PRUNE]


def test_data_that_a_restore_reads_stays_until_that_is_over() -> None:
    """Whoever deletes a Backup does not break the restore that somebody else started."""
    plane = deleting(finished(deletion_policy=DeletionPolicy.DELETE))
    plane.seen = replace(plane.seen, readers=("again",))
    plane.reconcile()
    waits = find(plane.status.conditions, ConditionType.READY)
    plane.seen = replace(plane.seen, readers=())
    plane.reconcile()

    assert waits is not None
    assert (waits.reason, waits.message) == (Reason.HELD, "RestoreRequest 'again' is reading the data")
    assert [verb for verb, _ in plane.started] == [Verb.PRUNE]


@pytest.mark.parametrize(
    ("one", "is_told"),
    [
        pytest.param(finished(deletion_policy=DeletionPolicy.DELETE), True, id="with-data"),
        pytest.param(finished(artefact=None, deletion_policy=DeletionPolicy.DELETE), False, id="without-data"),
        pytest.param(
            finished(deletion_policy=DeletionPolicy.DELETE, legal_hold=LegalHold(reason="case 12")), True, id="held"
        ),
    ],
)
def test_a_namespace_that_goes_is_never_held_up(one: Backup, is_told: bool) -> None:  # noqa: FBT001
    """No Job can be made there: the finalizer is released at once, even beside a running Job, and data that stays is told."""
    plane = deleting(one)
    plane.jobs = {"works": running("works")}
    plane.seen = replace(plane.seen, is_namespace_going=True)
    plane.reconcile()

    assert is_released(plane)
    assert plane.started == []
    assert is_told is any("namespace" in message for message in told(plane))


def test_a_namespace_that_goes_asks_nothing_of_an_object_without_our_finalizer() -> None:
    """There is nothing to release, and nothing to tell."""
    plane = deleting(finished(), finalizers=())
    plane.seen = replace(plane.seen, is_namespace_going=True)

    assert plane.think().actions == ()


@pytest.mark.parametrize("missing", ["database", "storage"])
def test_what_cannot_be_reached_stays_and_is_told(missing: str) -> None:
    """Whoever deleted database or storage first must not be held up for ever; the Event names what is missing."""
    plane = deleting(finished(deletion_policy=DeletionPolicy.DELETE))
    plane.seen = replace(plane.seen, **{missing: None})
    plane.reconcile()

    assert is_released(plane)
    assert "does not exist" in " ".join(told(plane))
    assert {Reason.DATA_LEFT_IN_STORAGE} == {action.reason for action in plane.done if isinstance(action, Tell)}


@pytest.mark.parametrize(
    "around", [{}, {"database": None}, {"storage": None}], ids=["there", "no database", "no storage"]
)
def test_what_retention_deleted_before_needs_no_job(around: dict[str, Any]) -> None:
    """The resource goes at once, and nobody is told that data was left."""
    one = finished(deletion_policy=DeletionPolicy.DELETE)
    gone = condition(ConditionType.UPLOADED, "False", Reason.DATA_DELETED)
    plane = deleting(with_status(one, conditions=(*one.status.conditions, gone)))
    plane.seen = replace(plane.seen, **around)
    plane.reconcile()

    assert is_released(plane)
    assert (plane.started, told(plane)) == ([], [])


def test_what_vanished_is_looked_for() -> None:
    """Part of it may lie there still, or all of it again."""
    one = finished(deletion_policy=DeletionPolicy.DELETE)
    gone = condition(ConditionType.UPLOADED, "False", Reason.DATA_VANISHED)
    plane = deleting(with_status(one, conditions=(*one.status.conditions, gone)))
    plane.reconcile()

    assert [verb for verb, _ in plane.started] == [Verb.PRUNE]


@pytest.mark.parametrize(
    ("location", "is_there"),
    [
        pytest.param(None, True, id="never-probed"),
        pytest.param("s3://backups", True, id="the-same"),
        pytest.param("s3://backups/", True, id="the-same-with-a-slash"),
        pytest.param("s3://backup", False, id="only-looks-alike"),
        pytest.param("s3://elsewhere", False, id="another-bucket"),
    ],
)
def test_a_storage_that_moved_away_is_not_asked_to_delete(location: str | None, is_there: bool) -> None:  # noqa: FBT001
    """The bucket of today would say that nothing is there; instead an Event tells where the data was left."""
    plane = deleting(finished(deletion_policy=DeletionPolicy.DELETE))
    plane.seen = replace(plane.seen, storage=with_status(storage(), location=location))
    plane.reconcile()

    assert is_there is (len(plane.started) == 1)
    assert is_there is not is_released(plane)
    assert is_there is not any(ARTEFACT.location in message for message in told(plane))


def test_a_backup_that_is_being_removed_ignores_the_jobs_that_are_over() -> None:
    """A Job of the run that has ended holds up nothing."""
    plane = deleting(finished(deletion_policy=DeletionPolicy.DELETE))
    plane.jobs = {"monday-1": silent("monday-1")}
    plane.reconcile()

    assert [verb for verb, _ in plane.started] == [Verb.PRUNE]
