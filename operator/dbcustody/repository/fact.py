"""Facts: what is said beside the manifests, each in an object of its own that is written once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar

from dbcustody.errors import DamagedError
from dbcustody.repository.canonical import canonical, parse_exactly
from dbcustody.repository.layout import BackupKey, FactKind


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
