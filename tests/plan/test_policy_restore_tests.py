"""What a BackupPolicy says of its restore tests, and for how long."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dbcustody.api.condition import ConditionType
from dbcustody.api.policy import Level, PolicyVerification, RestoreTested
from dbcustody.plan.policy import SeenPolicy, plan
from dbcustody.plan.recovery_point import Run
from dbcustody.reason import Reason
from tests.fakes.seen import IMAGE, NOW, ago, condition, database, policy, storage

if TYPE_CHECKING:
    from dbcustody.api.policy import BackupPolicy

SEEN = SeenPolicy(image=IMAGE, database=database(), storage=storage())
GOOD = Run(name="monday", is_finished=True, is_good=True, data_time=ago(35_990))


def look(one: BackupPolicy, **seen: Any) -> Any:
    """Return the plan for *one*."""
    return plan(one, replace(SEEN, **seen), NOW)


def said(found: Any) -> dict[str, tuple[str, str]]:
    """Return what the conditions say."""
    return {one.type.value: (one.status.value, one.reason.value) for one in found.status.conditions}


TESTED = condition(ConditionType.RESTORE_TESTED, "True", Reason.RESTORE_TESTED, "all of it")
RESTORED = replace(GOOD, restore_test=TESTED, restore_seconds=9)
RESTORES = policy(verification=PolicyVerification(level=Level.RESTORE))


def test_a_policy_tells_of_its_restore_tests() -> None:
    """Level Restore makes the policy say how the newest test ended; it is remembered when its Backup is gone."""
    found = look(RESTORES, runs=(RESTORED,))
    later = look(replace(RESTORES, status=found.status))

    for one in (found, later):
        assert said(one)["RestoreVerified"] == ("True", "RestoreVerified")
        assert one.status.last_restore_test == RestoreTested(name="monday", time=ago(35_990), restore_seconds=9)
    assert said(look(RESTORES))["RestoreVerified"] == ("Unknown", "NoBackupYet")


def test_a_policy_without_a_database_tells_of_its_restore_tests_too() -> None:
    """What was proven stays proven while nothing can run."""
    assert said(look(RESTORES, database=None, runs=(RESTORED,)))["RestoreVerified"] == ("True", "RestoreVerified")


def test_a_level_that_was_lowered_is_told() -> None:
    """Nobody asks for restores any more: what was said of them does not stay as if they went on."""
    before = look(RESTORES, runs=(RESTORED,)).status

    assert "RestoreVerified" not in said(look(policy(), runs=(RESTORED,)))
    assert said(look(replace(policy(), status=before)))["RestoreVerified"] == ("Unknown", "NotRequested")


def test_a_tested_backup_that_vanished_proves_nothing() -> None:
    """A backup that is gone from the storage without a tombstone is no proof any more."""
    before = look(RESTORES, runs=(RESTORED,)).status
    found = look(replace(RESTORES, status=replace(before, vanished=("monday",))), runs=(RESTORED,))

    assert found.status.last_restore_test is None
    assert said(found)["RestoreVerified"] == ("Unknown", "NoBackupYet")
