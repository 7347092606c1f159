"""A RestoreRequest that takes a database's place: in which order, what is put back on every path, and what is dropped in the end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.backup import BackupScope
from dbcustody.api.condition import ConditionType, merge, no, yes
from dbcustody.api.meta import ObjectRef
from dbcustody.api.restore import RestoreStage
from dbcustody.contract import Verb
from dbcustody.facts import RestoreFacts
from dbcustody.naming import FINALIZER
from dbcustody.plan.actions import CreateBackup, StartJob, Tell
from dbcustody.plan.freeze import FreezeWindow
from dbcustody.plan.replace import STOPPING_PATIENCE
from dbcustody.plan.replacement import incoming_name
from dbcustody.plan.restore_work import mark_of
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.replace_plane import (
    RUNNING,
    SUCCEEDED,
    at_restore,
    at_safety,
    at_swap,
    backed_up,
    plane,
    pods_end,
    replicas,
    undone_by,
)
from tests.fakes.restore_plane import (
    IS_PLANNED,
    IS_READY,
    IS_SWAPPED,
    OLD,
    UNDO_PLANNED,
)

if TYPE_CHECKING:
    from dbcustody.plan.workload import SeenWorkload


def test_everything_in_its_order() -> None:
    """Plan, safety backup, restore, workloads down, swap, workloads up; only then it is said to be over."""
    found = plane()
    found.steps(3)
    assert found.request.metadata.finalizers == (FINALIZER,)
    found.ends(IS_PLANNED)
    found.steps(4)
    (made,) = [one for one in found.actions if isinstance(one, CreateBackup)]
    assert made.manifest["spec"] == {"policyRef": {"name": "nightly"}}
    assert "ownerReferences" not in made.manifest["metadata"]
    assert (found.verbs, found.word(ConditionType.SAFETY_BACKUP_TAKEN)) == (["plan-restore"], ("Unknown", "Running"))
    assert found.request.status.progress is not None
    assert found.request.status.progress.stage is RestoreStage.SAFETY_BACKUP
    backed_up(found, *SUCCEEDED)
    found.steps(3)
    assert found.verbs == ["plan-restore", "restore"]
    asked = found.asked().restore
    assert (asked.database, asked.plan_hash) == (incoming_name(mark_of(found.request)), "abcdef")
    assert (asked.replace.confirm, asked.replace.custody_id, asked.replace.undoes) == (
        "shop@7/16384",
        "team.shop",
        None,
    )
    assert replicas(found) == 3
    found.ends(IS_READY)
    found.steps(3)
    assert (replicas(found), found.word(ConditionType.CHECKS_PASSED)) == (0, ("True", "ChecksPassed"))
    (stopped,) = found.request.status.workloads
    assert (stopped.replicas, stopped.resumed, found.verbs[-1]) == (3, False, "restore")
    pods_end(found)
    found.steps(2)
    assert found.verbs[-1] == "swap"
    found.ends(IS_SWAPPED)
    found.step()
    assert (found.word(ConditionType.FINISHED), replicas(found)) == (("False", "Running"), 3)
    found.steps(2)
    assert found.word(ConditionType.SUCCEEDED) == ("True", "Succeeded")
    assert found.word(ConditionType.SWAPPED) == ("True", "Swapped")
    assert found.word(ConditionType.WORKLOADS_RESUMED) == ("True", "WorkloadsResumed")
    assert (found.request.status.old_database, found.request.metadata.finalizers) == (OLD, ())
    assert found.look_again_seconds == pytest.approx(86_400, abs=5)


def test_the_swap_is_tried_once_with_the_storage_at_hand() -> None:
    """An eviction does not begin it anew, and who was erased is looked for where the backup lies."""
    found = at_swap()
    spec = found.started[-1]["spec"]
    assert (spec["backoffLimit"], spec["podFailurePolicy"]["rules"][0]["action"]) == (0, "FailJob")
    assert (found.asked().storage_name, found.asked().restore.backup_id) == ("main", "20260131T110000Z-monday-0a1b2c3d")


def test_the_old_one_is_dropped_in_its_time() -> None:
    """Not before, once, and again when it did not work."""
    found = at_swap()
    found.ends(IS_SWAPPED)
    found.steps(4)
    found.passes(86_400 - 60)
    found.steps(2)
    assert found.verbs[-1] == "swap"
    found.passes(120)
    found.steps(3)
    assert (found.verbs[-1], found.asked().storage_name) == ("drop-replaced", None)
    found.runs()
    found.step()
    found.ends(seen.result(Verb.DROP_REPLACED, Reason.CONNECTION_LOST, "no answer"))
    found.step()
    assert found.verbs.count("drop-replaced") == 1
    found.passes(3600)
    found.steps(3)
    assert (found.verbs.count("drop-replaced"), [one for one in found.actions if isinstance(one, Tell)] != []) == (
        2,
        True,
    )
    found.ends(seen.result(Verb.DROP_REPLACED, Reason.SWAPPED, "the old database is dropped"))
    found.steps(3)
    old = found.request.status.old_database
    assert old is not None
    assert (old.dropped_time is not None, found.word(ConditionType.SUCCEEDED)) == (True, ("True", "Succeeded"))
    assert len([one for one in found.actions if isinstance(one, StartJob)]) == len(set(found.verbs)) + 1


def test_what_is_over_says_so_while_the_old_one_is_kept_and_dropped() -> None:
    """A late cancellation is seen, so that nobody waits for this generation; what the progress column shows stays."""
    found = at_swap()
    found.ends(IS_SWAPPED)
    found.steps(4)
    found.request = seen.with_metadata(found.request, generation=2)
    found.step()
    assert found.request.status.observed_generation == 2
    found.passes(90_000)
    found.steps(3)
    assert found.request.status.progress is not None
    assert (found.verbs[-1], found.request.status.progress.summary) == ("drop-replaced", "Done")


def test_dropping_waits_for_its_database_resource() -> None:
    """Without the Database nobody knows where the server is."""
    found = at_swap()
    found.ends(IS_SWAPPED)
    found.steps(4)
    found.passes(90_000)
    found.around = replace(found.around, database=None)
    found.steps(3)
    assert (found.jobs.get(found.name), found.look_again_seconds) == (None, 60.0)


def test_without_a_safety_backup_if_it_is_declined() -> None:
    """It goes from the plan to the restore at once."""
    found = at_restore(safety_backup=False)
    assert (found.verbs, found.around.safety_backup) == (["plan-restore", "restore"], None)


def test_no_policy_no_safety_backup() -> None:
    """What cannot be backed up is not replaced; a policy that comes lets it go on."""
    found = plane()
    found.around = replace(found.around, safety_policy=None)
    found.steps(3)
    found.ends(IS_PLANNED)
    found.steps(3)
    assert found.word(ConditionType.READY) == ("False", "PolicyNotFound")
    assert "no BackupPolicy of Database 'shop' can take" in found.message(ConditionType.READY)
    found.around = replace(found.around, safety_policy="nightly")
    found.steps(3)
    assert found.around.safety_backup is not None


def test_a_policy_that_goes_before_the_safety_backup_is_asked_for() -> None:
    """It is waited for: a Backup of no policy is never asked for."""
    found = plane()
    found.steps(3)
    found.ends(IS_PLANNED)
    while found.request.status.safety_backup is None:
        found.steps(1)
    found.around = replace(found.around, safety_policy=None, safety_backup=None)
    found.steps(2)
    assert found.word(ConditionType.READY) == ("False", "PolicyNotFound")


@pytest.mark.parametrize("undoes", [False, True], ids=["restore", "undo"])
def test_a_policy_that_leaves_something_out_takes_no_safety_backup(*, undoes: bool) -> None:
    """It is said which ones do, and what helps; a policy of the whole that comes lets it go on."""
    found = plane(**({"undo_of": ObjectRef(name="back")} if undoes else {}))
    partial = tuple(f"part-{number}" for number in range(5))
    found.around = replace(found.around, safety_policy=None, partial_policies=partial, undone=undone_by())
    found.steps(3)
    found.ends(UNDO_PLANNED if undoes else IS_PLANNED)
    found.steps(3)
    assert found.word(ConditionType.READY) == ("False", "PolicyNotFound")
    assert (
        found.message(ConditionType.READY)
        == "no BackupPolicy of Database 'shop' takes all of it, which the safety backup must: "
        "part-0, part-1, part-2 and 2 more leave something out; make one without `tables`, or decline it with `safetyBackup: false`"
    )
    assert (found.around.safety_backup, replicas(found)) == (None, 3)
    found.around = replace(found.around, safety_policy="nightly")
    found.steps(3)
    assert found.around.safety_backup is not None


@pytest.mark.parametrize("scope", [BackupScope.PARTIAL, None], ids=["partial", "of-an-older-version"])
def test_a_safety_backup_that_came_out_partial_ends_it(scope: BackupScope | None) -> None:
    """The policy may have been changed meanwhile; what is not known to be whole is not taken for it."""
    found = at_safety()
    backed_up(found, *SUCCEEDED, scope=scope)
    found.steps(2)
    assert found.word(ConditionType.SUCCEEDED) == ("False", "SafetyBackupFailed")
    assert found.word(ConditionType.SAFETY_BACKUP_TAKEN) == ("False", "SafetyBackupFailed")
    assert "is not known to be of the whole database" in found.message(ConditionType.SUCCEEDED)
    assert (found.verbs, replicas(found)) == (["plan-restore"], 3)


def test_a_safety_backup_that_is_gone_ends_it() -> None:
    """It succeeded, and somebody took it out of the storage: there would be no way back."""
    found = at_safety()
    backed_up(found, *SUCCEEDED, no(ConditionType.UPLOADED, Reason.DATA_VANISHED, "its data vanished"))
    found.steps(2)
    assert found.word(ConditionType.SUCCEEDED) == ("False", "SafetyBackupFailed")
    assert found.message(ConditionType.SUCCEEDED).endswith(": its data vanished")
    assert (found.verbs, replicas(found)) == (["plan-restore"], 3)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        pytest.param((yes(ConditionType.FINISHED, Reason.CONNECTION_LOST),), "it failed", id="silent"),
        pytest.param(
            (
                yes(ConditionType.FINISHED, Reason.CONNECTION_LOST),
                no(ConditionType.SUCCEEDED, Reason.CONNECTION_LOST, "gone"),
            ),
            "ConnectionLost: gone",
            id="told",
        ),
    ],
)
def test_a_safety_backup_that_fails_ends_it(said: tuple[Any, ...], words: str) -> None:
    """Nothing was touched."""
    found = at_safety()
    found.step()
    assert found.word(ConditionType.FINISHED) == ("False", "Running")
    backed_up(found, *said)
    found.steps(2)
    assert found.word(ConditionType.SUCCEEDED) == ("False", "SafetyBackupFailed")
    assert found.word(ConditionType.SWAPPED) == ("False", "SafetyBackupFailed")
    assert words in found.message(ConditionType.SUCCEEDED)
    assert (found.verbs, replicas(found)) == (["plan-restore"], 3)


@pytest.mark.parametrize(
    ("workloads", "reason"),
    [
        pytest.param((), Reason.WORKLOAD_NOT_FOUND, id="not-seen"),
        pytest.param((replace(RUNNING, replicas=None),), Reason.WORKLOAD_NOT_FOUND, id="not-there"),
        pytest.param((replace(RUNNING, replicas=None, refusal="forbidden"),), Reason.SCALE_FORBIDDEN, id="forbidden"),
    ],
)
def test_what_could_not_be_scaled_is_found_out_first(workloads: tuple[SeenWorkload, ...], reason: Reason) -> None:
    """Before the safety backup, and again before anything is stopped."""
    found = plane()
    found.around = replace(found.around, workloads=workloads)
    found.steps(3)
    found.ends(IS_PLANNED)
    found.steps(3)
    assert (found.word(ConditionType.READY), found.request.status.safety_backup) == (("False", reason.value), None)

    later = at_restore()
    later.ends(IS_READY)
    later.around = replace(later.around, workloads=workloads)
    later.steps(3)
    assert (later.word(ConditionType.READY), later.verbs[-1]) == (("False", reason.value), "restore")
    later.around = replace(later.around, workloads=(RUNNING,))
    later.steps(3)
    assert replicas(later) == 0


def test_pods_that_stay_are_not_waited_for_for_ever() -> None:
    """Their sessions are ended by the swap, and no new ones are let in."""
    found = at_restore()
    found.ends(IS_READY)
    found.steps(3)
    assert found.verbs[-1] == "restore"
    found.passes(STOPPING_PATIENCE.total_seconds() + 1)
    found.steps(2)
    assert found.verbs[-1] == "swap"


def test_nothing_is_stopped_in_a_freeze_window() -> None:
    """What was restored waits, shut; once workloads are stopped it goes on."""
    found = at_restore()
    found.ends(IS_READY)
    found.around = replace(found.around, freeze_windows=(FreezeWindow(schedule="* * * * *", duration_seconds=120),))
    found.steps(3)
    assert (found.word(ConditionType.READY), replicas(found)) == (("False", "FreezeWindow"), 3)
    found.around = replace(found.around, freeze_windows=())
    found.steps(2)
    found.around = replace(found.around, freeze_windows=(FreezeWindow(schedule="* * * * *", duration_seconds=120),))
    pods_end(found)
    found.steps(2)
    assert found.verbs[-1] == "swap"


def test_the_database_resource_may_be_gone_for_a_while() -> None:
    """Nothing is decided without it."""
    for at in (at_safety, at_restore):
        found = at()
        found.around = replace(found.around, database=None)
        if at is at_restore:
            found.ends(IS_READY)
        found.steps(2)
        assert found.word(ConditionType.READY) == ("False", "DatabaseNotFound")


def test_others_go_first() -> None:
    """Two requests for one place take turns."""
    found = plane()
    found.around = replace(found.around, rivals=("first",))
    found.steps(3)
    found.ends(IS_PLANNED)
    found.steps(3)
    assert (found.word(ConditionType.READY), "first" in found.message(ConditionType.READY)) == (
        ("False", "Pending"),
        True,
    )
    found.around = replace(found.around, rivals=())
    found.steps(4)
    assert found.around.safety_backup is not None


def test_an_undo_swaps_what_was_kept() -> None:
    """Nothing is restored; the same safety backup, the same workloads, the same way out."""
    found = plane(undo_of=ObjectRef(name="back"))
    found.around = replace(found.around, undone=undone_by())
    found.steps(3)
    asked = found.asked()
    assert (asked.restore.replace.undoes, asked.restore.replace.kept_time) == (mark_of(undone_by()), OLD.kept_time)
    assert (asked.custody_id, asked.storage_name) == ("team.shop", "main")
    found.ends(UNDO_PLANNED)
    found.steps(4)
    backed_up(found, *SUCCEEDED)
    found.steps(3)
    pods_end(found)
    found.steps(2)
    assert found.verbs == ["plan-restore", "swap"]
    found.ends(IS_SWAPPED)
    found.steps(3)
    assert found.word(ConditionType.SUCCEEDED) == ("True", "Succeeded")


def test_filed_again_it_still_drops_what_was_put_away() -> None:
    """What the server remembers of the swap stands in status again: until when it is kept, and what is live now."""
    found = plane()
    found.steps(3)
    facts = RestoreFacts(is_handed_over=True, old_database=OLD, oid=16390)
    found.ends(seen.result(Verb.PLAN_RESTORE, Reason.ADOPTED, "shop was swapped in for this before", restore=facts))
    found.steps(3)
    status = found.request.status
    assert (found.word(ConditionType.SUCCEEDED), status.old_database, status.oid) == (("True", "Adopted"), OLD, 16390)
    assert (replicas(found), found.request.metadata.finalizers) == (3, ())
    found.passes(86_401)
    found.steps(3)
    assert found.verbs == ["plan-restore", "drop-replaced"]


def test_an_undo_filed_again_is_asked_for_at_the_server() -> None:
    """What it took back tells, filed again, that it was taken back, and nothing of what is kept: the undo may be what did it."""
    said = (
        yes(ConditionType.FINISHED, Reason.ALREADY_UNDONE),
        no(ConditionType.SUCCEEDED, Reason.ALREADY_UNDONE, "was put back"),
    )
    conditions = merge((), said, generation=1, now=seen.NOW)
    found = plane(undo_of=ObjectRef(name="back"))
    found.around = replace(found.around, undone=undone_by(conditions=conditions, old_database=None))
    found.steps(3)
    assert found.verbs == ["plan-restore"]


@pytest.mark.parametrize(
    ("undone", "storage", "word"),
    [
        pytest.param(None, True, ("False", "NothingToUndo"), id="not-there"),
        pytest.param(undone_by(conditions=()), True, ("False", "Pending"), id="not-over"),
        pytest.param(undone_by(old_database=None), True, ("False", "NothingToUndo"), id="kept-nothing"),
        pytest.param(undone_by(), False, ("False", "StorageNotFound"), id="no-storage"),
    ],
)
def test_what_cannot_be_undone(undone: Any, *, storage: bool, word: tuple[str, str]) -> None:
    """It is said why, and what may come is waited for."""
    found = plane(undo_of=ObjectRef(name="back"))
    found.around = replace(found.around, undone=undone, storage=found.around.storage if storage else None)
    found.steps(3)
    assert (found.word(ConditionType.READY), found.verbs) == (word, [])
