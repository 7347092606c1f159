"""A Backup's legal hold goes into the storage, stays there and is released there, and the resource says at any moment how it stands."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.backup import DeletionPolicy, HoldState, LegalHold, StoredHold
from dbcustody.api.condition import ConditionType, find
from dbcustody.api.storage import AccessMode
from dbcustody.contract import Verb
from dbcustody.facts import HoldFacts
from dbcustody.naming import FINALIZER
from dbcustody.plan.actions import DeleteBackup, DeleteJob
from dbcustody.plan.hold import is_settled
from dbcustody.reason import Reason
from tests.fakes.control_plane import ControlPlane
from tests.fakes.seen import ARTEFACT, backup, condition, database, result, storage, with_metadata, with_status

if TYPE_CHECKING:
    from dbcustody.contract import JobResult

AUDIT = LegalHold(reason="audit of the year")
PLACED = result(Verb.HOLD, Reason.HOLD_PLACED, "1 holds", hold=HoldFacts(placed=True))
RELEASED = result(Verb.HOLD, Reason.HOLD_RELEASED, "0 holds", hold=HoldFacts(placed=False))
DENIED = result(Verb.HOLD, Reason.STORAGE_DENIED, "put: is refused")
GONE = result(Verb.HOLD, Reason.NOTHING_TO_HOLD, "gone", hold=HoldFacts(placed=False, gone=True))


def finished(**spec: Any) -> ControlPlane:
    """Return a plane with a Backup that succeeded and is held, as nobody has looked at it since."""
    said = tuple(
        condition(kind, "True", Reason.SUCCEEDED)
        for kind in (ConditionType.READY, ConditionType.FINISHED, ConditionType.SUCCEEDED)
    )
    one = with_status(
        backup(**({"legal_hold": AUDIT} | spec)), conditions=said, observed_generation=1, artefact=ARTEFACT
    )
    return ControlPlane(one)


def moved(plane: ControlPlane, **spec: Any) -> None:
    """Change the Backup's spec, as a person does."""
    one = with_metadata(plane.backup, generation=plane.backup.metadata.generation + 1)
    plane.backup = replace(one, spec=replace(one.spec, **spec))


def answers(plane: ControlPlane, answer: JobResult | None) -> None:
    """Let the newest Job end with *answer*, and reconcile."""
    plane.ends(plane.started[-1][1], answer)
    plane.reconcile()


def said(plane: ControlPlane) -> tuple[str, Reason, str] | None:
    """Return what is said of the hold."""
    one = find(plane.status.conditions, ConditionType.HELD)
    return None if one is None else (one.status.value, one.reason, one.message)


def placed() -> ControlPlane:
    """Return a plane whose hold stands in the storage."""
    plane = finished()
    plane.reconcile()
    answers(plane, PLACED)
    return plane


def test_nothing_is_said_or_done_where_no_hold_was_ever_asked_for() -> None:
    """Most Backups have none."""
    plane = finished(legal_hold=None)
    plane.reconcile()

    assert (plane.started, said(plane), plane.status.hold) == ([], None, None)
    assert is_settled(plane.backup)


def test_a_hold_is_placed_by_one_job_and_said() -> None:
    """Until the Job has answered only the resource holds; then the storage does, and nothing more is done."""
    plane = finished()
    plane.reconcile()
    waits = said(plane)
    plane.reconcile()
    unsettled = is_settled(plane.backup)
    answers(plane, PLACED)
    plane.reconcile()

    assert waits == (
        "False",
        Reason.HOLD_PENDING,
        "`spec.legalHold` stands in the resource alone; a Job writes it into the storage",
    )
    assert not unsettled
    assert [verb for verb, _ in plane.started] == [Verb.HOLD]
    assert said(plane) == ("True", Reason.HOLD_PLACED, "the hold stands in the storage, beside the backup")
    assert plane.status.hold is not None
    assert (plane.status.hold.state, plane.status.hold.job_ref) == (HoldState.PLACED, None)
    assert is_settled(plane.backup)


def test_a_hold_that_is_taken_out_is_released_in_the_storage() -> None:
    """While it is being released the storage still holds, and says so."""
    plane = placed()
    moved(plane, legal_hold=None)
    plane.reconcile()
    meanwhile = said(plane)
    answers(plane, RELEASED)

    assert meanwhile == ("True", Reason.HOLD_PENDING, "the hold is being released; a Job writes it into the storage")
    assert len(plane.started) == 2
    assert said(plane) == ("False", Reason.HOLD_RELEASED, "")
    assert plane.status.observed_generation == 2


def test_a_mind_that_changes_while_the_job_works_starts_another_one() -> None:
    """The first Job may have placed the hold before it was stopped: nothing is taken for released that was not."""
    plane = finished()
    plane.reconcile()
    plane.runs(plane.started[0][1])
    moved(plane, legal_hold=None)
    found = plane.reconcile()
    plane.reconcile()
    answers(plane, RELEASED)

    assert [type(action) for action in found.actions] == [DeleteJob]
    assert len({name for _, name in plane.started}) == 2
    assert said(plane) == ("False", Reason.HOLD_RELEASED, "")


def test_holds_of_others_are_told() -> None:
    """A backup is held as long as anybody holds it."""
    plane = placed()
    moved(plane, legal_hold=None)
    plane.reconcile()
    answers(plane, result(Verb.HOLD, Reason.HOLD_RELEASED, hold=HoldFacts(placed=False, others=2)))
    released = said(plane)
    moved(plane, legal_hold=AUDIT)
    plane.reconcile()
    answers(plane, result(Verb.HOLD, Reason.HOLD_PLACED, hold=HoldFacts(placed=True, others=2)))

    assert released == ("True", Reason.HOLD_PLACED, "2 holds of others stand in the storage")
    assert said(plane) == (
        "True",
        Reason.HOLD_PLACED,
        "the hold stands in the storage, beside the backup; 2 holds of others stand in the storage",
    )


@pytest.mark.parametrize("answer", [DENIED, None], ids=["refused", "silent"])
def test_a_job_that_fails_is_tried_again_with_pauses(answer: JobResult | None) -> None:
    """What went wrong stays said between two tries, with the pause growing as everywhere."""
    plane = finished()
    plane.reconcile()
    pauses = []
    for _ in range(3):
        answers(plane, answer)
        before = said(plane)
        pauses.append(plane.reconcile().look_again_seconds)
        assert said(plane) == before
        assert before is not None
        assert (before[0], before[1]) == ("False", Reason.STORAGE_DENIED if answer else Reason.JOB_LOST)
        assert before[2].endswith("it is tried again")
        plane.passes(pauses[-1] or 0)
        plane.reconcile()

    assert pauses == [5.0, 10.0, 20.0]
    assert len({name for _, name in plane.started}) == 4
    answers(plane, PLACED)
    assert plane.status.hold == StoredHold(state=HoldState.PLACED, ordinal=4, ended_time=plane.now)


def test_what_an_earlier_spec_failed_of_is_not_said_of_this_one() -> None:
    """A release that waits for its turn does not repeat what was said of the placing."""
    plane = finished()
    plane.reconcile()
    answers(plane, DENIED)
    moved(plane, legal_hold=None)
    plane.reconcile()

    assert said(plane) == ("True", Reason.HOLD_PENDING, "the hold is being released; a Job writes it into the storage")


def test_a_job_that_cannot_have_a_pod_says_why() -> None:
    """What keeps the Job from working is said as of every Job."""
    plane = finished()
    plane.reconcile()
    plane.change(plane.started[0][1], is_suspended=True)
    plane.reconcile()
    found = said(plane)

    assert found is not None
    assert found[:2] == ("False", Reason.SUSPENDED)


@pytest.mark.parametrize("held", [True, False])
def test_of_what_is_gone_nothing_is_held(*, held: bool) -> None:
    """A backup that was deleted meanwhile cannot be held: that is said, and no Job is started again and again."""
    plane = finished() if held else placed()
    if not held:
        moved(plane, legal_hold=None)
    plane.reconcile()
    answers(plane, GONE)
    count = len(plane.started)
    plane.passes(100_000)
    plane.reconcile()

    assert len(plane.started) == count
    assert is_settled(plane.backup)
    expected = ("False", Reason.NOTHING_TO_HOLD, "the storage holds no such backup any more")
    assert said(plane) == (expected if held else ("False", Reason.HOLD_RELEASED, ""))


@pytest.mark.parametrize(
    ("seen", "reason", "message"),
    [
        pytest.param({"database": None}, Reason.DATABASE_NOT_FOUND, "Database 'shop'", id="no-database"),
        pytest.param(
            {"storage": with_status(storage(), location="s3://elsewhere")},
            Reason.HOLD_PENDING,
            "BackupStorage 'main' is s3://elsewhere",
            id="storage-moved",
        ),
        pytest.param(
            {"storage": storage(s3=storage().spec.s3, access_mode=AccessMode.READ_ONLY)},
            Reason.STORAGE_READ_ONLY,
            "BackupStorage 'main' is ReadOnly",
            id="read-only",
        ),
    ],
)
def test_what_keeps_the_hold_out_of_the_storage_is_said(seen: dict[str, Any], reason: Reason, message: str) -> None:
    """No Job is started against a wall; once it is gone the hold goes on by itself."""
    plane = finished()
    plane.seen = replace(plane.seen, **seen)
    plane.reconcile()
    found = said(plane)
    blocked = list(plane.started)
    plane.seen = replace(plane.seen, database=database(), storage=storage())
    plane.reconcile()

    assert found is not None
    assert found[:2] == ("False", reason)
    assert message in found[2]
    assert blocked == []
    assert [verb for verb, _ in plane.started] == [Verb.HOLD]


def test_the_verdict_on_a_backup_stays_beside_its_hold() -> None:
    """A backup that did not pass its verification may be evidence all the same: it stays Stalled, held or not."""
    plane = finished()
    stalled = condition(ConditionType.STALLED, "True", Reason.VERIFICATION_FAILED)
    plane.backup = with_status(plane.backup, conditions=(*plane.status.conditions, stalled))
    plane.reconcile()
    answers(plane, PLACED)

    assert find(plane.status.conditions, ConditionType.STALLED) == stalled
    assert said(plane) == ("True", Reason.HOLD_PLACED, "the hold stands in the storage, beside the backup")


def test_the_verdict_is_of_every_generation() -> None:
    """An edit of what may be edited does not make the verdict an old one: `kubectl wait` believes none of an older generation."""
    plane = finished(legal_hold=None)
    plane.reconcile()
    before = {one.type: one.last_transition_time for one in plane.status.conditions}
    moved(plane, legal_hold=None)
    plane.reconcile()

    assert {one.observed_generation for one in plane.status.conditions} == {plane.backup.metadata.generation} == {2}
    assert {one.type: one.last_transition_time for one in plane.status.conditions} == before


def test_a_backup_without_data_has_nothing_to_hold() -> None:
    """A run that failed left nothing; the spec says what it says, and no Job is started for it."""
    plane = finished()
    plane.backup = with_status(plane.backup, artefact=None)
    plane.reconcile()

    assert (plane.started, said(plane)) == ([], None)
    assert is_settled(plane.backup)


def test_an_object_whose_time_is_over_stays_until_its_hold_is_released() -> None:
    """Nobody could release the hold of a resource that is gone but a person, by hand."""
    plane = finished(ttl_seconds_after_finished=60)
    plane.backup = with_status(plane.backup, finish_time=plane.now - timedelta(seconds=50))
    plane.reconcile()
    answers(plane, PLACED)
    plane.passes(100)
    moved(plane, legal_hold=None)
    plane.reconcile()
    stays = not plane.is_gone
    answers(plane, RELEASED)
    last = plane.reconcile()

    assert stays
    assert plane.is_gone
    assert [type(action) for action in last.actions] == [DeleteBackup]


def test_a_removal_is_not_held_up_by_a_job_of_the_hold() -> None:
    """A person took the hold out and deleted the Backup with its data: the removal releases what it placed itself."""
    plane = finished(legal_hold=None, deletion_policy=DeletionPolicy.DELETE)
    plane.backup = with_status(plane.backup, hold=StoredHold(state=HoldState.PLACED, ordinal=1))
    plane.reconcile()
    plane.backup = with_metadata(plane.backup, deletion_timestamp=plane.now, finalizers=(FINALIZER,))
    plane.reconcile()
    plane.reconcile()

    assert [verb for verb, _ in plane.started] == [Verb.HOLD, Verb.PRUNE]
