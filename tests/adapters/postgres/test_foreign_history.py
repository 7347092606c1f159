"""Tables of other tools on every kind of server: known by their columns, wherever they lie, and never taken for what they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.postgres import PostgresTarget, connect
from dbcustody.adapters.postgres.foreign_history import find_predecessors
from dbcustody.migration.layout import Tool
from dbcustody.migration.predecessor import Mark, Predecessor
from ground.postgres import PostgresServer
from tests.fakes.forerunner import ATLAS, FIRST, FLYWAY, GOLANG_MIGRATE, PRISMA, Forerunner
from tests.fakes.migrator import Migrator

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module", params=[14, 18])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server, the oldest and the newest."""
    with PostgresServer(request.param) as started:
        yield started


@pytest.fixture
def before(server: PostgresServer) -> Iterator[Forerunner]:
    """Return who has migrated a new database."""
    server.execute("create database shop")
    yield Forerunner(server=server)
    server.execute("drop database shop with (force)")


def target_of(before: Forerunner) -> PostgresTarget:
    """Return where the database is."""
    return Migrator.of(before.server, {}).target


def found(before: Forerunner, table: str | None = None) -> list[Predecessor]:
    """Return what is found in the database."""
    with connect(target_of(before)) as session:
        return list(find_predecessors(session, table))


def marks(predecessor: Predecessor) -> list[tuple[str, Mark]]:
    """Return what the rows say."""
    return [(row.key, row.mark) for row in predecessor.rows or ()]


def test_all_four_beside_one_another(before: Forerunner) -> None:
    """Each by its own columns, with its schema; the order is that of the names."""
    for table in (PRISMA, FLYWAY, GOLANG_MIGRATE, ATLAS):
        before.make(table)
    assert [(one.tool, one.table, one.rows) for one in found(before)] == [
        (Tool.PRISMA, "public._prisma_migrations", ()),
        (Tool.ATLAS, "public.atlas_schema_revisions", ()),
        (Tool.FLYWAY, "public.flyway_schema_history", ()),
        (Tool.GOLANG_MIGRATE, "public.schema_migrations", ()),
    ]


def test_rows_of_prisma(before: Forerunner) -> None:
    """Finished, rolled back, applied again, begun and never ended; in the order in which they began."""
    before.make(PRISMA)
    before.prisma("1_a", "select 1;")
    before.prisma("2_b", "select broken;", end="rolled back")
    before.prisma("2_b", "select 2;")
    before.prisma("3_c", "select broken;", end="failed")
    (predecessor,) = found(before)
    assert marks(predecessor) == [("1_a", Mark.IN), ("2_b", Mark.ASIDE), ("2_b", Mark.IN), ("3_c", Mark.FAILED)]
    assert [row.finished is None for row in predecessor.rows or ()] == [False, True, False, True]


def test_rows_of_atlas(before: Forerunner) -> None:
    """Its identifier is none; a baseline, one that was run, one that was only declared, one that broke off."""
    before.make(ATLAS)
    before.atlas(".atlas_cloud_identifier", "")
    before.atlas("1", "", kind=1)
    before.atlas("2", "h")
    before.atlas("3", "h", kind=4)
    before.atlas("4", "h", applied=0, error="it broke")
    (predecessor,) = found(before)
    assert marks(predecessor) == [("1", Mark.UP_TO), ("2", Mark.IN), ("3", Mark.IN), ("4", Mark.FAILED)]
    assert [row.checksum for row in predecessor.rows or ()] == [None, "h", "h", "h"]


def test_a_time_without_a_zone_is_taken_for_utc(before: Forerunner) -> None:
    """Whatever zone the database has."""
    before.run("alter database shop set timezone = 'Asia/Tokyo'")
    before.make(FLYWAY)
    before.flyway("1.0", "V1_0__a.sql", 7)
    before.flyway("odd-one", "Vodd-one__a.sql", 7)
    ((first, second),) = [one.rows for one in found(before) if one.rows]
    assert (first.key, first.finished, first.checksum, second.key) == (
        "1",
        FIRST.replace(minute=1),
        "7",
        "odd-one",
    )


def test_what_is_called_like_one_and_is_none(before: Forerunner) -> None:
    """Rails and dbmate count in texts, a view may do anything, and what is ours is not looked at."""
    before.run("create table schema_migrations (version varchar primary key)")
    before.run("create view _prisma_migrations as select 1 as one")
    before.run("create table atlas_schema_revisions (version text, dirty boolean)")
    before.run("create schema dbcustody")
    before.schema = "dbcustody"
    before.make(GOLANG_MIGRATE)
    assert found(before) == []


def test_a_table_that_is_named(before: Forerunner) -> None:
    """By whatever name, with or without its schema; one that is none is not there."""
    before.run('create schema "Odd.Schema"')
    before.run('create table "Odd.Schema"."My Table" (version bigint, dirty boolean)')
    before.run('insert into "Odd.Schema"."My Table" values (7, false)')
    before.run("create table plain (id int)")
    assert [marks(one) for one in found(before, "My Table")] == [[("7", Mark.UP_TO)]]
    assert [one.table for one in found(before, "Odd.Schema.My Table")] == ["Odd.Schema.My Table"]
    assert (found(before, "public.My Table"), found(before, "plain"), found(before)) == ([], [], [])


def test_looking_writes_nothing(before: Forerunner) -> None:
    """The row is the very same; and the session is free to write again afterwards."""
    before.make(GOLANG_MIGRATE)
    before.golang_migrate(1)
    rows = "select ctid::text, xmin::text, version from schema_migrations"
    earlier = before.server.execute(rows, database="shop")
    with connect(target_of(before)) as session:
        (predecessor,) = find_predecessors(session)
        session.execute("create table public.afterwards (id int)")
    assert (marks(predecessor), before.server.execute(rows, database="shop")) == ([("1", Mark.UP_TO)], earlier)
