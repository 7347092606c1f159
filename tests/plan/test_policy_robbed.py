"""A policy whose backups were taken out of the storage, by somebody or by the rules: what is gone is no recovery point."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dbcustody.api.condition import ConditionType, find
from dbcustody.api.database import LastBackup
from dbcustody.api.meta import ObjectRef
from dbcustody.api.policy import Retained
from dbcustody.contract import Verb
from dbcustody.facts import PruneFacts
from dbcustody.plan.policy import SeenPolicy, plan
from dbcustody.plan.recovery_point import Run
from dbcustody.reason import Reason
from tests.fakes.seen import IMAGE, NOW, ago, answered, condition, database, policy, result, storage, with_status

STORAGE = with_status(storage(), conditions=(condition(ConditionType.READY, "True", Reason.READY),))
SETTLED = with_status(
    policy(), observed_generation=1, last_slot_time=ago(60), pruned_time=ago(100), prune_after="monday"
)
SUNDAY, MONDAY = (
    Run(
        name=name,
        uid=name,
        is_finished=True,
        is_good=True,
        begun_time=ago(age),
        data_time=ago(age),
        ended_time=ago(age),
    )
    for name, age in (("sunday", 122_400), ("monday", 36_000))
)


def look(one: Any, *jobs: Any, runs: tuple[Run, ...] = (SUNDAY, MONDAY)) -> Any:
    """Return the plan for *one*."""
    seen = SeenPolicy(image=IMAGE, database=database(), storage=STORAGE, jobs=jobs, runs=runs)
    return plan(one, seen, NOW)


def recovery_point(found: Any) -> tuple[str, str]:
    """Return what is said of it."""
    one = find(found.status.conditions, ConditionType.RECOVERY_POINT_CURRENT)
    assert one is not None
    return one.status.value, one.reason.value


def robbed(*names: str) -> Any:
    """Return what a prune says that missed *names*."""
    facts = PruneFacts(retained=Retained(count=1, bytes=1), vanished=names)
    return answered("p", result(Verb.PRUNE, Reason.CONTINUITY_UNPROVEN, "why", prune=facts))


def test_the_recovery_point_is_that_of_what_is_there() -> None:
    """The newest good backup vanished: the one before it counts, which is too old; LAST-OK shows it at once."""
    calm = look(SETTLED)
    found = look(with_status(SETTLED, job_ref=ObjectRef(name="p")), robbed("monday"))
    later = look(with_status(SETTLED, vanished=("monday",), last_success=found.status.last_success))

    assert (recovery_point(calm), calm.status.last_success.name) == (("True", "RecoveryPointCurrent"), "monday")
    for one in (found, later):
        assert recovery_point(one) == ("False", "RecoveryPointMissed")
        assert one.status.last_success == LastBackup(name="sunday", time=ago(122_400))
        assert one.status.vanished == ("monday",)


def test_without_any_other_there_is_none() -> None:
    """Nothing is left: no last success is shown, whatever stood there before."""
    before = with_status(SETTLED, job_ref=ObjectRef(name="p"), last_success=LastBackup(name="monday", time=ago(36_000)))
    found = look(before, robbed("monday"), runs=(MONDAY,))

    assert found.status.last_success is None
    assert recovery_point(found) == ("Unknown", "NoBackupYet")


def test_what_came_back_counts_again() -> None:
    """The next prune misses nothing."""
    facts = PruneFacts(retained=Retained(count=2, bytes=1))
    whole = answered("p", result(Verb.PRUNE, Reason.RETENTION_ENFORCED, prune=facts))
    found = look(with_status(SETTLED, job_ref=ObjectRef(name="p"), vanished=("monday",)), whole)

    assert (found.status.vanished, found.status.last_success.name) == ((), "monday")
    assert recovery_point(found)[0] == "True"


def test_others_are_left_as_they_are() -> None:
    """A name that no run bears changes nothing."""
    assert replace(look(with_status(SETTLED, vanished=("elsewhere",))).status, vanished=()) == look(SETTLED).status


def test_it_stays_so_while_the_database_is_missing() -> None:
    """A policy that can do nothing says of what vanished what it said before."""
    seen = SeenPolicy(image=IMAGE, database=None, storage=STORAGE, runs=(SUNDAY, MONDAY))
    found = plan(with_status(SETTLED, vanished=("monday",)), seen, NOW)

    assert recovery_point(found) == ("False", "RecoveryPointMissed")
    assert found.status.last_success == LastBackup(name="sunday", time=ago(122_400))


def test_what_was_deleted_is_no_recovery_point_either() -> None:
    """A person's Backup whose data is deleted: neither while the policy alone knows it, nor when the Backup says so itself."""
    here = with_status(storage(), location="s3://backups", conditions=STORAGE.status.conditions)
    monday = replace(MONDAY, location="s3://backups/team.shop/backups/monday")
    before = with_status(SETTLED, job_ref=ObjectRef(name="p"), last_success=LastBackup(name="monday", time=ago(36_000)))
    facts = PruneFacts(retained=Retained(count=1, bytes=1), deleted=("monday",))
    prune = answered("p", result(Verb.PRUNE, Reason.RETENTION_ENFORCED, prune=facts))
    seen = SeenPolicy(image=IMAGE, database=database(), storage=here, jobs=(prune,), runs=(monday,))
    alone = plan(before, seen, NOW)
    beside = plan(before, replace(seen, runs=(SUNDAY, monday)), NOW)
    said = replace(monday, is_good=False, loss=Reason.DATA_DELETED, reason="DataDeleted")
    later = plan(replace(before, status=beside.status), replace(seen, jobs=(), runs=(SUNDAY, said)), NOW)

    assert (alone.status.deleted, alone.status.last_success) == (("monday",), None)
    assert recovery_point(alone) == ("Unknown", "NoBackupYet")
    for one in (beside, later):
        assert one.status.last_success == LastBackup(name="sunday", time=ago(122_400))
        assert recovery_point(one) == ("False", "RecoveryPointMissed")
        said_ = find(one.status.conditions, ConditionType.RECOVERY_POINT_CURRENT)
        assert said_ is not None
        assert said_.message.endswith("Backup 'monday' ended with DataDeleted")
