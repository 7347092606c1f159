"""Migrations out of an image on a real server: whoever has laid the folder out, the very files that were planned are run, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.migration import MigrationPolicy
from dbcustody.api.migration_source import SourceFormat
from dbcustody.contract import Verb
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from tests.fakes import forerunner
from tests.fakes.deployer import Deployer, deploying
from tests.fakes.forerunner import Forerunner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.contract import JobResult
    from dbcustody.facts import MigrationFacts

pytestmark = pytest.mark.postgres
FIRST, SECOND = "20260131120000_begin", "20260201120000_more"
PRISMA = {
    f"{FIRST}/migration.sql": "create table people (id int primary key);\n",
    f"{SECOND}/migration.sql": "create table pets (id int primary key);\n",
    "migration_lock.toml": 'provider = "postgresql"\n',
    "README.md": "for people",
}
ALEMBIC = {
    "env.py": "raise SystemExit('nobody runs this')\n",
    "versions/1a2b_begin.py": (
        'revision = "1a2b"\ndown_revision = None\n\nfrom alembic import op\n\n\n'
        'def upgrade():\n    op.execute("create table people (id int)")\n\n\n'
        'def downgrade():\n    op.execute("drop table people")\n'
    ),
    "versions/__pycache__/1a2b_begin.cpython-313.pyc": "of this build",
}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def deployer(server: PostgresServer, tmp_path: Path) -> Iterator[Deployer]:
    """Return who runs the Jobs of a resource whose files lie in an image, against a new database."""
    with deploying(server, tmp_path, image=dict(PRISMA)) as found:
        yield found


def does(deployer: Deployer, verb: Verb, **terms: Any) -> JobResult:
    """Return what the Job leaves."""
    return deployer.answer(deployer.request_of_image(verb, **terms))


def looks(deployer: Deployer, **terms: Any) -> MigrationFacts:
    """Return how the database stands."""
    result = does(deployer, Verb.PLAN_MIGRATION, **terms)
    assert result.migration is not None, result.message
    return result.migration


def migrates(deployer: Deployer, **terms: Any) -> JobResult:
    """Carry out what is pending, as the operator asks for it."""
    seen = looks(deployer, **terms)
    return does(deployer, Verb.MIGRATE, plan_hash=seen.plan.hash, source_digest=seen.source_digest, **terms)


def tables(deployer: Deployer) -> set[str]:
    """Return the tables that were made."""
    found = deployer.server.execute("select relname from pg_class where relname in ('people', 'pets')", database="shop")
    return {name for (name,) in found}


def test_a_folder_of_prisma_is_run(deployer: Deployer) -> None:
    """In its order, under its names; texts for people are no migration."""
    told = looks(deployer)
    assert ([one.name for one in told.plan.migrations], told.applied, told.pending) == ([FIRST, SECOND], 0, 2)
    assert migrates(deployer).reason is Reason.APPLIED
    assert (looks(deployer).pending, tables(deployer)) == (0, {"people", "pets"})


def test_what_else_lies_there_is_no_other_source(deployer: Deployer) -> None:
    """An image that was built anew has the same digest as long as the migrations are the same."""
    before = looks(deployer).source_digest
    assert deployer.image is not None
    deployer.image["README.md"] = "for other people"
    assert looks(deployer).source_digest == before
    deployer.image[f"{SECOND}/migration.sql"] += "-- more\n"
    assert looks(deployer).source_digest != before


def test_other_files_than_were_planned_are_not_run(deployer: Deployer) -> None:
    """As when a tag moved between the plan and the run."""
    planned = looks(deployer)
    assert deployer.image is not None
    deployer.image[f"{FIRST}/migration.sql"] = "create table pets (id int primary key);\n"
    result = does(deployer, Verb.MIGRATE, plan_hash=planned.plan.hash, source_digest=planned.source_digest)
    assert (result.reason, tables(deployer)) == (Reason.PLAN_CHANGED, set())
    assert "the files have the digest" in result.message


def test_what_prisma_has_run_is_not_run_again(deployer: Deployer) -> None:
    """Until its history was taken over, the plan stands still and says so."""
    before = Forerunner(server=deployer.server)
    before.make(forerunner.PRISMA)
    before.prisma(FIRST, PRISMA[f"{FIRST}/migration.sql"])
    told = looks(deployer)
    assert [one.reason for one in told.plan.obstacles] == ["HistoryForeign"]
    assert migrates(deployer).reason is Reason.HISTORY_FOREIGN
    assert tables(deployer) <= {"people"}


def test_a_folder_of_alembic_is_run_where_python_may_be(deployer: Deployer) -> None:
    """Its env.py is not; `alembic_version` is kept in step."""
    deployer.image = dict(ALEMBIC)
    refused = does(deployer, Verb.PLAN_MIGRATION)
    assert (refused.reason, "`policy.allowPython` is not true" in refused.message) == (Reason.SOURCE_INVALID, True)
    assert migrates(deployer, policy=MigrationPolicy(allow_python=True)).reason is Reason.APPLIED
    assert tables(deployer) == {"people"}
    assert deployer.server.execute("select version_num from alembic_version", database="shop") == [("1a2b",)]


def test_a_word_goes_before_what_the_files_look_like(deployer: Deployer) -> None:
    """What is not the chosen tool's is left out, which the log says."""
    deployer.image = {
        "V1__begin.sql": "create table people (id int);\n",
        "1_other.up.sql": "create table pets (id int);\n",
    }
    unclear = does(deployer, Verb.PLAN_MIGRATION)
    assert (unclear.reason, "say which it is" in unclear.message) == (Reason.SOURCE_INVALID, True)
    assert migrates(deployer, format=SourceFormat.FLYWAY).reason is Reason.APPLIED
    assert (tables(deployer), "1_other.up.sql" in deployer.said) == ({"people"}, True)


def test_an_image_without_migrations_is_a_wrong_one(deployer: Deployer) -> None:
    """A new database would be told to have everything, though the path is not the one that was meant."""
    deployer.image = {"README.md": "for people", "src/app.sql": "select 1"}
    result = does(deployer, Verb.PLAN_MIGRATION)
    assert result.reason is Reason.SOURCE_NOT_FOUND
    assert "no migration lies below /migrations in the image example.org/shop:1" in result.message


def test_a_format_of_which_no_file_is_was_not_meant(deployer: Deployer) -> None:
    """In ConfigMaps likewise: those of ours may begin empty, and are not said to be another tool's then."""
    deployer.image, deployer.sources = None, {"first": {"V1__begin.sql": "create table people (id int);"}}
    result = deployer.does(Verb.PLAN_MIGRATION, format=SourceFormat.GOLANG_MIGRATE)
    assert (result.reason, "no migration of GolangMigrate lies in the source, among 1 files" in result.message) == (
        Reason.SOURCE_NOT_FOUND,
        True,
    )
    deployer.sources = {"first": {"README.md": "for people"}}
    assert deployer.does(Verb.PLAN_MIGRATION).reason is Reason.PLANNED
    deployer.sources = {"first": {"V1__begin.sql": "create table people (id int);"}}
    assert deployer.migrates(format=SourceFormat.FLYWAY).reason is Reason.APPLIED
    assert tables(deployer) == {"people"}
