"""Back to an earlier migration, what a person declares, and what somebody changed by hand, on a real cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from scene.evidence import conditions
from scene.migrating import BEGIN, FILES, PLURAL, applied, attempts, source, spec

if TYPE_CHECKING:
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400), pytest.mark.usefixtures("operator")]
AGE: Final = "20260202_120000_age"
SECOND: Final = {
    f"{AGE}.sql": "alter table newsletter add column age int;\n",
    f"{AGE}.down.sql": "alter table newsletter drop age;\n",
}


def change(tenant: Tenant, **wanted: Any) -> None:
    """Change what is wanted."""
    steps = [{"op": "add", "path": f"/spec/{name}", "value": value} for name, value in wanted.items()]
    tenant.api.patch(PLURAL, "shop", tenant.name, steps)


def test_back_to_an_earlier_one_and_forth_again(migrated: Tenant) -> None:
    """Only with permission; the ledger has both; without a target it is carried out once more."""
    source(migrated, FILES | SECOND)
    migrated.make("DatabaseMigration", "shop", spec())
    applied(migrated, AGE)
    change(migrated, targetRevision=BEGIN)
    body = migrated.wait(PLURAL, "shop", "Stalled", reason="TargetUnreachable")
    assert f"{AGE} would have to be undone" in conditions(body)["Ready"]["message"]
    change(migrated, policy={"allowDowngrade": True})
    applied(migrated, BEGIN)
    assert attempts(migrated)[-1] == (AGE, "RolledBack")
    migrated.api.patch(PLURAL, "shop", migrated.name, [{"op": "remove", "path": "/spec/targetRevision"}])
    applied(migrated, AGE)
    assert attempts(migrated) == [(BEGIN, "Applied"), (AGE, "Applied"), (AGE, "RolledBack"), (AGE, "Applied")]


def test_what_was_made_by_hand_is_declared_and_not_made_again(migrated: Tenant) -> None:
    """With its reason, once; and what comes after it is carried out."""
    migrated.shop.execute(FILES[f"{BEGIN}.sql"])
    source(migrated, FILES | SECOND)
    resolution = {"migration": BEGIN, "as": "Applied", "reason": "made by hand in January"}
    migrated.make("DatabaseMigration", "shop", spec(resolutions=[resolution]))
    body = applied(migrated, AGE)
    assert attempts(migrated) == [(BEGIN, "ResolvedApplied"), (AGE, "Applied")]
    assert [one["state"] for one in body["status"]["history"]] == ["ResolvedApplied", "Applied"]


def test_what_somebody_changed_by_hand_stops_the_next_one(migrated: Tenant) -> None:
    """Object by object, without a literal; accepted by its fingerprint it goes on."""
    source(migrated, FILES)
    migrated.make("DatabaseMigration", "shop", spec())
    applied(migrated, BEGIN)
    migrated.shop.execute("create index by_hand on newsletter (email) where email <> 'jane@example.org'")
    source(migrated, FILES | SECOND)
    body = migrated.wait(PLURAL, "shop", "DriftFree", "False", reason="Drifted")
    ready, drift = conditions(body)["Ready"], body["status"]["drift"]
    assert (ready["reason"], drift["likeness"]) == ("Drifted", "Drifted")
    assert "Added index public.newsletter.by_hand" in ready["message"]
    assert "jane" not in str(body)
    change(migrated, policy={"acceptedFingerprint": drift["fingerprint"]})
    applied(migrated, AGE)
    migrated.wait(PLURAL, "shop", "DriftFree", "True")
