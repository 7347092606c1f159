"""Patterns of tables: what we take them for is what pg_dump takes them for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.adapters.postgres.pattern import as_dump_pattern, choose_tables
from dbcustody.adapters.postgres.snapshot import DumpTable
from dbcustody.errors import RefusedError
from dbcustody.reason import Reason

NAMES = [
    "public.a",
    "public.A",
    "web.a",
    "web.log_1",
    "web.log_x",
    "public.a.b",
    'public.q"q',
    "public.a+b",
    "public.[x]",
    "public.a\nb",
]
TABLES = [
    DumpTable(oid=oid, schema=name.partition(".")[0], name=name.partition(".")[2], has_rows=True)
    for oid, name in enumerate(NAMES)
]


def chosen(*, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> list[str]:
    """Return the names of the tables that are chosen."""
    return [f"{one.schema}.{one.name}" for one in choose_tables(TABLES, include=include, exclude=exclude)]


@pytest.mark.parametrize(
    ("pattern", "fits", "for_pg_dump"),
    [
        pytest.param("a", ["public.a", "web.a"], '*."a"', id="in-every-schema"),
        pytest.param("A", ["public.a", "web.a"], '*."a"', id="folded"),
        pytest.param('"A"', ["public.A"], '*."A"', id="quoted"),
        pytest.param("web.*", ["web.a", "web.log_1", "web.log_x"], '"web".*', id="all-of-a-schema"),
        pytest.param("w?b.log_?", ["web.log_1", "web.log_x"], '"w"?"b"."log_"?', id="wildcards"),
        pytest.param("log_[0-9]", [], '*."log_[0-9]"', id="no-regular-expression"),
        pytest.param("[x]", ["public.[x]"], '*."[x]"', id="brackets"),
        pytest.param("a+b", ["public.a+b"], '*."a+b"', id="plus"),
        pytest.param('public."a.b"', ["public.a.b"], '"public"."a.b"', id="quoted-dot"),
        pytest.param('"q""q"', ['public.q"q'], '*."q""q"', id="quoted-quote"),
        pytest.param('"*"', [], '*."*"', id="quoted-star"),
        pytest.param("a?b", ["public.a.b", "public.a+b", "public.a\nb"], '*."a"?"b"', id="any-letter"),
        pytest.param('Log_"x"', ["web.log_x"], '*."log_x"', id="half-quoted"),
    ],
)
def test_pattern(pattern: str, fits: list[str], for_pg_dump: str) -> None:
    """A pattern fits what psql's documentation says, but for regular expressions, and is given to pg_dump so that it does the same."""
    assert as_dump_pattern(pattern) == for_pg_dump
    assert chosen(exclude=(pattern,)) == [name for name in NAMES if name not in fits]
    if fits:
        assert chosen(include=(pattern,)) == fits


def test_exclusion_wins() -> None:
    """What is both asked for and left out is left out; without patterns everything is chosen."""
    assert chosen(include=("web.*",), exclude=("log_?",)) == ["web.a"]
    assert chosen() == NAMES


@pytest.mark.parametrize("pattern", ["", ".", "a.", ".a", "a.b.c", '"a', '""', "a..b"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    """A name that is empty, has three parts or an open quote is told."""
    with pytest.raises(RefusedError) as caught:
        as_dump_pattern(pattern)
    assert caught.value.reason is Reason.INVALID_SPEC


def test_wish_that_fits_nothing_is_refused() -> None:
    """A backup of nothing must not look like one."""
    with pytest.raises(RefusedError) as caught:
        chosen(include=("web.*", "nothing"))
    assert (caught.value.reason, "'nothing'" in caught.value.message) == (Reason.INVALID_SPEC, True)


@given(schema=st.text(min_size=1, max_size=10), name=st.text(min_size=1, max_size=10))
def test_quoted_name_fits_itself_alone(schema: str, name: str) -> None:
    """The pattern that a table gives of itself fits it, whatever letters it has, and says the same to pg_dump."""
    table = DumpTable(oid=1, schema=schema, name=name, has_rows=True)
    other = DumpTable(oid=2, schema=schema, name=name + "x", has_rows=True)
    assert choose_tables([table, other], include=(table.pattern,), exclude=()) == (table,)
    assert as_dump_pattern(table.pattern) == table.pattern
