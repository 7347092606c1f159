"""Workers of one pg_restore that make keys in the same tree of tables: one at a time, or each could wait for the other."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.postgres import find_clients
from dbcustody.adapters.postgres.loading import Loading
from dbcustody.contract import Verb
from dbcustody.jobs.definitions import altered, definitions, take_all
from dbcustody.plan.object_state import KINDS
from dbcustody.plan.part import Part
from dbcustody.repository.catalogue import Catalogue, DatabaseFacts
from dbcustody.repository.contents import rewritten
from ground.postgres import PostgresServer
from ground.process import wait_until
from ground.root import client_folder
from tests.fakes.custodian import Custodian, in_volume
from tests.fakes.homecoming import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dbcustody.repository.contents import Contents

pytestmark = pytest.mark.postgres
FACTS = DatabaseFacts(name="shop", owner="postgres", encoding="UTF8", collation="C", ctype="C", locale_provider="libc")
TREES = (
    "create table b (id int primary key) partition by range (id)",
    "create table a (id int primary key) partition by range (id)",
    *(f"create table {tree}_{n} partition of {tree} for values from ({n}) to ({n + 1})" for n in (0, 1) for tree in "ab"),
    "insert into b values (0), (1); insert into a values (0), (1)",
    "create table aside (n int)",
    "create function touch() returns trigger language plpgsql as 'begin return new; end'",
)  # fmt: skip
LATE = {
    "whole": "alter table a add constraint whole foreign key (id) references b",
    "own": "alter table a_0 add constraint own foreign key (id) references b_0",
    "touched": "create trigger touched before insert on aside for each row execute function touch()",
}
"""What is made by two workers: a key of the whole tree, which locks every table of both; a key of one partition of each; something else."""
WAITING = "select pid from pg_stat_activity where datname = 'back' and wait_event_type = 'Lock'"
MADE = "select conname from pg_constraint where conname in ('whole', 'own') and conparentid = 0 order by 1"


@pytest.fixture(params=[14, 17, 18])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server with two trees in `shop`, and in `back` the same without what comes late."""
    with PostgresServer(request.param) as server:
        for database, statements in {"shop": (*TREES, *LATE.values()), "back": TREES}.items():
            server.execute(f"create database {database}")
            server.execute(*statements, database=database)
        yield server


def dump(server: PostgresServer) -> bytes:
    """Return the definitions of `shop`, as those of a backup that is cut."""
    command = [str(client_folder(18) / "pg_dump"), "-Fc", "--schema-only", "-d", "shop"]
    return subprocess.run(command, check=True, capture_output=True, env=environment(server)).stdout


def late(contents: Contents) -> Contents:
    """Return *contents* with what comes late alone, and the tables."""
    kept = (one for one in contents.entries if one.kind not in KINDS or one.name.split()[-1] in LATE)
    return contents.having(kept)


def test_a_key_of_a_tree_and_one_of_its_partition(server: PostgresServer, tmp_path: Path) -> None:
    """The first waits in one tree; the second is not begun before it is done, and what has no part in either tree is."""
    custodian = Custodian(server=server, open_store=in_volume(tmp_path))
    target, (client,) = custodian.tools().target(Verb.BACKUP).at("back"), find_clients([client_folder(18)])

    def load() -> None:
        with definitions() as head:
            take_all(head, rewritten([dump(server)], "it", late))
            with altered(head, "it", Part(catalogue=Catalogue(database=FACTS))) as coming:
                words = ("--section=post-data", "--jobs=2")
                with Loading(
                    client, target, words, what="it", stop=custodian.stop, archive=coming.head.file
                ) as loading:
                    loading.finish()

    def has_passed_by() -> bool:
        touched = server.execute("select 1 from pg_trigger where tgname = 'touched'", database="back")
        return bool(touched) or len(server.execute(WAITING)) > 1

    with ThreadPoolExecutor(1) as pool, server.connect("back") as holder:
        with holder.transaction():
            holder.execute("lock table b_0 in row exclusive mode")
            running = pool.submit(load)
            assert wait_until(lambda: bool(server.execute(WAITING)) or running.done(), 60)
            assert wait_until(lambda: has_passed_by() or running.done(), 60)
            assert [len(server.execute(WAITING)), running.done()] == [1, False]
        running.result(timeout=120)
    assert server.execute(MADE, database="back") == [("own",), ("whole",)]
