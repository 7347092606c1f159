"""What the operator does with resources as they are given to it, seen from the API server."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from dbcustody.adapters.kube import CLAIMS, CRON_JOBS, EVENTS, JOBS, NAMESPACES, PODS, ours
from dbcustody.api.condition import ConditionType
from dbcustody.api.meta import Kind
from dbcustody.contract import Verb, frame, progress_record, result_record
from dbcustody.errors import ConflictError, RefusedError, UnavailableError
from dbcustody.handlers.world import Key, Place
from dbcustody.naming import LABEL_VERB
from dbcustody.plan.observed import SCHEDULED_TIMESTAMP, SeenJob
from dbcustody.reason import Reason
from tests.fakes.seen import NOW, progress, result
from tests.handlers.scene import TEAM, Scene, good_answer

SHOP = Key(Kind.DATABASE, TEAM, "shop")


def parties(stage: Scene) -> Scene:
    """Return *stage* with a Database and a BackupStorage."""
    stage.make(Kind.DATABASE, "shop")
    stage.make(Kind.BACKUP_STORAGE, "main")
    return stage


async def with_policy(**spec: Any) -> Scene:
    """Return a scene in which a policy has its CronJob."""
    stage = parties(Scene())
    stage.make(Kind.BACKUP_POLICY, "nightly", **spec)
    await stage.turns(4)
    return stage


@pytest.mark.parametrize(
    "owner", [[], [{"apiVersion": "v1", "kind": "Any", "name": "any", "uid": "x"}]], ids=["nobody", "another"]
)
async def test_a_stranger_s_cron_job_is_not_taken_over(owner: list[dict[str, Any]]) -> None:
    """A CronJob of the policy's name without our labels, which no watch tells of, stays exactly as it is."""
    stage = Scene()
    stranger = {"metadata": {"name": "nightly", "ownerReferences": owner}, "spec": {"schedule": "1 1 1 1 1"}}
    stage.kube.put_new(CRON_JOBS, TEAM, stranger)
    before = stage.kube.all(CRON_JOBS)
    parties(stage).make(Kind.BACKUP_POLICY, "nightly")
    await stage.turns(4)

    assert stage.kube.all(CRON_JOBS) == before
    assert stage.condition(Kind.BACKUP_POLICY, "nightly", ConditionType.SCHEDULE_ACCEPTED) == ("False", "NameTaken")


async def test_a_cron_job_that_somebody_removed_comes_back() -> None:
    """The schedule is the policy's wish, whoever deletes it."""
    stage = await with_policy()
    stage.kube.remove(CRON_JOBS, TEAM, "nightly")
    await stage.turns(2)
    stage.kube.finish_deletions()
    await stage.turns(2)

    assert [body["metadata"]["name"] for body in stage.kube.all(CRON_JOBS)] == ["nightly"]


async def test_a_deleted_policy_leaves_a_running_dump_alone() -> None:
    """The CronJob goes with the policy, its Job works on, and what became of it is recorded."""
    stage = await with_policy()
    stage.fire("nightly", NOW)
    stage.kube.remove(ours("backuppolicies"), TEAM, "nightly")
    await stage.turns(6)

    assert (stage.kube.all(CRON_JOBS), stage.kube.all(ours("backuppolicies"))) == ([], [])
    (backup,) = stage.kube.all(ours("backups"))
    name = backup["metadata"]["name"]
    assert stage.condition(Kind.BACKUP, name, ConditionType.SUCCEEDED) == ("True", "Succeeded")


async def test_a_job_made_by_hand_becomes_an_adopted_backup() -> None:
    """It is recorded under its own name and starts no Job of its own."""
    stage = await with_policy()
    stage.fire("nightly", NOW)
    (job,) = [body for body in stage.kube.all(JOBS) if body["metadata"]["name"].startswith("nightly-2")]

    def by_hand(body: dict[str, Any]) -> None:
        body["metadata"]["annotations"].pop(SCHEDULED_TIMESTAMP)

    stage.kube.change(JOBS, TEAM, job["metadata"]["name"], by_hand)
    await stage.turns(6)
    (backup,) = stage.kube.all(ours("backups"))

    assert backup["spec"]["origin"] == "Adopted"
    assert [verb for verb, _ in stage.jobs].count("backup") == 1


async def test_a_backup_that_names_only_its_policy_counts_for_the_database() -> None:
    """`kubectl create` of a Backup needs no label: database and metrics know it all the same."""
    stage = await with_policy()
    hand_made = {"metadata": {"name": "by-hand"}, "spec": {"policyRef": {"name": "nightly"}}}
    stage.kube.put_new(ours("backups"), TEAM, hand_made)
    await stage.turns(6)
    value = stage.operator.metrics.registry.get_sample_value
    stage.operator.metrics.add_sampler(stage.operator.books.sample)

    assert stage.body(Kind.DATABASE, "shop")["status"]["lastBackup"]["name"] == "by-hand"
    shop, nightly = ({"cr_namespace": TEAM, "cr_name": name} for name in ("shop", "nightly"))
    assert value("dbcustody_database_backup_runs_total", shop) == 1
    assert value("dbcustody_backup_runs_total", nightly) == 1
    assert value("dbcustody_backup_failed_runs_total", nightly) == 0


async def test_a_refused_job_is_said_and_tried_again() -> None:
    """A quota's text stands in the conditions, nothing flickers, and when the quota is gone the work goes on."""
    stage = Scene()
    stage.kube.refusals["create", "jobs"] = RefusedError("exceeded quota: jobs", reason=Reason.POD_NOT_CREATED)
    stage.make(Kind.DATABASE, "shop")
    await stage.turn()
    version = stage.body(Kind.DATABASE, "shop")["metadata"]["resourceVersion"]
    await stage.turns(3)

    assert stage.condition(Kind.DATABASE, "shop", ConditionType.READY) == ("False", "PodNotCreated")
    assert stage.body(Kind.DATABASE, "shop")["metadata"]["resourceVersion"] == version
    stage.kube.refusals.clear()
    await stage.turns(4)
    assert stage.condition(Kind.DATABASE, "shop", ConditionType.READY) == ("True", "Ready")


async def test_a_refused_prune_leaves_ready_alone() -> None:
    """Retention's Job is no matter of the schedule: RetentionEnforced says it, once, and Ready stays."""
    stage = parties(Scene())
    stage.make(Kind.BACKUP_POLICY, "nightly", immediate=True)
    while not any(verb == Verb.BACKUP for verb, _ in stage.jobs):
        await stage.turn()
    stage.kube.refusals["create", "jobs"] = RefusedError("exceeded quota: jobs", reason=Reason.POD_NOT_CREATED)
    await stage.turns(5)
    told = len(stage.kube.all(EVENTS))
    version = stage.body(Kind.BACKUP_POLICY, "nightly")["metadata"]["resourceVersion"]
    await stage.turns(3)

    assert stage.condition(Kind.BACKUP_POLICY, "nightly", ConditionType.READY) == ("True", "Ready")
    enforced = stage.condition(Kind.BACKUP_POLICY, "nightly", ConditionType.RETENTION_ENFORCED)
    assert enforced == ("False", "PodNotCreated")
    assert stage.body(Kind.BACKUP_POLICY, "nightly")["metadata"]["resourceVersion"] == version
    assert len(stage.kube.all(EVENTS)) == told
    stage.kube.refusals.clear()
    await stage.turns(4)
    enforced = stage.condition(Kind.BACKUP_POLICY, "nightly", ConditionType.RETENTION_ENFORCED)
    assert enforced == ("True", "RetentionEnforced")


async def test_a_refused_dry_run_is_the_schedule_s_judge() -> None:
    """What the API server says against the CronJob stands in ScheduleAccepted, and nothing is applied."""
    stage = Scene()
    stage.kube.refusals["apply", "cronjobs"] = RefusedError(
        "spec.schedule: Invalid value", reason=Reason.POD_NOT_CREATED
    )
    parties(stage).make(Kind.BACKUP_POLICY, "nightly")
    await stage.turns(3)

    assert stage.condition(Kind.BACKUP_POLICY, "nightly", ConditionType.SCHEDULE_ACCEPTED) == (
        "False",
        "ScheduleInvalid",
    )
    assert {call.detail for call in stage.kube.calls if call.verb == "apply"} == {"dry run"}


async def test_a_pod_that_is_not_created_is_explained_by_events() -> None:
    """Only the Job's Events know why: after 15 s their text is the message."""
    stage = Scene()
    stage.make(Kind.DATABASE, "shop")
    await stage.operator.work()
    (job,) = stage.kube.all(JOBS)
    warning = {
        "metadata": {"name": "w"},
        "type": "Warning",
        "message": "pods is forbidden: violates PodSecurity",
        "involvedObject": {"uid": job["metadata"]["uid"], "name": job["metadata"]["name"]},
    }
    stage.kube.put_new(EVENTS, TEAM, warning | {"reason": "FailedCreate"})
    stage.now = stage.now.replace(second=30)
    await stage.operator.sweep()
    await stage.operator.work()

    said = {one["type"]: one for one in stage.body(Kind.DATABASE, "shop")["status"]["conditions"]}
    assert (said["Ready"]["reason"], said["Ready"]["message"]) == (
        "PodNotCreated",
        "pods is forbidden: violates PodSecurity",
    )


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        pytest.param(["ReadWriteOncePod"], ("False", "InvalidSpec"), id="one-pod"),
        pytest.param(["ReadWriteOnce"], ("True", "Ready"), id="one-node"),
        pytest.param(None, ("True", "Ready"), id="not-there-yet-is-the-probe-s-matter"),
    ],
)
async def test_the_claim_of_a_volume_is_looked_at(modes: list[str] | None, expected: tuple[str, str]) -> None:
    """A claim for one pod alone is refused before anything runs."""
    stage = Scene()
    if modes is not None:
        stage.kube.put_new(CLAIMS, TEAM, {"metadata": {"name": "data"}, "spec": {"accessModes": modes}})
    body = {"metadata": {"name": "disk"}, "spec": {"volume": {"claimName": "data"}, "acknowledgeUnencrypted": True}}
    stage.kube.put_new(ours("backupstorages"), TEAM, body)
    await stage.turns(4)

    assert stage.condition(Kind.BACKUP_STORAGE, "disk", ConditionType.READY) == expected


async def test_a_conflict_is_read_anew() -> None:
    """Somebody wrote before us and no watch told: the operator reads the resource and goes on from what is there."""
    stage = Scene()
    stage.make(Kind.DATABASE, "shop")
    watchers, stage.kube.watchers = list(stage.kube.watchers), []
    stage.kube.change(ours("databases"), TEAM, "shop", lambda body: body["spec"].update(suspend=True))
    stage.kube.watchers = watchers
    await stage.operator.work()

    assert stage.operator.told == [(SHOP, "conflict")]
    await stage.turn()
    assert stage.condition(Kind.DATABASE, "shop", ConditionType.READY) == ("Unknown", "Suspended")


@pytest.mark.parametrize("failure", [None, UnavailableError("503")], ids=["gone", "away"])
async def test_a_conflict_over_what_is_gone(failure: Exception | None) -> None:
    """A resource that is not there any more is forgotten; one that cannot be read is tried again."""
    stage = Scene()
    stage.make(Kind.DATABASE, "shop")
    stage.kube.refusals["patch", "databases"] = ConflictError("test failed")
    if failure is not None:
        stage.kube.refusals["get", "databases"] = failure
    stage.kube.watchers = []
    stage.kube.remove(ours("databases"), TEAM, "shop")
    await stage.operator.work()

    assert stage.operator.told == [(SHOP, "conflict")]
    assert (stage.operator.hands.world.get(SHOP) is None) is (failure is None)


async def test_one_broken_resource_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """What nobody foresaw is counted and tried again; the worker goes on."""
    stage = Scene()
    stage.kube.refusals["patch", "databases"] = ZeroDivisionError("a bug")
    with caplog.at_level(logging.CRITICAL):
        await parties(stage).turns(4)

    assert (SHOP, "unexpected") in stage.operator.told
    assert stage.condition(Kind.BACKUP_STORAGE, "main", ConditionType.READY) == ("True", "Ready")


async def test_a_backup_s_end_has_its_storage_counted_again() -> None:
    """What `kubectl get pgstore` counts follows within minutes, not within the hour, and is counted once."""
    stage = parties(Scene())
    await stage.turns(20)
    stage.make(Kind.BACKUP, "monday")
    await stage.turns(40)

    assert [verb for verb, _ in stage.jobs] == ["inspect", "probe", "backup", "probe"]


async def test_what_is_gone_is_not_written() -> None:
    """A resource that was deleted before its status could be written is dropped, and nothing is started for it."""
    stage = Scene()
    stage.make(Kind.DATABASE, "shop")
    stage.kube.watchers = []
    stage.kube.remove(ours("databases"), TEAM, "shop")
    await stage.operator.work()

    assert stage.operator.hands.world.get(SHOP) is None
    assert stage.kube.all(JOBS) == []


async def test_a_namespace_that_goes_is_not_held_up() -> None:
    """No Job can be made there: the finalizer is released, the data stays, and an Event says so."""
    stage = parties(Scene())
    stage.make(Kind.BACKUP, "monday", deletionPolicy="Delete")
    await stage.turns(5)
    stage.kube.change(
        NAMESPACES, "", TEAM, lambda body: body["metadata"].update(deletionTimestamp="2026-01-31T12:00:00Z")
    )
    stage.kube.remove(ours("backups"), TEAM, "monday")
    await stage.turns(2)

    assert stage.kube.all(ours("backups")) == []
    assert ("monday", "DataLeftInStorage") in stage.events()
    assert [verb for verb, _ in stage.jobs].count("prune") == 0


async def test_every_resource_deleted_and_applied_again_runs_nothing_twice() -> None:
    """A GitOps tool that applies everything anew makes no second immediate backup while the first is there."""
    stage = await with_policy(immediate=True)
    await stage.turns(3)
    stage.kube.remove(ours("backuppolicies"), TEAM, "nightly")
    await stage.turns(2)
    stage.make(Kind.BACKUP_POLICY, "nightly", immediate=True)
    await stage.turns(4)

    assert [verb for verb, _ in stage.jobs].count("backup") == 1


async def test_a_password_corrected_afterwards_is_found() -> None:
    """Nothing is touched: the next try, within its pause, finds that it works."""
    stage = Scene()
    stage.make(Kind.DATABASE, "shop")
    stage.answers[Verb.INSPECT] = result(Verb.INSPECT, Reason.AUTHENTICATION_FAILED, "the password is wrong")
    await stage.turns(4)
    wrong = stage.condition(Kind.DATABASE, "shop", ConditionType.READY)
    stage.answers.clear()
    await stage.turns(8)

    assert wrong == ("False", "AuthenticationFailed")
    assert stage.condition(Kind.DATABASE, "shop", ConditionType.READY) == ("True", "Ready")


async def test_the_long_result_is_read_from_the_log() -> None:
    """A termination message without room for the facts is completed from the pod's log."""
    stage = Scene()
    stage.make(Kind.DATABASE, "shop")
    whole = good_answer(Verb.INSPECT, "")
    stage.answers[Verb.INSPECT] = replace(whole, inspection=None, complete=False)
    await stage.turn()
    (job,) = [SeenJob.from_body(body) for body in stage.kube.all(JOBS)]
    record = frame(result_record(1, replace(whole, request_sha256=job.request_sha256)))
    stage.kube.logs[TEAM, f"{job.name}-pod"] = f"some line\n{record}\n"
    await stage.turns(3)

    assert stage.body(Kind.DATABASE, "shop")["status"]["endpoint"] == "db:5432"


async def test_progress_is_visible_while_it_runs() -> None:
    """The running Job's last record stands in status."""
    stage = parties(Scene())
    stage.make(Kind.BACKUP, "monday")
    await stage.turn()
    (pod,) = [body for body in stage.kube.all(PODS) if body["metadata"]["labels"][LABEL_VERB] == "backup"]
    stage.kube.logs[TEAM, pod["metadata"]["name"]] = frame(progress_record(1, progress()))
    await stage.operator.sweep()
    await stage.operator.work()

    assert stage.body(Kind.BACKUP, "monday")["status"]["progress"]["percent"] == 42
    asked = sum(call.verb == "log" for call in stage.kube.calls)
    await stage.operator.sweep()
    await stage.operator.work()
    assert sum(call.verb == "log" for call in stage.kube.calls) == asked


async def test_pods_of_all_jobs_are_looked_at_by_one_request() -> None:
    """A sweep lists pods once for the whole cluster, and not at all when every Job is ready."""
    stage = parties(Scene())
    await stage.operator.work()
    stage.kube.calls.clear()
    await stage.operator.observer.refresh_pods()
    stage.nature()
    await stage.operator.observer.refresh_pods()

    assert [(call.verb, call.plural) for call in stage.kube.calls] == [("list", "pods")]
    jobs = list(stage.operator.hands.world.jobs)
    assert all(stage.operator.observer.pod_uids(job) == () for job in jobs)
    stage.operator.observer.forget(jobs[0].metadata.uid)
    assert stage.operator.hands.world.jobs.get(Place(TEAM, jobs[0].name)) is not None
