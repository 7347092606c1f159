"""What a Backup says of its data once the run is over: gone, by whose word, and back again; and what stays true of the run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.condition import ConditionType, find
from dbcustody.api.meta import ObjectRef
from dbcustody.api.policy import PlanEntry
from dbcustody.contract import Verb
from dbcustody.reason import Reason
from tests.fakes.control_plane import ControlPlane, started, words
from tests.fakes.seen import NOW, ago, facts, policy, result, with_metadata, with_status

GOOD = result(Verb.BACKUP, Reason.SUCCEEDED, backup=facts(finish_time=ago(10)))
UNREADABLE = replace(
    result(Verb.BACKUP, Reason.ARCHIVE_DAMAGED, "a byte is another", backup=facts(verified_level=None)),
)
KEPT = PlanEntry(name="monday", keep=True, because=("Daily",), expires_time=NOW)
TOLD = "retention of BackupPolicy 'nightly'"
RUN = (ConditionType.READY, ConditionType.FINISHED, ConditionType.SUCCEEDED, ConditionType.VERIFIED)


def taken(answer: Any = GOOD) -> ControlPlane:
    """Return a control plane in which a Backup that a person made for `nightly` is over, and retention keeps it."""
    plane = started()
    plane.backup = replace(plane.backup, spec=replace(plane.backup.spec, policy_ref=ObjectRef(name="nightly")))
    plane.ends(plane.last_job.name, answer)
    tells(plane, plan=(KEPT,))
    return plane


def tells(plane: ControlPlane, *, age: float = 0, **found: Any) -> None:
    """Let retention tell what it *found*, and the operator look at the Backup."""
    told = with_status(policy(), pruned_time=ago(age), **found)
    plane.seen = replace(plane.seen, policy=told)
    plane.reconcile()
    plane.reconcile()


def shown(plane: ControlPlane) -> tuple[Any, str, tuple[str, ...], Any]:
    """Return what is said of the data: the condition, the progress column, why it stays and until when."""
    status = plane.status
    assert status.progress is not None
    return (
        words(plane, ConditionType.UPLOADED),
        status.progress.summary,
        status.retained_because,
        status.expires_time,
    )


def message(plane: ControlPlane) -> str:
    """Return what is said to people."""
    said = find(plane.status.conditions, ConditionType.UPLOADED)
    assert said is not None
    return said.message


@pytest.mark.parametrize(
    ("found", "reason", "summary", "told"),
    [
        pytest.param(
            {"deleted": ("monday",)},
            "DataDeleted",
            "Data deleted",
            f"its data is deleted, as {TOLD} told at 2026-01-31T12:00:00Z",
            id="deleted",
        ),
        pytest.param(
            {"vanished": ("monday",)},
            "DataVanished",
            "Data vanished",
            f"its data vanished without a tombstone, as {TOLD} found at 2026-01-31T12:00:00Z",
            id="vanished",
        ),
        pytest.param(
            {"deleted": ("monday",), "vanished": ("monday",)},
            "DataDeleted",
            "Data deleted",
            f"its data is deleted, as {TOLD} told at 2026-01-31T12:00:00Z",
            id="both",
        ),
    ],
)
def test_data_that_is_gone_is_told(found: dict[str, Any], reason: str, summary: str, told: str) -> None:
    """By the condition and the progress column; nothing is said any more of why it stays, and all that is said of the run stays."""
    plane = taken()
    before = [words(plane, kind) for kind in RUN]
    assert shown(plane) == (("True", "Uploaded"), "Done", ("Daily",), NOW)

    tells(plane, **found)

    assert shown(plane) == (("False", reason), summary, (), None)
    assert message(plane) == told
    assert [words(plane, kind) for kind in RUN] == before == [("True", "Succeeded")] * 3 + [("True", "Verified")]
    assert plane.status.artefact is not None


@pytest.mark.parametrize("found", ["deleted", "vanished"])
def test_it_is_told_once(found: str) -> None:
    """Whatever the next prunes say, or do not say any more: the word stays as it was first said, also of another generation."""
    plane = taken()
    tells(plane, age=5, **{found: ("monday",)})
    first = plane.status
    tells(plane, **{found: ("monday",)})
    again = plane.status
    tells(plane)
    plane.backup = with_metadata(plane.backup, generation=2)
    plane.reconcile()

    assert again == first
    assert message(plane) == next(one.message for one in first.conditions if one.type is ConditionType.UPLOADED)
    assert plane.status.observed_generation == 2
    assert shown(plane)[1:] == (first.progress.summary if first.progress else "", (), None)


@pytest.mark.parametrize("writes", [0, 1], ids=["before-status", "after-status"])
def test_a_word_that_was_lost_on_the_way_is_read_again(writes: int) -> None:
    """An operator that dies over it is followed by one that reads the same in the policy."""
    plane, whole = taken(), taken()
    tells(whole, deleted=("monday",))
    plane.seen = replace(plane.seen, policy=with_status(policy(), pruned_time=NOW, deleted=("monday",)))
    plane.reconcile(dies_after=writes)
    plane.reconcile()

    assert plane.status == whole.status


def test_what_vanished_and_is_there_again_counts_again() -> None:
    """Retention decides about it again; that it is not missed is not enough, for it may not have been asked for."""
    plane = taken()
    tells(plane, vanished=("monday",))
    tells(plane)
    unasked = shown(plane)
    tells(plane, vanished=("monday",), plan=(KEPT,))
    torn = shown(plane)
    tells(plane, plan=(replace(KEPT, name="sunday"), KEPT))

    assert unasked == torn == (("False", "DataVanished"), "Data vanished", (), None)
    assert shown(plane) == (("True", "Uploaded"), "Done", ("Daily",), NOW)
    assert message(plane) == "s3://backups/shop/20260131T110000Z"


def test_what_was_deleted_never_comes_back() -> None:
    """A name stands for one backup for ever."""
    plane = taken()
    tells(plane, deleted=("monday",))
    tells(plane, plan=(KEPT,))
    tells(plane, vanished=("monday",))

    assert shown(plane) == (("False", "DataDeleted"), "Data deleted", (), None)


def test_what_vanished_may_be_deleted_after_all() -> None:
    """It came back, and went by the rules, while nobody looked."""
    plane = taken()
    tells(plane, vanished=("monday",))
    tells(plane, deleted=("monday",))

    assert shown(plane)[:2] == (("False", "DataDeleted"), "Data deleted")


@pytest.mark.parametrize(
    "found",
    [
        pytest.param({"deleted": ("sunday",), "vanished": ("tuesday",)}, id="others"),
        pytest.param({"deleted": ("monday",), "vanished": ("monday",), "age": 11}, id="another-of-this-name-before-it"),
    ],
)
def test_what_is_there_is_not_said_to_be_gone(found: dict[str, Any]) -> None:
    """Only what retention told of this very Backup counts."""
    plane = taken()
    tells(plane, **found)

    assert shown(plane) == (("True", "Uploaded"), "Done", ("Daily",), NOW)


def test_nobody_has_told_anything() -> None:
    """A policy of which no prune was heard yet says nothing of anybody's data."""
    plane = taken()
    plane.seen = replace(plane.seen, policy=with_status(policy(), deleted=("monday",)))
    plane.reconcile()

    assert shown(plane)[0] == ("True", "Uploaded")


def test_what_was_never_committed_cannot_be_gone() -> None:
    """A run that failed before it wrote anything keeps its own word."""
    plane = taken(result(Verb.BACKUP, Reason.DUMP_FAILED, "pg_dump: 1"))
    before = plane.status
    tells(plane, deleted=("monday",), vanished=("monday",))

    assert plane.status == before


def test_a_bad_backup_says_it_too_and_stays_a_bad_one() -> None:
    """What did not pass its verification lies there for a while, and goes; the verdict is not touched, not even by its coming back."""
    plane = taken(UNREADABLE)
    tells(plane, vanished=("monday",))
    gone = shown(plane)[:2], words(plane, ConditionType.SUCCEEDED)
    tells(plane, plan=(KEPT,))

    assert gone == ((("False", "DataVanished"), "Data vanished"), ("False", "ArchiveDamaged"))
    assert shown(plane)[:2] == (("True", "Uploaded"), "ArchiveDamaged")


def test_a_status_of_old_times_without_progress_is_told_as_well() -> None:
    """There is a column to fill."""
    plane = taken()
    plane.backup = with_status(plane.backup, progress=None)
    tells(plane, deleted=("monday",))

    assert shown(plane)[1] == "Data deleted"
