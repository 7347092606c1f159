"""What every store promises, on a real S3 server and on a real file system."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.objectstore import Deletion, DeletionState, ObjectStore, StoredObject
from dbcustody.adapters.objectstore.interface import SMALL_OBJECT_BYTES
from dbcustody.errors import ConflictError, DamagedError, InvalidSpecError

if TYPE_CHECKING:
    from collections.abc import Callable

PART_BYTES = 5 * 1024 * 1024
HOSTILE_KEYS = (
    "a b/c&d=e?f.json",
    "a%20b/%2e%2e/c",
    "a+b/~c/(d)'\"*",
    "ä/€/𝄞.json",
    "#fragment/@user:x",
    "-rf/--",
    "..a/b../...",
    "<xml>&amp;/]]>",
)


def write(store: ObjectStore, key: str, data: bytes, *, in_parts: bool = False) -> StoredObject:
    """Write *data* in pieces of odd size and commit."""
    writer = store.open_writer(key, in_parts=in_parts)
    view = memoryview(data)
    for start in range(0, len(view), 999_983):
        writer.write(view[start : start + 999_983])
    return writer.commit()


def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    """Return the keys of a listing."""
    return [entry.key for entry in store.entries(prefix)]


def test_put_creates_once_and_never_overwrites(store: ObjectStore) -> None:
    """The first put creates, the same bytes again are no error and no creation, other bytes are a conflict and change nothing."""
    assert store.put_once("a/b.json", b"one") is True
    assert store.put_once("a/b.json", b"one") is False
    with pytest.raises(ConflictError, match=r"a/b\.json"):
        store.put_once("a/b.json", b"two")

    assert store.read("a/b.json") == b"one"


@pytest.mark.parametrize(
    ("data_of", "losers"),
    [
        pytest.param(lambda number: b"%d" % number, "conflict", id="different-bytes"),
        pytest.param(lambda _: b"same", "False", id="equal-bytes"),
    ],
)
def test_of_sixteen_writers_exactly_one_creates(
    store: ObjectStore, data_of: Callable[[int], bytes], losers: str
) -> None:
    """However many come at once, one alone hears that it created the object, and its bytes are there."""

    def put(number: int) -> str:
        try:
            return str(store.put_once("race", data_of(number)))
        except ConflictError:
            return "conflict"

    with ThreadPoolExecutor(16) as pool:
        said = list(pool.map(put, range(16)))

    assert sorted(said, key=lambda word: word != "True") == ["True", *[losers] * 15]
    assert store.read("race") == data_of(said.index("True"))


@pytest.mark.parametrize("in_parts", [pytest.param(False, id="as-it-comes"), pytest.param(True, id="in-parts")])
def test_of_many_streams_exactly_one_commits(store: ObjectStore, *, in_parts: bool) -> None:
    """Of several streams to one key that end at once, one becomes the object; the others leave nothing."""

    def stream(number: int) -> StoredObject | None:
        try:
            return write(store, "race", b"%d" % number * 100, in_parts=in_parts)
        except ConflictError:
            return None

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(stream, range(8)))

    winners = [result for result in results if result is not None]
    assert len(winners) == 1
    assert hashlib.sha256(b"".join(store.stream("race"))).hexdigest() == winners[0].sha256
    assert keys(store) == ["race"]
    assert list(store.list_unfinished("")) == []


@pytest.mark.parametrize(
    "size_bytes",
    [
        pytest.param(0, id="empty"),
        pytest.param(1, id="one-byte"),
        pytest.param(PART_BYTES - 1, id="just-below-a-part"),
        pytest.param(PART_BYTES, id="a-part"),
        pytest.param(PART_BYTES + 1, id="just-above-a-part"),
        pytest.param(4 * PART_BYTES, id="more-parts-than-fly"),
        pytest.param(4 * PART_BYTES + 7, id="and-a-rest"),
    ],
)
def test_stream_comes_back_as_it_went(store: ObjectStore, size_bytes: int) -> None:
    """Size and digest are those of what is stored, and that is what was written, byte for byte."""
    data = os.urandom(size_bytes)

    stored = write(store, "x/data.pgc", data)

    assert stored == StoredObject(size_bytes=size_bytes, sha256=hashlib.sha256(data).hexdigest())
    assert b"".join(store.stream("x/data.pgc")) == data
    assert [(entry.key, entry.size_bytes) for entry in store.entries("x/")] == [("x/data.pgc", size_bytes)]
    assert list(store.list_unfinished("")) == []


@pytest.mark.parametrize("in_parts", [pytest.param(False, id="as-it-comes"), pytest.param(True, id="in-parts")])
def test_nothing_is_there_before_the_commit(store: ObjectStore, *, in_parts: bool) -> None:
    """What is being written is not an object yet, and after an abort it never was."""
    writer = store.open_writer("a/x", in_parts=in_parts)
    writer.write(bytes(2 * PART_BYTES + 1))
    before = keys(store), store.read("a/x"), [one.key for one in store.list_unfinished("a/")]
    writer.abort()
    writer.abort()

    assert before[:2] == ([], None)
    assert len(before[2]) == 1
    assert before[2][0].startswith("a/")
    assert (keys(store), list(store.list_unfinished(""))) == ([], [])
    with pytest.raises(ValueError, match="aborted already"):
        writer.write(b"more")
    with pytest.raises(ValueError, match="aborted already"):
        writer.commit()
    assert keys(store) == []


def test_abort_after_commit_takes_nothing_back(store: ObjectStore) -> None:
    """Whoever aborts in any case, after a commit too, loses nothing; a second commit is refused."""
    writer = store.open_writer("x", in_parts=True)
    writer.write(b"kept")
    writer.commit()
    writer.abort()

    assert store.read("x") == b"kept"
    with pytest.raises(ValueError, match="committed"):
        writer.commit()


def test_unfinished_is_found_and_removed(store: ObjectStore) -> None:
    """What a killed writer left is listed below its prefix with its time, is no object, and goes away; twice is as good as once."""
    dead = store.open_writer("dead/x", in_parts=True)
    dead.write(b"half")
    write(store, "dead/y", b"whole")

    found = list(store.list_unfinished("dead/"))

    assert len(found) == 1
    assert abs(datetime.now(UTC) - found[0].started) < timedelta(minutes=1)
    assert list(store.list_unfinished("other/")) == []
    assert keys(store) == ["dead/y"]
    store.abort_unfinished(found[0])
    store.abort_unfinished(found[0])
    assert list(store.list_unfinished("")) == []
    assert store.read("dead/y") == b"whole"
    dead.abort()


def test_what_is_missing_is_told_apart(store: ObjectStore) -> None:
    """A small object that is not there reads as None; a stream that is not there is damage."""
    store.put_once("a/b", b"x")

    assert store.read("nothing") is None
    assert store.read("a/b/c") is None
    with pytest.raises(DamagedError, match="nothing"):
        list(store.stream("nothing"))


def test_small_read_is_bounded(store: ObjectStore) -> None:
    """What should be small and is not is refused and does not fill the memory; the limit itself is still read."""
    write(store, "just", bytes(SMALL_OBJECT_BYTES))
    write(store, "above", bytes(SMALL_OBJECT_BYTES + 1))

    assert store.read("just") == bytes(SMALL_OBJECT_BYTES)
    with pytest.raises(DamagedError, match="larger"):
        store.read("above")


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        pytest.param(0, b"0123456789", id="whole"),
        pytest.param(3, b"3456789", id="rest"),
        pytest.param(9, b"9", id="last"),
    ],
)
def test_stream_from_an_offset(store: ObjectStore, offset: int, expected: bytes) -> None:
    """A stream can begin anywhere in the object."""
    store.put_once("x", b"0123456789")

    assert b"".join(store.stream("x", offset=offset)) == expected


def test_listing_is_whole_and_in_order(store: ObjectStore) -> None:
    """More than a thousand objects are all listed, in the order of keys, whatever the pages; a prefix is a beginning, not a folder."""
    wanted = [f"many/{number:04d}/x" for number in range(1003)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put_once(key, b"x"), wanted))
    store.put_once("many-not", b"x")

    assert keys(store, "many/") == wanted
    assert [entry.key for entry in store.entries("many/", page_size=100)] == wanted
    assert keys(store, "many/001") == wanted[10:20]
    assert keys(store, "many") == ["many-not", *wanted]
    assert keys(store, "none/") == []
    assert {deletion.state for deletion in store.delete(wanted)} == {DeletionState.GONE}
    assert keys(store) == ["many-not"]


def test_deletion_answers_for_every_key(store: ObjectStore) -> None:
    """What is not there counts as gone, and nothing else goes with it."""
    for key in ("a/1", "a/2", "a-b"):
        store.put_once(key, b"x")

    gone = store.delete(["a/1", "a/none"])

    assert gone == [Deletion(key=key, state=DeletionState.GONE) for key in ("a/1", "a/none")]
    assert keys(store) == ["a-b", "a/2"]
    assert store.delete([]) == []


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_odd_keys_are_only_keys(store: ObjectStore, key: str) -> None:
    """Characters that a URL, a shell or XML would read differently are listed, read and deleted as they were written."""
    store.put_once(key, b"small")
    write(store, f"{key}.large", b"large", in_parts=True)

    assert keys(store) == [key, f"{key}.large"]
    assert (store.read(key), b"".join(store.stream(f"{key}.large"))) == (b"small", b"large")
    assert {deletion.state for deletion in store.delete([key, f"{key}.large"])} == {DeletionState.GONE}
    assert keys(store) == []


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("", id="empty"),
        pytest.param("/etc/passwd", id="absolute"),
        pytest.param("../x", id="upwards"),
        pytest.param("a/../../x", id="upwards-inside"),
        pytest.param("a/./b", id="here"),
        pytest.param("a//b", id="empty-part"),
        pytest.param("a/", id="folder"),
        pytest.param("a\nb", id="line-feed"),
        pytest.param("a\0b", id="nul"),
        pytest.param("a\\b", id="backslash"),
        pytest.param("a\udc80b", id="no-text"),
        pytest.param("a" * 201, id="long-name"),
        pytest.param("ab/" * 300 + "c", id="long-key"),
    ],
)
def test_keys_that_mean_something_else_are_refused(store: ObjectStore, key: str) -> None:
    """A key that some store would read differently is refused by every store, before anything is written."""
    with pytest.raises(InvalidSpecError, match="cannot stand"):
        store.put_once(key, b"x")
    with pytest.raises(InvalidSpecError, match="cannot stand"):
        store.open_writer(key)

    assert keys(store) == []
