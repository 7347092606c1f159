"""Restores by the engine, on real servers: what comes back is what was there, or nothing is left of the attempt."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from dbcustody.api.policy import Algorithm, Compression, Tables
from dbcustody.api.restore import MissingRoles, RestoreProgress, RestoreStage
from dbcustody.contract import Verb
from dbcustody.errors import DbcustodyError, RefusedError
from dbcustody.jobs.custody import open_storage
from dbcustody.jobs.restoration import RestoreOrder, restore
from dbcustody.jobs.source import open_source
from dbcustody.jobs.stock import take_stock
from dbcustody.plan.restoration import Wish
from dbcustody.reason import Reason
from dbcustody.repository.ledger import ledger_entry_key
from ground.postgres import PostgresServer
from tests.fakes.custodian import CUSTODY, KEYS, Custodian, in_volume
from tests.fakes.homecoming import likeness
from tests.fakes.richdb import TABLES, make_rich

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.jobs.restoration import Restored

pytestmark = pytest.mark.postgres
NONE = Compression(algorithm=Algorithm.NONE)
AROUND = {
    RestoreStage.SAFETY_BACKUP,
    RestoreStage.STOPPING_WORKLOADS,
    RestoreStage.SWAPPING,
    RestoreStage.RESUMING_WORKLOADS,
}
WORKING = [one for one in RestoreStage if one not in {RestoreStage.WAITING, RestoreStage.DONE, *AROUND}]


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., PostgresServer]]:
    """Return a function that starts a server of a major, once each, empty or with the rich database `shop`."""
    servers: dict[tuple[int, bool], PostgresServer] = {}
    with ExitStack() as stack:

        def start(major: int, *, rich: bool = True) -> PostgresServer:
            if (major, rich) not in servers:
                servers[major, rich] = stack.enter_context(PostgresServer(major))
                if rich:
                    make_rich(servers[major, rich], "shop")
            return servers[major, rich]

        yield start


@dataclass
class Restorer:
    """Restores the newest backup of *custodian* on *server*; *told* is what was reported."""

    custodian: Custodian
    server: PostgresServer
    told: list[RestoreProgress] = field(default_factory=list)
    on_stage: Callable[[RestoreStage], object] = lambda _: None
    changes: dict[str, Any] = field(default_factory=dict)

    def run(self, into: str, **wish: Any) -> Restored:
        """Restore into *into*; raises what the restore raises."""
        tools = self.custodian.tools()
        storage = open_storage(tools, self.custodian.request())
        backup = take_stock(storage, CUSTODY, tools).live[-1]
        target = replace(self.custodian, server=self.server).tools().target(Verb.BACKUP)
        order = RestoreOrder(
            source=open_source(storage, backup),
            server=target.at("postgres"),
            wish=Wish(database=into, **wish),
            parallelism=2,
            report=self._hear,
            **self.changes,
        )
        return restore(order, tools)

    def refusal(self, into: str = "back", **wish: Any) -> DbcustodyError:
        """Return why nothing was restored, having made sure that nothing is left."""
        before = self.standing()
        with pytest.raises(DbcustodyError) as caught:
            self.run(into, **wish)
        assert self.standing() == before
        return caught.value

    def standing(self) -> tuple[list[Any], ...]:
        """Return the databases, the roles and our sessions of the server."""
        return (
            self.server.execute("select datname, datacl::text from pg_database order by 1"),
            self.server.execute("select rolname from pg_roles order by 1"),
            self.server.execute("select pid from pg_stat_activity where application_name like 'dbcustody backup%'"),
        )

    def _hear(self, progress: RestoreProgress) -> None:
        self.told.append(progress)
        self.on_stage(progress.stage)


def make_backup(folder: Path, server: PostgresServer, *, encrypted: bool = True, **options: Any) -> Custodian:
    """Take a backup of the server's `shop` into *folder*."""
    folder.mkdir()
    custodian = Custodian(server=server, open_store=in_volume(folder), keys=KEYS if encrypted else None)
    custodian.take(**options)
    return custodian


@pytest.fixture
def restorer(serve: Callable[..., PostgresServer], tmp_path: Path) -> Restorer:
    """Return who has a backup of a rich database on 17 and may restore it there."""
    return Restorer(make_backup(tmp_path / "storage", serve(17)), serve(17))


@pytest.mark.parametrize(
    ("major", "encrypted", "options"),
    [
        pytest.param(14, True, {}, id="14-one-archive"),
        pytest.param(14, False, {"parallelism": 3}, id="14-cut-clear"),
        pytest.param(15, True, {"compression": NONE}, id="15-one-archive"),
        pytest.param(16, True, {"parallelism": 2}, id="16-cut"),
        pytest.param(17, False, {}, id="17-one-archive-clear"),
        pytest.param(17, True, {"parallelism": 8}, id="17-cut"),
        pytest.param(18, True, {}, id="18-one-archive"),
    ],
)
def test_rich_database_comes_back_equal(
    serve: Callable[..., PostgresServer], tmp_path: Path, *, major: int, encrypted: bool, options: dict[str, Any]
) -> None:
    """Rows, large objects, sequences, definitions, owners, rights and the database's own settings are what they were."""
    server = serve(major)
    restorer = Restorer(make_backup(tmp_path / "storage", server, encrypted=encrypted, **options), server)
    back = f"back-{tmp_path.name}"
    found = restorer.run(back)

    assert (found.database, found.accepted.tables) == (back, TABLES)
    assert found.unknown_settings == (("transaction_timeout",) if major < 17 else ())
    assert likeness(server, back) == likeness(server, "shop")
    stages = list(dict.fromkeys(one.stage for one in restorer.told))
    assert stages == WORKING


@pytest.mark.parametrize(("old", "new"), [(14, 18), (16, 17), (17, 18)])
def test_newer_server_takes_it(serve: Callable[..., PostgresServer], tmp_path: Path, old: int, new: int) -> None:
    """A server that has none of the roles gets them without passwords, and the content is the same."""
    here = likeness(serve(old), "shop")
    with PostgresServer(new) as server:
        restorer = Restorer(make_backup(tmp_path / "storage", serve(old)), server)
        found = restorer.run("back", missing_roles=MissingRoles.CREATE)
        there = likeness(server, "back")
        roles = server.execute(
            "select rolname, rolpassword from pg_authid where rolname !~ '^(pg_|postgres)' order by 1"
        )

    assert (there.rows, there.large_objects, there.sequences) == (here.rows, here.large_objects, here.sequences)
    assert roles == [("Web 'app'", None), ("reader", None), ("shop_owner", None)]
    assert "roles are created without passwords: Web 'app', reader, shop_owner" in found.remarks


def test_older_server_is_refused(serve: Callable[..., PostgresServer], tmp_path: Path) -> None:
    """What a newer server wrote is not forced into an older one."""
    restorer = Restorer(make_backup(tmp_path / "storage", serve(18)), serve(16, rich=False))
    error = restorer.refusal(missing_roles=MissingRoles.CREATE)
    assert (error.reason, "restore into one that is not older" in error.message) == (Reason.VERSION_UNSUPPORTED, True)


def test_missing_roles(tmp_path: Path) -> None:
    """They stand in the way, unless ownership is left out: then everything belongs to who restored it."""
    with PostgresServer(16) as old, PostgresServer(17) as new:
        old.execute("create role owner", "create database shop owner owner")
        old.execute("create table t (n int); alter table t owner to owner; grant select on t to owner", database="shop")
        old.execute("insert into t values (1)", database="shop")
        restorer = Restorer(make_backup(tmp_path / "storage", old), new)
        assert restorer.refusal().reason is Reason.ROLES_MISSING
        found = restorer.run("back", missing_roles=MissingRoles.SKIP_OWNERSHIP)

        assert found.remarks[0] == "without owners and rights, because roles are missing: owner"
        assert new.execute(
            "select n, pg_get_userbyid(relowner) from t, pg_class where relname = 't'", database="back"
        ) == [(1, "postgres")]
        public = "select has_database_privilege('pg_monitor', 'back', 'connect')"
        assert new.execute(public) == [(True,)]


def test_rule_about_a_role_that_is_missing(serve: Callable[..., PostgresServer], tmp_path: Path) -> None:
    """A policy names its role whoever owns the table: that cannot be left out, and pg_restore's complaint ends the restore."""
    with PostgresServer(17) as server:
        restorer = Restorer(make_backup(tmp_path / "storage", serve(17)), server)
        assert restorer.refusal(missing_roles=MissingRoles.SKIP_OWNERSHIP).reason is Reason.RESTORE_FAILED


def test_some_tables_alone(tmp_path: Path) -> None:
    """A backup of some tables brings the schemas that they stand in, and the extensions that they may need."""
    with PostgresServer(17) as server:
        server.execute("create database shop")
        server.execute(
            "create schema lib; create extension citext with schema lib; create schema sales",
            "create table sales.item (id serial primary key, name lib.citext); insert into sales.item (name) values ('a'), ('b')",
            "create table other (id serial)",
            database="shop",
        )
        some = make_backup(tmp_path / "storage", server, tables=Tables(include=("sales.*",)))
        found = Restorer(some, server).run("back")
        assert (found.accepted.tables, found.accepted.rows, found.accepted.sequences) == (1, 2, 1)
        assert server.execute("select * from sales.item where name operator(lib.=) 'A'", database="back") == [(1, "a")]


GATE = """
create function passes() returns bool language plpgsql as $$ begin
    for i in 1..1000 loop
        exit when not exists (select from pg_roles where rolname = 'gate');
        perform pg_sleep(0.02);
    end loop;
    if exists (select from pg_roles where rolname = 'gate') then raise exception 'the gate stays shut'; end if;
    return true;
end $$
"""
"""Lets a row in once there is no role `gate`: what one database waits for until another says so."""

KNOWN = """
select reltuples::int, (select count(*) from pg_stats where tablename = 'Big one') from pg_class where relname = 'Big one'
"""


def test_the_table_whose_rows_come_is_told_and_statistics_are_there(tmp_path: Path) -> None:
    """Its first row waits until that was told; and once it is restored the planner knows the table."""
    name = 'public."Big one"'
    with PostgresServer(17) as server:
        server.execute("create database shop")
        server.execute(
            'create table "Big one" as select n from generate_series(1, 2000) n',
            GATE,
            'alter table "Big one" add check (passes())',
            "create role gate",
            database="shop",
        )
        restorer = Restorer(make_backup(tmp_path / "storage", server), server)

        def let_in(stage: RestoreStage) -> None:
            if stage is RestoreStage.LOADING and restorer.told[-1].summary.endswith(name):
                server.execute("drop role if exists gate")

        restorer.on_stage = let_in
        restorer.run("back")
        assert server.execute(KNOWN, database="back") == [(2000, 1)]
    assert any(one.summary.endswith(f"% {name}") for one in restorer.told)


def test_name_that_is_taken(restorer: Restorer) -> None:
    """What exists is never written into."""
    assert restorer.refusal("shop").reason is Reason.TARGET_EXISTS


@pytest.mark.parametrize("name", ['od"d', "UPPER case", "a=b host=x", "ø'\\"])
def test_odd_names(restorer: Restorer, name: str) -> None:
    """A new database may be called what PostgreSQL allows."""
    assert restorer.run(name).database == name
    assert restorer.server.execute(
        "select count(*) from pg_database where datname = %s".replace("%s", "$n$" + name + "$n$")
    ) == [(1,)]


def test_nobody_enters_before_it_is_handed_over(restorer: Restorer) -> None:
    """While rows come and until everything is checked, a role that may connect afterwards is refused."""
    server, entered = restorer.server, []
    server.execute("create role visitor login password 'visitor'")

    def enter(database: str = "back") -> bool:
        where = {"host": server.host, "port": server.port, "user": "visitor", "password": "visitor", "dbname": database}
        try:
            psycopg.connect(**where).close()
        except psycopg.OperationalError:
            return False
        return True

    def try_to(stage: RestoreStage) -> None:
        if stage in {RestoreStage.LOADING, RestoreStage.FINISHING, RestoreStage.CHECKING, RestoreStage.HANDING_OVER}:
            entered.append(enter())

    restorer.on_stage = try_to
    try:
        restorer.run("back")
        assert (set(entered), enter()) == ({False}, enter("shop"))
    finally:
        server.execute("drop database if exists back with (force)", "drop role visitor")


def test_replay_comes_before_anybody_may_enter_and_ends_the_restore_when_it_fails(restorer: Restorer) -> None:
    """The hook sees everything in its place; what it raises takes the database away."""
    seen: list[Any] = []

    def replay(session: Any) -> None:
        seen.extend(
            session.execute(
                "select current_database(), datacl::text from pg_database where datname = current_database()"
            ).fetchall()
        )
        raise RefusedError("the ledger does not answer", reason=Reason.ERASURES_PENDING)

    restorer.changes = {"replay": replay}
    assert restorer.refusal().reason is Reason.ERASURES_PENDING
    assert seen == [("back", "{postgres=CTc/postgres}")]


def test_erased_people_are_not_brought_back(restorer: Restorer) -> None:
    """A ledger that goes on behind the backup's watermark stops the restore before anything is made."""
    restorer.custodian.open_store().put_once(ledger_entry_key(CUSTODY, 1), b"{}")
    error = restorer.refusal()
    assert (error.reason, "entry 1 of the ledger, it knows 0" in error.message) == (Reason.ERASURES_PENDING, True)
    assert [one.stage for one in restorer.told] == [RestoreStage.PLANNING]


@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "clear"])
@pytest.mark.parametrize("options", [{}, {"parallelism": 2}], ids=["one-archive", "cut"])
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_flipped_bit(
    serve: Callable[..., PostgresServer], tmp_path: Path, *, encrypted: bool, options: dict[str, Any], where: float
) -> None:
    """Wherever a bit turned in the archive with most rows, nothing is handed over."""
    custodian = make_backup(tmp_path / "storage", serve(17), encrypted=encrypted, compression=NONE, **options)
    hurt = max((tmp_path / "storage").rglob("*.pgc"), key=lambda path: path.stat().st_size)
    data = bytearray(hurt.read_bytes())
    data[int(where * (len(data) - 1))] ^= 4
    hurt.chmod(0o600)
    hurt.write_bytes(data)
    assert Restorer(custodian, serve(17)).refusal().reason in {Reason.ARCHIVE_DAMAGED, Reason.RESTORE_FAILED}


@pytest.mark.parametrize("stage", WORKING)
def test_order_to_stop(restorer: Restorer, stage: RestoreStage) -> None:
    """Whatever it was at, nothing is left of it."""
    stop = threading.Event()
    restorer.custodian = replace(restorer.custodian, stop=stop)
    restorer.on_stage = lambda at: stop.set() if at is stage else None
    if stage is RestoreStage.HANDING_OVER:
        assert restorer.run("kept").database == "kept"
    else:
        assert restorer.refusal().reason in {Reason.INTERRUPTED, Reason.CONNECTION_LOST}


@pytest.mark.parametrize("stage", [RestoreStage.DEFINING, RestoreStage.FINISHING, RestoreStage.CHECKING])
def test_sessions_that_are_ended(restorer: Restorer, stage: RestoreStage) -> None:
    """All sessions of the restore are ended by the server, also the one that made the database: it is taken away in a new one."""
    end = "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'dbcustody backup%'"
    restorer.on_stage = lambda at: restorer.server.execute(end) if at is stage else None
    assert restorer.refusal().reason in {Reason.CONNECTION_LOST, Reason.RESTORE_FAILED}


def test_difference_is_no_success(restorer: Restorer) -> None:
    """A row that vanishes on the way is found by the count."""
    server = restorer.server

    restorer.on_stage = lambda at: (
        server.execute("delete from big where id = 1", database="back") if at is RestoreStage.CHECKING else None
    )
    error = restorer.refusal()
    assert error.reason is Reason.CHECKS_FAILED
    assert "public.big has 1999 rows instead of 2000" in error.message
