"""What servers say of tables, as a migration would find them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.postgres import PostgresTarget, connect
from dbcustody.adapters.postgres.tablefacts import read_facts
from dbcustody.errors import DbcustodyError
from dbcustody.migration.relation import Relation
from dbcustody.reason import Reason
from ground.postgres import VERSIONS, PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.migration.tablefacts import Facts

pytestmark = pytest.mark.postgres
SCENE = (
    'create schema "S"',
    "create table t (a int, b varchar(10), c int not null, d numeric(10,2), e int)",
    "alter table t add constraint a_set check (a is not null), add constraint b_set check (b is not null) not valid",
    "alter table t add constraint more check (d is not null and d > 0)",
    "insert into t select i, i::text, i, i, i from generate_series(1, 20000) i",
    "create index t_a on t (a)",
    "vacuum analyze t",
    'create table "S"."T" (id int)',
    "create table p (id int) partition by list (id)",
    "create table p1 partition of p for values in (1)",
    "create table p2 partition of p for values in (2)",
    "insert into p select 1 + i % 2 from generate_series(1, 20000) i",
    "vacuum analyze p",
    "create view v as select 1 as one",
    "create table held (a int)",
)


@pytest.fixture(scope="module", params=[min(VERSIONS), max(VERSIONS)])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server with some tables."""
    with PostgresServer(request.param) as started:
        started.execute(*SCENE)
        yield started


def ask(server: PostgresServer, *relations: Relation) -> Facts:
    """Return what *server* says of *relations*."""
    target = PostgresTarget(
        host=server.host,
        port=str(server.port),
        database="postgres",
        user="postgres",
        password=server.password,
        sslmode="disable",
    )
    with connect(target) as session:
        return read_facts(session, relations)


def test_tables_are_measured(server: PostgresServer) -> None:
    """Rows, bytes, types, and which columns are proven to hold no null."""
    t = Relation("", "t")
    facts = ask(server, t)[t]
    assert facts is not None
    (size_bytes,) = server.execute("select pg_table_size('t')")[0]
    assert (facts.size_bytes, facts.rows) == (size_bytes, 20000)
    assert facts.columns == {
        "a": "integer", "b": "character varying(10)", "c": "integer", "d": "numeric(10,2)", "e": "integer",
    }  # fmt: skip
    assert facts.proven == {"a", "c"}


def test_a_table_with_partitions_is_as_large_as_they_are(server: PostgresServer) -> None:
    """Each of them is gone through."""
    p, part = Relation("", "p"), Relation("public", "p1")
    facts = ask(server, p, part)
    whole, one = facts[p], facts[part]
    assert whole is not None
    assert one is not None
    assert (whole.rows, one.rows) == (20000, 10000)
    assert whole.size_bytes > one.size_bytes > 8192


def test_what_is_not_there_and_what_was_never_counted(server: PostgresServer) -> None:
    """A name is found as it is written, by the search path of the role."""
    names = [Relation("S", "T"), Relation("s", "t"), Relation("", "T"), Relation("", "v"), Relation("", "t_a")]
    facts = ask(server, *names)
    fresh, view, index = facts[names[0]], facts[names[3]], facts[names[4]]
    assert (facts[names[1]], facts[names[2]]) == (None, None)
    assert fresh is not None
    assert view is not None
    assert index is not None
    assert (fresh.rows, fresh.size_bytes, view.size_bytes) == (None, 0, 0)
    assert (index.rows, index.size_bytes > 8192) == (20000, True)
    assert ask(server) == {}


def test_a_table_that_somebody_has_for_himself(server: PostgresServer) -> None:
    """It is not waited for long."""
    with server.connect() as holder, holder.transaction():
        holder.execute("lock table held")
        with pytest.raises(DbcustodyError) as error:
            ask(server, Relation("", "held"))
    assert error.value.reason is Reason.LOCK_NOT_OBTAINED
