"""Readers of what is closed or signed: nothing may be taken that its owner did not write, whoever changed it and however."""

from __future__ import annotations

from io import BytesIO
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from dbcustody import decryptor
from dbcustody.adapters.envelope import Wrapped, decrypt, unwrap_key
from dbcustody.errors import DamagedError, RefusedError
from dbcustody.repository.binding import FACT_LABEL, MANIFEST_LABEL, fact_context
from dbcustody.repository.fact import fact_text, parse_wrapped_key, read_fact
from dbcustody.repository.layout import BackupKey
from dbcustody.repository.manifest import authenticated_text, read_manifest
from fuzz import published
from fuzz.bytewise import chunkwise
from fuzz.jsonwise import canonical_bytes, is_in_one_form, jsonwise, parsed
from fuzz.published import DATA_KEY, KEY_ENCRYPTION_KEY, KEY_ID, OBJECT_KEY, PLACE, STORAGE_KEY
from fuzz.target import FindingError, Target, require

if TYPE_CHECKING:
    from random import Random

ODD_PLACES: Final = (
    "../{}",
    "/{}",
    "x/{}",
    "./{}",
    "{}/../x.json",
    "{}/",
    "..\\{}",
    "{}\x00.json",
    "..",
    ".pgc",
    "{}.000",
    "{}\n",
)
ODD_NAMES_SHARE: Final = 0.02
ENGINE: Final = (DamagedError, RefusedError)
BY_HAND: Final = (decryptor.Refusal,)
_ENVELOPES: Final = published.envelopes()
_PLAIN: Final = tuple(_ENVELOPES.values())
_MANIFESTS: Final = published.manifests()
_OPEN_MANIFEST: Final = published.unsigned_manifest()
_FACTS: Final = published.facts()
_WRAPPED: Final = published.only(f"/key.{KEY_ID}.json")
_ALL: Final = (*_MANIFESTS, *_FACTS.values(), _WRAPPED, published.only(f"storage-key.{KEY_ID}.json"))


class Shown:
    """Bytes where the reader by hand wants a file."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def open(self, _: str) -> BinaryIO:
        """Return them as an open file."""
        return BytesIO(self.data)

    def __str__(self) -> str:
        return "shown"


def read_envelope(data: bytes) -> None:
    """Open an object with the engine, its bytes in pieces; what comes out before the damage is seen must be true."""
    size = (len(data) + 1, 7, 48)[len(data) % 3]
    out = bytearray()
    try:
        for piece in decrypt((data[start : start + size] for start in range(0, len(data), size)), OBJECT_KEY, "x"):
            out += piece
    except DamagedError:
        require(any(text.startswith(out) for text in _PLAIN), "gives out what nobody closed")
        raise
    require(_ENVELOPES.get(data) == bytes(out), "takes an object that nobody closed")


def read_object_by_hand(data: bytes) -> None:
    """Open an object with the decryptor."""
    checked, out = decryptor.Checked(BytesIO(data)), bytearray()
    try:
        for piece in decryptor.plaintext(checked, OBJECT_KEY, "x"):
            out += piece
    except decryptor.Refusal:
        require(any(text.startswith(out) for text in _PLAIN), "gives out what nobody closed")
        raise
    require(_ENVELOPES.get(data) == bytes(out), "takes an object that nobody closed")
    require(checked.size == len(data), "leaves bytes unread")


def read_signed_manifest(data: bytes) -> None:
    """Read a manifest with the engine and hold it against its MAC; what it reads, the decryptor must read too."""
    manifest = read_manifest(data, "manifest.json")
    require(is_in_one_form(data), "takes a manifest that is not in its one form")
    text, context = authenticated_text(manifest), manifest.place.context
    if manifest.mac and DATA_KEY.proves(MANIFEST_LABEL, context, text, mac_hex=manifest.mac):
        require(data in _MANIFESTS, "takes a signed manifest that nobody signed")
    try:
        by_hand = decryptor.read_backup(_file(data))
    except decryptor.Refusal as refusal:
        raise FindingError(f"the reader by hand refuses what the engine reads: {refusal}") from refusal
    require(by_hand.ids == context, "two readers disagree")


def read_manifest_by_hand(data: bytes) -> None:
    """Read a manifest with the decryptor, up to the names of the files that it would write."""
    backup = decryptor.read_backup(_file(data))
    if backup.is_encrypted:
        decryptor.authenticate(backup, DATA_KEY.secret)
        require(data in _MANIFESTS, "takes a signed manifest that nobody signed")
    options: Any = SimpleNamespace(backup=PurePosixPath("folder"), object=[])
    for name, parts in decryptor.files_of(backup, options).items():
        folder = PurePosixPath("folder", backup.ids[-1])
        require(PurePosixPath(name).name == name, "a file's name leads elsewhere")
        require(all(str(path) == str(folder / path.name) for _, path in parts), "a source lies elsewhere")


def read_wrapped_key(data: bytes) -> None:
    """Open a wrapped data key as a Job does."""
    closed = parse_wrapped_key(data, "key")
    require(is_in_one_form(data), "takes a wrapped key that is not in its one form")
    if closed.key_id != KEY_ID:
        raise DamagedError("key: is of another key id")
    wrapped = Wrapped(closed.nonce, closed.wrapped, closed.check)
    key = unwrap_key(wrapped, KEY_ENCRYPTION_KEY, PLACE.data_key_context(closed.key_id))
    require(key == DATA_KEY and data == _WRAPPED, "takes a wrapped key that nobody closed")


def read_wrapped_key_by_hand(data: bytes) -> None:
    """Open a wrapped data key with the decryptor."""
    key = decryptor.unwrap(_file(data), KEY_ENCRYPTION_KEY, PLACE.context)
    require(key == DATA_KEY.secret and data == _WRAPPED, "takes a wrapped key that nobody closed")


def read_signed_fact(data: bytes, object_name: str) -> None:
    """Read a later fact and hold it against its MAC."""
    key = BackupKey(custody_id=PLACE.custody_id, backup_id=PLACE.backup_id, attempt=None, object_name=object_name)
    fact = read_fact(data, key)
    require(is_in_one_form(data), "takes a fact that is not in its one form")
    context = fact_context(PLACE.storage_id, PLACE.custody_id, fact.backup_id)
    if STORAGE_KEY.proves(FACT_LABEL, context, fact_text(fact), mac_hex=fact.mac):
        require(data == _FACTS[object_name], "takes a fact that nobody signed")


def with_odd_names(random: Random, data: bytes, others: tuple[bytes, ...]) -> bytes:
    """Change a manifest; now and then where an object's name leads, which chance alone would seldom hit."""
    if random.random() > ODD_NAMES_SHARE:
        return jsonwise(random, data, others)
    value, _ = parsed(data)
    objects = [dict(item) for item in value["objects"]]
    item = random.choice(objects)
    item["name"] = random.choice(ODD_PLACES).format(item["name"])
    return canonical_bytes(value | {"objects": objects})


def _file(data: bytes) -> Any:
    return Shown(data)


def _fact_target(object_name: str) -> Target:
    return Target(
        name=f"fact-{object_name.partition('.')[0]}",
        read=lambda data: read_signed_fact(data, object_name),
        corpus=(_FACTS[object_name],),
        donors=_ALL,
        mutate=jsonwise,
        refusals=ENGINE,
        weight=20,
    )


TARGETS: Final = (
    Target(name="envelope", read=read_envelope, corpus=tuple(_ENVELOPES), mutate=chunkwise, refusals=(DamagedError,), weight=360),
    Target(name="object-by-hand", read=read_object_by_hand, corpus=tuple(_ENVELOPES), mutate=chunkwise, refusals=BY_HAND, weight=260),
    Target(name="manifest", read=read_signed_manifest, corpus=(*_MANIFESTS, _OPEN_MANIFEST), donors=_ALL, mutate=with_odd_names,
           refusals=ENGINE, weight=50),
    Target(name="manifest-by-hand", read=read_manifest_by_hand, corpus=(*_MANIFESTS, _OPEN_MANIFEST), donors=_ALL, mutate=with_odd_names,
           refusals=BY_HAND, weight=50),
    Target(name="wrapped-key", read=read_wrapped_key, corpus=(_WRAPPED,), donors=_ALL, mutate=jsonwise, refusals=ENGINE, weight=60),
    Target(name="wrapped-key-by-hand", read=read_wrapped_key_by_hand, corpus=(_WRAPPED,), donors=_ALL, mutate=jsonwise,
           refusals=BY_HAND, weight=60),
    *(_fact_target(name) for name in _FACTS),
)  # fmt: skip
