"""Opening a storage and a custody in it: the first user mints what makes the prefix ours, everybody else checks it.

Everything minted is written once, by a conditional put: whoever loses the race reads what the winner wrote and goes on with that.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from dbcustody.adapters.envelope import DataKey, Wrapped, unwrap_key, wrap_key
from dbcustody.adapters.keyring import Keyring
from dbcustody.adapters.objectstore import ObjectStore
from dbcustody.api.storage import AccessMode, BackupStorageSpec
from dbcustody.contract import Verb
from dbcustody.errors import ConflictError, DamagedError, InvalidSpecError, RefusedError
from dbcustody.jobs.tools import custody_id_of
from dbcustody.reason import Reason
from dbcustody.repository.canonical import canonical
from dbcustody.repository.fact import Custody, Marker, WrappedKey, parse_custody, parse_marker, parse_wrapped_key
from dbcustody.repository.layout import MARKER_KEY, custody_key, storage_key_key

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.contract import JobRequest
    from dbcustody.jobs.tools import Tools

FORMAT: Final = 1
_WRITING_VERBS: Final = frozenset({Verb.BACKUP, Verb.PRUNE, Verb.RE_WRAP, Verb.HOLD})
_STORAGE_KEY_PREFIX: Final = "storage-key."
Minted = TypeVar("Minted", Marker, Custody, DataKey)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStorage:
    """A storage that is known to be ours; *storage_key* None means: it is not encrypted, or not for us."""

    store: ObjectStore
    storage_id: str
    storage_key: DataKey | None = field(default=None, repr=False)
    keyring: Keyring | None = None
    read_only: bool = False


def storage_of(request: JobRequest) -> BackupStorageSpec:
    """Return the BackupStorage that *request* is about; raises InvalidSpecError when it names none."""
    if request.storage is None:
        raise InvalidSpecError(f"request {request.verb.value}: storage: is missing; must be given")
    return request.storage


def open_storage(tools: Tools, request: JobRequest, *, store: ObjectStore | None = None) -> OpenStorage:
    """Return the storage of *request*, minting its marker and its storage key when this is the first use.

    A *store* that is open already is used instead of opening another one.

    Raises RefusedError: StorageReadOnly (a verb that writes, or nothing there that could be read), FormatUnknown (a newer version's),
    KeyMissing or KeyMismatch (the keyring cannot open the storage key); and the errors of the store and of the keyring.
    """
    spec = storage_of(request)
    read_only = spec.access_mode is AccessMode.READ_ONLY
    if read_only and request.verb in _WRITING_VERBS:
        raise RefusedError(
            f"storage {request.storage_name or ''}: is ReadOnly; {request.verb.value} must write",
            reason=Reason.STORAGE_READ_ONLY,
        )
    keyring = tools.keyring()
    store = store or tools.store()
    marker = read_marker(store) or _mint_marker(store, tools.now(), read_only=read_only)
    key = None if keyring is None else _open_storage_key(store, marker.storage_id, keyring, read_only=read_only)
    return OpenStorage(store=store, storage_id=marker.storage_id, storage_key=key, keyring=keyring, read_only=read_only)


def read_marker(store: ObjectStore) -> Marker | None:
    """Return the marker of *store*, or None when nobody used it yet; raises RefusedError (FormatUnknown) for another format."""
    data = store.read(MARKER_KEY)
    if data is None:
        return None
    marker = parse_marker(data, f"{store.location}/{MARKER_KEY}")
    if marker.format != FORMAT:
        raise RefusedError(
            f"{store.location}/{MARKER_KEY}: has format {marker.format}; this version knows {FORMAT}",
            reason=Reason.FORMAT_UNKNOWN,
        )
    return marker


def open_custody(storage: OpenStorage, request: JobRequest, *, now: datetime) -> Custody:
    """Return the birth certificate of the custody that *request* is about, minted now when there is none.

    Its owner is `<namespace>/<Database>`: it survives a new cluster, and differs for two Databases that were given one custody id.
    Raises RefusedError: CustodyConflict for another owner, StorageReadOnly when there is none and none may be written.
    """
    owner = f"{request.namespace}/{request.database_name or request.name}"
    custody_id = custody_id_of(request)
    found = read_custody(storage.store, custody_id) or _mint_custody(storage, custody_id, owner, now)
    if found.owner != owner:
        raise RefusedError(
            f"custody {custody_id!r} in {storage.store.location}: belongs to {found.owner!r}, not to {owner!r}",
            reason=Reason.CUSTODY_CONFLICT,
        )
    return found


def read_custody(store: ObjectStore, custody_id: str) -> Custody | None:
    """Return the birth certificate of *custody_id*, or None when nothing was ever written under it."""
    data = store.read(custody_key(custody_id))
    return None if data is None else parse_custody(data, f"{store.location}/{custody_key(custody_id)}")


def stored_key_ids(store: ObjectStore) -> tuple[str, ...]:
    """Return the ids of the keys for which the storage key lies in *store*, in order."""
    names = (entry.key for entry in store.entries(_STORAGE_KEY_PREFIX) if "/" not in entry.key)
    return tuple(name[len(_STORAGE_KEY_PREFIX) : -len(".json")] for name in names if name.endswith(".json"))


def unwrap_storage_key(store: ObjectStore, storage_id: str, keyring: Keyring, key_id: str) -> DataKey | None:
    """Return the storage key as closed for *key_id*, or None when it was never closed for that; raises KeyMismatch or KeyMissing."""
    data = store.read(storage_key_key(key_id))
    if data is None:
        return None
    where = f"{store.location}/{storage_key_key(key_id)}"
    closed = parse_wrapped_key(data, where)
    if closed.key_id != key_id:
        raise DamagedError(f"{where}: is of another key id; somebody moved it")
    return unwrap_key(
        Wrapped(closed.nonce, closed.wrapped, closed.check), keyring.key(key_id), _context(storage_id, key_id)
    )


def _mint_marker(store: ObjectStore, now: datetime, *, read_only: bool) -> Marker:
    if read_only:
        raise RefusedError(
            f"{store.location}: holds no {MARKER_KEY}, and as a ReadOnly storage gets none; check bucket and prefix",
            reason=Reason.STORAGE_READ_ONLY,
        )
    marker = Marker(storage_id=str(uuid.uuid4()), created=now)
    _put_or_lose(store, MARKER_KEY, canonical(marker))
    return _there(read_marker(store), f"{store.location}/{MARKER_KEY}")


def _mint_custody(storage: OpenStorage, custody_id: str, owner: str, now: datetime) -> Custody:
    where = f"{storage.store.location}/{custody_key(custody_id)}"
    if storage.read_only:
        raise RefusedError(f"{where}: is missing, and the storage is ReadOnly", reason=Reason.STORAGE_READ_ONLY)
    minted = Custody(uuid=str(uuid.uuid4()), owner=owner, created=now)
    _put_or_lose(storage.store, custody_key(custody_id), canonical(minted))
    return _there(read_custody(storage.store, custody_id), where)


def _open_storage_key(store: ObjectStore, storage_id: str, keyring: Keyring, *, read_only: bool) -> DataKey:
    active = unwrap_storage_key(store, storage_id, keyring, keyring.active_key_id)
    if active is not None:
        return active
    older = _unwrap_with_any(store, storage_id, keyring)
    if read_only:
        if older is None:
            raise RefusedError(
                f"{store.location}: holds no storage key, and as a ReadOnly storage gets none",
                reason=Reason.STORAGE_READ_ONLY,
            )
        return older
    return _add_storage_key(store, storage_id, keyring, older or DataKey.fresh())


def _unwrap_with_any(store: ObjectStore, storage_id: str, keyring: Keyring) -> DataKey | None:
    """Return the storage key as any key of *keyring* opens it; None when there is none yet. Raises KeyMissing when it is for others."""
    ids = stored_key_ids(store)
    for key_id in ids:
        if key_id in keyring.keys:
            return unwrap_storage_key(store, storage_id, keyring, key_id)
    if ids:
        raise RefusedError(
            f"{store.location}: its storage key is closed for {', '.join(ids)}; the keyring holds none of these, put one back",
            reason=Reason.KEY_MISSING,
        )
    return None


def _add_storage_key(store: ObjectStore, storage_id: str, keyring: Keyring, key: DataKey) -> DataKey:
    """Close *key* for the active key and return what then stands there; rotation adds a copy and rewrites nothing.

    Two first users with different active keys could each mint a storage key in the same second; what the keyring can open must agree,
    or nothing is written with either.
    """
    key_id = keyring.active_key_id
    closed = wrap_key(key, keyring.active_key, _context(storage_id, key_id))
    copy = WrappedKey(key_id=key_id, nonce=closed.nonce, wrapped=closed.wrapped, check=closed.check)
    _put_or_lose(store, storage_key_key(key_id), canonical(copy))
    ours = unwrap_storage_key(store, storage_id, keyring, key_id)
    others = (
        unwrap_storage_key(store, storage_id, keyring, one) for one in stored_key_ids(store) if one in keyring.keys
    )
    if any(other != ours for other in others):
        raise RefusedError(
            f"{store.location}: holds two storage keys, minted at the same time for different key ids; "
            f"remove {storage_key_key(key_id)} if nothing was written with it yet",
            reason=Reason.KEY_MISMATCH,
        )
    return _there(ours, f"{store.location}/{storage_key_key(key_id)}")


def _put_or_lose(store: ObjectStore, key: str, data: bytes) -> None:
    """Create *key*; when somebody else was faster, theirs counts, and the caller reads it."""
    try:
        store.put_once(key, data)
    except ConflictError:
        return


def _there(found: Minted | None, where: str) -> Minted:
    if found is None:
        raise DamagedError(f"{where}: vanished right after it was written")
    return found


def _context(storage_id: str, key_id: str) -> tuple[str, ...]:
    return (storage_id, key_id)
