"""What the rest of dbcustody may ask of a store: objects are created once, never overwritten, never renamed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from dbcustody.errors import DbcustodyError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SMALL_OBJECT_BYTES: Final = 4 * 1024 * 1024
"""No manifest or fact is ever near this; a larger one is refused instead of filling the memory."""
READ_CHUNK_BYTES: Final = 1024 * 1024


class PartLimitReachedError(DbcustodyError):
    """The object cannot grow any more; the stream goes on in its next object."""

    default_reason = Reason.DUMP_FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """What was committed: size and SHA-256 of the stored bytes."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEntry:
    """One row of a listing."""

    key: str
    size_bytes: int
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """An upload that was begun and neither committed nor aborted."""

    key: str
    token: str
    started: datetime


class DeletionState(StrEnum):
    """What became of a deletion."""

    GONE = "Gone"
    HELD = "Held"
    DENIED = "Denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What became of the deletion of one key; *detail* is the store's own word when it was not carried out."""

    key: str
    state: DeletionState
    detail: str = ""


class ObjectWriter(Protocol):
    """A stream that becomes an object when it is committed, and nothing when it is not."""

    @property
    def remaining_bytes(self) -> int:
        """How many more bytes the object can take."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take *data*; blocks while enough parts are in flight. Raises the error of an earlier part's upload."""

    def commit(self) -> StoredObject:
        """Create the object if the key is free; raises ConflictError when somebody else's bytes are there."""

    def abort(self) -> None:
        """Leave nothing behind, as far as the store can be reached; never raises."""


class ObjectStore(Protocol):
    """A place for objects; keys are relative to it."""

    @property
    def location(self) -> str:
        """Where it is, for people: no credential is in it."""

    def put_once(self, key: str, data: bytes) -> bool:
        """Create *key* with *data*; True when it was created now, False when exactly these bytes were there already.

        Raises ConflictError when other bytes are there.
        """

    def open_writer(self, key: str) -> ObjectWriter:
        """Begin an object of unknown length."""

    def read(self, key: str) -> bytes | None:
        """Return a small object whole, or None when there is none; raises DamagedError above SMALL_OBJECT_BYTES."""

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield an object piece by piece; a broken connection is taken up again where it broke, a bounded number of times.

        Raises DamagedError when the object is missing or its length changes on the way.
        """

    def entries(self, prefix: str) -> Iterator[ObjectEntry]:
        """Yield everything below *prefix*, in the order of keys, whatever the number."""

    def delete(self, keys: Sequence[str]) -> list[Deletion]:
        """Delete *keys*; one that is not there counts as gone. Object locks are an answer, not an error."""

    def list_unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """Yield the uploads below *prefix* that are neither committed nor aborted."""

    def abort_unfinished(self, unfinished: Unfinished) -> None:
        """Make an abandoned upload disappear; one that is gone already is success."""
