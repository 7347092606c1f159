"""What a person declares, and a migration that is in in part, on a real server: both are held against what the schema is like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.jobs.checkup import check_up
from dbcustody.jobs.migration import look
from dbcustody.jobs.reversal import accept_drift, declare, roll_back
from dbcustody.migration.drift import Likeness, Moment
from dbcustody.migration.ledger import State
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from tests.fakes.migrator import Migrator, drift, moments

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres
BEGIN, AGE = "20261101_120000_begin", "20261102_120000_age"
FILES = {
    f"{BEGIN}.sql": "create table people (id int primary key, email text);\n",
    f"{BEGIN}.down.sql": "drop table people;\n",
    f"{AGE}.sql": "alter table people add column age int;\n",
    f"{AGE}.down.sql": "alter table people drop column age;\n",
}
BY_HAND = "alter table people alter age set default 4711"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Return a server."""
    with PostgresServer(17) as started:
        yield started


@pytest.fixture
def migrator(server: PostgresServer) -> Iterator[Migrator]:
    """Return who migrates a new database."""
    server.execute("create database shop")
    yield Migrator.of(server, FILES)
    server.execute("drop database shop with (force)")


def test_what_is_declared_is_held_against_what_is_known(server: PostgresServer, migrator: Migrator) -> None:
    """Applied once, undone, and applied by hand: it must be what it was."""
    migrator.migrate()
    roll_back(migrator.order(), BEGIN)
    order = migrator.order
    with pytest.raises(RefusedError, match=r"was [0-9a-f]{32} when just these migrations were in; .*--force") as error:
        declare(order(), AGE, State.RESOLVED_APPLIED, "by hand")
    assert error.value.reason is Reason.DRIFTED
    server.execute("alter table people add column age int", database="shop")
    declare(order(), AGE, State.RESOLVED_APPLIED, "by hand")

    assert f"{AGE}: the schema is what it was when just these migrations were in" in migrator.said
    assert drift(migrator).likeness is Likeness.SAME


def test_who_insists_is_believed(migrator: Migrator) -> None:
    """And what is there then is what is compared with."""
    migrator.migrate()
    roll_back(migrator.order(), BEGIN)
    declare(migrator.order(), AGE, State.RESOLVED_APPLIED, "the column has another name", is_forced=True)
    assert (look(migrator.order()).applied, drift(migrator).likeness) == ((BEGIN, AGE), Likeness.SAME)


def test_what_was_never_seen_is_not_compared(server: PostgresServer, migrator: Migrator) -> None:
    """Which is said."""
    del migrator.files[f"{AGE}.sql"], migrator.files[f"{AGE}.down.sql"]
    migrator.migrate()
    migrator.files |= {f"{AGE}.sql": FILES[f"{AGE}.sql"]}
    server.execute("alter table people add column age int", database="shop")
    declare(migrator.order(), AGE, State.RESOLVED_APPLIED, "by hand")
    assert any("not known, so nothing was compared" in one for one in migrator.said)
    assert drift(migrator).likeness is Likeness.SAME


def half(server: PostgresServer, migrator: Migrator) -> str:
    """Leave a migration that is in in part, and return its name."""
    server.execute(
        "create procedure fill() language plpgsql as $$ begin create table filled (); commit; end $$", database="shop"
    )
    name = "20261104_120000_fill"
    migrator.files[f"{name}.sql"] = (
        "-- dbcustody: idempotent because it looks first\n-- dbcustody: invariant SELECT false\n\ncall public.fill();\n"
    )
    with pytest.raises(RefusedError):
        migrator.migrate()
    return name


def test_of_what_is_in_in_part_the_difference_is_known(server: PostgresServer, migrator: Migrator) -> None:
    """Since it began, with which statements are in; that nothing of it is in is not believed before that is so."""
    name = half(server, migrator)
    _, checkup = check_up(migrator.order())
    (unfinished,) = checkup.unfinished
    assert checkup.drift is not None
    assert [str(one) for one in checkup.drift.changes] == ["Added table public.filled"]
    assert (unfinished.name, [(one.line, one.text, one.is_done) for one in unfinished.statements]) == (
        name,
        [(4, "call public.fill()", True)],
    )

    with pytest.raises(RefusedError, match=r"\(Added table public.filled\)"):
        declare(migrator.order(), name, State.RESOLVED_ROLLED_BACK, "all taken back")
    server.execute("drop table filled", database="shop")
    declare(migrator.order(), name, State.RESOLVED_ROLLED_BACK, "all taken back")
    assert (check_up(migrator.order())[1].unfinished, drift(migrator).likeness) == ((), Likeness.SAME)


def test_who_finds_it_done_says_so(server: PostgresServer, migrator: Migrator) -> None:
    """And its traces are no drift."""
    name = half(server, migrator)
    declare(migrator.order(), name, State.RESOLVED_APPLIED, "looked, is fine")
    assert (look(migrator.order()).pending, drift(migrator).likeness) == ((), Likeness.SAME)


def test_what_may_run_again_and_failed_halfway_is_no_drift(server: PostgresServer, migrator: Migrator) -> None:
    """What it committed before is its own doing; the next try is not refused for it."""
    server.execute(
        "create procedure fill() language plpgsql as $$ begin create table if not exists filled (); commit; perform 1 / 0; end $$",
        database="shop",
    )
    migrator.files["20261104_120000_fill.sql"] = (
        "-- dbcustody: idempotent because it looks first\ncall public.fill();\n"
    )
    for _ in range(2):
        with pytest.raises(RefusedError) as error:
            migrator.migrate()
        assert (error.value.reason, drift(migrator).likeness) == (Reason.MIGRATION_FAILED, Likeness.SAME)


def test_drift_is_accepted_by_its_fingerprint(server: PostgresServer, migrator: Migrator) -> None:
    """With who and why; not another one, not what has not drifted, and not while a migration is in in part."""
    migrator.migrate()
    with pytest.raises(InvalidSpecError, match="nothing to accept"):
        accept_drift(migrator.order(), drift(migrator).found, "why not")
    server.execute(BY_HAND, database="shop")
    with pytest.raises(RefusedError, match="look at it again"):
        accept_drift(migrator.order(), "0" * 32, "meant so")
    accepted = accept_drift(migrator.order(), drift(migrator).found, "meant so")

    assert [str(one) for one in accepted.changes] == ["Changed column public.people.age: default: nothing -> 4711"]
    assert (drift(migrator).likeness, moments(migrator)[-1]) == (Likeness.SAME, (Moment.ACCEPTED, 2))
    row = "select reason, actor from dbcustody.fingerprint order by id desc limit 1"
    assert server.execute(row, database="shop") == [("meant so", "somebody")]


def test_nothing_is_accepted_while_something_is_in_in_part(server: PostgresServer, migrator: Migrator) -> None:
    """What it left would be called meant."""
    name = half(server, migrator)
    with pytest.raises(RefusedError, match=name) as error:
        accept_drift(migrator.order(), drift(migrator).found, "meant so")
    assert error.value.reason is Reason.NEEDS_RESOLUTION
