"""What migrations would do, asked of a real server and of squawk, and that nothing runs which was not judged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.migration import FailOn
from dbcustody.errors import RefusedError
from dbcustody.jobs import foresight
from dbcustody.jobs.foresight import foresee, plan_of, require_passed
from dbcustody.jobs.migration import migrate
from dbcustody.migration.finding import Severity
from dbcustody.migration.planned import Policy
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from tests.fakes.migrator import Migrator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
BEGIN, DROP, LATER = "20261101_120000_begin", "20261102_120000_drop", "20261103_120000_later"
FILES = {
    f"{BEGIN}.sql": "create table people (id int, age int);\n",
    f"{DROP}.sql": "alter table people drop column age;\n",
}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(14) as started:
        yield started


@pytest.fixture
def migrator(server: PostgresServer) -> Iterator[Migrator]:
    """Return who migrates a new database."""
    server.execute("create database shop")
    yield Migrator.of(server, FILES)
    server.execute("drop database shop with (force)")


def test_a_new_database_is_given_its_whole_history(migrator: Migrator) -> None:
    """What was lost years ago elsewhere is no loss where nothing is there yet."""
    foreseen = foresee(migrator.order())
    require_passed(foreseen.plan)
    assert {one.severity for one in foreseen.plan.findings if one.rule == "drop-column"} == {Severity.NOTE}
    assert list(foreseen.facts.values()) == [None]


def test_a_loss_is_refused_where_there_is_something_to_lose(server: PostgresServer, migrator: Migrator) -> None:
    """With the reason by which a Job says so."""
    migrator.files.pop(f"{DROP}.sql")
    migrator.migrate()
    migrator.files[f"{DROP}.sql"] = FILES[f"{DROP}.sql"]
    order = migrator.order(allows_out_of_order=True)
    foreseen = foresee(order)
    with pytest.raises(RefusedError) as error:
        require_passed(foreseen.plan)
    assert (error.value.reason, "Error drop-column" in error.value.message) == (Reason.LINT_FAILED, True)
    assert foreseen.plan.policy == Policy(allows_out_of_order=True, limits=order.limits)
    require_passed(foresee(migrator.order(fail_on=FailOn.NEVER)).plan)
    assert server.execute("select count(*) from pg_attribute where attname = 'age'", database="shop") == [(1,)]


def test_what_nobody_has_judged_is_not_run(server: PostgresServer, migrator: Migrator) -> None:
    """Also when it became pending after the plan was made."""
    order = replace(migrator.order(), admitted=frozenset({BEGIN}))
    with pytest.raises(RefusedError) as error:
        migrate(order)
    assert (error.value.reason, DROP in error.value.message) == (Reason.PLAN_CHANGED, True)
    assert server.execute("select to_regclass('people')", database="shop") == [(None,)]
    assert migrate(replace(order, admitted=frozenset({BEGIN, DROP, LATER}))).pending == ()


def test_that_squawk_did_not_look_is_told(migrator: Migrator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not there, or says something that nobody understands: each file has a finding of it."""
    program = tmp_path / "squawk"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    for found, words in ((None, "is not on this machine"), (str(program), "is not understood")):
        monkeypatch.setattr(foresight, "find_squawk", lambda found=found: found)
        plan = plan_of(migrator.scripts(), Policy())
        told = [(one.file, words in one.what, one.severity) for one in plan.findings if one.rule == "squawk-missing"]
        severity = Severity.NOTE if found is None else Severity.WARNING
        assert told == [(f"{BEGIN}.sql", True, severity), (f"{DROP}.sql", True, severity)]
