"""Backups made of what lies in a storage: only what belongs to a Database of the namespace, and each once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.backup import Backup, Origin
from dbcustody.api.condition import ConditionType
from dbcustody.api.storage import S3, FoundBackup
from dbcustody.contract import Verb
from dbcustody.facts import BackupFacts, ProbeFacts
from dbcustody.plan.actions import CreateBackup
from dbcustody.plan.importing import plan_import
from dbcustody.plan.storage import SeenStorage
from dbcustody.plan.storage import plan as plan_storage
from dbcustody.reason import Reason
from tests.fakes.control_plane import ControlPlane, settled, words
from tests.fakes.seen import IMAGE, NOW, answered, backup, database, facts, result, storage, with_status

FOUND = tuple(FoundBackup(custody_id=custody, name=name) for custody, name in (
    ("team.shop", "tuesday"), ("team.shop", "monday"), ("old.wiki", "wiki-1"), ("other.shop", "foreign"),
))  # fmt: skip
IMPORTING = storage(s3=S3(bucket="backups"), acknowledge_unencrypted=True, import_backups=True)
DATABASES = (database("shop"), database("wiki", custody_id="old.wiki"))


def made(actions: Any) -> list[tuple[str, str]]:
    """Return name and Database of each Backup that is made."""
    bodies = [Backup.from_body(action.manifest) for action in actions if isinstance(action, CreateBackup)]
    assert {one.spec.origin for one in bodies} <= {Origin.IMPORTED}
    return [(one.metadata.name, one.spec.database_ref.name) for one in bodies if one.spec.database_ref is not None]


def test_what_belongs_to_a_database_of_the_namespace_is_made() -> None:
    """By its custody, also one that was called otherwise; what is known by name, and what is somebody else's, is left alone."""
    found = plan_import(IMPORTING, FOUND, databases=DATABASES, known={"monday"})
    assert made(found) == [("tuesday", "shop"), ("wiki-1", "wiki")]
    body = Backup.from_body(next(one.manifest for one in found if isinstance(one, CreateBackup)))
    assert body.spec.storage_ref is not None
    assert (body.spec.storage_ref.name, body.metadata.owner_references) == ("main", ())


def test_nothing_is_made_unless_it_is_wanted() -> None:
    """A probe that an older request started may still tell."""
    assert plan_import(storage(), FOUND, databases=DATABASES, known=()) == ()


def test_the_probe_s_answer_makes_them_once() -> None:
    """At the look that takes its facts over, and at no later one."""
    probed = with_status(IMPORTING, observed_generation=1)
    seen = SeenStorage(image=IMAGE, databases=DATABASES)
    begun = plan_storage(probed, seen, NOW)
    assert begun.status is not None
    job = begun.status.job_ref
    assert job is not None
    told = ProbeFacts(location="s3://backups", encrypted=False, storage_id="s", found=FOUND)
    ended = answered(job.name, result(Verb.PROBE, Reason.STORAGE_REACHABLE, probe=told))
    looked = plan_storage(with_status(IMPORTING, **_fields(begun.status)), replace(seen, jobs=(ended,)), NOW)
    assert made(looked.actions) == [("tuesday", "shop"), ("monday", "shop"), ("wiki-1", "wiki")]
    assert looked.status is not None
    again = plan_storage(replace(IMPORTING, status=looked.status), seen, NOW)
    assert made(again.actions) == []


def _fields(status: Any) -> dict[str, Any]:
    return {name: getattr(status, name) for name in status.__dataclass_fields__}


@pytest.mark.parametrize("is_there", [True, False])
def test_an_imported_backup_asks_the_storage_and_runs_nothing(*, is_there: bool) -> None:
    """It says what lies there; of what is gone meanwhile it says that."""
    plane = ControlPlane(backup(origin=Origin.IMPORTED))
    plane.reconcile()
    plane.reconcile()
    assert [verb for verb, _ in plane.started] == [Verb.SETTLE]
    assert words(plane, ConditionType.SUCCEEDED) == ("Unknown", Reason.SETTLING)
    found = result(Verb.SETTLE, Reason.SUCCEEDED, backup=facts())
    plane.ends(plane.last_job.name, found if is_there else settled(BackupFacts(name="monday")))
    plane.reconcile()
    assert words(plane, ConditionType.SUCCEEDED) == (
        ("True", Reason.SUCCEEDED) if is_there else ("False", Reason.JOB_LOST)
    )
    assert [verb for verb, _ in plane.started] == [Verb.SETTLE]
