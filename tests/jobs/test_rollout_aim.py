"""The Jobs of a DatabaseMigration that goes back, declares, or meets a schema that somebody changed, on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dbcustody.api.migration import (
    DeclaredState,
    LikenessClass,
    MigrationPolicy,
    OnDrift,
    Resolution,
    RiskClass,
    StatedDrift,
    Way,
)
from dbcustody.contract import Verb
from dbcustody.reason import ExitCode, Reason
from ground.postgres import PostgresServer
from tests.fakes.deployer import Deployer, deploying

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.contract import JobResult
    from dbcustody.facts import MigrationFacts

pytestmark = pytest.mark.postgres
BEGIN, AGE, NAME = "20261101_120000_begin", "20261102_120000_age", "20261103_120000_name"
FILES = {
    f"{BEGIN}.sql": "create table people (id int primary key);\n",
    f"{AGE}.sql": "alter table people add column age int;\n",
    f"{AGE}.down.sql": "alter table people drop age;\n",
    f"{NAME}.sql": "alter table people add column name text;\n",
    f"{NAME}.down.sql": "alter table people drop name;\n",
}
BACK = MigrationPolicy(allow_downgrade=True)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def deployer(server: PostgresServer, tmp_path: Path) -> Iterator[Deployer]:
    """Return who runs the Jobs of a resource against a new database."""
    with deploying(server, tmp_path, sources={"first": FILES}) as found:
        yield found


def facts_of(result: JobResult) -> MigrationFacts:
    """Return how the database stands."""
    assert result.migration is not None
    return result.migration


def columns(server: PostgresServer) -> list[str]:
    """Return those of the table."""
    query = "select attname::text from pg_attribute where attrelid = 'people'::regclass and attnum > 0 and not attisdropped order by 1"
    return [str(row[0]) for row in server.execute(query, database="shop")]


def prints(server: PostgresServer) -> list[tuple[str, int]]:
    """Return when fingerprints were taken, and after how many attempts."""
    return [
        (str(moment), int(attempt or 0))
        for moment, attempt in server.execute(
            "select moment, attempt from dbcustody.fingerprint order by id", database="shop"
        )
    ]


def test_what_comes_after_the_target_waits_and_what_comes_before_runs(
    server: PostgresServer, deployer: Deployer
) -> None:
    """Named by its revision or by its name; nothing is pending then."""
    done = deployer.migrates(target_revision=AGE)
    assert (done.reason, facts_of(done).pending, facts_of(done).current) == (Reason.APPLIED, 0, AGE)
    assert columns(server) == ["age", "id"]
    assert facts_of(deployer.does(Verb.PLAN_MIGRATION)).pending == 1


def test_what_comes_after_the_target_is_undone_with_permission(server: PostgresServer, deployer: Deployer) -> None:
    """The newest first; the plan tells it before, and without permission nothing is undone."""
    deployer.migrates()
    told = facts_of(deployer.does(Verb.PLAN_MIGRATION, target_revision=BEGIN)).plan
    assert [one.reason for one in told.obstacles] == ["TargetUnreachable"]
    refused = deployer.migrates(target_revision=BEGIN)
    assert (refused.reason, refused.exit_code) == (Reason.TARGET_UNREACHABLE, ExitCode.REFUSED)
    assert columns(server) == ["age", "id", "name"]
    told = facts_of(deployer.does(Verb.PLAN_MIGRATION, target_revision=BEGIN, policy=BACK)).plan
    assert (told.way, [one.name for one in told.migrations], told.risk) == (
        Way.BACK,
        [NAME, AGE],
        RiskClass.DESTRUCTIVE,
    )
    done = deployer.migrates(target_revision=BEGIN, policy=BACK)
    assert (done.reason, facts_of(done).current, facts_of(done).plan.migrations) == (Reason.APPLIED, BEGIN, ())
    assert columns(server) == ["id"]
    assert [one.state for one in facts_of(done).history][-2:] == ["RolledBack", "RolledBack"]


def test_a_plan_back_is_another_than_the_plan_forth(deployer: Deployer) -> None:
    """What somebody agreed to is the one or the other."""
    deployer.migrates()
    agreed = deployer.plans(target_revision=BEGIN, policy=BACK)
    refused = deployer.does(Verb.MIGRATE, plan_hash=agreed, target_revision=AGE, policy=BACK)
    assert refused.reason is Reason.PLAN_CHANGED


def test_what_a_person_declares_is_written_down_once_and_before_anything_runs(
    server: PostgresServer, deployer: Deployer
) -> None:
    """With its reason; left where it is it does nothing more, also when the migration was undone since."""
    server.execute("create table people (id int primary key, age int)", database="shop")
    said = tuple(Resolution(migration=one, as_=DeclaredState.APPLIED, reason="by hand") for one in (BEGIN, AGE))
    told = facts_of(deployer.does(Verb.PLAN_MIGRATION, resolutions=said)).plan
    assert (told.resolutions, [one.name for one in told.migrations]) == ((BEGIN, AGE), [NAME])
    done = deployer.migrates(resolutions=said)
    assert (done.reason, facts_of(done).applied) == (Reason.APPLIED, 3)
    rows = server.execute("select name, direction from dbcustody.attempt order by id", database="shop")
    assert rows == [(BEGIN, "Mark"), (AGE, "Mark"), (NAME, "Up")]
    assert facts_of(deployer.migrates(resolutions=said)).plan.resolutions == ()
    deployer.migrates(resolutions=said, target_revision=BEGIN, policy=BACK)
    again = facts_of(deployer.does(Verb.PLAN_MIGRATION, resolutions=said)).plan
    assert (again.resolutions, [one.name for one in again.migrations]) == ((), [AGE, NAME])


def test_what_contradicts_is_refused(deployer: Deployer) -> None:
    """To say that nothing is in does not undo it."""
    deployer.migrates()
    said = (Resolution(migration=AGE, as_=DeclaredState.ROLLED_BACK, reason="no"),)
    told = facts_of(deployer.does(Verb.PLAN_MIGRATION, resolutions=said)).plan
    assert "is applied" in told.obstacles[0].message


def test_a_schema_that_somebody_changed_stops_what_is_pending(server: PostgresServer, deployer: Deployer) -> None:
    """And not what is in: with nothing to run it is told. Named as meant it passes, and is what is compared with from then on."""
    deployer.migrates(target_revision=AGE)
    server.execute("create index by_hand on people (age) where age <> 4711", database="shop")
    told = facts_of(deployer.does(Verb.PLAN_MIGRATION, target_revision=AGE))
    assert told.drift is not None
    assert (told.drift.likeness, told.plan.obstacles) == (LikenessClass.DRIFTED, ())
    refused = deployer.migrates()
    assert (refused.reason, refused.exit_code) == (Reason.DRIFTED, ExitCode.REFUSED)
    assert "Added index public.people.by_hand" in refused.message
    assert "4711" not in refused.message + deployer.said
    assert [one.reason for one in facts_of(refused).plan.obstacles] == ["Drifted"]
    accepted = MigrationPolicy(accepted_fingerprint=told.drift.fingerprint)
    done = deployer.migrates(policy=accepted)
    assert done.reason is Reason.APPLIED
    drift = facts_of(deployer.does(Verb.PLAN_MIGRATION)).drift
    assert isinstance(drift, StatedDrift)
    assert drift.likeness is LikenessClass.SAME


@pytest.mark.parametrize(
    "policy", [MigrationPolicy(drift=OnDrift.WARN), MigrationPolicy(exclude=("public.people.by_hand",))]
)
def test_what_is_let_pass_or_left_out_stops_nothing(
    server: PostgresServer, deployer: Deployer, policy: MigrationPolicy
) -> None:
    """It is another plan than without."""
    deployer.migrates(target_revision=AGE, policy=policy)
    server.execute("create index by_hand on people (age)", database="shop")
    assert deployer.migrates(policy=policy).reason is Reason.APPLIED


def test_who_does_not_look_at_the_schema_knows_nothing_of_it(deployer: Deployer) -> None:
    """Neither same nor changed."""
    assert facts_of(deployer.migrates(policy=MigrationPolicy(drift=OnDrift.IGNORE))).drift is None


def test_a_fingerprint_is_taken_once_for_a_run(server: PostgresServer, deployer: Deployer) -> None:
    """Before the first and with the last; when one fails, of what those before it made."""
    deployer.migrates()
    assert prints(server) == [("Found", 0), ("After", 3)]
    deployer.sources["second"] = {
        "20261104_120000_a.sql": "create table a (id int);",
        "20261105_120000_b.sql": "select 1 / 0;",
    }
    assert deployer.migrates().reason is Reason.MIGRATION_FAILED
    assert prints(server)[2:] == [("After", 5)]
    drift = facts_of(deployer.does(Verb.PLAN_MIGRATION)).drift
    assert drift is not None
    assert drift.likeness is LikenessClass.SAME
