"""Objects on their way into a storage: cut where they must be, and the same bytes when they are put together again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from dbcustody.adapters.envelope import HEADER_BYTES, TAG_BYTES, DataKey, decrypt
from dbcustody.adapters.objectstore import VolumeStore
from dbcustody.errors import ConflictError, RefusedError
from dbcustody.jobs.artefact import CHUNK_BYTES, Artefact, Shelf, only, store_whole
from dbcustody.reason import Reason
from dbcustody.repository.binding import OBJECT_LABEL, Place
from dbcustody.repository.layout import data_object

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dbcustody.adapters.objectstore.volumewriter import VolumeWriter

PLACE = Place(
    storage_id="s", custody_id="web.shop", backup_id="20260131T020000Z-shop-5e1d0c2a", attempt="0b9c3f52-6c0e-4a55-8f3a-2f4d5e6a7b8c"
)  # fmt: skip
ROOM_CHUNKS = 2
ROOM_BYTES = HEADER_BYTES + ROOM_CHUNKS * (CHUNK_BYTES + TAG_BYTES) + 500
NAMES = partial(data_object, 1)


class SmallStore(VolumeStore):
    """A volume whose objects can be no longer than *limit*."""

    limit = ROOM_BYTES

    def open_writer(self, key: str, *, in_parts: bool = False) -> VolumeWriter:
        """Begin a file that says how much more it can take."""
        writer, limit = super().open_writer(key, in_parts=in_parts), self.limit

        class Limited(type(writer)):  # type: ignore[misc]  # the writer with one property changed
            remaining_bytes = property(lambda self: limit - self._size_bytes)

        writer.__class__ = Limited
        return writer


@pytest.fixture(params=[True, False], ids=["encrypted", "clear"])
def shelf(tmp_path: Path, request: pytest.FixtureRequest) -> Shelf:
    """Return a shelf in a small store."""
    return Shelf(store=SmallStore(tmp_path), place=PLACE, data_key=DataKey.fresh() if request.param else None)


def content(size_bytes: int) -> bytes:
    """Return bytes that are nowhere the same."""
    return b"".join(number.to_bytes(8, "big") for number in range(size_bytes // 8 + 1))[:size_bytes]


def stored(shelf: Shelf, names: Sequence[str]) -> bytes:
    """Return the plaintext of objects, one behind the other."""
    found = b""
    for name in names:
        pieces = shelf.store.stream(shelf.key_of(name))
        if shelf.data_key is not None:
            pieces = decrypt(pieces, shelf.data_key.derive(OBJECT_LABEL, *PLACE.object_context(name)), name)
        found += b"".join(pieces)
    return found


@pytest.mark.parametrize("piece_bytes", [1000, CHUNK_BYTES, 3 * CHUNK_BYTES + 7])
@pytest.mark.parametrize(
    "size_bytes",
    [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 1, 4 * CHUNK_BYTES, 5 * CHUNK_BYTES + 3],
)
def test_archive_is_cut_and_whole(shelf: Shelf, size_bytes: int, piece_bytes: int) -> None:
    """No object is longer than the store allows, none is empty but that of nothing, and together they are what was written."""
    data, told = content(size_bytes), 0

    def count(number: int) -> None:
        nonlocal told
        told += number

    artefact = Artefact(shelf, NAMES, stored=count)
    for start in range(0, size_bytes, piece_bytes):
        artefact.write(memoryview(data)[start : start + piece_bytes])
    objects = artefact.finish()

    assert [item.name for item in objects] == [NAMES(part) for part in range(len(objects))]
    assert stored(shelf, [item.name for item in objects]) == data
    assert all(item.bytes <= ROOM_BYTES and (item.plaintext_bytes or len(objects) == 1) for item in objects)
    assert (sum(item.bytes for item in objects), sum(item.plaintext_bytes for item in objects)) == (told, size_bytes)
    assert all((item.chunks > 0) is (shelf.data_key is not None) for item in objects)


def test_object_that_cannot_go_on(shelf: Shelf) -> None:
    """What must be one object and would not fit is refused, and nothing half is left of it."""
    with pytest.raises(RefusedError) as caught:
        store_whole(shelf, "catalogue.json", content(4 * CHUNK_BYTES), stored=lambda _: None)
    assert caught.value.reason is Reason.DUMP_FAILED
    assert not any(shelf.store.list_unfinished(""))


def test_store_without_room_for_one_chunk(tmp_path: Path) -> None:
    """A store whose objects cannot take a single chunk is of no use, and says so."""
    store = SmallStore(tmp_path)
    store.limit = HEADER_BYTES + CHUNK_BYTES
    shelf = Shelf(store=store, place=PLACE, data_key=DataKey.fresh())
    with pytest.raises(RefusedError) as caught:
        Artefact(shelf, NAMES, stored=lambda _: None)
    assert caught.value.reason is Reason.NOT_CONFORMANT
    assert not any(store.list_unfinished(""))


def test_abort_leaves_nothing_unfinished(shelf: Shelf) -> None:
    """An archive that is given up has no half object."""
    artefact = Artefact(shelf, NAMES, stored=lambda _: None)
    artefact.write(memoryview(content(CHUNK_BYTES)))
    artefact.abort()
    assert not any(shelf.store.list_unfinished(""))
    assert list(shelf.store.entries("")) == []


def test_object_that_is_there_already(shelf: Shelf) -> None:
    """Nothing is ever overwritten."""
    shelf.store.put_once(shelf.key_of("catalogue.json"), b"other")
    with pytest.raises(ConflictError):
        store_whole(shelf, "catalogue.json", b"mine", stored=lambda _: None)
    assert shelf.store.read(shelf.key_of("catalogue.json")) == b"other"


def test_name_of_a_whole_object() -> None:
    """The first part has the name as it is; there is no second."""
    assert only("schema.pgc")(0) == "schema.pgc"
    with pytest.raises(RefusedError):
        only("schema.pgc")(1)
