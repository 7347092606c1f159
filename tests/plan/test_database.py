"""Databases: what an inspection found, and how far it came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.condition import ConditionType, find
from dbcustody.api.database import Copy, CopyStage, LastBackup
from dbcustody.api.meta import ObjectRef
from dbcustody.contract import Verb
from dbcustody.facts import InspectionFacts
from dbcustody.plan.actions import StartJob
from dbcustody.plan.database import SeenDatabase, plan
from dbcustody.reason import Reason
from tests.fakes.seen import (
    IMAGE,
    NOW,
    SERVER,
    ago,
    answered,
    condition,
    database,
    result,
    silent,
    with_metadata,
    with_status,
)

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.plan.observed import SeenJob

KEPT = Copy(
    name="shop_replaced_0", oid=16384, stage=CopyStage.KEPT, mark="m", custody_id="team.shop", drop_after=ago(-60)
)
FACTS = InspectionFacts(
    endpoint="db:5432",
    database="shop",
    convention="Uri",
    server=SERVER,
    missing_grants=("GRANT pg_monitor TO app;",),
    oid=16390,
    copies=(KEPT,),
    more_copies=3,
)
INSPECTING = with_status(database(), job_ref=ObjectRef(name="j"), ordinal=1, observed_generation=1)
GOOD = result(Verb.INSPECT, Reason.CONNECTED, "fine", inspection=FACTS)
READY = tuple(condition(kind, "True", Reason.READY) for kind in (ConditionType.READY, ConditionType.CONNECTED))
STEPS = (ConditionType.CONNECTED, ConditionType.VERSION_SUPPORTED, ConditionType.PRIVILEGES_SUFFICIENT)


def look(one: Any, *jobs: SeenJob, now: datetime = NOW, **seen: Any) -> Any:
    """Return the plan for *one*."""
    return plan(one, SeenDatabase(image=IMAGE, jobs=jobs, **seen), now)


def answers(status: Any) -> tuple[str, ...]:
    """Return Ready and the three steps."""
    found = [find(status.conditions, kind) for kind in (ConditionType.READY, *STEPS)]
    return tuple(one.status.value if one is not None else "" for one in found)


def test_a_new_database_is_inspected() -> None:
    """The first look starts a Job of the Database, without retries of Kubernetes: the first failure is told at once."""
    found = look(database())
    (action,) = found.actions

    assert isinstance(action, StartJob)
    assert action.manifest["metadata"]["name"] == found.status.job_ref.name
    assert action.manifest["spec"]["backoffLimit"] == 0
    assert (found.status.ordinal, found.status.observed_generation) == (1, 1)


def test_a_deletion_is_waited_for() -> None:
    """Nothing is started for what is being deleted."""
    one = with_metadata(database(), deletion_timestamp=NOW)

    assert (look(one).actions, look(one).status) == ((), one.status)


def test_a_good_inspection() -> None:
    """Everything that was found stands in status."""
    found = look(INSPECTING, answered("j", GOOD)).status

    assert answers(found) == ("True", "True", "True", "True")
    assert (found.endpoint, found.database, found.convention, found.server) == ("db:5432", "shop", "Uri", SERVER)
    assert found.missing_grants == FACTS.missing_grants
    assert (found.oid, found.copies, found.more_copies) == (16390, (KEPT,), 3)
    assert (found.inspected_time, found.inspect_failures, found.job_ref) == (NOW, 0, None)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        pytest.param(Reason.AUTHENTICATION_FAILED, ("False", "False", "Unknown", "Unknown"), id="wrong-password"),
        pytest.param(Reason.POOLER_REFUSED, ("False", "False", "Unknown", "Unknown"), id="pooler"),
        pytest.param(Reason.VERSION_UNSUPPORTED, ("False", "True", "False", "Unknown"), id="too-new"),
        pytest.param(Reason.PRIVILEGES_MISSING, ("False", "True", "True", "False"), id="no-rights"),
        pytest.param(Reason.INTERNAL_ERROR, ("False", "Unknown", "Unknown", "Unknown"), id="nobody-knows-where"),
    ],
)
def test_how_far_a_bad_inspection_came(reason: Reason, expected: tuple[str, ...]) -> None:
    """Connection, version, privileges: true before the failure, false at it, unknown behind it."""
    found = look(INSPECTING, answered("j", result(Verb.INSPECT, reason, "why"))).status

    assert answers(found) == expected
    assert found.inspect_failures == 1


def test_missing_rights_come_as_sql() -> None:
    """What is missing is shown as statements to run, also though the inspection failed."""
    refused = result(Verb.INSPECT, Reason.PRIVILEGES_MISSING, inspection=FACTS)

    assert look(INSPECTING, answered("j", refused)).status.missing_grants == FACTS.missing_grants


def test_an_old_database_that_nobody_drops_is_said() -> None:
    """When its time is over, whether or not the server was looked at since; while its request is there, that is the request's matter."""
    one = with_status(database(), copies=(KEPT,), inspected_time=NOW, conditions=READY, observed_generation=1)
    early, due, held = look(one), look(one, now=ago(-60)), look(one, now=ago(-60), marks=frozenset({"m"}))

    assert early.look_again_seconds == pytest.approx(60)
    assert find(early.status.conditions, ConditionType.OLD_DATABASES_DROPPED) is None
    said = find(due.status.conditions, ConditionType.OLD_DATABASES_DROPPED)
    assert said is not None
    assert (said.status.value, said.reason, due.status.copies[0].left) == ("False", Reason.OLD_DATABASE_LEFT, True)
    assert answers(due.status)[0] == "True"
    assert find(held.status.conditions, ConditionType.OLD_DATABASES_DROPPED) is None
    gone = look(with_status(one, copies=(), conditions=due.status.conditions)).status
    assert find(gone.conditions, ConditionType.OLD_DATABASES_DROPPED).reason is Reason.OLD_DATABASES_DROPPED  # type: ignore[union-attr]


def test_a_swap_is_looked_at_at_once() -> None:
    """What people confirm next is the OID that stands here."""
    one = with_status(database(), inspected_time=ago(60), conditions=READY, observed_generation=1)
    assert look(one, changed_time=ago(61)).actions == ()
    assert isinstance(look(one, changed_time=ago(59)).actions[0], StartJob)


def test_silence_keeps_what_was_known() -> None:
    """A lost Job says nothing about the server."""
    before = with_status(INSPECTING, server=SERVER, endpoint="db:5432")
    found = look(before, silent("j", Verb.INSPECT)).status

    assert (found.server, found.endpoint) == (SERVER, "db:5432")
    assert answers(found)[0] == "False"


def test_the_last_backup_is_remembered() -> None:
    """The newest good Backup stands in status, also after its object is gone."""
    last = LastBackup(name="monday", time=ago(10))
    found = look(database(), last_backup=last).status

    assert found.last_backup == last
    assert look(with_status(database(), last_backup=last)).status.last_backup == last


def test_a_last_backup_whose_data_is_gone_is_none() -> None:
    """The newest one that is still there takes its place, or nothing does."""
    last, before = LastBackup(name="monday", time=ago(10)), LastBackup(name="sunday", time=ago(90_000))
    one, lost = with_status(database(), last_backup=last), frozenset({"monday"})

    assert look(one, lost_backups=lost).status.last_backup is None
    assert look(one, lost_backups=lost, last_backup=before).status.last_backup == before
    assert look(one, lost_backups=frozenset({"sunday"})).status.last_backup == last
