"""Objects of a backup on their way into the storage: closed chunk by chunk, counted, hashed, and cut near the limit of the storage.

Nothing is staged: what comes out of a pipe goes into a part of an upload. An archive that nears the limit of an object goes on in the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.envelope import DEFAULT_CHUNK_EXPONENT, HEADER_BYTES, TAG_BYTES, DataKey, Encryptor
from dbcustody.adapters.objectstore import ObjectStore
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.reason import Reason
from dbcustody.repository.binding import OBJECT_LABEL, Place
from dbcustody.repository.layout import attempt_prefix
from dbcustody.repository.manifest import StoredObject

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.adapters.objectstore import ObjectWriter

CHUNK_BYTES: Final = 1 << DEFAULT_CHUNK_EXPONENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Where the objects of one attempt go, and the key that closes them (None: a storage without encryption)."""

    store: ObjectStore
    place: Place
    data_key: DataKey | None = field(default=None, repr=False)

    def key_of(self, name: str) -> str:
        """Return the storage key of the object *name*."""
        return attempt_prefix(self.place.custody_id, self.place.backup_id, self.place.attempt) + name


class Artefact:
    """One archive, or the catalogue: write to it, then `finish` once, or `abort`."""

    def __init__(self, shelf: Shelf, name_of: Callable[[int], str], *, stored: Callable[[int], None]) -> None:
        """Begin; *name_of* gives the name of each of its objects (part 0, 1, ...), *stored* hears of bytes that were handed over."""
        self._shelf, self._name_of, self._stored = shelf, name_of, stored
        self._objects: list[StoredObject] = []
        self._begin(0)

    def write(self, data: memoryview) -> None:
        """Take *data*, beginning the next object where this one is full."""
        while data:
            if self._room_bytes <= 0:
                part = len(self._objects) + 1
                self._close()
                self._begin(part)
            piece, data = data[: self._room_bytes], data[self._room_bytes :]
            self._room_bytes -= len(piece)
            self._plaintext_bytes += len(piece)
            self._hand_over(piece)

    def finish(self) -> tuple[StoredObject, ...]:
        """Commit the last object and return all of them; raises ConflictError when one is there already."""
        self._close()
        return tuple(self._objects)

    def abort(self) -> None:
        """Leave the object at hand unwritten; those before it are left to the sweep."""
        self._writer.abort()

    def _begin(self, part: int) -> None:
        self._name = self._named(part)
        self._writer: ObjectWriter = self._shelf.store.open_writer(self._shelf.key_of(self._name))
        self._encryptor = self._make_encryptor()
        self._plaintext_bytes = 0
        self._room_bytes = self._writer.remaining_bytes
        if self._encryptor is not None:
            self._room_bytes = (self._room_bytes - HEADER_BYTES) // (CHUNK_BYTES + TAG_BYTES) * CHUNK_BYTES
            self._give(self._encryptor.header)
        if self._room_bytes <= 0:
            self._writer.abort()
            raise RefusedError(
                f"{self._shelf.store.location}: an object there cannot take one chunk; raise `maxParts`",
                reason=Reason.NOT_CONFORMANT,
            )

    def _named(self, part: int) -> str:
        """Return the name of the object *part*; raises RefusedError when there are more of them than names."""
        try:
            return self._name_of(part)
        except InvalidSpecError as error:
            raise RefusedError(
                f"{self._shelf.store.location}: {part} objects there do not hold one archive; raise `maxParts`, or the parallelism",
                reason=Reason.NOT_CONFORMANT,
            ) from error

    def _make_encryptor(self) -> Encryptor | None:
        key = self._shelf.data_key
        if key is None:
            return None
        return Encryptor(key.derive(OBJECT_LABEL, *self._shelf.place.object_context(self._name)))

    def _hand_over(self, piece: memoryview) -> None:
        if self._encryptor is None:
            self._give(piece)
            return
        for closed in self._encryptor.update(piece):
            self._give(closed)

    def _give(self, data: bytes | memoryview) -> None:
        self._writer.write(data)
        self._stored(len(data))

    def _close(self) -> None:
        if self._encryptor is not None:
            self._give(self._encryptor.finish())
        done = self._writer.commit()
        self._objects.append(
            StoredObject(
                name=self._name,
                bytes=done.size_bytes,
                plaintext_bytes=self._plaintext_bytes,
                sha256=done.sha256,
                chunks=self._encryptor.chunk_count if self._encryptor is not None else 0,
            )
        )


def store_whole(shelf: Shelf, name: str, data: bytes, *, stored: Callable[[int], None]) -> tuple[StoredObject, ...]:
    """Store *data* as the one object *name*; raises RefusedError when the storage's limit would cut it."""
    artefact = Artefact(shelf, only(name), stored=stored)
    try:
        artefact.write(memoryview(data))
        return artefact.finish()
    except BaseException:
        artefact.abort()
        raise


def only(name: str) -> Callable[[int], str]:
    """Return the naming of an archive that cannot go on in another object; raises RefusedError when it would have to."""

    def name_of(part: int) -> str:
        if part:
            raise RefusedError(f"{name}: is larger than one object of the storage can be", reason=Reason.DUMP_FAILED)
        return name

    return name_of
