"""What a DatabaseMigration waits for on a real cluster: files that are not too risky, another environment, and a fresh backup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from dbcustody.cli.kubectl.main import run
from scene.evidence import conditions
from scene.migrating import BEGIN, FILES, INDEX, MORE, PLURAL, applied, attempts, source, spec
from scene.shop import Shop

if TYPE_CHECKING:
    from ground.kubernetes import Cluster
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400), pytest.mark.usefixtures("operator")]
DROP: Final = "20260202_120000_no_email"


@pytest.fixture
def second_shop(migrated: Tenant) -> Shop:
    """Return a database of its own on the same server."""
    shop = Shop(server=migrated.shop.server, name=f"{migrated.shop.name}_staging")
    shop.build()
    return shop


def test_a_dangerous_migration_is_stopped_and_its_recipe_shown(
    migrated: Tenant, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of it runs; status has no SQL; the plugin shows it with what does the same safely; a waiver in the head lets it pass."""
    source(migrated, FILES)
    migrated.make("DatabaseMigration", "shop", spec())
    applied(migrated, BEGIN)
    source(migrated, FILES | {f"{DROP}.sql": "alter table newsletter drop column email;\n"})
    body = migrated.wait(PLURAL, "shop", "LintPassed", "False", reason="LintFailed")
    ready = conditions(body)["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "LintFailed")
    assert f"{DROP}.sql: line 1: Error drop-column" in ready["message"]
    (finding,) = body["status"]["plan"]["findings"]
    assert (finding["rule"], finding["severity"], finding["line"]) == ("drop-column", "Error", 1)
    capsys.readouterr()
    words = ("plan", "pgmig/shop", "-n", migrated.name, "--kubeconfig", str(cluster.kubeconfig))
    assert run(words) == 3
    out = capsys.readouterr().out
    assert "    alter table newsletter drop column email;" in out
    assert "in the way: LintFailed" in out
    waived = "-- dbcustody: allow drop-column because nobody reads it\nalter table newsletter drop column email;\n"
    source(migrated, FILES | {f"{DROP}.sql": waived})
    applied(migrated, DROP)
    assert attempts(migrated) == [(BEGIN, "Applied"), (DROP, "Applied")]
    run(("timeline", *words[1:]))
    assert "Applied" in capsys.readouterr().out


def test_a_backup_is_taken_before_the_first_statement(migrated: Tenant) -> None:
    """Its moment and place in the write-ahead log stand in status, and it was over before anything ran."""
    migrated.storage()
    migrated.policy()
    source(migrated, FILES)
    gates = {"backup": {"policyRef": {"name": "nightly"}, "takeNew": True}}
    migrated.make("DatabaseMigration", "shop", spec(gates=gates))
    body = applied(migrated, BEGIN)
    before = body["status"]["backup"]
    backup = migrated.get("backups", before["name"])
    assert before["lsn"] == backup["status"]["lsn"]
    assert conditions(body)["BackupReady"]["status"] == conditions(backup)["Verified"]["status"] == "True"
    (began,) = migrated.shop.execute("select min(began_at) at time zone 'utc' from dbcustody.attempt")[0]
    assert backup["status"]["finishTime"] <= f"{began:%Y-%m-%dT%H:%M:%SZ}"


def test_what_is_not_in_elsewhere_waits(migrated: Tenant, second_shop: Shop) -> None:
    """The same files by the other resource first; then it goes on by itself."""
    source(migrated, FILES)
    gates = {"promotion": {"migrationRef": {"name": "staging"}}}
    migrated.make("DatabaseMigration", "shop", spec(gates=gates))
    migrated.wait(PLURAL, "shop", "PromotionProven", "Unknown", reason="PromotionPending")
    assert migrated.jobs("migrate") == []
    migrated.secret("staging-app", **second_shop.secret)
    migrated.database("staging", opened_by="staging-app")
    migrated.make("DatabaseMigration", "staging", spec(databaseRef={"name": "staging"}))
    applied(migrated, BEGIN)
    assert conditions(migrated.get(PLURAL, "shop"))["PromotionProven"]["status"] == "True"
    applied(migrated, BEGIN, "staging")
    source(migrated, FILES | MORE)
    applied(migrated, INDEX)
    applied(migrated, INDEX, "staging")
