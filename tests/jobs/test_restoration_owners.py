"""Restores by a role that is no superuser, and with other roles in the place of those of the backup: on real servers."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.restore import OwnerMapping, Patterns, SideEffect
from dbcustody.plan.selection import Choice
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from tests.fakes.custodian import Custodian, in_volume
from tests.fakes.homecoming import likeness
from tests.jobs.test_restoration import Restorer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.postgres
ROLES = (
    'create role "Old ""Owner""" nologin',
    "create role clerk nologin",
    "create role reader nologin",
    "create role keeper login password 'keeper' createdb",
    'grant "Old ""Owner""", clerk, reader to keeper',
)
CONTENT = (
    "create schema shop; create schema shelf",
    "create table shop.orders (id serial primary key, note text); insert into shop.orders (note) select 'n' from generate_series(1, 9)",
    "create table shelf.book (id int primary key, order_id int references shop.orders); insert into shelf.book values (1, 2)",
    'create statistics shelf.st on id, order_id from shelf.book; alter statistics shelf.st owner to "Old ""Owner"""',
    "alter table shop.orders enable row level security; create policy p on shop.orders to clerk, reader using (id > 1)",
    'alter schema shop owner to "Old ""Owner"""; alter table shop.orders owner to "Old ""Owner"""',
    'alter schema shelf owner to clerk; grant usage on schema shelf to "Old ""Owner"""; alter table shelf.book owner to "Old ""Owner"""',
    "grant select (id) on shop.orders to reader with grant option; grant usage on schema shop to clerk",
    'alter default privileges for role "Old ""Owner""" in schema shop grant select on tables to reader',
    "create table desk (n int); insert into desk values (7); alter table desk owner to clerk",
    "select lo_from_bytea(4711, 'x'); alter large object 4711 owner to clerk; grant select on large object 4711 to reader",
)
SUPER = (
    "create function bell() returns event_trigger language plpgsql as 'begin end'",
    "create event trigger bell on ddl_command_end execute function bell()",
    "create publication everything for all tables",
    "create function raw(text) returns int language internal as 'textlen' strict",
    "create view sized as select raw(note) as size from shop.orders",
    "create function loud() returns int language sql set log_statement = 'all' as 'select 1 /* LANGUAGE c SET x */'",
    "create table theirs (n int); insert into theirs values (1)",
    "grant usage on schema shop to reader; set role reader; grant select (id) on shop.orders to clerk; reset role",
)
SKIPPED = (
    "FUNCTION public.loud()",
    "FUNCTION public.raw(text)",
    "VIEW public.sized",
    "PUBLICATION everything",
    "EVENT TRIGGER bell",
    "SETTING log_statement of the database",
    "OWNER postgres of FUNCTION public.bell(), TABLE public.theirs",
    "RIGHTS passed on by others: ACL shop.COLUMN orders.id",
)
PUBLIC_IS_THE_OWNERS = 15
OWNERS = (
    "select n.nspname || '.' || c.relname, pg_get_userbyid(c.relowner) from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    " where c.relkind = 'r' and n.nspname !~ '^pg_|^information' order by 1"
)


def build(server: PostgresServer) -> None:
    """Make the database `shop`, whose things belong to many."""
    server.execute(*ROLES, 'create database shop owner "Old ""Owner"""')
    server.execute("grant create, connect on database shop to reader")
    server.execute(
        "alter database shop set work_mem = '8MB'", "alter role keeper in database shop set work_mem = '9MB'"
    )
    server.execute(*CONTENT, database="shop")


@pytest.fixture(scope="module", params=[14, 18])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server with the database `shop`, whose things belong to many."""
    with PostgresServer(request.param) as started:
        build(started)
        yield started


@pytest.fixture
def restorer(server: PostgresServer, tmp_path: Path) -> Iterator[Restorer]:
    """Return who has a backup, and restores as the role `keeper`, which may little."""
    (tmp_path / "storage").mkdir()
    custodian = Custodian(server=server, open_store=in_volume(tmp_path / "storage"))
    assert custodian.take().reason is Reason.SUCCEEDED
    yield Restorer(replace(custodian, user="keeper", password="keeper"), server)
    server.execute("drop database if exists back with (force)")


def test_things_of_many_owners_come_back_to_them(restorer: Restorer) -> None:
    """A table in the schema of another role is given to its owner, who may create there only while it lasts."""
    server = restorer.server
    restorer.run("back")
    assert server.execute(OWNERS, database="back") == server.execute(OWNERS, database="shop")
    here, there = likeness(server, "shop"), likeness(server, "back")
    assert (there.rows, there.script, there.large_objects) == (here.rows, here.script, here.large_objects)


@pytest.mark.parametrize(("old", "new"), [(15, 15), (17, 17), (14, 16), (15, 18), (16, 17)])
def test_a_role_that_may_little_restores_on_every_major(tmp_path: Path, old: int, new: int) -> None:
    """On the same and on a newer server, where memberships mean something else since 16: everything belongs to whom it belonged.

    But the schema `public` of 14, which was the superuser's own: that is named, and acknowledged.
    """
    lost = frozenset({SideEffect.SKIPPED_OBJECTS}) if old < PUBLIC_IS_THE_OWNERS <= new else frozenset()
    (tmp_path / "storage").mkdir()
    with PostgresServer(old) as source, ExitStack() as stack:
        build(source)
        custodian = Custodian(server=source, open_store=in_volume(tmp_path / "storage"))
        assert custodian.take().reason is Reason.SUCCEEDED
        target = source
        if new != old:
            target = stack.enter_context(PostgresServer(new))
            target.execute(*ROLES)
        restorer = Restorer(replace(custodian, user="keeper", password="keeper"), target)
        found = restorer.run("back", acknowledged=lost)

        assert found.skipped_objects == (("OWNER postgres of SCHEMA public",) if lost else ())
        here, there = likeness(source, "shop"), likeness(target, "back")
        assert target.execute(OWNERS, database="back") == source.execute(OWNERS, database="shop")
        assert (there.rows, there.large_objects, there.sequences) == (here.rows, here.large_objects, here.sequences)
        assert there.facts == here.facts or new != old


def test_an_owner_that_is_out_of_reach_is_found_out_first(restorer: Restorer) -> None:
    """The plan says which grant is missing, before anything is made."""
    server = restorer.server
    server.execute("revoke clerk from keeper")
    try:
        error = restorer.refusal()
        assert (error.reason, 'GRANT "clerk" TO "keeper";' in error.message) == (Reason.PRIVILEGES_MISSING, True)
    finally:
        server.execute("grant clerk to keeper")


def test_what_only_a_superuser_may_make_is_left_out_when_that_is_acknowledged(tmp_path: Path) -> None:
    """The plan names it; without acknowledgement nothing is made, with it everything else comes, compared and equal."""
    with PostgresServer(17) as server:
        server.execute(
            *ROLES, 'create database shop owner "Old ""Owner"""', "alter database shop set log_statement = 'none'"
        )
        server.execute(*CONTENT, *SUPER, database="shop")
        (tmp_path / "storage").mkdir()
        custodian = Custodian(server=server, open_store=in_volume(tmp_path / "storage"))
        assert custodian.take().reason is Reason.SUCCEEDED
        restorer = Restorer(replace(custodian, user="keeper", password="keeper"), server)
        error = restorer.refusal()
        assert error.reason is Reason.ACKNOWLEDGEMENT_NEEDED
        found = restorer.run("back", acknowledged=frozenset({SideEffect.SKIPPED_OBJECTS}))

        assert found.skipped_objects == SKIPPED
        assert (found.accepted.tables, found.accepted.rows) == (4, 12)
        assert server.execute(
            "select proname from pg_proc where pronamespace = 'public'::regnamespace", database="back"
        ) == [("bell",)]
        assert ("public.theirs", "keeper") in server.execute(OWNERS, database="back")
        assert server.execute("select count(*) from pg_publication", database="back") == [(0,)]


def test_a_table_that_needs_what_may_not_be_made_stands_in_the_way(tmp_path: Path) -> None:
    """Rows are never left out silently, nor by an acknowledgement that meant something else."""
    with PostgresServer(17) as server:
        server.execute("create role keeper login password 'keeper' createdb", "create database shop")
        server.execute(
            "create function raw(text) returns int language internal as 'textlen' immutable strict",
            "create table t (n text check (raw(n) > 1))",
            database="shop",
        )
        (tmp_path / "storage").mkdir()
        custodian = Custodian(server=server, open_store=in_volume(tmp_path / "storage"))
        assert custodian.take().reason is Reason.SUCCEEDED
        restorer = Restorer(replace(custodian, user="keeper", password="keeper"), server)
        maps = (OwnerMapping(from_="postgres", to="keeper"),)
        error = restorer.refusal(owner_map=maps, acknowledged=frozenset({SideEffect.SKIPPED_OBJECTS}))
    assert (
        "TABLE public.t cannot be made without FUNCTION public.raw(text), which is left out because the role may not make it"
        in error.message
    )


def test_other_roles_take_the_place_of_those_of_the_backup(restorer: Restorer) -> None:
    """As owners, where rights are given, in default privileges and policies; names are quoted as they must be, and nothing else changes."""
    server = restorer.server
    server.execute(
        'create role "New; ""boss""" nologin', "create role porter nologin", 'grant "New; ""boss""", porter to keeper'
    )
    try:
        maps = (OwnerMapping(from_='Old "Owner"', to='New; "boss"'), OwnerMapping(from_="reader", to="porter"))
        found = restorer.run("back", owner_map=maps)
        here, there = likeness(server, "shop"), likeness(server, "back")
        wanted = "\n".join(here.script).replace('"Old ""Owner"""', '"New; ""boss"""').replace("reader", "porter")
        named = wanted.replace('Old "Owner"', 'New; "boss"')
        assert there.rows == here.rows
        assert "\n".join(there.script).splitlines() == named.splitlines()
        assert there.large_objects[0][3] == here.large_objects[0][3].replace("reader", "porter")
        assert {owner for _, owner in server.execute(OWNERS, database="back")} == {'New; "boss"', "clerk"}
        assert 'New; "boss" takes the place of Old "Owner"' in found.remarks
    finally:
        server.execute("drop database if exists back with (force)", 'drop role "New; ""boss"""', "drop role porter")


def test_roles_that_nobody_knows_stand_in_the_way(restorer: Restorer) -> None:
    """The one that is to be replaced must be of the backup, its successor of the server."""
    error = restorer.refusal(
        owner_map=(OwnerMapping(from_="nobody", to="missing"), OwnerMapping(from_="clerk", to="missing"))
    )
    assert "ownerMap: the backup knows no role nobody" in error.message
    assert "roles that shall take the place of others are missing: missing" in error.message


def test_some_tables_need_only_their_own_roles(restorer: Restorer) -> None:
    """A role that only left-out things name need not be there, nor be one that things can be given to."""
    server = restorer.server
    server.execute("revoke clerk from keeper")
    try:
        choice = Choice(tables=Patterns(include=("shop.*",)))
        assert restorer.run("back", choice=choice).accepted.tables == 1
    finally:
        server.execute("grant clerk to keeper")
