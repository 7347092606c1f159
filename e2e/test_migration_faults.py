"""What can happen to a DatabaseMigration on a real cluster while it is carried out; nothing is ever carried out twice."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Final

import pytest

from scene.evidence import conditions
from scene.migrating import BEGIN, FILES, INDEX, MORE, PLURAL, applied, attempts, source, spec

if TYPE_CHECKING:
    from ground.kubernetes import Cluster
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400), pytest.mark.usefixtures("operator")]
SLOW: Final = "20260301_120000_slow"
SLOW_FILE: Final = {f"{SLOW}.sql": "select pg_sleep(12);\ncreate table slow (id int);\n"}
AGE: Final = "20260302_120000_age"
AGE_FILE: Final = {f"{AGE}.sql": "alter table newsletter add column age int;\n"}


def begun(tenant: Tenant, files: dict[str, str]) -> None:
    """Have *files* be carried out after the first ones, and wait until the slow one runs."""
    source(tenant, FILES)
    tenant.make("DatabaseMigration", "shop", spec())
    applied(tenant, BEGIN)
    source(tenant, FILES | files)
    tenant.until(lambda: f"{SLOW}: runs" in summary(tenant), "the slow one runs")


def summary(tenant: Tenant) -> str:
    """Return what the run says of itself."""
    status: dict[str, Any] = tenant.get(PLURAL, "shop").get("status") or {}
    return str((status.get("progress") or {}).get("summary", ""))


def is_there(tenant: Tenant, table: str) -> bool:
    """Return whether the table is."""
    return tenant.shop.execute(f"select to_regclass('{table}') is not null") == [(True,)]


def test_an_older_source_that_came_back_undoes_nothing(migrated: Tenant) -> None:
    """The database is ahead, which is told, and no fault."""
    source(migrated, FILES | MORE)
    migrated.make("DatabaseMigration", "shop", spec())
    applied(migrated, INDEX)
    source(migrated, FILES)
    body = migrated.wait(PLURAL, "shop", "Ready", reason="DatabaseAhead")
    assert (body["status"]["applied"], body["status"]["currentRevision"]) == (2, INDEX)
    assert is_there(migrated, "newsletter_by_email")


def test_who_is_in_the_way_is_named_and_given_way(migrated: Tenant) -> None:
    """An application that forgot its transaction: nobody queues behind the migration, and when it is gone it gets through."""
    source(migrated, FILES)
    migrated.make("DatabaseMigration", "shop", spec())
    applied(migrated, BEGIN)
    with migrated.shop.connect() as other:
        other.execute("set application_name = 'forgetful'")
        other.execute("begin")
        other.execute("select count(*) from newsletter")
        source(migrated, FILES | AGE_FILE)
        migrated.until(lambda: "gives way to" in summary(migrated), "who is in the way is told")
        assert "forgetful" in summary(migrated)
        assert migrated.get(PLURAL, "shop")["status"]["progress"]["stage"] == "Waiting"
        assert migrated.shop.execute("select count(*) from newsletter") == [(0,)]
        other.execute("commit")
    applied(migrated, AGE)


def test_two_resources_of_one_database_carry_each_file_out_once(migrated: Tenant) -> None:
    """Their runs wait for each other, and who comes second finds nothing to do."""
    source(migrated, FILES | SLOW_FILE)
    for name in ("shop", "twin"):
        migrated.make("DatabaseMigration", name, spec())
    for name in ("shop", "twin"):
        applied(migrated, SLOW, name)
    assert attempts(migrated) == [(BEGIN, "Applied"), (SLOW, "Applied")]


def test_a_killed_run_is_settled_and_carried_out_again(migrated: Tenant, cluster: Cluster) -> None:
    """Its pod is taken away without a word; what it had not committed is not in."""
    begun(migrated, SLOW_FILE)
    (pod,) = (one for one in migrated.pods("migrate") if one["status"]["phase"] == "Running")
    cluster.kubectl("delete", "pod", pod["metadata"]["name"], "-n", migrated.name, "--grace-period=0", "--force")
    applied(migrated, SLOW)
    assert attempts(migrated) == [(BEGIN, "Applied"), (SLOW, "Failed"), (SLOW, "Applied")]


def test_a_server_that_is_restarted_in_the_middle_is_no_end(migrated: Tenant) -> None:
    """It crashes, and comes back: the run is lost, and what it began is found out before it is carried out again."""
    begun(migrated, SLOW_FILE)
    migrated.shop.server.stop(signal.SIGQUIT)
    migrated.shop.server.start()
    applied(migrated, SLOW)
    assert attempts(migrated) == [(BEGIN, "Applied"), (SLOW, "Failed"), (SLOW, "Applied")]


def test_a_rotated_secret_is_used_by_the_next_run(migrated: Tenant) -> None:
    """The run that is under way ends well by its own session."""
    begun(migrated, SLOW_FILE)
    migrated.shop.change_password()
    migrated.secret("shop-app", **migrated.shop.secret)
    applied(migrated, SLOW)
    source(migrated, FILES | SLOW_FILE | AGE_FILE)
    applied(migrated, AGE)


def test_deleted_in_the_middle_nothing_of_it_is_in(migrated: Tenant) -> None:
    """And made again it is carried out from where the database is."""
    begun(migrated, SLOW_FILE)
    migrated.api.delete(PLURAL, "shop", migrated.name)
    migrated.until(lambda: "shop" not in migrated.names(PLURAL), "the resource is gone")
    migrated.until(lambda: not migrated.pods("migrate"), "its pods are gone")
    migrated.make("DatabaseMigration", "shop", spec())
    applied(migrated, SLOW)
    assert attempts(migrated)[-1] == (SLOW, "Applied")
    assert [state for name, state in attempts(migrated) if name == SLOW].count("Applied") == 1


def test_a_source_that_changed_after_the_agreement_is_another_plan(migrated: Tenant) -> None:
    """The commit that named the plan did not name this one."""
    source(migrated, FILES)
    migrated.make("DatabaseMigration", "shop", spec(approval={"planHash": "0000"}))
    body = migrated.wait(PLURAL, "shop", "Approved", "Unknown", reason="ApprovalPending")
    agreed = body["status"]["plan"]["hash"]
    source(migrated, FILES | AGE_FILE)
    migrated.until(lambda: migrated.get(PLURAL, "shop")["status"].get("pending") == 2, "the other plan is told")
    step = [{"op": "replace", "path": "/spec/approval/planHash", "value": agreed}]
    migrated.api.patch(PLURAL, "shop", migrated.name, step)
    body = migrated.wait(PLURAL, "shop", "Approved", "Unknown", reason="ApprovalPending")
    assert f"`spec.approval.planHash` names {agreed}" in conditions(body)["Approved"]["message"]
    assert not is_there(migrated, "newsletter")
