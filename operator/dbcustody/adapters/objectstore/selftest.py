"""The conformance self-test of a store: shows with a handful of tiny objects that it does what our safety rests on.

The one thing that cannot be done without is the conditional put: where it does not hold, two runs could both believe to have committed.
"""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.objectstore.interface import DeletionState
from dbcustody.errors import ConflictError, DbcustodyError, RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.adapters.objectstore.interface import ObjectStore

PROBE_PREFIX: Final = ".probe/"
_WRITERS: Final = 4
_LISTED: Final = 5
_PAGE_SIZE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformance:
    """What was found; None means: not tested, or the store does not say.

    *delete* False: what was written could not be deleted again. *sweep* False: abandoned uploads cannot be found and removed.
    """

    conditional_put: bool | None = None
    conditional_complete: bool | None = None
    range_get: bool | None = None
    delete: bool | None = None
    sweep: bool | None = None
    versioning: bool | None = None
    object_lock: bool | None = None
    clock_skew_seconds: float | None = None


def probe(store: ObjectStore, *, read_only: bool, multipart: bool) -> Conformance:
    """Return what *store* can do; leaves nothing behind that it could delete.

    With *read_only* only a listing and a range are read; *multipart* adds the completing request of large uploads (S3).
    Raises RefusedError (NotConformant) naming the check that failed, or the store's own errors.
    """
    features = store.features()
    tested = Conformance(range_get=_reads_last_byte(store)) if read_only else _probe_writing(store, multipart=multipart)
    return replace(
        tested,
        versioning=features.versioning,
        object_lock=features.object_lock,
        clock_skew_seconds=features.clock_skew_seconds,
    )


def _probe_writing(store: ObjectStore, *, multipart: bool) -> Conformance:
    folder = f"{PROBE_PREFIX}{uuid.uuid4().hex}/"
    try:
        _require_one_winner(store, f"{folder}put", _put, "puts of one object")
        if multipart:
            _require_one_winner(store, f"{folder}upload", _upload, "completed uploads of one object")
        _require_listing(store, f"{folder}list/")
        _require_range(store, f"{folder}list/0")
        sweep = _sweeps(store, f"{folder}unfinished")
    except DbcustodyError:
        with suppress(DbcustodyError):
            _clean(store, folder)
        raise
    return Conformance(
        conditional_put=True,
        conditional_complete=multipart or None,
        range_get=True,
        delete=_clean(store, folder),
        sweep=sweep,
    )


def _require_one_winner(
    store: ObjectStore, key: str, create: Callable[[ObjectStore, str, bytes], None], what: str
) -> None:
    """Let several create *key* at once and one more afterwards: exactly one succeeds, and its bytes are what is read."""

    def claim(number: int) -> bytes | None:
        data = f"writer {number}".encode()
        try:
            create(store, key, data)
        except ConflictError:
            return None
        return data

    with ThreadPoolExecutor(_WRITERS) as pool:
        results = [*pool.map(claim, range(_WRITERS)), claim(_WRITERS)]
    winners = [data for data in results if data is not None]
    if len(winners) != 1:
        raise _not_conformant(store, f"{len(winners)} of {len(results)} {what} succeeded; If-None-Match does not hold")
    if store.read(key) != winners[0]:
        raise _not_conformant(store, f"of several {what} one succeeded, and another one's bytes are read")


def _put(store: ObjectStore, key: str, data: bytes) -> None:
    store.put_once(key, data)


def _upload(store: ObjectStore, key: str, data: bytes) -> None:
    writer = store.open_writer(key, in_parts=True)
    try:
        writer.write(data)
        writer.commit()
    finally:
        writer.abort()


def _require_listing(store: ObjectStore, folder: str) -> None:
    keys = [f"{folder}{number}" for number in range(_LISTED)]
    for key in keys:
        store.put_once(key, key.encode())
    listed = [entry.key for entry in store.entries(folder, page_size=_PAGE_SIZE)]
    if listed != keys:
        raise _not_conformant(store, f"{len(listed)} of {len(keys)} objects just written are listed, or not in order")


def _require_range(store: ObjectStore, key: str) -> None:
    """Read the object that holds its own key, whole and from its last byte on."""
    if b"".join(store.stream(key)) != key.encode() or b"".join(store.stream(key, offset=len(key) - 1)) != b"0":
        raise _not_conformant(store, "what was just written reads differently, whole or by range")


def _reads_last_byte(store: ObjectStore) -> bool | None:
    """Return True when the first object listed can be read by range, None when there is none; raises RefusedError otherwise."""
    found = next((entry for entry in store.entries("") if entry.size_bytes > 1), None)
    if found is None:
        return None
    if len(b"".join(store.stream(found.key, offset=found.size_bytes - 1))) != 1:
        raise _not_conformant(store, "a range of an object reads differently")
    return True


def _sweeps(store: ObjectStore, key: str) -> bool:
    """Return whether an upload that nobody finished is listed, and is gone once it is aborted."""
    writer = store.open_writer(key, in_parts=True)
    folder = key.rpartition("/")[0] + "/"
    try:
        unfinished = list(store.list_unfinished(folder))
        for upload in unfinished:
            store.abort_unfinished(upload)
        left = list(store.list_unfinished(folder))
    except RefusedError:
        return False
    finally:
        writer.abort()
    return bool(unfinished) and not left


def _clean(store: ObjectStore, folder: str) -> bool:
    """Delete everything below *folder*; return whether nothing is left."""
    left = store.delete([entry.key for entry in store.entries(folder)])
    return all(deletion.state is DeletionState.GONE for deletion in left)


def _not_conformant(store: ObjectStore, found: str) -> RefusedError:
    return RefusedError(
        f"{store.location}: {found}; such a store cannot hold backups safely", reason=Reason.NOT_CONFORMANT
    )
