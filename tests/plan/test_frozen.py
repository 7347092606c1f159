"""What an older version wrote is read by this one: resources, the requests in the Jobs' environment, and the results in their pods."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dbcustody.api.backup import Backup
from dbcustody.api.database import Database
from dbcustody.api.policy import BackupPolicy
from dbcustody.api.restore import RestoreRequest
from dbcustody.api.storage import BackupStorage
from dbcustody.contract import REQUEST_VARIABLE, load_request
from dbcustody.naming import child_name
from dbcustody.plan.job_lifecycle import Stand, judge
from dbcustody.plan.observed import SeenJob, SeenPod
from tests.fakes.seen import NOW

FOLDER = Path(__file__).parents[1] / "fixtures" / "upgrade"
VERSIONS = ("before-restores", "first-chart")
KINDS = {one.__name__: one for one in (Database, BackupStorage, BackupPolicy, Backup, RestoreRequest)}
EVERY_VERSION = pytest.mark.parametrize("version", VERSIONS)


def objects(version: str, kind: str) -> list[Any]:
    """Return the objects of *kind* that *version* left."""
    found = json.loads((FOLDER / version / "objects.json").read_text())
    return [one for one in found if one["kind"] == kind]


@EVERY_VERSION
def test_resources_are_read(version: str) -> None:
    """Spec and status of each, with every condition that was said."""
    read = {kind: [read.from_body(body) for body in objects(version, kind)] for kind, read in KINDS.items()}
    assert {kind: len(found) for kind, found in read.items()} == {
        "Database": 1, "BackupStorage": 1, "BackupPolicy": 1, "Backup": 3, "RestoreRequest": int(version == "first-chart"),
    }  # fmt: skip
    for kind, found in read.items():
        for body, one in zip(objects(version, kind), found, strict=True):
            assert len(one.status.conditions) == len(body["status"]["conditions"])  # type: ignore[attr-defined]


def jobs(version: str) -> list[SeenJob]:
    """Return the Jobs with their pods, as an operator sees them."""
    pods = objects(version, "Pod")
    return [
        replace(
            SeenJob.from_body(job),
            pods=tuple(SeenPod.from_body(pod) for pod in pods if _owner(pod) == job["metadata"]["uid"]),
        )
        for job in objects(version, "Job")
    ]


def _owner(pod: Any) -> str:
    (owner,) = pod["metadata"]["ownerReferences"]
    return str(owner["uid"])


@EVERY_VERSION
def test_what_jobs_were_asked_and_said_is_understood(version: str) -> None:
    """A Job of the older image may still run after the upgrade, and the operator of today reads what it was asked and says."""
    verbs = {"inspect", "probe", "backup", "prune"} | (
        {"plan-restore", "restore"} if version == "first-chart" else set()
    )
    requests = [
        next(
            one["value"]
            for one in job["spec"]["template"]["spec"]["containers"][0]["env"]
            if one["name"] == REQUEST_VARIABLE
        )
        for job in objects(version, "Job")
    ]
    assert {load_request(request).verb.value for request in requests} == verbs
    verdicts = {job.name: judge(job, NOW) for job in jobs(version)}
    assert {name: one.stand for name, one in verdicts.items()} == dict.fromkeys(verdicts, Stand.ANSWERED)
    assert all(
        one.result is not None and one.result.complete and one.result.exit_code == 0 for one in verdicts.values()
    )


@EVERY_VERSION
def test_jobs_of_finished_backups_are_found_by_their_names(version: str) -> None:
    """Whoever asks twice finds the first answer: the name is made today as it was then."""
    for backup in objects(version, "Backup"):
        if backup["spec"].get("origin") == "Scheduled":
            continue
        metadata, (attempt,) = backup["metadata"], backup["status"]["attempts"]
        name = child_name(metadata["name"], metadata["uid"], attempt["verb"], str(attempt["ordinal"]))
        assert name == attempt["jobName"]
