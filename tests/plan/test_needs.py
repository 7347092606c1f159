"""What needs a person is told, with the command to type; what does not is left out."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from dbcustody.api.glance import Glance
from dbcustody.api.meta import Kind
from dbcustody.plan.needs import MOST_FAILURES, Need, needs_of, unreadable
from tests.fakes.glances import LONG, backup, body, kept, policy, replacement, request, said
from tests.fakes.seen import NOW

Json = dict[str, Any]
READY = said("Ready", "True", "Ready")


def told(*bodies: Json) -> list[Need]:
    """Return the needs among what the API server has."""
    return list(needs_of([Glance.from_body(Kind(one["kind"]), one) for one in bodies], NOW))


def reasons(*bodies: Json) -> list[tuple[str, str]]:
    """Return who needs somebody, and why."""
    return [(need.resource.rpartition("/")[2], need.reason) for need in told(*bodies)]


def ended(name: str, reason: str, **more: Any) -> Json:
    """Return a RestoreRequest that failed."""
    return request(name, said("Finished", "True", reason), said("Succeeded", "False", reason), **more)


def test_nothing_needs_nobody() -> None:
    """An estate that works has an empty list."""
    assert told(body(Kind.DATABASE, "shop", READY), policy(), backup("a")) == []


def test_what_stands_still_is_told_once() -> None:
    """Stalled, Ready and what is behind them have one reason; what somebody suspended is no need."""
    unready, stalled = said("Ready", "False", "InvalidSpec"), said("Stalled", "True", "InvalidSpec", "field x")
    suspended = (said("Ready", "False", "Suspended"), said("Stalled", "True", "Suspended"))
    found = told(body(Kind.DATABASE, "b", unready, stalled), body(Kind.DATABASE, "a", *suspended))
    (need,) = found
    assert (need.resource, need.namespace) == ("databases.dbcustody.dev/b", "team")
    assert (need.reason, need.message, need.remedy) == (
        "InvalidSpec",
        "field x",
        "correct the field that the message names",
    )
    assert need.command == "kubectl describe databases.dbcustody.dev/b -n team"


def test_a_restore_that_a_freeze_window_holds_back_is_no_need() -> None:
    """Somebody meant it, and it goes on by itself, however many hours the window lasts."""
    waits = (said("Ready", "False", "FreezeWindow", since=30_000), said("Succeeded", "Unknown", "FreezeWindow"))
    assert reasons(body(Kind.RESTORE_REQUEST, "again", *waits)) == []


def test_a_hiccup_is_not_told() -> None:
    """What has been unready for a moment is tried again; after five minutes somebody should know."""
    away = "HostUnreachable"
    assert reasons(body(Kind.DATABASE, "a", said("Ready", "False", away, since=299))) == []
    assert reasons(body(Kind.DATABASE, "a", said("Ready", "False", away, since=301))) == [("a", away)]


def test_a_silent_operator_is_told() -> None:
    """A resource that nobody looks at means that nobody works; one that was just created does not."""
    old, young = (body(Kind.DATABASE, name, READY, observedGeneration=-1) for name in "ab")
    young["metadata"]["creationTimestamp"] = "2026-01-31T11:59:00Z"
    (need,) = told(old, young)
    assert (need.resource, need.reason, need.command) == (
        "databases.dbcustody.dev/a",
        "NotSeen",
        "kubectl dbcustody doctor",
    )


def test_a_broken_promise_is_told_although_work_goes_on() -> None:
    """Each of the alarms; the same reason once."""
    alarms = (
        said("RecoveryPointCurrent", "False", "RecoveryPointMissed"),
        said("ContinuityProven", "False", "ContinuityUnproven"),
        said("RetentionEnforced", "False", "RetentionFrozen"),
    )
    vanished = (said(kind, "False", "ContinuityUnproven") for kind in ("ContinuityProven", "RetentionEnforced"))
    assert reasons(policy("p", READY, *vanished)) == [("p", "ContinuityUnproven")]
    assert [reason for _, reason in reasons(policy("p", READY, *alarms))] == [
        "RecoveryPointMissed",
        "ContinuityUnproven",
        "RetentionFrozen",
    ]
    assert reasons(body(Kind.BACKUP_STORAGE, "main", READY, said("KeysCurrent", "False", "KeyMissing"))) == [
        ("main", "KeyMissing")
    ]


def test_an_old_database_that_nobody_drops_is_told() -> None:
    """With the command for each one that is left; what is kept in time is nobody's matter yet."""
    left = said("OldDatabasesDropped", "False", "OldDatabaseLeft", "nobody drops it")
    copies = [{"name": "shop_replaced_0", "left": True}, {"name": 'odd "one', "left": True}, {"name": "kept"}]
    (need,) = told(body(Kind.DATABASE, "shop", READY, left, copies=copies))
    assert (need.reason, need.message) == ("OldDatabaseLeft", "nobody drops it")
    drop = "dbcustody restore --drop-old"
    assert need.command == f"{drop} shop_replaced_0 --yes && {drop} 'odd \"one' --yes"
    assert told(body(Kind.DATABASE, "shop", READY, said("OldDatabasesDropped", "True", "OldDatabasesDropped"))) == []
    (older,) = told(body(Kind.DATABASE, "shop", READY, left))
    assert older.command.startswith("kubectl describe")


def test_what_helps_itself_is_not_told() -> None:
    """Keys that are being closed anew; a promise that nothing is known of; the conditions of other kinds."""
    assert told(body(Kind.BACKUP_STORAGE, "main", READY, said("KeysCurrent", "False", "ReWrapping"))) == []
    assert told(policy("p", READY, said("RecoveryPointCurrent", "Unknown", "NoBackupYet"))) == []
    assert told(body(Kind.DATABASE, "a", READY, said("KeysCurrent", "False", "KeyMissing"))) == []


def test_a_reason_of_next_year_is_told() -> None:
    """An older client does not know whether it is bad, and says it."""
    (need,) = told(policy("p", READY, said("RetentionEnforced", "False", "ReasonOfNextYear")))
    assert (need.reason, need.remedy) == ("ReasonOfNextYear", "")


def test_failures_come_newest_first_and_not_without_end() -> None:
    """Ten at most, and none that is older than a week."""
    many = [backup(f"b{number}", good=False, ended=3600 * number) for number in range(1, 15)]
    found = [name for name, _ in reasons(*many, backup("old", good=False, ended=8 * LONG))]
    assert found == [f"b{number}" for number in range(1, MOST_FAILURES + 1)]


def test_what_was_made_good_since_is_over() -> None:
    """A later success for the same thing; for another database, or before, it is none."""
    failed = backup("failed", good=False, ended=3600)
    assert reasons(failed, backup("later", ended=60)) == []
    assert reasons(failed, backup("before", ended=7200)) == [("failed", "DumpFailed")]
    assert reasons(failed, backup("else", ended=60, spec={"databaseRef": {"name": "else"}})) == [
        ("failed", "DumpFailed")
    ]
    gone = backup("gone", ended=60)
    gone["status"]["conditions"].append(said("Uploaded", "False", "DataDeleted"))
    assert reasons(failed, gone) == [("failed", "DumpFailed")]
    good = request("good", said("Finished", "True"), said("Succeeded", "True"), finishTime="2026-01-31T11:59:59Z")
    assert reasons(ended("bad", "RestoreFailed", finishTime="2026-01-31T11:00:00Z"), good) == []
    assert reasons(ended("bad", "RestoreFailed", into="other", finishTime="2026-01-31T11:00:00Z"), good) == [
        ("bad", "RestoreFailed")
    ]


def test_what_was_cancelled_was_meant() -> None:
    """A finished request without any verdict is told by what there is."""
    assert reasons(ended("a", "Cancelled")) == []
    assert reasons(request("b", said("Finished", "True", "Odd"))) == [("b", "Odd")]


def test_a_failure_without_any_time_is_told() -> None:
    """Nobody can say that it is old."""
    timeless = backup("a", good=False)
    del timeless["status"]["finishTime"], timeless["metadata"]["creationTimestamp"]
    assert reasons(timeless) == [("a", "DumpFailed")]


def test_a_run_that_cannot_begin_is_told() -> None:
    """A Backup that is not over is judged as anything else."""
    waiting = body(
        Kind.BACKUP, "a", said("Ready", "False", "PodNotCreated"), said("Finished", "False", "PodNotCreated")
    )
    assert reasons(waiting) == [("a", "PodNotCreated")]


def test_migrations_that_wait_or_failed_are_told() -> None:
    """With the command that agrees, which says of what kind they are; one whose source is there and in is no news."""
    source = {"databaseRef": {"name": "shop"}, "source": {"configMapRefs": [{"name": "shop-migrations"}]}}
    pending = said("Approved", "Unknown", "ApprovalPending", "somebody else than jane must agree", since=1)
    waits = body(Kind.DATABASE_MIGRATION, "a", said("Ready", "Unknown", "ApprovalPending"), pending, spec=source)
    stuck = said("Stalled", "True", "MigrationFailed", "a.sql: line 3: no", since=1)
    failed = body(Kind.DATABASE_MIGRATION, "b", said("Ready", "False", "MigrationFailed"), stuck, spec=source)
    done = body(Kind.DATABASE_MIGRATION, "c", said("Ready", "True", "Applied"), spec=source, plan={"hash": "a"})
    assert [(need.reason, need.command) for need in told(waits, failed, done)] == [
        ("ApprovalPending", "kubectl dbcustody approve a --kind databasemigration -n team"),
        ("MigrationFailed", "kubectl describe databasemigrations.dbcustody.dev/b -n team"),
    ]


def test_a_plan_that_waits_for_a_person_is_told_at_once() -> None:
    """Nobody else can bring it on; an Approval itself needs nobody, whatever it lacks."""
    pending = said("Approved", "Unknown", "ApprovalPending", "somebody else than jane must agree", since=1)
    found = told(request("again", said("Ready", "Unknown", "ApprovalPending"), pending))
    assert [(need.reason, need.command) for need in found] == [
        ("ApprovalPending", "kubectl dbcustody approve again -n team")
    ]
    nobody = (said("Ready", "False", "ApprovalUnavailable"), said("Approved", "Unknown", "ApprovalUnavailable"))
    assert reasons(request("again", *nobody)) == [("again", "ApprovalUnavailable")]
    idle = (said("Ready", "False", "Superseded"), said("Stalled", "True", "Superseded"))
    assert reasons(body(Kind.APPROVAL, "yes", *idle), body(Kind.APPROVAL, "no", observedGeneration=-1)) == []


def test_workloads_that_stay_down_are_told_however_it_ended() -> None:
    """A swap that was done is good; that nobody is served is not. After a week it is no news."""
    down = said("WorkloadsResumed", "False", "WorkloadsStopped", "not scaled back: Deployment web (3)")
    stopped = [
        {"kind": "Deployment", "name": "web", "replicas": 3, "resumed": False},
        {"kind": "StatefulSet", "name": "worker", "replicas": 1, "resumed": True},
    ]
    good = (said("Finished", "True", "Succeeded"), said("Succeeded", "True", "Succeeded"))
    (need,) = told(replacement("back", *good, down, workloads=stopped))
    assert (need.reason, need.message) == ("WorkloadsStopped", "not scaled back: Deployment web (3)")
    assert need.command == "kubectl scale deployment/web --replicas=3 -n team"
    assert told(replacement("back", *good, down, workloads=stopped, finishTime="2026-01-20T12:00:00Z")) == []
    assert told(replacement("back", *good, said("WorkloadsResumed", "True", "WorkloadsResumed"))) == []
    assert told(replacement("back", said("Finished", "False", "Running"), down)) == []


def test_an_old_database_that_stays_is_told() -> None:
    """One that is kept needs nobody; one whose time was over a while ago does."""
    good = (said("Finished", "True", "Succeeded"), said("Succeeded", "True", "Succeeded"))
    assert told(replacement("back", *good, oldDatabase=kept())) == []
    assert told(replacement("back", *good, oldDatabase=kept(left_seconds=-299))) == []
    assert (
        told(replacement("back", *good, oldDatabase=kept(left_seconds=-LONG, droppedTime="2026-01-31T11:00:00Z"))) == []
    )
    (need,) = told(replacement("back", *good, oldDatabase=kept(left_seconds=-301)))
    assert (need.reason, need.command) == ("TargetInUse", "kubectl describe restorerequests.dbcustody.dev/back -n team")


def test_a_restore_made_good_is_of_the_same_place() -> None:
    """A replacement that failed is made good by one that did not."""
    over = (said("Finished", "True"), said("Succeeded", "True"))
    good = replacement("good", *over, finishTime="2026-01-31T11:59:59Z")
    bad = replacement(
        "bad", said("Finished", "True"), said("Succeeded", "False", "SessionsHeld"), finishTime="2026-01-31T11:00:00Z"
    )
    assert reasons(bad, good) == []
    assert reasons(bad, request("good", *over, finishTime="2026-01-31T11:59:59Z")) == [("bad", "SessionsHeld")]


def refused(reason: str, **more: Any) -> Json:
    """Return a replacement that came to nothing before anything was touched."""
    return replacement("back", said("Finished", "True", reason), said("Succeeded", "False", reason), **more)


EFFECTS = {"hash": "a", "sideEffects": [{"kind": "CronJobs", "names": ["clean"]}, {"kind": "Subscriptions"}]}
STORED = {
    "storageRef": {"name": "main"}, "custodyId": "team.shop", "backupId": "b", "beforeTime": "2026-01-30T12:00:00Z",
}  # fmt: skip


@pytest.mark.parametrize(
    ("resource", "command"),
    [
        (
            refused("AcknowledgementNeeded", plan=EFFECTS, more={"acknowledge": ["CronJobs"]}),
            "restore monday --replace shop --acknowledge CronJobs --acknowledge Subscriptions -n team --wait",
        ),
        (refused("NotConfirmed"), "restore monday --replace shop -n team --wait"),
        (
            refused("NotConfirmed", source=STORED),
            "restore --before 2026-01-30T12:00:00Z --storage main --custody team.shop --backup-id b --replace shop -n team --wait",
        ),
        (
            refused("NotConfirmed", source={"policyRef": {"name": "nightly"}}),
            "restore --policy nightly --replace shop -n team --wait",
        ),
        (
            refused("AcknowledgementNeeded", more={"source": None, "undoOf": {"name": "before"}}),
            "restore --undo before -n team --wait",
        ),
    ],
)
def test_what_was_refused_is_asked_anew(resource: Json, command: str) -> None:
    """With everything that the plan says has to be accepted; the person who types it is asked to confirm."""
    (need,) = told(resource)
    assert need.command == f"kubectl dbcustody {command}"


@pytest.mark.parametrize(
    "resource",
    [
        ended("beside", "NotConfirmed"),
        refused("NotConfirmed", more={"source": None}),
        refused("NotConfirmed", more={"target": None}),
        refused("WorkloadsStopped"),
    ],
)
def test_what_nobody_can_ask_anew_is_looked_at(resource: Json) -> None:
    """A resource that does not say enough is described."""
    (need,) = told(resource)
    assert need.command.startswith("kubectl describe restorerequests.dbcustody.dev/")


@pytest.mark.parametrize(
    ("message", "command"),
    [
        (
            'Deployment web: deployments.apps "web" is forbidden: User "system:serviceaccount:db:op" cannot patch resource',
            "kubectl auth can-i patch deployments.apps --subresource=scale -n team --as=system:serviceaccount:db:op",
        ),
        ("Deployment web: no", "kubectl describe restorerequests.dbcustody.dev/back -n team"),
    ],
)
def test_who_may_not_scale_is_named(message: str, command: str) -> None:
    """Once the answer is yes, the request goes on by itself."""
    (need,) = told(replacement("back", said("Ready", "False", "ScaleForbidden", message)))
    assert (need.reason, need.command) == ("ScaleForbidden", command)


def test_a_forbidden_scaling_that_is_said_elsewhere_is_described() -> None:
    """Without the condition there is no word of who."""
    (need,) = told(refused("ScaleForbidden"))
    assert need.command.startswith("kubectl describe ")


def test_who_waits_his_turn_needs_nobody() -> None:
    """A Backup behind another dump begins by itself; a Database has no turn to wait for."""
    busy = (said("Ready", "False", "DatabaseBusy"), said("Finished", "False", "DatabaseBusy"))
    assert reasons(body(Kind.BACKUP, "a", *busy)) == []
    assert reasons(body(Kind.DATABASE, "a", said("Ready", "False", "ConnectionLost"))) == [("a", "ConnectionLost")]


@pytest.mark.parametrize(
    ("resource", "command"),
    [
        (
            policy("p", READY, said("RetentionEnforced", "False", "RetentionNeedsConfirmation"), pruneHash="abc; rm x"),
            [
                "kubectl", "annotate", "backuppolicies.dbcustody.dev/p", "-n", "team",
                "dbcustody.dev/confirm-prune=abc; rm x", "--overwrite",
            ],
        ),
        (
            policy("p", READY, said("RetentionEnforced", "False", "RetentionNeedsConfirmation")),
            ["kubectl", "describe", "backuppolicies.dbcustody.dev/p", "-n", "team"],
        ),
        (
            policy("p", READY, said("RecoveryPointCurrent", "False", "RecoveryPointMissed")),
            ["kubectl", "get", "backups.dbcustody.dev", "-n", "team", "-l", "dbcustody.dev/policy=p"],
        ),
        (
            body(Kind.DATABASE, "a", said("Ready", "False", "PrivilegesMissing"), missingGrants=["GRANT x;"]),
            [
                "kubectl", "get", "databases.dbcustody.dev/a", "-n", "team", "-o",
                r'jsonpath={range .status.missingGrants[*]}{@}{"\n"}{end}',
            ],
        ),
        (
            body(Kind.DATABASE, "a", said("Ready", "False", "PrivilegesMissing")),
            ["kubectl", "describe", "databases.dbcustody.dev/a", "-n", "team"],
        ),
        (
            backup("b", good=False, reason="ArchiveDamaged"),
            ["kubectl", "dbcustody", "backup", "now", "shop", "-n", "team", "--policy", "nightly"],
        ),
        (
            backup("b", good=False, reason="JobLost", spec={"databaseRef": {"name": "shop"}}),
            ["kubectl", "dbcustody", "backup", "now", "shop", "-n", "team"],
        ),
        (
            backup("b", good=False, reason="JobLost", spec={"policyRef": {"name": "gone"}}),
            ["kubectl", "describe", "backups.dbcustody.dev/b", "-n", "team"],
        ),
    ],
)  # fmt: skip
def test_the_command_is_the_one_to_type(resource: Json, command: list[str]) -> None:
    """It can be pasted into a shell, whatever stands in status."""
    (need,) = told(resource)
    assert shlex.split(need.command) == command


def test_what_cannot_be_read_is_told() -> None:
    """One strange resource does not hide the others."""
    need = unreadable(Kind.BACKUP, "a", "team", "status.finishTime: must be a time")
    assert (need.resource, need.reason) == ("backups.dbcustody.dev/a", "Unreadable")
