"""The inspect Job on real servers: what it reports, and that its verdict on privileges is the one that pg_dump itself would give."""

from __future__ import annotations

import os
import subprocess
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.postgres import choose_client, connect, find_clients, session_options
from dbcustody.api.database import Connection, DatabaseSpec
from dbcustody.api.meta import ObjectRef
from dbcustody.contract import JobRequest, Verb
from dbcustody.errors import DbcustodyError
from dbcustody.jobs import inspection
from dbcustody.jobs.inspection import run
from dbcustody.jobs.tools import Tools, application_name, find_target
from dbcustody.plan.imprint import handed_over, kept, ready, swapped_in
from dbcustody.reason import ExitCode, Reason
from ground.postgres import VERSIONS, PostgresServer
from ground.root import client_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.adapters.keyring import Keyring
    from dbcustody.adapters.objectstore import ObjectStore
    from dbcustody.adapters.postgres import PostgresTarget
    from dbcustody.api.backup import Progress

pytestmark = pytest.mark.postgres

CONNECTION = Connection(secret_ref=ObjectRef(name="shop-app"))
REQUEST = JobRequest(
    verb=Verb.INSPECT,
    namespace="web",
    name="shop",
    owner_uid="u",
    custody_id="web.shop",
    database=DatabaseSpec(connection=CONNECTION),
)
ROLE = 'odd "role'
OWNED = '"odd ""role"'
CANARY = "c4nary-p4ssword"


@pytest.fixture(scope="module", params=[pytest.param(major, id=f"postgresql-{major}") for major in VERSIONS])
def each_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server of each supported major."""
    with PostgresServer(request.param) as server:
        server.execute(f"""create role "odd ""role" login password '{CANARY}'""")
        yield server


@pytest.fixture
def database(each_server: PostgresServer) -> Iterator[PostgresServer]:
    """Return the server with an empty database `shop` that a superuser owns."""
    each_server.execute("create database shop")
    yield each_server
    each_server.execute("drop database shop with (force)", f"alter role {OWNED} nobypassrls")


def tools_for(server: PostgresServer, *, password: str = CANARY, clients: tuple[Path, ...] | None = None) -> Tools:
    """Return tools that lead to the database `shop` of *server*, as a Secret of separate keys would."""
    files = {
        "host": server.host,
        "port": str(server.port),
        "user": ROLE,
        "password": password,
        "database": "shop",
        "sslmode": "disable",
    }

    def target(verb: Verb) -> PostgresTarget:
        return find_target(files, CONNECTION, application=application_name(verb, REQUEST.custody_id))

    def storage() -> ObjectStore:
        raise AssertionError("an inspection opens no storage")

    def keyring() -> Keyring | None:
        raise AssertionError("an inspection reads no key")

    def report(_: Progress) -> None:
        return

    return Tools(
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC), report=report, stop=threading.Event(), attempt="a", job_name="shop-inspect",
        target=target, store=storage, keyring=keyring, clients=clients or (client_folder(17), client_folder(18)),
    )  # fmt: skip


def dump_works(tools: Tools) -> tuple[bool, str]:
    """Return whether the real pg_dump dumps the whole database as the role, and what it said."""
    target = tools.target(Verb.BACKUP)
    with connect(target) as session:
        server_major = session.info.server_version // 10_000
        target = replace(target, options=session_options(session))
    client = choose_client(find_clients(tools.clients), server_major, server=target.endpoint)
    done = subprocess.run(
        [client.program("pg_dump"), "-Fc"],
        env={"PATH": os.environ["PATH"], **target.environment()}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    return done.returncode == 0, done.stderr


def test_facts_are_reported(database: PostgresServer) -> None:
    """Version, identity, size, extensions and recovery state come back, under the convention that was recognised."""
    result = run(REQUEST, tools_for(database))

    assert (result.reason, result.exit_code) == (Reason.CONNECTED, ExitCode.DONE)
    facts = result.inspection
    assert facts is not None
    assert (facts.database, facts.convention, facts.endpoint) == ("shop", "Fields", f"{database.host}:{database.port}")
    assert (facts.server.major_version, facts.server.in_recovery, facts.server.timeline) == (database.major, False, 1)
    assert VERSIONS[database.major].startswith(facts.server.version)
    ((identifier,),) = database.execute("select system_identifier::text from pg_control_system()")
    assert facts.server.system_identifier == identifier
    assert (facts.server.size_bytes or 0) > 1_000_000
    assert [extension.name for extension in facts.server.extensions] == ["plpgsql"]
    assert facts.client_major_version == (18 if database.major == 18 else 17)
    assert facts.missing_grants == ()


def test_what_of_ours_stands_on_the_server_is_told(database: PostgresServer) -> None:
    """The live database's number, and what restores made or put away, with no more rights than to connect; not what is others'."""
    ((oid,),) = database.execute("select oid::bigint from pg_database where datname = 'shop'")
    mark, hour = "RestoreRequest web/back 0123456789ab", datetime(2026, 1, 1, tzinfo=UTC)
    comments = {
        "shop": swapped_in("our shop", "20260101T000000Z-a-1", mark),
        "a_kept": kept(hour, hour + timedelta(hours=1), mark, None),
        "b_ready": ready(oid, "RestoreRequest web/next 0"),
        "c_others": handed_over(None, "20260101T000000Z-a-1", "RestoreRequest elsewhere/x 0"),
        "d_people": "our warehouse",
    }
    try:
        for name, comment in comments.items():
            if name != "shop":
                database.execute(f"create database {name} allow_connections false")
            database.execute(f"comment on database {name} is '{comment}'")
        facts = run(REQUEST, tools_for(database)).inspection
    finally:
        for name in comments:
            database.execute(f"drop database if exists {name} with (force)" if name != "shop" else "select 1")

    assert facts is not None
    assert (facts.oid, facts.more_copies) == (oid, None)
    told = [(one.name, one.stage.value, one.custody_id, one.mark) for one in facts.copies]
    assert told == [("a_kept", "Kept", "web.shop", mark), ("b_ready", "Ready", "web.shop", "RestoreRequest web/next 0")]
    assert facts.copies[0].drop_after == hour + timedelta(hours=1)


def test_only_so_many_are_told(database: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """And how many more there are."""
    monkeypatch.setattr(inspection, "MOST_COPIES", 1)
    names = ("a_one", "b_two", "c_three")
    try:
        for name in names:
            database.execute(f"create database {name} allow_connections false")
            text = handed_over(None, "20260101T000000Z-a-1", f"RestoreRequest web/{name} 0")
            database.execute(f"comment on database {name} is '{text}'")
        facts = run(REQUEST, tools_for(database)).inspection
    finally:
        for name in names:
            database.execute(f"drop database if exists {name}")
    assert facts is not None
    assert ([one.name for one in facts.copies], facts.more_copies) == (["a_one"], 2)


def test_unknown_identity_is_no_error(database: PostgresServer) -> None:
    """Where the role may not read the control file, the identity is unknown and everything else is there."""
    functions = ("pg_control_system()", "pg_control_checkpoint()")
    database.execute(*(f"revoke execute on function {function} from public" for function in functions), database="shop")

    result = run(REQUEST, tools_for(database))

    assert result.reason is Reason.CONNECTED
    assert result.inspection is not None
    assert result.inspection.server.system_identifier is None
    assert result.inspection.server.timeline is None
    assert "pg_control_system" in result.message


@pytest.mark.parametrize(
    ("statements", "grants"),
    [
        pytest.param(["create table t (id int)"], ["GRANT SELECT ON TABLE public.t TO {role};"], id="table"),
        pytest.param(
            ["create table t (id serial)", "grant select on t to public"],
            ["GRANT SELECT ON SEQUENCE public.t_id_seq TO {role};"],
            id="sequence-of-a-table",
        ),
        pytest.param(["create sequence s"], ["GRANT SELECT ON SEQUENCE public.s TO {role};"], id="lone-sequence"),
        pytest.param(
            [
                'create schema "Hidden ""one"',
                'create table "Hidden ""one"."a;b" (id int)',
                'grant select on "Hidden ""one"."a;b" to public',
            ],
            ['GRANT USAGE ON SCHEMA "Hidden ""one" TO {role};'],
            id="schema-with-an-odd-name",
        ),
        pytest.param(
            [
                "create table p (id int) partition by range (id)",
                "create table p1 partition of p for values from (0) to (9)",
            ],
            ["GRANT SELECT ON TABLE public.p TO {role};", "GRANT SELECT ON TABLE public.p1 TO {role};"],
            id="partitions",
        ),
        pytest.param(
            ["create table t (id int, secret text)", "grant select (id) on t to public"],
            ["GRANT SELECT ON TABLE public.t TO {role};"],
            id="a-column-is-not-the-table",
        ),
        pytest.param(
            ["create table t (id int)", "grant select on t to public", "alter table t enable row level security"],
            ["ALTER ROLE {role} BYPASSRLS;"],
            id="row-security",
        ),
        pytest.param(
            [
                "create table t (id int)",
                "alter table t owner to {role}",
                "alter table t enable row level security",
                "alter table t force row level security",
            ],
            ["ALTER ROLE {role} BYPASSRLS;"],
            id="forced-row-security-of-ones-own",
        ),
        pytest.param(
            ["create table t (id int)", "alter table t owner to {role}", "alter table t enable row level security"],
            [],
            id="row-security-of-ones-own",
        ),
        pytest.param(["create materialized view m as select 1 as one"], [], id="materialized-view"),
        pytest.param(
            ["create view v as select 1 as one", "create schema quiet", "create view quiet.v as select 1"],
            [],
            id="views",
        ),
        pytest.param(
            ["create table t (id int)", "alter extension plpgsql add table t"], [], id="table-of-an-extension"
        ),
        pytest.param(
            [
                "create table t (id int)",
                "alter extension plpgsql add table t",
                "update pg_extension set extconfig = array['t'::regclass::oid], extcondition = array['']",
            ],
            ["GRANT SELECT ON TABLE public.t TO {role};"],
            id="configuration-table-of-an-extension",
        ),
        pytest.param(
            ["create unlogged table t (id int)"], ["GRANT SELECT ON TABLE public.t TO {role};"], id="unlogged-table"
        ),
    ],
)
def test_verdict_is_that_of_pg_dump(database: PostgresServer, statements: list[str], grants: list[str]) -> None:
    """What is said to be missing is exactly what pg_dump fails for; the SQL, run as it stands, makes the dump work."""
    database.execute(*(statement.replace("{role}", OWNED) for statement in statements), database="shop")
    tools = tools_for(database)

    result = run(REQUEST, tools)

    assert result.inspection is not None
    said = result.inspection.missing_grants
    wanted = [grant.replace("{role}", OWNED) for grant in grants]
    assert [line for line in said if "pg_read_all_data" not in line] == wanted
    works, complaint = dump_works(tools)
    assert works is not bool(wanted), complaint
    if wanted:
        assert (result.reason, result.exit_code) == (Reason.PRIVILEGES_MISSING, ExitCode.REFUSED)
        database.execute(*wanted, database="shop")
        assert run(REQUEST, tools).reason is Reason.CONNECTED
        assert dump_works(tools) == (True, "")


def test_one_grant_stands_for_all(database: PostgresServer) -> None:
    """The first statement alone opens every schema, table and sequence; the list stays short, and says how much it leaves out."""
    database.execute(
        "create schema inner_one",
        *(f"create table inner_one.t{number:03d} (id serial)" for number in range(60)),
        database="shop",
    )
    tools = tools_for(database)
    result = run(REQUEST, tools)
    assert result.inspection is not None
    said = result.inspection.missing_grants

    assert len(said) < 120
    assert sum(line == "-- and 10 more like the one above" for line in said) == 2
    assert "60 tables" in result.message
    try:
        database.execute(said[0], database="shop")
        assert said[0].startswith("GRANT pg_read_all_data")
        assert run(REQUEST, tools).reason is Reason.CONNECTED
        assert dump_works(tools)[0]
    finally:
        database.execute(f"revoke pg_read_all_data from {OWNED}")


@pytest.mark.parametrize(
    ("statements", "missing"),
    [
        pytest.param(["select lo_create(4711)"], True, id="of-another-owner"),
        pytest.param(
            ["select lo_create(4711)", "grant select on large object 4711 to public"], False, id="open-to-all"
        ),
        pytest.param(["select lo_create(4711)", "alter large object 4711 owner to {role}"], False, id="ones-own"),
    ],
)
def test_large_objects_of_others_are_named(database: PostgresServer, statements: list[str], *, missing: bool) -> None:
    """A large object that cannot be read is named with its GRANT; the database stays usable, because a backup can leave it out."""
    database.execute(*(statement.replace("{role}", OWNED) for statement in statements), database="shop")
    tools = tools_for(database)

    result = run(REQUEST, tools)

    assert result.reason is Reason.CONNECTED
    assert result.inspection is not None
    wanted = (f"GRANT SELECT ON LARGE OBJECT 4711 TO {OWNED};",) if missing else ()
    assert result.inspection.missing_grants == wanted
    assert dump_works(tools)[0] is not missing
    database.execute(*wanted, "select 1", database="shop")
    assert dump_works(tools)[0]


def test_server_newer_than_every_client_is_refused(database: PostgresServer, tmp_path: Path) -> None:
    """With no client that is new enough the reason says so, and what was found is reported all the same."""
    result = run(REQUEST, tools_for(database, clients=(tmp_path,)))

    assert (result.reason, result.exit_code) == (Reason.VERSION_UNSUPPORTED, ExitCode.REFUSED)
    assert result.inspection is not None
    assert result.inspection.server.major_version == database.major
    assert result.inspection.client_major_version is None


def test_password_is_in_nothing_that_is_told(database: PostgresServer) -> None:
    """Neither a success nor a refusal carries the password."""
    said = [repr(run(REQUEST, tools_for(database)))]
    with pytest.raises(DbcustodyError) as caught:
        run(REQUEST, tools_for(database, password=f"wrong-{CANARY}"))
    said += [caught.value.message, str(caught.value.__cause__)]

    assert caught.value.reason is Reason.AUTHENTICATION_FAILED
    assert not any(CANARY in text for text in said)


def test_standby_says_that_it_is_one() -> None:
    """On a hot standby the same facts come back, and that it is in recovery."""
    with PostgresServer(17) as server:
        server.execute(f"create role {OWNED} login password '{CANARY}'", "create database shop")
        server.stop()
        (server.data / "standby.signal").touch()
        server.start()
        result = run(REQUEST, tools_for(server))

    assert result.reason is Reason.CONNECTED
    assert result.inspection is not None
    assert result.inspection.server.in_recovery is True
    assert result.inspection.server.timeline == 1
