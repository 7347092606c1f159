"""The envelope: how an object is closed with a key, so that whoever holds the bucket can neither read nor change it unseen.

Each object is a 64-byte header and chunks of AES-256-GCM in the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: Online
Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance, 2015): the nonce holds a counter and a last-chunk flag, so that
truncation, reordering, duplication and splicing all fail. Keys are derived by HKDF-SHA-256 (RFC 5869) from the data key of the
attempt, bound to where the object belongs. `docs/repository-format.md` has the bytes.
"""

from __future__ import annotations

import hmac
import os
import struct
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import AlreadyFinalized, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dbcustody.errors import DamagedError, RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAGIC: Final = b"DBC1"
VERSION: Final = 1
HEADER_BYTES: Final = 64
TAG_BYTES: Final = 16
KEY_BYTES: Final = 32
DEFAULT_CHUNK_EXPONENT: Final = 20
LARGEST_CHUNK_EXPONENT: Final = 24
PREFIX_BYTES: Final = 7
NONCE_BYTES: Final = 12
_LAST_COUNTER: Final = 2**32 - 1
_HEADER = struct.Struct(">4sBB7s51s")

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class DataKey:
    """A 256-bit key from which every other key of its scope is derived."""

    secret: bytes = field(repr=False)

    def __repr__(self) -> str:
        return "***"

    @classmethod
    def fresh(cls) -> DataKey:
        """Return a new key from the system's random source."""
        return cls(os.urandom(KEY_BYTES))

    def derive(self, label: str, *context: str) -> bytes:
        """Return the key for *label* bound to *context* (storage id, custody id, backup id, attempt, object name as they apply)."""
        info = b"".join(_length_prefixed(part) for part in ("dbcustody", label, *context))
        return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=info).derive(self.secret)

    def mac(self, label: str, context: tuple[str, ...], message: bytes) -> bytes:
        """Return the HMAC-SHA-256 of *message* under the key derived for *label* and *context*."""
        return hmac.new(self.derive(label, *context), message, sha256).digest()

    def proves(self, label: str, context: tuple[str, ...], message: bytes, *, mac_hex: str | None) -> bool:
        """Return whether *mac_hex* is the MAC of *message*; in constant time, and False for None or what is no hex at all."""
        expected = self.mac(label, context, message).hex()
        return hmac.compare_digest(expected.encode(), (mac_hex or "").encode(errors="replace"))

    def check_value(self, *context: str) -> str:
        """Return 16 hex digits that recognise this key without telling anything of it."""
        return self.derive("key-check", *context)[:8].hex()


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A key closed by a key-encryption key, in hex."""

    nonce: str
    wrapped: str
    check: str


def wrap_key(key: DataKey, key_encryption_key: bytes, context: tuple[str, ...]) -> Wrapped:
    """Return *key* closed by *key_encryption_key* with AES-256-GCM, *context* (ids and the key id) as associated data."""
    nonce = os.urandom(12)
    closed = AESGCM(key_encryption_key).encrypt(nonce, key.secret, _associated(context))
    return Wrapped(nonce.hex(), closed.hex(), DataKey(key_encryption_key).check_value(*context))


def unwrap_key(wrapped: Wrapped, key_encryption_key: bytes, context: tuple[str, ...]) -> DataKey:
    """Return the key in *wrapped*.

    Raises RefusedError (KeyMismatch) when the key-encryption key is another one than it was closed with, DamagedError when it is the
    right one and the bytes were changed.
    """
    expected = DataKey(key_encryption_key).check_value(*context)
    is_right_key = hmac.compare_digest(expected.encode(), wrapped.check.encode(errors="replace"))
    opened = _unwrapped(wrapped, key_encryption_key, context)
    if opened is not None and is_right_key:
        return DataKey(opened)
    if opened is not None or is_right_key:
        raise DamagedError(f"wrapped key for {context[-1]!r}: is damaged")
    raise RefusedError(
        f"key {context[-1]!r}: is not the key that closed this storage; put the right one back",
        reason=Reason.KEY_MISMATCH,
    )


def _unwrapped(wrapped: Wrapped, key_encryption_key: bytes, context: tuple[str, ...]) -> bytes | None:
    try:
        nonce, closed = bytes.fromhex(wrapped.nonce), bytes.fromhex(wrapped.wrapped)
        # The format has one spelling of each key: what `fromhex` forgives (capitals, spaces) was changed by somebody.
        if (nonce.hex(), closed.hex()) != (wrapped.nonce, wrapped.wrapped):
            return None
        if (len(nonce), len(closed)) != (NONCE_BYTES, KEY_BYTES + TAG_BYTES):
            return None
        return AESGCM(key_encryption_key).decrypt(nonce, closed, _associated(context))
    except (InvalidTag, ValueError):
        return None


class Encryptor:
    """Turns one object's plaintext into its stored bytes: `header`, then what `update` gives, then what `finish` gives.

    Memory: one chunk, and what `update` returns. Whole chunks inside a piece are closed where they lie, without a copy.
    """

    def __init__(
        self, key: bytes, *, chunk_exponent: int = DEFAULT_CHUNK_EXPONENT, prefix: bytes | None = None
    ) -> None:
        """Begin an object; *key* must close this one object only. A fixed *prefix* of the nonces is for test vectors."""
        if not 0 <= chunk_exponent <= LARGEST_CHUNK_EXPONENT:
            raise ValueError(f"chunk exponent {chunk_exponent}: must be within 0..{LARGEST_CHUNK_EXPONENT}")
        self._cipher = AESGCM(key)
        self._prefix = os.urandom(PREFIX_BYTES) if prefix is None else prefix
        self._chunk_bytes = 1 << chunk_exponent
        self._pending = memoryview(bytearray(self._chunk_bytes))
        self._pending_bytes = 0
        self._counter = 0
        self._is_finished = False
        self.header = _HEADER.pack(MAGIC, VERSION, chunk_exponent, self._prefix, b"")

    @property
    def chunk_count(self) -> int:
        """How many chunks were closed."""
        return self._counter

    def update(self, data: Buffer) -> list[bytes]:
        """Return the stored bytes that *data* completes, chunk by chunk; a chunk is held back until it is known not to be the last."""
        view = memoryview(data).cast("B")
        start = self._hold(view) if self._pending_bytes else 0
        if start == len(view):
            return []
        closed: list[bytes] = []
        if self._pending_bytes:
            closed.append(self._close(self._pending, last=False))
            self._pending_bytes = 0
        while len(view) - start > self._chunk_bytes:
            closed.append(self._close(view[start : start + self._chunk_bytes], last=False))
            start += self._chunk_bytes
        self._hold(view[start:])
        return closed

    def finish(self) -> bytes:
        """Return the last chunk's stored bytes; nothing may come after it (AlreadyFinalized)."""
        last = self._close(self._pending[: self._pending_bytes], last=True)
        self._is_finished = True
        return last

    def _hold(self, view: memoryview) -> int:
        """Keep as much of *view* as the pending chunk takes, and return how much that was."""
        taken = min(len(view), self._chunk_bytes - self._pending_bytes)
        self._pending[self._pending_bytes : self._pending_bytes + taken] = view[:taken]
        self._pending_bytes += taken
        return taken

    def _close(self, chunk: Buffer, *, last: bool) -> bytes:
        if self._is_finished:
            raise AlreadyFinalized("this object is finished; begin another one")
        if self._counter > _LAST_COUNTER:
            raise RefusedError(
                "encrypted object: has more than 2^32 chunks; use a larger chunk", reason=Reason.DUMP_FAILED
            )
        nonce = _nonce(self._prefix, self._counter, last=last)
        self._counter += 1
        return self._cipher.encrypt(nonce, chunk, self.header)


def decrypt(stored: Iterable[Buffer], key: bytes, name: str) -> Iterator[bytes]:
    """Yield the plaintext of the object *name* whose stored bytes come in pieces of any size; nothing unauthenticated is ever yielded.

    Raises DamagedError for anything that is not exactly what `Encryptor` wrote; whoever stops before the end has proven nothing.
    """
    pending = bytearray()
    pieces = iter(stored)
    _fill(pending, pieces, HEADER_BYTES)
    header = bytes(pending[:HEADER_BYTES])
    prefix, chunk_bytes = _parse_header(header, name)
    del pending[:HEADER_BYTES]
    cipher, sealed_bytes = AESGCM(key), chunk_bytes + TAG_BYTES
    for counter in range(_LAST_COUNTER + 1):
        _fill(pending, pieces, sealed_bytes + 1)
        last = len(pending) <= sealed_bytes
        yield _open(cipher, _nonce(prefix, counter, last=last), pending, (header, sealed_bytes, name))
        if last:
            return
        del pending[:sealed_bytes]
    raise DamagedError(f"{name}: goes on after its last possible chunk")


def _open(cipher: AESGCM, nonce: bytes, pending: bytearray, frame: tuple[bytes, int, str]) -> bytes:
    header, sealed_bytes, name = frame
    with memoryview(pending) as view, view[:sealed_bytes] as sealed:
        try:
            return cipher.decrypt(nonce, sealed, header)
        except (InvalidTag, ValueError) as error:
            raise DamagedError(
                f"{name}: fails authentication; it is damaged, cut, or closed with another key"
            ) from error


def _fill(pending: bytearray, pieces: Iterator[Buffer], wanted: int) -> None:
    while len(pending) < wanted:
        piece = next(pieces, None)
        if piece is None:
            return
        pending += piece


def _parse_header(header: bytes, name: str) -> tuple[bytes, int]:
    if len(header) < HEADER_BYTES:
        raise DamagedError(f"{name}: is shorter than a header")
    magic, version, exponent, prefix, reserved = _HEADER.unpack(header)
    if magic != MAGIC or version != VERSION or exponent > LARGEST_CHUNK_EXPONENT or reserved.strip(b"\x00"):
        raise DamagedError(f"{name}: does not begin with a header of format 1")
    return prefix, 1 << exponent


def _nonce(prefix: bytes, counter: int, *, last: bool) -> bytes:
    return prefix + counter.to_bytes(4, "big") + (b"\x01" if last else b"\x00")


def _length_prefixed(part: str) -> bytes:
    raw = part.encode()
    return len(raw).to_bytes(4, "big") + raw


def _associated(context: tuple[str, ...]) -> bytes:
    return b"".join(_length_prefixed(part) for part in context)
