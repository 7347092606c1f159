"""What each rule finds and what it lets pass, weighed by what is known of the tables."""

from __future__ import annotations

import pytest

from dbcustody.migration.finding import Finding, Severity
from dbcustody.migration.lint import RULES, judge, relations_of
from dbcustody.migration.relation import Relation
from dbcustody.migration.script import Script, SourceFile, read_scripts
from dbcustody.migration.tablefacts import Facts, TableFacts

T = Relation("", "t")


def scripts(*texts: str) -> tuple[Script, ...]:
    """Return migrations of *texts*, one a second."""
    source = read_scripts(
        SourceFile(name=f"20260101_{at:06}_x.sql", content=one.encode()) for at, one in enumerate(texts)
    )
    assert source.faults == ()
    return source.scripts


def findings(*texts: str, facts: Facts | None = None) -> list[Finding]:
    """Return what is found in the last of *texts*."""
    return list(judge(scripts(*texts), facts or {})[-1].findings)


def told(*texts: str, facts: Facts | None = None) -> list[tuple[str, str]]:
    """Return rules and severities of what is found in the last of *texts*."""
    return [(one.rule, one.severity.label) for one in findings(*texts, facts=facts)]


BLOCKING = [
    ("alter table t add constraint k foreign key (a) references b", "add-foreign-key"),
    ("alter table t add foreign key (a)", "add-foreign-key"),
    ("alter table t add check (a > 0)", "add-check"),
    ("alter table t add constraint k not null a", "add-check"),
    ("alter table t add unique (a)", "add-unique"),
    ("alter table t add unique nulls not distinct (a)", "add-unique"),
    ("alter table t add unique (a) include (b)", "add-unique"),
    ("alter table t add primary key (a)", "add-unique"),
    ("alter table t add exclude using gist (a with =)", "add-unique"),
    ("alter table t alter a set not null", "set-not-null"),
    ("alter table t alter a type bigint", "change-type"),
    ("alter table t alter column a set data type bigint using a::bigint", "change-type"),
    ("alter table t add column c uuid default gen_random_uuid()", "add-column-default"),
    ("alter table t add column c bigserial unique", "add-column-default"),
    ("alter table t add column c int generated always as identity", "add-column-default"),
    ("alter table t add column c uuid default gen_random_uuid() unique", "add-column-default"),
    ("alter table t add column c int check (c > 0)", "add-column-checked"),
    ("alter table t add column c int default 7 references b", "add-column-checked"),
    ("alter table t add column c int constraint k check (c > 0)", "add-column-checked"),
    ("alter table t add column c int check (c > 0) references b", "add-column-checked"),
    ("alter table t add column c int unique", "add-column-checked"),
    ("create index i on t (a)", "create-index"),
    ("create unique index if not exists i on t (a)", "create-index"),
    ("reindex table t", "reindex"),
    ("update t set a = 1", "update-all"),
    ("update t set a = a + 1", "update-all"),
    ("update t set (a, b) = (1, 2)", "update-all"),
    ("update t set a = 1 from u", "update-all"),
    ("update t as x set a = 1", "update-all"),
    ("vacuum full t", "vacuum-full"),
    ("cluster t using i", "cluster"),
    ("alter table t set unlogged", "slow-while-locked"),
    ("alter table t set tablespace fast", "slow-while-locked"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "rule"), BLOCKING)
def test_what_goes_through_all_rows_weighs_as_much_as_the_table(text: str, rule: str) -> None:
    """Of a table that nobody has looked at the worst is believed; of one that is not there yet, and of a small one, nothing."""
    weights = {None: "Note", 8192: "Note", 20 * 2**20: "Warning", 2**30: "Error"}
    others = {Relation("", name): TableFacts(size_bytes=0) for name in "bu"}
    assert told(text) == [(rule, "Error")]
    for size_bytes, severity in weights.items():
        facts = {T: None if size_bytes is None else TableFacts(size_bytes=size_bytes)}
        assert told(text, facts=facts | others) == [(rule, severity)]


LOSING = [
    ("alter table t drop column c", ["drop-column"]),
    ("alter table t drop column c cascade", ["drop-column", "drop-cascade"]),
    ("drop table t", ["drop-table"]),
    ("drop table s.t, t", ["drop-table"]),
    ("drop sequence t cascade", ["drop-table", "drop-cascade"]),
    ("drop view v cascade", ["drop-cascade"]),
    ("drop owned by somebody", ["drop-owned", "unknown-effect"]),
    ("truncate t", ["truncate"]),
    ("truncate table t cascade", ["truncate", "drop-cascade"]),
    ("delete from t", ["delete-all"]),
    ("delete from t using (select 1 where true) u", ["delete-all"]),
    ("alter table t rename column a to b", ["rename-column"]),
    ("alter table t rename a to b", ["rename-column"]),
    ("alter table t rename to u", ["rename-table"]),
    ("alter table t set schema s", ["rename-table"]),
    ("alter view v rename to w", ["rename-table"]),
    ("alter materialized view v set schema s", ["rename-table"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "rules"), LOSING)
def test_what_is_lost_is_lost_whatever_its_size(text: str, rules: list[str]) -> None:
    """A small table has as much to lose as a large one; only what is not there yet has nothing."""
    found = findings(text)
    assert sorted(one.rule for one in found) == sorted(rules)
    assert {one.severity for one in found if one.rule != "unknown-effect"} == {Severity.ERROR}
    relations = relations_of(scripts(text))
    if relations:
        assert {one.severity for one in findings(text, facts=dict.fromkeys(relations))} == {Severity.NOTE}


HABITS = [
    ("create index concurrently if not exists i on t (a)", "index-if-not-exists", "Warning"),
    ("drop index i", "drop-index", "Warning"),
    ("drop index i, j", "drop-index", "Warning"),
    ("refresh materialized view m", "refresh-view", "Warning"),
    ("refresh materialized view m with no data", "refresh-view", "Warning"),
    ("lock table t in share mode", "lock-table", "Warning"),
    ("create trigger g after insert on t for each row execute function f()", "create-trigger", "Warning"),
    ("create or replace constraint trigger g after insert on t for each row execute function f()", "create-trigger", "Warning"),
    ("alter table p detach partition q", "detach-partition", "Warning"),
    ("alter table p attach partition q for values in (1)", "attach-partition", "Warning"),
    ("alter table p attach partition", "attach-partition", "Warning"),
    ("grant select on t to a, public", "grant-public", None),
    ("grant select on t to public", "grant-public", "Warning"),
    ("create extension hstore", "create-extension", "Warning"),
    ("create extension if not exists hstore", "create-extension", "Note"),
    ("do $$begin end$$", "unknown-effect", "Note"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "rule", "severity"), HABITS)
def test_what_deserves_a_second_look(text: str, rule: str, severity: str | None) -> None:
    """These are not refused unless somebody asks for it."""
    head = "-- dbcustody: transaction on\n" if text.startswith("do") else ""
    assert told(head + text) == ([] if severity is None else [(rule, severity)])


@pytest.mark.parametrize(
    "text",
    [
        "create table n (a int primary key, b int unique check (b > 0))", "alter table t add column c int",
        "alter table t add column c int not null default 7", "alter table t add constraint k check (a > 0) not valid",
        "alter table t add constraint k unique using index i", "alter table t validate constraint k", "alter table t drop constraint k",
        "alter table t rename constraint k to l", "alter table t add constraint k", "create index concurrently i on t (a)",
        "drop index concurrently i", "reindex table concurrently t", "alter table p detach partition q concurrently",
        "refresh materialized view concurrently m", "update t set a = 1 where b", "delete from t where a in (select 1)", "vacuum t",
        "insert into t values (1)", "lock table t in row exclusive mode", "create event trigger e on sql_drop execute function f()",
        "alter view v set (security_barrier)", "alter table t alter a drop default", "grant a to b", "select 1",
        "create table n (a int); create index on n (a); alter table n alter a set not null; drop index i2; drop table n",
        "create view v as select 1; drop view v", "reindex schema s",
    ],
)  # fmt: skip
def test_what_is_let_pass(text: str) -> None:
    """Gentle forms, and what a file does to its own tables."""
    assert told(text.replace("drop index i2; ", "")) == []


@pytest.mark.parametrize(
    "text", ["alter table t add unique nulls not distinct (a)", "alter table t add unique (a) include (b)"]
)
def test_no_recipe_is_better_than_a_wrong_one(text: str) -> None:
    """A constraint with more to it than columns is told in words only."""
    assert findings(text)[0].recipe is None


def test_a_column_that_needs_a_value() -> None:
    """It is refused by any row, so the size does not matter; an empty table takes it."""
    text = "alter table t add column c int not null"
    assert told(text) == told(text, facts={T: TableFacts(size_bytes=8192)}) == [("add-column-required", "Error")]
    assert (
        told(text, facts={T: TableFacts(size_bytes=0)})
        == told(text, facts={T: None})
        == [("add-column-required", "Note")]
    )


def test_a_type_that_holds_the_old_one() -> None:
    """It is only a note when the server says what the column is."""
    large = TableFacts(size_bytes=2**30, columns={"v": "character varying(10)"})
    assert told("alter table t alter v type text", facts={T: large}) == [("change-type", "Note")]
    assert told("alter table t alter v type int using 1", facts={T: large}) == [("change-type", "Error")]
    assert told("alter table t alter v type text using 'x'", facts={T: large}) == [("change-type", "Error")]


def test_a_column_that_is_proven_to_hold_no_null() -> None:
    """By an earlier file, or by what the server says of it."""
    text = "alter table t alter a set not null"
    add, validate = (
        "alter table t add constraint k check (a is not null) not valid",
        "alter table t validate constraint k",
    )
    assert told(add, validate, text) == [("set-not-null", "Note")]
    assert told(add, text) == [("set-not-null", "Error")]
    assert told("alter table t add constraint k check ((a is not null))", text) == [("set-not-null", "Error")]
    assert told("alter table t add constraint k check (a is not null)", text) == [("set-not-null", "Note")]
    assert told(add, validate, "alter table t drop constraint k", text) == [("set-not-null", "Error")]
    assert told(add, "alter table t validate constraint other", text) == [("set-not-null", "Error")]
    assert told(text, facts={T: TableFacts(size_bytes=2**30, proven=frozenset({"a"}))}) == [("set-not-null", "Note")]


def test_a_value_of_an_enum_that_may_come_too_early() -> None:
    """It is told with its own line and statement."""
    (found,) = findings("alter type mood add value 'calm';\nselect 'calm'")
    assert (found.rule, found.severity, found.line, found.statement) == ("enum-value", Severity.WARNING, 2, 2)


def test_every_rule_that_finds_something_is_listed() -> None:
    """A waiver can name it."""
    texts = [text for text, *_ in (*BLOCKING, *LOSING, *HABITS) if not text.startswith("do")]
    found = {one.rule for text in texts for one in findings(text)}
    assert found - RULES.keys() == set()


def test_a_recipe_says_the_names_of_its_author() -> None:
    """With the quotes and the schema that they were written with; each part is a file that could be applied."""
    (found,) = findings('alter table "S p".t add column c bigserial')
    assert found.recipe is not None
    assert found.recipe.migrations[0] == (
        'create sequence "S p".t_c_seq as bigint;\nalter table "S p".t add column c bigint;\n'
        """alter table "S p".t alter column c set default nextval('"S p".t_c_seq');\n"""
        'alter sequence "S p".t_c_seq owned by "S p".t.c;\n'
    )


@pytest.mark.parametrize("text", [text for text, *_ in (*BLOCKING, *LOSING) if not text.startswith("do")])
def test_a_recipe_has_no_faults(text: str) -> None:
    """Neither of form, nor of what a migration may say."""
    recipes = [one.recipe for one in findings(text) if one.recipe is not None]
    assert [len(scripts(*recipe.migrations)) for recipe in recipes] == [len(recipe.migrations) for recipe in recipes]


def test_a_column_that_is_renamed_needs_its_type() -> None:
    """Which the server knows; without it there are only words."""
    text, known = 'alter table t rename column a to "B"', TableFacts(size_bytes=1, columns={"a": "numeric(10,2)"})
    assert findings(text)[0].recipe is findings(text, facts={T: TableFacts(size_bytes=1)})[0].recipe is None
    (found,) = findings(text, facts={T: known})
    assert found.recipe is not None
    assert found.recipe.migrations[0].startswith('alter table t add column "B" numeric(10,2);\n')


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("alter table t add check (a > 0)", "alter table t add constraint t_check check (a > 0) not valid;\n"),
        ("alter table t add constraint k check (a > 0)", "alter table t add constraint k check (a > 0) not valid;\n"),
        ("alter table t add not null a", "alter table t add constraint t_a_not_null not null a not valid;\n"),
        ("alter table t add constraint k not null a", "alter table t add constraint k not null a not valid;\n"),
        ("alter table t add unique (a, b)", "create unique index concurrently t_a_b_key on t (a, b);\n"),
        ("alter table t add primary key (a)", "create unique index concurrently t_pkey on t (a);\n"),
        ("refresh materialized view m", "refresh materialized view concurrently m;\n"),
        ("vacuum (full) s.t", "vacuum s.t;\n"),
        ("drop index i", "drop index concurrently i;\n"),
        ("reindex (verbose) table t", "reindex (verbose) table concurrently t;\n"),
        ("create extension hstore", "create extension if not exists hstore;\n"),
    ],
)  # fmt: skip
def test_what_a_recipe_begins_with(text: str, first: str) -> None:
    """A name that was given stays; one that was not is what PostgreSQL would give."""
    (found,) = findings(text)
    assert found.recipe is not None
    assert found.recipe.migrations[0] == first


@pytest.mark.parametrize(
    "text",
    [
        "refresh materialized view m with no data",
        "drop index i, j",
        "drop index i cascade",
        "vacuum full t, u",
        "update t set a = a + 1",
        "update t set (a, b) = (1, 2)",
        "update t set a = default",
        "update t as x set a = 1",
        "update t set a = 1 from u",
        "drop table t, u",
    ],
)
def test_words_alone_where_there_is_no_other_way(text: str) -> None:
    """Nothing is printed that would do less, or more."""
    assert [one.recipe for one in findings(text) if one.rule != "drop-cascade"] == [None]


def test_a_trigger_is_called_after_what_it_follows() -> None:
    """The old column, whichever of the two ways it goes."""
    known = TableFacts(size_bytes=2**30, columns={"a": "integer"})
    for text in ("alter table t rename a to b", "alter table t alter a type bigint"):
        (found,) = findings(text, facts={T: known})
        assert found.recipe is not None
        assert "create trigger t_a_follows before insert or update on t " in found.recipe.migrations[0]
        assert "drop function t_a_follows();\n" in found.recipe.migrations[-1]


def test_the_partition_is_named() -> None:
    """It is what nobody can use."""
    assert findings("alter table p attach partition s.q default")[0].what.startswith("all rows of s.q are read")


def test_both_tables_of_a_foreign_key_are_named_and_weighed() -> None:
    """Nobody can write to either."""
    facts = {T: TableFacts(size_bytes=0), Relation("", "b"): TableFacts(size_bytes=2**30)}
    (found,) = findings("alter table t add foreign key (a) references b", facts=facts)
    assert (found.severity, "nobody can write to t and b while" in found.what) == (Severity.ERROR, True)


def test_a_value_that_is_computed_fills_the_new_column() -> None:
    """By the expression that stands behind USING."""
    (found,) = findings("alter table t alter a type int using length(a)")
    assert found.recipe is not None
    assert "new.a_new := length(new.a);" in found.recipe.migrations[0]
    assert "set a_new = (length(a))::int" in found.recipe.migrations[1]


def test_a_part_of_what_cascades_is_waived_for_the_second_file() -> None:
    """Whoever follows the recipe of a DROP ... CASCADE is refused by nothing."""
    found = next(one for one in findings("drop table s.t cascade") if one.rule == "drop-table")
    assert found.recipe is not None
    assert found.recipe.migrations[1].endswith("drop table s.t_dropped cascade;\n")
    assert "allow drop-cascade because" in found.recipe.migrations[1]
