"""Schemas compared on real servers of the oldest and the newest major: the SQL that comes out makes one like the other, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
import sqlalchemy as sa

from dbcustody.adapters.postgres import PostgresTarget, connect
from dbcustody.adapters.postgres.modelling import (
    Steps,
    empty_model,
    make_tables,
    read_model,
    steps_between,
)
from dbcustody.errors import RefusedError
from dbcustody.reason import Reason
from ground.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres
SCHEMA: Final = (
    "create schema away",
    "create type mood as enum ('ok', 'it''s 100% sad')",
    "create type away.size as enum ('s')",
    "create domain positive as int check (value > 0)",
    "create table place (id bigint generated always as identity primary key, name text not null unique, size away.size)",
    (
        "create table away.person (id serial primary key, place bigint references place on delete cascade, moods mood[], mood mood,"
        " age positive, born timestamptz not null default now(), note jsonb default '{\"a\": 1}', price numeric(8, 2) default 0.5,"
        " twice int generated always as (2 * 3) stored, constraint pct check (note::text not like '100%:x'))"
    ),
    "create index on away.person (born desc) where age > 3",
    "create index lowered on place (lower(name))",
    "comment on table place is 'it''s a 100% place'",
    "comment on column place.name is 'a:b'",
)
OTHERS: Final = (
    "create table alembic_version (version_num text)",
    "create extension hstore",
    "create view everybody as select 1 as one",
    "create table part (id int, primary key (id)) partition by range (id)",
    "create table part_1 partition of part for values from (0) to (1)",
    "create function f() returns int language sql as 'select 1'",
)


@pytest.fixture(scope="module", params=[14, 18])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server of the oldest and of the newest major."""
    with PostgresServer(request.param) as started:
        yield started


@pytest.fixture
def targets(server: PostgresServer) -> Iterator[tuple[PostgresTarget, PostgresTarget]]:
    """Return two empty databases."""
    server.execute("create database one", "create database two")
    one = PostgresTarget(
        host=server.host,
        port=str(server.port),
        database="one",
        user="postgres",
        password=server.password,
        sslmode="disable",
    )
    yield one, one.at("two")
    server.execute("drop database one with (force)", "drop database two with (force)")


def model_of(target: PostgresTarget) -> sa.MetaData:
    """Return what a database has."""
    with connect(target) as session:
        return read_model(session)


def steps_to(target: PostgresTarget, model: sa.MetaData, *, is_whole: bool = True) -> Steps:
    """Return what makes the database of *target* like *model*."""
    with connect(target) as session:
        return steps_between(session, model, is_whole=is_whole)


def test_a_database_is_made_again_from_what_was_read(
    server: PostgresServer, targets: tuple[PostgresTarget, PostgresTarget]
) -> None:
    """Types, schemas, keys, defaults, indexes and comments, whatever marks are in them; then there is no difference, either way."""
    one, two = targets
    server.execute(*SCHEMA, database="one")
    forth = steps_to(two, model_of(one)).forth
    server.execute(*forth, database="two")
    assert forth[:2] == ("CREATE SCHEMA away", "CREATE TYPE mood AS ENUM ('ok', 'it''s 100% sad')") or forth[0] == (
        "CREATE SCHEMA away"
    )
    assert (steps_to(two, model_of(one)), steps_to(one, model_of(two))) == (Steps(forth=(), back=()),) * 2
    labels = server.execute("select enumlabel::text from pg_enum order by 1", database="two")
    assert [row[0] for row in labels] == ["it's 100% sad", "ok", "s"]
    comment = server.execute(
        "select obj_description('place'::regclass), col_description('place'::regclass, 2)", database="two"
    )
    assert comment == [("it's a 100% place", "a:b")]


def test_what_is_nobodys_business_is_left_out(
    server: PostgresServer, targets: tuple[PostgresTarget, PostgresTarget]
) -> None:
    """Tables of extensions and of other tools, partitions, views, functions, our own ledger, and schemas that no model mentions."""
    one, two = targets
    server.execute(*OTHERS, "create schema dbcustody", "create table dbcustody.attempt ()", database="one")
    model = model_of(one)
    assert sorted(model.tables) == ["part"]
    server.execute(*OTHERS, "create schema other", "create table other.t ()", database="two")
    assert steps_to(two, model, is_whole=False).forth == ()
    assert steps_to(two, model).forth == ("DROP TABLE other.t",)


def test_the_way_back_takes_back(server: PostgresServer, targets: tuple[PostgresTarget, PostgresTarget]) -> None:
    """Where values were added to an enumeration there is none."""
    one, two = targets
    server.execute("create type mood as enum ('b')", "create table t (a int)", database="one")
    server.execute(
        "create type mood as enum ('b')", "create type size as enum ('s')",
        "create table t (a int not null default 3, b size, c int unique, d int references t (c))", "create index on t (b)",
        database="two",
    )  # fmt: skip
    before = model_of(one)
    steps = steps_to(one, model_of(two))
    server.execute(*steps.forth, database="one")
    assert steps_to(one, model_of(two)).forth == ()
    server.execute(*steps.back, database="one")
    assert steps_to(one, before).forth == ()
    server.execute("alter type mood add value 'a' before 'b'", "create table m (a mood)", database="two")
    more = steps_to(one, model_of(two))
    assert "ALTER TYPE mood ADD VALUE 'a' BEFORE 'b'" in more.forth
    assert more.back == ()


def test_columns_that_come_later_bring_their_keys_once(
    server: PostgresServer, targets: tuple[PostgresTarget, PostgresTarget]
) -> None:
    """An index, a key and a reference of a new column are each made by one statement."""
    one, _ = targets
    server.execute("create table t (id int primary key)", database="one")
    model = empty_model()
    sa.Table(
        "t", model, sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("a", sa.Integer, index=True), sa.Column("b", sa.Integer, unique=True),
        sa.Column("c", sa.Integer, sa.ForeignKey("t.id")), sa.Column("d", sa.BigInteger, sa.Identity()),
        sa.Column("e", sa.Text, server_default="it's", comment="e"),
    )  # fmt: skip
    server.execute(*steps_to(one, model, is_whole=False).forth, database="one")
    assert steps_to(one, model, is_whole=False).forth == ()
    counted = (
        "select (select count(*) from pg_index where indrelid = 't'::regclass), "
        "(select count(*) from pg_constraint where contype = 'f')"
    )
    assert server.execute(counted, database="one") == [(3, 1)]


@pytest.mark.parametrize(
    ("there", "wanted", "is_other"),
    [
        ("now()", sa.text("now()"), False),
        ("now()", sa.text("CURRENT_TIMESTAMP"), False),
        ("'a''b'", "a'b", False),
        ("'a'", "b", True),
        ("'1'", sa.text("1"), False),
        ("gen_random_uuid()::text", sa.text("gen_random_uuid()"), False),
        ("'x'", None, True),
        (None, "x", True),
        ("'x'", sa.text("no_such_function()"), True),
    ],
)
def test_defaults_are_compared_by_what_they_are(
    server: PostgresServer,
    targets: tuple[PostgresTarget, PostgresTarget],
    there: str | None,
    wanted: object,
    *,
    is_other: bool,
) -> None:
    """Texts that differ may mean the same; the server is asked."""
    one, _ = targets
    server.execute(f"create table t (a text{f' default {there}' if there else ''})", database="one")
    model = empty_model()
    sa.Table("t", model, sa.Column("a", sa.Text, server_default=wanted))  # type: ignore[arg-type]  # whatever it takes
    assert bool(steps_to(one, model, is_whole=False).forth) is is_other


def test_a_model_is_made_in_an_empty_database(
    server: PostgresServer, targets: tuple[PostgresTarget, PostgresTarget]
) -> None:
    """With its schemas; one that cannot be made is told."""
    one, two = targets
    model = empty_model()
    sa.Table("t", model, sa.Column("a", sa.Enum("x", name="kind")), schema="away")
    with connect(one) as session:
        make_tables(session, model)
    assert steps_to(one, model, is_whole=False).forth == ()
    assert server.execute("select to_regclass('away.t')::text", database="one") == [("away.t",)]
    sa.Table("u", model, sa.Column("a", sa.Integer, sa.CheckConstraint("nonsense > 1")))
    with connect(two) as session, pytest.raises(RefusedError, match="nonsense"):
        make_tables(session, model)


def test_a_model_that_is_not_whole_is_told(targets: tuple[PostgresTarget, PostgresTarget]) -> None:
    """By what SQLAlchemy says of it."""
    model = empty_model()
    sa.Table("t", model, sa.Column("a", sa.Integer, sa.ForeignKey("nowhere.id")))
    with pytest.raises(RefusedError, match="cannot be compared") as refused:
        steps_to(targets[0], model, is_whole=False)
    assert refused.value.reason is Reason.SOURCE_INVALID
