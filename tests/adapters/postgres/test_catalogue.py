"""The catalogue on real servers: whatever somebody changes by hand is found and named, and what changes by itself is not."""

from __future__ import annotations

import re
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from dbcustody.adapters.postgres.catalogue import read_catalogue
from dbcustody.adapters.postgres.session import connect
from dbcustody.adapters.postgres.target import PostgresTarget
from dbcustody.errors import UnavailableError
from dbcustody.migration.catalogue import Catalogue, Kind, counts
from dbcustody.migration.fingerprint import differences, fingerprint
from dbcustody.reason import Reason
from ground.postgres import PostgresServer
from ground.process import wait_until
from ground.root import client_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres
SCHEMA: Final = """
create role reader nologin;
create schema audit;
create extension citext with schema public;
create type mood as enum ('glad', 'sad');
create type address as (street text, town text);
create domain email as text check (value ~ '@');
create type span as range (subtype = numeric);
create sequence invoice start 100;
create table people (
    id int generated always as identity primary key, name varchar(40) not null, mail email, mood mood default 'glad',
    kind varchar(10) check (kind in ('a', 'b')), twice int generated always as (age * 2) stored, age int, num serial, nick citext
);
create unique index people_by_mail on people (lower(mail));
create index people_by_age on people (age);
create table orders (id bigint primary key, person int constraint orders_person references people);
alter table orders add constraint orders_positive check (id > 0);
create function later() returns trigger language plpgsql as $$ begin return new; end $$;
create function answer(x int default 1) returns int language sql as 'select x + 41';
create procedure tidy() language sql as 'select 1';
create aggregate total(int) (sfunc = int4pl, stype = int, initcond = '0');
create trigger people_later before insert on people for each row execute function later();
create view adults as select id, age from people where age > 17;
create materialized view per_age as select age, count(*) as people from people group by age;
create rule orders_rule as on delete to orders do instead nothing;
alter table people enable row level security;
create policy own on people for select to reader using (age > 1);
create statistics people_both (ndistinct) on age, kind from people;
create collation audit.german (provider = icu, locale = 'de');
create table event (at date not null, what text) partition by range (at);
create table event_2026 partition of event for values from ('2026-01-01') to ('2027-01-01');
create index event_by_what on event (what);
"""
CHANGES: Final = re.findall(
    r"^(\S.*)\n((?: {4}.*\n)+)", (Path(__file__).parent / "changed.txt").read_text(), re.MULTILINE
)
"""Statements, and in the lines below them what is told after they were run."""
NO_DRIFT: Final = (
    "select nextval('invoice'); select setval('people_num_seq', 400)",
    "insert into people (name, age) select 'n' || n, n from generate_series(1, 500) n",
    "analyze; vacuum people",
    "create table event_2027 partition of event for values from ('2027-01-01') to ('2028-01-01')",
    "alter table event detach partition event_2026; drop table event_2026",
    "create index on event_2026 (at)",
    "refresh materialized view per_age",
    "reindex table people; cluster people using people_pkey",
    "create role somebody; grant select on people to somebody; alter table orders owner to somebody",
    "comment on table people is 'all of them'; alter table people set (autovacuum_enabled = off)",
    "create temporary table mine (a int)",
    "alter table people add column gone int; alter table people drop column gone",
    "alter table people alter age set statistics 500",
    "create table schema_migrations (version bigint primary key); create table audit.alembic_version (version_num text)",
    "create schema dbcustody; create table dbcustody.mine (id serial)",
    "alter database shop set work_mem = '8MB'",
)


@pytest.fixture(scope="module", params=[17])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server with a database to copy."""
    with PostgresServer(request.param) as started:
        make(started)
        yield started


def make(server: PostgresServer) -> None:
    """Make the database that is copied for each test."""
    server.execute("create database pattern")
    for words in SCHEMA.split(";\n"):
        if words.strip():
            server.execute(words, database="pattern")


def target_of(server: PostgresServer, database: str = "shop", user: str = "postgres") -> PostgresTarget:
    """Return the database as *user* sees it."""
    return PostgresTarget(
        host=server.host,
        port=str(server.port),
        database=database,
        user=user,
        password=server.password if user == "postgres" else "w",
        sslmode="disable",
    )


@pytest.fixture
def shop(server: PostgresServer) -> Iterator[PostgresServer]:
    """Return the server with a new copy."""
    server.execute("create database shop template pattern")
    yield server
    server.execute("drop database shop with (force)")
    for role in ("somebody", "weak"):
        server.execute(f"drop role if exists {role}")


def read(server: PostgresServer, database: str = "shop", *exclude: str, user: str = "postgres") -> Catalogue:
    """Return the catalogue."""
    with connect(target_of(server, database, user)) as session:
        return read_catalogue(session, exclude)


@pytest.mark.parametrize(("words", "told"), CHANGES, ids=[words for words, _ in CHANGES])
def test_what_is_changed_by_hand_is_named(shop: PostgresServer, words: str, told: str) -> None:
    """Each object, each property, and nothing else."""
    before = read(shop)
    shop.execute(*words.split("; "), database="shop")
    after = read(shop)

    assert fingerprint(before) != fingerprint(after)
    assert sorted(map(str, differences(before, after))) == sorted(line.strip() for line in told.splitlines())


def test_each_statement_is_tried() -> None:
    """None is passed over because the file is written otherwise."""
    text = (Path(__file__).parent / "changed.txt").read_text()
    assert [words for words, _ in CHANGES] == [line for line in text.splitlines() if not line.startswith(" ")]


@pytest.mark.parametrize("words", NO_DRIFT)
def test_what_changes_while_people_work_is_nothing(shop: PostgresServer, words: str) -> None:
    """Nor what belongs to us, to another tool, or to the installation."""
    before = read(shop)
    shop.execute(*words.split("; "), database="shop")
    assert differences(before, read(shop)) == ()


def test_each_kind_is_read(shop: PostgresServer) -> None:
    """As many as there are; what an extension brought is left out."""
    shop.execute("create type bare", "create foreign data wrapper none", "create server far foreign data wrapper none",
                 "create foreign table abroad (a int) server far options (name 'x')", database="shop")  # fmt: skip
    found = counts(read(shop))
    assert set(Kind) - set(found) == {Kind.EVENT_TRIGGER, Kind.BASE_TYPE}
    assert (found[Kind.FUNCTION], found[Kind.TABLE], found[Kind.EXTENSION]) == (4, 3, 2)


def test_what_is_left_out_is_not_read(shop: PostgresServer) -> None:
    """With everything that is a part of it."""
    before = read(shop, "shop", "audit.*", "public.tmp_*")
    shop.execute("create table tmp_1 (a int primary key)", "create table audit.log (a serial)", database="shop")
    shop.execute("drop schema audit cascade", database="shop")
    assert fingerprint(before) == fingerprint(read(shop, "shop", "public.tmp_*", "audit.*"))


def test_who_may_do_nothing_reads_the_same(shop: PostgresServer) -> None:
    """The system catalogues are open to whoever may connect."""
    shop.execute("create role weak login password 'w'", "revoke all on schema public from public", database="shop")
    assert fingerprint(read(shop, user="weak")) == fingerprint(read(shop))


def test_nothing_is_left_in_a_transaction(shop: PostgresServer) -> None:
    """What was set stays set, and what the transaction changed is seen."""
    names = (
        "select current_setting('search_path'), current_setting('lock_timeout'), current_setting('statement_timeout')"
    )
    before = read(shop)
    with connect(target_of(shop)) as session, session.transaction(force_rollback=True):
        session.execute(
            "set local search_path = audit; set local lock_timeout = 77; set local statement_timeout = 9000"
        )
        session.execute("create table mine (a public.mood)")
        within = read_catalogue(session)
        assert session.execute(names).fetchone() == ("audit", "77ms", "9s")
    assert [str(one) for one in differences(before, within)] == ["Added table audit.mine"]
    assert read(shop) == before


def test_who_keeps_a_view_locked_is_not_waited_for_long(shop: PostgresServer) -> None:
    """The server needs what a view is made of to write it down."""
    with shop.connect("shop") as other:
        other.execute("begin")
        other.execute("lock table people in access exclusive mode")
        with pytest.raises(UnavailableError) as error:
            read(shop)
    assert error.value.reason is Reason.LOCK_NOT_OBTAINED


def test_what_is_dropped_meanwhile_is_no_failure(shop: PostgresServer) -> None:
    """Tables, views and functions come and go while it is read, again and again."""
    stop, turns = threading.Event(), 0

    def toss() -> None:
        nonlocal turns
        with shop.connect("shop") as other:
            while not stop.is_set():
                for words in (
                    "create table t (a int default 1 check (a > 0), b mood); create index on t (a); create view v as select * from t",
                    "create function g(x t) returns int language sql as 'select 1'",
                    "drop table t cascade",
                ):
                    other.execute(words)
                turns += 1

    thread = threading.Thread(target=toss)
    thread.start()
    try:
        catalogues = [read(shop) for _ in range(30)]
    finally:
        stop.set()
        thread.join()

    fixed = [one.without(["public.t", "public.v", "public.g(*"]) for one in catalogues]
    assert (turns > 0, {fingerprint(one) for one in fixed}) == (True, {fingerprint(fixed[0])})


def test_a_table_that_is_dropped_under_its_hands(shop: PostgresServer) -> None:
    """The one who drops it waits in the way; once he is done it is read without it."""
    with shop.connect("shop") as other:
        other.execute("begin")
        other.execute("drop view adults")
        found: list[Catalogue] = []
        thread = threading.Thread(target=lambda: found.append(read(shop)))
        thread.start()
        waits = "select 1 from pg_locks where not granted and mode = 'AccessShareLock'"
        seen = wait_until(lambda: bool(shop.execute(waits, database="shop")) or bool(found), 30)
        other.execute("commit")
        thread.join()
    assert (seen, len(found)) == (True, 1)


def test_the_same_is_the_same_on_every_major() -> None:
    """But for queries, which the server keeps parsed, and writes anew."""
    found: dict[int, Catalogue] = {}
    for major in (14, 18):
        with PostgresServer(major) as server:
            make(server)
            found[major] = read(server, "pattern")

    others = {(one.key.kind, one.aspect) for one in differences(found[14], found[18])}
    assert others <= {(Kind.VIEW, "definition"), (Kind.MATERIALIZED_VIEW, "definition")}
    assert fingerprint(found[14].across_majors()) == fingerprint(found[18].across_majors())


@pytest.mark.parametrize("server", [14, 18], indirect=True)
def test_what_is_restored_from_a_dump_is_the_same(server: PostgresServer) -> None:
    """Whatever the expressions went through on the way."""
    programs = client_folder(18)
    dump = [str(programs / "pg_dump"), "--dbname", server.url("pattern")]
    dumped = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    server.execute("create database copy")
    load = [str(programs / "psql"), "-qX", "-v", "ON_ERROR_STOP=1", "--dbname", server.url("copy")]
    known = dumped if server.major > 16 else dumped.replace("SET transaction_timeout = 0;", "")
    loaded = subprocess.run(load, input=known, text=True, check=False, capture_output=True)
    assert loaded.returncode == 0, loaded.stderr
    assert differences(read(server, "pattern"), read(server, "copy")) == ()
