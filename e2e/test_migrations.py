"""Migrations as people ask for them in a cluster: from ConfigMaps, agreed to where that is wanted, told when they fail, and once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from dbcustody.api.meta import Kind
from dbcustody.naming import ANNOTATION_REQUESTED_BY, GROUP
from scene.evidence import conditions
from scene.office import AGREES, ASKS, Office

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ground.kubernetes import Cluster
    from scene.api import Json
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400), pytest.mark.usefixtures("operator")]
PLURAL: Final = "databasemigrations"
BEGIN, INDEX = "20260131_120000_newsletter", "20260201_093000_by_email"
FILES: Final = {
    f"{BEGIN}.sql": "create table newsletter (id bigint generated always as identity primary key, email text);\n",
    f"{BEGIN}.down.sql": "drop table newsletter;\n",
}
MORE: Final = {f"{INDEX}.sql": "create unique index concurrently newsletter_by_email on newsletter (email);\n"}


@pytest.fixture
def migrated(tenant: Tenant) -> Tenant:
    """Return the tenant with a Database that is ready."""
    tenant.database()
    tenant.wait("databases", "shop", "Ready")
    return tenant


def source(tenant: Tenant, files: Mapping[str, str], name: str = "shop-migrations") -> None:
    """Make the ConfigMap, or give it exactly these files."""
    metadata = {"name": name, "labels": {"dbcustody.dev/migration-source": "shop"}}
    if tenant.api.get("configmaps", name, tenant.name) is None:
        tenant.api.create("configmaps", {"metadata": metadata, "data": dict(files)}, tenant.name)
    else:
        change = [{"op": "replace", "path": "/data", "value": dict(files)}]
        tenant.api.patch("configmaps", name, tenant.name, change)


def spec(**more: Any) -> dict[str, Any]:
    """Return what is wanted of the ConfigMap of the usual name."""
    return {"databaseRef": {"name": "shop"}, "source": {"configMapRefs": [{"name": "shop-migrations"}]}, **more}


def applied(tenant: Tenant, current: str) -> Json:
    """Return the resource once everything is in, the last of it *current*."""
    found: Json = tenant.until(
        lambda: _stands(tenant.get(PLURAL, "shop"), current), f"{current} is in and the resource is ready"
    )
    return found


def _stands(body: Json, current: str) -> Json | None:
    ready = conditions(body).get("Ready", {})
    is_there = (body.get("status") or {}).get("currentRevision") == current
    return body if is_there and ready.get("status") == "True" else None


def attempts(tenant: Tenant) -> list[tuple[str, str]]:
    """Return what the ledger says was tried, and how it ended."""
    query = "select a.name, o.state from dbcustody.attempt a join dbcustody.outcome o on o.attempt = a.id order by a.id, o.id"
    return [(str(name), str(state)) for name, state in tenant.shop.execute(query)]


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
