"""Schedules by the minute: Kubernetes starts the runs, each is recorded as a Backup, and what cannot be a schedule is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from scene.api import ApiError
from scene.evidence import conditions

if TYPE_CHECKING:
    from scene.storehouse import Storehouse
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


class Bad(NamedTuple):
    """A schedule that Kubernetes would not run, and where that is said: at once by the API server, or in status."""

    spec: dict[str, Any]
    reason: str | None
    says: str


BAD = {
    "six-fields": Bad({"schedule": "0 0 2 * * *"}, None, "must have 5 fields"),
    "every": Bad({"schedule": "@every 1h"}, None, "schedule"),
    "unknown-zone": Bad({"timeZone": "Europe/Atlantis"}, "ScheduleInvalid", "Europe/Atlantis"),
    "never-fires": Bad({"schedule": "0 3 30 2 *"}, "ScheduleNeverFires", "no date fits"),
}


def test_scheduled_run_is_recorded_and_shown(housed: Tenant, storehouse: Storehouse) -> None:
    """The CronJob's Job is the backup: its Backup says Scheduled and for when, and the policy's recovery point is current."""
    housed.policy("every-minute", schedule="* * * * *")
    (name, *_) = housed.until(lambda: housed.names("backups"), "a run was recorded", seconds=100)
    body = housed.succeeded(name)
    policy = housed.wait("backuppolicies", "every-minute", "RecoveryPointCurrent")
    housed.api.patch("backuppolicies", "every-minute", housed.name, {"spec": {"suspend": True}})
    housed.wait("backuppolicies", "every-minute", "Ready", reason="Suspended")

    assert body["spec"]["origin"] == "Scheduled"
    assert body["spec"]["databaseRef"] == {"name": "shop"}
    assert body["status"]["scheduledTime"].endswith(":00Z")
    assert name in {job["metadata"]["name"] for job in housed.jobs("backup")}
    assert policy["status"]["lastSuccess"]["name"].startswith("every-minute-")
    assert storehouse.has(name)


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in BAD])
def test_bad_schedule_is_refused(housed: Tenant, name: str) -> None:
    """Nothing runs, and the text says why."""
    case = BAD[name]
    if case.reason is None:
        with pytest.raises(ApiError, match=case.says):
            housed.policy("bad", **case.spec)
        return
    housed.policy("bad", **case.spec)
    body = housed.wait("backuppolicies", "bad", "ScheduleAccepted", "False", reason=case.reason)

    assert case.says in conditions(body)["Ready"]["message"]
    assert housed.names("cronjobs") == []
