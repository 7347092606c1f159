"""A client reads what it needs of every kind, also of an operator that is newer than itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from dbcustody.api.glance import Glance
from dbcustody.api.meta import Kind, ObjectRef

BODY = {
    "metadata": {"name": "nightly", "namespace": "team", "generation": 3},
    "spec": {"databaseRef": {"name": "shop"}, "unheardOf": {"a": 1}},
    "status": {
        "observedGeneration": 3,
        "conditions": [
            {"type": "Ready", "status": "False", "reason": "ReasonOfNextYear", "message": "says it"},
            {"type": "TypeOfNextYear", "status": "True"},
            {"type": "Verified", "status": "Unknown"},
        ],
        "nextScheduleTime": "2026-02-01T02:00:00Z",
    },
}


def test_what_a_newer_operator_says_is_read_as_it_is() -> None:
    """Reasons and conditions that this version does not know are told, not refused."""
    found = Glance.from_body(Kind.BACKUP_POLICY, BODY)

    assert (found.name, found.namespace) == ("nightly", "team")
    assert found.place == "backuppolicies.dbcustody.dev/nightly"
    assert found.spec.database_ref == ObjectRef(name="shop")
    assert found.status.next_schedule_time == datetime(2026, 2, 1, 2, tzinfo=UTC)
    ready = found.said("Ready")
    assert ready is not None
    assert (ready.reason, ready.message) == ("ReasonOfNextYear", "says it")
    assert (found.is_true("Ready"), found.is_false("Ready")) == (False, True)
    assert found.is_true("TypeOfNextYear")
    assert (found.is_true("Verified"), found.is_false("Verified")) == (False, False)
    assert (found.said("Stalled"), found.is_true("Stalled"), found.is_false("Stalled")) == (None, False, False)


@pytest.mark.parametrize(("generation", "is_current"), [(3, True), (4, False)])
def test_status_is_about_one_generation(generation: int, *, is_current: bool) -> None:
    """After an edit, what status says is yesterday's news."""
    metadata = {"name": "nightly", "generation": generation}
    assert Glance.from_body(Kind.BACKUP_POLICY, {**BODY, "metadata": metadata}).is_current is is_current
    assert not Glance.from_body(Kind.BACKUP_POLICY, {"metadata": metadata}).is_current


STATES = sorted(
    (Path(__file__).parents[2] / "deploy/argocd/resource_customizations/dbcustody.dev/_/testdata").glob("*.yaml")
)


@pytest.mark.parametrize("path", STATES, ids=lambda path: path.stem)
def test_whatever_the_operator_says_can_be_looked_at(path: Path) -> None:
    """Kinds share names of fields and not always their meaning: no state of any of them is passed over."""
    body = yaml.safe_load(path.read_text())
    found = Glance.from_body(Kind(body["kind"]), body)
    assert found.name == body["metadata"]["name"]


def test_a_policy_s_plan_is_no_restore_s() -> None:
    """What retention does with each backup stands under the same name as what a restore will do."""
    planned = {"plan": [{"name": "nightly-1", "keep": True}]}
    assert Glance.from_body(Kind.BACKUP_POLICY, BODY | {"status": planned}).status.plan is None
    told = {"plan": {"hash": "0", "sideEffects": [{"kind": "CronJobs"}]}}
    assert Glance.from_body(Kind.RESTORE_REQUEST, BODY | {"status": told}).status.plan is not None
