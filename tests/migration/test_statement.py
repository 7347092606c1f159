"""Statements: cut where PostgreSQL's own parser cuts, and a fault for everything that is not SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbcustody.migration.fault import Place
from dbcustody.migration.statement import begins, cut, made_by

if TYPE_CHECKING:
    from collections.abc import Callable

    Split = Callable[[str], list[str] | None]

EXACT = (
    "select 1;select 2",
    ";; select 1 ;; ; select 2;",
    "create function f() returns int begin atomic select case when true then 1 end; select 2 as end; end; select 3",
    "create function f() returns int begin atomic select 1 end; end; select 3",
    "create function f() returns int begin atomic end; select 3",
    "CREATE OR REPLACE PROCEDURE p(a int) LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (a); DELETE FROM t; END; select 3",
    "create procedure p() begin atomic create function g() returns int begin atomic select 1; end; select 2; end; select 3",
    "create procedure p() begin atomic create rule r as on insert to t do also (select 1; select 2); select 2; end; select 3",
    "create function f(begin atomic) returns int language sql as 'select 1'; select 3",
    "create function f(a int default case when true then 1 end) returns int return a; select begin atomic from t",
    "create rule r as on insert to t do also (insert into a values (1); delete from b); select 3",
    "create or replace rule r as on delete to t do instead (select (1); notify x); select 3",
    "create schema s create table t (a int) create view v as select 1; select 3",
    "begin; select 1; end; commit",
    'select 1 as begin, atomic from t; select "begin" atomic from t; end',
    "do $$ begin perform 1; end $$; do $a$ select $$;$$ $a$; select ';', E'\\';', U&'\\003b', \";\" from t",
    "/* ; */ select 1 -- ;\n; -- end ;\n select /* /* ; */ ; */ 2",
    "select 'a' -- ;\n ';b'; select 2",
    "create function f() returns trigger language plpgsql as $f$ begin if new.a then return null; end if; return new; end $f$; select 3",
    "select a[1:2], a[:'1'] from t; select 1",
    "create trigger g before update on t for each row when (old.a is distinct from new.a) execute function f(); select 3",
)  # fmt: skip


@pytest.mark.parametrize("text", EXACT)
def test_statements_are_those_of_postgresql(text: str, postgres_statements: Split) -> None:
    """Each of these is in its own way hard to cut; PostgreSQL has no doubt about it."""
    found = cut(text)
    assert postgres_statements(text) is not None
    assert [statement.text for statement in found.statements] == postgres_statements(text)
    assert found.faults == ()


NAMES = st.sampled_from(["a", "begin", "atomic", '"end"', '";"', "é", "t1"])
LITERALS = st.one_of(
    st.text(st.characters(exclude_characters="\0'\\", exclude_categories=["Cs"]), max_size=6).map(
        lambda text: f"'{text}'"
    ),
    st.sampled_from(
        [
            "'it''s;'",
            "E'\\';'",
            "U&'\\0041;'",
            "$$;$$",
            "$q$ $$ ; end; $q$",
            "'a'\n';b'",
            "E'a' -- ;\n'\\';'",
            "1",
            "1.5e3",
            "null",
        ]
    ),
)
EXPRESSIONS = st.recursive(
    LITERALS,
    lambda inner: st.one_of(
        st.builds("case when {} is null then {} end".format, inner, inner),
        st.builds("({} = {})".format, inner, inner),
        st.builds("coalesce({}, {})".format, inner, inner),
        st.builds("array[{}]".format, inner),
    ),
    max_leaves=4,
)  # fmt: skip
LABELS = st.sampled_from(["", " as end", " as begin", " end", " as atomic", ' as ";"'])
QUERIES = st.builds("select {}{}".format, EXPRESSIONS, LABELS)
PLAIN = st.one_of(
    QUERIES,
    st.builds("insert into {} values ({})".format, NAMES, EXPRESSIONS),
    st.builds("delete from {} where {} is null".format, NAMES, EXPRESSIONS),
    st.builds("update {} set {} = {}".format, NAMES, NAMES, EXPRESSIONS),
)  # fmt: skip
GAPS = st.sampled_from(["", " ", "\n", "-- ;\n", "/* ; */", "/* /* end; */ ' */", "\t-- it's\r\n"])


def bodies(statement: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return routines whose bodies consist of *statement*s, and rules whose actions do."""
    several = st.lists(statement, max_size=3)
    return st.one_of(
        st.builds(
            lambda name, body: (
                f"create or replace procedure {name}() begin atomic {''.join(f'{one}; ' for one in body)} end"
            ),
            NAMES,
            several,
        ),
        st.builds(
            lambda name, body: (
                f"create function {name}(begin atomic) returns int BEGIN  ATOMIC\n{''.join(f'{one};' for one in body)} END"
            ),
            NAMES,
            several,
        ),
        st.builds(
            lambda name, body: f"create rule {name} as on insert to t do also ({'; '.join(body)})",
            NAMES,
            st.lists(PLAIN, min_size=1, max_size=3),
        ),
    )


STATEMENTS = st.recursive(PLAIN, bodies, max_leaves=6)


@settings(max_examples=150)
@given(parts=st.lists(st.tuples(GAPS, STATEMENTS, GAPS), min_size=1, max_size=5))
def test_every_script_is_cut_as_by_postgresql(parts: list[tuple[str, str, str]], postgres_statements: Split) -> None:
    """Statements within statements, cases, labels called end, literals and comments with every mark in them."""
    text = ";".join(before + statement + after for before, statement, after in parts)
    found = cut(text)
    assert found.faults == ()
    assert [statement.text for statement in found.statements] == [statement for _, statement, _ in parts]
    assert postgres_statements(text) == [statement for _, statement, _ in parts]


WORDS = (
    "select", "1", "case", "when", "then", "end", "begin", "atomic", "create", "function", "procedure", "rule", "or", "replace",
    "f", "()", "returns",
    "int", ";", "(", ")", "as", "on", "insert", "to", "t", "do", "also", "return", "'x'", "--;\n", "language", "sql", ",", "commit",
)  # fmt: skip


@settings(max_examples=500)
@given(words=st.lists(st.sampled_from(WORDS), max_size=14))
def test_whatever_postgresql_parses_is_cut_in_the_same_way(words: list[str], postgres_statements: Split) -> None:
    """Words in any order: where they happen to be SQL, the cut is the same, and no fault is found that is none."""
    text = " ".join(words)
    wanted = postgres_statements(text)
    if wanted is not None:
        found = cut(text)
        assert ([statement.text for statement in found.statements], found.faults) == (wanted, ())


def test_a_statement_knows_its_place_and_terms() -> None:
    """Line and column are of its first token, comments before it left out; terms are small but for what is quoted."""
    first, second = cut('-- head\n  /* c */ CREATE Table "T" (a INT);\n\tDrop\n  table É').statements
    assert (first.place, first.text) == (Place(2, 11), 'CREATE Table "T" (a INT)')
    assert first.terms == ("create", "table", '"T"', "(", "a", "int", ")")
    assert (second.place, second.start, second.terms) == (Place(3, 2), 45, ("drop", "table", "É"))


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("select (1;\nselect 2", ["line 1, column 8: a '(' that is not closed before the ';' of line 1; add the ')'"]),
        ("select 1);select (2", [
            "line 1, column 9: a ')' that no '(' belongs to; take it out, or add the '('",
            "line 1, column 18: a '(' that is not closed; add the ')'",
        ]),
        ("create function f() begin atomic select 1", [
            "line 1, column 21: a BEGIN ATOMIC without its END; write a ';' behind each statement of the body, and END behind the last",
        ]),
        ("create function f() begin atomic select (1; end; select 2", [
            "line 1, column 41: a '(' that is not closed before the ';' of line 1; add the ')'",
        ]),
        ("select 1;\n 'a", ["line 2, column 2: a literal begins here and does not end; close it by '; a quote within it is written twice"]),
    ],
)  # fmt: skip
def test_broken_forms(text: str, faults: list[str]) -> None:
    """Each is told with its place, and what stands behind it is looked at as well."""
    assert [str(fault) for fault in cut(text).faults] == faults


def test_a_broken_statement_does_not_hide_the_next() -> None:
    """Reading goes on behind the `;` that a parenthesis did not let through."""
    assert [statement.text for statement in cut("select (1; select 2").statements] == ["select (1", "select 2"]


@pytest.mark.parametrize(
    ("text", "what", "helps"),
    [
        ("\\i other.sql\nselect 1;", r"\i is a command of psql", "write the statements of that file here"),
        ("select 1;\n\\copy t from 'x.csv'", r"\copy is a command of psql", "write the rows as INSERT"),
        ("\\connect shop\nselect 1", r"\connect is a command of psql", "one database, the one that the resource names"),
        ("\\set ON_ERROR_STOP on\nselect 1", r"\set is a command of psql", "psql's variables are not known here"),
        ("select 1 \\gexec\n", r"\gexec is a command of psql", "DO block with EXECUTE"),
        ("\\timing", r"\timing is a command of psql", "take it out: the server is sent SQL"),
        ("select 1; \\", "\\ is a command of psql", "take it out: the server is sent SQL"),
    ],
)
def test_commands_of_psql(text: str, what: str, helps: str) -> None:
    """They are faults that say what to write in their place; the rest of the line is the command's."""
    (fault,) = cut(text).faults
    assert fault.what == what
    assert helps in fault.helps


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("select :name", 8),
        ("select a[1:2], :'name'", 16),
        ('insert into :"t" values (a[:1])', 13),
        ("select 1] : a", 11),
        ("select a[1; select :b", 20),
    ],
)
def test_variables_of_psql(text: str, column: int) -> None:
    """A colon is SQL in the slice of an array alone; psql would put a value in its place, and nobody else does."""
    (fault,) = cut(text).faults
    assert fault.place == Place(1, column)
    assert str(fault).endswith(
        "is a variable of psql; psql's variables are not known here; write the value where it is used"
    )


def test_no_file_has_more_than_a_hundred_faults() -> None:
    """A file of another kind does not fill the memory with what is wrong with it."""
    assert [len(cut(text).faults) for text in ("\\a\n" * 101, ")" * 101, "(" * 101)] == [100, 100, 1]


def test_a_quote_in_a_command_of_psql_begins_no_literal() -> None:
    """The line is not SQL, the next one is."""
    found = cut("\\echo it's done\nselect 1;")
    assert ([statement.text for statement in found.statements], len(found.faults)) == (["select 1"], 1)


def test_rows_behind_a_copy_are_not_read_as_sql() -> None:
    """A dump with rows in it gives one fault for its COPY elsewhere, and none for each row."""
    found = cut("copy t (a) from stdin;\nit's ( one\n\\.\nselect 1;")
    assert ([statement.text for statement in found.statements], found.faults) == (
        ["copy t (a) from stdin", "select 1"],
        (),
    )


def test_a_copy_without_rows_is_left_alone() -> None:
    """Without an end of the rows everything behind it is SQL."""
    found = cut("copy t from stdin; select 1")
    assert [statement.text for statement in found.statements] == ["copy t from stdin", "select 1"]


@pytest.mark.parametrize(
    ("words", "is_so"),
    [
        (("create", "table|view"), True),
        (("create", "?", "t"), True),
        (("create", "?", "t", "?"), False),
        (("drop",), False),
    ],
)
def test_beginnings(words: tuple[str, ...], *, is_so: bool) -> None:
    """A bar stands between alternatives, a question mark for anything, and for something."""
    assert begins(("create", "view", "t"), *words) is is_so


def test_what_is_made() -> None:
    """The noun behind CREATE, with or without OR REPLACE."""
    cases = [("create", "rule"), ("create", "or", "replace", "function"), ("drop", "rule"), ("create",), ()]
    assert [made_by(terms) for terms in cases] == ["rule", "function", "", "", ""]
