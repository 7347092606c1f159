"""`dbcustody migrate reset` as developers type it, on real servers: what is asked, what is lost, what stays, and what comes back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.postgres.lock import LOCK_CLASS
from ground.postgres import PostgresServer
from tests.fakes.developer import Developer
from tests.fakes.typist import AGE, BEGIN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
LEFT = "create table left_over (id int); insert into left_over values (1)"
RELATIONS = (
    "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace "
    "where n.nspname !~ '^(pg_|information_schema|dbcustody)' and c.relkind in ('r', 'p', 'v', 'm', 'S') order by 1"
)


@pytest.fixture(scope="module", params=[14, 18])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server of the oldest and of the newest major."""
    with PostgresServer(request.param) as started:
        started.execute(
            "create role maker login createdb password 'maker-pw'", "create role guest login password 'guest-pw'"
        )
        yield started


@pytest.fixture
def developer(server: PostgresServer, tmp_path: Path) -> Iterator[Developer]:
    """Return who types, with a new database that has something in it."""
    server.execute("create database shop")
    server.execute(LEFT, database="shop")
    yield Developer(server, tmp_path)
    server.execute("drop database if exists shop with (force)")


def state(developer: Developer) -> dict[str, Any]:
    """Return what the database is, beside what is in it."""
    row = developer.server.execute(
        "select pg_get_userbyid(datdba)::text, datacl::text, datconnlimit, shobj_description(oid, 'pg_database'), "
        "(select setconfig::text from pg_db_role_setting where setdatabase = d.oid), pg_encoding_to_char(encoding)::text, "
        "datcollate::text, datallowconn from pg_database d where datname = 'shop'"
    )[0]
    return dict(enumerate(row))


def test_everything_goes_and_migrations_and_seeds_come(developer: Developer) -> None:
    """The ledger is another one; asked for is a yes, which `--yes` is."""
    developer.seed("1.sql", "insert into people values (1, 2);")
    developer.run("migrate", "reset", "--yes")
    first = developer.ask("select database_uuid::text from dbcustody.marker")
    developer.server.execute("insert into people values (5, 5)", database="shop")
    done = developer.run("migrate", "reset", "--yes", "--json", DBCUSTODY_SEED_COMMAND="touch sown")

    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["reset"], told["applied"], told["seeded"], told["command"]) == ("Database", [BEGIN, AGE], ["1.sql"], 0)
    assert (developer.ask(RELATIONS), developer.ask("select id from people")) == (["people"], [1])
    assert developer.ask("select database_uuid::text from dbcustody.marker") != first
    assert (developer.folder / "sown").exists()


def test_what_will_be_lost_is_shown_and_nobody_to_ask_is_a_no(developer: Developer) -> None:
    """Database, server, tables and size."""
    asked = developer.run("migrate", "reset")
    shown = f"shop at {developer.server.host}:{developer.server.port}: is dropped and made again"
    assert (asked.code, "--yes" in asked.err, shown in asked.err) == (64, True, True)
    assert "  1 tables, about " in asked.err
    assert developer.ask(RELATIONS) == ["left_over"]


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, ["people"]), ("n\n", 130, ["left_over"])])
def test_at_a_terminal_it_is_asked(developer: Developer, answer: str, code: int, left: list[str]) -> None:
    """A no is exit code 130, and nothing was done."""
    done = developer.answer("migrate", "reset", answers=answer)
    assert (done.code, "all of it will be lost" in done.err, developer.ask(RELATIONS)) == (code, True, left)


def test_production_is_refused(developer: Developer) -> None:
    """Whatever else is said."""
    done = developer.run("migrate", "reset", "--yes", DBCUSTODY_ENVIRONMENT="Production")
    assert (done.code, "DBCUSTODY_ENVIRONMENT says Production" in done.err) == (64, True)
    assert developer.ask(RELATIONS) == ["left_over"]


def test_faulty_files_or_seeds_drop_nothing(developer: Developer) -> None:
    """What cannot be run afterwards is found out before."""
    developer.seed("1.sql", "copy people from stdin;")
    seeds = developer.run("migrate", "reset", "--yes")
    developer.write("20261103_120000_bad", "begin;")
    files = developer.run("migrate", "reset", "--yes", "--no-seed")
    assert (seeds.code, files.code, developer.ask(RELATIONS)) == (1, 1, ["left_over"])


def test_who_is_in_it_is_named_and_not_thrown_out_unasked(developer: Developer) -> None:
    """With `--disconnect` they are."""
    with developer.server.connect("shop", application_name="the-app") as inside:
        refused = developer.run("migrate", "reset", "--yes")
        still = inside.execute("select count(*) from left_over").fetchone()
        done = developer.run("migrate", "reset", "--yes", "--disconnect")
    assert (refused.code, "the-app of postgres (pid " in refused.err, still) == (5, True, (1,))
    assert (done.code, developer.ask(RELATIONS)) == (0, ["people"]), done.err


def test_a_backup_under_way_is_waited_for(developer: Developer) -> None:
    """And not thrown out with the others: nothing is dropped under it."""
    with developer.server.connect("shop", application_name="dbcustody backup shop") as dump:
        dump.execute("select pg_advisory_lock_shared(%s, 1)", (LOCK_CLASS,))
        done = developer.run("migrate", "reset", "--yes", "--disconnect", "--wait", "0")
        assert dump.execute("select 1").fetchone() == (1,)
    assert (done.code, "dbcustody backup shop" in done.err, developer.ask(RELATIONS)) == (5, True, ["left_over"])


def test_the_database_is_what_it_was_but_for_its_contents(developer: Developer) -> None:
    """Owner, rights, settings, limit and comment; an extension that no migration creates is there again."""
    developer.server.execute(
        "alter database shop owner to maker",
        "grant connect on database shop to guest",
        "revoke all on database shop from public",
        "alter database shop set work_mem to '7MB'",
        "alter database shop connection limit 17",
        "comment on database shop is 'ours'",
    )
    developer.server.execute("create extension hstore", database="shop")
    before = state(developer)
    done = developer.run("migrate", "reset", "--yes")
    assert (done.code, state(developer)) == (0, before), done.err
    assert developer.ask("select extname::text from pg_extension order by 1") == ["hstore", "plpgsql"]


def test_a_role_that_owns_it_and_makes_databases_needs_no_superuser(developer: Developer) -> None:
    """It is dropped and made again by its owner."""
    developer.server.execute("alter database shop owner to maker")
    url = f"{developer.server.url('shop', user='maker', password='maker-pw')}?sslmode=disable"
    done = developer.run("migrate", "reset", "--yes", "--json", DATABASE_URL=url)
    assert (done.code, state(developer)[0]) == (0, "maker"), done.err
    assert json.loads(done.out)["reset"] == "Database"


def test_a_role_that_may_make_no_database_empties_it(developer: Developer) -> None:
    """What it owns goes, of whatever kind; what belongs to others, and extensions, stay."""
    url = f"{developer.server.url('shop', user='guest', password='guest-pw')}?sslmode=disable"
    developer.server.execute("grant create on database shop to guest")
    developer.server.execute("create extension hstore", "grant all on schema public to guest", database="shop")
    with developer.server.connect("shop", user="guest", password="guest-pw") as session:
        session.execute(
            "create schema own; create table own.t (id int); create type mood as enum ('a'); create domain d as int;"
            "create table people (id int generated always as identity, parent int, m mood) partition by range (parent);"
            "create table people_1 partition of people for values from (0) to (9); create view v as select * from people;"
            "create function f(mood) returns int language sql as 'select 1'; create procedure p() language sql as 'select 1'"
        )
    done = developer.run("migrate", "reset", "--yes", "--json", DATABASE_URL=url)
    assert (done.code, json.loads(done.out)["reset"]) == (0, "Contents"), done.err
    assert developer.ask(RELATIONS) == ["left_over", "people"]
    assert developer.ask("select count(*) from pg_type where typname in ('mood', 'd')") == [0]
    assert developer.ask("select to_regnamespace('own') is null") == [True]
    assert developer.ask("select extname::text from pg_extension order by 1") == ["hstore", "plpgsql"]


def test_a_role_that_would_have_to_become_its_owner_first_empties_it(developer: Developer) -> None:
    """It may make databases, and yet not drop this one as it is."""
    developer.server.execute(
        "drop role if exists aloof",
        "create role aloof login createdb noinherit in role maker password 'aloof-pw'",
        "alter database shop owner to maker",
        "grant create on database shop to aloof",
    )
    developer.server.execute("grant all on schema public to aloof", database="shop")
    url = f"{developer.server.url('shop', user='aloof', password='aloof-pw')}?sslmode=disable"
    done = developer.run("migrate", "reset", "--yes", "--json", DATABASE_URL=url)
    databases = developer.ask("select datname::text from pg_database where not datistemplate order by 1")
    developer.server.execute("drop database shop with (force)", "drop role aloof")
    assert (done.code, json.loads(done.out or "{}").get("reset"), databases) == (0, "Contents", ["postgres", "shop"]), (
        done.err
    )


def test_a_database_that_is_not_there_is_made(developer: Developer) -> None:
    """Nothing is lost, so nothing is asked."""
    developer.server.execute("drop database shop")
    done = developer.run("migrate", "reset", "--json")
    assert (done.code, json.loads(done.out)["reset"], developer.ask(RELATIONS)) == (0, "Made", ["people"]), done.err


def test_a_seed_command_that_fails_is_the_exit_code(developer: Developer) -> None:
    """What was migrated stays; `--no-seed` runs none."""
    failed = developer.run("migrate", "reset", "--yes", DBCUSTODY_SEED_COMMAND="exit 9")
    without = developer.run("migrate", "reset", "--yes", "--no-seed", DBCUSTODY_SEED_COMMAND="exit 9")
    assert (failed.code, without.code, developer.ask(RELATIONS)) == (9, 0, ["people"])
