"""BackupPolicies: the CronJob, the immediate backup, the recovery point and retention, none of which waits for another."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from dbcustody.api.condition import ConditionType, find
from dbcustody.api.database import LastBackup
from dbcustody.api.meta import ObjectRef, OwnerReference
from dbcustody.api.policy import BackupPolicy, MissedSlot, Retained
from dbcustody.contract import Verb
from dbcustody.naming import LABEL_DATABASE
from dbcustody.plan.actions import ApplyCronJob, CreateBackup, DeleteCronJob, DeleteJob, StartJob, Tell
from dbcustody.plan.observed import ANNOTATION_MANIFEST, SeenCronJob
from dbcustody.plan.policy import SeenPolicy, immediate_manifest, is_applied, parties_for, plan, wanted_cron_job
from dbcustody.plan.recovery_point import Run
from dbcustody.plan.request import Parties
from dbcustody.reason import Reason
from tests.fakes.seen import (
    IMAGE,
    NOW,
    ago,
    condition,
    database,
    job,
    metadata,
    policy,
    running,
    storage,
    with_metadata,
    with_status,
)

READY = condition(ConditionType.READY, "True", Reason.READY)
STORAGE = with_status(storage(), conditions=(READY,))
SEEN = SeenPolicy(image=IMAGE, database=database(), storage=STORAGE)
SETTLED = with_status(policy(), observed_generation=1, last_slot_time=ago(60))
GOOD = Run(
    name="monday",
    uid="uid-monday",
    is_finished=True,
    is_good=True,
    begun_time=ago(36_000),
    scheduled_time=ago(36_000),
    data_time=ago(35_990),
    ended_time=ago(35_000),
)
OURS = (OwnerReference(api_version="dbcustody.dev/v1", kind="BackupPolicy", name="nightly", uid="uid-nightly"),)


def cron_job(one: BackupPolicy | None = None, **values: Any) -> SeenCronJob:
    """Return the CronJob as *one* wants it."""
    wanted = one or policy()
    parties = parties_for(wanted, database(), STORAGE)
    assert isinstance(parties, Parties)
    manifest = wanted_cron_job(wanted, parties, image=IMAGE)
    about = metadata("nightly", uid="uid-cron", owner_references=values.pop("owners", OURS), **values.pop("about", {}))
    annotation = manifest["metadata"]["annotations"][ANNOTATION_MANIFEST]
    return SeenCronJob(metadata=about, manifest_hash=annotation, is_suspended=wanted.spec.suspend, **values)


def look(one: BackupPolicy, now: datetime = NOW, **seen: Any) -> Any:
    """Return the plan for *one*."""
    return plan(one, replace(SEEN, **seen), now)


def said(found: Any) -> dict[str, tuple[str, str]]:
    """Return what the conditions say."""
    return {one.type.value: (one.status.value, one.reason.value) for one in found.status.conditions}


def of(found: Any, kind: type) -> list[Any]:
    """Return the actions of one *kind*."""
    return [action for action in found.actions if isinstance(action, kind)]


def test_a_policy_has_its_cron_job() -> None:
    """The CronJob bears the policy's name and schedule, never overlaps, and belongs to the policy; next time and Ready are said."""
    found = look(policy(time_zone="Europe/Copenhagen"))
    (action,) = of(found, ApplyCronJob)
    spec = action.manifest["spec"]

    assert action.manifest["metadata"]["name"] == "nightly"
    assert action.manifest["metadata"]["ownerReferences"][0]["uid"] == "uid-nightly"
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == (
        "0 2 * * *",
        "Europe/Copenhagen",
        "Forbid",
    )
    assert found.status.next_schedule_time == datetime.fromisoformat("2026-02-01T01:00:00Z")
    assert said(found) == {
        "Ready": ("True", "Ready"),
        "ScheduleAccepted": ("True", "ScheduleAccepted"),
        "RecoveryPointCurrent": ("Unknown", "NoBackupYet"),
    }


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(cron_job(), 0, id="as-wanted"),
        pytest.param(replace(cron_job(), manifest_hash="other"), 1, id="of-yesterday's-spec"),
        pytest.param(replace(cron_job(), is_suspended=True), 1, id="suspended-by-hand"),
        pytest.param(None, 1, id="removed-by-somebody"),
    ],
)
def test_the_cron_job_is_kept_as_wanted(seen: SeenCronJob | None, expected: int) -> None:
    """It is applied when it is not what the policy wants, and only then."""
    assert len(of(look(SETTLED, cron_job=seen), ApplyCronJob)) == expected


def test_what_is_applied_is_known_by_its_digest() -> None:
    """Another image is another CronJob: an upgrade of the operator reaches the schedules."""
    parties = parties_for(policy(), database(), STORAGE)
    assert isinstance(parties, Parties)

    assert is_applied(cron_job(), wanted_cron_job(policy(), parties, image=IMAGE))
    assert not is_applied(cron_job(), wanted_cron_job(policy(), parties, image="other"))


def test_suspending_suspends_the_cron_job() -> None:
    """A suspended policy is Ready, has no next time, misses nothing, and promises no recovery point."""
    suspended = policy(suspend=True)
    found = look(suspended, cron_job=cron_job(), runs=(GOOD,))
    (action,) = of(found, ApplyCronJob)

    assert action.manifest["spec"]["suspend"] is True
    assert found.status.next_schedule_time is None
    assert (said(found)["Ready"], said(found)["RecoveryPointCurrent"]) == (
        ("True", "Suspended"),
        ("Unknown", "Suspended"),
    )
    assert of(look(suspended, cron_job=cron_job(suspended)), ApplyCronJob) == []


@pytest.mark.parametrize(
    ("spec", "seen", "reason", "text"),
    [
        pytest.param(
            {"schedule": "0 0 2 * * *"}, {}, Reason.SCHEDULE_INVALID, "no schedule of five fields", id="six-fields"
        ),
        pytest.param({"time_zone": "Mars/Phobos"}, {}, Reason.SCHEDULE_INVALID, "no time zone", id="unknown-time-zone"),
        pytest.param({"schedule": "0 0 30 2 *"}, {}, Reason.SCHEDULE_NEVER_FIRES, "no date fits", id="never-fires"),
    ],
)
def test_a_schedule_that_is_none(spec: dict[str, Any], seen: dict[str, Any], reason: Reason, text: str) -> None:
    """The policy stalls with the field's name, and its CronJob goes: what it would start is not what is wanted."""
    found = look(policy(**spec), cron_job=cron_job(), **seen)
    accepted = find(found.status.conditions, ConditionType.SCHEDULE_ACCEPTED)

    assert accepted is not None
    assert text in accepted.message
    assert said(found)["ScheduleAccepted"] == ("False", reason.value)
    assert said(found)["Ready"] == ("False", reason.value)
    assert said(found)["Stalled"] == ("True", reason.value)
    assert said(found)["RecoveryPointCurrent"] == ("Unknown", reason.value)
    assert found.actions == (DeleteCronJob("nightly", "uid-cron"),)
    assert found.status.next_schedule_time is None


def test_a_cron_job_that_is_going_is_not_deleted_again() -> None:
    """Its deletion was asked for before."""
    going = cron_job(about={"deletion_timestamp": NOW})

    assert look(policy(schedule="x"), cron_job=going).actions == ()
    assert look(policy(schedule="x")).actions == ()


def test_a_refusal_of_the_api_server_leaves_the_cron_job_as_it_was() -> None:
    """The text is told; a CronJob that is there goes on under the old spec, for the refusal may be a quota's."""
    found = look(
        SETTLED, cron_job=replace(cron_job(), manifest_hash="old"), cron_refusal="denied by a webhook", runs=(GOOD,)
    )
    accepted = find(found.status.conditions, ConditionType.SCHEDULE_ACCEPTED)

    assert accepted is not None
    assert accepted.message == "denied by a webhook"
    assert (of(found, ApplyCronJob), of(found, DeleteCronJob)) == ([], [])
    assert said(found)["RecoveryPointCurrent"] == ("True", "RecoveryPointCurrent")


@pytest.mark.parametrize("owners", [(), (replace(OURS[0], uid="uid-stranger"),)], ids=["nobody's", "somebody-else's"])
def test_a_strange_cron_job_is_left_alone(owners: tuple[OwnerReference, ...]) -> None:
    """One of the same name that we did not make is neither changed nor deleted, and said to be in the way."""
    strange = cron_job(owners=owners)
    found = look(SETTLED, cron_job=replace(strange, manifest_hash=""))
    without = look(policy(schedule="x"), cron_job=strange)

    assert said(found)["ScheduleAccepted"] == ("False", "NameTaken")
    assert (found.actions, without.actions) == ((), ())


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        pytest.param({"database": None}, Reason.DATABASE_NOT_FOUND, id="no-database"),
        pytest.param({"storage": None}, Reason.STORAGE_NOT_FOUND, id="no-storage"),
    ],
)
def test_without_its_parties_nothing_runs(seen: dict[str, Any], reason: Reason) -> None:
    """The CronJob goes and comes back with them; what is said of the recovery point stays true."""
    found = look(
        SETTLED,
        now=NOW + timedelta(days=1),
        cron_job=cron_job(),
        jobs=(running("stray", Verb.PRUNE),),
        runs=(GOOD,),
        **seen,
    )

    assert found.actions == (DeleteCronJob("nightly", "uid-cron"), DeleteJob("stray", "uid-stray"))
    assert said(found)["Ready"] == ("False", reason.value)
    assert said(found)["ScheduleAccepted"] == ("Unknown", reason.value)
    assert said(found)["RecoveryPointCurrent"] == ("False", "RecoveryPointMissed")
    assert found.status.last_success == LastBackup(name="monday", time=ago(35_990))


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        pytest.param((), ("Unknown", "Pending"), id="never-probed"),
        pytest.param(
            (condition(ConditionType.READY, "Unknown", Reason.PENDING),), ("Unknown", "Pending"), id="not-yet"
        ),
        pytest.param(
            (condition(ConditionType.READY, "False", Reason.BUCKET_NOT_FOUND),),
            ("False", "StorageNotReady"),
            id="not-usable",
        ),
        pytest.param((READY,), ("True", "Ready"), id="usable"),
    ],
)
def test_ready_is_the_storage(conditions: tuple[Any, ...], expected: tuple[str, str]) -> None:
    """An accepted schedule is as ready as the storage; the CronJob is there all the same, for the storage may be back by then."""
    found = look(policy(), storage=with_status(storage(), conditions=conditions))

    assert said(found)["Ready"] == expected
    assert len(of(found, ApplyCronJob)) == 1


def test_a_missed_recovery_point_never_flips_ready() -> None:
    """Proof is a matter of its own: what hangs on Ready is not torn down by one bad night."""
    failed = replace(GOOD, is_good=False, reason="DumpFailed", begun_time=ago(36_000))
    old = replace(GOOD, name="old", data_time=ago(200_000), begun_time=ago(200_000), scheduled_time=ago(200_000))
    found = look(SETTLED, cron_job=cron_job(), runs=(old, failed))

    assert said(found)["RecoveryPointCurrent"] == ("False", "RecoveryPointMissed")
    assert said(found)["Ready"] == ("True", "Ready")


def test_a_missed_slot_is_told_and_recorded_once() -> None:
    """It stands in status with its reason and is told by an Event; the next look says nothing more of it."""
    before = with_status(SETTLED, last_slot_time=ago(50_000))
    first = look(before, cron_job=cron_job())
    second = look(replace(before, status=first.status), cron_job=cron_job())

    slot = NOW.replace(hour=2)
    assert first.status.missed == (MissedSlot(time=slot, reason="Missed"),)
    assert of(first, Tell) == [Tell(Reason.MISSED, "no run began for the slot of 2026-01-31T02:00:00Z (Missed)")]
    assert first.status.last_slot_time == slot
    assert (of(second, Tell), second.status.missed) == ([], first.status.missed)


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param({"runs": (replace(GOOD, scheduled_time=NOW.replace(hour=2)),)}, id="a-backup"),
        pytest.param({"slots_taken": frozenset({NOW.replace(hour=2)})}, id="a-job"),
    ],
)
def test_a_slot_with_a_run_is_not_missed(seen: dict[str, Any]) -> None:
    """A Backup or a Job of the slot is enough, good or bad."""
    assert look(with_status(SETTLED, last_slot_time=ago(50_000)), cron_job=cron_job(), **seen).status.missed == ()


def test_only_the_last_ten_missed_slots_are_kept() -> None:
    """Status stays small: the last ten are recorded and told, however long the operator was away."""
    found = look(with_status(SETTLED, last_slot_time=ago(60 * 86_400)), cron_job=cron_job())

    assert [slot.time.day for slot in found.status.missed] == list(range(22, 32))
    assert len(of(found, Tell)) == 10


def test_kept_slots_are_noted_once_an_hour() -> None:
    """A schedule of every minute does not write its status every minute."""
    every = with_metadata(
        with_status(policy(schedule="* * * * *"), observed_generation=1, last_slot_time=ago(3720)), generation=1
    )
    taken = frozenset(NOW - timedelta(minutes=minute) for minute in range(200))
    soon = look(every, cron_job=cron_job(), slots_taken=taken)
    later = look(
        every,
        now=NOW + timedelta(hours=2),
        cron_job=cron_job(),
        slots_taken=frozenset(NOW + timedelta(minutes=minute) for minute in range(-200, 200)),
    )

    assert soon.status.last_slot_time == ago(3720)
    assert later.status.last_slot_time == NOW + timedelta(minutes=59)


@pytest.mark.parametrize(
    "seen", [{}, {"database": None}, {"cron_refusal": "no"}], ids=["accepted", "without-database", "refused"]
)
def test_a_new_spec_is_a_new_beginning(seen: dict[str, Any]) -> None:
    """Slots of a new schedule before it was given are nobody's fault, also when it cannot run at once."""
    edited = with_metadata(with_status(SETTLED, last_slot_time=ago(10**6)), generation=2)
    found = look(edited, cron_job=cron_job(), **seen)

    assert (found.status.last_slot_time, found.status.missed, found.status.observed_generation) == (NOW, (), 2)


@pytest.mark.parametrize("seen", [{"database": None}, {"cron_refusal": "no"}], ids=["without-database", "refused"])
def test_slots_under_a_trouble_are_judged_afterwards(seen: dict[str, Any]) -> None:
    """What passed while something was in the way was missed, and is said when it is gone."""
    before = with_status(SETTLED, last_slot_time=ago(50_000))
    troubled = look(before, cron_job=cron_job(), **seen)
    after = look(replace(before, status=troubled.status), cron_job=cron_job())

    assert troubled.status.last_slot_time == ago(50_000)
    assert len(after.status.missed) == 1


def test_the_immediate_backup() -> None:
    """A policy that never had a run starts with one; its name comes from custody and policy, so that a new cluster adopts the old one."""
    wanted = policy(immediate=True)
    (first,) = of(look(wanted), CreateBackup)
    (again,) = of(look(with_metadata(wanted, uid="another-cluster")), CreateBackup)
    other = immediate_manifest(wanted, custody_id="another")

    assert first.manifest == again.manifest
    assert first.manifest["spec"] == {
        "origin": "Manual",
        "policyRef": {"name": "nightly"},
        "databaseRef": {"name": "shop"},
    }
    assert first.manifest["metadata"]["labels"][LABEL_DATABASE] == "shop"
    assert first.manifest["metadata"]["name"] != other["metadata"]["name"]


@pytest.mark.parametrize(
    ("one", "seen"),
    [
        pytest.param(policy(), {}, id="not-wanted"),
        pytest.param(policy(immediate=True, suspend=True), {}, id="suspended"),
        pytest.param(policy(immediate=True), {"runs": (replace(GOOD, is_good=False),)}, id="has-a-run"),
        pytest.param(
            with_status(policy(immediate=True), last_attempt=LastBackup(name="gone", time=ago(9))), {}, id="had-one"
        ),
        pytest.param(policy(immediate=True), {"database": None}, id="no-database"),
        pytest.param(policy(immediate=True, schedule="x"), {}, id="no-schedule"),
    ],
)
def test_no_immediate_backup(one: BackupPolicy, seen: dict[str, Any]) -> None:
    """Exactly once: never again after any run, though its object is gone, and not while nothing may run."""
    assert of(look(one, **seen), CreateBackup) == []


def test_the_newest_runs_are_remembered() -> None:
    """Last success and last attempt come from the runs, and stay when retention has removed their objects."""
    begun = replace(GOOD, name="tuesday", is_good=False, is_finished=False, begun_time=ago(5), data_time=None)
    found = look(SETTLED, cron_job=cron_job(), runs=(GOOD, begun)).status
    later = look(with_status(SETTLED, last_success=found.last_success, last_attempt=found.last_attempt)).status

    assert found.last_success == LastBackup(name="monday", time=ago(35_990))
    assert found.last_attempt == LastBackup(name="tuesday", time=ago(5))
    assert (later.last_success, later.last_attempt) == (found.last_success, found.last_attempt)


def test_a_deleted_policy_lets_a_running_dump_finish() -> None:
    """Nothing is done for a policy that is going: its CronJob orphans its Jobs, and the dump under way ends as it may."""
    going = with_metadata(policy(immediate=True), deletion_timestamp=NOW)
    found = look(going, jobs=(job("dump"),))
    (action,) = of(look(policy()), ApplyCronJob)

    assert (found.actions, found.status) == ((), going.status)
    assert action.manifest["metadata"]["finalizers"] == ["orphan"]


def test_retention_does_not_wait_for_the_schedule() -> None:
    """Good backups are thinned out also while the CronJob is refused; what retention says and keeps is kept."""
    before = with_status(SETTLED, retained=Retained(count=3, bytes=9))
    found = look(before, cron_job=cron_job(), cron_refusal="no", runs=(GOOD,), live_attempts=("uid-pod",))
    (action,) = of(found, StartJob)

    assert found.status.job_ref == ObjectRef(name=action.manifest["metadata"]["name"])
    assert found.status.retained == Retained(count=3, bytes=9)


def test_a_job_without_a_pod_is_looked_at_soon() -> None:
    """Why there is no pod stands in Events, of which nobody tells."""
    waits = [look(policy(), jobs=jobs).look_again_seconds for jobs in ((), (running("a"),), (job("a"),))]
    assert waits == [60, 60, 15]
