"""Facts: what is said beside the manifests, each in an object of its own that is written once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from dbcustody.errors import DamagedError, InvalidSpecError
from dbcustody.repository.canonical import canonical, parse_exactly
from dbcustody.repository.layout import BackupKey, FactKind, check_backup_id, check_storage_id

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """`dbcustody.json`: this prefix is ours."""

    format: int = 1
    storage_id: str
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """A key as closed by a key-encryption key: AES-256-GCM with a random nonce; *check* recognises the wrong key before it is tried."""

    format: int = 1
    key_id: str
    nonce: str
    wrapped: str
    check: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Custody:
    """`custody.json`: minted once by the first writer; another owner refuses until told to adopt."""

    format: int = 1
    uuid: str
    owner: str
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NameClaim:
    """`names/<name>.json`: which backup a resource's name stands for, for ever."""

    format: int = 1
    name: str
    backup_id: str
    claimed: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """This backup is deleted, or about to be; it carries the link of the chain that goes with it."""

    format: int = 1
    backup_id: str
    manifest_sha256: str
    previous_manifest_sha256: str | None = None
    generation: int
    because: str
    time: datetime
    mac: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """This backup was read back at *level*."""

    format: int = 1
    backup_id: str
    manifest_sha256: str
    level: str
    time: datetime
    rows: int | None = None
    mac: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """This backup must not be deleted until a release with the same number says so."""

    format: int = 1
    backup_id: str
    manifest_sha256: str
    number: int
    because: str
    time: datetime
    mac: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The hold of the same number is over."""

    format: int = 1
    backup_id: str
    manifest_sha256: str
    number: int
    because: str
    time: datetime
    mac: str | None = None


Fact = Tombstone | Verified | Hold | Release
F = TypeVar("F", bound=Fact)
D = TypeVar("D", Marker, NameClaim)
_CLASSES: Final[dict[FactKind, type[Fact]]] = {
    FactKind.TOMBSTONE: Tombstone,
    FactKind.VERIFIED: Verified,
    FactKind.HOLD: Hold,
    FactKind.RELEASE: Release,
}


def fact_text(fact: Fact) -> bytes:
    """Return the bytes over which a fact's MAC is computed: its kind and its canonical form without the MAC."""
    return type(fact).__name__.encode() + b"\x00" + canonical(replace(fact, mac=None))


def sealed(fact: F, mac: bytes | None) -> F:
    """Return *fact* with its MAC in hex; None leaves it without (a storage without encryption)."""
    return replace(fact, mac=None if mac is None else mac.hex())


def parse_marker(data: bytes, what: str) -> Marker:
    """Return the marker that *data* holds; raises DamagedError (also for an id that is none), RefusedError (FormatUnknown)."""
    marker = parse_exactly(Marker, data, what)
    return _sound(marker, lambda: check_storage_id(marker.storage_id), what)


def parse_custody(data: bytes, what: str) -> Custody:
    """Return the birth certificate that *data* holds; raises DamagedError, RefusedError (FormatUnknown)."""
    return parse_exactly(Custody, data, what)


def parse_claim(data: bytes, what: str) -> NameClaim:
    """Return the claim that *data* holds; raises DamagedError (also when it leads to no backup's place), RefusedError (FormatUnknown)."""
    claim = parse_exactly(NameClaim, data, what)
    return _sound(claim, lambda: check_backup_id(claim.backup_id), what)


def parse_wrapped_key(data: bytes, what: str) -> WrappedKey:
    """Return the wrapped key that *data* holds; raises DamagedError, RefusedError (FormatUnknown). Whether it opens is another question."""
    return parse_exactly(WrappedKey, data, what)


def _sound(document: D, check: Callable[[], object], what: str) -> D:
    """Return *document* when *check* finds nothing: whoever can write to the storage can write an id that fits nowhere."""
    try:
        check()
    except InvalidSpecError as error:
        raise DamagedError(f"{what}: {error}") from error
    return document


def read_fact(data: bytes, key: BackupKey) -> Fact:
    """Return the fact stored as *data* under *key*; whether its MAC fits is another question.

    Raises DamagedError when it is none, is not in canonical form, or speaks of another backup or number than its key;
    RefusedError (FormatUnknown) when a newer version wrote it.
    """
    what = f"{key.backup_id}/{key.object_name}"
    if key.fact is None:
        raise DamagedError(f"{what}: is no fact")
    fact = parse_exactly(_CLASSES[key.fact], data, what)
    if fact.backup_id != key.backup_id:
        raise DamagedError(f"{what}: speaks of another backup; somebody moved it")
    if isinstance(fact, Hold | Release) and fact.number != key.number:
        raise DamagedError(f"{what}: has another number; somebody moved it")
    return fact
