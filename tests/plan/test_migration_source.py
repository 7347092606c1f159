"""What a DatabaseMigration refers to: its files and its database, whether they are there, and how its Jobs are given them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbcustody.api.condition import ConditionType
from dbcustody.api.database import Role, Roles
from dbcustody.api.meta import ObjectRef
from dbcustody.api.migration import MigrationPolicy
from dbcustody.api.migration_source import InlineFile, MigrationSource
from dbcustody.contract import Verb, opened_by
from dbcustody.migration.digest import file_digest, source_digest
from dbcustody.plan.actions import DeleteJob
from dbcustody.plan.migration_case import SeenConfigMap
from tests.fakes import seen
from tests.fakes.migration_plane import (
    ALL_IN,
    FILE,
    MigrationPlane,
    config_map,
    looked,
    migration,
)

READY, STALLED, RECONCILING = ConditionType.READY, ConditionType.STALLED, ConditionType.RECONCILING
PLANNED, APPLIED, SOURCE = ConditionType.PLANNED, ConditionType.APPLIED, ConditionType.SOURCE_RESOLVED


@pytest.mark.parametrize("kind", ["source", "spec"])
def test_a_look_at_yesterdays_source_is_given_up(kind: str) -> None:
    """Its Job is deleted, and another one begun."""
    plane = MigrationPlane()
    plane.step()
    first = plane.name
    if kind == "source":
        plane.edit(config=config_map("select 2"))
    else:
        plane.edit(policy=MigrationPolicy(lock_attempts=1))
    plane.steps(2)
    assert [one.name for one in plane.actions if isinstance(one, DeleteJob)] == [first]
    assert plane.verbs == ["plan-migration", "plan-migration"]


def test_another_source_makes_what_was_said_of_the_last_one_void() -> None:
    """It is not ready for what nobody has looked at."""
    plane = looked(ALL_IN)
    plane.edit(config=config_map("select 2"))
    plane.step()
    assert (plane.word(READY), plane.word(PLANNED)) == (("Unknown", "Pending"), ("Unknown", "Pending"))
    assert plane.verbs == ["plan-migration", "plan-migration"]


@pytest.mark.parametrize(
    ("missing", "reason", "words"),
    [
        ("database", "DatabaseNotFound", "Database 'shop': does not exist in this namespace"),
        ("source", "SourceNotFound", "ConfigMap 'shop-migrations': does not exist in this namespace"),
        ("label", "SourceNotFound", "lacks the label dbcustody.dev/migration-source"),
    ],
)
def test_what_is_missing_is_waited_for(missing: str, reason: str, words: str) -> None:
    """It is named, a look that was begun is given up, and it goes on by itself when it comes."""
    plane = MigrationPlane()
    plane.step()
    whole = plane.around
    without = {"database": {"database": None}, "source": {"config_maps": ()}}
    plane.around = replace(whole, **without.get(missing, {"config_maps": (config_map(label=False),)}))  # type: ignore[arg-type]
    plane.step()
    assert (plane.word(READY), plane.word(RECONCILING)) == (("False", reason), ("True", reason))
    assert words in plane.message(READY)
    assert (plane.word(SOURCE) == ("False", reason)) is (missing != "database")
    assert plane.jobs == {}
    plane.around = whole
    plane.steps(1)
    assert (plane.verbs, plane.word(SOURCE)) == (["plan-migration"] * 2, ("True", "SourceResolved"))


@pytest.mark.parametrize("is_there", [True, False])
def test_while_suspended_nothing_is_looked_at(is_there: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Not even whether the source is there."""
    plane = MigrationPlane(migration=migration(suspend=True))
    if not is_there:
        plane.around = replace(plane.around, config_maps=())
    plane.steps()
    assert (plane.verbs, plane.word(READY), plane.word(STALLED)) == (
        [],
        ("Unknown", "Suspended"),
        ("True", "Suspended"),
    )


def test_suspending_gives_up_a_look() -> None:
    """Its Job goes."""
    plane = MigrationPlane()
    plane.step()
    plane.edit(suspend=True)
    plane.steps(2)
    assert (plane.jobs, plane.verbs) == ({}, ["plan-migration"])


def test_what_a_job_is_asked() -> None:
    """Files of the resource and of ConfigMaps are one source; the digest is of all of them; each ConfigMap has a mount of its own."""
    inline = InlineFile(name="20260101_000000_a.sql", sql="select 0")
    refs = tuple(ObjectRef(name=name) for name in ("shop-migrations", "more"))
    plane = MigrationPlane(migration=migration(source=MigrationSource(inline=(inline,), config_map_refs=refs)))
    plane.around = replace(plane.around, config_maps=(config_map(), config_map("select 3", name="more")))
    plane.step()
    asked = plane.asked()
    assert asked.migration is not None
    files = ((f"{FILE}.sql", "select 1"), (f"{FILE}.sql", "select 3"), (inline.name, inline.sql))
    assert asked.migration.source_digest == source_digest((name, file_digest(text.encode())) for name, text in files)
    assert (asked.migration.plan_hash, asked.migration.inline) == (None, (inline,))
    pod = plane.started[-1]["spec"]["template"]["spec"]
    mounts = {one["name"]: one["configMap"]["name"] for one in pod["volumes"] if "configMap" in one}
    assert mounts == {"source-0": "shop-migrations", "source-1": "more"}
    paths = {one["mountPath"] for one in pod["containers"][0]["volumeMounts"] if one["name"] in mounts}
    assert paths == {"/var/run/dbcustody/source-0", "/var/run/dbcustody/source-1"}


def test_a_run_is_one_attempt_with_its_own_time() -> None:
    """Kubernetes never tries again: what follows a failure is decided by the ledger."""
    plane = looked(of=migration(timeout_seconds=77))
    job = plane.started[-1]["spec"]
    assert (job["backoffLimit"], plane.asked().timeout_seconds) == (0, 77)
    assert job["podFailurePolicy"]["rules"][0]["action"] == "FailJob"


def test_it_runs_as_the_role_that_migrates() -> None:
    """Where the Database has one; else as the connection's."""
    spec = seen.database().spec
    assert opened_by(spec, Verb.MIGRATE).name == "shop-app"
    own = replace(spec, roles=Roles(migrator=Role(secret_ref=ObjectRef(name="owner"))))
    assert {opened_by(own, verb).name for verb in (Verb.PLAN_MIGRATION, Verb.SETTLE_MIGRATION, Verb.MIGRATE)} == {
        "owner"
    }


def test_a_config_map_is_read_as_a_pod_finds_it() -> None:
    """Texts and bytes alike; what was not read has no files."""
    body = {"metadata": {"name": "a"}, "data": {"b.sql": "ä"}, "binaryData": {"a.sql": "AP8="}}
    found = SeenConfigMap.from_body(body)
    assert found.files == (("a.sql", file_digest(b"\x00\xff")), ("b.sql", file_digest("ä".encode())))
    assert SeenConfigMap(metadata=found.metadata).files is None
