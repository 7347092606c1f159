"""When retention is carried out, and what is said of it; what goes is decided by the Job, where the truth is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.condition import ConditionType
from dbcustody.api.meta import ObjectRef
from dbcustody.api.policy import BackupPolicy, PlanEntry, Retained
from dbcustody.api.storage import S3, AccessMode
from dbcustody.contract import Verb
from dbcustody.facts import PruneFacts
from dbcustody.naming import ANNOTATION_CONFIRM_PRUNE
from dbcustody.plan.actions import Count, DeleteBackup, DeleteJob, LetJobGo, StartJob
from dbcustody.plan.pruning import (
    MOST_ENTRIES,
    MOST_HELD,
    MOST_KNOWN,
    Pruned,
    SeenPruning,
    plan_pruning,
    refused_retention,
)
from dbcustody.plan.recovery_point import Run
from dbcustody.plan.request import Parties
from dbcustody.reason import Reason
from tests.fakes.seen import (
    IMAGE,
    NOW,
    ago,
    answered,
    condition,
    database,
    job,
    pod,
    policy,
    result,
    running,
    silent,
    storage,
    with_metadata,
    with_status,
)

PARTIES = Parties(database=database(), storage=storage())
READ_ONLY = replace(
    PARTIES, storage=storage(s3=S3(bucket="b"), acknowledge_unencrypted=True, access_mode=AccessMode.READ_ONLY)
)
MONDAY = Run(name="monday", uid="uid-monday", is_finished=True, is_good=True, is_ours=True, data_time=ago(100))
FAILED = Run(name="bad", is_finished=True, is_good=False)
PRUNED = with_status(policy(), pruned_time=ago(3600), prune_after="monday", ordinal=4, prune_hash="abc")
PRUNING = with_status(PRUNED, job_ref=ObjectRef(name="p"))
FACTS = PruneFacts(
    retained=Retained(count=2, bytes=10),
    plan=(PlanEntry(name="monday", keep=True, because=("Daily",)), PlanEntry(name="old", keep=False)),
    plan_hash="def",
    deleted=("old", "hand-made"),
)
GOOD = result(Verb.PRUNE, Reason.RETENTION_ENFORCED, "2 kept, 2 deleted", prune=FACTS)


def said(one: BackupPolicy, reason: Reason, status: str = "False") -> Any:
    """Return *one* with what was last said of its retention."""
    return with_status(one, conditions=(condition(ConditionType.RETENTION_ENFORCED, status, reason),))


def confirmed(one: BackupPolicy, text: str) -> Any:
    """Return *one* with the annotation by which a person confirms."""
    return with_metadata(one, annotations={ANNOTATION_CONFIRM_PRUNE: text})


def look(one: BackupPolicy, *jobs: Any, runs: tuple[Run, ...] = (MONDAY,), parties: Parties = PARTIES) -> Pruned:
    """Return the next step of *one*'s retention."""
    return plan_pruning(one, parties, SeenPruning(image=IMAGE, jobs=jobs, runs=runs, live_attempts=("uid-pod",)), NOW)


def request_of(found: Pruned) -> dict[str, Any]:
    """Return what the Job that *found* starts is asked."""
    (action,) = found.actions
    assert isinstance(action, StartJob)
    env = action.manifest["spec"]["template"]["spec"]["containers"][0]["env"]
    asked: dict[str, Any] = json.loads(env[0]["value"])
    return asked


def test_what_a_restore_reads_is_left_alone() -> None:
    """The Job is told of it by name, once, whether it is held besides or not."""
    held = replace(MONDAY, name="sunday", is_held=True)
    seen = SeenPruning(image=IMAGE, jobs=(), runs=(MONDAY, held), live_attempts=(), spared=("saturday", "sunday"))
    found = plan_pruning(policy(), PARTIES, seen, NOW)
    assert request_of(found)["heldNames"] == ["saturday", "sunday"]


WAITING = said(PRUNED, Reason.RETENTION_NEEDS_CONFIRMATION)


@pytest.mark.parametrize(
    ("one", "runs", "parties", "expected"),
    [
        pytest.param(policy(), (), PARTIES, False, id="nothing-to-thin-out"),
        pytest.param(policy(), (FAILED,), PARTIES, False, id="only-failures"),
        pytest.param(policy(), (MONDAY,), PARTIES, True, id="after-the-first-good-backup"),
        pytest.param(PRUNED, (MONDAY,), PARTIES, False, id="done-after-this-one"),
        pytest.param(
            PRUNED, (MONDAY, replace(MONDAY, name="tuesday", data_time=ago(1))), PARTIES, True, id="after-the-next"
        ),
        pytest.param(PRUNED, (MONDAY, FAILED), PARTIES, False, id="not-after-a-bad-one"),
        pytest.param(with_status(PRUNED, pruned_time=ago(86_399)), (MONDAY,), PARTIES, False, id="within-the-day"),
        pytest.param(with_status(PRUNED, pruned_time=ago(86_400)), (MONDAY,), PARTIES, True, id="daily"),
        pytest.param(with_status(policy(suspend=True), pruned_time=None), (MONDAY,), PARTIES, False, id="suspended"),
        pytest.param(policy(), (MONDAY,), READ_ONLY, False, id="read-only"),
        pytest.param(
            said(with_status(PRUNED, pruned_time=ago(299)), Reason.DELETION_FAILED),
            (MONDAY,),
            PARTIES,
            False,
            id="too-soon",
        ),
        pytest.param(
            said(with_status(PRUNED, pruned_time=ago(300)), Reason.DELETION_FAILED),
            (MONDAY,),
            PARTIES,
            True,
            id="again",
        ),
        pytest.param(
            said(PRUNED, Reason.RETENTION_ENFORCED, "True"), (MONDAY,), PARTIES, False, id="enforced-waits-for-its-day"
        ),
        pytest.param(said(PRUNED, Reason.RETENTION_FROZEN), (MONDAY,), PARTIES, False, id="frozen-waits-for-its-day"),
        pytest.param(WAITING, (MONDAY,), PARTIES, False, id="waits-for-a-person"),
        pytest.param(confirmed(WAITING, "abc"), (MONDAY,), PARTIES, True, id="confirmed"),
        pytest.param(confirmed(WAITING, "xyz"), (MONDAY,), PARTIES, False, id="confirmed-another-plan"),
        pytest.param(confirmed(PRUNED, "abc"), (MONDAY,), PARTIES, False, id="nothing-to-confirm"),
    ],
)
def test_when_retention_is_carried_out(
    one: BackupPolicy,
    runs: tuple[Run, ...],
    parties: Parties,
    expected: bool,  # noqa: FBT001 - a table
) -> None:
    """After each good backup, daily, five minutes after a failure, and when a person confirmed the very plan that waits."""
    assert bool(look(one, runs=runs, parties=parties).actions) is expected


def test_what_the_job_is_asked() -> None:
    """The Job gets the policy's retention, the zone that its days are counted in, what was confirmed, and who may still write."""
    one = confirmed(with_status(policy(time_zone="Europe/Copenhagen"), ordinal=4), "abc")
    found = look(one)
    asked = request_of(found)

    assert (asked["verb"], asked["timeZone"], asked["confirmPrune"]) == ("prune", "Europe/Copenhagen", "abc")
    assert asked["liveAttempts"] == ["uid-pod"]
    assert asked["retention"]["keepDaily"] == 7
    assert (found.status.ordinal, found.status.prune_after) == (5, "monday")


def test_a_job_that_was_only_written_down_is_created() -> None:
    """The operator stopped between status and Job, or somebody deleted the Job: the very same is made."""
    found = look(PRUNING)
    (action,) = found.actions

    assert isinstance(action, StartJob)
    assert (action.manifest["metadata"]["name"], found.status) == ("p", PRUNING.status)


def test_retention_was_enforced() -> None:
    """Status shows the plan with its reasons; only objects that we made are removed with their data."""
    hand_made = Run(name="hand-made", uid="uid-h", is_finished=True, is_good=True)
    old = replace(MONDAY, name="old", uid="uid-old")
    found = look(PRUNING, answered("p", GOOD), runs=(MONDAY, old, hand_made))

    assert [(one.type, one.status, one.reason) for one in found.said] == [
        (ConditionType.RETENTION_ENFORCED, "True", Reason.RETENTION_ENFORCED),
        (ConditionType.CONTINUITY_PROVEN, "True", Reason.CONTINUITY_PROVEN),
    ]
    assert (found.status.retained, found.status.plan, found.status.prune_hash) == (FACTS.retained, FACTS.plan, "def")
    assert (found.status.job_ref, found.status.pruned_time) == (None, NOW)
    assert [type(action) for action in found.actions] == [Count, LetJobGo, DeleteBackup]
    assert DeleteBackup("old", "uid-old") in found.actions


def test_held_data_is_no_failure() -> None:
    """What an object lock keeps is said, and retention is enforced all the same."""
    held = result(Verb.PRUNE, Reason.HELD, "1 is held until tomorrow", prune=replace(FACTS, deleted=(), held=("old",)))
    found = look(PRUNING, answered("p", held))

    assert [(one.status, one.reason) for one in found.said[:1]] == [("True", Reason.HELD)]


@pytest.mark.parametrize(
    "reason",
    [Reason.RETENTION_NEEDS_CONFIRMATION, Reason.RETENTION_FROZEN, Reason.DELETION_FAILED, Reason.DATA_CORRUPTION],
)
def test_retention_was_not_enforced(reason: Reason) -> None:
    """The reason and the plan's hash are said, so that a person can confirm; nothing is forgotten that was not deleted."""
    refused = result(Verb.PRUNE, reason, "why", prune=replace(FACTS, deleted=()))
    found = look(PRUNING, answered("p", refused))

    assert [(one.status, one.reason, one.message) for one in found.said[:1]] == [("False", reason, "why")]
    assert found.status.prune_hash == "def"
    assert [action for action in found.actions if isinstance(action, DeleteBackup)] == []


def test_silence_enforces_nothing() -> None:
    """A Job without a result changes no figure, and is tried again."""
    found = look(PRUNING, silent("p", Verb.PRUNE))

    assert [(one.status, one.reason) for one in found.said] == [("False", Reason.JOB_LOST)]
    assert (found.status.prune_hash, found.status.pruned_time) == ("abc", NOW)
    assert found.actions == (LetJobGo("p", 3600),)


def test_a_job_on_a_lost_node_is_not_waited_for() -> None:
    """Nobody hears of its end: it is tried again elsewhere, and what is left of it goes."""
    unheard = pod(is_running=True, is_unheard=True, is_going=True)
    found = look(PRUNING, job("p", Verb.PRUNE, pods=(unheard,)))

    assert [(one.status, one.reason) for one in found.said] == [("False", Reason.NODE_LOST)]
    assert found.actions == (DeleteJob("p", "uid-p", waits_for_pods=False),)


@pytest.mark.parametrize(
    ("seen", "reasons"),
    [
        pytest.param(running("p", Verb.PRUNE), [], id="running"),
        pytest.param(job("p", Verb.PRUNE, age=1), [], id="starting"),
        pytest.param(job("p", Verb.PRUNE, age=20, warnings=("quota",)), [Reason.POD_NOT_CREATED], id="held-up"),
    ],
)
def test_while_the_job_goes_on(seen: Any, reasons: list[Reason]) -> None:
    """Only what holds the Job up is said."""
    found = look(PRUNING, seen)

    assert ([one.reason for one in found.said], found.actions, found.status) == (reasons, (), PRUNING.status)


def test_the_plan_in_status_is_bounded() -> None:
    """A hundred entries at most: a status that cannot be written would stop everything."""
    many = replace(FACTS, plan=tuple(PlanEntry(name=f"b{number}", keep=True) for number in range(300)), plan_hash="")
    found = look(PRUNING, answered("p", replace(GOOD, prune=many)))

    assert len(found.status.plan) == MOST_ENTRIES
    assert found.status.prune_hash is None


def test_a_refused_job_is_retention_s_matter() -> None:
    """Ready is left alone, and what was abnormal stays said."""
    stalled = condition(ConditionType.STALLED, "True", Reason.NAME_TAKEN)
    ready = condition(ConditionType.READY, "True", Reason.READY)
    found = refused_retention((ready, stalled), Reason.POD_NOT_CREATED, "exceeded quota")

    assert [(one.type, one.status, one.reason) for one in found] == [
        (ConditionType.STALLED, "True", Reason.NAME_TAKEN),
        (ConditionType.RETENTION_ENFORCED, "False", Reason.POD_NOT_CREATED),
    ]


def test_backups_that_a_legal_hold_keeps_are_named_to_the_job() -> None:
    """The Job never reads a resource: whose hold it has to respect stands in its request."""
    held = replace(MONDAY, name="evidence", is_held=True)

    assert request_of(look(policy(), runs=(MONDAY, held)))["heldNames"] == ["evidence"]


def test_the_job_is_told_first_of_holds_that_the_storage_does_not_know() -> None:
    """A request has room for so many names; of the rest the storage tells, as long as it does."""
    placed = [replace(MONDAY, name=f"a{number:03}", is_held=True, is_hold_placed=True) for number in range(MOST_HELD)]
    fresh = replace(MONDAY, name="z", is_held=True)
    names = request_of(look(policy(), runs=(MONDAY, *placed, fresh)))["heldNames"]

    assert len(names) == MOST_HELD
    assert names[:2] == ["z", "a000"]


def test_retention_waits_while_more_holds_are_on_their_way_than_it_can_be_told() -> None:
    """A hold that neither the request nor the storage knows would be no hold."""
    fresh = tuple(replace(MONDAY, name=f"z{number}", is_held=True) for number in range(MOST_HELD + 1))
    frozen = look(policy(), runs=(MONDAY, *fresh))
    (said_,) = frozen.said

    assert frozen.actions == ()
    assert (said_.is_true, said_.reason) == (False, Reason.RETENTION_FROZEN)
    assert said_.message.startswith(f"{MOST_HELD + 1} legal holds do not stand in the storage yet")
    assert look(policy(), runs=(MONDAY, *fresh[1:])).actions


def test_corruption_freezes_retention_until_a_newer_backup_is_good() -> None:
    """Where the server cannot read its own data, older backups may hold what is left of it: none goes, and it is said why."""
    monday = replace(MONDAY, begun_time=ago(110))
    corrupt = replace(FAILED, reason=Reason.DATA_CORRUPTION.value, begun_time=ago(50))
    frozen = look(with_status(PRUNED, pruned_time=ago(90_000)), runs=(monday, corrupt))
    (said_,) = frozen.said

    assert frozen.actions == ()
    assert (said_.type, said_.is_true, said_.reason) == (
        ConditionType.RETENTION_ENFORCED,
        False,
        Reason.RETENTION_FROZEN,
    )
    assert "'bad' ended with DataCorruption" in said_.message
    healed = replace(MONDAY, name="tuesday", begun_time=ago(10), data_time=ago(10))
    assert look(PRUNED, runs=(monday, corrupt, healed)).actions


def remembered(number: int, **changes: Any) -> Run:
    """Return a good run that lies in the storage of PLACED."""
    basis = Run(
        name=f"b{number}",
        is_finished=True,
        is_good=True,
        data_time=ago(1000 - number),
        location=f"s3://backups/team.shop/backups/b{number}",
        manifest_sha256=f"{number:064}",
    )
    return replace(basis, **changes)


PLACED = replace(PARTIES, storage=with_status(PARTIES.storage, location="s3://backups"))


def test_the_job_is_told_what_must_be_there() -> None:
    """The newest good backups, by name and digest; none that lies elsewhere, since nobody can miss it here."""
    runs = (
        remembered(1),
        remembered(2),
        remembered(3, location="s3://another/team.shop/backups/b3"),
        remembered(4, location="s3://backups/another/backups/b4"),
        remembered(5, is_good=False),
        remembered(6, manifest_sha256=""),
    )
    asked = request_of(look(policy(), runs=runs, parties=PLACED))
    many = request_of(look(policy(), runs=tuple(remembered(number) for number in range(99)), parties=PLACED))

    assert [one["name"] for one in asked["knownBackups"]] == ["b2", "b1"]
    assert asked["knownBackups"][1]["manifestSha256"] == f"{1:064}"
    assert (len(many["knownBackups"]), many["knownBackups"][0]["name"]) == (MOST_KNOWN, "b98")


@pytest.mark.parametrize(
    ("vanished", "breaks", "expected"),
    [
        pytest.param((), (), ("True", "ContinuityProven", ""), id="whole"),
        pytest.param(
            ("a", "b", "c", "d"),
            (),
            ("False", "ContinuityUnproven", "a, b, c and 1 more vanished without a tombstone"),
            id="vanished",
        ),
        pytest.param(
            ("a",),
            ("b",),
            (
                "False",
                "ContinuityUnproven",
                "a vanished without a tombstone; the chain of manifests is broken before b",
            ),
            id="both",
        ),
    ],
)
def test_continuity_is_told(vanished: tuple[str, ...], breaks: tuple[str, ...], expected: tuple[str, str, str]) -> None:
    """Whoever looked says whether everything that was ever seen is there or accounted for."""
    facts = replace(FACTS, vanished=vanished, breaks=breaks)
    found = look(PRUNING, answered("p", result(Verb.PRUNE, Reason.RETENTION_ENFORCED, prune=facts)))
    (one,) = [each for each in found.said if each.type is ConditionType.CONTINUITY_PROVEN]

    assert (one.status.value, one.reason.value, one.message) == expected


def test_a_robbery_waits_for_a_person() -> None:
    """No Job is started every five minutes to see that the backup is still gone; the next good backup asks again."""
    robbed = said(with_status(PRUNED, pruned_time=ago(400)), Reason.CONTINUITY_UNPROVEN)

    assert look(robbed).actions == ()
    assert len(look(robbed, runs=(MONDAY, replace(MONDAY, name="tuesday", data_time=ago(1)))).actions) == 1
