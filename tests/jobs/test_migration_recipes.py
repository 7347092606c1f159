"""Every recipe is carried out by the runner on the oldest and the newest PostgreSQL, and comes to the same as what it replaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from dbcustody.migration.finding import Finding, Severity
from dbcustody.migration.lint import judge
from dbcustody.migration.relation import Relation
from dbcustody.migration.script import SourceFile, read_scripts
from dbcustody.migration.tablefacts import LARGE_BYTES, TableFacts
from ground.postgres import PostgresServer
from tests.fakes.catalogue import look_of
from tests.fakes.migrator import Migrator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.migration.lint import Judged

pytestmark = pytest.mark.postgres
SCENE = (
    "create schema sales",
    "create schema parked",
    "create table parent (id int primary key)",
    "insert into parent select generate_series(1, 500)",
    "create table t (id int not null, \"A b\" int, n int, v varchar(10) not null default 'x', parent int)",
    "insert into t select i, i, i, i::text, i from generate_series(1, 500) i",
    "create table sales.t (id int, n text)",
    "insert into sales.t select i, i::text from generate_series(1, 500) i",
    "create index t_v on t (v)",
    "create table nothing (id int)",
    "create materialized view m as select id from t",
    "create unique index m_id on m (id)",
    "create table p (id int) partition by list (id)",
    "create table p1 partition of p for values in (1)",
)


@dataclass(frozen=True)
class Way:
    """A dangerous statement, the rule that says so, and a query whose rows must be the same either way."""

    rule: str
    statement: str
    rows: str = "select 1"
    after: str = "select 1"
    """What takes away what the recipe leaves behind, as it says itself."""


N = "select {} from t order by id"
WAYS = (
    Way("add-foreign-key", "alter table t add foreign key (parent) references parent on delete cascade"),
    Way("add-foreign-key", "alter table t add constraint k foreign key (parent) references parent (id) deferrable"),
    Way("add-check", "alter table t add constraint k check (n > 0 and v <> 'X'::text and n - -1 > 0)"),
    Way("add-unique", 'alter table t add unique (id, "A b")'),
    Way("add-unique", "alter table sales.t add constraint u unique (n) deferrable initially deferred"),
    Way("add-unique", "alter table t add primary key (id)"),
    Way("set-not-null", 'alter table t alter column "A b" set not null'),
    Way("set-not-null", "alter table sales.t alter n set not null"),
    Way("change-type", "alter table t alter n type bigint", N.format("n")),
    Way("change-type", "alter table sales.t alter column n set data type int using length(n)", "select n from sales.t order by id"),
    Way("add-column-default", "alter table t add column c uuid not null default gen_random_uuid()", N.format("c is null")),
    Way("add-column-default", "alter table t add c timestamptz default clock_timestamp()", N.format("c is null")),
    Way("add-column-default", "alter table sales.t add column c bigserial", "select c from sales.t order by c"),
    Way("add-column-default", 'alter table t add column "C" smallserial', 'select "C" from t order by "C"'),
    Way("add-column-required", "alter table nothing add column c varchar(9) not null"),
    Way("create-index", "create unique index if not exists i on t using btree (lower(v) text_pattern_ops, n desc) where n > 1"),
    Way("index-if-not-exists", "create index concurrently if not exists i on sales.t (n)"),
    Way("drop-index", "drop index if exists t_v"),
    Way("reindex", "reindex table t"),
    Way("reindex", "reindex (verbose) index t_v"),
    Way("drop-column", "alter table t drop column v"),
    Way("drop-table", "drop table sales.t"),
    Way("update-all", 'update t set n = 7, "A b" = length(v)', N.format('n, "A b"')),
    Way("rename-column", 'alter table t rename column "A b" to "B"', N.format('"B"')),
    Way("rename-column", "alter table sales.t rename n to m", "select m from sales.t order by id"),
    Way("add-column-checked", "alter table t add column c int default 7 check (c > 0)", N.format("c")),
    Way("add-column-checked", "alter table t add column c int references parent on delete set null", N.format("c")),
    Way("rename-table", "alter table sales.t rename to u", "select n from sales.u order by id"),
    Way("rename-table", "alter table sales.t set schema parked", "select n from parked.t order by id"),
    Way("refresh-view", "refresh materialized view m", "select id from m order by id"),
    Way("vacuum-full", "vacuum (full, analyze) sales.t"),
    Way("detach-partition", "alter table p detach partition p1", after="alter table p1 drop constraint p1_id_check"),
    Way("create-extension", "create extension hstore"),
    Way("many-strong-locks", "alter table t add column c int; alter table parent add column c int"),
    Way("lock-upgrade", "insert into parent values (0); alter table parent add column c int", "select count(*) from parent"),
    Way("work-while-locked", "alter table t add column c int; update t set n = 0 where n < 5", N.format("n")),
)  # fmt: skip


@pytest.fixture(scope="module", params=[14, 18])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Return a server with two databases."""
    with PostgresServer(request.param) as started:
        yield started


@pytest.fixture
def databases(server: PostgresServer) -> Iterator[PostgresServer]:
    """Return a server with `plain`, which is changed the dangerous way, and `shop`, which follows the recipe."""
    server.execute("create database plain", "create database shop")
    for database in ("plain", "shop"):
        server.execute(*SCENE, database=database)
    yield server
    server.execute("drop database plain with (force)", "drop database shop with (force)")


FACTS = {
    Relation("", "t"): TableFacts(size_bytes=LARGE_BYTES, columns={"A b": "integer"}),
    Relation("sales", "t"): TableFacts(size_bytes=LARGE_BYTES, columns={"n": "text"}),
}


def judged(files: dict[str, str]) -> tuple[Judged, ...]:
    """Return *files*, judged as if the tables were large."""
    source = read_scripts(SourceFile(name=name, content=text.encode()) for name, text in files.items())
    assert source.faults == ()
    return judge(source.scripts, FACTS)


def found_in(way: Way) -> Finding:
    """Return what the rule of *way* finds."""
    (one,) = judged({"20260101_000000_x.sql": way.statement})
    return next(finding for finding in one.findings if finding.rule == way.rule)


def written(way: Way) -> dict[str, str]:
    """Return the files that the recipe for *way* consists of."""
    recipe = found_in(way).recipe
    assert recipe is not None
    return {f"20260101_{number:06}_x.sql": text for number, text in enumerate(recipe.migrations)}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.statement[:40])
def test_a_recipe_comes_to_the_same(databases: PostgresServer, way: Way) -> None:
    """Columns, constraints, indexes, triggers and functions are the same, and so are the rows."""
    for statement in way.statement.split("; "):
        databases.execute(statement, database="plain")
    history = Migrator.of(databases, written(way)).migrate()
    databases.execute(way.after, database="shop")

    assert history.pending == ()
    assert look_of(databases, "shop") == look_of(databases, "plain")
    assert databases.execute(way.rows, database="shop") == databases.execute(way.rows, database="plain")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.statement[:40])
def test_a_recipe_is_refused_by_no_rule(way: Way) -> None:
    """Whoever follows one is not told to follow another; the waivers that are in it are used."""
    findings = [finding for one in judged(written(way)) for finding in one.findings if finding.waived is None]
    assert [str(one) for one in findings if one.severity is Severity.ERROR and way.rule not in BY_PARTS] == []
    assert [str(one) for one in findings if one.rule.startswith("waiver-")] == []


BY_PARTS = frozenset({"work-while-locked"})
"""Rules whose recipe only takes a file apart."""
