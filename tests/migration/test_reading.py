"""Bytes and text: what is no text is told by where it ceases to be one, and line ends make no other migration."""

from __future__ import annotations

import codecs
import hashlib

import pytest

from dbcustody.migration.fault import Fault, Lines, Place
from dbcustody.migration.reading import LARGEST_BYTES, checksum, read_text


@pytest.mark.parametrize(
    ("content", "what", "place"),
    [
        (b"select 'a\xff'", "has the byte 0xff, which is not UTF-8 there", Place(1, 10)),
        ("é\n\nselect ü".encode() + b"\xc3", "has the byte 0xc3, which is not UTF-8 there", Place(3, 9)),
        (b"\x7fELF\x02\x01\x01\x00", "holds a NUL, which no text of PostgreSQL may", Place(1, 8)),
        ("é\nselect\0".encode(), "holds a NUL, which no text of PostgreSQL may", Place(2, 7)),
        (codecs.BOM_UTF8 + b"select 1", "begins with a byte order mark of UTF-8", None),
        ("select 1".encode("utf-16"), "begins with a byte order mark of UTF-16", None),
        (codecs.BOM_UTF16_BE + "select 1".encode("utf-16-be"), "begins with a byte order mark of UTF-16", None),
        (b" " * (LARGEST_BYTES + 1), f"has {LARGEST_BYTES + 1} bytes, and {LARGEST_BYTES} is the most", None),
    ],
)
def test_what_is_no_text(content: bytes, what: str, place: Place | None) -> None:
    """The reason and the place are told."""
    found = read_text(content)
    assert isinstance(found, Fault)
    assert (found.what, found.place) == (what, place)


def test_the_largest_is_read() -> None:
    """The bound is the last that is good."""
    assert read_text(b" " * LARGEST_BYTES) == " " * LARGEST_BYTES


def test_line_ends_make_no_difference() -> None:
    """A checkout on Windows is the same migration; a lone carriage return is part of the text."""
    unix, windows = b"select 1;\n-- a\n", b"select 1;\r\n-- a\r\n"
    assert read_text(unix) == read_text(windows) == "select 1;\n-- a\n"
    assert read_text(b"select '\r'") == "select '\r'"
    assert read_text("é".encode()) == "é"


def test_the_checksum_is_that_of_the_bytes_on_unix() -> None:
    """`sha256sum` says the same of the file."""
    assert checksum("select 'é';\n") == hashlib.sha256("select 'é';\n".encode()).hexdigest()


def test_places() -> None:
    """Lines and columns from 1, the end of the text included."""
    lines = Lines("ab\n\nc")
    assert [lines.place(offset) for offset in range(6)] == [
        Place(1, 1), Place(1, 2), Place(1, 3), Place(2, 1), Place(3, 1), Place(3, 2)
    ]  # fmt: skip
    assert Lines("").place(0) == Place(1, 1)


def test_words_of_a_fault() -> None:
    """File and place where it has them, then what is wrong and what helps."""
    assert str(Fault(what="is wrong", helps="mend it")) == "is wrong; mend it"
    fault = Fault(file="a.sql", place=Place(3, 7), what="is wrong", helps="mend it")
    assert str(fault) == "a.sql: line 3, column 7: is wrong; mend it"
