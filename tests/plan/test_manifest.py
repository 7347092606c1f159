"""Jobs and CronJobs as Kubernetes gets them: what is tried again, how long it may take, whom it belongs to."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.meta import Kind, reference_to
from dbcustody.contract import JobRequest, Verb
from dbcustody.naming import LABEL_VERB, MAX_NAME_LENGTH
from dbcustody.plan.manifest import (
    HISTORY,
    LEAST_STARTING_DEADLINE_SECONDS,
    RETRIES,
    SPARE_SECONDS,
    Timetable,
    Work,
    cron_job_manifest,
    job_manifest,
)
from dbcustody.plan.observed import ANNOTATION_MANIFEST, SeenCronJob, SeenJob
from dbcustody.plan.request import Parties, backup_work, prune_work, removal_work, scheduled_work, settle_work
from tests.fakes.seen import IMAGE, backup, database, metadata, policy, storage

PARTIES = Parties(database=database(), storage=storage(), policy=policy())
REQUEST = JobRequest(verb=Verb.BACKUP, namespace="team", name="monday", owner_uid="u", timeout_seconds=100)
WORK = Work(request=REQUEST, image=IMAGE, owner_kind=Kind.BACKUP, owner_name="monday")
OWNER = reference_to(Kind.BACKUP, metadata("monday"))
DAILY = Timetable(schedule="0 2 * * *", time_zone="Europe/Copenhagen", starting_deadline_seconds=3600, suspend=False)

ALL_WORK = {
    "backup": backup_work(backup(), PARTIES, image=IMAGE),
    "settle": settle_work(backup(), PARTIES, image=IMAGE),
    "removal": removal_work(backup(), PARTIES, image=IMAGE),
    "scheduled": scheduled_work(policy(), PARTIES, image=IMAGE),
    "prune": prune_work(policy(), PARTIES, live_attempts=(), image=IMAGE),
}


def job_spec(work: Work) -> dict[str, Any]:
    """Return the spec of the Job that does *work*."""
    spec: dict[str, Any] = job_manifest(work, name="monday-1", owner=OWNER)["spec"]
    return spec


def cron_job(timetable: Timetable = DAILY, work: Work = WORK) -> dict[str, Any]:
    """Return a CronJob."""
    return cron_job_manifest(work, timetable, name="nightly", owner=OWNER)


@pytest.mark.parametrize("work", ALL_WORK.values(), ids=ALL_WORK.keys())
def test_only_what_may_get_better_is_tried_again(work: Work) -> None:
    """Disruptions do not count, exit code 20 is tried up to three times, everything else is final: in this order."""
    spec = job_spec(work)

    assert spec["backoffLimit"] == RETRIES == 3
    assert spec["podFailurePolicy"]["rules"] == [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "job", "operator": "NotIn", "values": [20]}},
    ]
    assert spec["template"]["spec"]["containers"][0]["name"] == "job"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("work", ALL_WORK.values(), ids=ALL_WORK.keys())
def test_no_second_pod_starts_while_the_first_one_lives(work: Work) -> None:
    """Two pods of one Job never write at once: the next one waits until the one before is really over."""
    assert job_spec(work)["podReplacementPolicy"] == "Failed"


@pytest.mark.parametrize("work", ALL_WORK.values(), ids=ALL_WORK.keys())
def test_a_job_is_kept_until_its_result_was_recorded(work: Work) -> None:
    """No Job removes itself: its message would be gone before anybody read it."""
    assert "ttlSecondsAfterFinished" not in job_spec(work)


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [pytest.param(0, 220, id="at-once"), pytest.param(3600, 3820, id="waits-for-its-turn")],
)
def test_kubernetes_waits_longer_than_the_worker(waiting: int, expected: int) -> None:
    """Timeout, waiting and 120 s: the worker must be able to say itself that it timed out."""
    assert job_spec(replace(WORK, waiting_seconds=waiting))["activeDeadlineSeconds"] == expected
    assert SPARE_SECONDS == 120


def test_work_that_the_operator_repeats_is_not_repeated_by_kubernetes() -> None:
    """Without retries the first failure is told at once."""
    assert job_spec(replace(WORK, retries=0))["backoffLimit"] == 0


def test_a_job_belongs_to_its_owner_and_can_be_read_back() -> None:
    """What is written is what `observed` reads: verb, owner, request."""
    manifest = job_manifest(ALL_WORK["backup"], name="monday-1", owner=OWNER)
    seen = SeenJob.from_body(manifest)

    assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "Job")
    assert (seen.name, seen.metadata.namespace, seen.verb) == ("monday-1", "team", Verb.BACKUP)
    assert seen.belongs_to("uid-monday")
    assert len(seen.request_sha256) == 64


@pytest.mark.parametrize("work", ALL_WORK.values(), ids=ALL_WORK.keys())
def test_job_and_pod_can_be_found_by_the_same_labels(work: Work) -> None:
    """Every label is on both, is not empty, and fits Kubernetes' bound."""
    manifest = job_manifest(work, name="x", owner=OWNER)
    labels = manifest["metadata"]["labels"]

    assert labels.items() <= manifest["spec"]["template"]["metadata"]["labels"].items()
    assert labels[LABEL_VERB] == work.request.verb
    assert all(0 < len(value) <= MAX_NAME_LENGTH for value in labels.values())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(
            "backup",
            {"owner-kind": "Backup", "owner-name": "monday", "database": "shop", "storage": "main", "backup": "monday"},
            id="a-backups",
        ),
        pytest.param(
            "scheduled",
            {
                "owner-kind": "BackupPolicy",
                "owner-name": "nightly",
                "database": "shop",
                "storage": "main",
                "policy": "nightly",
            },
            id="a-policys",
        ),
    ],
)
def test_labels_say_for_whom_the_work_is(name: str, expected: dict[str, str]) -> None:
    """Owner, database, storage, policy and backup, as far as they are known, and nothing else of ours."""
    labels = ALL_WORK[name].labels
    ours = {label.removeprefix("dbcustody.dev/"): value for label, value in labels.items() if "dbcustody.dev" in label}

    assert ours == expected | {"verb": "backup"}
    assert labels["app.kubernetes.io/managed-by"] == "dbcustody"


def test_a_name_that_is_too_long_for_a_label_is_cut_with_a_digest() -> None:
    """Two long names that begin alike stay two."""
    first, second = (replace(WORK, owner_name="a" * 70 + end).labels for end in "xy")

    assert first != second


@pytest.mark.parametrize("suspend", [True, False], ids=["suspended", "active"])
def test_a_cron_job_leaves_the_clock_to_kubernetes(suspend: bool) -> None:  # noqa: FBT001
    """Schedule, zone and suspension are passed on; runs never overlap, and each Job stays to be recorded."""
    spec = cron_job(replace(DAILY, suspend=suspend))["spec"]

    assert (spec["schedule"], spec["timeZone"], spec["suspend"]) == ("0 2 * * *", "Europe/Copenhagen", suspend)
    assert spec["concurrencyPolicy"] == "Forbid"
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (HISTORY, HISTORY) == (50, 50)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(0, LEAST_STARTING_DEADLINE_SECONDS), (59, 60), (60, 60), (3600, 3600)],
)
def test_a_slot_is_never_given_up_before_the_controller_looked(wanted: int, expected: int) -> None:
    """The controller looks every 10 s; a deadline below 60 s would lose slots."""
    assert cron_job(replace(DAILY, starting_deadline_seconds=wanted))["spec"]["startingDeadlineSeconds"] == expected


def test_the_jobs_of_a_cron_job_outlive_it() -> None:
    """The finalizer `orphan` leaves a running dump alone whoever deletes the CronJob."""
    assert cron_job()["metadata"]["finalizers"] == ["orphan"]


def test_the_jobs_of_a_cron_job_are_like_any_other() -> None:
    """The same spec, and labels by which each is recognised as ours."""
    made = cron_job(work=ALL_WORK["scheduled"])
    template = made["spec"]["jobTemplate"]

    assert template["spec"] == job_spec(ALL_WORK["scheduled"])
    assert template["metadata"]["labels"] == made["metadata"]["labels"] == ALL_WORK["scheduled"].labels


@pytest.mark.parametrize(
    ("timetable", "work", "is_same"),
    [
        pytest.param(DAILY, WORK, True, id="nothing"),
        pytest.param(replace(DAILY, schedule="0 3 * * *"), WORK, False, id="schedule"),
        pytest.param(replace(DAILY, suspend=True), WORK, False, id="suspension"),
        pytest.param(DAILY, replace(WORK, image="example.org/dbcustody:2"), False, id="image"),
        pytest.param(DAILY, replace(WORK, request=replace(REQUEST, storage_name="b")), False, id="storage"),
    ],
)
def test_a_cron_job_is_applied_again_only_when_something_changed(
    timetable: Timetable,
    work: Work,
    is_same: bool,  # noqa: FBT001 - of the table
) -> None:
    """The digest in the annotation tells whether what stands there is what is wanted."""
    before, after = (SeenCronJob.from_body(one).manifest_hash for one in (cron_job(), cron_job(timetable, work)))

    assert is_same is (before == after)
    assert cron_job()["metadata"]["annotations"] == {ANNOTATION_MANIFEST: before}


@pytest.mark.parametrize("work", ALL_WORK.values(), ids=ALL_WORK.keys())
def test_a_manifest_is_plain_json(work: Work) -> None:
    """It goes to the API server as it is, and is the same each time."""
    once, again = (json.dumps(cron_job(work=work), sort_keys=True) for _ in range(2))

    assert once == again
