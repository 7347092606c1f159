"""Which backup a RestoreRequest means: by a Backup, a policy, or a bare storage; what may come is told apart from what never will."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.condition import ConditionType, find
from dbcustody.api.meta import ObjectRef
from dbcustody.api.restore import RestoreSource
from dbcustody.contract import Verb
from dbcustody.facts import RestoreFacts
from dbcustody.guidance import GUIDANCE
from dbcustody.plan.request import Missing
from dbcustody.plan.restore_case import Origin, Refusal, RestoreCase, SeenRestore
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.restore_plane import BACKUP_ID, CHOSEN, RestorePlane, at_restore, restore_request

BY_BACKUP = RestoreSource(backup_ref=ObjectRef(name="monday"))
BY_POLICY = RestoreSource(policy_ref=ObjectRef(name="nightly"), before_time=seen.ago(60))
FINISHED = seen.condition(ConditionType.FINISHED, "True", Reason.SUCCEEDED)
ARTEFACT = replace(seen.ARTEFACT, backup_id=BACKUP_ID, location=CHOSEN.location)
BACKUP = seen.with_status(seen.backup(), conditions=(FINISHED,), artefact=ARTEFACT, storage="main")
HERE = seen.with_status(seen.storage(), location="s3://backups")


def origin(source: RestoreSource, **around: Any) -> Any:
    """Return what *source* leads to."""
    case = RestoreCase(restore_request(source=source), SeenRestore(image=seen.IMAGE, **around), seen.NOW)
    return case.origin


def test_a_backup_leads_to_where_it_lies() -> None:
    """The custody is read off the place, so that the Database of old times need not be there any more."""
    found = origin(BY_BACKUP, backup=BACKUP, storage=HERE)
    assert found == Origin(storage=HERE, custody_id="team.shop", backup_id=BACKUP_ID)
    assert origin(BY_BACKUP, backup=BACKUP, storage=seen.storage()) == replace(found, storage=seen.storage())


@pytest.mark.parametrize(
    ("around", "reason"),
    [
        pytest.param({}, Reason.BACKUP_NOT_FOUND, id="no backup"),
        pytest.param({"backup": seen.backup()}, Reason.PENDING, id="not finished"),
        pytest.param({"backup": BACKUP}, Reason.STORAGE_NOT_FOUND, id="no storage"),
        pytest.param(
            {"backup": BACKUP, "storage": seen.with_status(seen.storage(), location="s3://elsewhere")},
            Reason.STORAGE_NOT_READY,
            id="storage moved",
        ),
    ],
)
def test_what_may_come_is_waited_for(around: dict[str, Any], reason: Reason) -> None:
    """Nothing is refused that another apply can put right."""
    found = origin(BY_BACKUP, **around)
    assert isinstance(found, Missing)
    assert found.reason is reason


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"artefact": None}, id="failed"),
        pytest.param(
            {"conditions": (FINISHED, seen.condition(ConditionType.VERIFIED, "False", Reason.ARCHIVE_DAMAGED))},
            id="damaged",
        ),
    ],
)
def test_a_backup_that_is_known_to_be_bad_is_refused(status: dict[str, Any]) -> None:
    """Nobody waits hours for what cannot end well."""
    found = origin(BY_BACKUP, backup=seen.with_status(BACKUP, **status), storage=HERE)
    assert isinstance(found, Refusal)
    assert found.reason is Reason.BACKUP_NOT_GOOD
    plane = RestorePlane(request=restore_request(source=BY_BACKUP))
    plane.around = replace(plane.around, backup=seen.with_status(BACKUP, **status))
    plane.step()
    assert (
        plane.word(ConditionType.SUCCEEDED) == plane.word(ConditionType.SOURCE_VERIFIED) == ("False", "BackupNotGood")
    )


def test_a_backup_that_turns_bad_before_the_job_is_made_is_refused_too() -> None:
    """What was written down is looked at again before anything starts."""
    plane = RestorePlane(request=restore_request(source=BY_BACKUP))
    plane.around = replace(plane.around, backup=BACKUP)
    plane.step()
    plane.around = replace(plane.around, backup=seen.with_status(BACKUP, artefact=None))
    plane.step()
    assert plane.word(ConditionType.SUCCEEDED) == ("False", "BackupNotGood")
    assert plane.started == []


LOST = seen.with_status(
    BACKUP,
    conditions=(
        FINISHED,
        replace(
            seen.condition(ConditionType.UPLOADED, "False", Reason.DATA_DELETED), message="its data is deleted, as told"
        ),
    ),
)
NOT_FOUND = "backup b: does not lie in the storage, or was deleted"


@pytest.mark.parametrize("verb", [Verb.PLAN_RESTORE, Verb.RESTORE])
@pytest.mark.parametrize(
    ("backup", "reason", "expected"),
    [
        pytest.param(
            LOST,
            Reason.BACKUP_NOT_FOUND,
            f"{NOT_FOUND}; its data is deleted, as told; {GUIDANCE[Reason.BACKUP_NOT_FOUND].remedy}",
            id="deleted",
        ),
        pytest.param(BACKUP, Reason.BACKUP_NOT_FOUND, NOT_FOUND, id="nobody-told-yet"),
        pytest.param(None, Reason.BACKUP_NOT_FOUND, NOT_FOUND, id="its-object-is-gone"),
        pytest.param(LOST, Reason.ROLES_MISSING, NOT_FOUND, id="it-failed-for-another-reason"),
    ],
)
def test_a_backup_whose_data_is_gone_is_told_as_that(verb: Verb, backup: Any, reason: Reason, expected: str) -> None:
    """Who is to blame, and what helps, stands in the verdict."""
    plane = at_restore() if verb is Verb.RESTORE else RestorePlane()
    plane.steps(2)
    plane.request = replace(plane.request, spec=restore_request(source=BY_BACKUP).spec)
    plane.around = replace(plane.around, backup=backup)
    plane.ends(seen.result(verb, reason, NOT_FOUND))
    plane.steps(2)

    assert plane.word(ConditionType.SUCCEEDED) == ("False", reason.value)
    said = find(plane.request.status.conditions, ConditionType.SUCCEEDED)
    assert said is not None
    assert said.message == expected


def test_a_request_that_was_carried_out_is_not_refused_because_the_data_is_gone_since() -> None:
    """Filed again it repeats nothing: a Job looks first whether its database stands there."""
    plane = RestorePlane(request=restore_request(source=BY_BACKUP))
    plane.around = replace(plane.around, backup=LOST)
    plane.steps(3)
    plane.ends(
        seen.result(Verb.PLAN_RESTORE, Reason.ADOPTED, "restored before", restore=RestoreFacts(is_handed_over=True))
    )
    plane.steps(3)

    assert plane.word(ConditionType.SUCCEEDED) == ("True", "Adopted")


def test_a_policy_leads_to_its_storage_and_its_database_s_custody() -> None:
    """Which of its backups is the Job's to find, where the truth lies."""
    around = {"policy": seen.policy(), "storage": HERE, "source_database": seen.database(custody_id="old.shop")}
    assert origin(BY_POLICY, **around) == Origin(
        storage=HERE, custody_id="old.shop", policy="nightly", before_time=seen.ago(60)
    )
    for name, reason in (
        ("policy", Reason.POLICY_NOT_FOUND),
        ("storage", Reason.STORAGE_NOT_FOUND),
        ("source_database", Reason.DATABASE_NOT_FOUND),
    ):
        found = origin(BY_POLICY, **(around | {name: None}))
        assert isinstance(found, Missing)
        assert found.reason is reason


def test_a_bare_storage_needs_no_other_resource() -> None:
    """A cluster that lost everything has a bucket, and knows a custody's name."""
    source = RestoreSource(storage_ref=ObjectRef(name="main"), custody_id="web.shop", backup_id=BACKUP_ID)
    assert origin(source, storage=HERE) == Origin(storage=HERE, custody_id="web.shop", backup_id=BACKUP_ID)
    found = origin(source)
    assert isinstance(found, Missing)
    assert found.reason is Reason.STORAGE_NOT_FOUND
