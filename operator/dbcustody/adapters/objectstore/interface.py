"""What the rest of dbcustody may ask of a store: objects are created once, never overwritten, never renamed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from dbcustody.errors import DbcustodyError, InvalidSpecError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SMALL_OBJECT_BYTES: Final = 4 * 1024 * 1024
"""No manifest or fact is ever near this; a larger one is refused instead of filling the memory."""
READ_CHUNK_BYTES: Final = 1024 * 1024
LONGEST_KEY_BYTES: Final = 900
"""S3 takes 1024 with the prefix, a file name 255."""
LONGEST_NAME_BYTES: Final = 200


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """Requests that had to be sent again since the store was opened."""

    count: int = 0
    because: str = ""
    """Why the last one was: the store's code, or the kind of failure; no secret."""
    last_monotonic: float | None = None
    """When, by the clock that only goes forward."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What a store says of itself; None means: it does not say, or not to us.

    *clock_skew_seconds* is how far its clock is ahead of ours; S3 refuses requests above 900 either way.
    """

    versioning: bool | None = None
    object_lock: bool | None = None
    clock_skew_seconds: float | None = None


class DeletionState(StrEnum):
    """What became of a deletion."""

    GONE = "Gone"
    HELD = "Held"
    DENIED = "Denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What became of the deletion of one key; *detail* is the store's own word when it was not carried out.

    *held_until* None means: not held, held without an end (a legal hold), or the end is not told to us.
    """

    key: str
    state: DeletionState
    detail: str = ""
    held_until: datetime | None = None


class ObjectWriter(Protocol):
    """A stream that becomes an object when it is committed, and nothing when it is not."""

    @property
    def remaining_bytes(self) -> int:
        """How many more bytes the object can take."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take *data*; blocks while enough parts are in flight. Raises the error of an earlier part's upload.

        Raises PartLimitReachedError, and has taken nothing, when *data* is longer than `remaining_bytes`.
        """

    def commit(self) -> StoredObject:
        """Create the object if the key is free; raises ConflictError when somebody else's bytes are there.

        A commit that fails leaves nothing behind, as `abort` does.
        """

    def abort(self) -> None:
        """Leave nothing behind, as far as the store can be reached; never raises, and does nothing after a commit."""


class ObjectStore(Protocol):
    """A place for objects; keys are relative to it."""

    @property
    def location(self) -> str:
        """Where it is, for people: no credential is in it."""

    @property
    def repeats(self) -> Repeats:
        """What had to be asked for again so far."""

    def put_once(self, key: str, data: bytes) -> bool:
        """Create *key* with *data*; True when it was created now, False when exactly these bytes were there already.

        A lost answer is settled by looking. Raises ConflictError when other bytes are there.
        """

    def open_writer(self, key: str, *, in_parts: bool = False) -> ObjectWriter:
        """Begin an object of unknown length; *in_parts* uses the machinery of large objects however small it stays."""

    def read(self, key: str) -> bytes | None:
        """Return a small object whole, or None when there is none; raises DamagedError above SMALL_OBJECT_BYTES."""

    def stream(self, key: str, *, offset: int = 0) -> Iterator[bytes]:
        """Yield an object from *offset* on, piece by piece; a broken connection is taken up again where it broke, for a bounded time.

        Raises DamagedError when the object is missing or changes on the way.
        """

    def entries(self, prefix: str, *, page_size: int | None = None) -> Iterator[ObjectEntry]:
        """Yield everything whose key begins with *prefix*, in the order of keys, whatever the number; all of it or an error."""

    def delete(self, keys: Sequence[str]) -> list[Deletion]:
        """Delete *keys*; one that is not there counts as gone. Object locks are an answer, not an error."""

    def list_unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """Yield the uploads below *prefix* that are neither committed nor aborted."""

    def abort_unfinished(self, unfinished: Unfinished) -> None:
        """Make an abandoned upload disappear; one that is gone already is success."""

    def features(self) -> Features:
        """Return what the store says of itself."""


def check_key(key: str) -> str:
    """Return *key* if it can stand in any store; raises InvalidSpecError for one that a file system or a URL would read differently."""
    parts = key.split("/")
    plain = key.isprintable() and "\\" not in key and not any(part in {"", ".", ".."} for part in parts)
    short = len(key.encode(errors="replace")) <= LONGEST_KEY_BYTES and all(
        len(part.encode(errors="replace")) <= LONGEST_NAME_BYTES for part in parts
    )
    if not (plain and short):
        raise InvalidSpecError(f"key {key[:80]!r}: cannot stand in every store")
    return key
