"""Definitions are read before the rows and held against what comes with them: between the two somebody could have changed them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbcustody.errors import DamagedError, RefusedError
from dbcustody.jobs.definitions import altered, definitions, take_all
from dbcustody.plan.part import Part
from dbcustody.repository.catalogue import Catalogue, DatabaseFacts
from tests.fakes.heads import Shelf, head

HEAD = [b"abc", b"def"]
FACTS = DatabaseFacts(name="shop", owner="o", encoding="UTF8", collation="C", ctype="C", locale_provider="libc")
WHOLE = Part(catalogue=Catalogue(database=FACTS))


@pytest.mark.parametrize("pieces", [[b"abcdefgh"], [b"a", b"bcdefg", b"h"], [b"abcdef", b"gh"]])
def test_same_beginning_passes(pieces: list[bytes]) -> None:
    """However the archive is cut, it passes as it is."""
    with definitions() as found:
        take_all(found, HEAD)
        assert list(found.compared(pieces, "x")) == pieces


@pytest.mark.parametrize("pieces", [[b"abcdeX"], [b"Xbcdefgh"], [b"abc", b"Xef"], [b"abc"], []])
def test_another_beginning_is_refused(pieces: list[bytes]) -> None:
    """Other bytes, or fewer, are not what was read a moment ago."""
    with definitions() as found:
        take_all(found, HEAD)
        with pytest.raises(DamagedError, match="a moment ago"):
            list(found.compared(pieces, "x"))


def test_file_has_no_name_and_is_gone_afterwards() -> None:
    """Definitions are names of tables and columns: they lie on no disk."""
    with definitions() as found:
        take_all(found, HEAD)
        path = Path(f"/proc/self/fd/{found.file}")
        assert (str(path.readlink()).startswith("/memfd:"), path.read_bytes()) == (True, b"abcdef")
    assert not path.exists()


def test_what_comes_is_known_by_its_states_and_comes_in_turns() -> None:
    """As many workers as are wanted may make it."""
    shelf = Shelf()
    shelf.add("TABLE", "t", sql="CREATE TABLE t (a int);\n")
    shelf.add("TABLE", "heir", 1, sql="CREATE TABLE heir () INHERITS (t);\n")
    shelf.add("CHECK CONSTRAINT", "t c", 1, sql="ALTER TABLE t ADD CONSTRAINT c CHECK ((a > 0)) NOT VALID;\n")
    with definitions() as found:
        take_all(found, [head(*shelf.entries), b"more"])
        with altered(found, "it", WHOLE) as coming:
            assert (list((coming.states or {}).values()), coming.workers(3)) == (["NOT VALID"], 3)
            more = b"\x00\x01\x00\x00\x002" + b"\x01\x01\x00\x00\x00"
            assert [more in b"".join(one.pieces()) for one in (found, coming.head)] == [False, True]


def test_archive_of_a_newer_pg_dump_comes_as_it_is_and_by_one_worker() -> None:
    """Nobody knows what is in it but pg_restore; what is to be left out of it cannot be."""
    with definitions() as found:
        take_all(found, [head(version=(1, 17))])
        with altered(found, "it", WHOLE) as coming:
            assert (coming.head, coming.states, coming.workers(3)) == (found, None, 1)
        with pytest.raises(RefusedError), altered(found, "it", Part(catalogue=WHOLE.catalogue, names={"a": "b"})):
            pass
