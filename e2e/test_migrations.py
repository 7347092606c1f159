"""Migrations as people ask for them in a cluster: from ConfigMaps, agreed to where that is wanted, told when they fail, and once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.meta import Kind
from dbcustody.naming import ANNOTATION_REQUESTED_BY, GROUP
from scene.evidence import conditions
from scene.migrating import BEGIN, FILES, INDEX, MORE, PLURAL, applied, attempts, source, spec
from scene.office import AGREES, ASKS, Office

if TYPE_CHECKING:
    from ground.kubernetes import Cluster
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400), pytest.mark.usefixtures("operator")]


def test_files_of_config_maps_are_carried_out_once_and_new_ones_after_them(migrated: Tenant) -> None:
    """Of two ConfigMaps, and of one that grows; an index is built beside running work."""
    source(migrated, FILES)
    source(migrated, {"README.md": "for people"}, "shop-more")
    refs = [{"name": "shop-migrations"}, {"name": "shop-more"}]
    migrated.make("DatabaseMigration", "shop", spec(source={"configMapRefs": refs}))
    body = applied(migrated, BEGIN)
    assert (body["status"]["applied"], body["status"]["pending"]) == (1, 0)
    assert {conditions(body)[one]["status"] for one in ("SourceResolved", "Planned", "Applied")} == {"True"}

    source(migrated, MORE, "shop-more")
    applied(migrated, INDEX)
    assert attempts(migrated) == [(BEGIN, "Applied"), (INDEX, "Applied")]
    assert migrated.shop.execute(
        "select indisvalid from pg_index where indexrelid = 'newsletter_by_email'::regclass"
    ) == [(True,)]
    told = {
        one["reason"] for one in migrated.api.list("events", migrated.name) if one["involvedObject"]["name"] == "shop"
    }
    assert "Applied" in told


def test_deleted_and_applied_again_it_does_nothing(migrated: Tenant) -> None:
    """As when a GitOps tool, or a new cluster, applies everything once more."""
    source(migrated, FILES)
    migrated.make("DatabaseMigration", "shop", spec())
    applied(migrated, BEGIN)
    before = attempts(migrated)
    migrated.api.delete(PLURAL, "shop", migrated.name)
    migrated.until(lambda: "shop" not in migrated.names(PLURAL), "the resource is gone")
    migrated.until(lambda: not migrated.jobs("migrate"), "its Jobs are gone")
    migrated.make("DatabaseMigration", "shop", spec())
    applied(migrated, BEGIN)

    assert attempts(migrated) == before
    assert migrated.jobs("migrate") == []


def test_a_failing_statement_is_told_by_file_and_line_and_mended(migrated: Tenant) -> None:
    """Nothing of its file is in, no value is told, and the corrected file is carried out."""
    broken = {f"{INDEX}.sql": "select 1;\n\ninsert into newsletter (nothing) values ('jane@example.org');\n"}
    source(migrated, FILES | broken)
    migrated.make("DatabaseMigration", "shop", spec())
    body = migrated.wait(PLURAL, "shop", "Stalled", reason="MigrationFailed")
    message = conditions(body)["Ready"]["message"]

    assert f"{INDEX}.sql: line 3" in message
    assert "jane" not in json.dumps(body)
    assert (body["status"]["currentRevision"], body["status"]["pending"]) == (BEGIN, 1)
    assert attempts(migrated)[-1] == (INDEX, "Failed")
    source(migrated, FILES | MORE)
    applied(migrated, INDEX)


def test_a_plan_waits_for_a_second_person(migrated: Tenant, cluster: Cluster) -> None:
    """Who wrote the spec does not count; after the yes of another it is carried out; another plan waits again, and a no stops it."""
    source(migrated, FILES)
    office = Office(cluster, migrated.name)
    office.admit()
    made = office.create(ASKS, Kind.DATABASE_MIGRATION, "shop", spec(approval={"required": True}))
    assert json.loads(made)["metadata"]["annotations"][ANNOTATION_REQUESTED_BY] == ASKS
    about = {"kind": "DatabaseMigration", "name": "shop"}
    body = migrated.wait(PLURAL, "shop", "Approved", "Unknown", reason="ApprovalPending")
    plan = body["status"]["plan"]
    assert [(one["name"], one["risk"]) for one in plan["migrations"]] == [(BEGIN, "Safe")]
    office.decide(ASKS, "own", plan["hash"], requestRef=about)
    migrated.wait("approvals", "own", "Ready", "False", reason="ApproverIsRequester")
    assert migrated.jobs("migrate") == []
    office.decide(AGREES, "yes", plan["hash"], requestRef=about)
    applied(migrated, BEGIN)
    migrated.wait("approvals", "yes", "Ready", reason="Effective")

    source(migrated, FILES | MORE)
    body = migrated.wait(PLURAL, "shop", "Approved", "Unknown", reason="ApprovalPending")
    assert body["status"]["plan"]["hash"] != plan["hash"]
    office.decide(AGREES, "no", body["status"]["plan"]["hash"], "Deny", requestRef=about)
    migrated.wait(PLURAL, "shop", "Stalled", reason="Denied")
    assert attempts(migrated) == [(BEGIN, "Applied")]


def test_who_asks_is_who_changed_the_spec_last(migrated: Tenant, cluster: Cluster) -> None:
    """Nobody can change it and then agree to his own change."""
    office = Office(cluster, migrated.name)
    office.admit()
    place = f"databasemigration.{GROUP}/shop"
    migrated.make("DatabaseMigration", "shop", spec(suspend=True))
    told = office.change(ASKS, "annotate", place, f"{ANNOTATION_REQUESTED_BY}={AGREES}", "--overwrite")
    assert f"must leave the annotation {ANNOTATION_REQUESTED_BY} as it was written" in told
    office.change(ASKS, "patch", place, "--type=merge", "-p", '{"spec": {"policy": {"outOfOrder": "Allow"}}}')
    assert migrated.get(PLURAL, "shop")["metadata"]["annotations"][ANNOTATION_REQUESTED_BY] == ASKS
