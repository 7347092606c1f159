"""One object of a backup on its way back: streamed out of the storage, hashed, decrypted, and held against the manifest at its end.

Memory is a few chunks, whatever the size. What was yielded is proven only when the end was reached: whoever stops before knows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from dbcustody.adapters.envelope import decrypt
from dbcustody.adapters.postgres.archive import UnreadableError
from dbcustody.errors import DamagedError, RefusedError
from dbcustody.reason import Reason
from dbcustody.repository.binding import OBJECT_LABEL
from dbcustody.repository.catalogue import read_catalogue
from dbcustody.repository.layout import CATALOGUE_OBJECT, attempt_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dbcustody.adapters.envelope import DataKey
    from dbcustody.jobs.custody import OpenStorage
    from dbcustody.repository.catalogue import Catalogue
    from dbcustody.repository.manifest import Manifest, StoredObject


_LOG = structlog.stdlib.get_logger("dbcustody.job")
Read = TypeVar("Read")


@dataclass(slots=True)
class _Stored:
    """What came out of the storage so far."""

    size_bytes: int = 0
    digest: Any = field(default_factory=sha256)


def read_object(storage: OpenStorage, manifest: Manifest, data_key: DataKey | None, name: str) -> Iterator[bytes]:
    """Yield the plaintext of the object *name*, piece by piece, and compare it with the manifest at the end.

    Raises DamagedError when the manifest has no such object, it is missing in the storage, fails authentication, or differs in size,
    SHA-256 or number of chunks; RefusedError (KeyMissing) when it is encrypted and *data_key* is None; and the errors of the store.
    """
    place = manifest.place
    key = attempt_prefix(place.custody_id, place.backup_id, place.attempt) + name
    what = f"{storage.store.location}/{key}"
    expected = manifest.object_named(name)
    if expected is None:
        raise DamagedError(f"{what}: is not in the manifest, which must have one")
    stored = _Stored()
    pieces = _hashed(storage.store.stream(key), expected, what, stored)
    if manifest.encryption is not None:
        pieces = decrypt(pieces, _object_key(manifest, data_key, name), what)
    pieces_read = plaintext_bytes = 0
    for piece in pieces:
        pieces_read += 1
        plaintext_bytes += len(piece)
        yield piece
    chunks = pieces_read if manifest.encryption is not None else 0
    _compare(expected, what, (stored.size_bytes, stored.digest.hexdigest(), plaintext_bytes, chunks))


def read_with_care(read: Callable[[], Read]) -> Read:
    """Return what *read* returns; what looks damaged is read once more from its beginning.

    A bit that turned on its way would condemn a good backup for ever; only what is wrong twice lies there like that. An archive whose bytes
    came whole is not fetched again: that pg_restore cannot read it is no fault of the way.
    """
    try:
        return read()
    except UnreadableError:
        raise
    except DamagedError as error:
        _LOG.warning("looks damaged, read once more", error=error.message)
        return read()


def read_catalogue_of(storage: OpenStorage, manifest: Manifest, data_key: DataKey | None) -> Catalogue:
    """Return the backup's catalogue; raises like `read_object`, and RefusedError (FormatUnknown) when a newer version wrote it."""
    data = read_with_care(lambda: b"".join(read_object(storage, manifest, data_key, CATALOGUE_OBJECT)))
    return read_catalogue(data, f"{CATALOGUE_OBJECT} of {manifest.backup_id}")


def _object_key(manifest: Manifest, data_key: DataKey | None, name: str) -> bytes:
    if data_key is None:
        raise RefusedError(
            f"backup {manifest.backup_id}: is encrypted, and its data key was not opened; a key of the keyring is missing",
            reason=Reason.KEY_MISSING,
        )
    return data_key.derive(OBJECT_LABEL, *manifest.place.object_context(name))


def _hashed(pieces: Iterator[bytes], expected: StoredObject, what: str, stored: _Stored) -> Iterator[bytes]:
    """Yield *pieces* as they come and count them in *stored*; an object that is longer than it may be is not read to its end."""
    for piece in pieces:
        stored.size_bytes += len(piece)
        if stored.size_bytes > expected.bytes:
            raise DamagedError(f"{what}: is longer than the {expected.bytes} bytes of the manifest")
        stored.digest.update(piece)
        yield piece


def _compare(expected: StoredObject, what: str, found: tuple[int, str, int, int]) -> None:
    """Raise DamagedError with the first difference between the manifest and what was read."""
    wanted = (expected.bytes, expected.sha256, expected.plaintext_bytes, expected.chunks)
    names = ("bytes", "SHA-256", "bytes of plaintext", "chunks")
    for name, want, have in zip(names, wanted, found, strict=True):
        if want != have:
            raise DamagedError(
                f"{what}: its {name} are {have}, the manifest says {want}; it is damaged or was replaced"
            )
