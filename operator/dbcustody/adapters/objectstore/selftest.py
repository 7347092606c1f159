"""The conformance self-test of a store: shows with a handful of tiny objects that it does what our safety rests on.

The one thing that cannot be done without is the conditional put: where it does not hold, two runs could both believe to have committed.
"""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.objectstore.interface import DeletionState
from dbcustody.errors import ConflictError, RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.objectstore.interface import ObjectStore

PROBE_PREFIX: Final = ".probe/"
_WRITERS: Final = 4
_LARGE_BYTES: Final = 17 * 1024 * 1024
"""Just above one part, so that the completing request of a multipart upload is tested too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformance:
    """What was found; None means: not tested (a read-only storage)."""

    conditional_put: bool | None = None
    conditional_complete: bool | None = None
    range_get: bool | None = None
    delete: bool | None = None


def probe(store: ObjectStore, *, read_only: bool, multipart: bool) -> Conformance:
    """Return what *store* can do; leaves nothing behind that it could delete.

    With *read_only* only a listing is tried; *multipart* adds the completing request of large uploads (S3).
    Raises RefusedError (NotConformant) naming the check that failed, or the store's own errors.
    """
    if read_only:
        next(iter(store.entries("")), None)
        return Conformance()
    folder = f"{PROBE_PREFIX}{uuid.uuid4().hex}/"
    try:
        _require_one_winner(store, f"{folder}race")
        _require_refusal(store, f"{folder}race")
        if multipart:
            _require_refused_completion(store, f"{folder}large")
        _require_listing(store, folder)
    finally:
        left = store.delete([entry.key for entry in store.entries(folder)])
    deletes = all(deletion.state is DeletionState.GONE for deletion in left)
    return Conformance(conditional_put=True, conditional_complete=multipart or None, range_get=True, delete=deletes)


def _require_one_winner(store: ObjectStore, key: str) -> None:
    def claim(number: int) -> bool:
        try:
            return store.put_once(key, f"writer {number}".encode())
        except ConflictError:
            return False

    with ThreadPoolExecutor(_WRITERS) as pool:
        winners = sum(pool.map(claim, range(_WRITERS)))
    if winners != 1:
        raise _not_conformant(store, f"{winners} of {_WRITERS} writers believe to have created the same object")


def _require_refusal(store: ObjectStore, key: str) -> None:
    try:
        store.put_once(key, b"too late")
    except ConflictError:
        return
    raise _not_conformant(store, "a second put of an existing object is not refused")


def _require_refused_completion(store: ObjectStore, key: str) -> None:
    store.put_once(key, b"first")
    writer = store.open_writer(key)
    try:
        writer.write(bytes(_LARGE_BYTES))
        writer.commit()
    except ConflictError:
        return
    finally:
        writer.abort()
    raise _not_conformant(store, "completing a multipart upload over an existing object is not refused")


def _require_listing(store: ObjectStore, folder: str) -> None:
    keys = [f"{folder}list/{number:02d}" for number in range(3)]
    for key in keys:
        store.put_once(key, key.encode())
    listed = [entry.key for entry in store.entries(f"{folder}list/")]
    if listed != keys:
        raise _not_conformant(store, "what was just written is not listed")
    if b"".join(store.stream(keys[0])) != keys[0].encode():
        raise _not_conformant(store, "what was just written reads differently")


def _not_conformant(store: ObjectStore, found: str) -> RefusedError:
    return RefusedError(
        f"{store.location}: {found}; such a store cannot hold backups safely", reason=Reason.NOT_CONFORMANT
    )
