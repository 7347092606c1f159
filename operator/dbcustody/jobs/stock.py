"""Taking stock of a custody: its documents are listed, read a few at a time, and believed as far as the keys vouch for them.

The rules of belief are the repository's (`stocktaking`), which knows no key and reads no byte; here are the hands and the keys that it
lends. A store that does not answer is an error: an inventory with holes would look like one in which backups were deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.adapters.envelope import DataKey, Wrapped, unwrap_key, wrap_key
from dbcustody.errors import ConflictError, DamagedError, RefusedError
from dbcustody.jobs.tools import entries_below, side_by_side
from dbcustody.reason import Reason
from dbcustody.repository.binding import FACT_LABEL, MANIFEST_LABEL, fact_context
from dbcustody.repository.canonical import canonical
from dbcustody.repository.fact import (
    Hold,
    Release,
    Tombstone,
    Verified,
    WrappedKey,
    fact_text,
    parse_wrapped_key,
    sealed,
)
from dbcustody.repository.inventory import Doubt
from dbcustody.repository.layout import (
    FactKind,
    attempt_prefix,
    backup_prefix,
    backups_prefix,
    data_key_object,
    fact_key,
    key_id_of,
    parse_backup_key,
)
from dbcustody.repository.manifest import authenticated_text
from dbcustody.repository.stocktaking import document_keys, recognise, take_inventory
from dbcustody.repository.testimony import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dbcustody.adapters.keyring import Keyring
    from dbcustody.adapters.objectstore import ObjectStore
    from dbcustody.jobs.custody import OpenStorage
    from dbcustody.jobs.tools import Tools
    from dbcustody.repository.binding import Place
    from dbcustody.repository.fact import Fact
    from dbcustody.repository.inventory import FoundObject, Inventory
    from dbcustody.repository.manifest import Manifest

_KINDS: Final[dict[type[Fact], FactKind]] = {
    Tombstone: FactKind.TOMBSTONE,
    Verified: FactKind.VERIFIED,
    Hold: FactKind.HOLD,
    Release: FactKind.RELEASE,
}
_NUMBER_ATTEMPTS: Final = 5


def take_stock(storage: OpenStorage, custody_id: str, tools: Tools, *, backup_id: str | None = None) -> Inventory:
    """Return what lies in *storage* for *custody_id*, with every reason not to believe it; of *backup_id* alone where that is given.

    The inventory of one backup says nothing of the chain: who comes before it was not looked at.
    Raises the store's error when it does not list or does not answer, InterruptedRunError when the work is to end; an object that is
    damaged, or vanished since it was listed, is a doubt of the inventory.
    """
    prefix = backups_prefix(custody_id) if backup_id is None else backup_prefix(custody_id, backup_id)
    objects = _listed(storage.store, prefix, tools)
    inventory = _read_inventory(storage, custody_id, objects, tools)
    if not inventory.doubts:
        return inventory
    # A bit that turned on its way would break the chain for ever: only what is wrong twice lies there like that.
    return _read_inventory(storage, custody_id, objects, tools)


def _read_inventory(storage: OpenStorage, custody_id: str, objects: tuple[FoundObject, ...], tools: Tools) -> Inventory:
    documents = document_keys(objects)
    key_objects = _key_objects(objects, storage.keyring)
    contents = _read_all(storage.store, (*documents, *key_objects), tools)
    return take_inventory(
        objects,
        {key: contents[key] for key in documents},
        storage_id=storage.storage_id,
        custody_id=custody_id,
        authority=_Keyholder(storage, contents),
    )


def disbelief(inventory: Inventory, backup_id: str) -> RefusedError | None:
    """Return why what lies there of *backup_id* cannot be believed: KeyMissing, which somebody can put right, else ArchiveDamaged."""
    doubts = inventory.doubts_about(backup_id)
    if not doubts:
        return None
    reason = Reason.KEY_MISSING if Doubt.KEY_MISSING in doubts else Reason.ARCHIVE_DAMAGED
    return RefusedError(f"{backup_id}: cannot be believed ({', '.join(sorted(doubts))})", reason=reason)


def open_data_key(storage: OpenStorage, place: Place, key_ids: Sequence[str]) -> DataKey:
    """Return the data key of the attempt at *place*, opened with whichever key of the keyring fits one of *key_ids*.

    Raises RefusedError: KeyMissing when the keyring holds none of them, KeyMismatch when what it holds under their ids are other keys;
    DamagedError when the wrapped key is not there, was moved or was changed; and the store's errors.
    """
    return _open_data_key(storage.keyring, place, key_ids, read=storage.store.read)


def close_data_key(store: ObjectStore, place: Place, key: DataKey, keyring: Keyring) -> None:
    """Create the copy of *key* that is closed for the active key; raises ConflictError when there is one, and the store's errors."""
    key_id = keyring.active_key_id
    closed = wrap_key(key, keyring.active_key, place.data_key_context(key_id))
    copy = WrappedKey(key_id=key_id, nonce=closed.nonce, wrapped=closed.wrapped, check=closed.check)
    folder = attempt_prefix(place.custody_id, place.backup_id, place.attempt)
    store.put_once(folder + data_key_object(key_id), canonical(copy))


def add_fact(storage: OpenStorage, custody_id: str, fact: Fact, *, number: int | None = None) -> None:
    """Seal *fact* with the storage key, none in a storage without encryption, and create its object once.

    Holds and releases carry their number, a tombstone has none; *number* is of a `Verified`, None means: the next free one.
    Raises ConflictError when another fact is there already, and the store's errors.
    """
    mac = None
    if storage.storage_key is not None:
        context = fact_context(storage.storage_id, custody_id, fact.backup_id)
        mac = storage.storage_key.mac(FACT_LABEL, context, fact_text(fact))
    data = canonical(sealed(fact, mac))
    if isinstance(fact, Verified) and number is None:
        _put_next(storage.store, custody_id, fact.backup_id, data)
        return
    own = fact.number if isinstance(fact, Hold | Release) else number
    storage.store.put_once(fact_key(custody_id, fact.backup_id, _KINDS[type(fact)], own or 0), data)


def _put_next(store: ObjectStore, custody_id: str, backup_id: str, data: bytes) -> None:
    """Create *data* as the next `Verified` fact; who loses a number to somebody else takes the one after it."""
    for attempt in range(1, _NUMBER_ATTEMPTS + 1):
        parsed = (parse_backup_key(entry.key) for entry in store.entries(backup_prefix(custody_id, backup_id)))
        taken = [key.number for key in parsed if key is not None and key.fact is FactKind.VERIFIED]
        try:
            store.put_once(fact_key(custody_id, backup_id, FactKind.VERIFIED, max(taken, default=0) + 1), data)
        except ConflictError:
            if attempt == _NUMBER_ATTEMPTS:
                raise
        else:
            return


def _listed(store: ObjectStore, prefix: str, tools: Tools) -> tuple[FoundObject, ...]:
    listing = entries_below(store, prefix, tools)
    rows = (recognise(entry.key, size_bytes=entry.size_bytes, modified=entry.modified) for entry in listing)
    return tuple(row for row in rows if row is not None)


def _key_objects(objects: Iterable[FoundObject], keyring: Keyring | None) -> tuple[str, ...]:
    """Return the wrapped data keys that the keyring may open, of backups that have a manifest."""
    if keyring is None:
        return ()
    rows = tuple(objects)
    committed = {found.parsed.backup_id for found in rows if found.parsed.is_manifest}
    return tuple(
        found.key
        for found in rows
        if found.parsed.backup_id in committed
        and found.parsed.attempt is not None
        and key_id_of(found.parsed.object_name) in keyring.keys
    )


def _read_all(store: ObjectStore, keys: Sequence[str], tools: Tools) -> dict[str, bytes | None]:
    """Return the bytes of each of *keys*; None for one that is gone or too large to be what its name says."""

    def read(key: str) -> bytes | None:
        try:
            return store.read(key)
        except DamagedError:
            return None

    return dict(zip(keys, side_by_side(read, keys, tools), strict=True))


class _Keyholder:
    """The authority of an open storage: data keys vouch for manifests, the storage key for facts."""

    def __init__(self, storage: OpenStorage, contents: Mapping[str, bytes | None]) -> None:
        self._storage, self._contents = storage, contents

    def manifest(self, manifest: Manifest, key_ids: tuple[str, ...]) -> Trust:
        """Say what the data key says; one that cannot be opened, for whatever reason, is out of reach and vouches for nothing."""
        if manifest.mac is None:
            return Trust.UNSIGNED
        place = manifest.place
        try:
            key = _open_data_key(self._storage.keyring, place, key_ids, read=self._contents.get)
        except (RefusedError, DamagedError):
            return Trust.KEY_MISSING
        text = authenticated_text(manifest)
        is_ours = key.proves(MANIFEST_LABEL, place.context, text, mac_hex=manifest.mac)
        return Trust.AUTHENTIC if is_ours else Trust.FORGED

    def fact(self, custody_id: str, fact: Fact) -> Trust:
        """Say what the storage key says."""
        if fact.mac is None:
            return Trust.UNSIGNED
        if self._storage.storage_key is None:
            return Trust.KEY_MISSING
        context = fact_context(self._storage.storage_id, custody_id, fact.backup_id)
        is_ours = self._storage.storage_key.proves(FACT_LABEL, context, fact_text(fact), mac_hex=fact.mac)
        return Trust.AUTHENTIC if is_ours else Trust.FORGED


def _open_data_key(
    keyring: Keyring | None, place: Place, key_ids: Sequence[str], *, read: Callable[[str], bytes | None]
) -> DataKey:
    folder = attempt_prefix(place.custody_id, place.backup_id, place.attempt)
    known = () if keyring is None else tuple(one for one in key_ids if one in keyring.keys)
    if keyring is None or not known:
        closed_for = ", ".join(key_ids) or "nobody"
        raise RefusedError(
            f"{folder}: its data key is closed for {closed_for}; the keyring holds none of these, put one back",
            reason=Reason.KEY_MISSING,
        )
    failures: list[RefusedError | DamagedError] = []
    for key_id in sorted(known, key=lambda one: one != keyring.active_key_id):
        try:
            return _unwrapped(read(folder + data_key_object(key_id)), place, key_id, keyring)
        except (RefusedError, DamagedError) as error:
            failures.append(error)
    raise failures[0]


def _unwrapped(data: bytes | None, place: Place, key_id: str, keyring: Keyring) -> DataKey:
    where = f"{place.backup_id}/{place.attempt}/{data_key_object(key_id)}"
    if data is None:
        raise DamagedError(f"{where}: is missing")
    closed = parse_wrapped_key(data, where)
    if closed.key_id != key_id:
        raise DamagedError(f"{where}: is of another key id; somebody moved it")
    wrapped = Wrapped(closed.nonce, closed.wrapped, closed.check)
    return unwrap_key(wrapped, keyring.key(key_id), place.data_key_context(key_id))
