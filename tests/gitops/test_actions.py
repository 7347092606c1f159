"""The actions of a BackupPolicy in Argo CD: what can be clicked, and what a click does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from dbcustody.api.backup import Backup, Origin
from dbcustody.naming import MAX_NAME_LENGTH, MAX_SCHEDULED_NAME_LENGTH, is_dns_label
from dbcustody.plan.backup import plan
from dbcustody.plan.backup_case import SeenBackup
from tests.fakes.seen import IMAGE, NOW, database, policy, storage, with_metadata
from tests.gitops.argocd import FOLDER, act, discovered
from tests.gitops.bodies import CRDS, body_of
from tests.plan.test_backup_anything import started

CLICK = datetime(2026, 1, 31, 12, 34, 56, tzinfo=UTC)
CASES: dict[str, Any] = yaml.safe_load((FOLDER / "BackupPolicy" / "actions" / "action_test.yaml").read_text())


def policy_body(name: str = "nightly", *, suspend: bool = False) -> dict[str, Any]:
    """Return a policy as Argo CD reads it."""
    return body_of(policy(name, suspend=suspend))


def backup_now(name: str = "nightly", clock: datetime = CLICK) -> dict[str, Any]:
    """Return the Backup that a click makes."""
    ((operation, made),) = act(policy_body(name), "backup-now", clock)
    assert operation == "create"
    return made


def file(path: str) -> Any:
    """Return what stands in the file at *path* beside the actions."""
    return yaml.safe_load((FOLDER / "BackupPolicy" / "actions" / path).read_text())


def test_what_can_be_clicked() -> None:
    """A backup always, suspending what runs and resuming what does not; nothing that approves."""
    assert discovered(policy_body()) == {"backup-now": True, "suspend": True, "resume": False}
    assert discovered(policy_body(suspend=True)) == {"backup-now": True, "suspend": False, "resume": True}
    assert {path.parent.name for path in FOLDER.rglob("action.lua")} == set(discovered(policy_body()))


@pytest.mark.parametrize("case", CASES["actionTests"], ids=lambda case: case["action"])
def test_argo_cds_list_of_actions_is_true(case: dict[str, str]) -> None:
    """The cases that Argo CD's own test would read; the name of what is created is the clock's."""
    ((operation, made),) = act(file(case["inputPath"]), case["action"], CLICK)
    expected = file(case["expectedOutputPath"])

    if operation == "create":
        (expected,) = [one["resource"] for one in expected]
    assert made == expected


@pytest.mark.parametrize("case", CASES["discoveryTests"], ids=lambda case: case["inputPath"])
def test_argo_cds_list_of_what_can_be_clicked_is_true(case: dict[str, Any]) -> None:
    """The same for the discovery."""
    expected = {one["name"]: not one.get("disabled", False) for one in case["result"]}
    assert discovered(file(case["inputPath"])) == expected


def test_the_cases_are_policies_as_they_are_today() -> None:
    """They are made of the real resource."""
    assert file("testdata/policy.yaml") == policy_body()
    assert file("testdata/policy-suspended.yaml") == policy_body(suspend=True)


def test_a_click_is_a_backup_that_the_api_server_takes_and_the_operator_runs() -> None:
    """It fits the CRD, says who made it by leaving `origin` alone, and the plan starts a Job for it."""
    (version,) = yaml.safe_load((CRDS / "backups.yaml").read_text())["spec"]["versions"]
    made = backup_now()
    Draft202012Validator(version["schema"]["openAPIV3Schema"]).validate(made)
    one = Backup.from_body(
        made | {"metadata": made["metadata"] | {"uid": "u", "generation": 1, "resourceVersion": "1"}}
    )
    seen = SeenBackup(image=IMAGE, database=database(), storage=storage(), policy=policy())

    assert one.spec.origin is Origin.MANUAL
    assert started(plan(one, seen, NOW)) == ["backup"]


def test_a_name_is_a_minutes_and_fits() -> None:
    """Twice in a minute is once; another minute is another backup; the longest policy's name leaves room for it."""
    longest = "p" * MAX_SCHEDULED_NAME_LENGTH

    assert backup_now()["metadata"]["name"] == "nightly-2601311234"
    assert backup_now(clock=CLICK + timedelta(seconds=3)) == backup_now()
    assert backup_now(clock=CLICK + timedelta(minutes=1)) != backup_now()
    assert len(backup_now(longest)["metadata"]["name"]) == MAX_NAME_LENGTH
    assert is_dns_label(backup_now(longest)["metadata"]["name"])


def test_a_backup_belongs_to_nobody() -> None:
    """Neither the policy's deletion nor Argo CD's pruning takes it away."""
    about = backup_now()["metadata"]

    assert "ownerReferences" not in about
    assert not [name for name in about["labels"] if not name.startswith("dbcustody.dev/")]


@pytest.mark.parametrize(("action", "suspend"), [("suspend", True), ("resume", False)])
def test_suspending_and_resuming_change_one_word(action: str, *, suspend: bool) -> None:
    """The patch is the policy itself, and empty mappings are mappings again."""
    before = replace(policy(), spec=replace(policy().spec, suspend=not suspend))
    ((operation, after),) = act(body_of(with_metadata(before)), action, CLICK)

    assert operation == "patch"
    assert after == policy_body(suspend=suspend)
