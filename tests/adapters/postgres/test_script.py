"""The count of a script: right for every name and every value, wherever the pieces are cut."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.adapters.postgres.script import ScriptCount, ScriptCounter, codec_of
from dbcustody.errors import DamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FRONT = (
    b"--\n-- PostgreSQL database dump\n--\n\n\\restrict 0aB;'\"\n\n-- Dumped from database version 17.11\n\n"
    b"SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n"
    b"SELECT pg_catalog.set_config('search_path', '', false);\n\n"
)
BACK = b"--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict 0aB;'\"\n\n"
LARGE_OBJECTS = (
    b"SELECT pg_catalog.lo_create('4711');\n\nCOMMENT ON LARGE OBJECT 4711 IS 'it''s\nCOPY public.x (a) FROM stdin;\n\\\n--';\n\n"
    b"BEGIN;\n\nSELECT pg_catalog.lo_open('4711', 131072);\nSELECT pg_catalog.lowrite(0, '\\x00ff');\n"
    b"SELECT pg_catalog.lo_close(0);\n\nCOMMIT;\n\nBEGIN;\n\nSELECT pg_catalog.lo_open('4712', 131072);\n"
    b"SELECT pg_catalog.lo_close(0);\n\nCOMMIT;\n\nSELECT pg_catalog.setval('public.\"s''-q\"', -5, false);\n\n"
)


def quoted(name: str) -> str:
    """Return *name* as pg_dump writes one that needs quotes."""
    return '"' + name.replace('"', '""') + '"'


def block(name: str, rows: Sequence[bytes], *, columns: str = "(a, b)", comment: str = "") -> bytes:
    """Return the table *name* (as SQL has it) and its rows as pg_restore writes them."""
    header = f"--\n-- Data for Name: x; Type: TABLE DATA; Schema: y; Owner: -\n--\n\n{comment}"
    statement = f"COPY {name} {columns} FROM stdin;\n"
    return (header + statement).encode() + b"".join(row + b"\n" for row in rows) + b"\\.\n\n\n"


def count(script: bytes, cuts: Sequence[int] = ()) -> ScriptCount:
    """Return the count of *script*, given in pieces cut at *cuts*."""
    counter = ScriptCounter("an archive")
    borders = [0, *sorted(cut % (len(script) + 1) for cut in cuts), len(script)]
    for start, end in pairwise(borders):
        counter.feed(script[start:end])
    return counter.finish()


TRICKY = {
    "plain": (b"1\tx", b"2\ty"),
    "empty": (),
    "no-columns": (b"", b"", b""),
    "nulls": (b"\\N", b"\\N\t\\N"),
    "end-in-value": (b"\\\\.", b"\\\\.\t\\\\.", b"\\n\\\\.\\n"),
    "statement-in-value": (b"COPY public.x (a) FROM stdin;", b"COPY x FROM stdin;", b"--", b"/*", b"'", b'"', b"$$"),
    "carriage-returns": (b"a\\r", b"\\r\\n", b"a\r"),
    "long-line": (b"x" * 300_000, b"y"),
    "dots": (b".", b"..", b"\\\\", b"\\\\\\\\."),
}


@pytest.mark.parametrize("rows", TRICKY.values(), ids=TRICKY)
@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 5, 4096, 1 << 20])
def test_rows_are_counted(rows: Sequence[bytes], piece_bytes: int) -> None:
    """Each line of a block is one row, whatever stands in it and however the script comes."""
    script = FRONT + block("public.t", rows) + block("public.u", [b"1"]) + BACK
    size = max(piece_bytes, len(script) // 50_000)
    assert count(script, range(0, len(script), size)).tables == {("public", "t"): [len(rows)], ("public", "u"): [1]}


NAMES = {
    "plain": ("public.t", ("public", "t")),
    "quoted": ('"Audit Log"."events 2025"', ("Audit Log", "events 2025")),
    "half-quoted": ('public."T"', ("public", "T")),
    "dots": ('"a.b"."c.d"', ("a.b", "c.d")),
    "quotes": ('"a""b".""""', ('a"b', '"')),
    "semicolon": ('"a;b"."(c;d)"', ("a;b", "(c;d)")),
    "line-ends": ('"a\nb"."COPY x FROM stdin;\n"', ("a\nb", "COPY x FROM stdin;\n")),
    "comment": ('"--"."/*"', ("--", "/*")),
    "apostrophe": ('"it\'s"."\'"', ("it's", "'")),
    "backslash": ('"a\\b"."\\."', ("a\\b", "\\.")),
    "letters": ('"Übung"."表"', ("Übung", "表")),
    "dollar": ('public."a$b"', ("public", "a$b")),
    "longest": (f'"{"x;" * 31}"."{chr(34) * 126}"', ("x;" * 31, '"' * 63)),
}


@pytest.mark.parametrize(("written", "name"), NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("columns", ["(a, b)", "", '("a;b", "c\nd", "e""f", "(")'], ids=["plain", "none", "odd"])
def test_names_are_understood(written: str, name: tuple[str, str], columns: str) -> None:
    """A table is known by the name that the database has for it, and the names of its columns lead nobody astray."""
    assert count(FRONT + block(written, [b"1", b"2"], columns=columns) + BACK).tables == {name: [2]}


def test_thousands_of_columns() -> None:
    """A statement that is longer than what is kept of it is understood all the same."""
    columns = "(" + ", ".join(quoted(f"column {n};") for n in range(1600)) + ")"
    assert count(FRONT + block("public.wide", [b"1"], columns=columns) + BACK).tables == {("public", "wide"): [1]}


def test_partition_that_is_filled_by_its_root() -> None:
    """Rows of a partition that go in by the root of its table are the partition's (pg_dump does so for hash partitions of enums)."""
    comment = "-- load via partition root public.parent\n\n"
    script = FRONT + block("public.parent", [b"1"], comment=comment) + block("public.z", [b"1", b"2"]) + BACK
    assert count(script).tables == {("y", "x"): [1], ("public", "z"): [2]}


def test_table_that_stands_twice() -> None:
    """Two blocks of one table stay two, so that nobody takes them for one good one."""
    assert count(block("public.t", [b"1"]) + block("public.t", [b"1", b"2"])).tables == {("public", "t"): [1, 2]}


@given(cuts=st.lists(st.integers(0, 3000), max_size=40))
def test_large_objects_are_counted_however_the_script_is_cut(cuts: list[int]) -> None:
    """Each large object is counted once, and what looks like a table in its comment is none."""
    found = count(FRONT + LARGE_OBJECTS + block("public.t", [b"1"]) + LARGE_OBJECTS + BACK, cuts)
    assert (found.large_objects, found.tables) == (4, {("public", "t"): [1]})


VALUES = st.text(st.sampled_from("ab\\.\t-'\";$COPY \r"), max_size=12)
TABLES = st.lists(
    st.tuples(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20), st.lists(VALUES)),
    max_size=5,
    unique_by=lambda table: table[0],
)  # fmt: skip


@given(tables=TABLES, cuts=st.lists(st.integers(0, 10_000), max_size=30))
def test_any_rows_in_any_pieces(tables: list[tuple[str, list[str]]], cuts: list[int]) -> None:
    """Any table names, any values escaped as COPY does it, cut anywhere, give the same true counts."""
    script = FRONT + b"".join(_blocks(tables)) + BACK
    assert count(script, cuts).tables == {("s", name): [len(rows)] for name, rows in tables}


def _blocks(tables: list[tuple[str, list[str]]]) -> Iterator[bytes]:
    for name, rows in tables:
        escaped = [row.replace("\\", "\\\\").replace("\r", "\\r").encode() for row in rows]
        yield block(f"s.{quoted(name)}", escaped, columns=f"({quoted(name)})")


def test_backslashes_of_an_old_setting() -> None:
    """With standard_conforming_strings off, a backslash before an apostrophe keeps the string open, and a doubled one does not."""
    front = FRONT.replace(b"standard_conforming_strings = on", b"standard_conforming_strings = off")
    comment = b"COMMENT ON LARGE OBJECT 1 IS 'a\\';\nCOPY public.x (a) FROM stdin;\n\\\\';\n"
    for cut in range(len(front), len(front + comment)):
        assert count(front + comment + block("public.t", [b"1"]), [cut]).tables == {("public", "t"): [1]}


def test_other_encodings() -> None:
    """Names are read in the script's own encoding."""
    script = FRONT.replace(b"UTF8", b"LATIN1") + block("public.t", [b"1"]).replace(b"public.t", b'public."\xdcbung"')
    assert count(script).tables == {("public", "Übung"): [1]}


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [("UTF8", "utf-8"), ("LATIN9", "iso8859-15"), ("WIN1252", "cp1252"), ("KOI8R", "koi8-r"), ("MULE_INTERNAL", "utf-8")],
)  # fmt: skip
def test_encodings_have_python_names(encoding: str, codec: str) -> None:
    """PostgreSQL's names of encodings are understood; for one that Python has not, UTF-8 is the best guess."""
    assert codec_of(encoding) == codec


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(b"COPY public.t (a) FROM stdin;\n1\n", id="in-a-block"),
        pytest.param(b"COPY public.t (a) FROM stdin;\n1\n\\.", id="in-its-last-line"),
        pytest.param(b"SELECT 1", id="in-a-statement"),
        pytest.param(b"SELECT 'a", id="in-a-string"),
        pytest.param(b"SELECT 1 -", id="in-a-sign"),
        pytest.param(b"-- Data", id="in-a-comment"),
        pytest.param(b"COPY nowhere FROM stdin;\n1\n\\.\n", id="no-schema"),
    ],
)
def test_what_pg_restore_does_not_write(script: bytes) -> None:
    """A script that is cut, or names a table in no way that is known, is no good count."""
    with pytest.raises(DamagedError, match="an archive: "):
        count(script)


def test_counts_add_up() -> None:
    """The counts of several archives are one; a table that stands in two of them has two blocks."""
    whole = count(block("public.t", [b"1"]) + LARGE_OBJECTS)
    whole.add(count(block("public.t", [b"1", b"2"]) + block("public.u", []) + LARGE_OBJECTS))
    assert whole == ScriptCount({("public", "t"): [1, 2], ("public", "u"): [0]}, 4)
    assert whole.rows == 3
