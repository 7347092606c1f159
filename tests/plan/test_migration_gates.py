"""What a DatabaseMigration waits for before it runs anything: other environments, a backup, a commit that names the plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.backup import BackupScope
from dbcustody.api.condition import ConditionType, no, unknown, yes
from dbcustody.api.meta import ObjectRef
from dbcustody.api.migration import (
    BackupGate,
    MigrationApproval,
    MigrationGates,
    SeverityClass,
    StatedFinding,
)
from dbcustody.api.restore import StatedObstacle
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.migration_plane import (
    ALL_IN,
    PENDING,
    TO_DO,
    MigrationPlane,
    config_map,
    looked,
    migration,
    refusal,
    told,
    word,
)

if TYPE_CHECKING:
    from dbcustody.api.backup import Backup

READY, STALLED = ConditionType.READY, ConditionType.STALLED
LINT, BACKUP, PROMOTED = ConditionType.LINT_PASSED, ConditionType.BACKUP_READY, ConditionType.PROMOTION_PROVEN
APPROVED = ConditionType.APPROVED
NIGHTLY = ObjectRef(name="nightly")
GOOD = (
    yes(ConditionType.FINISHED, Reason.SUCCEEDED),
    yes(ConditionType.SUCCEEDED, Reason.SUCCEEDED),
    yes(ConditionType.VERIFIED, Reason.VERIFIED),
)


def backup(age_seconds: float = 60, name: str = "monday", **status: Any) -> Backup:
    """Return a Backup that shows what was there so long ago."""
    told: dict[str, Any] = {
        "conditions": GOOD,
        "scope": BackupScope.WHOLE,
        "snapshot_time": seen.ago(age_seconds),
        "finish_time": seen.ago(age_seconds - 10),
        "lsn": "0/16B3740",
    }
    return seen.with_status(seen.backup(name, policy_ref=NIGHTLY), **(told | status))  # type: ignore[no-any-return]


def plane(*backups: Backup, take_new: bool = False, **spec: Any) -> MigrationPlane:
    """Return a plane whose resource wants a backup of the last hour."""
    gates = MigrationGates(backup=BackupGate(policy_ref=NIGHTLY, take_new=take_new))
    found = MigrationPlane(migration=migration(gates=gates, **spec))
    found.around = replace(found.around, backups=backups, policy=seen.policy())
    return looked(plane=found)


def finish(found: MigrationPlane, *conditions: Any, name: str | None = None) -> None:
    """Let the backup that was taken be over, and the operator look."""
    made = found.around.backups[-1]
    done = backup(0, name or made.metadata.name, conditions=conditions or GOOD, finish_time=found.now)
    done = replace(done, metadata=made.metadata)
    done = replace(done, status=replace(done.status, snapshot_time=found.now))
    found.around = replace(found.around, backups=(*found.around.backups[:-1], done))
    found.steps(2)


def backup_of_run(found: MigrationPlane) -> str | None:
    """Return which backup the run is told to write down."""
    terms = found.asked().migration
    assert terms is not None
    return terms.backup


def test_what_is_too_risky_stops_it_and_is_told() -> None:
    """The findings stand in status; once the files are others it is looked at again, and goes on."""
    finding = StatedFinding(migration="f", rule="drop-table", severity=SeverityClass.ERROR, message="m" * 2000, line=1)
    obstacle = StatedObstacle(reason="LintFailed", message="f: line 1: Error drop-table: all is lost")
    stated = replace(PENDING, findings=(finding,) * 60, refused=1, obstacles=(obstacle,))
    found = looked(replace(TO_DO, plan=stated))
    found.step()
    assert (found.word(READY), found.word(STALLED)) == (("False", "LintFailed"), ("True", "LintFailed"))
    assert found.word(LINT) == ("False", "LintFailed")
    assert found.message(LINT) == "refused: 1; f: line 1: Error drop-table: all is lost"
    plan = found.migration.status.plan
    assert plan is not None
    assert (len(plan.findings), len(plan.findings[0].message)) == (50, 1024)
    assert found.verbs == ["plan-migration"]
    found.edit(config=config_map("select 2"))
    found.step()
    assert found.word(LINT) == ("Unknown", "Pending")
    found.ends(told(TO_DO))
    found.step()
    assert (found.word(LINT), found.verbs[-1]) == (("True", "LintPassed"), "migrate")


def test_a_run_that_found_it_too_risky_is_planned_and_tried_again() -> None:
    """A table may have grown since, and shrink again: what counts is the plan as it is now."""
    found = looked()
    found.ends(refusal(Reason.LINT_FAILED))
    found.steps(2)
    found.passes(400)
    found.steps(3)
    assert found.verbs[-1] == "migrate"
    assert found.verbs.count("migrate") == 2


def test_a_fresh_backup_is_named_and_it_begins() -> None:
    """With the moment and the place in the write-ahead log that it shows; the newest counts."""
    found = plane(backup(1800, "older"), backup(60), backup(4000, "old"))
    assert found.verbs[-1] == "migrate"
    assert found.word(BACKUP) == ("True", "BackupReady")
    status = found.migration.status.backup
    assert status is not None
    assert (status.name, status.snapshot_time, status.lsn) == ("monday", seen.ago(60), "0/16B3740")
    assert found.message(BACKUP).endswith("LSN 0/16B3740")
    assert not found.message(BACKUP).startswith("Backup monday shows an unknown")
    assert backup_of_run(found) == "monday at 0/16B3740"


def test_one_whose_manifest_names_no_lsn_counts_as_well() -> None:
    """A standby may have had none to tell."""
    found = plane(backup(60, lsn=None))
    assert "LSN" not in found.message(BACKUP)
    assert backup_of_run(found) == "monday"
    assert found.verbs[-1] == "migrate"


@pytest.mark.parametrize(
    "unfit",
    [
        backup(3700),
        backup(scope=BackupScope.PARTIAL),
        backup(scope=None),
        backup(conditions=GOOD[:2]),
        backup(conditions=(*GOOD[:2], unknown(ConditionType.VERIFIED, Reason.NOT_REQUESTED))),
        backup(conditions=(no(ConditionType.SUCCEEDED, Reason.VERIFICATION_FAILED), GOOD[2])),
        backup(conditions=(*GOOD, no(ConditionType.UPLOADED, Reason.DATA_VANISHED))),
        backup(snapshot_time=None),
        replace(backup(), spec=replace(backup().spec, policy_ref=ObjectRef(name="other"))),
    ],
)
def test_what_is_no_fresh_whole_verified_backup_is_waited_for(unfit: Backup) -> None:
    """Nothing runs, nothing is wrong; one that comes is noticed."""
    found = plane(unfit)
    assert found.verbs == ["plan-migration"]
    assert (found.word(READY), found.word(BACKUP)) == (("False", "BackupPending"), ("Unknown", "BackupPending"))
    assert found.look_again_seconds == 30
    found.around = replace(found.around, backups=(unfit, backup(5, "tuesday")))
    found.step()
    assert (found.verbs[-1], found.word(BACKUP)) == ("migrate", ("True", "BackupReady"))


def test_why_a_young_one_does_not_count_is_told() -> None:
    """A policy that verifies less than what is asked here."""
    found = plane(backup(conditions=GOOD[:2]))
    assert found.message(BACKUP).endswith(
        "Backup monday is not known to be whole and read back (`verification.level: Read`)"
    )


def test_one_is_taken_where_that_is_asked_for() -> None:
    """Once; it is waited for, and counts by when it was done."""
    found = plane(backup(4000), take_new=True)
    found.steps()
    made = found.around.backups[-1]
    assert (made.spec.policy_ref, len(found.around.backups), found.verbs) == (NIGHTLY, 2, ["plan-migration"])
    assert found.message(BACKUP) == f"Backup {made.metadata.name} is taken first"
    assert (found.word(READY), found.word(BACKUP)) == (("Unknown", "BackupPending"), ("Unknown", "BackupPending"))
    found.passes(900)
    finish(found)
    assert (found.verbs[-1], found.migration.status.backup.name) == ("migrate", made.metadata.name)  # type: ignore[union-attr]


def test_one_that_was_taken_is_too_old_for_the_next_run() -> None:
    """Another is taken, under another name."""
    found = plane(take_new=True)
    finish(found)
    first = found.around.backups[-1].metadata.name
    found.ends(refusal(Reason.LOCK_NOT_OBTAINED))
    found.passes(4000)
    found.steps(4)
    found.ends(told(TO_DO))
    found.passes(10)
    found.steps(3)
    assert found.around.backups[-1].metadata.name != first
    assert found.verbs.count("migrate") == 1
    finish(found)
    assert found.verbs.count("migrate") == 2


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        (
            (GOOD[0], no(ConditionType.SUCCEEDED, Reason.STORAGE_UNREACHABLE, "no room")),
            f"{Reason.STORAGE_UNREACHABLE.value}: no room",
        ),
        (GOOD[:2], "is not known to be whole and read back"),
        (GOOD[:1], "is not known to be whole and read back"),
    ],
)
def test_one_that_failed_needs_a_person(conditions: tuple[Any, ...], words: str) -> None:
    """Whose word in the annotation has another taken."""
    found = plane(take_new=True)
    finish(found, *conditions)
    assert (found.word(BACKUP), found.word(STALLED)) == (
        ("False", "BackupBeforeFailed"),
        ("True", "BackupBeforeFailed"),
    )
    assert words in found.message(BACKUP)
    found.steps()
    assert len(found.around.backups) == 1
    found.ask_again()
    found.steps(2)
    found.ends(told(TO_DO))
    found.steps(3)
    assert len(found.around.backups) == 2
    finish(found)
    assert found.verbs[-1] == "migrate"


def test_a_word_while_one_is_taken_takes_no_other() -> None:
    """What is under way is waited for."""
    found = plane(take_new=True)
    found.ask_again()
    found.steps(2)
    found.ends(told(TO_DO))
    found.steps(3)
    assert len(found.around.backups) == 1


def test_one_that_was_deleted_before_it_was_seen_is_made_again() -> None:
    """An operator that died between status and Backup, too."""
    found = plane(take_new=True)
    name = found.around.backups[-1].metadata.name
    found.around = replace(found.around, backups=())
    found.step()
    assert [one.metadata.name for one in found.around.backups] == [name]


@pytest.mark.parametrize("policy", [None, seen.policy(database_ref=ObjectRef(name="other"))])
def test_a_policy_that_is_not_of_this_database_protects_nothing(policy: Any) -> None:
    """However fresh its backups are."""
    found = plane()
    found.around = replace(found.around, backups=(backup(),), policy=policy)
    found.step()
    assert (found.word(BACKUP), found.verbs) == (("Unknown", "PolicyNotFound"), ["plan-migration"])


def test_a_gate_that_is_taken_away_is_no_longer_waited_for() -> None:
    """And what was said of it does not stay."""
    found = plane()
    found.edit(gates=MigrationGates())
    found.steps(2)
    found.ends(told(TO_DO))
    found.steps(2)
    assert (found.verbs[-1], found.word(BACKUP)) == ("migrate", ("True", "NotRequested"))


def test_a_backup_is_taken_only_after_a_second_person_agreed() -> None:
    """As fresh as can be; and not at all for what is refused."""
    found = plane(take_new=True, approval=MigrationApproval(required=True))
    found.steps(2)
    assert (found.around.backups, found.word(BACKUP)) == ((), None)
    found.say(word())
    assert (len(found.around.backups), found.word(APPROVED)) == (1, ("True", "Approved"))


def test_a_commit_that_names_the_plan_agrees_to_it_and_to_no_other() -> None:
    """It was reviewed; a plan that changed since is another."""
    found = looked(of=migration(approval=MigrationApproval(plan_hash="0123")))
    assert (found.word(APPROVED), found.verbs) == (("Unknown", "ApprovalPending"), ["plan-migration"])
    assert found.message(APPROVED) == f"the plan is {PENDING.hash}, and `spec.approval.planHash` names 0123"
    found.edit(approval=MigrationApproval(plan_hash=PENDING.hash))
    found.steps(2)
    found.ends(told(TO_DO))
    found.steps(2)
    assert (found.verbs[-1], found.word(APPROVED)) == ("migrate", ("True", "Approved"))
    found.ends(told(ALL_IN, Reason.APPLIED))
    found.steps(3)
    assert found.word(READY) == ("True", "Applied")
