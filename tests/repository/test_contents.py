"""An archive's table of contents: read to the last byte, written again as it was, or refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbcustody.errors import DamagedError, RefusedError
from dbcustody.reason import Reason
from dbcustody.repository.contents import Contents, Entry, read_contents, rewritten
from tests.fakes.heads import bare, head, integer

TABLE = Entry(
    id=7,
    kind="TABLE",
    schema="sales",
    name="Order\nlines",
    owner='o"wner',
    definition="CREATE TABLE x ();\n",
    needs=frozenset({3, 5}),
)
ROWS = Entry(
    id=8,
    kind="TABLE DATA",
    schema="sales",
    name="Order\nlines",
    owner='o"wner',
    copy="COPY x FROM stdin;\n",
    needs=frozenset({7}),
)
EXTENSION = Entry(id=3, kind="EXTENSION", schema="", name="citext", owner=None, definition="CREATE EXTENSION citext;\n")


@pytest.mark.parametrize("version", [(1, 14), (1, 15), (1, 16)])
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_what_is_read_is_what_was_written(version: tuple[int, int], size: int) -> None:
    """Whatever pieces it comes in; what follows is passed on as it is, and only as much is taken as is needed."""
    data = head(EXTENSION, TABLE, ROWS, version=version) + b"rows and more"
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    source = iter(pieces)
    contents = read_contents(source, "it")

    assert [bare(one) for one in contents.entries[1:]] == [EXTENSION, TABLE, ROWS]
    assert contents.write() + b"rows and more" == data
    assert b"rows and more".endswith(b"".join(source))
    assert b"".join(rewritten(pieces, "it", lambda one: one)) == data


def test_what_is_left_out_and_renamed_is_not_written() -> None:
    """The rest stays to the byte."""

    def change(contents: Contents) -> Contents:
        kept = [one for one in contents.entries if one.kind != "EXTENSION"]
        return contents.having(replace(one, owner="other") if one.kind == "TABLE" else one for one in kept)

    written = b"".join(rewritten([head(EXTENSION, TABLE, ROWS), b"rows"], "it", change))
    assert written == head(replace(TABLE, owner="other"), ROWS) + b"rows"


def test_what_an_entry_is_to_need_besides_is_written_behind_what_it_needs() -> None:
    """And read again as a need like the others; nothing else changes."""
    written = b"".join(
        rewritten(
            [head(TABLE, ROWS), b"rows"],
            "it",
            lambda one: one.having(replace(e, also_needs=(9, 11)) for e in one.entries[2:]),
        )
    )
    (_, found) = read_contents([head(replace(ROWS, needs=frozenset({7, 9, 11})))], "it").entries
    assert bare(read_contents([written], "it").entries[0]) == bare(found)
    assert written.endswith(found.around[2] + found.around[3] + b"rows")


def test_names_are_in_the_encoding_that_the_archive_names() -> None:
    """One that Python cannot write back is read byte by byte, so that nothing is lost."""
    name = replace(TABLE, name="Bücher")
    (_, latin) = read_contents([head(name, encoding="LATIN1", codec="latin-1")], "it").entries
    (_, odd) = read_contents([head(replace(TABLE, owner="\x1b(Bü"), encoding="ISO2022_JP")], "it").entries
    assert (latin.name, odd.owner) == ("Bücher", "\x1b(BÃ¼")
    assert (latin.title, latin.key) == ("TABLE sales.Bücher", ("sales", "Bücher"))
    assert TABLE.title == "TABLE sales.Order lines"
    assert EXTENSION.title == "EXTENSION citext"


def test_an_archive_that_names_no_encoding_is_read_as_utf8() -> None:
    """Nor one that names it otherwise than pg_dump does."""
    data = head(replace(TABLE, name="Bücher")).replace(b"ENCODING", b"EXCODING")
    other = head(replace(TABLE, name="Bücher")).replace(b"SET client", b"XXX client")
    assert [read_contents([one], "it").entries[1].name for one in (data, other)] == ["Bücher", "Bücher"]


GOOD = head(TABLE)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(b"", "ends in its table of contents", id="nothing"),
        pytest.param(b"PGDMX" + GOOD[5:], "is no archive of pg_dump", id="another magic"),
        pytest.param(GOOD[:6] + b"\x0d" + GOOD[7:], "in its custom format", id="too old"),
        pytest.param(GOOD[:8] + b"\x00" + GOOD[9:], "in its custom format", id="integers of no bytes"),
        pytest.param(GOOD[:10] + b"\x03" + GOOD[11:], "in its custom format", id="another format"),
        pytest.param(GOOD[:-1], "ends in its table of contents", id="cut"),
        pytest.param(head(TABLE, count=9), "ends in its table of contents", id="too few"),
        pytest.param(GOOD.replace(integer(1) + b"3", integer(1) + b"x"), "a need that is no number", id="need"),
        pytest.param(GOOD[:47] + b"\0\xff\xff\xff\x7f" + GOOD[52:], "a length that cannot be", id="length"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(data: bytes, says: str) -> None:
    """Never guessed; the message says which archive."""
    with pytest.raises(DamagedError) as caught:
        read_contents([data], "whole.pgc")
    assert caught.value.message.startswith("whole.pgc: ")
    assert says in caught.value.message


def test_what_cannot_be_written_again_is_refused() -> None:
    """A length of minus zero is nothing that pg_dump writes: what else was misread, nobody knows."""
    false = integer(5) + b"false"
    data = head(replace(TABLE, owner="")).replace(integer(0) + false, b"\1" + integer(0)[1:] + false)
    with pytest.raises(DamagedError, match="cannot be written again as it is"):
        read_contents([data], "it")


def test_a_newer_format_is_told_from_damage() -> None:
    """It may be good, and this version cannot choose from it."""
    with pytest.raises(RefusedError) as caught:
        read_contents([GOOD[:6] + b"\x11" + GOOD[7:]], "it")
    assert caught.value.reason is Reason.VERSION_UNSUPPORTED
