"""Readers of what nobody signs: they may take another sound document, but only in its one form, and nothing else may come of any other."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dbcustody import decryptor
from dbcustody.adapters.envelope import DataKey, decrypt
from dbcustody.adapters.keyring import parse_key
from dbcustody.errors import DamagedError, RefusedError
from dbcustody.repository.binding import OBJECT_LABEL, storage_key_context
from dbcustody.repository.catalogue import read_catalogue
from dbcustody.repository.fact import parse_claim, parse_custody, parse_marker
from dbcustody.repository.layout import (
    WHOLE_OBJECT,
    FactKind,
    archive_of,
    attempt_prefix,
    custody_key,
    custody_of,
    data_key_object,
    data_object,
    fact_key,
    key_id_of,
    manifest_key,
    parse_backup_key,
    whole_object,
)
from dbcustody.repository.ledger import entry_sequence, ledger_entry_key
from fuzz import published
from fuzz.bytewise import blindly
from fuzz.jsonwise import is_in_one_form, jsonwise
from fuzz.published import PLACE
from fuzz.target import Target, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.repository.layout import BackupKey

ENGINE: Final = (DamagedError, RefusedError)
_SECRET: Final = published.KEY_ENCRYPTION_KEY
_PLAIN_KEYS: Final = (
    _SECRET, _SECRET + b"\n", _SECRET.hex().encode(), _SECRET.hex().upper().encode() + b"\r\n", published.only_key_file(),
    b"mK0d0G8kqHkPq8Rr0T9m9V2n2oY3mEo1Jb8b0yq3c5E=", b"mK0d0G8kqHkPq8Rr0T9m9V2n2oY3mEo1Jb8b0yq3c5E=\n",
)  # fmt: skip


def catalogue() -> bytes:
    """Return the plaintext of the published catalogue."""
    key = published.DATA_KEY.derive(OBJECT_LABEL, *PLACE.object_context("catalogue.json"))
    return b"".join(decrypt([published.only("/catalogue.json")], key, "catalogue"))


def read_document(data: bytes, parse: Callable[[bytes, str], Any]) -> None:
    """Read a document that is taken in one form only."""
    parse(data, "document")
    require(is_in_one_form(data), "takes a document that is not in its one form")


def read_marker(data: bytes) -> None:
    """Read the storage's marker; to what it says, keys can be bound."""
    read_document(data, parse_marker)
    DataKey(_SECRET).check_value(*storage_key_context(parse_marker(data, "marker").storage_id, "k"))


def read_claim(data: bytes) -> None:
    """Read the claim of a name; where it leads is a place below the backups."""
    read_document(data, parse_claim)
    manifest_key(PLACE.custody_id, parse_claim(data, "claim").backup_id)


def read_storage_key(data: bytes) -> None:
    """Recognise the key of an object: exactly when it could have been built."""
    key = data.decode(errors="surrogateescape")
    parsed = parse_backup_key(key)
    require(parsed is None or rebuilt(parsed) == key, "recognises a key that nobody can build")
    custody_id = custody_of(key)
    require(custody_id is None or custody_key(custody_id) == key, "recognises a certificate that nobody can build")
    sequence = entry_sequence(PLACE.custody_id, key)
    require(
        sequence is None or ledger_entry_key(PLACE.custody_id, sequence) == key,
        "recognises a ledger entry that nobody can build",
    )
    if parsed is None and custody_id is None and sequence is None:
        raise LookupError(key)


def rebuilt(parsed: BackupKey) -> str:
    """Return the key that the grammar builds for what was recognised."""
    if parsed.attempt is not None:
        folder = attempt_prefix(parsed.custody_id, parsed.backup_id, parsed.attempt)
        return folder + rebuilt_name(parsed.object_name)
    if parsed.is_manifest:
        return manifest_key(parsed.custody_id, parsed.backup_id)
    return fact_key(parsed.custody_id, parsed.backup_id, parsed.fact or FactKind.TOMBSTONE, parsed.number)


def rebuilt_name(name: str) -> str:
    """Return the name of an attempt's object, built again from its parts."""
    if (key_id := key_id_of(name)) is not None:
        return data_key_object(key_id)
    if (archive := archive_of(name)) is None:
        return name if name in {"schema.pgc", "catalogue.json"} else ""
    part = int(name[len(archive) + 1 :] or 0)
    return whole_object(part) if archive == WHOLE_OBJECT else data_object(int(archive[5:8]), part)


def read_key_file(data: bytes) -> None:
    """Read a key file; the engine and the decryptor must find the same key in it, or none."""
    try:
        key = parse_key("k", data)
    except RefusedError:
        require(by_hand(data) is None, "the reader by hand takes a key that the engine refuses")
        raise
    require(len(key) == decryptor.KEY_BYTES and by_hand(data) == key, "two readers find different keys")


def by_hand(data: bytes) -> bytes | None:
    """Return the key that the decryptor finds, or None."""
    try:
        return decryptor.read_key(_KeyFile(data))  # type: ignore[arg-type]
    except decryptor.Refusal:
        return None


class _KeyFile:
    """Bytes where the reader by hand wants a file."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read_bytes(self) -> bytes:
        """Return them."""
        return self.data


def _storage_keys() -> tuple[bytes, ...]:
    known = [key for key in published.FILES if parse_backup_key(key) is not None or custody_of(key) is not None]
    backup = f"{PLACE.custody_id}/backups/{PLACE.backup_id}"
    more = [f"{backup}/tombstone.json", f"{backup}/verified.999999.json", f"{backup}/{PLACE.attempt}/data-999.pgc.999",
            f"{PLACE.custody_id}/ledger/000000000007.json"]  # fmt: skip
    return tuple(key.encode() for key in known + more)


def _document(name: str, read: Callable[[bytes], None], document: bytes, weight: int) -> Target:
    donors = tuple(data for key, data in published.FILES.items() if key.endswith("n") and data.startswith(b"{"))
    return Target(
        name=name, read=read, corpus=(document,), donors=donors, mutate=jsonwise, refusals=ENGINE, weight=weight
    )


TARGETS: Final = (
    _document("marker", read_marker, published.FILES["dbcustody.json"], 20),
    _document("custody", partial(read_document, parse=parse_custody), published.only("/custody.json"), 20),
    _document("claim", read_claim, published.only("/names/shop-nightly.json"), 20),
    _document("catalogue", partial(read_document, parse=read_catalogue), catalogue(), 20),
    Target(name="storage-key", read=read_storage_key, corpus=_storage_keys(), mutate=blindly, refusals=(LookupError,), weight=120),
    Target(name="key-file", read=read_key_file, corpus=_PLAIN_KEYS, mutate=blindly, refusals=(RefusedError,), weight=50),
)  # fmt: skip
