"""The Jobs of a DatabaseMigration on a real server: what was agreed to runs, once, and the ledger says how it stands."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest

from dbcustody.adapters.postgres import BACKUP_LOCKS, MIGRATION_LOCKS, DatabaseLock, connect
from dbcustody.adapters.postgres.ledger import Direction, Intent, add_attempt
from dbcustody.adapters.postgres.migrating import application_of
from dbcustody.api.migration import (
    FailOn,
    LintWaiver,
    MigrationLint,
    MigrationPolicy,
    OutOfOrder,
    RiskClass,
    SeverityClass,
)
from dbcustody.api.migration_source import InlineFile
from dbcustody.contract import Verb
from dbcustody.reason import ExitCode, Reason
from ground.postgres import PostgresServer
from tests.fakes.deployer import Deployer, deploying
from tests.fakes.migrator import Migrator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.contract import JobResult
    from dbcustody.facts import MigrationFacts

pytestmark = pytest.mark.postgres
BEGIN, AGE = "20261101_120000_begin", "20261102_120000_age"
FILES = {
    f"{BEGIN}.sql": "create table people (id int primary key, email text);\ninsert into people values (1, 'a');\n",
    "README.md": "for people",
}
MORE = {f"{AGE}.sql": "alter table people add column age int;\n", f"{AGE}.down.sql": "alter table people drop age;\n"}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def deployer(server: PostgresServer, tmp_path: Path) -> Iterator[Deployer]:
    """Return who runs the Jobs of a resource with two ConfigMaps against a new database."""
    with deploying(server, tmp_path, sources={"first": FILES, "second": MORE}) as found:
        yield found


def facts_of(result: JobResult) -> MigrationFacts:
    """Return how the database stands."""
    assert result.migration is not None
    return result.migration


def test_what_was_planned_is_carried_out_once(server: PostgresServer, deployer: Deployer) -> None:
    """Several ConfigMaps are one source; asked again there is nothing to do; the ledger says by which plan, and for whom."""
    planned = deployer.does(Verb.PLAN_MIGRATION)
    told = facts_of(planned)
    assert (planned.reason, told.applied, told.pending, told.current) == (Reason.PLANNED, 0, 2, None)
    assert [(one.name, one.risk, one.irreversible) for one in told.plan.migrations] == [
        (BEGIN, RiskClass.SAFE, True),
        (AGE, RiskClass.SAFE, False),
    ]
    assert server.execute("select to_regnamespace('dbcustody')::text", database="shop") == [(None,)]

    agreed = {"approval": "ivan approved plan a (Approval yes)", "backup": "monday at 0/1757B088"}
    done = deployer.does(Verb.MIGRATE, plan_hash=told.plan.hash, **agreed)
    assert (done.reason, done.exit_code) == (Reason.APPLIED, ExitCode.DONE)
    assert (facts_of(done).applied, facts_of(done).pending, facts_of(done).current) == (2, 0, AGE)
    assert facts_of(done).plan.risk is None
    again = facts_of(deployer.migrates())
    assert again == replace(facts_of(done), lock_wait_seconds=None, lock_aborts=None)
    assert facts_of(done).lock_aborts == 0
    rows = server.execute(
        "select name, plan_sha256, source_sha256, actor, approval, backup from dbcustody.attempt order by id",
        database="shop",
    )
    said = (told.plan.hash, told.source_digest, "DatabaseMigration team/shop", *agreed.values())
    assert rows == [(name, *said) for name in (BEGIN, AGE)]


def test_another_plan_than_the_agreed_one_is_not_carried_out(server: PostgresServer, deployer: Deployer) -> None:
    """Asked under the lock: somebody else was faster, or the policy is another."""
    agreed = deployer.plans()
    refused = deployer.does(Verb.MIGRATE, plan_hash=agreed, policy=MigrationPolicy(out_of_order=OutOfOrder.ALLOW))
    assert (refused.reason, refused.exit_code) == (Reason.PLAN_CHANGED, ExitCode.REFUSED)
    assert facts_of(refused).pending == 2
    assert server.execute("select to_regclass('people')::text", database="shop") == [(None,)]


@pytest.mark.parametrize(
    ("verb", "reason"), [(Verb.PLAN_MIGRATION, Reason.SOURCE_NOT_FOUND), (Verb.MIGRATE, Reason.PLAN_CHANGED)]
)
def test_other_files_than_the_decided_ones_are_not_touched(deployer: Deployer, verb: Verb, reason: Reason) -> None:
    """What is mounted may be older or newer than what the operator saw: a look is tried again, a run is not begun."""
    found = deployer.does(verb, digest="0" * 64, plan_hash="0")
    assert (found.reason, found.migration) == (reason, None)


def test_a_config_map_that_is_missing_is_named(deployer: Deployer) -> None:
    """It is mounted as optional, so that the Job can say so."""
    deployer.sources["third"] = {}
    found = deployer.does(Verb.PLAN_MIGRATION)
    assert (found.reason, found.exit_code) == (Reason.SOURCE_NOT_FOUND, ExitCode.UNAVAILABLE)
    assert found.message.startswith("ConfigMap 'third': is missing or empty")


def test_a_failing_statement_is_told_by_file_and_line(server: PostgresServer, deployer: Deployer) -> None:
    """With how the database stands by then; what came before it is in, and the next plan is another."""
    deployer.sources["second"] = {f"{AGE}.sql": "select 1;\n\nalter table nobody add column age int;\n"}
    failed = deployer.migrates()
    assert (failed.reason, failed.exit_code) == (Reason.MIGRATION_FAILED, ExitCode.REFUSED)
    assert f"{AGE}.sql: line 3" in failed.message
    assert (facts_of(failed).applied, facts_of(failed).pending, facts_of(failed).current) == (1, 1, BEGIN)
    assert facts_of(failed).plan.hash == deployer.plans()
    assert server.execute("select count(*) from people", database="shop") == [(1,)]


def test_what_is_too_risky_is_told_and_not_run(server: PostgresServer, deployer: Deployer) -> None:
    """Neither it nor what comes before it, also when somebody agreed to its hash; it is told by its line, and by the recipe's absence."""
    deployer.migrates()
    deployer.sources["third"] = {
        "20261103_120000_more.sql": "create table more (id int);",
        "20261104_120000_drop.sql": "select 1;\nalter table people drop column age;",
    }
    told = facts_of(deployer.does(Verb.PLAN_MIGRATION)).plan
    (finding,) = told.findings
    assert (finding.migration, finding.line, finding.rule) == ("20261104_120000_drop.sql", 2, "drop-column")
    assert (finding.severity, finding.waived, told.refused) == (SeverityClass.ERROR, False, 1)
    assert [one.reason for one in told.obstacles] == ["LintFailed"]
    refused = deployer.migrates()
    assert (refused.reason, refused.exit_code) == (Reason.LINT_FAILED, ExitCode.REFUSED)
    assert facts_of(refused).pending == 2
    assert server.execute("select to_regclass('more')::text", database="shop") == [(None,)]


@pytest.mark.parametrize(
    "lint",
    [
        MigrationLint(fail_on=FailOn.NEVER),
        MigrationLint(waivers=(LintWaiver(rule="drop-column", reason="nobody reads it"),)),
    ],
)
def test_what_the_resource_lets_pass_is_run(server: PostgresServer, deployer: Deployer, lint: MigrationLint) -> None:
    """It is another plan than without."""
    deployer.migrates()
    deployer.sources["third"] = {"20261104_120000_drop.sql": "alter table people drop column age;"}
    policy = MigrationPolicy(lint=lint)
    assert deployer.plans() != deployer.plans(policy=policy)
    assert deployer.migrates(policy=policy).reason is Reason.APPLIED
    assert server.execute("select count(*) from pg_attribute where attname = 'age'", database="shop") == [(0,)]


def test_values_of_a_failing_statement_are_told_nowhere(deployer: Deployer) -> None:
    """Neither in the result nor in the log."""
    deployer.sources["second"] = {f"{AGE}.sql": "insert into people values (1, 'jane@example.org');\n"}
    failed = deployer.migrates()
    assert failed.reason is Reason.MIGRATION_FAILED
    assert "jane" not in failed.message + deployer.said


def test_faults_of_files_are_told_before_anything_runs(deployer: Deployer) -> None:
    """A name that comes twice, in two ConfigMaps, is one of them."""
    deployer.sources["second"] = {f"{BEGIN}.sql": "select 1;", f"{AGE}.sql": "commit;"}
    found = deployer.does(Verb.PLAN_MIGRATION)
    assert (found.reason, found.migration) == (Reason.SOURCE_INVALID, None)
    assert f"{BEGIN}.sql" in found.message
    assert f"{AGE}.sql: line 1" in found.message


def test_python_is_not_run_unless_that_is_allowed(server: PostgresServer, deployer: Deployer) -> None:
    """Not even to see what it would do: who may write a ConfigMap may not run code for that."""
    name = "20261130_120000_code.py"
    deployer.sources["second"] = {name: "raise SystemExit('this must not run')\ndef upgrade():\n    pass\n"}
    planned, applied = deployer.does(Verb.PLAN_MIGRATION), deployer.does(Verb.MIGRATE)
    for found in (planned, applied):
        words = f"{name}: in Python, and `policy.allowPython` is not true"
        assert (found.reason, words in found.message) == (Reason.SOURCE_INVALID, True)
    assert server.execute("select to_regnamespace('dbcustody')::text", database="shop") == [(None,)]


def test_python_that_is_allowed_is_planned_by_what_it_renders_and_run(
    server: PostgresServer, deployer: Deployer
) -> None:
    """A loss that it renders is found; its file is carried out like any other."""
    allowed = MigrationPolicy(allow_python=True)
    name = "20261130_120000_code"
    text = "from alembic import op\n\n\ndef upgrade():\n    op.execute('alter table people drop column email')\n"
    deployer.migrates()
    deployer.sources["third"] = {f"{name}.py": text}
    told = facts_of(deployer.does(Verb.PLAN_MIGRATION, policy=allowed)).plan
    assert ([one.rule for one in told.findings if one.severity is SeverityClass.ERROR], told.refused) == (
        ["drop-column"],
        1,
    )
    lint = MigrationLint(waivers=(LintWaiver(rule="drop-column", reason="nobody reads it"),))
    done = deployer.migrates(policy=MigrationPolicy(allow_python=True, lint=lint))
    assert (done.reason, facts_of(done).current) == (Reason.APPLIED, name)
    assert server.execute("select count(*) from pg_attribute where attname = 'email'", database="shop") == [(0,)]


def test_files_and_database_that_differ_are_told_with_what_helps(deployer: Deployer) -> None:
    """An edited file: a look tells it, and nothing runs."""
    deployer.migrates()
    deployer.sources["second"] = MORE | {f"{AGE}.sql": "alter table people add column years int;\n"}
    told = facts_of(deployer.does(Verb.PLAN_MIGRATION))
    (obstacle,) = told.plan.obstacles
    assert (obstacle.reason, obstacle.message.split(": ")[:2]) == ("HistoryBroken", ["Edited", AGE])
    failed = deployer.migrates()
    assert failed.reason is Reason.HISTORY_BROKEN


def test_a_file_that_is_gone_undoes_nothing(server: PostgresServer, deployer: Deployer) -> None:
    """The database is ahead, which is no obstacle."""
    deployer.migrates()
    del deployer.sources["second"]
    told = facts_of(deployer.migrates())
    assert (told.plan.ahead, told.plan.obstacles, told.applied) == (True, (), 2)
    assert server.execute("select count(age) from people", database="shop") == [(0,)]


def test_what_a_dead_run_left_is_settled_without_running_anything(server: PostgresServer, deployer: Deployer) -> None:
    """A look finds it; settling says how it ended; what is pending stays pending."""
    deployer.migrates()
    deployer.sources["third"] = {"20261103_120000_more.sql": "create table more (id int);"}
    target = Migrator.of(server, {}).target
    with connect(target) as session:
        intent = Intent(
            run=uuid4(),
            revision="20261103_120000",
            name="20261103_120000_more",
            direction=Direction.UP,
            sha256="0" * 64,
            body="create table more (id int);",
            tool="t",
            actor="a",
        )
        add_attempt(session, intent)
    seen = facts_of(deployer.does(Verb.PLAN_MIGRATION))
    settled = facts_of(deployer.does(Verb.SETTLE_MIGRATION))
    assert (seen.unsettled, settled.unsettled) == (True, False)
    assert (settled.applied, settled.pending, settled.plan.obstacles) == (2, 1, ())
    assert server.execute("select to_regclass('more')::text", database="shop") == [(None,)]


def test_what_an_earlier_job_of_the_resource_keeps_at_work_is_ended(server: PostgresServer, deployer: Deployer) -> None:
    """Its node is gone, and the server has not noticed: the Job of another resource is not touched."""
    target = Migrator.of(server, {}).target
    owners = [hashlib.sha256(uid).hexdigest()[:8] for uid in (b"uid-other", b"uid-shop")]
    other, own = [connect(replace(target, application=application_of(uuid4(), owner))) for owner in owners]
    with other, own, DatabaseLock(own, custody_id="team.shop", maintenance_database="postgres") as lock:
        lock.acquire(MIGRATION_LOCKS, wait_seconds=0, stop=threading.Event())
        done = deployer.migrates()
        with pytest.raises(psycopg.OperationalError):
            own.execute("select 1")
        assert other.execute("select 1").fetchone() == (1,)
    assert (done.reason, facts_of(done).applied) == (Reason.APPLIED, 2)


def test_a_busy_database_is_waited_for_and_then_left(server: PostgresServer, deployer: Deployer) -> None:
    """A dump is at work: it is tried again later."""
    target = Migrator.of(server, {}).target
    with connect(target) as other, DatabaseLock(other, custody_id="team.shop", maintenance_database="postgres") as lock:
        lock.acquire(BACKUP_LOCKS, wait_seconds=0, stop=threading.Event())
        busy = deployer.migrates()
    assert (busy.reason, busy.exit_code) == (Reason.DATABASE_BUSY, ExitCode.UNAVAILABLE)
    assert facts_of(busy).pending == 2


def test_a_database_that_does_not_answer_leaves_no_facts(deployer: Deployer) -> None:
    """What became of the run is then asked by another Job."""
    agreed = deployer.plans()
    deployer.server.execute("alter database shop allow_connections false")
    failed = deployer.does(Verb.MIGRATE, plan_hash=agreed)
    assert failed.exit_code is not ExitCode.DONE
    assert failed.migration is None


def test_inline_files_and_a_config_map_as_large_as_they_come(server: PostgresServer, deployer: Deployer) -> None:
    """Kubernetes allows 1 MiB; its rows are in."""
    words = "x" * 205
    rows = "\n".join(f"insert into people values ({number}, '{words}');" for number in range(2, 4200))  # noqa: S608 - ours
    assert 1_000_000 < len(rows) < 1_048_576
    deployer.sources["second"] = {f"{AGE}.sql": rows}
    inline = (InlineFile(name="20261103_120000_last.sql", sql="delete from people where id = 1;"),)
    done = deployer.migrates(inline=inline)
    assert (done.reason, facts_of(done).applied) == (Reason.APPLIED, 3)
    assert server.execute("select count(*) from people", database="shop") == [(4198,)]


def test_many_migrations_are_told_by_the_log(deployer: Deployer) -> None:
    """A termination message has no room for them; the hash is of all, the list is not."""
    number = 150
    deployer.sources["second"] = {
        f"20261102_{one // 60:02}{one % 60:02}00_a_rather_long_name_of_a_migration.sql": f"select {one};"
        for one in range(number)
    }
    found = deployer.does(Verb.PLAN_MIGRATION)
    told = facts_of(found)
    assert (found.complete, told.pending, len(told.plan.migrations)) == (False, number + 1, 100)


@pytest.mark.parametrize("verb", [Verb.PLAN_MIGRATION, Verb.SETTLE_MIGRATION, Verb.MIGRATE])
def test_a_request_without_terms_is_refused(deployer: Deployer, verb: Verb) -> None:
    """Nothing is assumed."""
    found = deployer.without_migration(verb)
    assert (found.reason, found.exit_code) == (Reason.INVALID_SPEC, ExitCode.REFUSED)
